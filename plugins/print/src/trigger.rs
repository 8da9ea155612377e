//! `print_trigger_exec`: a program that is run after each purge.
//!
//! It is run without a shell, with the words of the key as its arguments, in a process group of its own, its
//! standard output and errors going where the daemon's errors go. What it is told is in its environment:
//!
//! | variable | |
//! |---|---|
//! | `RPMACCT_PLUGIN` | name of the plugin |
//! | `RPMACCT_FILE` | the file that was written, or the last of several; empty for standard output |
//! | `RPMACCT_FILES` | how many files were written |
//! | `RPMACCT_ROWS` | rows in them |
//!
//! A purge never waits for it: a thread does. One runs at a time, the others wait for their turn (up to
//! [`QUEUE`]); with `print_trigger_exec_async` they run at once, up to `print_max_writers` of them.

use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use nix::unistd::{AccessFlags, access};
use tracing::warn;

/// Purges whose trigger waits for its turn.
const QUEUE: usize = 64;

/// How often running triggers are looked at, as the system tells a thread only of one it waits for.
const LOOK: Duration = Duration::from_millis(50);

/// How long the end of the daemon waits for triggers.
const PATIENCE: Duration = Duration::from_secs(10);

/// A program and its arguments.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CommandLine {
    program: PathBuf,
    arguments: Vec<String>,
}

impl CommandLine {
    /// Reads words as a shell would: quotes hold blanks together, a backslash takes the next character as it is.
    /// Nothing is expanded. On an error: what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut words = words(text)?.into_iter();
        let program = words.next().filter(|word| !word.is_empty()).ok_or("no program")?;
        let program = std::path::absolute(&program).map_err(|e| format!("{program}: {e}"))?;
        Ok(Self { program, arguments: words.collect() })
    }

    /// Whether it can be run. On an error: why not.
    pub(crate) fn check(&self) -> Result<(), String> {
        let program = self.program.display();
        if self.program.is_dir() {
            return Err(format!("{program} is a directory"));
        }
        access(&self.program, AccessFlags::X_OK).map_err(|errno| format!("{program}: {}", errno.desc()))
    }
}

