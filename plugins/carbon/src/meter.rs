//! The meter: from records to points, with no clock, no thread and no network.
//!
//! Records are summed in the seconds that they belong to, by the time of their packets. A second is closed when
//! packets show that it is over; its sums then go into the interval that it lies in, and an interval whose last
//! second is closed becomes points. So a point has what was on the wire in its interval, whatever kept the
//! daemon from working meanwhile.

use std::sync::Arc;

use rpmacct_plugin::{Batch, Record};

use crate::budget::{Budget, Candidate};
use crate::keys::Keys;
use crate::names::Names;
use crate::outbox::{Outbox, Router};
use crate::seconds::Seconds;
use crate::values::{Aspect, Measure, Number, Peaks, Sums};

/// Keys that are told apart in an interval; those beyond are summed in `other` at once.
const MOST_FLOWS: usize = 1 << 18;

/// Packets that are later than this are not late: the clock was set back. A fragment may wait a minute for its
/// first one.
const CLOCK_STEP: i64 = 300;

/// Sums records and makes points of them.
#[derive(Debug)]
pub(crate) struct Meter {
    measure: Measure,
    aspects: Vec<Aspect>,
    names: Names,
    router: Arc<Router>,
    budget: Budget,
    keys: Keys,
    /// By number of the key; the first is `other`.
    flows: Vec<Flow>,
    seconds: Seconds,
    /// Flows with packets in the interval, as far as its seconds are closed.
    touched: Vec<u32>,
    /// Flows that have a series, in the order in which these began.
    live: Vec<u32>,
    /// Begin of the interval that is open; `None` before the first packet.
    interval: Option<i64>,
    /// All seconds before it are closed.
    closed: i64,
    /// Whether none was closed since the clock was last set.
    is_fresh: bool,
    /// The second of the latest packet.
    newest: i64,
    /// Seconds that a second waits for late packets after its end.
    late: i64,
    late_packets: u64,
}

/// What is known of a flow.
#[derive(Debug, Default)]
struct Flow {
    /// The latest second that has packets of it.
    latest: i64,
    /// The sums of the interval, as far as its seconds are closed.
    interval: Sums,
    peaks: Option<Box<Peaks>>,
    series: Option<Series>,
}

/// The series of a flow.
#[derive(Debug)]
struct Series {
    /// Of each aspect: the name, and the destination that it goes to.
    names: Box<[(Box<[u8]>, u16)]>,
    total: Sums,
    /// Intervals without packets since the last one that had some.
    idle: u64,
}

impl Meter {
    pub(crate) fn new(
        measure: Measure,
        names: Names,
        router: Arc<Router>,
        budget: Budget,
        key_len: usize,
        late: i64,
    ) -> Self {
        Self {
            aspects: measure.series().collect(),
            measure,
            names,
            router,
            budget,
            keys: Keys::new(key_len, MOST_FLOWS),
            flows: vec![Flow::default()],
            seconds: Seconds::new(),
            touched: Vec::new(),
            live: Vec::new(),
            interval: None,
            closed: i64::MIN,
            is_fresh: true,
            newest: i64::MIN,
            late,
            late_packets: 0,
        }
    }

    /// Sums records. Points of intervals that are over go into `outbox`.
    pub(crate) fn absorb(&mut self, batch: &Batch<'_>, outbox: &mut Outbox) {
        for record in batch.iter() {
            self.record(&record, outbox);
        }
        self.advance(self.newest.saturating_sub(self.late), outbox);
    }

    /// When the next second or interval could be closed, in seconds since 1970, if no packet comes; `None` if
    /// there is nothing to close.
    pub(crate) fn due(&self) -> Option<i64> {
        let next = match self.seconds.first() {
            Some(second) => second + 1,
            None if self.live.is_empty() && self.touched.is_empty() => return None,
            None => self.interval? + self.measure.interval,
        };
        Some(next + self.late)
    }

    /// All packets that were captured before `time` have been absorbed.
    pub(crate) fn settled(&mut self, time: i64, outbox: &mut Outbox) {
        self.advance(time.saturating_sub(self.late), outbox);
    }

