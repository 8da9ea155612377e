//! To the plugin and back.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

use rpmacct_query::{Answer, PackedRows, QueryError, Request, RowStream, ask};

use crate::error::ClientError;

/// Longer than the plugin takes for its slowest answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer, and where it comes from.
#[derive(Debug)]
pub(crate) struct Reply {
    answer: Answer,
    rows: RowStream<UnixStream>,
    socket: PathBuf,
}

/// Asks the plugin behind `socket`. What is odd about the answer is said to `complaints`.
pub(crate) fn talk(
    socket: &Path,
    request: &Request,
    complaints: &mut dyn Write,
) -> Result<Reply, ClientError> {
    let stream = connect(socket)?;
    let reply = ask(stream, request).map_err(|error| trouble(socket, error, 0))?;
    if !reply.complete {
        let _ = writeln!(complaints, "WARN: the daemon is busy or ending: its newest packets may be missing");
    }
    Ok(Reply { answer: reply.answer, rows: reply.rows, socket: socket.to_owned() })
}

/// Whether somebody listens there.
pub(crate) fn knock(socket: &Path) -> Result<(), ClientError> {
    connect(socket).map(drop)
}

impl Reply {
    /// The answer when it has no rows.
    pub(crate) fn answer(self) -> Result<Answer, ClientError> {
        let (answer, mut rows) = self.read_ahead();
        rows.try_for_each(|rows| rows.map(drop))?;
        Ok(answer)
    }

    /// The answer and its rows. They are read as fast as they come, so that a slow terminal never makes
    /// the plugin wait.
    pub(crate) fn read_ahead(self) -> (Answer, Rows) {
        let Self { answer, rows, socket } = self;
        let (send, receive) = mpsc::channel();
        thread::spawn(move || {
            for rows in rows {
                if send.send(Some(rows)).is_err() {
                    return;
                }
            }
            let _ = send.send(None);
        });
        (answer, Rows { receive, socket, count: 0 })
    }

    /// Where it comes from.
    pub(crate) fn socket(&self) -> &Path {
        &self.socket
    }

    /// The error for an answer to another question.
    pub(crate) fn unexpected(socket: &Path) -> ClientError {
        ClientError::Query(socket.to_owned(), QueryError::NotOurs)
    }
}

/// The rows of an answer. They end without an error only if all came.
#[derive(Debug)]
pub(crate) struct Rows {
    receive: Receiver<Option<Result<PackedRows, QueryError>>>,
    pub(crate) socket: PathBuf,
    /// How many came.
    pub(crate) count: u64,
}

impl Iterator for Rows {
    type Item = Result<PackedRows, ClientError>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.receive.recv() {
            Ok(None) => None,
            Ok(Some(Ok(rows))) => {
                self.count += rows.len() as u64;
                Some(Ok(rows))
            }
            Ok(Some(Err(error))) => Some(Err(trouble(&self.socket, error, self.count))),
            Err(_) => Some(Err(ClientError::Cut(self.count))),
        }
    }
}

fn connect(socket: &Path) -> Result<UnixStream, ClientError> {
    let stream = UnixStream::connect(socket).and_then(|stream| {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    });
    stream.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ClientError::NoServer(socket.to_owned()),
        io::ErrorKind::ConnectionRefused => ClientError::Stale(socket.to_owned()),
        _ => ClientError::NoConnection(socket.to_owned(), error),
    })
}

fn trouble(socket: &Path, error: QueryError, rows: u64) -> ClientError {
    match error {
        QueryError::Cut => ClientError::Cut(rows),
        QueryError::Refused(why) => ClientError::Refused(why),
        other => ClientError::Query(socket.to_owned(), other),
    }
}
