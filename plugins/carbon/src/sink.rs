//! The sink: the meter's points into the lanes, and the ledger of what became of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rpmacct_plugin::{Balance, Batch, Sink, SinkError, Tallies, Timestamp};

use crate::attendant::Attendant;
use crate::health::Gauges;
use crate::lanes::Lanes;
use crate::meter::Meter;
use crate::outbox::Outbox;
use crate::queue::Counts;

/// How long to wait before asking again a daemon that did not settle, or did not answer.
const ASK_AGAIN: Duration = Duration::from_secs(3);

/// How often the tallies are brought up to date while points wait.
const LOOK: Duration = Duration::from_secs(1);

/// One carbon plugin.
#[derive(Debug)]
pub(crate) struct CarbonSink {
    pub(crate) meter: Meter,
    pub(crate) outbox: Outbox,
    pub(crate) lanes: Arc<Lanes>,
    pub(crate) attendant: Attendant,
    pub(crate) gauges: Arc<Gauges>,
    pub(crate) tallies: Arc<Tallies>,
    /// `name/carbon`.
    pub(crate) speaker: String,
    /// The time of the start. While a savefile is read, it is always this time.
    pub(crate) opened: Timestamp,
    pub(crate) live: bool,
    /// When health is due, and seconds between two reports.
    pub(crate) health: Option<(Timestamp, i64)>,
    pub(crate) progress: Progress,
}

/// How far the sink has come.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    /// What was counted when the tallies were last brought up to date.
    counted: Counts,
    /// Until when nobody is asked to settle: an answer is due by then.
    asked_until: Option<Timestamp>,
    /// When the tallies are brought up to date next.
    look_at: Option<Timestamp>,
}

impl CarbonSink {
    /// Brings the tallies up to date. Between two calls they are what they were, and add up.
    fn account(&mut self) {
        let counts = self.lanes.counts();
        let counted = std::mem::replace(&mut self.progress.counted, counts);
        let written = counts.packets_sent - counted.packets_sent;
        let lost = counts.packets_lost - counted.packets_lost;
        self.tallies.in_table.take(written + lost);
        self.tallies.purged.add(written + lost);
        self.tallies.written.add(written);
        self.tallies.lost.add(lost);
        let balance = Balance::new(&*self.speaker, "points", counts.points)
            .part("points sent", counts.sent)
            .part("points waiting", counts.waiting())
            .part("points lost", counts.lost);
        self.tallies.set_more(vec![balance]);
        // Relaxed: each is a number of its own.
        self.gauges.series.store(self.meter.series(), Ordering::Relaxed);
        self.gauges.late_packets.store(self.meter.late_packets(), Ordering::Relaxed);
    }

    /// Closes what nobody sends packets for any more.
    fn close(&mut self, now: Timestamp) {
        for answer in self.attendant.settled() {
            self.progress.asked_until = None;
            match answer {
                Some(time) => self.meter.settled(time.secs(), &mut self.outbox),
                None => self.progress.asked_until = Some(now.saturating_add(ASK_AGAIN)),
            }
        }
        self.lanes.ship(&mut self.outbox);
        let is_due = self.meter.due().is_some_and(|due| now.secs() >= due);
        if is_due && self.progress.asked_until.is_none_or(|until| now >= until) {
            self.attendant.settle(now);
            self.progress.asked_until = Some(now.saturating_add(ASK_AGAIN));
        }
    }

    /// Whether time stands still, because a savefile is read.
    fn is_frozen(&self, now: Timestamp) -> bool {
        !self.live && now == self.opened
    }
}

impl Sink for CarbonSink {
    fn absorb(&mut self, batch: &Batch<'_>) -> Result<(), SinkError> {
        self.tallies.in_table.add(batch.iter().map(|record| record.counters.packets).sum());
        self.meter.absorb(batch, &mut self.outbox);
        self.lanes.ship(&mut self.outbox);
        Ok(())
    }

    fn tick(&mut self, now: Timestamp) -> Result<(), SinkError> {
        if !self.is_frozen(now) {
            self.close(now);
            if let Some((due, interval)) = self.health.filter(|(due, _)| now >= *due) {
                self.attendant.report(now);
                self.health = Some((next_report(due.max(now), interval), interval));
            }
        }
        self.account();
        let waits = self.progress.counted.waiting() > 0;
        self.progress.look_at = waits.then(|| now.saturating_add(LOOK));
        Ok(())
    }

    fn due(&self) -> Option<Timestamp> {
        let close = self.meter.due().map(|due| {
            let due = Timestamp::from_secs_nanos(due, 0);
            self.progress.asked_until.map_or(due, |until| due.max(until))
        });
        let health = self.health.map(|(due, _)| due);
        [close, health, self.progress.look_at].into_iter().flatten().min()
    }

    fn finish(mut self: Box<Self>, _: Timestamp) -> Result<(), SinkError> {
        self.meter.finish(&mut self.outbox);
        self.lanes.ship(&mut self.outbox);
        self.lanes.finish();
        self.account();
        Ok(())
    }
}

/// The next multiple of `interval` seconds.
pub(crate) fn next_report(now: Timestamp, interval: i64) -> Timestamp {
    let secs = now.secs();
    Timestamp::from_secs_nanos(secs - secs.rem_euclid(interval) + interval, 0)
}
