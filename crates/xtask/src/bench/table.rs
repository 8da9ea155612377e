//! A table of a million entries: its memory, the time of an answer, and answers while packets come in.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::Bench;
use super::daemon::{Daemon, Make};
use super::live::{SETTLED, Sending, story};
use super::report::Section;
use super::savefile::{PEER_BEST, table_of};
use super::shape::{P4, P5, Totals};
use super::stats::{Series, short, thousands};
use super::wire::Wire;

const FORMATS: [&str; 3] = ["csv", "formatted", "json"];

pub(crate) fn measure(bench: &Bench) -> Result<Section, String> {
    let mut section = Section::new("A table of a million entries");
    memory_and_answers(bench, &mut section)?;
    answers_while_packets_come(bench, &mut section)?;
    Ok(section)
}

fn memory_and_answers(bench: &Bench, section: &mut Section) -> Result<(), String> {
    let shape = if bench.quick { P4 } else { P5 };
    let capture = shape.capture(&bench.cache)?;
    let ours = table_of(bench, Make::Ours, &capture)?;
    let peer = table_of(bench, Make::Peer, &capture)?;
    let answer = ours.ask(&["-s", "-O", "csv"])?;
    if Totals::of_csv(&answer) != capture.totals {
        return Err(format!("rpmacctd answers {} instead of {}", Totals::of_csv(&answer), capture.totals));
    }
    let theirs = peer.totals()?;
    section.say(&format!(
        "{} ({}), read from a savefile; pmacctd's table is made large enough. rpmacctd holds {} entries, pmacctd {}.",
        shape.name,
        shape.summary,
        thousands(capture.totals.entries),
        thousands(theirs.entries),
    ));

    section.row(&["", "bytes an entry, anonymous memory", "bytes an entry, all that is resident"]);
    for (make, daemon) in Make::BOTH.into_iter().zip([&ours, &peer]) {
        let memory = daemon.memory();
        let each = |bytes: u64| thousands(bytes / capture.totals.entries);
        section.row(&[make.daemon().to_owned(), each(memory.anonymous), each(memory.resident)]);
        if make == Make::Ours {
            section.goal(
                "memory per entry at 1 M host pairs, everything resident counted",
                "≤ 200 B",
                "≤ 130 B",
                format!("{} B ({} B with the mapped file)", each(memory.anonymous), each(memory.resident)),
            );
        }
    }
    section.say("");

    section.row(&["question", "rpmacct, ms", "pmacct, ms", "ratio"]);
    let mut ratios = Vec::new();
    for format in FORMATS {
        let (ours, peers, ratio) = compare(bench, [&ours, &peer], &["-s", "-O", format])?;
        ratios.push(short(ratio.median()));
        section.row(&[format!("`-s -O {format}`"), ours.to_string(), peers.to_string(), ratio.to_string()]);
    }
    section.goal(
        "`rpmacct -s` of 1 M entries: csv, formatted, json",
        "3 x faster",
        "8 x",
        format!("{} x", ratios.join(", ")),
    );
    let key: Vec<&str> = answer.lines().nth(1).unwrap_or_default().split(',').take(2).collect();
    let question = ["-c", "src_host,dst_host", "-N", &key.join(",")];
    let (ours, peers, ratio) = compare(bench, [&ours, &peer], &question)?;
    section.row(&["`-N` of one key".to_owned(), ours.to_string(), peers.to_string(), ratio.to_string()]);
    section.say("");
    section.goal("`-N` of one key in 1 M", "≤ 5 ms", "", format!("{} ms", short(ours.median())));
    Ok(())
}

