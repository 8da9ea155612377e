//! The carbon plugin: sums of each interval as points of Graphite series.
//!
//! ```text
//!            plugin's thread                        a lane's thread, for each destination
//! records ─▶ meter: seconds ─▶ intervals ─▶ points ─▶ queue ─▶ connection ─▶ carbon
//!            budget, names                             └─▶ journal (carbon_spool)
//! ```
//!
//! # Guarantees
//!
//! - A point has what was on the wire in its interval, by the packets' own time. What keeps the daemon from
//!   working for a while makes points late, never wrong.
//! - Each packet is in one series of the key's and in no other: what is outside the budget is in `other`. So the
//!   sum over all series is the traffic, to the byte.
//! - Two keys never share a series; no name makes carbon close its connection.
//! - What carbon does not take waits, in order, in a bounded queue; what exceeds the bound is lost, and counted.
//! - Nothing here blocks the capture, nor the plugin's own thread (but while a savefile is read, which waits).
#![forbid(unsafe_code)]

mod attendant;
mod budget;
mod config;
mod destination;
mod estimate;
mod health;
mod journal;
mod keys;
mod lane;
mod lanes;
mod link;
mod meter;
mod names;
mod outbox;
mod queue;
mod seconds;
mod sink;
mod values;
mod wire;

use std::sync::Arc;

use rpmacct_plugin::{ConfigError, Context, Key, OpenError, Plugin, Schema, Sink, View};

use crate::attendant::Attendant;
use crate::config::Settings;
use crate::health::{Gauges, Health};
use crate::lanes::Lanes;
use crate::meter::Meter;
use crate::outbox::Outbox;
use crate::sink::{CarbonSink, Progress};

/// The plugin.
#[derive(Debug)]
pub struct Carbon;

impl Plugin for Carbon {
    fn kind(&self) -> &'static str {
        "carbon"
    }

    fn doc(&self) -> &'static str {
        "Sends the sums of each interval to Graphite's carbon"
    }

    fn keys(&self) -> &'static [&'static Key] {
        config::KEYS
    }

    fn check(&self, settings: View<'_>, schema: &Schema) -> Result<Vec<String>, ConfigError> {
        Ok(estimate::remarks(&Settings::read(settings, schema)?))
    }

    fn open(&self, context: Context<'_>) -> Result<Box<dyn Sink>, OpenError> {
        let mut settings = Settings::read(context.settings, &context.schema)?;
        let speaker = format!("{}/{}", context.name, self.kind());
        if let Some(warning) = estimate::warning(&settings) {
            tracing::warn!("{speaker}: {warning}");
        }
        let lanes = Arc::new(Lanes::open(&settings.outlet, context.name, &speaker, context.live)?);
        let gauges = Arc::<Gauges>::default();
        let interval = settings.measure.interval.max(health::INTERVAL);
        let health = settings.health.then(|| {
            settings.budget.spend(health::USUAL_SERIES);
            let host = nix::unistd::gethostname().unwrap_or_default();
            let host = host.to_string_lossy();
            Health::new(&host, context.name, Arc::clone(&lanes), Arc::clone(&gauges), interval)
        });
        let health_due = health.as_ref().map(|_| (sink::next_report(context.now, interval), interval));
        let attendant = Attendant::start(context.host, health)?;
        let meter = Meter::new(
            settings.measure,
            settings.names,
            Arc::clone(lanes.router()),
            settings.budget,
            context.schema.key_len(),
            settings.late,
        );
        Ok(Box::new(CarbonSink {
            meter,
            outbox: Outbox::new(lanes.len()),
            lanes,
            attendant,
            gauges,
            tallies: context.tallies,
            speaker,
            opened: context.now,
            live: context.live,
            health: health_due,
            progress: Progress::default(),
        }))
    }
}
