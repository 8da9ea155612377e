//! The counts of a pipe: each has one writing thread, anybody reads.

use std::sync::Arc;

use crate::shared::Shared;
use crate::sync::{AtomicU64, Ordering};

/// What went through a pipe, in weights. Readable from any thread.
///
/// Whoever reads [`Self::taken`] and [`Self::lost`] before [`Self::offered`] never finds more than was offered.
#[derive(Debug, Clone)]
pub struct Counts(pub(crate) Arc<Shared>);

impl Counts {
    /// Everything that was offered to the pipe.
    pub fn offered(&self) -> u64 {
        self.0.offered.load(Ordering::Acquire)
    }

    /// What found the pipe full.
    pub fn lost(&self) -> u64 {
        self.0.lost.load(Ordering::Acquire)
    }

    /// What the reader has finished.
    pub fn taken(&self) -> u64 {
        self.0.taken.load(Ordering::Acquire)
    }

    /// The batches that the reader has finished.
    pub fn batches_taken(&self) -> u64 {
        self.0.batches_taken.load(Ordering::Acquire)
    }
}

/// The writing thread's own copy of a count, so that it needs to load none.
#[derive(Debug, Default)]
pub(crate) struct Tally(u64);

impl Tally {
    /// Adds, and tells everybody. Release, for the Acquire of [`Counts`]: whoever sees the sum sees the sums that
    /// this thread told before it.
    pub(crate) fn add(&mut self, n: u64, told: &AtomicU64) {
        self.0 += n;
        told.store(self.0, Ordering::Release);
    }
}
