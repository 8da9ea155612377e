//! The print plugin as the daemon runs it, without the daemon.

mod avro;
mod bench;
mod bins;
mod files;
mod formats;
mod names;
mod preprocess;
mod settings;
mod tail;
mod triggers;
