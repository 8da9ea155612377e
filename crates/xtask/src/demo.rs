//! `cargo xtask demo`: builds, watches an interface for ten seconds, and shows who talked to whom.

use std::env;
use std::fs::{self, DirBuilder, File};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::net::IpAddr;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{self, Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::needs::Purpose;
use crate::shell::{self, Privilege};
use crate::{Failure, Task, capture_file, interface, setup};

pub(crate) const TASK: Task = Task {
    name: "demo",
    arguments: "[INTERFACE]",
    summary: "Builds, captures for ten seconds, and shows the largest conversations",
    help: "\
It installs what the build needs (see `setup`), builds rpmacctd and rpmacct, and
starts rpmacctd on INTERFACE, or on the interface of the default route. After ten
seconds (Ctrl-C: earlier) it shows the ten largest conversations and stops.

Capturing needs root: where you are not root it uses sudo, and says so. Where
capturing is impossible, or nothing passes by, it replays a capture that it
makes itself. It leaves nothing behind but the build.
",
    run: |arguments| match arguments {
        [] => demo(None),
        [name] if !name.starts_with('-') => demo(Some(name)),
        [name] => Err(Failure::Usage(format!("`demo` knows no `{name}`"))),
        [_, ..] => Err(Failure::Usage("`demo` takes one interface".to_owned())),
    },
};

/// How long the interface is watched.
const SECONDS: u64 = 10;
/// How long anything else may take: the daemon's start and stop, the replay.
const PATIENCE: Duration = Duration::from_secs(10);

/// The question that the demo asks: the ten conversations with the most bytes.
const LARGEST: &[&str] = &["-s", "-T", "bytes,10"];

fn demo(wanted: Option<&str>) -> Result<(), Failure> {
    if let Some(name) = wanted {
        let all = interface::all();
        if !all.iter().any(|known| known == name) {
            let all = all.join(", ");
            return Err(Failure::Failed(format!("there is no interface `{name}`; this machine has {all}")));
        }
    }
    setup::prepare(Purpose::Build)?;
    shell::run(&mut shell::cargo(["build", "--release"]))?;

    let stage = Stage::new()?;
    let table = match stage.watch(wanted) {
        Err(reason) if !stage.is_interrupted() => {
            println!("\n{reason}\nInstead, here is a capture that this demo makes itself.");
            stage.replay()
        }
        shown => shown,
    }?;
    println!("\n$ {} -p {} {}", stage.shown("rpmacct"), stage.socket().display(), LARGEST.join(" "));
    println!("{}", table.trim_end());
    print!("{}", next_steps(&stage));
    Ok(())
}

fn next_steps(stage: &Stage) -> String {
    let (daemon, client) = (stage.shown("rpmacctd"), stage.shown("rpmacct"));
    format!(
        "
What next:
  account for your network   change `interface` in conf/story.conf; as root: {daemon} -f conf/story.conf
  ask what was counted       {client} -s          (-T bytes,10: the largest; -O json: for programs)
  more examples              conf/, and docs/configuration.md explains every key
  coming from pmacctd        docs/differences.md says what is different and why
"
    )
}

/// What every part of the demo shares: the programs, a folder for its files, and whether the user had enough.
struct Stage {
    programs: PathBuf,
    folder: PathBuf,
    interrupted: Arc<AtomicBool>,
}

impl Stage {
    fn new() -> Result<Stage, String> {
        let folder = env::temp_dir().join(format!("rpmacct-demo-{}", process::id()));
        DirBuilder::new().mode(0o755).create(&folder).map_err(|error| failed_on(&folder, &error))?;
        let stage = Stage {
            programs: shell::programs("release")?,
            folder,
            interrupted: Arc::new(AtomicBool::new(false)),
        };
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&stage.interrupted))
                .map_err(|error| format!("catching signal {signal}: {error}"))?;
        }
        Ok(stage)
    }

    /// Watches an interface and gives the table of conversations, or the reason why there is none.
    fn watch(&self, wanted: Option<&str>) -> Result<String, String> {
        let Some(name) = wanted.map(str::to_owned).or_else(interface::default) else {
            return Err("There is no interface to watch: none but the loopback is up.".to_owned());
        };
        let privilege = capturing_privilege();
        if privilege == Privilege::None {
            return Err(format!(
                "Capturing on {name} needs root: this is not root, and sudo is not at hand."
            ));
        }
        let daemon = self.start(&format!("interface: {name}\n"), privilege)?;
        self.count_down(&name);
        let table = self.ask(LARGEST)?;
        daemon.stop();
        if conversations(&table) == 0 {
            return Err(format!("Nothing passed by on {name}."));
        }
        Ok(table)
    }

    /// Replays the demo's own capture, which needs no privilege.
    fn replay(&self) -> Result<String, String> {
        let capture = self.folder.join("capture.pcap");
        let totals = File::create(&capture)
            .and_then(|file| {
                let mut file = BufWriter::new(file);
                let totals = capture_file::write(&mut file)?;
                file.flush().map(|()| totals)
            })
            .map_err(|error| failed_on(&capture, &error))?;
        println!("{} packets between {} pairs of hosts.", totals.packets, totals.pairs);
        let settings = format!("pcap_savefile: {}\npcap_savefile_wait: true\n", capture.display());
        let daemon = self.start(&settings, Privilege::Root)?;
        let deadline = Instant::now() + PATIENCE;
        let mut pairs = 0;
        while pairs < totals.pairs && Instant::now() < deadline && !self.is_interrupted() {
            thread::sleep(Duration::from_millis(100));
            pairs = conversations(&self.ask(&["-s"])?);
        }
        if pairs == 0 {
            return Err(format!("rpmacctd counted nothing of it. It said:\n{}", daemon.said()));
        }
        if pairs < totals.pairs {
            println!("Only {pairs} of them were counted in time.");
        }
        let table = self.ask(LARGEST)?;
        daemon.stop();
        Ok(table)
    }

    /// Starts the daemon and waits until it can be asked.
    fn start(&self, source: &str, privilege: Privilege) -> Result<Daemon, String> {
        let socket = self.socket();
        let _ = fs::remove_file(&socket); // an earlier daemon's, which would look like this one's
        let settings = format!(
            "{source}plugins: memory\naggregate: src_host, dst_host\nimt_path: {}\n",
            socket.display()
        );
        let configuration = self.folder.join("rpmacctd.conf");
        fs::write(&configuration, settings).map_err(|error| failed_on(&configuration, &error))?;
        let words = [self.programs.join("rpmacctd"), "-f".into(), configuration];
        let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
        let mut command = privilege.command(words.iter().map(AsRef::as_ref));
        println!("$ {}", shell::line(&command));
        let mut daemon = Daemon::start(&mut command, privilege, self.folder.join("log"))?;
        let deadline = Instant::now() + PATIENCE;
        while !socket.exists() {
            if let Some(status) = daemon.ended() {
                return Err(format!("rpmacctd stopped ({status}) and said:\n{}", daemon.said()));
            }
            if Instant::now() > deadline || self.is_interrupted() {
                return Err(format!("rpmacctd did not get ready. It said:\n{}", daemon.said()));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(daemon)
    }

    /// Lets the time pass, and shows it passing.
    fn count_down(&self, name: &str) {
        let start = Instant::now();
        let is_terminal = io::stdout().is_terminal();
        if !is_terminal {
            println!("Watching {name} for {SECONDS} s.");
        }
        loop {
            let left = SECONDS.saturating_sub(start.elapsed().as_secs());
            if is_terminal {
                print!("\rWatching {name}: {left:2} s left (Ctrl-C: enough) ");
                let _ = io::stdout().flush();
            }
            if left == 0 || self.is_interrupted() {
                break;
            }
            thread::sleep(Duration::from_millis(50));
        }
        if is_terminal {
            println!();
        }
    }

    /// What the client answers.
    fn ask(&self, question: &[&str]) -> Result<String, String> {
        let mut client = Command::new(self.programs.join("rpmacct"));
        shell::output(client.arg("-p").arg(self.socket()).args(question))
    }

    fn socket(&self) -> PathBuf {
        self.folder.join("rpmacct.sock")
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }

    /// The path of a program as one would type it in the workspace's root.
    fn shown(&self, program: &str) -> String {
        let path = self.programs.join(program);
        path.strip_prefix(shell::root()).unwrap_or(&path).display().to_string()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Asks for the password now, if one is needed, and not while the capture runs.
fn capturing_privilege() -> Privilege {
    let privilege = Privilege::at_hand();
    if privilege == Privilege::Sudo {
        println!("\nCapturing needs root: sudo starts the daemon, and may ask for your password.");
        if !Command::new("sudo").arg("-v").status().is_ok_and(|status| status.success()) {
            return Privilege::None;
        }
    }
    privilege
}

/// The running daemon. It ends with this value at the latest.
struct Daemon {
    /// The daemon, or the sudo that runs it and hands it the signals it gets.
    child: Child,
    privilege: Privilege,
    log: PathBuf,
}

impl Daemon {
    fn start(command: &mut Command, privilege: Privilege, log: PathBuf) -> Result<Daemon, String> {
        let file = File::create(&log).map_err(|error| failed_on(&log, &error))?;
        let copy = file.try_clone().map_err(|error| failed_on(&log, &error))?;
        // Its own process group: Ctrl-C means "enough, show me", and the daemon must live to answer.
        command.process_group(0).stdin(Stdio::null()).stdout(file).stderr(copy);
        let child = command.spawn().map_err(|error| format!("`{}`: {error}", shell::line(command)))?;
        Ok(Daemon { child, privilege, log })
    }

    fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    fn said(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(10)..].join("\n")
    }

    fn stop(self) {
        drop(self);
    }

    fn signal(&self, name: &str) {
        // The shell's own `kill` is everywhere; the program of that name is not.
        let kill = format!("kill -{name} {}", self.child.id());
        shell::succeeds(&mut self.privilege.command(["sh", "-c", &kill]));
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        for signal in ["INT", "KILL"] {
            let deadline = Instant::now() + PATIENCE;
            if self.ended().is_none() {
                self.signal(signal);
            }
            while self.ended().is_none() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(20));
            }
        }
    }
}

