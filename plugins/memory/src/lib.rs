//! The memory plugin: a table that rpmacct queries over a Unix socket.
//!
//! Records are summed in a table that lasts until a client erases it or the daemon ends. Questions come over
//! the socket `imt_path`, one a connection:
//!
//! ```text
//! connection's thread                              plugin's thread
//!   read the question, check who asks
//!   wait until all that was captured is absorbed
//!   ─────────────── what to pick, what to erase ──▶ between two batches
//!   ◀────────────────────────────── a snapshot ───
//!   match, sort, send row by row
//! ```
//!
//! # Guarantees
//!
//! - An answer is of one moment, and about every packet that was captured before the question.
//! - What `-e` and `-r` take away is what the same answer shows: not a packet more, not a packet less.
//! - The plugin's thread only makes snapshots and looks up exact keys; a client that is slow, stalls, dies or
//!   talks nonsense costs the capture nothing and holds up no other client.
//! - Erasing and resetting is for root, the daemon's own user and the members of `imt_group`, by the
//!   credentials that the kernel vouches for, whatever the mode of the socket.
#![forbid(unsafe_code)]

mod access;
mod connection;
mod keys;
mod lent;
mod matcher;
mod points;
mod server;
mod sink;
mod socket;
mod timed;
mod top;

use rpmacct_plugin::{Context, Key, OpenError, Plugin, Sink};

/// The plugin, as the catalogue lists it.
#[derive(Debug, Clone, Copy, Default)]
pub struct Memory;

impl Plugin for Memory {
    fn kind(&self) -> &'static str {
        "memory"
    }

    fn doc(&self) -> &'static str {
        "Keeps the sums in memory, where rpmacct asks for them over a Unix socket"
    }

    fn keys(&self) -> &'static [&'static Key] {
        keys::KEYS
    }

    fn open(&self, context: Context<'_>) -> Result<Box<dyn Sink>, OpenError> {
        let settings = keys::Settings::read(&context.settings)?;
        Ok(Box::new(sink::MemorySink::open(settings, context)?))
    }
}
