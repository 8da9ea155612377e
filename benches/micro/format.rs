//! Rows of output, as the print plugin and the client write them.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use rpmacct_packet::Timestamp;
use rpmacct_primitives::{Counters, Dialect, End, Layout, Observation, Rows, Style, Zone};

use crate::frames;

pub(crate) fn bench(criterion: &mut Criterion) {
    let counters = Counters { packets: 1234, bytes: 1_234_567, flows: 0, tcp_flags: 0x1b };
    for (name, aggregate) in [("host pair", frames::HOST_PAIR), ("five-tuple", frames::FIVE_TUPLE)] {
        let schema = frames::schema(aggregate);
        let keys: Vec<Vec<u8>> = frames::KINDS
            .iter()
            .flat_map(|(_, kind)| frames::some(*kind))
            .map(|frame| {
                let packet = frames::decode(&frame);
                let mut key = vec![0; schema.key_len()];
                let observation = Observation {
                    ports: packet.ports(),
                    ..Observation::new(&packet, Timestamp::from_nanos(1))
                };
                schema.write_key(&observation, End::Source, &mut key);
                key
            })
            .collect();
        let mut group = criterion.benchmark_group(format!("format/{name}"));
        group.throughput(Throughput::Elements(keys.len() as u64));
        for layout in [Layout::Csv, Layout::Formatted, Layout::Json] {
            let style = Style { layout, zone: Zone::utc(), ..Style::new(Dialect::Print) };
            let rows = Rows::new(&schema, style);
            let mut out = Vec::new();
            group.bench_function(format!("{layout:?}").to_lowercase(), |bencher| {
                bencher.iter(|| {
                    out.clear();
                    for key in &keys {
                        rows.row(black_box(key), &counters, &mut out);
                    }
                    black_box(&out);
                });
            });
        }
        group.finish();
    }
}