/// Milliseconds of both clients for a question, in turns, and the ratio of the peer's to ours.
fn compare(
    bench: &Bench,
    daemons: [&Daemon<'_>; 2],
    question: &[&str],
) -> Result<(Series, Series, Series), String> {
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..bench.pairs() {
        for (daemon, times) in daemons.into_iter().zip(&mut times) {
            bench.pause(Duration::ZERO)?;
            let start = Instant::now();
            let mut client = daemon.client(question)?;
            let status = client.stdout(Stdio::null()).status().map_err(|error| error.to_string())?;
            if !status.success() {
                return Err(format!("{question:?}: {status}"));
            }
            times.push(start.elapsed().as_secs_f64() * 1e3);
        }
    }
    let [ours, peers] = times;
    let ratio = Series::ratio(&peers, &ours);
    let all = [Series::new(ours), Series::new(peers), ratio];
    let [Some(ours), Some(peers), Some(ratio)] = all else { return Err("no runs".to_owned()) };
    Ok((ours, peers, ratio))
}

/// What came of asking again and again.
struct Siege {
    answers: u32,
    whole: u32,
    arrived: u64,
    lost: u64,
    slowest: Duration,
}

fn answers_while_packets_come(bench: &Bench, section: &mut Section) -> Result<(), String> {
    section.say(
        "One question after the other (`-s -O csv`) while 100 k packets a second come in over a wire, of as many pairs\n\
         as the table has. Whole is an answer that has every pair and that the client ended well.",
    );
    section.row(&["", "answers", "whole", "slowest, ms", "packets", "lost"]);
    for make in Make::BOTH {
        let siege = besiege(bench, make)?;
        section.row(&[
            make.daemon().to_owned(),
            siege.answers.to_string(),
            siege.whole.to_string(),
            short(siege.slowest.as_secs_f64() * 1e3),
            thousands(siege.arrived),
            thousands(siege.lost),
        ]);
        if make == Make::Ours {
            section.goal(
                "back-to-back `rpmacct -s` at 100 k pps and 1 M entries",
                "nothing lost, every answer whole",
                "",
                format!(
                    "{} of {} packets lost, {} of {} answers whole",
                    siege.lost,
                    thousands(siege.arrived),
                    siege.whole,
                    siege.answers
                ),
            );
        }
    }
    section.say("");
    Ok(())
}

fn besiege(bench: &Bench, make: Make) -> Result<Siege, String> {
    const RATE: u64 = 100_000;
    let (pairs, seconds) = if bench.quick { (100_000, 5) } else { (1_000_000, 15) };
    let wire = Wire::new()?;
    let configuration = match make {
        Make::Ours => story(make),
        Make::Peer => story(make) + &table_only(PEER_BEST),
    };
    let mut daemon = Daemon::start(bench, make, &configuration, Some(&wire))?;
    daemon.wait_for_socket()?;
    bench.pause(SETTLED)?;
    let before = wire.arrived()?;
    let mut sending = Sending::start(&wire, RATE, pairs + seconds * RATE, pairs)?;
    while wire.arrived()? - before < pairs + RATE / 10 {
        bench.pause(Duration::from_millis(50))?;
    }
    let mut siege = Siege { answers: 0, whole: 0, arrived: 0, lost: 0, slowest: Duration::ZERO };
    while sending.is_running() {
        bench.pause(Duration::ZERO)?;
        let start = Instant::now();
        let answer = daemon.ask(&["-s", "-O", "csv"]);
        siege.slowest = siege.slowest.max(start.elapsed());
        siege.answers += 1;
        siege.whole += u32::from(answer.is_ok_and(|answer| Totals::of_csv(&answer).entries == pairs));
    }
    sending.wait(bench)?;
    bench.pause(SETTLED)?;
    siege.arrived = wire.arrived()? - before;
    // An answer that is cut says nothing of losses.
    siege.lost = siege.arrived.saturating_sub(daemon.totals().map_or(0, |totals| totals.packets));
    Ok(siege)
}

/// The lines that are about the table.
fn table_only(configuration: &str) -> String {
    configuration.split_inclusive('\n').filter(|line| line.starts_with("imt_")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_what_imt_keys_are_about() {
        let lines = table_only(PEER_BEST);
        assert!(lines.lines().count() == 3 && lines.lines().all(|line| line.starts_with("imt_")), "{lines}");
    }
}
