//! What can go wrong, in the words that scripts look for.

use std::io;
use std::path::PathBuf;

use rpmacct_primitives::ParseValueError;
use rpmacct_query::{MAX_QUERIES, QueryError};

/// Why the client ends with exit code 1. Printed after `ERROR: `.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// getopt's own words go to standard error, under the program's name.
    #[error("parameter ? unknown! ")]
    BadOption(String),
    #[error("'{0}' belongs to no option")]
    Stray(String),
    #[error("{0}: '{1}' is not UTF-8")]
    NotText(&'static str, String),
    #[error("no options specified. Either -s, -e, -t, -M, -N or -C must be supplied. ")]
    NothingAsked,
    #[error("-s, -t, -N, -M and -C options are each mutually exclusive.")]
    Exclusive,
    #[error("-N or -M selected but -c has not been specified or is invalid.")]
    NoPrimitives,
    #[error("-r selected but either -N or -M has not been specified.")]
    NothingToReset,
    #[error("-n and -S options apply only to -N")]
    OnlyForCounts,
    #[error("-T option apply only to -M or -s")]
    OnlyForRows,
    #[error("-E option expects a single char as separator")]
    Separator,
    #[error("-T, unknown counter type: {0}")]
    UnknownCounter(String),
    #[error("-T, '{0}' is not a number of entries")]
    NotANumber(String),
    #[error("--follow, '{0}' is no number of seconds (from 0.1)")]
    NotAnInterval(String),
    #[error("--since and --token-file apply only to -s, -M and -N")]
    OnlyForIncrements,
    #[error("--follow applies only to -s and -M, without -e and -r")]
    OnlyForFollowing,
    #[error("--follow writes json or csv")]
    NotForFollowing,
    #[error("token file '{}': {}", .0.display(), reason(.1))]
    TokenFile(PathBuf, io::Error),
    #[error("catching signals: {}", reason(.0))]
    Signals(io::Error),
    #[error("unknown primitive '{word}'{}", hint(*.nearest))]
    UnknownPrimitive { word: String, nearest: Option<&'static str> },
    #[error("{word}: {error}")]
    BadValue { word: &'static str, error: ParseValueError },
    #[error("{0}")]
    BadProtocol(ParseValueError),
    #[error("'{query}' has {values} values for {primitives} primitives")]
    WrongNumberOfValues { query: String, values: usize, primitives: usize },
    #[error("no value to look for")]
    NoQuery,
    #[error("{0} queries, at most {MAX_QUERIES} at once")]
    TooManyQueries(usize),
    #[error("file '{0}' not found")]
    FileNotFound(String),
    #[error("file '{0}': {1}")]
    FileNotRead(String, io::Error),
    /// Nobody listens there.
    #[error("Unable to connect to '{}'", .0.display())]
    NoServer(PathBuf),
    /// There is something, but nobody listens there any more.
    #[error("Unable to connect to '{}'", .0.display())]
    Stale(PathBuf),
    #[error("Unable to connect to '{}': {}", .0.display(), reason(.1))]
    NoConnection(PathBuf, io::Error),
    /// The answer ended early, after so many rows.
    #[error("missing EOF from server ({0})")]
    Cut(u64),
    #[error("{0}")]
    Refused(String),
    #[error("'{}': {}", .0.display(), .1)]
    Query(PathBuf, QueryError),
    #[error("the daemon gives no ledger")]
    NoLedger,
    #[error("writing the answer: {}", reason(.0))]
    Output(io::Error),
}

/// What is printed after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tail {
    Nothing,
    /// An empty line.
    Blank,
    /// That the client ends.
    Exiting,
    /// That it ends, and how it is used.
    Usage,
}

impl ClientError {
    /// The first line. The peer, whose name `classic` stands for, has other words for a stale socket.
    pub(crate) fn line(&self, classic: bool) -> String {
        match self {
            Self::Stale(path) if classic => {
                format!("INFO: Connection refused while trying to connect to '{}'", path.display())
            }
            _ => format!("ERROR: {self}"),
        }
    }

    /// Whether the daemon may answer when it is asked again later.
    pub(crate) fn may_pass(&self) -> bool {
        matches!(
            self,
            Self::NoServer(_)
                | Self::Stale(_)
                | Self::NoConnection(..)
                | Self::Cut(_)
                | Self::Refused(_)
                | Self::Query(_, QueryError::Io { .. } | QueryError::Cut)
        )
    }

    pub(crate) fn tail(&self) -> Tail {
        match self {
            Self::BadOption(_)
            | Self::NothingAsked
            | Self::NoPrimitives
            | Self::NothingToReset
            | Self::OnlyForCounts
            | Self::OnlyForRows
            | Self::OnlyForIncrements
            | Self::OnlyForFollowing => Tail::Usage,
            Self::Separator => Tail::Exiting,
            Self::Exclusive | Self::NoServer(_) | Self::Stale(_) | Self::NoConnection(..) => Tail::Blank,
            _ => Tail::Nothing,
        }
    }
}

fn hint(nearest: Option<&'static str>) -> String {
    nearest.map(|word| format!("\n  did you mean '{word}'?")).unwrap_or_default()
}

/// The operating system's words without its number: `Permission denied`.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}
