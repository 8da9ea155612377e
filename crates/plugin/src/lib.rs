//! The contract of a plugin.
//!
//! A plugin is a [`Plugin`] in the daemon's catalogue: it has a type (`memory`, `print`), declares its
//! configuration keys, and opens a [`Sink`] for each time that `plugins:` names it. The daemon gives the
//! sink a thread of its own, hands it batches of records, and calls it when something is due. A sink never
//! sees the pipe, the core or the capture, so it is tested by calling it.
//!
//! Most plugins only want "every N seconds, here are the sums": they implement [`Purge`] and let a
//! [`Purger`] do the summing and the keeping of time.
//!
//! # Counts
//!
//! Nothing may disappear: what a sink does with what it absorbed it says in its [`Tallies`], and at any
//! moment `absorbed = in the table + purged + refused` and `purged = written + lost + erased`.
#![forbid(unsafe_code)]

mod batch;
mod bins;
mod purge;
mod schedule;
mod table;

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

pub use batch::Batch;
pub use bins::{Bin, BinError, BinLength, Bins, RoundOff, Unit};
pub use purge::{BinSums, Outcome, Purge, Purger, Reason, Span, Sums};
pub use rpmacct_config::{ConfigError, Key, View};
pub use rpmacct_ledger::{Balance, Tally};
pub use rpmacct_packet::Timestamp;
pub use rpmacct_primitives::{Counters, Record, Schema};
pub use schedule::Schedule;
pub use table::{Snapshot, SumTable};

/// A type of plugin: one row in the catalogue.
pub trait Plugin: Sync {
    /// The word in `plugins:`, in lower case.
    fn kind(&self) -> &'static str;

    /// One sentence for people.
    fn doc(&self) -> &'static str;

    /// The configuration keys that it declares.
    fn keys(&self) -> &'static [&'static Key];

    /// Checks the configuration and opens what the sink needs (files, sockets). Runs before the daemon goes
    /// to the background, so that an error reaches whoever started it.
    fn open(&self, context: Context<'_>) -> Result<Box<dyn Sink>, OpenError>;

    /// Checks the configuration and opens nothing: `rpmacctd check`. What is returned are sentences for the
    /// user, such as what the plugin will need.
    fn check(&self, settings: View<'_>, schema: &Schema) -> Result<Vec<String>, ConfigError> {
        let _ = (settings, schema);
        Ok(Vec::new())
    }
}

/// What a sink is opened with.
pub struct Context<'a> {
    /// The plugin's name, such as `default_memory`.
    pub name: &'a str,
    /// The configuration as this plugin sees it.
    pub settings: View<'a>,
    /// What the records are aggregated by.
    pub schema: Arc<Schema>,
    /// What the plugin may ask of the daemon.
    pub host: Arc<dyn Host>,
    /// Where it counts what it does.
    pub tallies: Arc<Tallies>,
    /// The time now.
    pub now: Timestamp,
    /// Whether standard output belongs to somebody: false in the background.
    pub foreground: bool,
    /// Whether frames come from an interface. While a savefile is read the sink may keep others waiting, and
    /// nothing need be lost.
    pub live: bool,
}

/// What a plugin may ask of the daemon, from any thread.
pub trait Host: Send + Sync {
    /// Waits until everything that was captured before this call has been absorbed by the plugin's sink.
    /// Returns false when that took longer than `timeout`, or the daemon is ending.
    fn settle(&self, timeout: Duration) -> bool;

    /// Makes the plugin's thread call [`Sink::tick`] soon.
    fn wake(&self);

    /// The daemon's ledger now: balances of each interface and plugin.
    fn ledger(&self) -> Vec<Balance>;
}

/// Where records go. Called on the plugin's own thread only.
pub trait Sink: Send {
    /// Sums a batch, in the order of capture.
    fn absorb(&mut self, batch: &Batch<'_>) -> Result<(), SinkError>;

    /// Does what is due at `now`: purges, reconnects, answers.
    fn tick(&mut self, now: Timestamp) -> Result<(), SinkError>;

    /// When [`Self::tick`] must be called next; `None` if only when something happens. The time that counts
    /// is the one that `tick` is given: it stands still while a savefile is read.
    fn due(&self) -> Option<Timestamp> {
        None
    }

    /// SIGHUP: files that were moved away are opened anew.
    fn reopen(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    /// Writes all that is left. What cannot be written is counted and said.
    fn finish(self: Box<Self>, now: Timestamp) -> Result<(), SinkError>;
}

/// What a sink did with the packets that it absorbed. Written by the sink's thread only.
#[derive(Debug, Default)]
pub struct Tallies {
    /// Packets in the table.
    pub in_table: Tally,
    /// Packets that did not enter the table because it was full.
    pub refused: Tally,
    /// Packets that left the table: `written + lost + erased`.
    pub purged: Tally,
    /// Packets that reached their destination.
    pub written: Tally,
    /// Packets that the destination did not take.
    pub lost: Tally,
    /// Packets that a client erased or reset, or that the configuration does not want written.
    pub erased: Tally,
    /// What the sink counts besides packets.
    more: Mutex<Vec<Balance>>,
}

impl Tallies {
    /// Replaces the balances of what the sink counts besides packets.
    pub fn set_more(&self, balances: Vec<Balance>) {
        *self.more.lock().unwrap_or_else(PoisonError::into_inner) = balances;
    }

    /// The balances of what the sink counts besides packets.
    pub fn more(&self) -> Vec<Balance> {
        self.more.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Why a plugin can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its configuration is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Something that it needs can't be had.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done to what, such as `binding /tmp/collect.pipe`.
        doing: String,
        /// Why it failed.
        source: std::io::Error,
    },
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// What went wrong in a sink. It is logged; the sink goes on.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// Something could not be written.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done to what, such as `writing /var/log/flows.csv`.
        doing: Cow<'static, str>,
        /// Why it failed.
        source: std::io::Error,
    },
    /// What was said before and lasts. It is counted, but not logged again.
    #[error("as before")]
    Known,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl SinkError {
    /// An error of the operating system, with what was being done.
    pub fn io(doing: impl Into<Cow<'static, str>>, source: std::io::Error) -> Self {
        Self::Io { doing: doing.into(), source }
    }
}
