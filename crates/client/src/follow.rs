//! `--follow`: a stream of increments.
//!
//! Intervals begin and end where the daemon says that they do: each begins at the very moment at which the one
//! before it ended, so that every packet is in exactly one, however late a question is.

use std::io::{self, ErrorKind, Read};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rpmacct_primitives::{Layout, Rows, Style};
use rpmacct_query::{Answer, Basis, Context, Increments, Request, RowsRequest, Shape, Since};
use signal_hook::consts::{SIGINT, SIGTERM};

use crate::Console;
use crate::error::ClientError;
use crate::print;
use crate::talk::{Reply, talk};
use crate::token;

/// From one attempt to the next while the daemon is away.
const RETRY: Duration = Duration::from_millis(500);

/// What to follow, and how.
#[derive(Debug)]
pub(crate) struct Follow {
    pub(crate) request: RowsRequest,
    pub(crate) style: Style,
    /// Length of an interval.
    pub(crate) every: Duration,
}

/// A stream that has begun.
struct Stream<'a, 'c> {
    follow: Follow,
    socket: &'a Path,
    token_file: Option<&'a Path>,
    console: &'a mut Console<'c>,
    /// The shape of the rows that the last heading was for.
    shape: Option<Shape>,
    /// When the last interval ended, in nanoseconds since the epoch.
    last: Option<i64>,
    /// Since when the daemon does not answer.
    away: Option<Instant>,
}

impl Follow {
    /// Goes on until a signal comes, or nobody reads any more.
    pub(crate) fn run(
        mut self,
        socket: &Path,
        token_file: Option<&Path>,
        console: &mut Console<'_>,
    ) -> Result<u8, ClientError> {
        let mut signals = Signals::catch().map_err(ClientError::Signals)?;
        let every = self.every;
        // Without a token: from now on.
        let begins = self.request.since.is_none();
        self.request.since.get_or_insert(Since::Now);
        let mut stream =
            Stream { follow: self, socket, token_file, console, shape: None, last: None, away: None };
        let start = Instant::now();
        stream.interval(!begins)?;
        let mut next = start + every;
        while !signals.came_before(stream.away.map_or(next, |_| Instant::now() + RETRY)) {
            if reader_is_gone() {
                return Ok(0);
            }
            match stream.interval(true) {
                Ok(()) => stream.away = None,
                Err(error) if error.may_pass() => stream.is_away(&error),
                Err(error) => return Err(error),
            }
            // Times are those of the start plus whole intervals: what is late delays nothing after it.
            if let Some(behind) = Instant::now().checked_duration_since(next) {
                next += every * (behind.as_nanos() / every.as_nanos() + 1) as u32;
            }
        }
        Ok(0)
    }
}

impl Stream<'_, '_> {
    /// Asks, and writes what was added. The first answer, which only gives a token, is not shown.
    fn interval(&mut self, is_shown: bool) -> Result<(), ClientError> {
        let request = Request::Rows(self.follow.request.clone());
        let reply = talk(self.socket, &request, self.console.err)?;
        let (answer, mut frames) = reply.read_ahead();
        let unexpected = || Reply::unexpected(self.socket);
        let Answer::Table(shape, context) = answer else { return Err(unexpected()) };
        let Some(increments) = context.increments.clone() else { return Err(unexpected()) };
        let schema = shape.schema().map_err(|error| ClientError::Query(self.socket.to_owned(), error))?;
        let rows = Rows::new(&schema, self.follow.style.clone());
        let (mut lines, mut entries) = (Vec::new(), 0);
        // The whole answer, before anything of it is shown: one that breaks off is asked for again.
        let mut each = |write: &dyn Fn(&mut Vec<u8>)| {
            self.follow.begin_row(&increments, &mut lines);
            let begin = lines.len();
            write(&mut lines);
            if self.follow.style.layout == Layout::Json {
                lines.remove(begin); // its brace is there already
            }
            entries += 1;
        };
        for frame in &mut frames {
            for (key, counters) in frame?.iter() {
                each(&|lines| rows.row(key, &counters, lines));
            }
        }
        if let Some(other) = print::other_row(&context) {
            each(&|lines| rows.other(&other, lines));
        }
        if increments.basis == Basis::Forgotten {
            (lines, entries) = (Vec::new(), 0); // what was shown before is in there, too
        }
        self.say(&increments, &context);
        self.write_heading(&shape, &rows)?;
        if is_shown {
            if self.follow.style.layout == Layout::Json {
                print::closing_object(&increments, entries, &self.follow.style, &mut lines);
            }
            self.console.out.write_all(&lines).map_err(ClientError::Output)?;
        }
        self.console.out.flush().map_err(ClientError::Output)?;
        if let Some(file) = self.token_file {
            token::write(file, &increments.token)?;
        }
        self.last = Some(increments.to);
        self.follow.request.since = Some(Since::Token(increments.token));
        Ok(())
    }

