//! Every N seconds, here are the sums.

use std::collections::BTreeMap;
use std::sync::Arc;

use rpmacct_packet::Timestamp;
use rpmacct_primitives::{Counters, Record};

use crate::bins::ALL_TIMES;
use crate::{Batch, Bin, Bins, Schedule, Sink, SinkError, Snapshot, SumTable, Tallies};

/// A destination that takes the sums of an interval.
///
/// What it can't write at once it may keep, to try again: the packets that it neither wrote nor lost are held.
/// It keeps them in bounds, and loses the oldest when there are too many.
pub trait Purge: Send {
    /// Writes the sums of one interval, and what is held. Not called when there is nothing, unless
    /// [`Self::wants_empty`]. When the reason is [`Reason::End`] it is the last call, and what is still held
    /// after it is lost.
    fn purge(&mut self, sums: Sums) -> Outcome;

    /// When [`Self::retry`] must be called; `None` if nothing is held, or the next purge is soon enough.
    fn retry_at(&self) -> Option<Timestamp> {
        None
    }

    /// Writes what is held.
    fn retry(&mut self, _now: Timestamp) -> Outcome {
        Outcome::default()
    }

    /// Whether intervals without traffic are purged too.
    fn wants_empty(&self) -> bool {
        false
    }

    /// SIGHUP.
    fn reopen(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// What became of the packets that a destination was given, now or earlier. The others it holds.
#[derive(Debug, Default)]
#[must_use]
pub struct Outcome {
    /// Packets that reached their destination.
    pub written: u64,
    /// Packets that never will.
    pub lost: u64,
    /// Packets that the configuration does not want written.
    pub erased: u64,
    /// What went wrong. It is logged.
    pub error: Option<SinkError>,
}

impl Outcome {
    /// All of them reached their destination.
    pub fn written(packets: u64) -> Self {
        Self { written: packets, ..Self::default() }
    }

    /// None of them ever will.
    pub fn lost(packets: u64, error: SinkError) -> Self {
        Self { lost: packets, error: Some(error), ..Self::default() }
    }

    /// None of them has reached its destination yet.
    pub fn held(error: SinkError) -> Self {
        Self { error: Some(error), ..Self::default() }
    }

    /// Adds what became of others. Of several errors the first one stays.
    pub fn add(&mut self, other: Self) {
        self.written += other.written;
        self.lost += other.lost;
        self.erased += other.erased;
        self.error = self.error.take().or(other.error);
    }
}

/// The sums of an interval.
#[derive(Debug, Clone)]
pub struct Sums {
    /// When the purge began.
    pub now: Timestamp,
    /// Why it is made.
    pub reason: Reason,
    /// The sums of each bin of time, the earliest first. Without bins there is one, or none if nothing came.
    pub bins: Vec<BinSums>,
}

/// The sums of one bin of time.
#[derive(Debug, Clone)]
pub struct BinSums {
    /// The bin; `None` if there are no bins.
    pub bin: Option<Bin>,
    /// Packets of all rows.
    pub packets: u64,
    table: Snapshot,
    /// Of each row, if they are kept.
    spans: Vec<Span>,
}

/// The times of the first and the last packet of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// The earliest.
    pub first: Timestamp,
    /// The latest.
    pub last: Timestamp,
}

/// Why a purge is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Its time has come.
    Due,
    /// The table is full.
    Full,
    /// The daemon ends.
    End,
}

impl Sums {
    /// Keys and counters of all bins.
    pub fn rows(&self) -> impl Iterator<Item = (&[u8], Counters)> {
        self.bins.iter().flat_map(BinSums::rows)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.bins.iter().map(BinSums::len).sum()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.bins.is_empty()
    }

    /// Packets of all rows.
    pub fn packets(&self) -> u64 {
        self.bins.iter().map(|sums| sums.packets).sum()
    }
}

impl BinSums {
    /// Keys and counters, in the order in which the keys first came.
    pub fn rows(&self) -> impl Iterator<Item = (&[u8], Counters)> {
        self.table.iter()
    }

    /// The times of the packets of each row, in the same order; empty without [`Purger::with_spans`].
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }
}

/// Sums records and purges them into a destination when their time has come.
#[derive(Debug)]
pub struct Purger<P> {
    destination: P,
    tables: Tables,
    schedule: Schedule,
    /// Entries, of all bins, at which they are purged before their time.
    limit: usize,
    tallies: Arc<Tallies>,
    /// Packets that the destination was given and has neither written nor lost.
    held: u64,
    /// Time of the latest record.
    latest: Option<Timestamp>,
}

