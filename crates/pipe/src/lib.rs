//! A lock-free pipe of batches, one writer and one reader, that counts its losses.
//!
//! Records of a fixed size collect in a batch; a batch is published when it is full or when the writer
//! says so (it is old). Two rings of one writer and one reader each pass the batches around:
//!
//! ```text
//!            ┌──── full batches ────▶
//!   writer ──┤                        ├── reader
//!            ◀──── empty batches ────┘
//! ```
//!
//! A batch is allocated when it is needed for the first time, so that a large pipe costs memory only when
//! the reader has once been late; afterwards a record costs a copy into the current batch, and a batch costs
//! two ring operations and (only if the reader sleeps) one system call.
//!
//! # Guarantees
//!
//! - Bounded: a pipe never holds more than `pipe_size` bytes of records, or two batches.
//! - With [`Overflow::Lose`] a full pipe never blocks the writer: the record is lost, and counted.
//! - With [`Overflow::Wait`] nothing is lost while there is a reader: the writer sleeps until there is room.
//! - [`Counts`]: `offered = lost + held + taken`, exactly, once both ends are at rest.
//!
//! ```
//! use rpmacct_pipe::{Options, Overflow, pipe};
//!
//! let options = Options { stride: 8, buffer_size: 32, pipe_size: 64, overflow: Overflow::Lose };
//! let (mut writer, mut reader) = pipe(options);
//! assert!(writer.push(1, |slot| slot.copy_from_slice(b"a record")));
//! assert!(reader.next().is_none(), "not published yet");
//! writer.publish();
//! assert_eq!(reader.next().unwrap().records(), b"a record");
//! assert_eq!(reader.counts().taken(), 1);
//! ```
#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};
use std::time::Duration;

use ringbuf::traits::{Consumer, Observer, Producer, Split};
use ringbuf::{HeapCons, HeapProd, HeapRb};

/// The shape of a pipe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Bytes of a record.
    pub stride: usize,
    /// Bytes of a batch; at least one record is held.
    pub buffer_size: usize,
    /// Bytes of all batches; at least two batches are held.
    pub pipe_size: usize,
    /// What a full pipe does.
    pub overflow: Overflow,
}

/// What happens to a record that finds the pipe full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Overflow {
    /// It is lost and counted: live capture must never wait.
    Lose,
    /// The writer waits for room: a savefile can.
    Wait,
}

/// Makes a pipe.
pub fn pipe(options: Options) -> (Writer, Reader) {
    let stride = options.stride.max(1);
    let records = (options.buffer_size / stride).max(1);
    let size = records * stride;
    let batches = (options.pipe_size / size).max(2);

    let (full_in, full_out) = HeapRb::new(batches).split();
    let (empty_in, empty_out) = HeapRb::new(batches).split();
    let shared = Arc::new(Shared::default());
    let writer = Writer {
        stride,
        overflow: options.overflow,
        size,
        unmade: batches,
        current: None,
        spare: Vec::with_capacity(batches),
        full: full_in,
        empty: empty_out,
        shared: Arc::clone(&shared),
    };
    let reader = Reader { full: full_out, empty: empty_in, shared };
    (writer, reader)
}

/// Records on their way.
#[derive(Debug)]
struct Batch {
    bytes: Box<[u8]>,
    /// Bytes that hold records. Invariant: a multiple of the stride, at most `bytes.len()`.
    used: usize,
    /// The weight of those records.
    weight: u64,
}

impl Batch {
    fn new(size: usize) -> Self {
        Self { bytes: vec![0; size].into_boxed_slice(), used: 0, weight: 0 }
    }
}

/// What both ends share besides the rings. Each count has one writing thread.
#[derive(Debug, Default)]
struct Shared {
    /// Written by the writer: weight of all records that were offered, and of those that were lost.
    offered: AtomicU64,
    lost: AtomicU64,
    /// Written by the reader: weight of the records, and the number of batches, that it has finished.
    taken: AtomicU64,
    batches_taken: AtomicU64,
    /// Written by the writer: batches published.
    batches_sent: AtomicU64,
    reader: Sleeper,
    writer: Sleeper,
    reader_gone: AtomicBool,
    writer_gone: AtomicBool,
}

