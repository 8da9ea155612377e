//! A wire between two namespaces: CPU a packet, and losses, with the story's configuration.

use std::env;
use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::Bench;
use super::daemon::{Daemon, Make};
use super::report::Section;
use super::sender::Sent;
use super::stats::{Series, short};
use super::wire::{self, RECEIVER, SENDER, Wire};

/// Packets a second; 0 is as fast as the sender goes.
const RATES: [u64; 4] = [100_000, 200_000, 400_000, 0];
/// Pairs of hosts on the wire.
const PAIRS: u64 = 1000;
/// After this, a daemon has counted what it ever will.
pub(crate) const SETTLED: Duration = Duration::from_millis(1500);

/// The seven lines of conf/story.conf that count: in the foreground, without syslog, and with a socket of its own.
/// pmacctd 1.7.7 ignores `interface`, which is why it is given by its new name.
pub(crate) fn story(make: Make) -> String {
    let interface = if make == Make::Ours { "interface" } else { "pcap_interface" };
    format!(
        "plugins: memory\naggregate: src_host, dst_host\n{interface}: {RECEIVER}\nplugin_pipe_size: 10485760\n\
         plugin_buffer_size: 10240\nimt_path: {{folder}}/socket\n"
    )
}

/// What one run gave.
struct Run {
    /// Microseconds of CPU a packet.
    cpu: f64,
    arrived: u64,
    counted: u64,
    /// Packets a second that the sender reached.
    rate: f64,
}

pub(crate) fn measure(bench: &Bench) -> Result<Section, String> {
    let mut section = Section::new("Live");
    section.say(
        "A pair of virtual interfaces between two namespaces, frames of 60 B, 1 k pairs of hosts, the story's\n\
         configuration for both. The sender is this program's own and needs most of a core; lost is what arrived at\n\
         the interface and is not in the answer. (pmacctd keeps back what does not fill a buffer: up to some hundred\n\
         packets are not lost but late.)",
    );
    section.row(&["packets a second", "", "CPU µs a packet", "lost, packets", "lost, %", "sent a second"]);
    for rate in RATES {
        let mut runs = [Vec::new(), Vec::new()];
        for _ in 0..bench.pairs() {
            for (make, runs) in Make::BOTH.into_iter().zip(&mut runs) {
                runs.push(run(bench, make, rate)?);
            }
        }
        let of = |runs: &[Run], value: fn(&Run) -> f64| runs.iter().map(value).collect::<Vec<_>>();
        let name = if rate == 0 { "as fast as it goes".to_owned() } else { short(rate as f64) };
        for (make, runs) in Make::BOTH.into_iter().zip(&runs) {
            let cell =
                |value| Series::new(of(runs, value)).map_or_else(String::new, |series| series.to_string());
            section.row(&[
                name.clone(),
                make.daemon().to_owned(),
                cell(|run| run.cpu),
                cell(|run| run.lost() as f64),
                cell(|run| run.lost() as f64 / run.arrived as f64 * 100.0),
                cell(|run| run.rate),
            ]);
        }
        let ratio =
            Series::ratio(&of(&runs[1], |run| run.cpu), &of(&runs[0], |run| run.cpu)).ok_or("no runs")?;
        if rate == 400_000 {
            section.goal(
                "live, veth, 400 k pps: CPU per packet, against pmacctd",
                "8 x less",
                "12 x",
                format!("{} x less", short(ratio.median())),
            );
        }
        if rate == 0 {
            let lost: u64 = runs[0].iter().map(Run::lost).sum();
            let rate = Series::new(of(&runs[0], |run| run.rate)).ok_or("no runs")?.median();
            section.goal(
                "live, as fast as the sender goes, the story's configuration unmodified",
                "nothing lost",
                "",
                format!("{lost} lost at {} pps", short(rate)),
            );
        }
    }
    section.say("");
    Ok(section)
}

impl Run {
    fn lost(&self) -> u64 {
        self.arrived.saturating_sub(self.counted)
    }
}

fn run(bench: &Bench, make: Make, rate: u64) -> Result<Run, String> {
    let seconds = if bench.quick { 2 } else { 4 };
    let wire = Wire::new()?;
    let mut daemon = Daemon::start(bench, make, &story(make), Some(&wire))?;
    daemon.wait_for_socket()?;
    bench.pause(SETTLED)?;
    let (arrived, cpu) = (wire.arrived()?, daemon.cpu());
    let count = if rate == 0 { 400_000 } else { rate } * seconds;
    let sent = Sending::start(&wire, rate, count, PAIRS)?.wait(bench)?;
    bench.pause(SETTLED)?;
    let (arrived, cpu) = (wire.arrived()? - arrived, daemon.cpu().saturating_sub(cpu));
    Ok(Run {
        cpu: cpu.as_secs_f64() * 1e6 / arrived as f64,
        arrived,
        counted: daemon.totals()?.packets,
        rate: sent.rate(),
    })
}

/// A sender at work. It ends with this value.
pub(crate) struct Sending(Child);

impl Sending {
    pub(crate) fn start(wire: &Wire, rate: u64, count: u64, pairs: u64) -> Result<Sending, String> {
        let own = env::current_exe().map_err(|error| format!("this program's own path: {error}"))?;
        let [ip, words @ ..] = wire::inside(&wire.sender);
        let mut command = Command::new(ip);
        command.args(words).arg(own).args(["bench", "--send", SENDER]);
        command.args([rate, count, pairs].map(|number| number.to_string()));
        let child = command.stdout(Stdio::piped()).spawn().map_err(|error| format!("the sender: {error}"))?;
        Ok(Sending(child))
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.0.try_wait().is_ok_and(|status| status.is_none())
    }

    pub(crate) fn wait(mut self, bench: &Bench) -> Result<Sent, String> {
        while self.is_running() {
            bench.pause(Duration::from_millis(10))?;
        }
        let mut said = String::new();
        if let Some(mut out) = self.0.stdout.take() {
            out.read_to_string(&mut said).map_err(|error| format!("the sender: {error}"))?;
        }
        Sent::parse(&said).ok_or_else(|| format!("the sender said `{said}`"))
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