impl<P: Purge> Purger<P> {
    /// Purges keys of `key_len` octets into `destination` by `schedule`, and whenever there are `limit`
    /// entries.
    pub fn new(
        destination: P,
        key_len: usize,
        schedule: Schedule,
        limit: usize,
        tallies: Arc<Tallies>,
    ) -> Self {
        let tables = Tables::new(key_len);
        let limit = limit.max(1);
        Self { destination, tables, schedule, limit, tallies, held: 0, latest: None }
    }

    /// Keeps the sums of each bin apart: by the time of the packets, or of their arrival here. A purge takes
    /// the bins that began before its interval ended; later ones wait for the next.
    #[must_use]
    pub fn with_bins(mut self, bins: Bins, by_arrival: bool) -> Self {
        self.tables.bins = Some(bins);
        self.tables.by_arrival = by_arrival;
        self.tables.bin = 0..0;
        self
    }

    /// Keeps the times of the first and the last packet of each row, in whole seconds if wanted.
    #[must_use]
    pub fn with_spans(mut self, whole_seconds: bool) -> Self {
        self.tables.has_spans = true;
        self.tables.whole_seconds = whole_seconds;
        self
    }

    /// Purges what came before `until`.
    fn purge(&mut self, now: Timestamp, reason: Reason, until: Timestamp) -> Result<(), SinkError> {
        let bins = self.tables.take_until(until);
        if bins.is_empty() && self.held == 0 && !self.destination.wants_empty() {
            return Ok(());
        }
        let sums = Sums { now, reason, bins };
        self.held += sums.packets();
        let outcome = self.destination.purge(sums);
        self.settle(outcome)
    }

    /// Counts what became of packets.
    fn settle(&mut self, outcome: Outcome) -> Result<(), SinkError> {
        let Outcome { written, lost, erased, error } = outcome;
        let done = written + lost + erased;
        debug_assert!(done <= self.held, "{done} packets are said to be done with, of {} given", self.held);
        self.held -= done;
        self.tallies.in_table.take(done);
        self.tallies.purged.add(done);
        self.tallies.written.add(written);
        self.tallies.lost.add(lost);
        self.tallies.erased.add(erased);
        error.map_or(Ok(()), Err)
    }
}

impl<P: Purge> Sink for Purger<P> {
    fn absorb(&mut self, batch: &Batch<'_>) -> Result<(), SinkError> {
        if self.tables.len() + batch.len() < self.limit && self.tables.add_batch(batch) {
            self.tallies.in_table.add(batch.packets());
            self.latest = self.latest.max(batch.iter().map(|record| record.time).max());
            return Ok(());
        }
        let mut result = Ok(());
        for record in batch.iter() {
            self.tables.add(&record, batch.arrival());
            self.tallies.in_table.add(record.counters.packets);
            self.latest = self.latest.max(Some(record.time));
            if self.tables.len() >= self.limit || self.tables.has_too_many_bins() {
                let now = self.latest.take().unwrap_or(record.time);
                result = result.and(self.purge(now, Reason::Full, Timestamp::MAX));
            }
        }
        result
    }

    fn tick(&mut self, now: Timestamp) -> Result<(), SinkError> {
        if self.schedule.is_due(now) {
            let until = self.schedule.advance(now);
            self.latest = None;
            return self.purge(now, Reason::Due, until);
        }
        if self.destination.retry_at().is_some_and(|at| at <= now) {
            let outcome = self.destination.retry(now);
            return self.settle(outcome);
        }
        Ok(())
    }

    fn due(&self) -> Option<Timestamp> {
        let due = self.schedule.due();
        Some(self.destination.retry_at().map_or(due, |retry| due.min(retry)))
    }

    fn reopen(&mut self) -> Result<(), SinkError> {
        self.destination.reopen()
    }

    fn finish(mut self: Box<Self>, now: Timestamp) -> Result<(), SinkError> {
        let result = self.purge(now, Reason::End, Timestamp::MAX);
        let rest = Outcome { lost: self.held, ..Outcome::default() };
        result.and(self.settle(rest))
    }
}

