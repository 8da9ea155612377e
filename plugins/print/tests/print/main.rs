//! The print plugin as the daemon runs it, without the daemon.

mod bench;
mod files;
mod formats;
mod settings;
