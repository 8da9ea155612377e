//! The pipe under loom: small programs, run in every order that their threads can take, with every value that the
//! orderings of their atomics let them see.
//!
//! ```text
//! RUSTFLAGS="--cfg loom" cargo test -p rpmacct-pipe --release --test loom --target-dir target/loom
//! ```
//!
//! A wake-up that is lost shows as a model that does not end (loom says "exceeded maximum number of branches"). The
//! ends come back from their threads where their going would wake the other and hide it.
#![cfg(loom)]

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use loom::sync::atomic::{AtomicBool, Ordering};
use loom::thread;
use rpmacct_pipe::{Counts, Options, Overflow, Reader, Writer, pipe};

/// Runs `program` in all orders; says how many there were.
fn every_order(program: impl Fn() + Send + Sync + 'static) {
    explore(loom::model::Builder::new(), program);
}

/// As [`every_order`], but no more than so many times is a thread interrupted that could go on. Three threads have
/// too many orders otherwise; mistakes are known to need few interruptions.
fn orders_with_interruptions(most: usize, program: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(most);
    explore(builder, program);
}

fn explore(builder: loom::model::Builder, program: impl Fn() + Send + Sync + 'static) {
    let orders = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&orders);
    builder.check(move || {
        counted.fetch_add(1, Ordering::Relaxed);
        program();
    });
    println!("{} orders", orders.load(Ordering::Relaxed));
}

/// A pipe of two batches of so many records of one byte.
fn two_batches(records: usize, overflow: Overflow) -> (Writer, Reader) {
    pipe(Options { stride: 1, buffer_size: records, pipe_size: 2 * records, overflow })
}

fn push(writer: &mut Writer, byte: u8) -> bool {
    writer.push(1, |slot| slot[0] = byte)
}

/// What is in the pipe now.
fn drain(reader: &mut Reader) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(batch) = reader.next() {
        bytes.extend(batch.records());
    }
    bytes
}

/// Sleeps until so many records have come.
fn read(reader: &mut Reader, count: usize) -> Vec<u8> {
    let mut bytes = drain(reader);
    while bytes.len() < count {
        reader.sleep(None);
        bytes.extend(drain(reader));
    }
    bytes
}

#[test]
fn a_reader_that_sleeps_gets_what_is_published() {
    every_order(|| {
        let (mut writer, mut reader) = two_batches(1, Overflow::Lose);
        let writing = thread::spawn(move || {
            push(&mut writer, 1);
            writer
        });
        assert_eq!(read(&mut reader, 1), [1]);
        drop(writing.join());
    });
}

#[test]
fn a_reader_that_sleeps_sees_the_end_and_all_that_came_before() {
    every_order(|| {
        let (mut writer, mut reader) = two_batches(2, Overflow::Lose);
        let writing = thread::spawn(move || {
            push(&mut writer, 1); // pending: it is published because the writer goes
        });
        let mut bytes = Vec::new();
        while !reader.is_finished() {
            bytes.extend(drain(&mut reader));
            reader.sleep(None);
        }
        assert_eq!(bytes, [1]);
        writing.join().unwrap();
    });
}

#[test]
fn a_writer_that_waits_gets_room() {
    every_order(|| {
        let (mut writer, mut reader) = two_batches(1, Overflow::Wait);
        push(&mut writer, 1);
        push(&mut writer, 2);
        let reading = thread::spawn(move || {
            let byte = reader.next().map(|batch| batch.records()[0]);
            (byte, reader)
        });
        assert!(push(&mut writer, 3));
        let (first, mut reader) = reading.join().unwrap();
        assert_eq!((first, drain(&mut reader)), (Some(1), vec![2, 3]));
    });
}

#[test]
fn a_writer_that_waits_sees_that_the_reader_goes() {
    every_order(|| {
        let (mut writer, reader) = two_batches(1, Overflow::Wait);
        push(&mut writer, 1);
        push(&mut writer, 2);
        let reading = thread::spawn(move || drop(reader));
        assert!(!push(&mut writer, 3));
        reading.join().unwrap();
        assert_eq!((writer.counts().offered(), writer.counts().lost()), (3, 1));
    });
}