    /// Closes everything: the last interval is that which is open.
    pub(crate) fn finish(&mut self, outbox: &mut Outbox) {
        let Some(interval) = self.interval else { return };
        let last = match self.seconds.last() {
            Some(second) => second.max(interval),
            None if self.touched.is_empty() => return, // nobody knows what the interval would have had
            None => interval,
        };
        self.advance(self.measure.interval_of(last) + self.measure.interval, outbox);
    }

    /// Series that go on now, `other` included.
    pub(crate) fn series(&self) -> u64 {
        (self.live.len() * self.aspects.len()) as u64
    }

    /// Packets that came when their second was closed: they are in the next one that was open.
    pub(crate) fn late_packets(&self) -> u64 {
        self.late_packets
    }

    #[inline]
    fn record(&mut self, record: &Record<'_>, outbox: &mut Outbox) {
        let mut second = record.time.secs();
        if second < self.closed || second > self.newest {
            second = self.move_on(second, record.counters.packets, outbox);
        }
        let number = self.keys.number(record.key);
        if self.flows.len() <= number as usize {
            self.flows.resize_with(number as usize + 1, Flow::default);
        }
        let flow = &mut self.flows[number as usize];
        flow.latest = flow.latest.max(second);
        self.seconds.add(second, number, record.counters.into());
    }

    /// A packet that is the latest, or a late one. Returns the second that it is counted in.
    #[cold]
    fn move_on(&mut self, second: i64, packets: u64, outbox: &mut Outbox) -> i64 {
        if self.interval.is_some() && second < self.closed {
            if second > self.newest - CLOCK_STEP {
                self.late_packets += packets;
                return self.closed;
            }
            self.finish(outbox);
            self.interval = None;
        }
        if self.interval.is_none() {
            // The first packets, too, come in no order.
            self.closed = second.saturating_sub(self.late);
            self.interval = Some(self.measure.interval_of(self.closed));
            self.is_fresh = true;
        }
        self.newest = second;
        second
    }

    /// Closes all seconds before `until`, and the intervals that are over by then.
    fn advance(&mut self, until: i64, outbox: &mut Outbox) {
        let Some(mut interval) = self.interval else { return };
        if until <= self.closed {
            return;
        }
        loop {
            let end = interval + self.measure.interval;
            if self.seconds.first().is_some_and(|second| second < until.min(end)) {
                self.close_second();
            } else if end > until {
                break;
            } else if (self.live.is_empty() || self.is_fresh) && self.touched.is_empty() {
                // Nobody waits for the intervals of a silence, or knows of those before the first packet.
                let next = self.seconds.first().map_or(until, |second| second.min(until));
                interval = self.measure.interval_of(next);
            } else {
                self.close_interval(interval, outbox);
                interval = end;
            }
        }
        self.interval = Some(interval);
        self.closed = until;
    }

    /// Adds the first second to its interval.
    fn close_second(&mut self) {
        let Some(mut second) = self.seconds.pop() else { return };
        let has_peaks = self.measure.peaks;
        let new_peaks = || Box::new(Peaks::new(self.measure.interval));
        let mut others = Sums::default();
        for (number, sums) in second.drain() {
            let flow = &mut self.flows[number as usize];
            if flow.interval.packets == 0 {
                self.touched.push(number);
            }
            flow.interval.add(sums);
            if flow.series.is_none() || number == Keys::OTHER {
                others.add(sums);
            }
            if has_peaks && number != Keys::OTHER {
                flow.peaks.get_or_insert_with(new_peaks).add(&sums);
            }
        }
        // The largest second of a sum is not to be had from those of its parts. A flow that gets its series at
        // the end of this interval is in these peaks of `other` for the last time.
        if has_peaks && others.packets > 0 {
            self.flows[Keys::OTHER as usize].peaks.get_or_insert_with(new_peaks).add(&others);
        }
        self.closed = second.time + 1;
        self.is_fresh = false;
        self.seconds.give_back(second);
    }

