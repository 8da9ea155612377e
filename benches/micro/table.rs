//! The summing table: keys that are new, keys that are known, and writing while a snapshot is held.

use std::hint::black_box;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput};
use rpmacct_plugin::SumTable;
use rpmacct_primitives::Counters;

use crate::frames;

const KEY_LEN: usize = 34;
const ONE: Counters = Counters { packets: 1, bytes: 60, flows: 0, tcp_flags: 0 };

pub(crate) fn bench(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("table");
    group.sample_size(10);
    for count in [1_000_u64, 100_000, 1_000_000] {
        let keys: Vec<_> = (0..count).map(|n| frames::key(n, KEY_LEN)).collect();
        let filled = || {
            let mut table = SumTable::new(KEY_LEN);
            add_all(&mut table, &keys);
            table
        };
        group.throughput(Throughput::Elements(count));
        group.bench_function(BenchmarkId::new("new keys", count), |bencher| {
            bencher.iter_with_large_drop(filled);
        });
        let mut table = filled();
        group.bench_function(BenchmarkId::new("known keys", count), |bencher| {
            bencher.iter(|| add_all(&mut table, &keys));
        });
        // Each chunk is copied once, when it is first written to.
        group.bench_function(BenchmarkId::new("known keys under a snapshot", count), |bencher| {
            bencher.iter_batched(
                filled,
                |mut table| {
                    let snapshot = table.snapshot();
                    add_all(&mut table, &keys);
                    (table, snapshot)
                },
                BatchSize::PerIteration,
            );
        });
        group.bench_function(BenchmarkId::new("read a snapshot", count), |bencher| {
            let snapshot = table.snapshot();
            bencher.iter(|| snapshot.iter().map(|(_, counters)| counters.bytes).sum::<u64>());
        });
    }
    group.finish();
}

fn add_all(table: &mut SumTable, keys: &[Vec<u8>]) {
    for key in keys {
        table.add(black_box(key), ONE);
    }
}
