//! The plugin's configuration keys.
//!
//! The peer keeps `print_*`, `sql_*`, `amqp_*` and `kafka_*` in the same fields, so that any spelling sets
//! any of these plugins. The `sql_*` spellings are aliases here: the peer's own manual gives one of them for `-r`.
//! The others belong to plugins that have their own keys.

use jiff::tz::TimeZone;
use rpmacct_plugin::{BinLength, Key, RoundOff};

use crate::config::{Form, file_name, group, link_name, preprocess, trigger, user};
use crate::file_name::Intervals;

/// All rows of this file.
pub(crate) static KEYS: &[&Key] = &[
    &REFRESH_TIME,
    &STARTUP_DELAY,
    &HISTORY,
    &HISTORY_OFFSET,
    &HISTORY_ROUNDOFF,
    &HISTORY_STAMPS,
    &TIME_NEW,
    &OUTPUT,
    &OUTPUT_FILE,
    &APPEND,
    &WRITE_EMPTY_FILE,
    &LATEST_FILE,
    &LOCK_FILE,
    &FILES_UID,
    &FILES_GID,
    &SEPARATOR,
    &MARKERS,
    &NUM_PROTOS,
    &JSON_COMPAT,
    &AVRO_SCHEMA_FILE,
    &AVRO_BUFFER_SIZE,
    &PREPROCESS,
    &PREPROCESS_TYPE,
    &CACHE_ENTRIES,
    &TRIGGER_EXEC,
    &TRIGGER_EXEC_ASYNC,
    &MAX_WRITERS,
    &TIMESTAMPS_UTC,
    &TIMESTAMPS_SINCE_EPOCH,
    &TIMESTAMPS_RFC3339,
];

/// A year: longer intervals are mistakes.
const MAX_SECONDS: u64 = 365 * 24 * 60 * 60;

pub(crate) const REFRESH_TIME: Key = Key::seconds("print_refresh_time", 1, MAX_SECONDS)
    .alias(&["sql_refresh_time"])
    .default("60")
    .option('r')
    .doc("Seconds between purges, counted from the full minute");

pub(crate) const STARTUP_DELAY: Key = Key::seconds("print_startup_delay", 0, MAX_SECONDS)
    .default("0")
    .doc("Seconds that each purge is later than it would be");

pub(crate) const OUTPUT: Key = Key::text("print_output")
    .default("formatted")
    .option('O')
    .checked(|word| word.parse::<Form>().map(drop))
    .doc(
        "Form of the output: formatted, csv, json, avro (also avro_bin), avro_json, or without counters \
         event_formatted, event_csv",
    );

pub(crate) const OUTPUT_FILE: Key = Key::path("print_output_file")
    .option('o')
    .checked(|text| file_name(text, Intervals::default(), TimeZone::UTC).map(drop))
    .doc(
        "File to write, made anew at each purge; %d %H %m %M %s %S %w %W %Y %z stand for the beginning of the \
         bin, or without print_history for the time of the purge, as in strftime(3), $ref and $hst for the \
         seconds of print_refresh_time and print_history, and $ with a primitive of aggregate for its value, \
         each value a file of its own; standard output if not set",
    );

pub(crate) const APPEND: Key = Key::flag("print_output_file_append")
    .default("false")
    .switch('A', "true")
    .doc("Append to the file instead of making it anew; the header is written only into a new file");

pub(crate) const WRITE_EMPTY_FILE: Key =
    Key::flag("print_write_empty_file").default("false").doc("Make the file even if there was no traffic");

pub(crate) const LATEST_FILE: Key = Key::path("print_latest_file")
    .checked(|text| link_name(text, Intervals::default()).map(drop))
    .doc("Symbolic link to the newest file, for names with the time in them; may hold the $ variables of the name");

pub(crate) const LOCK_FILE: Key = Key::path("print_output_lock_file")
    .doc("File that is locked while standard output is written, for several writers on one terminal");

pub(crate) const SEPARATOR: Key =
    Key::character("print_output_separator").default(",").option('E').doc("What separates values in CSV");

pub(crate) const MARKERS: Key = Key::flag("print_markers")
    .default("false")
    .switch('M', "true")
    .doc("Mark the beginning and the end of each purge with a line");

pub(crate) const NUM_PROTOS: Key = Key::flag("print_num_protos")
    .default("false")
    .switch('u', "true")
    .doc("Protocols as numbers instead of names");

pub(crate) const CACHE_ENTRIES: Key = Key::integer("print_cache_entries", 1, MAX_CACHE_ENTRIES).doc(
    "Eleven times as many entries, as in the peer, are kept before they are purged early; 8388608 entries \
     if not set",
);

pub(crate) const MAX_WRITERS: Key = Key::integer("print_max_writers", 1, 99).default("10").doc(
    "Triggers that run at once with print_trigger_exec_async; files are written by the plugin's own thread",
);

