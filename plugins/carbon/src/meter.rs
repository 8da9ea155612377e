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
            self.interval = Some(self.measure.interval_of(second));
            // The first packets come in no order.
            self.closed = second.saturating_sub(self.late);
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
            } else if self.live.is_empty() && self.touched.is_empty() {
                // Nobody waits for the intervals of a silence.
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
