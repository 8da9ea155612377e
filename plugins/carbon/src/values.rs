//! What is counted for a flow, and the values that points have of it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rpmacct_plugin::Counters;

/// What a flow counted in a second, an interval, or since its series began.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Sums {
    pub(crate) bytes: u64,
    pub(crate) packets: u64,
    pub(crate) flows: u64,
}

impl Sums {
    #[inline]
    pub(crate) fn add(&mut self, other: Self) {
        self.bytes += other.bytes;
        self.packets += other.packets;
        self.flows += other.flows;
    }
}

impl From<Counters> for Sums {
    fn from(counters: Counters) -> Self {
        Self { bytes: counters.bytes, packets: counters.packets, flows: counters.flows }
    }
}

/// What of the sums has a series.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counter {
    Bytes,
    Packets,
    Flows,
}

impl Counter {
    pub(crate) const ALL: [Self; 3] = [Self::Bytes, Self::Packets, Self::Flows];

    /// Its word in `carbon_counters`.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Packets => "packets",
            Self::Flows => "flows",
        }
    }

    const fn of(self, sums: &Sums) -> u64 {
        match self {
            Self::Bytes => sums.bytes,
            Self::Packets => sums.packets,
            Self::Flows => sums.flows,
        }
    }
}

/// What a point says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// The amount in a second, on the average of the interval.
    Rate,
    /// The amount in the interval.
    Delta,
    /// The amount since the series began.
    Total,
}

/// The unit of traffic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Bits,
}

impl Unit {
    const BITS_PER_BYTE: u64 = 8;

    /// Bytes, as this unit, of a counter.
    const fn of(self, counter: Counter, amount: u64) -> u64 {
        match (self, counter) {
            (Self::Bits, Counter::Bytes) => amount.saturating_mul(Self::BITS_PER_BYTE),
            _ => amount,
        }
    }

    /// So many of this unit, in bytes.
    pub(crate) const fn bytes(self, amount: u64) -> u64 {
        match self {
            Self::Bytes => amount,
            Self::Bits => amount / Self::BITS_PER_BYTE,
        }
    }

    const fn word(self, counter: Counter) -> &'static str {
        match (self, counter) {
            (Self::Bits, Counter::Bytes) => "bits",
            _ => counter.word(),
        }
    }
}

/// What is measured of each flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Measure {
    /// Seconds. Invariant: positive.
    pub(crate) interval: i64,
    pub(crate) mode: Mode,
    pub(crate) unit: Unit,
    /// Invariant: not empty.
    pub(crate) counters: Vec<Counter>,
    pub(crate) peaks: bool,
    /// Points of silence before a series ends.
    pub(crate) idle_zeros: u64,
}

/// One series of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Aspect {
    counter: Counter,
    what: What,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    Sum,
    /// The largest second.
    Max,
    /// The 95th percentile of the seconds, those without traffic included.
    P95,
}

/// A value: whole where it can be, so that sums are exact.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Number {
    Whole(u64),
    Broken(f64),
}

impl Measure {
    /// The series of a flow, in their order.
    pub(crate) fn series(&self) -> impl Iterator<Item = Aspect> + Clone + '_ {
        let whats: &[What] = if self.peaks { &[What::Sum, What::Max, What::P95] } else { &[What::Sum] };
        self.counters
            .iter()
            .flat_map(|counter| whats.iter().map(|what| Aspect { counter: *counter, what: *what }))
    }

    /// The word that stands for `$counter`.
    pub(crate) fn word(&self, aspect: Aspect) -> String {
        let word = self.unit.word(aspect.counter);
        match aspect.what {
            What::Sum => word.to_owned(),
            What::Max => format!("{word}_max"),
            What::P95 => format!("{word}_p95"),
        }
    }

    /// The value of a point.
    pub(crate) fn value(&self, aspect: Aspect, sums: &Sums, total: &Sums, peaks: Option<&Peaks>) -> Number {
        let Aspect { counter, what } = aspect;
        let amount = match (what, self.mode) {
            (What::Sum, Mode::Total) => counter.of(total),
            (What::Sum, Mode::Rate | Mode::Delta) => counter.of(sums),
            (What::Max, _) => peaks.map_or(0, |peaks| peaks.max(counter)),
            (What::P95, _) => peaks.map_or(0, |peaks| peaks.p95(counter)),
        };
        let amount = self.unit.of(counter, amount);
        if what == What::Sum && self.mode == Mode::Rate {
            return rate(amount, self.interval.unsigned_abs());
        }
        Number::Whole(amount)
    }

    /// The beginning of the interval that a second lies in.
    pub(crate) fn interval_of(&self, second: i64) -> i64 {
        second - second.rem_euclid(self.interval)
    }
}