fn words(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match (c, quote) {
            ('\\', None | Some('"')) => {
                let next = chars.next().ok_or("a backslash at the end")?;
                word.get_or_insert_default().push(next);
            }
            (c, Some(open)) if c == open => quote = None,
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    if let Some(quote) = quote {
        return Err(format!("a {quote} that is not closed"));
    }
    words.extend(word);
    Ok(words)
}

/// What a trigger is told.
#[derive(Debug)]
pub(crate) struct Purged {
    /// The file that was written last.
    pub(crate) file: Option<PathBuf>,
    pub(crate) files: usize,
    pub(crate) rows: u64,
}

/// Runs the program. Dropped, it waits for those that run, but not for ever.
#[derive(Debug)]
pub(crate) struct Trigger {
    line: CommandLine,
    plugin: String,
    at_once: usize,
    /// Started when it is first needed: the daemon can't go to the background with a second thread.
    worker: Option<Worker>,
}

#[derive(Debug)]
struct Worker {
    queue: SyncSender<Purged>,
    thread: JoinHandle<()>,
}

impl Trigger {
    /// Runs at most `at_once` of them at a time.
    pub(crate) fn new(line: CommandLine, plugin: &str, at_once: usize) -> Self {
        Self { line, plugin: plugin.to_owned(), at_once, worker: None }
    }

    /// Runs it soon.
    pub(crate) fn pull(&mut self, purged: Purged) {
        if self.worker.is_none() {
            match self.start() {
                Ok(worker) => self.worker = Some(worker),
                Err(error) => warn!("print_trigger_exec: starting a thread: {error}"),
            }
        }
        let Some(worker) = &self.worker else { return };
        if worker.queue.try_send(purged).is_err() {
            warn!("print_trigger_exec: not run for this purge: those of {QUEUE} earlier ones still wait");
        }
    }

    fn start(&self) -> std::io::Result<Worker> {
        let (queue, jobs) = sync_channel(QUEUE);
        let Self { line, plugin, at_once, .. } = self;
        let runs =
            Runs { line: line.clone(), plugin: plugin.clone(), at_once: *at_once, running: Vec::new() };
        let thread = std::thread::Builder::new().name("trigger".to_owned()).spawn(move || runs.run(&jobs))?;
        Ok(Worker { queue, thread })
    }
}

impl Drop for Trigger {
    fn drop(&mut self) {
        if let Some(Worker { queue, thread }) = self.worker.take() {
            drop(queue); // after this there are no more jobs
            let _ = thread.join(); // a panic there has been said
        }
    }
}

/// The thread.
struct Runs {
    line: CommandLine,
    plugin: String,
    at_once: usize,
    running: Vec<Child>,
}

impl Runs {
    fn run(mut self, jobs: &Receiver<Purged>) {
        loop {
            if self.running.len() >= self.at_once {
                std::thread::sleep(LOOK);
                self.reap();
                continue;
            }
            let job = if self.running.is_empty() {
                jobs.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                jobs.recv_timeout(LOOK)
            };
            match job {
                Ok(purged) => self.start(&purged),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.reap();
        }
        let deadline = Instant::now() + PATIENCE;
        while !self.running.is_empty() && Instant::now() < deadline {
            std::thread::sleep(LOOK);
            self.reap();
        }
        for child in &self.running {
            warn!("{}: print_trigger_exec: process {} goes on without the daemon", self.plugin, child.id());
        }
    }

    fn start(&mut self, purged: &Purged) {
        let file = purged.file.as_deref().unwrap_or(Path::new(""));
        let child = Command::new(&self.line.program)
            .args(&self.line.arguments)
            .env("RPMACCT_PLUGIN", &self.plugin)
            .env("RPMACCT_FILE", file)
            .env("RPMACCT_FILES", purged.files.to_string())
            .env("RPMACCT_ROWS", purged.rows.to_string())
            .stdin(Stdio::null())
            .stdout(std::io::stderr())
            .process_group(0) // what is typed at the daemon's terminal is not for it
            .spawn();
        match child {
            Ok(child) => self.running.push(child),
            Err(error) => {
                warn!("{}: print_trigger_exec: {}: {error}", self.plugin, self.line.program.display());
            }
        }
    }

    /// Says which ones failed, and forgets those that have ended.
    fn reap(&mut self) {
        let (plugin, program) = (&self.plugin, self.line.program.display());
        self.running.retain_mut(|child| match child.try_wait() {
            Ok(None) => true,
            Ok(Some(status)) => {
                if !status.success() {
                    warn!("{plugin}: print_trigger_exec: {program}: {status}");
                }
                false
            }
            Err(error) => {
                warn!("{plugin}: print_trigger_exec: waiting for {program}: {error}");
                false
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_as_a_shell_reads_them() {
        let words = |text| words(text).unwrap();
        assert_eq!(words("/bin/x  a\tb"), ["/bin/x", "a", "b"]);
        assert_eq!(words(r#"/bin/x 'a b' "c \"d" e\ f """#), ["/bin/x", "a b", "c \"d", "e f", ""]);
        assert_eq!(words(r"x '\' $HOME *"), ["x", r"\", "$HOME", "*"]);
        assert_eq!(words("a'b'c"), ["abc"]);
    }

    #[test]
    fn mistakes() {
        assert_eq!(CommandLine::parse(" ").unwrap_err(), "no program");
        assert_eq!(CommandLine::parse("/bin/x 'a").unwrap_err(), "a ' that is not closed");
        assert_eq!(CommandLine::parse("/bin/x \\").unwrap_err(), "a backslash at the end");
        let check = |text| CommandLine::parse(text).unwrap().check();
        assert_eq!(check("/bin/sh -c true"), Ok(()));
        assert_eq!(check("/no/such").unwrap_err(), "/no/such: No such file or directory");
        assert_eq!(check("/etc/passwd").unwrap_err(), "/etc/passwd: Permission denied");
        assert_eq!(check("/bin").unwrap_err(), "/bin is a directory");
    }
}
