//! The print plugin: a million pairs read, summed and written to a file.

use std::fs;
use std::time::Duration;

use super::Bench;
use super::daemon::{Daemon, Make};
use super::report::Section;
use super::shape::{Capture, P5};
use super::stats::{Series, short, thousands};

pub(crate) fn measure(bench: &Bench) -> Result<Section, String> {
    let capture = bench.capture(P5)?;
    let mut section = Section::new("The print plugin");
    section.say(&format!(
        "P5 ({}), from start to end, the purge included: CPU seconds. pmacctd with its ZeroMQ queue and a cache that\n\
         holds everything; it is told to end when it rests, because it loses less so.",
        P5.summary
    ));
    section.row(&["output", "rpmacctd, s", "pmacctd, s", "ratio", "pmacctd wrote, rows"]);
    let mut ratios = Vec::new();
    for format in ["csv", "json"] {
        let (mut ours, mut peers, mut written) = (Vec::new(), Vec::new(), Vec::new());
        for _ in 0..bench.pairs() {
            let (cpu, rows) = write(bench, Make::Ours, &capture, format)?;
            if rows != capture.totals.entries {
                return Err(format!("rpmacctd wrote {rows} rows of {}", capture.totals.entries));
            }
            ours.push(cpu);
            let (cpu, rows) = write(bench, Make::Peer, &capture, format)?;
            peers.push(cpu);
            written.push(rows);
        }
        let ratio = Series::ratio(&peers, &ours).ok_or("no runs")?;
        ratios.push(format!("{} x", short(ratio.median())));
        let cell = |values| Series::new(values).map_or_else(String::new, |series| series.to_string());
        section.row(&[
            format.to_owned(),
            cell(ours),
            cell(peers),
            ratio.to_string(),
            thousands(written.into_iter().min().unwrap_or(0)),
        ]);
    }
    section.goal(
        "print plugin, 1 M distinct pairs, csv and json, purge included",
        "8 x",
        "15 x",
        ratios.join(", "),
    );
    Ok(section)
}

/// CPU seconds, and the rows that were written.
fn write(bench: &Bench, make: Make, capture: &Capture, format: &str) -> Result<(f64, u64), String> {
    let mut configuration = format!(
        "pcap_savefile: {}\nplugins: print\naggregate: src_host, dst_host\nprint_output: {format}\n\
         print_output_file: {{folder}}/out\nprint_refresh_time: 86400\n",
        capture.path.display()
    );
    if make == Make::Peer {
        configuration.push_str(
            "pcap_savefile_wait: true\nplugin_pipe_zmq: true\nplugin_pipe_zmq_profile: xlarge\n\
             print_cache_entries: 200003\n",
        );
    }
    let mut daemon = Daemon::start(bench, make, &configuration, None)?;
    if make == Make::Peer {
        daemon.wait_for_rest()?;
        daemon.interrupt();
    }
    daemon.wait_for_end()?;
    let cpu = daemon.cpu();
    bench.pause(Duration::ZERO)?;
    Ok((cpu.as_secs_f64(), rows(&fs::read_to_string(daemon.path("out")).unwrap_or_default())))
}

/// Lines, without the heading of CSV.
fn rows(text: &str) -> u64 {
    text.lines().filter(|line| !line.starts_with("SRC_IP")).count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headings_are_no_rows() {
        assert_eq!(rows("SRC_IP,DST_IP,PACKETS,BYTES\n10.0.0.1,10.0.0.2,1,46\n"), 1);
        assert_eq!(rows("{\"ip_src\": \"10.0.0.1\"}\n"), 1);
    }
}
