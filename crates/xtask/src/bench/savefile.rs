//! Reading captures: packets per CPU second, against pmacctd and against a loop that only counts.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use super::Bench;
use super::cell::Cell;
use super::daemon::{Daemon, Make, accounted};
use super::report::Section;
use super::shape::{Capture, P1, P2, P3, Totals};
use super::stats::{Series, short};
use crate::shell;

/// What everybody sums by, unless a measurement is about that.
pub(crate) const HOSTS: &str = "src_host, dst_host";
const FIVE_TUPLE: &str = "src_host, dst_host, src_port, dst_port, proto, tcpflags";

/// pmacctd's best: its `ZeroMQ` queue, which has no bound, and a table that holds everything.
pub(crate) const PEER_BEST: &str = "\
plugin_pipe_zmq: true
plugin_pipe_zmq_profile: xlarge
imt_buckets: 1000003
imt_mem_pools_number: 8192
imt_mem_pools_size: 1048576
";

/// One reading of a capture.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reading {
    pub(crate) cpu: Duration,
    wall: Duration,
    counted: Totals,
}

impl Reading {
    /// Million packets a CPU second, of those that the capture has.
    fn speed(&self, capture: &Capture) -> f64 {
        capture.totals.packets as f64 / self.cpu.as_secs_f64() / 1e6
    }
}

pub(crate) fn measure(bench: &Bench) -> Result<Section, String> {
    let mut section = Section::new("Savefiles");
    section.say(&format!(
        "Million packets per CPU second, `{HOSTS}`, memory plugin. rpmacctd with its defaults, to its end; pmacctd with\n\
         its ZeroMQ queue and a table for everything, until it rests (it sleeps 4 s a run, which is no CPU time). A run\n\
         of rpmacctd counts only if its ledger and its answer are exact."
    ));
    section.row(&[
        "capture",
        "rpmacctd",
        "pmacctd",
        "ratio",
        "wall: rpmacctd",
        "wall: pmacctd",
        "pmacctd lost",
    ]);
    let goals = [
        (P1, "savefile P1 (1 k pairs): packets per CPU second, against pmacctd", "25 x", "60 x"),
        (P2, "savefile P2 (Zipf, IPv6, VLAN, fragments)", "15 x", "30 x"),
        (P3, "savefile P3 (all distinct)", "8 x", "12 x"),
    ];
    for (shape, what, at_least, aim) in goals {
        let capture = bench.capture(shape)?;
        verify(bench, &capture)?;
        let (mut ours, mut peers) = (Vec::new(), Vec::new());
        for _ in 0..bench.pairs() {
            ours.push(read_ours(bench, &capture, HOSTS)?);
            peers.push(read_peer(bench, &capture)?);
        }
        let speeds = |readings: &[Reading]| -> Vec<f64> {
            readings.iter().map(|reading| reading.speed(&capture)).collect()
        };
        let walls = |readings: &[Reading]| {
            Series::new(readings.iter().map(|reading| reading.wall.as_secs_f64()).collect())
        };
        let ratio = Series::ratio(&speeds(&ours), &speeds(&peers)).ok_or("no runs")?;
        let lost = |reading: &Reading| (capture.totals.packets - reading.counted.packets) as f64;
        section.row(&[
            format!("{}: {}{}", shape.name, shape.summary, if bench.quick { " (a tenth of it)" } else { "" }),
            cell(Series::new(speeds(&ours))),
            cell(Series::new(speeds(&peers))),
            ratio.to_string(),
            format!("{} s", cell(walls(&ours))),
            format!("{} s", cell(walls(&peers))),
            cell(Series::new(peers.iter().map(lost).collect())),
        ]);
        section.goal(what, at_least, aim, format!("{} x", short(ratio.median())));
    }
    section.say("");
    against_the_bare_loop(bench, &mut section)?;
    Ok(section)
}

fn against_the_bare_loop(bench: &Bench, section: &mut Section) -> Result<(), String> {
    let capture = bench.capture(P1)?;
    let bare = compile_the_bare_loop(bench)?;
    let (mut hosts, mut tuples, mut loops) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.pairs() {
        hosts.push(read_ours(bench, &capture, HOSTS)?.cpu.as_secs_f64());
        loops.push(run_alone(bench, &bare, &[&capture.path.to_string_lossy()])?);
        tuples.push(read_ours(bench, &capture, FIVE_TUPLE)?.cpu.as_secs_f64());
    }
    let per_packet = |cpu: &[f64]| {
        cell(Series::new(cpu.iter().map(|cpu| cpu * 1e9 / capture.totals.packets as f64).collect()))
    };
    section.say("P1, CPU nanoseconds a packet:");
    section.row(&["what", "ns"]);
    section.row(&[format!("rpmacctd, `{HOSTS}`"), per_packet(&hosts)]);
    section.row(&[format!("rpmacctd, `{FIVE_TUPLE}`"), per_packet(&tuples)]);
    section.row(&["a loop with libpcap in C that only counts".to_owned(), per_packet(&loops)]);
    for name in ["softflowd", "nfpcapd"] {
        let Some(program) = shell::find_program(name) else { continue };
        let cpu: Result<Vec<f64>, String> =
            (0..bench.pairs()).map(|_| run_exporter(bench, &program, &capture)).collect();
        section.row(&[format!("`{name}`, five-tuples to NetFlow"), per_packet(&cpu?)]);
    }
    let faster = Series::ratio(&loops, &hosts).ok_or("no runs")?.median();
    section.goal(
        "savefile P1 against the bare libpcap loop that only counts",
        "no slower",
        "2 x faster",
        format!("{} x faster", short(faster)),
    );
    let slower = Series::ratio(&tuples, &hosts).ok_or("no runs")?.median();
    section.goal(
        "five-tuple with tcpflags instead of host pairs",
        "within 1.5 x",
        "1.2 x",
        format!("{} x", short(slower)),
    );
    Ok(())
}

