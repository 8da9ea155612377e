//! The daemon's own series: `rpmacct.HOST.WHERE.WHAT`, one for each count of the ledger and for what the
//! plugin has of its own.
//!
//! All values are counts since the start, and amounts that are there now (series, what waits). A count that was
//! never anything but zero has no series: most losses never happen.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rpmacct_plugin::{Balance, Timestamp};

use crate::lanes::Lanes;
use crate::names::plain;
use crate::outbox::Outbox;
use crate::values::Number;

/// The least number of seconds between two reports.
pub(crate) const INTERVAL: i64 = 10;

/// Series that a daemon without losses has: they are new to carbon when all the others are, too.
pub(crate) const USUAL_SERIES: u64 = 12;

/// What the plugin's thread knows of itself, for others.
#[derive(Debug, Default)]
pub(crate) struct Gauges {
    pub(crate) series: AtomicU64,
    pub(crate) late_packets: AtomicU64,
}

/// Writes reports.
#[derive(Debug)]
pub(crate) struct Health {
    /// `rpmacct.HOST`.
    prefix: String,
    plugin: String,
    lanes: Arc<Lanes>,
    gauges: Arc<Gauges>,
    /// The series that have begun.
    begun: BTreeSet<String>,
    interval: i64,
}

impl Health {
    /// Reports of a daemon on `host`, with what the plugin of that name adds.
    pub(crate) fn new(
        host: &str,
        plugin: &str,
        lanes: Arc<Lanes>,
        gauges: Arc<Gauges>,
        interval: i64,
    ) -> Self {
        let prefix = format!("rpmacct.{}", plain(host));
        Self { prefix, plugin: plain(plugin), lanes, gauges, begun: BTreeSet::new(), interval }
    }

    /// Sends the ledger as points.
    pub(crate) fn report(&mut self, now: Timestamp, ledger: &[Balance]) {
        let mut outbox = Outbox::new(self.lanes.len());
        outbox.begin(now.secs() - now.secs().rem_euclid(self.interval));
        for (name, value) in self.counts(ledger) {
            if value > 0 || self.begun.contains(&name) {
                let lane = self.lanes.router().lane(name.as_bytes());
                outbox.points([(name.as_bytes(), lane, Number::Whole(value))].into_iter(), 0);
                self.begun.insert(name);
            }
        }
        outbox.end();
        self.lanes.ship(&mut outbox);
    }

    /// All counts, with the names of their series.
    fn counts(&self, ledger: &[Balance]) -> Vec<(String, u64)> {
        let mut counts = Vec::new();
        for balance in ledger {
            // A plugin's balances are of `name/type`; a savefile's is its path.
            let place = balance.of.strip_suffix("/carbon").unwrap_or(&balance.of);
            let whole = std::iter::once(&balance.whole);
            for (what, count) in whole.chain(&balance.parts) {
                counts.push((format!("{}.{}.{}", self.prefix, plain(place), plain(what)), *count));
            }
        }
        let lanes = self.lanes.counts();
        // Relaxed: each is a number of its own.
        for (what, count) in [
            ("series", self.gauges.series.load(Ordering::Relaxed)),
            ("late_packets", self.gauges.late_packets.load(Ordering::Relaxed)),
            ("points_repeated", lanes.repeated),
            ("octets_sent", lanes.octets),
            ("octets_waiting", lanes.waiting_octets),
            ("connections", self.lanes.connections()),
        ] {
            counts.push((format!("{}.{}.{what}", self.prefix, self.plugin), count));
        }
        // What is the whole of one balance may be a part of another.
        counts.sort();
        counts.dedup_by(|a, b| a.0 == b.0);
        counts
    }
}
