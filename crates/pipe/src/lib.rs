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
//!
//! # How it is checked
//!
//! `tests/loom.rs` runs the ends against each other in every order, with every value that the orderings of the
//! atomics let a thread see; `cargo xtask test` does so. For that, atomics, threads and rings come from `sync.rs`
//! and `ring.rs`, which give those of the model under `cfg(loom)`.
#![forbid(unsafe_code)]

mod batch;
mod counts;
mod reader;
mod ring;
mod shared;
mod sleeper;
mod sync;
mod writer;

use std::sync::Arc;

pub use counts::Counts;
pub use reader::{Reader, Received, Waker};
pub use writer::Writer;

use counts::Tally;
use ring::ring;
use shared::Shared;

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

    let (full_in, full_out) = ring(batches);
    let (empty_in, empty_out) = ring(batches);
    let shared = Arc::new(Shared::default());
    let writer = Writer {
        stride,
        overflow: options.overflow,
        size,
        unmade: batches,
        current: None,
        offered: Tally::default(),
        lost: Tally::default(),
        batches_sent: 0,
        spare: Vec::with_capacity(batches),
        full: full_in,
        empty: empty_out,
        shared: Arc::clone(&shared),
    };
    let reader = Reader {
        full: full_out,
        empty: empty_in,
        taken: Tally::default(),
        batches_taken: Tally::default(),
        shared,
    };
    (writer, reader)
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Duration;

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
