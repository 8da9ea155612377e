//! A daemon that is measured: ours or the peer, in a cell of its own, with the configuration that it is given.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Bench;
use super::cell::Cell;
use super::shape::Totals;
use super::wire::{self, Wire};
use crate::shell;

/// Whose daemon and client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Make {
    Ours,
    Peer,
}

impl Make {
    pub(crate) const BOTH: [Make; 2] = [Make::Ours, Make::Peer];

    pub(crate) fn daemon(self) -> &'static str {
        match self {
            Make::Ours => "rpmacctd",
            Make::Peer => "pmacctd",
        }
    }

    pub(crate) fn client(self) -> &'static str {
        match self {
            Make::Ours => "rpmacct",
            Make::Peer => "pmacct",
        }
    }
}

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// A running daemon. It and all its processes end with this value.
pub(crate) struct Daemon<'a> {
    bench: &'a Bench,
    make: Make,
    folder: PathBuf,
    child: Child,
    cell: Cell,
}

/// Memory of all processes of a daemon, in bytes.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Memory {
    /// Resident, not of any file.
    pub(crate) anonymous: u64,
    /// All that is resident.
    pub(crate) resident: u64,
}

impl<'a> Daemon<'a> {
    /// Starts it; `{folder}` in the configuration becomes a folder of its own. The memory plugin's socket is
    /// `{folder}/socket`.
    pub(crate) fn start(
        bench: &'a Bench,
        make: Make,
        configuration: &str,
        wire: Option<&Wire>,
    ) -> Result<Daemon<'a>, String> {
        let folder = super::scratch()?;
        let file = folder.join("conf");
        let text = configuration.replace("{folder}", &folder.to_string_lossy());
        fs::write(&file, text).map_err(|error| format!("{}: {error}", file.display()))?;
        let program = bench.program(make.daemon())?;
        let cell = Cell::new()?;
        let mut command = match wire {
            Some(wire) => {
                let [ip, words @ ..] = wire::inside(&wire.receiver);
                let mut command = cell.command(&shell::find_program(ip).ok_or("there is no `ip`")?);
                command.args(words).arg(&program);
                command
            }
            None => cell.command(&program),
        };
        let log = |name| File::create(folder.join(name)).map_err(|error| format!("{name}: {error}"));
        command.arg("-f").arg(&file).stdin(Stdio::null()).stdout(log("stdout")?).stderr(log("stderr")?);
        let child = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
        Ok(Daemon { bench, make, folder, child, cell })
    }

    pub(crate) fn cpu(&self) -> Duration {
        self.cell.cpu()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// All that it said.
    pub(crate) fn said(&self) -> String {
        let text = |name| fs::read_to_string(self.path(name)).unwrap_or_default();
        text("stdout") + &text("stderr")
    }

    /// Waits until something is so.
    pub(crate) fn wait_for(
        &mut self,
        what: &str,
        mut is_so: impl FnMut(&Daemon<'_>) -> bool,
    ) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while !is_so(self) {
            if self.has_ended() || Instant::now() > deadline {
                return Err(format!("{}: no {what}:\n{}", self.make.daemon(), self.said()));
            }
            self.bench.pause(Duration::from_millis(10))?;
        }
        Ok(())
    }

    /// Waits until it can be asked.
    pub(crate) fn wait_for_socket(&mut self) -> Result<(), String> {
        self.wait_for("socket", |daemon| daemon.path("socket").exists())
    }

    /// Waits until it has read the savefile, and does nothing any more.
    pub(crate) fn wait_for_rest(&mut self) -> Result<(), String> {
        let text = "finished reading PCAP capture file";
        self.wait_for("end of the capture", |daemon| daemon.said().contains(text))?;
        loop {
            let before = self.cpu();
            self.bench.pause(Duration::from_millis(500))?;
            if self.cpu().saturating_sub(before) < Duration::from_millis(3) {
                return Ok(());
            }
        }
    }

    /// Waits until it and all its processes have ended by themselves. The cell keeps their CPU time.
    pub(crate) fn wait_for_end(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while !self.has_ended() {
            if Instant::now() > deadline {
                return Err(format!("{} does not end:\n{}", self.make.daemon(), self.said()));
            }
            self.bench.pause(Duration::from_millis(5))?;
        }
        match self.child.wait() {
            Ok(status) if status.success() || self.make == Make::Peer => Ok(()),
            _ => Err(format!("{} failed:\n{}", self.make.daemon(), self.said())),
        }
    }

    /// Whether the first process, and all that it left behind, are gone.
    fn has_ended(&mut self) -> bool {
        self.child.try_wait().is_ok_and(|status| status.is_some()) && self.cell.processes().is_empty()
    }

    /// Tells all its processes to end.
    pub(crate) fn interrupt(&self) {
        for process in self.cell.processes() {
            shell::succeeds(Command::new("sh").args(["-c", &format!("kill -INT {process}")]));
        }
    }

    /// The client's command line for this daemon.
    pub(crate) fn client(&self, question: &[&str]) -> Result<Command, String> {
        let mut command = Command::new(self.bench.program(self.make.client())?);
        command.arg("-p").arg(self.path("socket")).args(question);
        Ok(command)
    }

    pub(crate) fn ask(&self, question: &[&str]) -> Result<String, String> {
        shell::output(&mut self.client(question)?)
    }

    /// What its table sums to.
    pub(crate) fn totals(&self) -> Result<Totals, String> {
        Ok(Totals::of_csv(&self.ask(&["-s", "-O", "csv"])?))
    }

    pub(crate) fn memory(&self) -> Memory {
        let mut sum = Memory::default();
        for process in self.cell.processes() {
            let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
            sum.anonymous += kilobytes(&status, "RssAnon:") * 1024;
            sum.resident += kilobytes(&status, "VmRSS:") * 1024;
        }
        sum
    }

    /// How often its threads have gone to sleep so far.
    pub(crate) fn sleeps(&self) -> u64 {
        let threads = self.cell.processes().into_iter().flat_map(|process| {
            let tasks = fs::read_dir(format!("/proc/{process}/task"));
            tasks.into_iter().flatten().flatten().map(|task| task.path().join("status"))
        });
        threads
            .filter_map(|status| fs::read_to_string(status).ok())
            .map(|status| kilobytes(&status, "voluntary_ctxt_switches:"))
            .sum()
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        // The cell kills what is left; this one is ours to bury.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The number behind a name in `/proc/PID/status`.
fn kilobytes(status: &str, name: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// The accounted packets of our own ledger at the end, if every line of it balances.
pub(crate) fn accounted(log: &str) -> Option<u64> {
    let mut accounted = None;
    for line in log.lines().filter(|line| line.contains(" = ")) {
        let (left, right) = line.split_once(" = ")?;
        let last_number = |text: &str| text.rsplit(' ').next()?.parse::<u64>().ok();
        let terms: Option<Vec<u64>> = right.split(" + ").map(last_number).collect();
        let whole = last_number(left)?;
        if terms?.iter().sum::<u64>() != whole {
            return None;
        }
        if left.ends_with(&format!("absorbed {whole}")) {
            accounted = right.strip_prefix("in the table ")?.split(' ').next()?.parse().ok();
        }
    }
    accounted
}

/// A program of the system or of this workspace.
pub(crate) fn find(programs: &Path, name: &str) -> Result<PathBuf, String> {
    let own = programs.join(name);
    if name.starts_with("rpmacct") {
        return Ok(own);
    }
    shell::find_program(name).ok_or_else(|| format!("there is no `{name}` to compare with"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEDGER: &str = "\
INFO ( default/core ): finished reading PCAP capture file
NOTICE ( default/core ): x.pcap: read from the file 52 = kernel drops 0 + filtered out 0 + not IP 2 + accounted 50
NOTICE ( default/core ): default_memory/memory: accounted 50 = pipe losses 0 + in the pipe 0 + absorbed 50
NOTICE ( default/core ): default_memory/memory: absorbed 50 = in the table 50 + purged 0 + refused 0
NOTICE ( default/core ): default_memory/memory: purged 0 = written 0 + lost by the destination 0 + erased 0
";

    #[test]
    fn the_ledger_is_read_and_checked() {
        assert_eq!(accounted(LEDGER), Some(50));
        assert_eq!(accounted(&LEDGER.replace("pipe losses 0", "pipe losses 1")), None);
        assert_eq!(accounted("nothing\n"), None);
    }

    #[test]
    fn the_status_of_a_process_is_read() {
        assert_eq!(kilobytes("VmRSS:\t    1234 kB\nRssAnon:\t 56 kB\n", "RssAnon:"), 56);
        assert_eq!(kilobytes("", "RssAnon:"), 0);
    }
}