pub(crate) const HISTORY: Key = Key::text("print_history")
    .alias(&["sql_history"])
    .checked(|text| text.parse::<BinLength>().map(drop).map_err(|e| e.expected().to_owned()))
    .doc(
        "Rows are kept apart by bins of packet time of this length, a number and s, m, h, d, w or M (months); \
         JSON and Avro then have stamp_inserted (the beginning of the bin) and stamp_updated",
    );

pub(crate) const HISTORY_OFFSET: Key = Key::seconds("print_history_offset", 0, MAX_SECONDS)
    .alias(&["sql_history_offset"])
    .default("0")
    .doc("Seconds by which each bin begins earlier; less than a bin");

pub(crate) const HISTORY_ROUNDOFF: Key = Key::text("print_history_roundoff")
    .alias(&["sql_history_roundoff"])
    .checked(|text| RoundOff::parse(text).map(drop).map_err(|e| e.expected().to_owned()))
    .doc(
        "What bins and purges are counted from: m the full hour, h midnight, d the first of the month, w Monday, \
         M the first of January; of several the longest; if not set, what is next above the unit of print_history",
    );

pub(crate) const HISTORY_STAMPS: Key = Key::flag("print_history_stamps")
    .default("false")
    .doc("With print_history: columns STAMP_INSERTED and STAMP_UPDATED in formatted and CSV output, too");

pub(crate) const PREPROCESS: Key = Key::text("print_preprocess")
    .alias(&["sql_preprocess"])
    .checked(|text| preprocess(text).map(drop))
    .doc(
        "Rows that are written: minp, minb, minf, maxp, maxb, maxf, minbpp, maxbpp, minppf, maxppf (packets, bytes, \
         flows, bytes a packet, packets a flow), fss and fsrc (sampling), as word=number, separated by commas; \
         qnum: only if a purge has so many rows; usrf multiplies all counters, adjb adds bytes for each packet",
    );

pub(crate) const PREPROCESS_TYPE: Key = Key::word("print_preprocess_type", &["any", "all"])
    .alias(&["sql_preprocess_type"])
    .default("any")
    .doc("Whether a row needs one of the checks of print_preprocess, or all");

pub(crate) const TRIGGER_EXEC: Key = Key::text("print_trigger_exec")
    .alias(&["sql_trigger_exec"])
    .checked(|text| trigger(text).map(drop))
    .doc(
        "Program that is run after each purge that wrote rows, with its arguments, quoted as in a shell but run \
         without one; RPMACCT_PLUGIN, RPMACCT_FILE, RPMACCT_FILES and RPMACCT_ROWS in its environment tell of the \
         purge",
    );

pub(crate) const TRIGGER_EXEC_ASYNC: Key = Key::flag("print_trigger_exec_async")
    .alias(&["sql_trigger_exec_async"])
    .default("false")
    .doc("Triggers run side by side, and do not wait for each other");

pub(crate) const AVRO_SCHEMA_FILE: Key = Key::path("avro_schema_file")
    .alias(&["avro_schema_output_file"])
    .doc("File that the Avro schema is written to at the start");

pub(crate) const AVRO_BUFFER_SIZE: Key =
    Key::size("avro_buffer_size", 1, 1 << 30).default("8192").doc("Bytes of a block of an Avro file");

pub(crate) const JSON_COMPAT: Key = Key::word("json_compat", &["1.7", "1.8"])
    .default("1.8")
    .doc("JSON types as those of pmacctd 1.7 (tcp_flags is a string) or 1.8 (a number)");

pub(crate) const FILES_UID: Key = Key::text("files_uid")
    .checked(|text| user(text).map(drop))
    .doc("User, by name or number, that new files of print and their directories belong to");

pub(crate) const FILES_GID: Key = Key::text("files_gid")
    .checked(|text| group(text).map(drop))
    .doc("Group, by name or number, that new files of print and their directories belong to");

pub(crate) const TIME_NEW: Key = Key::flag("pmacctd_time_new")
    .alias(&["nfacctd_time_new", "sfacctd_time_new", "uacctd_time_new"])
    .default("false")
    .doc(
        "Bins of print_history go by the time at which packets reach the plugin, not by that of the capture",
    );

pub(crate) const TIMESTAMPS_UTC: Key =
    Key::flag("timestamps_utc").default("false").doc("Times in UTC instead of the machine's zone");

pub(crate) const TIMESTAMPS_SINCE_EPOCH: Key =
    Key::flag("timestamps_since_epoch").default("false").doc("Times as seconds since 1970-01-01T00:00:00Z");

pub(crate) const TIMESTAMPS_RFC3339: Key = Key::flag("timestamps_rfc3339")
    .alias(&["timestamps_rfc9557"])
    .default("false")
    .doc("Times as 2023-11-14T22:13:20.100000+00:00");

/// Entries that the peer keeps for each of `print_cache_entries`.
pub(crate) const ENTRIES_PER_BUCKET: i64 = 11;
/// So that the table can number its entries with 32 bits.
const MAX_CACHE_ENTRIES: i64 = u32::MAX as i64 / ENTRIES_PER_BUCKET;
