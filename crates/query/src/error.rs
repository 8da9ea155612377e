//! What can go wrong between client and plugin.

use std::io;

use crate::hello::VERSION;

/// Why a conversation failed.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The socket failed, or a time-out passed.
    #[error("{doing}: {source}")]
    Io {
        /// What was being done, such as `reading a frame`.
        doing: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The stream ended before what was announced had come.
    #[error("the other side hung up in the middle")]
    Cut,
    /// Whatever is there, it is not this protocol.
    #[error("the other side does not speak rpmacct's query protocol")]
    NotOurs,
    /// The other side is of another release.
    #[error(
        "the other side ({program}) speaks version {version} of the query protocol, this one ({}) version \
         {VERSION}: use client and daemon of the same release",
        env!("CARGO_PKG_VERSION")
    )]
    Version {
        /// The version of its protocol.
        version: u16,
        /// Its own version.
        program: String,
    },
    /// A frame longer than its kind may be.
    #[error("a frame of {len} bytes, where at most {max} are allowed")]
    TooLong {
        /// What it claimed or would have had.
        len: usize,
        /// The most that is allowed.
        max: usize,
    },
    /// A frame that does not hold what it should.
    #[error("{what} can't be read: {why}")]
    Malformed {
        /// What it should have been, such as `the request`.
        what: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The plugin does not do what was asked; its own words.
    #[error("{0}")]
    Refused(String),
}

impl QueryError {
    pub(crate) fn malformed(what: &'static str, why: &impl ToString) -> Self {
        Self::Malformed { what, why: why.to_string() }
    }

    /// An error of the stream while `doing` something.
    pub(crate) fn io(doing: &'static str) -> impl FnOnce(io::Error) -> Self {
        move |source| match source.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
                Self::Cut
            }
            // What a passed SO_RCVTIMEO is called.
            io::ErrorKind::WouldBlock => Self::Io { doing, source: io::ErrorKind::TimedOut.into() },
            _ => Self::Io { doing, source },
        }
    }
}
