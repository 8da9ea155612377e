//! What both ends share besides the rings.

use crate::sleeper::Sleeper;
use crate::sync::{AtomicBool, AtomicU64};

/// What both ends share besides the rings. Each count has one writing thread.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Written by the writer: weight of all records that were offered, and of those that were lost.
    pub(crate) offered: AtomicU64,
    pub(crate) lost: AtomicU64,
    /// Written by the reader: weight of the records, and the number of batches, that it has finished.
    pub(crate) taken: AtomicU64,
    pub(crate) batches_taken: AtomicU64,
    pub(crate) reader: Sleeper,
    pub(crate) writer: Sleeper,
    pub(crate) reader_gone: AtomicBool,
    pub(crate) writer_gone: AtomicBool,
}