    fn close_interval(&mut self, interval: i64, outbox: &mut Outbox) {
        self.begin_series(interval);
        self.move_to_other();
        outbox.begin(interval);
        let live = std::mem::take(&mut self.live);
        self.live = live.into_iter().filter(|number| self.write_points(*number, interval, outbox)).collect();
        outbox.end();
    }

    /// Flows that the budget admits begin their series.
    fn begin_series(&mut self, interval: i64) {
        let bytes = |number: u32| self.flows[number as usize].interval.bytes;
        let is_new = |number: &u32| *number != Keys::OTHER && self.flows[*number as usize].series.is_none();
        if !self.touched.iter().any(is_new) {
            return;
        }
        let threshold = match self.budget.top() {
            Some(top) if top < self.touched.len() => {
                let mut all: Vec<_> = self.touched.iter().map(|number| bytes(*number)).collect();
                let at = all.len() - top;
                *all.select_nth_unstable(at).1
            }
            _ => 0,
        };
        let candidate =
            |number: u32| Candidate { flow: number, key: self.keys.key(number), bytes: bytes(number) };
        let candidates = self.touched.iter().copied().filter(is_new).map(candidate).collect();
        for number in self.budget.admit(candidates, threshold, interval) {
            self.begin(number);
        }
    }

    fn begin(&mut self, number: u32) {
        let name = |aspect: &Aspect| {
            let (mut name, word) = (Vec::new(), self.measure.word(*aspect));
            match number {
                Keys::OTHER => self.names.write_other(&word, &mut name),
                _ => self.names.write(self.keys.key(number), &word, &mut name),
            }
            let lane = self.router.lane(&name);
            (name.into_boxed_slice(), lane)
        };
        let names = self.aspects.iter().map(name).collect();
        self.flows[number as usize].series = Some(Series { names, total: Sums::default(), idle: 0 });
        self.live.push(number);
    }

    /// What flows without a series counted is `other`'s.
    fn move_to_other(&mut self) {
        let mut touched = std::mem::take(&mut self.touched);
        for number in touched.drain(..).filter(|number| *number != Keys::OTHER) {
            if self.flows[number as usize].series.is_some() {
                continue;
            }
            let flow = &mut self.flows[number as usize];
            let sums = std::mem::take(&mut flow.interval);
            flow.peaks = None;
            let is_over = flow.latest < self.closed;
            self.flows[Keys::OTHER as usize].interval.add(sums);
            if is_over {
                self.forget(number);
            }
        }
        self.touched = touched; // emptied: its memory is used again
        let other = &self.flows[Keys::OTHER as usize];
        if other.interval.packets > 0 && other.series.is_none() {
            self.begin(Keys::OTHER);
        }
    }

    /// Writes a flow's points. Returns whether its series goes on.
    fn write_points(&mut self, number: u32, interval: i64, outbox: &mut Outbox) -> bool {
        let flow = &mut self.flows[number as usize];
        let Some(series) = &mut flow.series else { return false };
        let sums = std::mem::take(&mut flow.interval);
        series.idle = if sums.packets > 0 { 0 } else { series.idle + 1 };
        let goes_on = series.idle <= self.measure.idle_zeros;
        if goes_on {
            series.total.add(sums);
            let points = series.names.iter().zip(&self.aspects).map(|((name, lane), aspect)| {
                let value: Number = self.measure.value(*aspect, &sums, &series.total, flow.peaks.as_deref());
                (&**name, *lane, value)
            });
            outbox.points(points, sums.packets);
            if let Some(peaks) = &mut flow.peaks {
                peaks.clear();
            }
            return true;
        }
        flow.series = None;
        let is_over = flow.latest < self.closed;
        if number != Keys::OTHER {
            self.budget.end(self.keys.key(number), interval);
            if is_over {
                self.forget(number);
            }
        }
        false
    }