    /// CSV has a heading, and another one where the daemon came back with other columns.
    fn write_heading(&mut self, shape: &Shape, rows: &Rows) -> Result<(), ClientError> {
        if self.shape.as_ref() == Some(shape) {
            return Ok(());
        }
        self.shape = Some(shape.clone());
        let Style { layout, separator, .. } = self.follow.style;
        if layout == Layout::Csv {
            let mut heading = format!("INTERVAL_START{separator}INTERVAL_END{separator}").into_bytes();
            rows.header(&mut heading);
            self.console.out.write_all(&heading).map_err(ClientError::Output)?;
        }
        Ok(())
    }

    /// Says what a reader of the rows must know.
    fn say(&mut self, increments: &Increments, context: &Context) {
        let style = &self.follow.style;
        let time = |at| {
            let mut text = Vec::new();
            print::time(at, style, &mut text);
            String::from_utf8_lossy(&text).into_owned()
        };
        if let Some(why) = token::why_unknown(increments.basis) {
            let from = self.last.map(|last| format!(" from {}", time(last))).unwrap_or_default();
            let until = time(increments.from);
            let _ = match increments.basis {
                Basis::Forgotten => {
                    let until = time(increments.to);
                    writeln!(
                        self.console.err,
                        "WARN: {why}: what was counted{from} until {until} is not shown"
                    )
                }
                _ => writeln!(
                    self.console.err,
                    "WARN: {why}: what was counted{from} until its end is not shown; going on from {until}"
                ),
            };
        } else if let Some(away) = self.away {
            let seconds = away.elapsed().as_secs();
            let _ = writeln!(
                self.console.err,
                "NOTE: the daemon answers again after {seconds} s; nothing was missed"
            );
        }
        if context.other.is_some_and(|other| other.packets > 0) {
            token::say_full(context, self.console);
        }
    }

    fn is_away(&mut self, error: &ClientError) {
        if self.away.is_none() {
            self.away = Some(Instant::now());
            let _ = writeln!(self.console.err, "WARN: {error}: waiting for the daemon");
        }
    }
}

impl Follow {
    /// What stands before each row: its interval.
    fn begin_row(&self, increments: &Increments, lines: &mut Vec<u8>) {
        let style = &self.style;
        if style.layout == Layout::Json {
            lines.push(b'{');
            return print::interval(increments, style, lines);
        }
        let mut separator = [0; 4];
        let separator = style.separator.encode_utf8(&mut separator);
        for at in [increments.from, increments.to] {
            print::time(at, style, lines);
            lines.extend_from_slice(separator.as_bytes());
        }
    }
}

/// SIGINT and SIGTERM, which end the stream between two intervals; the second one ends it at once.
struct Signals(UnixStream);

impl Signals {
    fn catch() -> io::Result<Self> {
        let (read, write) = UnixStream::pair()?;
        for signal in [SIGINT, SIGTERM] {
            let once = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register_conditional_shutdown(signal, 0, Arc::clone(&once))?;
            signal_hook::flag::register(signal, once)?;
            signal_hook::low_level::pipe::register(signal, write.try_clone()?)?;
        }
        Ok(Self(read))
    }

    /// Sleeps until a moment; true if a signal came.
    fn came_before(&mut self, moment: Instant) -> bool {
        loop {
            // A time-out of zero would be none at all.
            let left = moment.saturating_duration_since(Instant::now()).max(Duration::from_micros(1));
            let read = self.0.set_read_timeout(Some(left)).and_then(|()| self.0.read(&mut [0]));
            match read {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if Instant::now() >= moment {
                        return false;
                    }
                }
                _ => return true,
            }
        }
    }
}

/// Whether standard output is a pipe that nobody reads any more: intervals without rows would not notice.
fn reader_is_gone() -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;

    let out = io::stdout();
    let mut out = [PollFd::new(out.as_fd(), PollFlags::empty())];
    poll(&mut out, PollTimeout::ZERO).is_ok()
        && out[0].revents().is_some_and(|e| e.contains(PollFlags::POLLERR))
}
