//! The print plugin: sums to files or standard output.
//!
//! Every `print_refresh_time` seconds the sums of the interval are written as text: columns, CSV or one JSON
//! object a line. The file is made anew each time, or gets a name with the time in it, or is appended to.
//!
//! # Guarantees
//!
//! - A reader of a file that is made anew sees the last interval or this one, never half of one. What is
//!   appended is whole lines; what can't be written to the end is cut off again and counted as lost.
//! - An interval is one purge, and one file. Purged in parts because the table was full, the parts go into
//!   one file.
//! - Rows have the order in which their keys first came, and nothing in them depends on when they are
//!   written: the same capture file gives the same bytes. (Markers have the process id in them.)
#![forbid(unsafe_code)]

mod avro;
mod claim;
mod config;
mod draft;
mod file_name;
mod files;
mod format;
mod keys;
mod preprocess;
mod share;
mod sink;
mod stdout;
mod text;
mod trigger;

use std::path::Path;

use rpmacct_plugin::{ConfigError, Context, Key, OpenError, Plugin, Purger, Schedule, Schema, Sink, View};
use rpmacct_primitives::{Layout, Rows};

use crate::avro::Avro;
use crate::claim::Claim;
use crate::config::{Form, Output, Settings};
use crate::files::Files;
use crate::format::Format;
use crate::sink::{Printer, Target};
use crate::stdout::Stdout;
use crate::text::Text;
use crate::trigger::Trigger;

/// The plugin.
#[derive(Debug)]
pub struct Print;

impl Plugin for Print {
    fn kind(&self) -> &'static str {
        "print"
    }

    fn doc(&self) -> &'static str {
        "Writes the sums of each interval to files or standard output"
    }

    fn keys(&self) -> &'static [&'static Key] {
        keys::KEYS
    }

    fn open(&self, context: Context<'_>) -> Result<Box<dyn Sink>, OpenError> {
        let settings = Settings::read(&context.settings, &context.schema)?;
        let key_len = context.schema.key_len();
        let format = format(&context, &settings)?;
        let values = Rows::new(&context.schema, settings.style);
        let target = match settings.output {
            Output::Stdout { .. } if !context.foreground => {
                // The peer's sentence.
                let error = "no print_output_file defined and 'daemonize: true'. Output would be lost.";
                return Err(OpenError::Other(error.to_owned()));
            }
            Output::Stdout { lock } => Target::Stdout(Stdout::new(Box::new(std::io::stdout()), lock)),
            Output::File { name, append, write_empty, latest, owner } => {
                name.check_writable()?;
                let claim = if append { None } else { Some(Claim::new(name.pattern())?) };
                let options = files::Options {
                    name,
                    append,
                    write_empty,
                    latest,
                    owner,
                    bins: settings.bins.clone(),
                    refresh: settings.refresh,
                    limit: settings.limit,
                };
                Target::Files(Box::new(Files::new(options, values, key_len, claim)))
            }
        };
        let trigger = settings.trigger.map(|line| Trigger::new(line, context.name, settings.triggers));
        let printer = Printer { format, preprocess: settings.preprocess, target, trigger };
        let (now, refresh, delay) = (context.now, settings.refresh, settings.delay);
        let schedule = match &settings.bins {
            Some(bins) => Schedule::counted_from(bins.base(now), now, refresh, delay),
            None => Schedule::new(now, refresh, delay),
        };
        let purger = Purger::new(printer, key_len, schedule, settings.limit, context.tallies);
        let options = context.schema.options();
        let purger = if options.stitching { purger.with_spans(options.whole_seconds) } else { purger };
        Ok(Box::new(match settings.bins {
            Some(bins) => purger.with_bins(bins, settings.by_arrival),
            None => purger,
        }))
    }

    fn check(&self, settings: View<'_>, schema: &Schema) -> Result<Vec<String>, ConfigError> {
        Settings::read(&settings, schema)?;
        Ok(Vec::new())
    }
}

fn format(context: &Context<'_>, settings: &Settings) -> Result<Format, OpenError> {
    let schema = &*context.schema;
    let mut rows = Rows::new(schema, settings.style.clone());
    if schema.options().stitching {
        rows = rows.with_span();
    }
    if settings.stamps {
        rows = rows.with_stamps();
    }
    if let (Form::Avro | Form::AvroJson, Some(path)) = (settings.form, &settings.avro.schema_file) {
        write_schema(path, &avro::schema_json(schema, &rows))?;
    }
    if settings.form == Form::Avro {
        return Ok(Format::Avro(Box::new(Avro::new(schema, rows, settings.avro.block_size)?)));
    }
    // Avro's lines are records and nothing else.
    let markers = settings.markers && settings.form != Form::AvroJson;
    let is_json = settings.style.layout == Layout::Json;
    Ok(Format::Text(Text::new(rows, is_json, markers.then(|| context.name.to_owned()))))
}

fn write_schema(path: &Path, json: &str) -> Result<(), OpenError> {
    let doing = || format!("writing {}", path.display());
    let write = || {
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(path, json)
    };
    write().map_err(|source| OpenError::Io { doing: doing(), source })
}
