//! What the configuration says.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use jiff::tz::TimeZone;
use nix::unistd::{Group, User};
use rpmacct_config::nearest;
use rpmacct_plugin::{BinLength, Bins, ConfigError, RoundOff, Schema, Timestamp, View};
use rpmacct_primitives::{Dialect, Layout, Style, TimeStyle, Zone};

use crate::draft::Owner;
use crate::file_name::{FileName, Intervals};
use crate::keys;
use crate::preprocess::Preprocess;
use crate::trigger::CommandLine;

/// Entries if nobody says how many: half a gigabyte of pairs of hosts.
const DEFAULT_LIMIT: usize = 8 << 20;

/// What the keys say.
pub(crate) struct Settings {
    pub(crate) refresh: Duration,
    pub(crate) delay: Duration,
    pub(crate) bins: Option<Bins>,
    /// Bins go by the time of arrival.
    pub(crate) by_arrival: bool,
    /// Whether rows show their bin and the time of the purge.
    pub(crate) stamps: bool,
    /// Entries at which the table is purged early.
    pub(crate) limit: usize,
    pub(crate) preprocess: Preprocess,
    pub(crate) form: Form,
    pub(crate) style: Style,
    pub(crate) avro: AvroSettings,
    pub(crate) markers: bool,
    pub(crate) trigger: Option<CommandLine>,
    /// Triggers that run at once.
    pub(crate) triggers: usize,
    pub(crate) output: Output,
}

/// What only Avro needs.
pub(crate) struct AvroSettings {
    pub(crate) schema_file: Option<PathBuf>,
    /// Bytes.
    pub(crate) block_size: usize,
}

/// The form of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    Text(Layout),
    /// An object container file.
    Avro,
    /// The records of [`Self::Avro`] in Avro's JSON encoding, one a line.
    AvroJson,
}

/// Where the output goes.
pub(crate) enum Output {
    Stdout { lock: Option<PathBuf> },
    File { name: FileName, append: bool, write_empty: bool, latest: Option<FileName>, owner: Owner },
}

impl Settings {
    pub(crate) fn read(view: &View<'_>, schema: &Schema) -> Result<Self, ConfigError> {
        let seconds = |key| Duration::from_secs(view.seconds(key).unwrap_or_default());
        let refresh = seconds(&keys::REFRESH_TIME);
        let entries = view
            .integer(&keys::CACHE_ENTRIES)
            .and_then(|n| usize::try_from(n * keys::ENTRIES_PER_BUCKET).ok());
        let bins = bins(view)?;
        let history = bins.as_ref().map_or(0, Bins::nominal_secs).unsigned_abs();
        let intervals = Intervals { refresh, history: Duration::from_secs(history) };
        let form: Form = view.text(&keys::OUTPUT).and_then(|word| word.parse().ok()).unwrap_or_default();
        let is_counted = |key| view.integer(key).and_then(|n| usize::try_from(n).ok());
        let is_async = view.flag(&keys::TRIGGER_EXEC_ASYNC);
        Ok(Self {
            refresh,
            delay: seconds(&keys::STARTUP_DELAY),
            stamps: bins.is_some() && (view.flag(&keys::HISTORY_STAMPS) || form.always_has_stamps()),
            bins,
            by_arrival: view.flag(&keys::TIME_NEW),
            limit: entries.unwrap_or(DEFAULT_LIMIT),
            preprocess: view
                .text(&keys::PREPROCESS)
                .and_then(|text| preprocess(text).ok())
                .unwrap_or_default()
                .all(view.word(&keys::PREPROCESS_TYPE) == Some("all")),
            form,
            style: style(view, form),
            avro: AvroSettings {
                schema_file: view.path(&keys::AVRO_SCHEMA_FILE).map(Path::to_owned),
                block_size: view
                    .size(&keys::AVRO_BUFFER_SIZE)
                    .and_then(|n| usize::try_from(n).ok())
                    .unwrap_or(1),
            },
            markers: view.flag(&keys::MARKERS),
            trigger: view.text(&keys::TRIGGER_EXEC).and_then(|text| trigger(text).ok()),
            triggers: if is_async { is_counted(&keys::MAX_WRITERS).unwrap_or(1) } else { 1 },
            output: output(view, schema, intervals)?,
        })
    }
}

impl Form {
    /// The words that choose a form, in the order of the documentation.
    const WORDS: &[&str] =
        &["formatted", "csv", "json", "event_formatted", "event_csv", "avro", "avro_bin", "avro_json"];

    /// JSON and Avro have names for what is in them; of lines of text the columns are counted.
    fn always_has_stamps(self) -> bool {
        matches!(self, Self::Text(Layout::Json) | Self::Avro | Self::AvroJson)
    }
}

impl Default for Form {
    fn default() -> Self {
        Self::Text(Layout::Formatted)
    }
}

impl FromStr for Form {
    /// What was expected.
    type Err = String;

    fn from_str(word: &str) -> Result<Self, String> {
        let word = word.to_ascii_lowercase();
        match word.as_str() {
            "avro" | "avro_bin" => return Ok(Self::Avro),
            "avro_json" => return Ok(Self::AvroJson),
            _ => {}
        }
        word.parse().map(Self::Text).map_err(|_| {
            let expected = format!("one of {}", Self::WORDS.join(", "));
            if word == "custom" {
                return format!("{expected}; rpmacctd loads no libraries");
            }
            match nearest(&word, Self::WORDS.iter().copied()) {
                Some(meant) => format!("{expected}; did you mean {meant}?"),
                None => expected,
            }
        })
    }
}