    fn forget(&mut self, number: u32) {
        self.keys.remove(number);
        self.flows[number as usize] = Flow::default();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rpmacct_plugin::{Counters, Schema, Timestamp};
    use rpmacct_primitives::SchemaOptions;

    use super::*;
    use crate::budget::Limits;
    use crate::names::Style;
    use crate::values::{Counter, Mode, Unit};

    const T0: i64 = 1_700_000_040; // a full minute

    const NO_LIMITS: Limits =
        Limits { series: 0, per_minute: 0, per_key: 1, forget: 0, min_bytes: 0, top: 0 };

    /// A meter of source ports, and what it said.
    struct Bench {
        schema: Schema,
        meter: Meter,
        outbox: Outbox,
        packets: u64,
    }

    impl Bench {
        fn new(measure: &Measure, limits: &Limits) -> Self {
            let schema = Schema::parse("src_port", SchemaOptions::default()).unwrap();
            let many = measure.series().count() > 1;
            let style = Style { prefix: "p", template: None, escape: b'_', tags: false, many };
            let names = Names::new(style, &schema).unwrap();
            let budget = Budget::new(limits);
            let router = Arc::new(Router::single());
            let meter = Meter::new(measure.clone(), names, router, budget, schema.key_len(), 1);
            Self { schema, meter, outbox: Outbox::new(1), packets: 0 }
        }

        /// Packets as (milliseconds after the minute, port, bytes).
        fn feed(&mut self, packets: &[(i64, u16, u64)]) -> &mut Self {
            let layout = self.schema.layout();
            let mut octets = vec![0; layout.stride() * packets.len()];
            for ((millis, port, bytes), slot) in packets.iter().zip(octets.chunks_exact_mut(layout.stride()))
            {
                let time = Timestamp::from_nanos((T0 * 1000 + millis) * 1_000_000);
                let counters = Counters { packets: 1, bytes: *bytes, flows: 0, tcp_flags: 0 };
                layout.put(slot, &Record { key: &port.to_be_bytes(), time, counters });
            }
            self.meter.absorb(&Batch::new(&self.schema, &octets), &mut self.outbox);
            self
        }

        fn settled(&mut self, second: i64) -> &mut Self {
            self.meter.settled(T0 + second, &mut self.outbox);
            self
        }

        fn finish(&mut self) -> Vec<(String, String, i64)> {
            self.meter.finish(&mut self.outbox);
            self.points()
        }

        /// Name behind the prefix, value and second of the points that came since the last time.
        fn points(&mut self) -> Vec<(String, String, i64)> {
            let mut points = Vec::new();
            for (_, block) in self.outbox.take() {
                self.packets += block.packets;
                let text = String::from_utf8(block.lines).unwrap();
                assert_eq!(text.lines().count() as u64, block.points);
                for line in text.lines() {
                    let [name, value, time] = line.split(' ').collect::<Vec<_>>()[..] else {
                        panic!("{line}")
                    };
                    let name = name.strip_prefix("p.").unwrap().trim_end_matches(".bytes");
                    points.push((name.to_owned(), value.to_owned(), time.parse::<i64>().unwrap() - T0));
                }
            }
            points
        }

        fn said(&mut self) -> String {
            said(&self.points())
        }
    }

    fn said(points: &[(String, String, i64)]) -> String {
        let text: Vec<_> =
            points.iter().map(|(name, value, time)| format!("{time}:{name}={value}")).collect();
        text.join(" ")
    }

    fn measure(interval: i64, idle_zeros: u64) -> Measure {
        Measure {
            interval,
            mode: Mode::Rate,
            unit: Unit::Bytes,
            counters: vec![Counter::Bytes],
            peaks: false,
            idle_zeros,
        }
    }

    #[test]
    fn a_second_is_a_point_when_packets_show_that_it_is_over() {
        let mut bench = Bench::new(&measure(1, 2), &NO_LIMITS);
        bench.feed(&[(100, 80, 10), (900, 80, 20), (1000, 80, 5), (1999, 53, 7)]);
        assert_eq!(bench.said(), "");
        assert_eq!(bench.feed(&[(2000, 80, 1)]).said(), "0:80=30");
        assert_eq!(bench.feed(&[(3000, 80, 1)]).said(), "1:80=5 1:53=7");
        assert_eq!(said(&bench.finish()), "2:80=1 2:53=0 3:80=1 3:53=0");
        assert_eq!(bench.packets, 6);
    }

    #[test]
    fn a_stall_is_never_a_double_second_and_a_hole() {
        // All that was captured in five seconds comes at once.
        let packets: Vec<_> = (0..5000).map(|milli| (milli, 80, 1)).collect();
        let mut bench = Bench::new(&measure(1, 2), &NO_LIMITS);
        bench.feed(&packets);
        assert_eq!(said(&bench.finish()), "0:80=1000 1:80=1000 2:80=1000 3:80=1000 4:80=1000");
    }

    #[test]
    fn late_packets_go_into_their_own_second_or_are_counted() {
        let mut bench = Bench::new(&measure(1, 2), &NO_LIMITS);
        bench.feed(&[(500, 80, 1), (1900, 80, 10), (400, 80, 100)]);
        assert_eq!(bench.feed(&[(2100, 80, 1000)]).said(), "0:80=101");
        // Too late for its second: it is in the next one, and the sum is right.
        bench.feed(&[(600, 80, 10_000)]);
        assert_eq!(bench.meter.late_packets(), 1);
        assert_eq!(said(&bench.finish()), "1:80=10010 2:80=1000");
    }

    #[test]
    fn the_first_packet_may_be_a_late_one() {
        let mut bench = Bench::new(&measure(1, 0), &NO_LIMITS);
        bench.feed(&[(1000, 80, 1), (900, 80, 2)]);
        assert_eq!(said(&bench.finish()), "0:80=2 1:80=1");
    }

    #[test]
    fn a_clock_that_is_set_goes_on_from_there() {
        let mut bench = Bench::new(&measure(1, 2), &NO_LIMITS);
        bench.feed(&[(10_000_000, 80, 1), (10_000_500, 80, 2)]);
        bench.feed(&[(0, 80, 4), (1000, 80, 8), (2000, 80, 16)]);
        assert_eq!(bench.said(), "10000:80=3 0:80=4");
        // Forward again: the silence is two zeros, not ten thousand.
        bench.feed(&[(20_000_000, 80, 32), (20_002_000, 80, 64)]);
        assert_eq!(bench.said(), "1:80=8 2:80=16 3:80=0 4:80=0 20000:80=32");
        assert_eq!(bench.meter.late_packets(), 0);
    }

    #[test]
    fn a_silent_flow_gets_zeros_and_then_nothing() {
        let mut bench = Bench::new(&measure(1, 3), &NO_LIMITS);
        bench.feed(&[(0, 80, 1)]);
        assert_eq!(bench.meter.due(), Some(T0 + 2));
        assert_eq!(bench.settled(1).said(), "");
        assert_eq!(bench.settled(2).said(), "0:80=1");
        assert_eq!(bench.meter.due(), Some(T0 + 3));
        assert_eq!(bench.settled(4).said(), "1:80=0 2:80=0");
        assert_eq!(bench.settled(100).said(), "3:80=0");
        assert_eq!((bench.meter.due(), bench.meter.series()), (None, 0));
        assert_eq!(bench.feed(&[(200_000, 80, 5)]).settled(202).said(), "200:80=5");
    }

    #[test]
    fn silence_in_the_middle_of_an_interval_is_its_end() {
        let mut bench = Bench::new(&measure(10, 1), &NO_LIMITS);
        bench.feed(&[(3000, 80, 100)]);
        assert_eq!(bench.meter.due(), Some(T0 + 5));
        bench.settled(5);
        assert_eq!((bench.said().as_str(), bench.meter.due()), ("", Some(T0 + 11)));
        assert_eq!(bench.settled(11).said(), "0:80=10");
        assert_eq!(bench.feed(&[(15_000, 53, 25), (41_000, 53, 10)]).said(), "10:80=0 10:53=2.5 20:53=0");
    }

    #[test]
    fn totals_go_on_and_intervals_have_their_peaks() {
        let total = Measure { mode: Mode::Total, ..measure(1, 1) };
        let mut bench = Bench::new(&total, &NO_LIMITS);
        bench.feed(&[(0, 80, 5), (1000, 80, 6), (3000, 80, 7)]);
        assert_eq!(said(&bench.finish()), "0:80=5 1:80=11 2:80=11 3:80=18");

        let peaks = Measure { peaks: true, ..measure(60, 0) };
        let mut bench = Bench::new(&peaks, &Limits { per_key: 3, ..NO_LIMITS });
        let burst = (0..60i64)
            .map(|second| (second * 1000, 80, if second < 4 { 500 + second.unsigned_abs() } else { 10 }));
        bench.feed(&burst.collect::<Vec<_>>());
        assert_eq!(said(&bench.finish()), "0:80=42.766666666666666 0:80.bytes_max=503 0:80.bytes_p95=500");
    }

    #[test]
    fn what_is_outside_the_budget_is_in_other() {
        let limits = Limits { series: 2, forget: 1000, ..NO_LIMITS };
        let mut bench = Bench::new(&measure(1, 1), &limits);
        bench.feed(&[(0, 1, 10), (0, 2, 30), (0, 3, 20), (0, 4, 5), (1000, 4, 7), (1000, 2, 1)]);
        assert_eq!(said(&bench.finish()), "0:2=30 0:3=20 0:other=15 1:2=1 1:3=0 1:other=7");

        let limits = Limits { min_bytes: 100, ..NO_LIMITS };
        let mut bench = Bench::new(&measure(1, 1), &limits);
        bench.feed(&[(0, 1, 100), (1000, 1, 101), (2000, 1, 3)]);
        assert_eq!(said(&bench.finish()), "0:other=100 1:other=0 1:1=101 2:1=3");

        let limits = Limits { top: 1, ..NO_LIMITS };
        let mut bench = Bench::new(&measure(1, 1), &limits);
        bench.feed(&[(0, 1, 10), (0, 2, 20), (1000, 1, 5), (1000, 2, 4), (2000, 2, 1), (2000, 3, 1)]);
        assert_eq!(said(&bench.finish()), "0:2=20 0:other=10 1:2=4 1:other=0 1:1=5 2:2=1 2:1=0 2:3=1");
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

        /// Whatever comes, in whatever order within the window, with whatever budget: each second's points are
        /// what was on the wire in it, summed over all series, to the byte and to the packet.
        #[test]
        fn no_byte_is_lost_or_moved(
            mut packets in prop::collection::vec((0i64..20_000, 1u16..20, 1u64..2000), 1..400),
            interval in prop_oneof![Just(1i64), Just(7), Just(10)],
            series in 0u64..5,
            per_minute in 0u64..90,
            min_bytes in 0u64..3000,
            top in 0usize..4,
            idle_zeros in 0u64..4,
            batch in 1usize..50,
            settle: bool,
        ) {
            // Late by less than the window: two seconds, less one.
            packets.sort_by_key(|packet| packet.0 / 900);
            let measure = Measure { mode: Mode::Delta, ..measure(interval, idle_zeros) };
            let mut bench = Bench::new(&measure, &Limits { series, per_minute, forget: 10, min_bytes, top, per_key: 1 });
            let mut points = Vec::new();
            for packets in packets.chunks(batch) {
                bench.feed(packets);
                let settled = packets.iter().map(|packet| packet.0 / 1000).min().unwrap();
                if settle {
                    bench.settled(settled); // some of it is not absorbed yet, but that is within the window
                }
                points.extend(bench.points());
            }
            points.extend(bench.finish());
            let mut said = std::collections::BTreeMap::<i64, u64>::new();
            let mut names = std::collections::HashSet::new();
            for (name, value, time) in points {
                prop_assert!(names.insert((name, time)), "a point comes twice");
                *said.entry(time).or_default() += value.parse::<u64>().unwrap();
            }
            said.retain(|_, sum| *sum > 0);
            let mut sent = std::collections::BTreeMap::new();
            for (millis, _, bytes) in &packets {
                let second = T0 + millis / 1000;
                *sent.entry(measure.interval_of(second) - T0).or_default() += *bytes;
            }
            prop_assert_eq!(said, sent);
            prop_assert_eq!(bench.packets, packets.len() as u64);
            prop_assert_eq!(bench.meter.late_packets(), 0);
        }
    }
}
