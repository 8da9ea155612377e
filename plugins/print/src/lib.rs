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

mod claim;
mod config;
mod draft;
mod file_name;
mod sink;

use rpmacct_plugin::{Context, Key, OpenError, Plugin, Purger, Schedule, Sink};

use crate::claim::Claim;
use crate::config::{Output, Settings};
use crate::sink::{Files, Printer, Stdout, Target, Text};

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
        config::KEYS
    }

    fn open(&self, context: Context<'_>) -> Result<Box<dyn Sink>, OpenError> {
        let settings = Settings::read(&context.settings)?;
        let target = match settings.output {
            Output::Stdout { .. } if !context.foreground => {
                // The peer's sentence.
                let error = "no print_output_file defined and 'daemonize: true'. Output would be lost.";
                return Err(OpenError::Other(error.to_owned()));
            }
            Output::Stdout { lock } => Target::Stdout(Stdout::new(Box::new(std::io::stdout()), lock)),
            Output::File { name, append, write_empty, latest } => {
                name.check_writable()?;
                let claim = if append { None } else { Some(Claim::new(&name)?) };
                Target::File(Files::new(name, append, write_empty, latest, claim))
            }
        };
        let markers = settings.markers.then(|| context.name.to_owned());
        let printer = Printer { text: Text::new(&context.schema, settings.style, markers), target };
        let schedule = Schedule::new(context.now, settings.refresh, settings.delay);
        let key_len = context.schema.key_len();
        Ok(Box::new(Purger::new(printer, key_len, schedule, settings.limit, context.tallies)))
    }
}