#[test]
fn both_ends_sleep_and_wake_each_other() {
    orders_with_interruptions(3, || {
        let (mut writer, mut reader) = two_batches(1, Overflow::Wait);
        let writing = thread::spawn(move || {
            assert!((1..=4).all(|byte| push(&mut writer, byte)));
            writer
        });
        assert_eq!(read(&mut reader, 4), [1, 2, 3, 4]);
        drop(writing.join());
    });
}

#[test]
fn a_wake_up_from_a_third_thread_is_heard() {
    orders_with_interruptions(4, || {
        let (mut writer, mut reader) = two_batches(1, Overflow::Lose);
        let waker = reader.waker();
        let asked = Arc::new(AtomicBool::new(false));
        let asking = {
            let asked = Arc::clone(&asked);
            thread::spawn(move || {
                // The wake-up alone carries it over, as it must any command.
                asked.store(true, Ordering::Relaxed);
                waker.wake();
            })
        };
        let writing = thread::spawn(move || {
            push(&mut writer, 1);
            writer
        });
        let mut bytes = Vec::new();
        while bytes.is_empty() || !asked.load(Ordering::Relaxed) {
            reader.sleep(None);
            bytes.extend(drain(&mut reader));
        }
        assert_eq!(bytes, [1]);
        asking.join().unwrap();
        drop(writing.join());
    });
}

#[test]
fn a_wake_up_is_heard_by_a_reader_that_slept_elsewhere() {
    every_order(|| {
        let (_writer, mut reader) = two_batches(1, Overflow::Lose);
        let (_other_writer, mut other) = two_batches(1, Overflow::Lose);
        reader.waker().wake();
        reader.sleep(None); // from here on the thread is known to its wakers
        let waker = reader.waker();
        let waking = thread::spawn(move || waker.wake());
        other.sleep(None); // uses up what `unpark` left
        reader.sleep(None);
        waking.join().unwrap();
    });
}

#[test]
fn counts_never_run_backwards_and_balance() {
    orders_with_interruptions(3, || {
        let (mut writer, mut reader) = two_batches(1, Overflow::Lose);
        let counts = writer.counts();
        let writing = thread::spawn(move || {
            (1..=3).for_each(|byte| _ = push(&mut writer, byte));
            writer
        });
        let reading = thread::spawn(move || {
            drain(&mut reader);
            reader
        });
        let (first, second) = (glance(&counts), glance(&counts));
        assert!(first.0 <= second.0 && first.1 <= second.1 && first.2 <= second.2, "{first:?} {second:?}");

        let (_writer, mut reader) = (writing.join(), reading.join().unwrap());
        drain(&mut reader);
        let (taken, lost, offered) = glance(&counts);
        assert_eq!((offered, taken + lost), (3, 3));
    });
}

/// What a third thread reads of the counts: it asks the reader first, as the ledger does.
fn glance(counts: &Counts) -> (u64, u64, u64) {
    let (taken, lost) = (counts.taken(), counts.lost());
    let offered = counts.offered();
    assert!(taken + lost <= offered, "{taken} + {lost} > {offered}");
    (taken, lost, offered)
}

#[test]
fn when_all_batches_are_taken_all_records_are() {
    every_order(|| {
        let (mut writer, mut reader) = two_batches(1, Overflow::Lose);
        let counts = writer.counts();
        push(&mut writer, 1);
        push(&mut writer, 2);
        let sent = writer.batches_sent();
        let reading = thread::spawn(move || {
            read(&mut reader, 2);
            reader
        });
        while counts.batches_taken() < sent {
            thread::yield_now();
        }
        assert_eq!((sent, counts.taken()), (2, 2));
        drop(reading.join());
    });
}
