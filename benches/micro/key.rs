//! Keys and records: from a decoded packet to what lies in a batch.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use rpmacct_packet::{Packet, Timestamp};
use rpmacct_primitives::{End, Observation};

use crate::frames;

pub(crate) fn bench(criterion: &mut Criterion) {
    for (aggregate_name, aggregate) in [("host pair", frames::HOST_PAIR), ("five-tuple", frames::FIVE_TUPLE)]
    {
        let schema = frames::schema(aggregate);
        let layout = schema.layout();
        let mut group = criterion.benchmark_group(format!("key/{aggregate_name}"));
        group.throughput(Throughput::Elements(frames::COUNT.into()));
        for (name, kind) in frames::KINDS {
            let frames = frames::some(kind);
            let packets: Vec<_> = frames.iter().map(|frame| frames::decode(frame)).collect();
            let mut slot = vec![0; layout.stride()];
            group.bench_function(format!("{name}/key"), |bencher| {
                bencher.iter(|| {
                    for packet in &packets {
                        let key = &mut slot[..schema.key_len()];
                        schema.write_key(&observe(black_box(packet)), End::Source, key);
                        black_box(&key);
                    }
                });
            });
            group.bench_function(format!("{name}/record"), |bencher| {
                bencher.iter(|| {
                    for packet in &packets {
                        layout.write(&mut slot, &schema, &observe(black_box(packet)), End::Source);
                        black_box(&slot);
                    }
                });
            });
        }
        group.finish();
    }
}

fn observe<'a>(packet: &'a Packet<'a>) -> Observation<'a> {
    Observation { ports: packet.ports(), ..Observation::new(packet, Timestamp::from_nanos(1)) }
}
