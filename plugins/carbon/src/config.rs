//! The plugin's configuration keys, and what they say.

use std::path::PathBuf;
use std::time::Duration;

use rpmacct_plugin::{ConfigError, Key, Schema, View};

use crate::budget::Budget;
use crate::destination::{self, Destination, Ring};
use crate::names::{Names, Style, TemplateError};
use crate::values::{Counter, Measure, Mode, Unit};

/// All rows of this file.
pub(crate) static KEYS: &[&Key] = &[
    &REFRESH_TIME,
    &VALUE,
    &UNIT,
    &COUNTERS,
    &PEAKS,
    &LATE_TIME,
    &IDLE_ZEROS,
    &PREFIX,
    &TEMPLATE,
    &ESCAPE,
    &TAGS,
    &HOST,
    &PORT,
    &PROTOCOL,
    &METHOD,
    &RESEND,
    &SPOOL,
    &SPOOL_SIZE,
    &MAX_SERIES,
    &NEW_SERIES,
    &FORGET,
    &MIN_RATE,
    &TOP,
    &HEALTH,
    &SCHEMAS,
];

const HOUR: u64 = 60 * 60;
const DAY: u64 = 24 * HOUR;

const REFRESH_TIME: Key = Key::seconds("carbon_refresh_time", 1, DAY)
    .default("1")
    .doc("Seconds of an interval, each of which is a point; intervals lie on multiples of it since 1970");

const VALUE: Key = Key::word("carbon_value", &["rate", "delta", "total"]).default("rate").doc(
    "What a point says: rate, the amount in a second; delta, in the interval; total, since the series began",
);

const UNIT: Key = Key::word("carbon_unit", &["bytes", "bits"])
    .default("bytes")
    .doc("Unit of the traffic; the counter's name in the series follows it");

const COUNTERS: Key = Key::words("carbon_counters", &["bytes", "packets", "flows"])
    .default("bytes")
    .doc("What has a series for each key: bytes, packets, and flows if they are aggregated");

const PEAKS: Key = Key::flag("carbon_peaks").default("false").doc(
    "Two series more for each counter, NAME_max and NAME_p95: the largest second of the interval and the 95th \
     percentile of its seconds; for intervals of 2 to 3600 s",
);

const LATE_TIME: Key = Key::seconds("carbon_late_time", 0, HOUR)
    .default("1")
    .doc("Seconds that an interval waits for late packets after its end, by the packets' clock");

const IDLE_ZEROS: Key = Key::integer("carbon_idle_zeros", 0, 1_000_000)
    .default("10")
    .doc("Points that a series goes on for when its flow is silent, before it ends");

const PREFIX: Key = Key::text("carbon_prefix").default("mpls").doc("What all names of series begin with");

const TEMPLATE: Key = Key::text("carbon_template").doc(
    "Name of a series behind the prefix, with $counter and each key of aggregate as a variable; by default all \
     of them with dots between, such as $src_host.$dst_host.$counter; with carbon_tags $counter",
);

const ESCAPE: Key = Key::character("carbon_escape")
    .default("_")
    .checked(|text| if matches!(text, "_" | "-") { Ok(()) } else { Err("_ or -".to_owned()) })
    .doc("What stands in names for dots, colons and all that Graphite mishandles: _ or -");

const TAGS: Key = Key::flag("carbon_tags")
    .default("false")
    .doc("Keys are tags of the series instead of parts of its name: PREFIX.bytes;dst_host=10.9.1.21;src_host=10.9.0.11");

const HOST: Key = Key::list("carbon_host")
    .default("127.0.0.1")
    .checked(|text| destination::parse_list(text, 0).map(drop))
    .doc("Where carbon listens: HOST, HOST:PORT or HOST:PORT:INSTANCE, IPv6 addresses as [::1]:2003; several with commas");

const PORT: Key = Key::integer("carbon_port", 1, 65_535)
    .doc("Port where carbon_host has none; 2003 if not set, 2004 for pickle");

const PROTOCOL: Key = Key::word("carbon_protocol", &["tcp", "udp", "pickle"])
    .default("tcp")
    .doc("Lines over TCP, lines over UDP, or pickles over TCP");

const METHOD: Key = Key::word("carbon_method", &["failover", "consistent-hashing"])
    .default("failover")
    .doc("Several destinations: the first that answers has it all, or each has its share, as carbon-relay divides it");

