//! The daemon as an operator runs it: a configuration file, a process, signals, what it says.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use super::namespace::Namespace;
use super::{PATIENCE, bin, run, wait_until};

/// What a daemon is started with. `{folder}` in the configuration and in the arguments becomes the path of a folder
/// that is the daemon's alone and vanishes with it.
pub(crate) struct Launch<'a> {
    folder: TempDir,
    program: PathBuf,
    namespace: Option<&'a Namespace>,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    /// Where it is started, if not where the test is.
    directory: Option<PathBuf>,
}

impl<'a> Launch<'a> {
    /// With a configuration in pmacctd's own form.
    pub(crate) fn conf(configuration: &str) -> Launch<'a> {
        Launch::command_line().configured("rpmacctd.conf", configuration)
    }

    /// With a configuration in YAML.
    pub(crate) fn yaml(configuration: &str) -> Launch<'a> {
        Launch::command_line().configured("rpmacctd.yaml", configuration)
    }

    /// With no configuration file; see [`Launch::arguments`].
    pub(crate) fn command_line() -> Launch<'a> {
        let folder = tempfile::Builder::new().prefix("rpmacct-").tempdir().expect("a folder");
        Launch {
            folder,
            program: bin("rpmacctd").to_owned(),
            namespace: None,
            arguments: Vec::new(),
            environment: Vec::new(),
            directory: None,
        }
    }

    fn configured(self, name: &str, configuration: &str) -> Launch<'a> {
        let configuration = self.filled_in(configuration);
        self.file(name, configuration.as_bytes()).arguments(["-f", &format!("{{folder}}/{name}")])
    }

    /// Puts a file into the folder: a capture, a map.
    pub(crate) fn file(self, name: &str, bytes: &[u8]) -> Launch<'a> {
        fs::write(self.folder.path().join(name), bytes).expect("a file in the folder");
        self
    }

    pub(crate) fn arguments<'b>(mut self, arguments: impl IntoIterator<Item = &'b str>) -> Launch<'a> {
        for argument in arguments {
            let argument = self.filled_in(argument);
            self.arguments.push(argument);
        }
        self
    }

    pub(crate) fn inside(mut self, namespace: &'a Namespace) -> Launch<'a> {
        self.namespace = Some(namespace);
        self
    }

    pub(crate) fn environment(mut self, name: &str, value: &str) -> Launch<'a> {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it in another directory: for names that are relative.
    pub(crate) fn directory(mut self, directory: impl Into<PathBuf>) -> Launch<'a> {
        self.directory = Some(directory.into());
        self
    }

    /// Another program than rpmacctd: `pmacctd`, to compare with.
    pub(crate) fn program(mut self, program: impl Into<PathBuf>) -> Launch<'a> {
        self.program = program.into();
        self
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn start(self) -> Daemon {
        let mut command = match self.namespace {
            Some(namespace) => namespace.command(&self.program),
            None => Command::new(&self.program),
        };
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        let log = |name| File::create(self.folder.path().join(name)).expect("a file in the folder");
        let process = command
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(log(STDOUT))
            .stderr(log(STDERR))
            .spawn()
            .unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Daemon { process, folder: self.folder, background: None }
    }

    /// Starts it and waits for its end: for savefiles and for wrong configurations.
    pub(crate) fn finish(self) -> Finished {
        self.start().wait()
    }

    fn filled_in(&self, text: &str) -> String {
        text.replace("{folder}", &self.folder.path().to_string_lossy())
    }
}

const STDOUT: &str = "stdout";
const STDERR: &str = "stderr";

/// A running daemon. It is killed when it is dropped.
pub(crate) struct Daemon {
    process: Child,
    folder: TempDir,
    /// The process that goes on after `daemonize: true` let the first one end.
    background: Option<Pid>,
}

/// A daemon that has ended, and all it said. Its folder is still there.
#[derive(Debug)]
pub(crate) struct Finished {
    /// Of the process that was started; of a daemonized one it is that of the first process.
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) folder: TempDir,
}

