//! Every N seconds, here are the sums.

use std::sync::Arc;

use rpmacct_packet::Timestamp;
use rpmacct_primitives::Counters;

use crate::{Batch, Schedule, Sink, SinkError, Snapshot, SumTable, Tallies};

/// A destination that takes the sums of an interval.
pub trait Purge: Send {
    /// Writes the sums of one interval. Not called when there is nothing, unless [`Self::wants_empty`].
    /// On an error they are counted as lost.
    fn purge(&mut self, sums: &Sums) -> Result<(), SinkError>;

    /// Whether intervals without traffic are purged too.
    fn wants_empty(&self) -> bool {
        false
    }

    /// SIGHUP.
    fn reopen(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

/// The sums of an interval.
#[derive(Debug)]
pub struct Sums {
    /// When the purge began.
    pub now: Timestamp,
    /// Why it is made.
    pub reason: Reason,
    table: Snapshot,
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
    /// Keys and counters, in the order in which the keys first came.
    pub fn rows(&self) -> impl Iterator<Item = (&[u8], Counters)> {
        self.table.iter()
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
    table: SumTable,
    schedule: Schedule,
    /// Entries at which the table is purged before its time.
    limit: usize,
    tallies: Arc<Tallies>,
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
        let table = SumTable::new(key_len);
        Self { destination, table, schedule, limit: limit.max(1), tallies, latest: None }
    }

    fn purge(&mut self, now: Timestamp, reason: Reason) -> Result<(), SinkError> {
        if self.table.is_empty() && !self.destination.wants_empty() {
            return Ok(());
        }
        self.latest = None;
        let sums = Sums { now, reason, table: self.table.take() };
        let packets: u64 = sums.rows().map(|(_, counters)| counters.packets).sum();
        let result = self.destination.purge(&sums);
        self.tallies.in_table.take(packets);
        self.tallies.purged.add(packets);
        let outcome = if result.is_ok() { &self.tallies.written } else { &self.tallies.lost };
        outcome.add(packets);
        result
    }
}

impl<P: Purge> Sink for Purger<P> {
    fn absorb(&mut self, batch: &Batch<'_>) -> Result<(), SinkError> {
        let mut result = Ok(());
        for record in batch.iter() {
            self.table.add(record.key, record.counters);
            self.tallies.in_table.add(record.counters.packets);
            self.latest = self.latest.max(Some(record.time));
            if self.table.len() >= self.limit {
                let now = self.latest.unwrap_or(record.time);
                result = result.and(self.purge(now, Reason::Full));
            }
        }
        result
    }

    fn tick(&mut self, now: Timestamp) -> Result<(), SinkError> {
        if !self.schedule.is_due(now) {
            return Ok(());
        }
        self.schedule.advance(now);
        self.purge(now, Reason::Due)
    }

    fn due(&self) -> Option<Timestamp> {
        Some(self.schedule.due())
    }

    fn reopen(&mut self) -> Result<(), SinkError> {
        self.destination.reopen()
    }

    fn finish(mut self: Box<Self>, now: Timestamp) -> Result<(), SinkError> {
        self.purge(now, Reason::End)
    }
}