const RESEND: Key = Key::seconds("carbon_resend", 0, HOUR).default("10").doc(
    "What was sent in the last seconds before a connection broke is sent again: it may have died with carbon",
);

const SPOOL: Key = Key::path("carbon_spool")
    .doc("Directory for what carbon has not got yet, so that it survives the daemon; in memory if not set");

const SPOOL_SIZE: Key = Key::size("carbon_spool_size", 65_536, 1 << 40)
    .default("67108864")
    .doc("Bytes that may wait for each destination; beyond them the oldest points are lost, and counted");

const MAX_SERIES: Key = Key::integer("carbon_max_series", 0, u32::MAX as i64)
    .default("1000")
    .doc("Series at most; flows beyond go into the series `other`; 0: no limit");

const NEW_SERIES: Key = Key::integer("carbon_new_series_per_minute", 0, u32::MAX as i64)
    .default("30")
    .doc("New series in a minute at most, the largest flows first; carbon as shipped creates 50, and drops the others' points; 0: no limit");

const FORGET: Key = Key::seconds("carbon_forget", 0, 100 * 365 * DAY)
    .default("2592000")
    .doc("Seconds after which a series that ended no longer counts for carbon_max_series");

const MIN_RATE: Key = Key::size("carbon_min_rate", 0, u64::MAX)
    .default("0")
    .doc("A series begins when its flow has first more than this in a second, in carbon_unit");

const TOP: Key = Key::integer("carbon_top", 0, u32::MAX as i64)
    .default("0")
    .doc("A series begins when its flow is first among this many largest of an interval; 0: no limit");

const HEALTH: Key = Key::flag("carbon_health")
    .default("true")
    .doc("Series of the daemon's own ledger, rpmacct.HOST.*, every ten seconds");

const SCHEMAS: Key = Key::path("carbon_schemas").doc(
    "carbon's storage-schemas.conf, for the estimate of `rpmacctd check` and a warning at the start; if not set it is looked for where \
     packages have it",
);

/// All that the keys say.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) measure: Measure,
    pub(crate) names: Names,
    pub(crate) budget: Budget,
    pub(crate) outlet: Outlet,
    pub(crate) health: bool,
    /// Seconds that an interval waits for late packets.
    pub(crate) late: i64,
    pub(crate) max_series: u64,
    pub(crate) schemas: Option<PathBuf>,
}

/// How points leave.
#[derive(Debug, Clone)]
pub(crate) struct Outlet {
    pub(crate) destinations: Vec<Destination>,
    pub(crate) protocol: Protocol,
    /// Whether each destination has its share.
    pub(crate) hashing: bool,
    pub(crate) resend: Duration,
    pub(crate) spool: Option<PathBuf>,
    /// Bytes that may wait for each destination.
    pub(crate) bound: usize,
}

/// What is spoken with carbon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// Lines over TCP.
    Tcp,
    /// Lines over UDP.
    Udp,
    /// Pickles over TCP.
    Pickle,
}

impl Protocol {
    /// carbon's own port for it.
    const fn port(self) -> u16 {
        match self {
            Self::Tcp | Self::Udp => 2003,
            Self::Pickle => 2004,
        }
    }
}

impl Settings {
    pub(crate) fn read(view: View<'_>, schema: &Schema) -> Result<Self, ConfigError> {
        let measure = measure(view, schema)?;
        let names = names(view, schema, &measure)?;
        let count = |key| view.integer(key).unwrap_or(0).unsigned_abs();
        let max_series = count(&MAX_SERIES);
        let min_rate = view.size(&MIN_RATE).unwrap_or(0);
        let budget = Budget::new(&crate::budget::Limits {
            series: max_series,
            per_minute: count(&NEW_SERIES),
            per_key: measure.series().count() as u64,
            forget: view.seconds(&FORGET).unwrap_or(0).cast_signed(),
            min_bytes: measure.unit.bytes(min_rate).saturating_mul(measure.interval.unsigned_abs()),
            top: usize::try_from(count(&TOP)).unwrap_or(usize::MAX),
        });
        Ok(Self {
            names,
            budget,
            outlet: outlet(view)?,
            health: view.flag(&HEALTH),
            late: view.seconds(&LATE_TIME).unwrap_or(0).cast_signed(),
            max_series,
            schemas: view.path(&SCHEMAS).map(Into::into),
            measure,
        })
    }
}

