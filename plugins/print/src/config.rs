//! The plugin's configuration keys, and what they say.
//!
//! The peer keeps `print_*`, `sql_*`, `amqp_*` and `kafka_*` in the same fields, so that any spelling sets
//! any of these plugins. Only one such spelling is an alias here: `sql_refresh_time`, which the peer's own
//! manual gives for `-r`. The others belong to plugins that have their own keys.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::tz::TimeZone;
use rpmacct_config::nearest;
use rpmacct_plugin::{ConfigError, Key, Timestamp, View};
use rpmacct_primitives::{Dialect, Layout, Style, TimeStyle, Zone};

use crate::file_name::FileName;

/// All rows of this file.
pub(crate) static KEYS: &[&Key] = &[
    &REFRESH_TIME,
    &STARTUP_DELAY,
    &OUTPUT,
    &OUTPUT_FILE,
    &APPEND,
    &WRITE_EMPTY_FILE,
    &LATEST_FILE,
    &LOCK_FILE,
    &SEPARATOR,
    &MARKERS,
    &NUM_PROTOS,
    &CACHE_ENTRIES,
    &MAX_WRITERS,
    &TIMESTAMPS_UTC,
    &TIMESTAMPS_SINCE_EPOCH,
    &TIMESTAMPS_RFC3339,
];

/// A year: longer intervals are mistakes.
const MAX_SECONDS: u64 = 365 * 24 * 60 * 60;

const REFRESH_TIME: Key = Key::seconds("print_refresh_time", 1, MAX_SECONDS)
    .alias(&["sql_refresh_time"])
    .default("60")
    .option('r')
    .doc("Seconds between purges, counted from the full minute");

const STARTUP_DELAY: Key = Key::seconds("print_startup_delay", 0, MAX_SECONDS)
    .default("0")
    .doc("Seconds that each purge is later than it would be");

const OUTPUT: Key = Key::text("print_output")
    .default("formatted")
    .option('O')
    .checked(|word| layout(word).map(drop))
    .doc("Form of the output: formatted, csv, json, or without counters event_formatted, event_csv");

/// Forms that only the peer has.
const NOT_YET: &[&str] = &["avro", "avro_bin", "avro_json", "custom"];

const OUTPUT_FILE: Key = Key::path("print_output_file")
    .option('o')
    .checked(|text| file_name(text, Duration::ZERO, TimeZone::UTC).map(drop))
    .doc(
        "File to write, made anew at each purge; %d %H %m %M %s %S %w %W %Y %z stand for the time of the \
         purge as in strftime(3), $ref for print_refresh_time; standard output if not set",
    );

const APPEND: Key = Key::flag("print_output_file_append")
    .default("false")
    .switch('A', "true")
    .doc("Append to the file instead of making it anew; the header is written only into a new file");

const WRITE_EMPTY_FILE: Key =
    Key::flag("print_write_empty_file").default("false").doc("Make the file even if there was no traffic");

const LATEST_FILE: Key = Key::path("print_latest_file")
    .checked(|text| link_name(text, Duration::ZERO).map(drop))
    .doc("Symbolic link to the newest file, for names with the time in them");

const LOCK_FILE: Key = Key::path("print_output_lock_file")
    .doc("File that is locked while standard output is written, for several writers on one terminal");

const SEPARATOR: Key =
    Key::character("print_output_separator").default(",").option('E').doc("What separates values in CSV");

const MARKERS: Key = Key::flag("print_markers")
    .default("false")
    .switch('M', "true")
    .doc("Mark the beginning and the end of each purge with a line");

const NUM_PROTOS: Key = Key::flag("print_num_protos")
    .default("false")
    .switch('u', "true")
    .doc("Protocols as numbers instead of names");

const CACHE_ENTRIES: Key = Key::integer("print_cache_entries", 1, MAX_CACHE_ENTRIES).doc(
    "Eleven times as many entries, as in the peer, are kept before they are purged early; 8388608 entries \
     if not set",
);

const MAX_WRITERS: Key = Key::integer("print_max_writers", 1, 99)
    .default("10")
    .doc("Needless here: the plugin's own thread writes");

const TIMESTAMPS_UTC: Key =
    Key::flag("timestamps_utc").default("false").doc("Times in UTC instead of the machine's zone");

const TIMESTAMPS_SINCE_EPOCH: Key =
    Key::flag("timestamps_since_epoch").default("false").doc("Times as seconds since 1970-01-01T00:00:00Z");

const TIMESTAMPS_RFC3339: Key = Key::flag("timestamps_rfc3339")
    .alias(&["timestamps_rfc9557"])
    .default("false")
    .doc("Times as 2023-11-14T22:13:20.100000+00:00");