/// CPU seconds of another accounting program that reads captures: softflowd sends to a port where nobody listens,
/// nfpcapd writes files.
fn run_exporter(bench: &Bench, program: &Path, capture: &Capture) -> Result<f64, String> {
    let folder = super::scratch()?;
    let (file, out) = (capture.path.to_string_lossy(), folder.to_string_lossy());
    let ran = if program.ends_with("softflowd") {
        run_alone(bench, program, &["-d", "-r", &file, "-n", "127.0.0.1:9"])
    } else {
        run_alone(bench, program, &["-r", &file, "-l", &out])
    };
    let _ = fs::remove_dir_all(&folder);
    ran
}

/// CPU seconds of a program that ends by itself.
fn run_alone(bench: &Bench, program: &Path, words: &[&str]) -> Result<f64, String> {
    let inside = Cell::new()?;
    shell::output(inside.command(program).args(words))?;
    bench.pause(Duration::ZERO)?;
    Ok(inside.cpu().as_secs_f64())
}

fn compile_the_bare_loop(bench: &Bench) -> Result<PathBuf, String> {
    let source = shell::root().join("crates/xtask/src/bench/count.c");
    let program = bench.cache.join("count");
    let mut compiler = Command::new(std::env::var("CC").unwrap_or_else(|_| "cc".to_owned()));
    shell::output(compiler.args(["-O2", "-o"]).arg(&program).arg(source).arg("-lpcap"))?;
    Ok(program)
}

/// Reads it to the end, and believes the ledger only if it is what the capture holds.
pub(crate) fn read_ours(bench: &Bench, capture: &Capture, aggregate: &str) -> Result<Reading, String> {
    let configuration = format!(
        "pcap_savefile: {}\nplugins: memory\naggregate: {aggregate}\nimt_path: {{folder}}/socket\n",
        capture.path.display()
    );
    let start = Instant::now();
    let mut daemon = Daemon::start(bench, Make::Ours, &configuration, None)?;
    daemon.wait_for_end()?;
    let (wall, said) = (start.elapsed(), daemon.said());
    match accounted(&said) {
        Some(packets) if packets == capture.totals.packets => {
            Ok(Reading { cpu: daemon.cpu(), wall, counted: capture.totals })
        }
        counted => Err(format!("rpmacctd counted {counted:?} of {}:\n{said}", capture.totals.packets)),
    }
}

/// Asks for the table once: packets, bytes and entries are those of the capture.
fn verify(bench: &Bench, capture: &Capture) -> Result<(), String> {
    let counted = table_of(bench, Make::Ours, capture)?.totals()?;
    if counted == capture.totals {
        return Ok(());
    }
    Err(format!("rpmacctd answers {counted} instead of {} (packets, bytes, entries)", capture.totals))
}

/// A daemon that has read the capture and can be asked.
pub(crate) fn table_of<'a>(bench: &'a Bench, make: Make, capture: &Capture) -> Result<Daemon<'a>, String> {
    let configuration = format!(
        "pcap_savefile: {}\npcap_savefile_wait: true\nplugins: memory\naggregate: {HOSTS}\n\
         imt_path: {{folder}}/socket\n{}",
        capture.path.display(),
        if make == Make::Peer { PEER_BEST } else { "" }
    );
    let mut daemon = Daemon::start(bench, make, &configuration, None)?;
    daemon.wait_for_rest()?;
    Ok(daemon)
}

fn read_peer(bench: &Bench, capture: &Capture) -> Result<Reading, String> {
    let start = Instant::now();
    let daemon = table_of(bench, Make::Peer, capture)?;
    let (cpu, wall) = (daemon.cpu(), start.elapsed());
    Ok(Reading { cpu, wall, counted: daemon.totals()? })
}

fn cell(series: Option<Series>) -> String {
    series.map_or_else(|| "none".to_owned(), |series| series.to_string())
}
