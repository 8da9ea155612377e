//! Micro-benchmarks of what a packet costs on its way: `cargo bench`, or `cargo bench -- table` for some of them.
//!
//! `cargo test --bench micro` runs each of them once. The comparison with other programs is `cargo xtask bench`.

mod decode;
mod format;
mod frames;
mod key;
mod pipe;
mod table;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};

/// Long enough to be steady, short enough to be run often.
fn brief() -> Criterion {
    Criterion::default().warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(2))
}

criterion_group! {
    name = micro;
    config = brief();
    targets = decode::bench, key::bench, pipe::bench, table::bench, format::bench
}
criterion_main!(micro);