/// A table for each bin of time.
#[derive(Debug)]
struct Tables {
    key_len: usize,
    bins: Option<Bins>,
    /// Bins go by the time of arrival.
    by_arrival: bool,
    has_spans: bool,
    /// Spans are cut to these.
    whole_seconds: bool,
    /// The bin of the last record: most records are in the same.
    bin: Bin,
    current: BinTable,
    /// The other bins, by their beginning.
    others: BTreeMap<i64, (Bin, BinTable)>,
    /// Entries in `others`.
    others_len: usize,
}

/// The sums of one bin.
#[derive(Debug)]
struct BinTable {
    sums: SumTable,
    packets: u64,
    /// By the number of the entry; empty if they are not kept.
    spans: Vec<Span>,
}

/// A table takes 64 KiB, however little is in it.
const MAX_BINS: usize = 1024;

impl Tables {
    fn new(key_len: usize) -> Self {
        Self {
            key_len,
            bins: None,
            by_arrival: false,
            has_spans: false,
            whole_seconds: false,
            bin: ALL_TIMES,
            current: BinTable::new(key_len),
            others: BTreeMap::new(),
            others_len: 0,
        }
    }

    #[inline]
    fn add(&mut self, record: &Record<'_>, arrival: Timestamp) {
        let time = if self.by_arrival { arrival } else { record.time };
        if !self.bin.contains(&time.secs()) {
            self.switch_to(time);
        }
        self.current.packets += record.counters.packets;
        let entry = self.current.sums.add_numbered(record.key, record.counters);
        if let Some(entry) = entry.filter(|_| self.has_spans) {
            let cut = || Timestamp::from_secs_nanos(record.time.secs(), 0);
            self.current.extend_span(entry, if self.whole_seconds { cut() } else { record.time });
        }
    }

    /// Adds a batch at once, if it is of one bin: without bins it is. Returns whether it did.
    fn add_batch(&mut self, batch: &Batch<'_>) -> bool {
        if self.bins.is_some() || self.has_spans {
            return false;
        }
        self.current.packets += batch.packets();
        self.current.sums.add_batch(batch);
        true
    }

    /// Makes the bin of a time the current one.
    #[cold]
    fn switch_to(&mut self, time: Timestamp) {
        let Some(bins) = &self.bins else { return };
        let bin = bins.of(time);
        let next = match self.others.remove(&bin.start) {
            Some((_, table)) => {
                self.others_len -= table.sums.len();
                table
            }
            None => BinTable::new(self.key_len),
        };
        let last = std::mem::replace(&mut self.current, next);
        let last_bin = std::mem::replace(&mut self.bin, bin);
        if !last.sums.is_empty() {
            self.others_len += last.sums.len();
            self.others.insert(last_bin.start, (last_bin, last));
        }
    }

    /// Takes the bins out that begin before `until`.
    fn take_until(&mut self, until: Timestamp) -> Vec<BinSums> {
        if self.bins.is_none() {
            return self.current.take(None).into_iter().collect();
        }
        let mut taken = Vec::new();
        let until = until.secs();
        if self.bin.start < until {
            let bin = self.bin.clone();
            taken.extend(self.current.take(Some(bin)));
        }
        let later = self.others.split_off(&until);
        for (_, (bin, mut table)) in std::mem::replace(&mut self.others, later) {
            self.others_len -= table.sums.len();
            taken.extend(table.take(Some(bin)));
        }
        taken.sort_by_key(|sums| sums.bin.as_ref().map(|bin| bin.start));
        taken
    }

    fn len(&self) -> usize {
        self.current.sums.len() + self.others_len
    }

    fn has_too_many_bins(&self) -> bool {
        self.others.len() >= MAX_BINS
    }
}

impl BinTable {
    fn new(key_len: usize) -> Self {
        Self { sums: SumTable::new(key_len), packets: 0, spans: Vec::new() }
    }

    fn take(&mut self, bin: Option<Bin>) -> Option<BinSums> {
        if self.sums.is_empty() {
            return None;
        }
        Some(BinSums {
            bin,
            packets: std::mem::take(&mut self.packets),
            table: self.sums.take(),
            spans: std::mem::take(&mut self.spans),
        })
    }