/// Entries that the peer keeps for each of `print_cache_entries`.
const ENTRIES_PER_BUCKET: i64 = 11;
/// So that the table can number its entries with 32 bits.
const MAX_CACHE_ENTRIES: i64 = u32::MAX as i64 / ENTRIES_PER_BUCKET;
/// Entries if nobody says how many: half a gigabyte of pairs of hosts.
const DEFAULT_LIMIT: usize = 8 << 20;

/// What the keys say.
pub(crate) struct Settings {
    pub(crate) refresh: Duration,
    pub(crate) delay: Duration,
    /// Entries at which the table is purged early.
    pub(crate) limit: usize,
    pub(crate) style: Style,
    pub(crate) markers: bool,
    pub(crate) output: Output,
}

/// Where the output goes.
pub(crate) enum Output {
    Stdout { lock: Option<PathBuf> },
    File { name: FileName, append: bool, write_empty: bool, latest: Option<PathBuf> },
}

impl Settings {
    pub(crate) fn read(view: &View<'_>) -> Result<Self, ConfigError> {
        let seconds = |key| Duration::from_secs(view.seconds(key).unwrap_or_default());
        let refresh = seconds(&REFRESH_TIME);
        let entries = view.integer(&CACHE_ENTRIES).and_then(|n| usize::try_from(n * ENTRIES_PER_BUCKET).ok());
        Ok(Self {
            refresh,
            delay: seconds(&STARTUP_DELAY),
            limit: entries.unwrap_or(DEFAULT_LIMIT),
            style: style(view),
            markers: view.flag(&MARKERS),
            output: output(view, refresh)?,
        })
    }
}

fn style(view: &View<'_>) -> Style {
    Style {
        layout: view.text(&OUTPUT).and_then(|word| layout(word).ok()).unwrap_or(Layout::Formatted),
        separator: view.character(&SEPARATOR).unwrap_or(','),
        numeric_protocols: view.flag(&NUM_PROTOS),
        time: if view.flag(&TIMESTAMPS_SINCE_EPOCH) {
            TimeStyle::Epoch
        } else if view.flag(&TIMESTAMPS_RFC3339) {
            TimeStyle::Rfc3339
        } else {
            TimeStyle::Plain
        },
        zone: if view.flag(&TIMESTAMPS_UTC) { Zone::utc() } else { Zone::local() },
        ..Style::new(Dialect::Print)
    }
}

fn output(view: &View<'_>, refresh: Duration) -> Result<Output, ConfigError> {
    let text = view.text(&OUTPUT_FILE);
    // `/dev/stdout` is not opened: behind it may be a file, which would be cut, or a socket, which can't be.
    let Some(text) = text.filter(|text| *text != "/dev/stdout") else {
        return Ok(Output::Stdout { lock: view.path(&LOCK_FILE).map(Path::to_owned) });
    };
    let zone = if view.flag(&TIMESTAMPS_UTC) { TimeZone::UTC } else { TimeZone::system() };
    let name = file_name(text, refresh, zone).map_err(|expected| view.error(&OUTPUT_FILE, expected))?;
    if !name.is_dynamic() && name.at(Timestamp::ZERO).is_dir() {
        return Err(view.error(&OUTPUT_FILE, "a file, not a directory"));
    }
    let latest = view.text(&LATEST_FILE).map(|text| link_name(text, refresh));
    let latest = latest.transpose().map_err(|expected| view.error(&LATEST_FILE, expected))?;
    Ok(Output::File {
        append: view.flag(&APPEND),
        write_empty: view.flag(&WRITE_EMPTY_FILE),
        // A name that stays the same is its own newest file, as in the peer.
        latest: latest.filter(|_| name.is_dynamic()),
        name,
    })
}

/// On an error: what was expected. A text, not one of several words: those that the peer has besides ours
/// are neither offered to anybody nor taken for slips.
fn layout(word: &str) -> Result<Layout, String> {
    let word = word.to_ascii_lowercase();
    word.parse().map_err(|_| {
        let expected = format!("one of {}", Layout::WORDS.join(", "));
        if NOT_YET.contains(&word.as_str()) {
            return format!("{expected}; {word} is not implemented yet");
        }
        match nearest(&word, Layout::WORDS.iter().copied()) {
            Some(meant) => format!("{expected}; did you mean {meant}?"),
            None => expected,
        }
    })
}

/// On an error: what was expected.
fn file_name(text: &str, refresh: Duration, zone: TimeZone) -> Result<FileName, String> {
    FileName::parse(text, refresh, zone)
        .map_err(|problem| format!("a path with %d %H %m %M %s %S %w %W %Y %z or $ref; {problem}"))
}

/// On an error: what was expected.
fn link_name(text: &str, refresh: Duration) -> Result<PathBuf, String> {
    match FileName::parse(text, refresh, TimeZone::UTC) {
        Ok(name) if !name.is_dynamic() => Ok(name.at(Timestamp::ZERO)),
        _ => Err("a path without variables but $ref".to_owned()),
    }
}
