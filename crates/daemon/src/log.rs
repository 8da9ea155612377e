//! The log: standard error, a file, syslog.
//!
//! Lines are `LEVEL ( name/type ): text`, as the monitoring of ten years greps them. Who speaks is known by
//! the thread: the core is `default/core`, a plugin's thread is `name/type` ([`speak_as`]).

use std::cell::RefCell;
use std::ffi::CString;
use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use nix::syslog::{Facility, LogFlags, Priority, Severity, openlog, syslog};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::{Context, SubscriberExt as _};

/// Where log lines go.
#[derive(Debug, Clone, Default)]
pub(crate) struct LogOptions {
    pub(crate) core_name: String,
    pub(crate) debug: bool,
    pub(crate) stderr_time: bool,
    pub(crate) file: Option<PathBuf>,
    pub(crate) facility: Option<String>,
}

thread_local! {
    static SPEAKER: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Makes the calling thread's log lines those of `speaker`, such as `default_memory/memory`.
pub(crate) fn speak_as(speaker: &str) {
    SPEAKER.set(Some(speaker.to_owned()));
}

/// The open log.
struct Log {
    core: String,
    debug: bool,
    stderr_time: bool,
    to_stderr: bool,
    syslog: Option<Facility>,
    path: Option<PathBuf>,
    file: Mutex<Option<File>>,
}

/// A handle to reopen the log's file.
#[derive(Clone, Copy)]
pub(crate) struct LogHandle(&'static Log);

/// Opens the log and makes it the process's. It lives until the process ends.
pub(crate) fn open(options: LogOptions) -> Result<LogHandle, (PathBuf, io::Error)> {
    let LogOptions { core_name, debug, stderr_time, file: path, facility } = options;
    let file = match &path {
        Some(path) => Some(append(path).map_err(|e| (path.clone(), e))?),
        None => None,
    };
    if let Some(facility) = &facility {
        let ident: Option<&'static std::ffi::CStr> =
            CString::new("rpmacctd").ok().map(|ident| &*Box::leak(ident.into_boxed_c_str()));
        let _ = openlog(ident, LogFlags::LOG_PID, facility_of(facility));
    }
    let log: &'static Log = Box::leak(Box::new(Log {
        core: format!("{core_name}/core"),
        debug,
        stderr_time,
        to_stderr: path.is_none() && facility.is_none(),
        syslog: facility.as_deref().map(facility_of),
        path,
        file: Mutex::new(file),
    }));
    let _ = tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Lines(log)));
    Ok(LogHandle(log))
}

impl LogHandle {
    /// Opens the log file anew: the old one was moved away.
    pub(crate) fn reopen(self) -> Result<(), (PathBuf, io::Error)> {
        let Some(path) = &self.0.path else { return Ok(()) };
        let file = append(path).map_err(|e| (path.clone(), e))?;
        *self.0.file.lock().unwrap_or_else(PoisonError::into_inner) = Some(file);
        Ok(())
    }
}

impl LogHandle {
    /// Whether lines go to standard error, and nowhere else.
    pub(crate) fn is_stderr(self) -> bool {
        self.0.to_stderr
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).open(path)
}

/// The layer that writes lines.
struct Lines(&'static Log);

impl<S: Subscriber> Layer<S> for Lines {
    fn enabled(&self, metadata: &tracing::Metadata<'_>, _: Context<'_, S>) -> bool {
        *metadata.level() <= if self.0.debug { Level::DEBUG } else { Level::INFO }
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut message = Message::default();
        event.record(&mut message);
        let level = if message.notice { "NOTICE" } else { level_name(*event.metadata().level()) };
        SPEAKER.with_borrow(|speaker| {
            let speaker = speaker.as_deref().unwrap_or(&self.0.core);
            self.0.line(level, &format!("{level} ( {speaker} ): {}", message.text));
        });
    }
}

impl Log {
    fn line(&self, level: &str, line: &str) {
        if let Some(file) = &mut *self.file.lock().unwrap_or_else(PoisonError::into_inner) {
            let _ = file.write_all(format!("{} {line}\n", now()).as_bytes());
        }
        if let Some(facility) = self.syslog {
            let _ = syslog(Priority::new(severity(level), facility), &line.replace('\0', " "));
        }
        if self.to_stderr {
            let time = if self.stderr_time { format!("{} ", now()) } else { String::new() };
            let _ = io::stderr().write_all(format!("{time}{line}\n").as_bytes());
        }
    }
}

fn now() -> String {
    jiff::Zoned::now().strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// Logs at the level between INFO and WARN, which `tracing` has not.
macro_rules! notice {
    ($($arg:tt)*) => { tracing::info!(notice = true, $($arg)*) };
}
pub(crate) use notice;

#[derive(Default)]
struct Message {
    text: String,
    notice: bool,
}

impl Visit for Message {
    fn record_bool(&mut self, field: &Field, value: bool) {
        if field.name() == "notice" {
            self.notice = value;
        } else {
            self.record_debug(field, &value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let _ = if field.name() == "message" {
            write!(self.text, "{value:?}")
        } else {
            write!(self.text, " {}={value:?}", field.name())
        };
    }
}

fn level_name(level: Level) -> &'static str {
    match level {
        Level::ERROR => "ERROR",
        Level::WARN => "WARN",
        Level::INFO => "INFO",
        _ => "DEBUG",
    }
}

fn severity(level: &str) -> Severity {
    match level {
        "ERROR" => Severity::LOG_ERR,
        "WARN" => Severity::LOG_WARNING,
        "NOTICE" => Severity::LOG_NOTICE,
        "INFO" => Severity::LOG_INFO,
        _ => Severity::LOG_DEBUG,
    }
}

fn facility_of(name: &str) -> Facility {
    match name {
        "auth" => Facility::LOG_AUTH,
        "mail" => Facility::LOG_MAIL,
        "kern" => Facility::LOG_KERN,
        "user" => Facility::LOG_USER,
        "local0" => Facility::LOG_LOCAL0,
        "local1" => Facility::LOG_LOCAL1,
        "local2" => Facility::LOG_LOCAL2,
        "local3" => Facility::LOG_LOCAL3,
        "local4" => Facility::LOG_LOCAL4,
        "local5" => Facility::LOG_LOCAL5,
        "local6" => Facility::LOG_LOCAL6,
        "local7" => Facility::LOG_LOCAL7,
        _ => Facility::LOG_DAEMON,
    }
}
