//! What a packet costs as the number of flows grows: a curve.

use super::Bench;
use super::plot;
use super::report::{Picture, Section};
use super::savefile::{HOSTS, read_ours};
use super::shape::Shape;
use super::stats::{Series, short, thousands};

const PACKETS: u64 = 4_000_000;
const PAIRS: [u64; 8] = [1_000, 10_000, 30_000, 100_000, 300_000, 1_000_000, 3_000_000, 10_000_000];
const ROUNDS: usize = 3;

pub(crate) fn measure(bench: &Bench) -> Result<Section, String> {
    let mut section = Section::new("Growth");
    section.say(&format!(
        "CPU nanoseconds a packet against the number of flows: savefiles of {} packets at least, each of a random pair\n\
         of so many (10 M: every packet of another), `{HOSTS}`, memory plugin, from start to end.\n\n\
         ![CPU nanoseconds a packet against the number of flows](growth.svg)",
        thousands(PACKETS)
    ));
    section.row(&["flows", "ns a packet"]);
    let mut points = Vec::new();
    let largest = if bench.quick { 1_000_000 } else { u64::MAX };
    for pairs in PAIRS.into_iter().filter(|pairs| *pairs <= largest) {
        let packets = if bench.quick { PACKETS / 10 } else { PACKETS };
        let capture = Shape::growth(pairs, packets).capture(&bench.cache)?;
        let mut costs = Vec::new();
        for _ in 0..ROUNDS {
            let cpu = read_ours(bench, &capture, HOSTS)?.cpu;
            costs.push(cpu.as_secs_f64() * 1e9 / capture.totals.packets as f64);
        }
        let costs = Series::new(costs).ok_or("no runs")?;
        section.row(&[thousands(capture.totals.entries), costs.to_string()]);
        points.push((pairs as f64, costs.median()));
    }
    let ends = points.first().zip(points.last());
    let ((_, low), (most, high)) = ends.ok_or("no runs")?;
    section.goal(
        "growth: cost per packet from 1 k to 10 M distinct flows",
        "a curve; memory-bound, no cliffs",
        "",
        format!("{} ns at 1 k, {} ns at {}: see Growth", short(*low), short(*high), short(*most)),
    );
    let svg = plot::curve("CPU nanoseconds a packet", "distinct flows", "ns", &points);
    section.picture = Some(Picture { name: "growth.svg", svg });
    Ok(section)
}
