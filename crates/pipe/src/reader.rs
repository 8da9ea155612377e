//! The reading end of a pipe, and the handle that wakes it.

use std::sync::Arc;
use std::time::Duration;

use crate::batch::Batch;
use crate::counts::{Counts, Tally};
use crate::ring::{Receiver, Sender};
use crate::shared::Shared;
use crate::sync::{Ordering, thread};

/// The reading end.
pub struct Reader {
    pub(crate) full: Receiver<Batch>,
    pub(crate) empty: Sender<Batch>,
    pub(crate) taken: Tally,
    pub(crate) batches_taken: Tally,
    pub(crate) shared: Arc<Shared>,
}

impl Reader {
    /// The next batch, if one was published. It is given back, and counted as taken, when it is dropped.
    #[allow(clippy::should_implement_trait)] // it lends from the reader, which an iterator can't
    pub fn next(&mut self) -> Option<Received<'_>> {
        let batch = self.full.try_pop()?;
        Some(Received { batch: Some(batch), reader: self })
    }

    /// Sleeps until a batch is published, somebody calls [`Waker::wake`], the writer is gone, or the time is
    /// over. May return early. Must always be called by the same thread.
    pub fn sleep(&mut self, timeout: Option<Duration>) {
        self.shared.reader.attach();
        let woken = self.shared.reader.woken.swap(false, Ordering::SeqCst);
        if woken || !self.full.is_empty() || self.is_finished() {
            return;
        }
        match timeout {
            Some(timeout) => thread::park_timeout(timeout),
            None => thread::park(),
        }
    }

    /// Whether the writer is gone and everything has been read.
    pub fn is_finished(&self) -> bool {
        // In this order: what is published before the writer goes is seen after its going is.
        self.shared.writer_gone.load(Ordering::Acquire) && self.full.is_empty()
    }

    /// A handle that wakes this reader.
    pub fn waker(&self) -> Waker {
        Waker(Arc::clone(&self.shared))
    }

    /// The counts of this pipe.
    pub fn counts(&self) -> Counts {
        Counts(Arc::clone(&self.shared))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.reader_gone.store(true, Ordering::Release);
        self.shared.writer.wake();
    }
}

/// A batch in the hands of the reader.
pub struct Received<'a> {
    batch: Option<Batch>,
    reader: &'a mut Reader,
}

impl Received<'_> {
    /// The records, one after the other, each [`Options::stride`](crate::Options::stride) bytes.
    pub fn records(&self) -> &[u8] {
        self.batch.as_ref().map_or(&[], |batch| &batch.bytes[..batch.used])
    }
}

impl Drop for Received<'_> {
    fn drop(&mut self) {
        let Some(mut batch) = self.batch.take() else { return };
        let Reader { empty, taken, batches_taken, shared, .. } = &mut *self.reader;
        taken.add(batch.weight, &shared.taken);
        (batch.used, batch.weight) = (0, 0);
        // There is always room: the ring holds as many batches as there are.
        let _ = empty.try_push(batch);
        // After `taken`: when all batches that were sent are taken, the weights are right.
        batches_taken.add(1, &shared.batches_taken);
        shared.writer.wake();
    }
}

/// Wakes the reader of a pipe.
#[derive(Debug, Clone)]
pub struct Waker(Arc<Shared>);

impl Waker {
    /// Makes the reader's current or next sleep return.
    pub fn wake(&self) {
        self.0.reader.wake();
    }
}
