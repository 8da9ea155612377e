//! What the rings pass around: memory for some records.

/// Records on their way.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) bytes: Box<[u8]>,
    /// Bytes that hold records. Invariant: a multiple of the stride, at most `bytes.len()`.
    pub(crate) used: usize,
    /// The weight of those records.
    pub(crate) weight: u64,
}

impl Batch {
    pub(crate) fn new(size: usize) -> Self {
        Self { bytes: vec![0; size].into_boxed_slice(), used: 0, weight: 0 }
    }
}
