//! Decoding: from the octets of a frame to what keys are made of.

use std::hint::black_box;

use criterion::{Criterion, Throughput};

use crate::frames;

pub(crate) fn bench(criterion: &mut Criterion) {
    for (name, kind) in frames::KINDS {
        let frames = frames::some(kind);
        let mut group = criterion.benchmark_group(format!("decode/{name}"));
        group.throughput(Throughput::Elements(frames::COUNT.into()));
        group.bench_function("host pair", |bencher| {
            bencher.iter(|| {
                for frame in &frames {
                    let packet = frames::decode(black_box(frame));
                    black_box((packet.src_octets(), packet.dst_octets(), packet.ip_len()));
                }
            });
        });
        group.bench_function("five-tuple", |bencher| {
            bencher.iter(|| {
                for frame in &frames {
                    let packet = frames::decode(black_box(frame));
                    black_box((packet.src_octets(), packet.dst_octets(), packet.ip_len()));
                    black_box((packet.proto(), packet.ports(), packet.tcp_flags()));
                }
            });
        });
        group.finish();
    }
}
