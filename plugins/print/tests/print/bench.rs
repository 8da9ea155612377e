//! A print plugin without a daemon: records go straight into its sink.

use std::fmt::{self, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rpmacct_config::{Config, ConfigError, Registry, Source};
use rpmacct_plugin::{
    Balance, Batch, Context, Counters, Host, OpenError, Plugin as _, Record, Schema, Sink, SinkError,
    Tallies, Timestamp,
};
use rpmacct_primitives::SchemaOptions;
use tracing::field::{Field, Visit};
use tracing_subscriber::layer::SubscriberExt as _;

/// A full minute: 2023-11-14 22:14:00 UTC.
pub(crate) const MINUTE: i64 = 1_700_000_040;

pub(crate) fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs_nanos(MINUTE + secs, 0)
}

/// A sink, with what it needs.
pub(crate) struct Bench {
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) tallies: Arc<Tallies>,
    schema: Arc<Schema>,
}

impl Bench {
    /// Opens the plugin at [`MINUTE`] with the lines of a configuration.
    pub(crate) fn open(aggregate: &str, lines: &str) -> Self {
        Self::try_open(aggregate, lines, true).unwrap_or_else(|e| panic!("{e}"))
    }

    /// Opens the plugin to write `path`, with names in UTC.
    pub(crate) fn file(aggregate: &str, path: &Path, lines: &str) -> Self {
        let path = path.display();
        Self::open(aggregate, &format!("print_output_file: {path}\ntimestamps_utc: true\n{lines}"))
    }

    pub(crate) fn try_open(aggregate: &str, lines: &str, foreground: bool) -> Result<Self, OpenError> {
        let config = config(lines)?;
        let schema = Arc::new(Schema::parse(aggregate, SchemaOptions::default()).unwrap());
        let tallies = Arc::<Tallies>::default();
        let sink = rpmacct_print::Print.open(Context {
            name: "default_print",
            settings: config.plugin("default_print"),
            schema: Arc::clone(&schema),
            host: Arc::new(Nobody),
            tallies: Arc::clone(&tallies),
            now: at(0),
            foreground,
            live: true,
        })?;
        Ok(Self { sink, tallies, schema })
    }

    /// Feeds records of [`MINUTE`], each a line `value value … / packets bytes flags`; the values are in the
    /// order of the columns.
    pub(crate) fn feed(&mut self, lines: &str) {
        self.feed_at(0, lines);
    }

    /// Feeds records that were captured so many seconds after [`MINUTE`].
    pub(crate) fn feed_at(&mut self, secs: i64, lines: &str) {
        let layout = self.schema.layout();
        let mut records = Vec::new();
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (values, counters) = line.split_once('/').unwrap();
            let mut key = vec![0; self.schema.key_len()];
            for (field, text) in self.schema.fields().iter().zip(values.split_whitespace()) {
                let kind = field.primitive.kind;
                kind.write(kind.parse(text).unwrap(), &mut key[field.range()]);
            }
            let numbers: Vec<u64> = counters.split_whitespace().map(|n| n.parse().unwrap()).collect();
            let [packets, bytes, flags] = numbers[..] else { panic!("three numbers: {line}") };
            let counters = Counters { packets, bytes, flows: 0, tcp_flags: flags as u8 };
            let start = records.len();
            records.resize(start + layout.stride(), 0);
            layout.put(&mut records[start..], &Record { key: &key, time: at(secs), counters });
        }
        self.sink.absorb(&Batch::new(&self.schema, &records).arrived(at(1000))).unwrap();
    }

    /// Feeds one packet of `bytes` for each host.
    pub(crate) fn hosts(&mut self, hosts: &[&str], bytes: u64) {
        self.feed(
            &hosts.iter().fold(String::new(), |lines, host| lines + &format!("{host} / 1 {bytes} 0\n")),
        );
    }

    pub(crate) fn tick(&mut self, secs: i64) -> Result<(), SinkError> {
        self.sink.tick(at(secs))
    }

    pub(crate) fn finish(self, secs: i64) -> Result<(), SinkError> {
        self.sink.finish(at(secs))
    }
}

fn config(lines: &str) -> Result<Config, ConfigError> {
    let registry = Registry::new(rpmacct_print::Print.keys().iter().copied());
    let text = format!("plugins: print\n{lines}");
    let loaded = Config::load(&registry, Source::text("test.conf", &text));
    loaded.map(|(config, _)| config).map_err(|mut errors| errors.remove(0))
}

struct Nobody;

impl Host for Nobody {
    fn settle(&self, _: Duration) -> bool {
        true
    }

    fn wake(&self) {}

    fn ledger(&self) -> Vec<Balance> {
        Vec::new()
    }
}

/// What `work` logs, with this process's id as `PID`.
pub(crate) fn log_of(work: impl FnOnce()) -> Vec<String> {
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let subscriber = tracing_subscriber::registry().with(Collect(Arc::clone(&lines)));
    tracing::subscriber::with_default(subscriber, work);
    let lines = std::mem::take(&mut *lines.lock().unwrap());
    lines.into_iter().map(|line| without_pid(&line)).collect()
}

pub(crate) fn without_pid(text: &str) -> String {
    text.replace(&std::process::id().to_string(), "PID")
}

struct Collect(Arc<Mutex<Vec<String>>>);

impl<S: tracing::Subscriber> tracing_subscriber::Layer<S> for Collect {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        let mut line = Line(format!("{} ", event.metadata().level()));
        event.record(&mut line);
        self.0.lock().unwrap().push(line.0);
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, _: &Field, value: &dyn fmt::Debug) {
        let _ = write!(self.0, "{value:?}");
    }
}