/// The rows of the client's table: lines that begin with an address.
fn conversations(table: &str) -> usize {
    let begins_with_address =
        |line: &&str| line.split_whitespace().next().is_some_and(|word| word.parse::<IpAddr>().is_ok());
    table.lines().filter(begins_with_address).count()
}

fn failed_on(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_told_from_heading_and_total() {
        let table = "SRC_IP           DST_IP           PACKETS               BYTES\n\
                     192.0.2.1        198.51.100.1     3                     180\n\
                     2001:db8::1      2001:db8::2      1                     60\n\
                     \n\
                     For a total of: 2 entries\n";
        assert_eq!(conversations(table), 2);
        assert_eq!(conversations("SRC_IP DST_IP PACKETS BYTES\n\nFor a total of: 0 entries\n"), 0);
    }

    #[test]
    fn a_daemon_ends_when_it_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut command = Command::new("sh");
        command.args(["-c", "trap 'echo bye; exit 0' INT; echo ready; while :; do sleep 0.01; done"]);
        let daemon = Daemon::start(&mut command, Privilege::Root, log.clone()).unwrap();
        while daemon.said() != "ready" {
            thread::sleep(Duration::from_millis(5));
        }
        daemon.stop();
        assert_eq!(fs::read_to_string(log).unwrap(), "ready\nbye\n");
    }
}