    fn extend_span(&mut self, entry: usize, time: Timestamp) {
        match self.spans.get_mut(entry) {
            Some(span) => *span = Span { first: span.first.min(time), last: span.last.max(time) },
            None => self.spans.push(Span { first: time, last: time }),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use jiff::tz::TimeZone;
    use rpmacct_ledger::Tally;
    use rpmacct_primitives::{Schema, SchemaOptions};

    use super::*;
    use crate::RoundOff;

    /// What a destination was given: why, and of each bin its beginning and its packets by port.
    type Given = (Reason, Vec<(Option<i64>, Vec<(u16, u64)>)>);

    /// A destination that holds everything until it is told not to.
    #[derive(Clone, Default)]
    struct Tap(Arc<Mutex<State>>);

    #[derive(Default)]
    struct State {
        given: Vec<Given>,
        held: u64,
        /// What it does with what it holds: write, lose.
        next: Option<(u64, u64)>,
    }

    impl Tap {
        fn outcome(&self) -> Outcome {
            let mut state = self.0.lock().unwrap();
            let (written, lost) = state.next.take().unwrap_or((state.held, 0));
            state.held -= written + lost;
            Outcome { written, lost, ..Outcome::default() }
        }

        fn next(&self, written: u64, lost: u64) {
            self.0.lock().unwrap().next = Some((written, lost));
        }

        fn given(&self) -> Vec<Given> {
            std::mem::take(&mut self.0.lock().unwrap().given)
        }
    }

    impl Purge for Tap {
        fn purge(&mut self, sums: Sums) -> Outcome {
            let bins = sums.bins.iter().map(|sums| {
                let rows = sums.rows().map(|(key, c)| (u16::from_be_bytes([key[0], key[1]]), c.packets));
                (sums.bin.as_ref().map(|bin| bin.start), rows.collect())
            });
            let mut state = self.0.lock().unwrap();
            state.given.push((sums.reason, bins.collect()));
            state.held += sums.packets();
            drop(state);
            self.outcome()
        }

        fn retry_at(&self) -> Option<Timestamp> {
            (self.0.lock().unwrap().held > 0).then_some(Timestamp::ZERO)
        }

        fn retry(&mut self, _: Timestamp) -> Outcome {
            self.outcome()
        }
    }

    struct Bench {
        tap: Tap,
        purger: Box<Purger<Tap>>,
        tallies: Arc<Tallies>,
        schema: Schema,
        absorbed: u64,
    }

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs_nanos(secs, 0)
    }

    impl Bench {
        /// Due each minute, with room for four entries.
        fn new(bins: Option<(&str, bool)>) -> Self {
            let (tap, tallies) = (Tap::default(), Arc::<Tallies>::default());
            let schema = Schema::parse("src_port", SchemaOptions::default()).unwrap();
            let schedule = Schedule::new(at(0), Duration::from_secs(60), Duration::ZERO);
            let mut purger = Purger::new(tap.clone(), 2, schedule, 4, Arc::clone(&tallies));
            if let Some((length, by_arrival)) = bins {
                let round_off = Some(RoundOff::Hour);
                let bins = Bins::new(length.parse().unwrap(), round_off, Duration::ZERO, TimeZone::UTC);
                purger = purger.with_bins(bins, by_arrival);
            }
            Self { tap, purger: Box::new(purger), tallies, schema, absorbed: 0 }
        }

        /// One packet of a port, captured at `secs`, that comes at `arrival`.
        fn packet(&mut self, port: u16, secs: i64, arrival: i64) {
            let layout = self.schema.layout();
            let mut slot = vec![0; layout.stride()];
            let counters = Counters { packets: 1, bytes: 40, flows: 0, tcp_flags: 0 };
            layout.put(&mut slot, &Record { key: &port.to_be_bytes(), time: at(secs), counters });
            self.absorbed += 1;
            self.purger.absorb(&Batch::new(&self.schema, &slot).arrived(at(arrival))).unwrap();
            self.check();
        }

        fn tick(&mut self, secs: i64) {
            self.purger.tick(at(secs)).unwrap();
            self.check();
        }

        /// In the table, written and lost; the ledger must be right.
        fn check(&self) -> [u64; 3] {
            let t = &self.tallies;
            assert_eq!(t.in_table.count() + t.purged.count() + t.refused.count(), self.absorbed);
            assert_eq!(t.written.count() + t.lost.count() + t.erased.count(), t.purged.count());
            [t.in_table.count(), t.written.count(), t.lost.count()]
        }
    }

    #[test]
    fn what_is_held_counts_as_in_the_table() {
        let mut bench = Bench::new(None);
        for port in [1, 2, 2] {
            bench.packet(port, 0, 0);
        }
        bench.tap.next(1, 0);
        bench.tick(61);
        assert_eq!(bench.check(), [2, 1, 0]);
        assert_eq!(bench.purger.due(), Some(at(0))); // at once
        bench.tap.next(0, 1);
        bench.tick(62);
        assert_eq!(bench.check(), [1, 1, 1]);
        bench.packet(3, 63, 63);
        bench.tick(121);
        assert_eq!(bench.check(), [0, 3, 1]);
        assert_eq!(bench.purger.due(), Some(at(181)));
        assert_eq!(
            bench.tap.given(),
            [(Reason::Due, vec![(None, vec![(1, 1), (2, 2)])]), (Reason::Due, vec![(None, vec![(3, 1)])])]
        );
    }

    #[test]
    fn what_is_held_at_the_end_is_lost() {
        let mut bench = Bench::new(None);
        bench.packet(1, 0, 0);
        bench.tap.next(0, 0);
        bench.tick(61);
        bench.packet(2, 62, 62);
        bench.tap.next(1, 0);
        let Bench { purger, tallies, .. } = bench;
        purger.finish(at(70)).unwrap();
        assert_eq!([&tallies.in_table, &tallies.written, &tallies.lost].map(Tally::count), [0, 1, 1]);
    }

    #[test]
    fn what_is_held_is_purged_though_nothing_came() {
        let mut bench = Bench::new(None);
        bench.packet(1, 0, 0);
        bench.tap.next(0, 0);
        bench.tick(61);
        bench.purger.tick(at(121)).unwrap();
        assert_eq!(bench.check(), [0, 1, 0]);
        assert_eq!(bench.tap.given()[1], (Reason::Due, vec![]));
        bench.purger.tick(at(181)).unwrap();
        assert_eq!(bench.tap.given(), []);
    }

    #[test]
    fn bins_are_kept_apart_and_newer_ones_wait() {
        let mut bench = Bench::new(Some(("30s", false)));
        for (port, secs) in [(1, 59), (2, 60), (1, 29), (1, 58)] {
            bench.packet(port, secs, 61);
        }
        bench.tick(61);
        let given = [(Reason::Due, vec![(Some(0), vec![(1, 1)]), (Some(30), vec![(1, 2)])])];
        assert_eq!(bench.tap.given(), given);
        assert_eq!(bench.check(), [1, 3, 0]);
        bench.packet(3, 59, 62); // late
        bench.tick(121);
        let given = [(Reason::Due, vec![(Some(30), vec![(3, 1)]), (Some(60), vec![(2, 1)])])];
        assert_eq!(bench.tap.given(), given);
    }

    #[test]
    fn spans_are_those_of_each_row_and_bin() {
        let mut bench = Bench::new(Some(("30s", false)));
        *bench.purger = bench.purger.with_spans(true);
        for (port, secs) in [(7, 5), (8, 6), (7, 3), (7, 9), (7, 31)] {
            bench.packet(port, secs, secs);
        }
        let taken = bench.purger.tables.take_until(Timestamp::MAX);
        let spans = |sums: &BinSums| -> Vec<(i64, i64)> {
            sums.spans().iter().map(|span| (span.first.secs(), span.last.secs())).collect()
        };
        assert_eq!(taken.iter().map(spans).collect::<Vec<_>>(), [vec![(3, 9), (6, 6)], vec![(31, 31)]]);
    }

    #[test]
    fn bins_by_arrival() {
        let mut bench = Bench::new(Some(("30s", true)));
        bench.packet(1, -1_000_000, 10);
        bench.packet(2, 5, 31);
        bench.tick(61);
        let given = [(Reason::Due, vec![(Some(0), vec![(1, 1)]), (Some(30), vec![(2, 1)])])];
        assert_eq!(bench.tap.given(), given);
    }

    #[test]
    fn the_limit_is_over_all_bins() {
        let mut bench = Bench::new(Some(("1s", false)));
        for secs in 0..5 {
            bench.packet(7, secs, 0);
        }
        let bins = (0..4).map(|secs| (Some(secs), vec![(7, 1)])).collect();
        assert_eq!(bench.tap.given(), [(Reason::Full, bins)]);
        assert_eq!(bench.check(), [1, 4, 0]);
    }

    #[test]
    fn a_delay_gives_the_last_packets_of_a_bin_time_to_come() {
        let mut schedule = Schedule::new(at(0), Duration::from_secs(60), Duration::from_secs(5));
        assert!(!schedule.is_due(at(65)));
        assert_eq!(schedule.advance(at(66)), at(60));
        assert_eq!(schedule.advance(at(1000)), at(960));
    }
}