impl Settings {
    /// What a series is called, with the keys' words in place of their values.
    pub(crate) fn example(&self) -> String {
        let words: Vec<_> = self.measure.series().map(|aspect| self.measure.word(aspect)).collect();
        self.names.example(words.first().map_or("", String::as_str))
    }
}

fn measure(view: View<'_>, schema: &Schema) -> Result<Measure, ConfigError> {
    let interval = view.seconds(&REFRESH_TIME).unwrap_or(1).cast_signed();
    let peaks = view.flag(&PEAKS);
    if peaks && !(2..=HOUR.cast_signed()).contains(&interval) {
        return Err(view.error(&PEAKS, "false, or a carbon_refresh_time of 2 to 3600 s"));
    }
    let words = view.list(&COUNTERS);
    let counters: Vec<_> = Counter::ALL.into_iter().filter(|c| words.contains(&c.word())).collect();
    if counters.is_empty() {
        return Err(view.error(&COUNTERS, "at least one of bytes, packets, flows"));
    }
    let aggregates_flows = schema.aggregate().split(',').any(|word| word == "flows");
    if counters.contains(&Counter::Flows) && !aggregates_flows {
        return Err(view.error(&COUNTERS, "bytes or packets: flows are not in aggregate"));
    }
    Ok(Measure {
        interval,
        mode: match view.word(&VALUE) {
            Some("delta") => Mode::Delta,
            Some("total") => Mode::Total,
            _ => Mode::Rate,
        },
        unit: if view.word(&UNIT) == Some("bits") { Unit::Bits } else { Unit::Bytes },
        counters,
        peaks,
        idle_zeros: view.integer(&IDLE_ZEROS).unwrap_or(0).unsigned_abs(),
    })
}

fn names(view: View<'_>, schema: &Schema, measure: &Measure) -> Result<Names, ConfigError> {
    let prefix = view.text(&PREFIX).unwrap_or_default().trim_end_matches('.');
    let bare = Style {
        prefix,
        template: None,
        escape: view.character(&ESCAPE).and_then(|c| u8::try_from(c).ok()).unwrap_or(b'_'),
        tags: view.flag(&TAGS),
        many: measure.series().count() > 1,
    };
    // Whatever is wrong without the template is the prefix's fault.
    Names::new(bare, schema).map_err(|error| match error {
        TemplateError::Expected(what) => view.error(&PREFIX, what),
        TemplateError::Unknown(_) => view.error(&PREFIX, "no variables"),
    })?;
    let template = view.text(&TEMPLATE).filter(|text| !text.is_empty());
    Names::new(Style { template, ..bare }, schema).map_err(|error| match error {
        TemplateError::Expected(what) => view.error(&TEMPLATE, what),
        TemplateError::Unknown(word) => {
            let words = schema.fields().iter().map(|field| field.primitive.word).chain(["counter"]);
            let known: Vec<_> = words.clone().map(|word| format!("${word}")).collect();
            view.error_nearest(&TEMPLATE, &word, format!("one of {}", known.join(", ")), words)
        }
    })
}

fn outlet(view: View<'_>) -> Result<Outlet, ConfigError> {
    let protocol = match view.word(&PROTOCOL) {
        Some("udp") => Protocol::Udp,
        Some("pickle") => Protocol::Pickle,
        _ => Protocol::Tcp,
    };
    let port = view.integer(&PORT).and_then(|port| u16::try_from(port).ok()).unwrap_or(protocol.port());
    let destinations = destination::parse_list(view.text(&HOST).unwrap_or_default(), port)
        .map_err(|expected| view.error(&HOST, expected))?;
    let hashing = view.word(&METHOD) == Some("consistent-hashing");
    if hashing {
        Ring::new(&destinations).map_err(|expected| view.error(&HOST, expected))?;
    }
    Ok(Outlet {
        destinations,
        protocol,
        hashing,
        resend: Duration::from_secs(view.seconds(&RESEND).unwrap_or(0)),
        spool: view.path(&SPOOL).map(Into::into),
        bound: usize::try_from(view.size(&SPOOL_SIZE).unwrap_or(0)).unwrap_or(usize::MAX),
    })
}
