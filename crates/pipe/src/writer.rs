//! The writing end of a pipe.

use std::sync::Arc;

use crate::Overflow;
use crate::batch::Batch;
use crate::counts::{Counts, Tally};
use crate::ring::{Receiver, Sender};
use crate::shared::Shared;
use crate::sync::{Ordering, thread};

/// The writing end.
pub struct Writer {
    pub(crate) stride: usize,
    pub(crate) overflow: Overflow,
    /// Bytes of a batch.
    pub(crate) size: usize,
    /// Batches that were not needed so far, and are not made yet.
    pub(crate) unmade: usize,
    pub(crate) current: Option<Batch>,
    /// Empty batches, the one used last on top: its memory is still in the cache.
    pub(crate) spare: Vec<Batch>,
    pub(crate) offered: Tally,
    pub(crate) lost: Tally,
    pub(crate) batches_sent: u64,
    pub(crate) full: Sender<Batch>,
    pub(crate) empty: Receiver<Batch>,
    pub(crate) shared: Arc<Shared>,
}

impl Writer {
    /// Adds a record of the given weight (the packets that it stands for). `fill` writes it into a slot of
    /// [`stride`](crate::Options::stride) bytes, whose former content is undefined. Returns whether there was room; if not,
    /// the weight is counted as lost and `fill` is not called.
    #[inline]
    pub fn push(&mut self, weight: u64, fill: impl FnOnce(&mut [u8])) -> bool {
        self.offer(weight);
        self.push_offered(weight, fill)
    }

    /// Counts a weight as offered that will be pushed later, by [`Self::push_offered`]. It is in the pipe,
    /// as far as the counts are concerned.
    #[inline]
    pub fn offer(&mut self, weight: u64) {
        self.offered.add(weight, &self.shared.offered);
    }

    /// As [`Self::push`], of a weight that has been offered.
    #[inline]
    pub fn push_offered(&mut self, weight: u64, fill: impl FnOnce(&mut [u8])) -> bool {
        if self.current.is_none() {
            self.current = self.take_empty();
        }
        let Some(batch) = &mut self.current else {
            self.lost.add(weight, &self.shared.lost);
            return false;
        };
        fill(&mut batch.bytes[batch.used..batch.used + self.stride]);
        batch.used += self.stride;
        batch.weight += weight;
        if batch.used == batch.bytes.len() {
            self.publish();
        }
        true
    }

    /// Hands the records collected so far to the reader and wakes it.
    pub fn publish(&mut self) {
        let Some(batch) = self.current.take() else { return };
        // There is always room: the ring holds as many batches as there are.
        if let Err(batch) = self.full.try_push(batch) {
            self.current = Some(batch);
            return;
        }
        self.batches_sent += 1;
        self.shared.reader.wake();
    }

    /// Whether records wait to be published.
    pub fn is_pending(&self) -> bool {
        self.current.is_some()
    }

    /// The batches published so far. When [`Counts::batches_taken`] has reached it, the reader is done with
    /// all of them.
    pub fn batches_sent(&self) -> u64 {
        self.batches_sent
    }

    /// The counts of this pipe.
    pub fn counts(&self) -> Counts {
        Counts(Arc::clone(&self.shared))
    }

    fn take_empty(&mut self) -> Option<Batch> {
        loop {
            if self.shared.reader_gone.load(Ordering::Acquire) {
                return None;
            }
            while let Some(batch) = self.empty.try_pop() {
                self.spare.push(batch);
            }
            if let Some(batch) = self.spare.pop() {
                return Some(batch);
            }
            if self.unmade > 0 {
                self.unmade -= 1;
                return Some(Batch::new(self.size));
            }
            if self.overflow == Overflow::Lose {
                return None;
            }
            self.shared.writer.attach();
            if self.empty.is_empty() && !self.shared.reader_gone.load(Ordering::Acquire) {
                thread::park();
            }
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.publish();
        self.shared.writer_gone.store(true, Ordering::Release);
        self.shared.reader.wake();
    }
}
