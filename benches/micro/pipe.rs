//! The pipe: records of a pair of hosts from one thread to another, none lost.

use std::hint::black_box;
use std::thread;

use criterion::{BatchSize, Criterion, Throughput};
use rpmacct_pipe::{Options, Overflow, Reader, Writer, pipe};

/// Octets of a record of a pair of hosts.
const STRIDE: usize = 64;
const RECORDS: u64 = 100_000;

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pipe");
    group.throughput(Throughput::Elements(RECORDS));
    for (name, buffer_size, pipe_size) in [
        ("defaults", 32 * 1024, 16 << 20),
        ("10 kB batches", 10_240, 10_485_760),
        ("one record", STRIDE, 64 * 1024),
    ] {
        let options = Options { stride: STRIDE, buffer_size, pipe_size, overflow: Overflow::Wait };
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || pipe(options),
                |(writer, reader)| pass(writer, reader),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

/// Writes all records, and reads them in another thread.
fn pass(mut writer: Writer, mut reader: Reader) {
    let sum = thread::scope(|scope| {
        let reading = scope.spawn(move || {
            let mut sum = 0;
            while !reader.is_finished() {
                while let Some(batch) = reader.next() {
                    sum +=
                        batch.records().chunks_exact(STRIDE).map(|record| u64::from(record[0])).sum::<u64>();
                }
                reader.sleep(None);
            }
            sum
        });
        for _ in 0..RECORDS {
            writer.push(1, |slot| slot.fill(black_box(1)));
        }
        drop(writer);
        reading.join().expect("a reader that ends")
    });
    assert_eq!(sum, RECORDS);
}