/// A thread that can be woken.
#[derive(Debug, Default)]
struct Sleeper {
    thread: OnceLock<Thread>,
    /// Somebody wants the thread to look, and it has not slept since. The token of `unpark` alone would not
    /// do: the thread may use it up by waiting for something else.
    woken: AtomicBool,
}

impl Sleeper {
    /// Makes the calling thread the one to wake. What was done by others before they saw it is seen after.
    fn attach(&self) {
        self.thread.get_or_init(thread::current);
        // Pairs with the fence in `wake`: either the waker sees the thread, or we see what it did.
        fence(Ordering::SeqCst);
    }

    /// Wakes the thread, or makes its next sleep return at once. A system call only if it sleeps.
    fn wake(&self) {
        self.woken.store(true, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

/// Adds to a count that only the calling thread writes.
fn add(count: &AtomicU64, n: u64) {
    count.store(count.load(Ordering::Relaxed) + n, Ordering::Release);
}

/// The writing end.
pub struct Writer {
    stride: usize,
    overflow: Overflow,
    /// Bytes of a batch.
    size: usize,
    /// Batches that were not needed so far, and are not made yet.
    unmade: usize,
    current: Option<Batch>,
    /// Empty batches, the one used last on top: its memory is still in the cache.
    spare: Vec<Batch>,
    full: HeapProd<Batch>,
    empty: HeapCons<Batch>,
    shared: Arc<Shared>,
}

impl Writer {
    /// Adds a record of the given weight (the packets that it stands for). `fill` writes it into a slot of
    /// [`Options::stride`] bytes, whose former content is undefined. Returns whether there was room; if not,
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
        add(&self.shared.offered, weight);
    }

    /// As [`Self::push`], of a weight that has been offered.
    #[inline]
    pub fn push_offered(&mut self, weight: u64, fill: impl FnOnce(&mut [u8])) -> bool {
        if self.current.is_none() {
            self.current = self.take_empty();
        }
        let Some(batch) = &mut self.current else {
            add(&self.shared.lost, weight);
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
        add(&self.shared.batches_sent, 1);
        self.shared.reader.wake();
    }

    /// Whether records wait to be published.
    pub fn is_pending(&self) -> bool {
        self.current.is_some()
    }

    /// The batches published so far. When [`Counts::batches_taken`] has reached it, the reader is done with
    /// all of them.
    pub fn batches_sent(&self) -> u64 {
        self.shared.batches_sent.load(Ordering::Relaxed)
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

/// The reading end.
pub struct Reader {
    full: HeapCons<Batch>,
    empty: HeapProd<Batch>,
    shared: Arc<Shared>,
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
    /// The records, one after the other, each [`Options::stride`] bytes.
    pub fn records(&self) -> &[u8] {
        self.batch.as_ref().map_or(&[], |batch| &batch.bytes[..batch.used])
    }
}

impl Drop for Received<'_> {
    fn drop(&mut self) {
        let Some(mut batch) = self.batch.take() else { return };
        let shared = &self.reader.shared;
        add(&shared.taken, batch.weight);
        (batch.used, batch.weight) = (0, 0);
        // There is always room: the ring holds as many batches as there are.
        let _ = self.reader.empty.try_push(batch);
        add(&shared.batches_taken, 1);
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

/// What went through a pipe, in weights. Readable from any thread.
#[derive(Debug, Clone)]
pub struct Counts(Arc<Shared>);

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

#[cfg(test)]
mod tests {
    use super::*;

    const STRIDE: usize = 8;

    fn options(pipe_size: usize, overflow: Overflow) -> Options {
        Options { stride: STRIDE, buffer_size: 4 * STRIDE, pipe_size, overflow }
    }

    fn push(writer: &mut Writer, n: u64) -> bool {
        writer.push(1, |slot| slot.copy_from_slice(&n.to_be_bytes()))
    }

    fn numbers(records: &[u8]) -> Vec<u64> {
        records.chunks_exact(STRIDE).map(|r| u64::from_be_bytes(r.try_into().unwrap())).collect()
    }

    #[test]
    fn a_full_pipe_loses_and_counts() {
        let (mut writer, mut reader) = pipe(options(8 * STRIDE, Overflow::Lose));
        let kept = (0..20).filter(|n| push(&mut writer, *n)).count();
        assert_eq!(kept, 8);
        assert_eq!((writer.counts().offered(), writer.counts().lost()), (20, 12));
        assert_eq!(numbers(reader.next().unwrap().records()), [0, 1, 2, 3]);
        assert!(push(&mut writer, 20), "there is room again");
        assert_eq!(numbers(reader.next().unwrap().records()), [4, 5, 6, 7]);
        writer.publish();
        assert_eq!(numbers(reader.next().unwrap().records()), [20]);
        assert_eq!(reader.counts().taken() + reader.counts().lost(), reader.counts().offered());
    }

    #[test]
    fn a_waiting_writer_loses_nothing() {
        const COUNT: u64 = if cfg!(miri) { 200 } else { 200_000 };
        let (mut writer, mut reader) = pipe(options(8 * STRIDE, Overflow::Wait));
        let thread = thread::spawn(move || {
            for n in 0..COUNT {
                assert!(push(&mut writer, n));
            }
        });
        let mut expected = 0;
        while !reader.is_finished() {
            while let Some(batch) = reader.next() {
                for n in numbers(batch.records()) {
                    assert_eq!(n, expected);
                    expected += 1;
                }
            }
            reader.sleep(None);
        }
        thread.join().unwrap();
        assert_eq!(expected, COUNT);
        assert_eq!(reader.counts().taken(), COUNT);
    }

    #[test]
    fn a_writer_whose_reader_is_gone_does_not_hang() {
        let (mut writer, reader) = pipe(options(8 * STRIDE, Overflow::Wait));
        drop(reader);
        let kept = (0..20).filter(|n| push(&mut writer, *n)).count();
        assert_eq!((kept, writer.counts().lost()), (0, 20));
    }

    #[test]
    fn what_is_pending_is_published_when_the_writer_goes() {
        let (mut writer, mut reader) = pipe(options(64, Overflow::Lose));
        push(&mut writer, 7);
        assert!(writer.is_pending());
        drop(writer);
        assert!(!reader.is_finished());
        assert_eq!(numbers(reader.next().unwrap().records()), [7]);
        assert!(reader.is_finished());
    }

    #[test]
    fn a_sleeping_reader_is_woken() {
        let (mut writer, mut reader) = pipe(options(64, Overflow::Lose));
        let waker = reader.waker();
        let thread = thread::spawn(move || {
            let mut rounds = 0;
            loop {
                reader.sleep(None);
                rounds += 1;
                if reader.next().is_some() {
                    return rounds;
                }
            }
        });
        waker.wake();
        push(&mut writer, 1);
        writer.publish();
        assert!(thread.join().unwrap() >= 1);
    }

    #[test]
    fn a_reader_that_sleeps_elsewhere_still_hears_that_it_was_woken() {
        let (_writer, mut reader) = pipe(options(64, Overflow::Lose));
        reader.sleep(Some(Duration::ZERO));
        reader.waker().wake();
        thread::park_timeout(Duration::from_secs(9)); // a sink that waits for something of its own
        let began = std::time::Instant::now();
        reader.sleep(Some(Duration::from_secs(9)));
        assert!(began.elapsed() < Duration::from_secs(5));
    }

    #[test]
    fn tiny_sizes_still_hold_two_batches_of_one_record() {
        let tiny = Options { stride: STRIDE, buffer_size: 0, pipe_size: 0, overflow: Overflow::Lose };
        let (mut writer, _reader) = pipe(tiny);
        assert_eq!((0..5).filter(|n| push(&mut writer, *n)).count(), 2);
    }
}