fn rate(amount: u64, seconds: u64) -> Number {
    if amount.is_multiple_of(seconds) {
        return Number::Whole(amount / seconds);
    }
    // A double holds 53 bits: more than ten years of 10 Gb/s.
    #[expect(clippy::cast_precision_loss)]
    Number::Broken(amount as f64 / seconds as f64)
}

impl Number {
    /// Appends the number as carbon reads it.
    #[inline]
    pub(crate) fn write(self, out: &mut Vec<u8>) {
        match self {
            Self::Whole(n) => out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes()),
            Self::Broken(n) => out.extend_from_slice(n.to_string().as_bytes()),
        }
    }
}

/// The largest seconds of a flow in an interval.
#[derive(Debug)]
pub(crate) struct Peaks {
    /// For each counter. Invariant: at most `kept` in each.
    largest: [BinaryHeap<Reverse<u64>>; Counter::ALL.len()],
    /// How many seconds must be known to know the percentile.
    kept: usize,
}

impl Peaks {
    /// For intervals of so many seconds.
    pub(crate) fn new(seconds: i64) -> Self {
        // The nearest rank: 95 % of the seconds are not larger than it. It is the `kept`-th largest.
        let seconds = usize::try_from(seconds).unwrap_or(1);
        let rank = (seconds * 95).div_ceil(100);
        Self { largest: Default::default(), kept: seconds - rank + 1 }
    }

    /// Adds a second with traffic.
    pub(crate) fn add(&mut self, second: &Sums) {
        for (heap, counter) in self.largest.iter_mut().zip(Counter::ALL) {
            heap.push(Reverse(counter.of(second)));
            if heap.len() > self.kept {
                heap.pop();
            }
        }
    }

    pub(crate) fn clear(&mut self) {
        self.largest.iter_mut().for_each(BinaryHeap::clear);
    }

    fn max(&self, counter: Counter) -> u64 {
        self.largest[counter as usize].iter().map(|second| second.0).max().unwrap_or(0)
    }

    /// Seconds without traffic count as zeros.
    fn p95(&self, counter: Counter) -> u64 {
        let heap = &self.largest[counter as usize];
        if heap.len() < self.kept { 0 } else { heap.peek().map_or(0, |second| second.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(number: Number) -> String {
        let mut out = Vec::new();
        number.write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rates_are_whole_where_they_can_be() {
        assert_eq!(written(rate(600, 60)), "10");
        assert_eq!(written(rate(15, 10)), "1.5");
        assert_eq!(written(rate(1 << 62, 10)), "461168601842738800");
        assert_eq!(written(rate(1, 86_400)), "0.000011574074074074073");
    }

    #[test]
    fn the_percentile_is_the_nearest_rank_of_all_seconds() {
        // Seconds 1 to 60 have 1 to 60 bytes: 57 of 60 are not larger than 57.
        let mut peaks = Peaks::new(60);
        let second = |bytes| Sums { bytes, packets: 1, flows: 0 };
        (1..=60).for_each(|bytes| peaks.add(&second(bytes)));
        assert_eq!((peaks.max(Counter::Bytes), peaks.p95(Counter::Bytes)), (60, 57));
        // Three seconds of traffic and 57 without: the percentile is that of silence.
        peaks.clear();
        (1..=3).for_each(|bytes| peaks.add(&second(bytes)));
        assert_eq!((peaks.max(Counter::Bytes), peaks.p95(Counter::Bytes)), (3, 0));
        // Of four it is the smallest.
        peaks.add(&second(9));
        assert_eq!(peaks.p95(Counter::Bytes), 1);
        // Of two seconds it is the larger one.
        let mut peaks = Peaks::new(2);
        peaks.add(&second(5));
        assert_eq!((peaks.max(Counter::Bytes), peaks.p95(Counter::Bytes)), (5, 5));
    }

    #[test]
    fn values_say_what_was_asked_for() {
        let measure = |mode, unit| Measure {
            interval: 10,
            mode,
            unit,
            counters: vec![Counter::Bytes, Counter::Packets],
            peaks: false,
            idle_zeros: 0,
        };
        let (sums, total) =
            (Sums { bytes: 1000, packets: 5, flows: 0 }, Sums { bytes: 9000, packets: 50, flows: 1 });
        let values = |mode, unit| {
            let measure = measure(mode, unit);
            let values: Vec<_> =
                measure.series().map(|aspect| written(measure.value(aspect, &sums, &total, None))).collect();
            values.join(" ")
        };
        assert_eq!(values(Mode::Rate, Unit::Bytes), "100 0.5");
        assert_eq!(values(Mode::Rate, Unit::Bits), "800 0.5");
        assert_eq!(values(Mode::Delta, Unit::Bytes), "1000 5");
        assert_eq!(values(Mode::Total, Unit::Bits), "72000 50");
    }
}