fn bins(view: &View<'_>) -> Result<Option<Bins>, ConfigError> {
    let Some(length) = view.text(&keys::HISTORY).and_then(|text| text.parse::<BinLength>().ok()) else {
        return Ok(None);
    };
    let round_off = view.text(&keys::HISTORY_ROUNDOFF).and_then(|text| RoundOff::parse(text).ok().flatten());
    let offset = Duration::from_secs(view.seconds(&keys::HISTORY_OFFSET).unwrap_or_default());
    let bins = Bins::new(length, round_off, offset, zone(view).time_zone().clone());
    if offset.as_secs() >= bins.nominal_secs().unsigned_abs() {
        return Err(view.error(&keys::HISTORY_OFFSET, format!("less seconds than a bin has ({length})")));
    }
    Ok(Some(bins))
}

fn zone(view: &View<'_>) -> Zone {
    if view.flag(&keys::TIMESTAMPS_UTC) { Zone::utc() } else { Zone::local() }
}

fn style(view: &View<'_>, form: Form) -> Style {
    let style = Style::new(Dialect::Print);
    Style {
        layout: match form {
            Form::Text(layout) => layout,
            Form::Avro | Form::AvroJson => Layout::Json,
        },
        separator: view.character(&keys::SEPARATOR).unwrap_or(','),
        numeric_protocols: view.flag(&keys::NUM_PROTOS),
        time: if view.flag(&keys::TIMESTAMPS_SINCE_EPOCH) {
            TimeStyle::Epoch
        } else if view.flag(&keys::TIMESTAMPS_RFC3339) {
            TimeStyle::Rfc3339
        } else {
            TimeStyle::Plain
        },
        zone: zone(view),
        // Avro's own JSON has the types of its schema.
        json_as_1_7: form != Form::AvroJson && view.word(&keys::JSON_COMPAT) == Some("1.7"),
        event_type: matches!(form, Form::Text(_)),
        ..style
    }
}

fn output(view: &View<'_>, schema: &Schema, intervals: Intervals) -> Result<Output, ConfigError> {
    let text = view.text(&keys::OUTPUT_FILE);
    // `/dev/stdout` is not opened: behind it may be a file, which would be cut, or a socket, which can't be.
    let Some(text) = text.filter(|text| *text != "/dev/stdout") else {
        return Ok(Output::Stdout { lock: view.path(&keys::LOCK_FILE).map(Path::to_owned) });
    };
    let name = file_name(text, intervals, zone(view).time_zone().clone())
        .and_then(|name| name.bind(schema))
        .map_err(|expected| view.error(&keys::OUTPUT_FILE, expected))?;
    let is_dynamic = name.has_time() || name.has_values();
    if !is_dynamic && name.at_time(Timestamp::ZERO).is_dir() {
        return Err(view.error(&keys::OUTPUT_FILE, "a file, not a directory"));
    }
    let latest = view.text(&keys::LATEST_FILE).map(|text| link_name(text, intervals)?.bind(schema));
    let latest = latest.transpose().map_err(|expected| view.error(&keys::LATEST_FILE, expected))?;
    let id = |key, read: fn(&str) -> Result<u32, String>| view.text(key).and_then(|text| read(text).ok());
    Ok(Output::File {
        append: view.flag(&keys::APPEND),
        write_empty: view.flag(&keys::WRITE_EMPTY_FILE),
        // A name that stays the same is its own newest file, as in the peer.
        latest: latest.filter(|_| is_dynamic),
        owner: Owner { uid: id(&keys::FILES_UID, user), gid: id(&keys::FILES_GID, group) },
        name,
    })
}

/// On an error: what was expected.
pub(crate) fn file_name(text: &str, intervals: Intervals, zone: TimeZone) -> Result<FileName, String> {
    FileName::parse(text, intervals, zone).map_err(|problem| {
        format!("a path with %d %H %m %M %s %S %w %W %Y %z, $ref, $hst or $ and a primitive; {problem}")
    })
}

/// On an error: what was expected.
pub(crate) fn link_name(text: &str, intervals: Intervals) -> Result<FileName, String> {
    match FileName::parse(text, intervals, TimeZone::UTC) {
        Ok(name) if !name.has_time() => Ok(name),
        Ok(_) => Err("a path without times".to_owned()),
        Err(problem) => Err(format!("a path with $ref, $hst or $ and a primitive; {problem}")),
    }
}

/// On an error: what was expected.
pub(crate) fn preprocess(text: &str) -> Result<Preprocess, String> {
    text.parse().map_err(|problem| format!("word=number, …, of {}; {problem}", Preprocess::words()))
}

/// On an error: what was expected.
pub(crate) fn trigger(text: &str) -> Result<CommandLine, String> {
    let line = CommandLine::parse(text).and_then(|line| line.check().map(|()| line));
    line.map_err(|problem| format!("a program that can be run, and its arguments; {problem}"))
}

/// On an error: what was expected.
pub(crate) fn user(text: &str) -> Result<u32, String> {
    let by_name = || User::from_name(text).ok().flatten().map(|user| user.uid.as_raw());
    text.parse().ok().or_else(by_name).ok_or_else(|| "a user, by name or number".to_owned())
}

/// On an error: what was expected.
pub(crate) fn group(text: &str) -> Result<u32, String> {
    let by_name = || Group::from_name(text).ok().flatten().map(|group| group.gid.as_raw());
    text.parse().ok().or_else(by_name).ok_or_else(|| "a group, by name or number".to_owned())
}
