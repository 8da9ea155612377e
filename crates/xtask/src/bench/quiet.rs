//! A daemon that has nothing to do, and one that has just been started.

use std::time::{Duration, SystemTime};

use super::Bench;
use super::daemon::{Daemon, Make};
use super::live::{SETTLED, Sending, story};
use super::report::Section;
use super::stats::{Series, short};
use super::wire::Wire;

pub(crate) fn measure(bench: &Bench) -> Result<Section, String> {
    let mut section = Section::new("Idle, and starting");
    section.say("The story's configuration on an interface where nothing passes by.");
    section.row(&["idle for 10 s", "CPU, %", "wake-ups a second"]);
    for make in Make::BOTH {
        let (cpu, wakes) = idle(bench, make)?;
        section.row(&[make.daemon().to_owned(), short(cpu), short(wakes)]);
        if make == Make::Ours {
            section.goal(
                "idle daemon",
                "< 0.1 % CPU, no wake-up storms",
                "",
                format!("{} % CPU, {} wake-ups a second", short(cpu), short(wakes)),
            );
        }
    }
    section.say("");
    section.say(
        "From the start of the process to the first packet that is counted: the story's seven lines (`daemonize` and\n\
         `syslog` included) and a socket of its own, on an interface where 10 k packets a second pass by; the first one\n\
         counted is known from how many were. (pmacctd keeps back what does not fill a buffer: some 10 ms too much.)",
    );
    section.row(&["start", "ms to the first packet"]);
    for make in Make::BOTH {
        let times: Result<Vec<f64>, String> = (0..bench.pairs()).map(|_| start(bench, make)).collect();
        let times = Series::new(times?).ok_or("no runs")?;
        section.row(&[make.daemon().to_owned(), times.to_string()]);
        if make == Make::Ours {
            section.goal(
                "start, 7-line configuration",
                "< 50 ms to the first packet counted",
                "",
                format!("{} ms", short(times.median())),
            );
        }
    }
    Ok(section)
}

/// Per cent of a CPU, and wake-ups a second.
fn idle(bench: &Bench, make: Make) -> Result<(f64, f64), String> {
    let seconds = if bench.quick { 3 } else { 10 };
    let wire = Wire::new()?;
    let mut daemon = Daemon::start(bench, make, &story(make), Some(&wire))?;
    daemon.wait_for_socket()?;
    bench.pause(2 * SETTLED)?;
    let (cpu, sleeps) = (daemon.cpu(), daemon.sleeps());
    bench.pause(Duration::from_secs(seconds))?;
    let (cpu, sleeps) = (daemon.cpu().saturating_sub(cpu), daemon.sleeps() - sleeps);
    Ok((cpu.as_secs_f64() / seconds as f64 * 100.0, sleeps as f64 / seconds as f64))
}

/// Milliseconds to the first packet counted.
fn start(bench: &Bench, make: Make) -> Result<f64, String> {
    const RATE: u64 = 10_000;
    let seconds = if make == Make::Ours { 2 } else { 4 };
    let wire = Wire::new()?;
    let sending = Sending::start(&wire, RATE, seconds * RATE, 100)?;
    bench.pause(Duration::from_millis(300))?;
    let configuration = story(make) + "daemonize: true\nsyslog: daemon\n";
    let begin = SystemTime::now();
    let daemon = Daemon::start(bench, make, &configuration, Some(&wire))?;
    let sent = sending.wait(bench)?;
    bench.pause(SETTLED)?;
    let counted = daemon.totals()?.packets;
    if counted == 0 || counted >= sent.frames {
        return Err(format!("{} counted {counted} of {} packets", make.daemon(), sent.frames));
    }
    let begin = begin.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    let first = sent.start + sent.took * u128::from(sent.frames - counted) / u128::from(sent.frames);
    Ok(first.saturating_sub(begin) as f64 / 1e6)
}