impl Daemon {
    pub(crate) fn pid(&self) -> i32 {
        self.live_pid().as_raw()
    }

    /// A path in the daemon's folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What it has written so far.
    pub(crate) fn stdout(&self) -> String {
        read(&self.path(STDOUT))
    }

    pub(crate) fn stderr(&self) -> String {
        read(&self.path(STDERR))
    }

    /// Waits until a file of the folder is there: a socket, a PID file, an output.
    #[track_caller]
    pub(crate) fn wait_for_file(&mut self, name: &str) {
        let file = self.path(name);
        self.wait_for(&format!("no `{name}`"), |_| file.exists());
    }

    /// Waits until it has said that, on its standard error.
    #[track_caller]
    pub(crate) fn wait_for_log(&mut self, text: &str) {
        self.wait_for(&format!("not said: `{text}`"), |daemon| daemon.stderr().contains(text));
    }

    /// Waits until something is so; fails with all the daemon said when it is not in time, or when it ends first.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, complaint: &str, mut condition: impl FnMut(&Daemon) -> bool) {
        let mut came = false;
        let decided = wait_until(PATIENCE, || {
            let has_ended = self.has_ended();
            came = condition(self);
            came || has_ended
        });
        let how = if decided { "the daemon ended" } else { "it took too long" };
        assert!(came, "{complaint}: {how}\n{}{}", self.stdout(), self.stderr());
    }

    /// Goes on with the process that `daemonize: true` left behind, named by its PID file.
    #[track_caller]
    pub(crate) fn follow(&mut self, pid_file: &str) {
        // When the first process has ended, everything is open.
        let ended = wait_until(PATIENCE, || self.process.try_wait().is_ok_and(|status| status.is_some()));
        assert!(ended, "the first process goes on\n{}", self.stderr());
        let file = self.path(pid_file);
        let pid = || read(&file).trim().parse().ok().map(Pid::from_raw);
        assert!(wait_until(PATIENCE, || pid().is_some()), "no PID in {pid_file}\n{}", self.stderr());
        self.background = pid();
    }

    /// Asks the client, which must succeed; the socket is `{folder}/sock`.
    #[track_caller]
    pub(crate) fn query(&self, arguments: &[&str]) -> String {
        run(Command::new(bin("rpmacct")).arg("-p").arg(self.path("sock")).args(arguments))
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.live_pid(), signal).expect("the daemon is there");
    }

    /// Signals it and waits for its end.
    #[track_caller]
    pub(crate) fn stop(self, signal: Signal) -> Finished {
        self.signal(signal);
        self.wait()
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(mut self) -> Finished {
        let ended = wait_until(PATIENCE, || self.has_ended());
        let (stdout, stderr) = (self.stdout(), self.stderr());
        assert!(ended, "the daemon did not end\n{stdout}{stderr}");
        let status = self.process.wait().expect("its status");
        let empty = tempfile::tempdir().expect("a folder");
        let folder = std::mem::replace(&mut self.folder, empty);
        Finished { status, stdout, stderr, folder }
    }

    fn has_ended(&mut self) -> bool {
        match self.background {
            Some(pid) => kill(pid, None).is_err() || is_zombie(pid),
            None => self.process.try_wait().is_ok_and(|status| status.is_some()),
        }
    }

    fn live_pid(&self) -> Pid {
        self.background.unwrap_or(Pid::from_raw(self.process.id().cast_signed()))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if !self.has_ended() {
            let _ = kill(self.live_pid(), Signal::SIGKILL);
        }
        let _ = self.process.wait();
    }
}

fn read(file: &Path) -> String {
    String::from_utf8_lossy(&fs::read(file).unwrap_or_default()).into_owned()
}

/// An orphan that nobody has waited for yet has ended all the same.
fn is_zombie(pid: Pid) -> bool {
    let status = read(Path::new(&format!("/proc/{pid}/status")));
    status.lines().any(|line| line.starts_with("State:") && line.contains('Z'))
}
