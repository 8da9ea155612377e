//! Times in outputs, and bins of time by the calendar of a zone.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use support::{ETHERNET, Launch, PcapFile};

/// One packet at each second since the epoch, each from 10.0.0.1.
fn capture(times: &[f64]) -> PcapFile {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    frame.extend([
        0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 1, 1, 4, 0, 0, 53, 0, 8, 0, 0,
    ]);
    times
        .iter()
        .fold(PcapFile::new(ETHERNET), |file, time| file.frame(Duration::from_secs_f64(*time), &frame))
}

/// Files and their packets, of a print plugin in the zone of Berlin.
fn files(times: &[f64], name: &str, lines: &str) -> BTreeMap<String, u64> {
    let conf = format!(
        "pcap_savefile: {{folder}}/in.pcap\nplugins: print\naggregate: none\nprint_output: csv\n\
         print_output_file: {{folder}}/out/{name}\n{lines}\n"
    );
    let launch = Launch::conf(&conf).file("in.pcap", capture(times).bytes());
    let finished = launch.environment("TZ", "Europe/Berlin").finish();
    assert!(finished.status.success() && !finished.stderr.contains("!="), "{}", finished.stderr);
    let entries = fs::read_dir(finished.folder.path().join("out")).unwrap().map(Result::unwrap);
    let packets = |text: String| {
        let rows = text.lines().filter(|line| *line != "PACKETS,BYTES");
        rows.map(|line| line.split(',').next().unwrap().parse::<u64>().unwrap()).sum()
    };
    entries
        .map(|entry| {
            let text = fs::read_to_string(entry.path()).unwrap();
            (entry.file_name().to_string_lossy().into_owned(), packets(text))
        })
        .collect()
}

fn expected(files: &[(&str, u64)]) -> BTreeMap<String, u64> {
    files.iter().map(|(name, packets)| ((*name).to_owned(), *packets)).collect()
}

/// 2024-10-27: at 01:00 UTC the clocks of Berlin go from 03:00 back to 02:00.
const AUTUMN: f64 = 1_729_990_800.0;
/// 2024-03-31: at 01:00 UTC they go from 02:00 to 03:00.
const SPRING: f64 = 1_711_846_800.0;

#[test]
fn days_of_23_and_of_25_hours() {
    let hours = |change: f64| (-30..30).map(|hour| change + f64::from(hour) * 3600.0).collect::<Vec<_>>();
    let day = |times: &[f64]| files(times, "%m-%d", "print_history: 1d\nprint_history_roundoff: d");
    assert_eq!(day(&hours(AUTUMN)), expected(&[("10-25", 3), ("10-26", 24), ("10-27", 25), ("10-28", 8)]));
    assert_eq!(day(&hours(SPRING)), expected(&[("03-29", 4), ("03-30", 24), ("03-31", 23), ("04-01", 9)]));
}

#[test]
fn the_hour_that_comes_twice_is_two_bins() {
    let times = [AUTUMN - 1800.0, AUTUMN - 1.0, AUTUMN, AUTUMN + 1800.0, AUTUMN + 3600.0];
    assert_eq!(
        files(&times, "%H%z", "print_history: 1h"),
        expected(&[("02+0200", 2), ("02+0100", 2), ("03+0100", 1)])
    );
    // In UTC there are no changes.
    assert_eq!(
        files(&times, "%H%z", "print_history: 1h\ntimestamps_utc: true"),
        expected(&[("00+0000", 2), ("01+0000", 2), ("02+0000", 1)])
    );
}

#[test]
fn months_and_weeks() {
    let times = [SPRING - 31.0 * 86400.0, SPRING, SPRING + 86400.0, SPRING + 40.0 * 86400.0];
    assert_eq!(
        files(&times, "%Y-%m", "print_history: 1M\nprint_history_roundoff: M"),
        expected(&[("2024-02", 1), ("2024-03", 1), ("2024-04", 1), ("2024-05", 1)])
    );
    // Mondays.
    assert_eq!(
        files(&times, "%m-%d", "print_history: 1w"),
        expected(&[("02-26", 1), ("03-25", 1), ("04-01", 1), ("05-06", 1)])
    );
}

#[test]
fn times_in_every_form() {
    let output = |aggregate: &str, lines: &str| {
        let conf = format!(
            "pcap_savefile: {{folder}}/in.pcap\nplugins: print\nprint_output: csv\naggregate: {aggregate}\n{lines}\n"
        );
        let capture = capture(&[1_700_000_000.25, 1_700_000_000.5, 1_700_000_007.75]);
        let launch = Launch::conf(&conf).file("in.pcap", capture.bytes());
        let finished = launch.environment("TZ", "Europe/Berlin").finish();
        assert!(finished.status.success(), "{}", finished.stderr);
        finished.stdout.lines().nth(1).unwrap_or_default().to_owned()
    };
    let time = |lines| output("timestamp_start", lines);
    assert_eq!(time(""), "2023-11-14 23:13:20.250000,1,28");
    assert_eq!(time("timestamps_utc: true"), "2023-11-14 22:13:20.250000,1,28");
    assert_eq!(time("timestamps_secs: true"), "2023-11-14 23:13:20.000000,2,56");
    assert_eq!(time("timestamps_since_epoch: true"), "1700000000.250000,1,28");
    assert_eq!(time("timestamps_rfc3339: true"), "2023-11-14T23:13:20.250000+01:00,1,28");
    assert_eq!(
        time("timestamps_rfc9557: true\ntimestamps_utc: true"),
        "2023-11-14T22:13:20.250000+00:00,1,28"
    );
    let span = |lines: &str| output("src_host", &format!("pmacctd_stitching: true\n{lines}"));
    assert_eq!(span(""), "10.0.0.1,2023-11-14 23:13:20.250000,2023-11-14 23:13:27.750000,3,84");
    assert_eq!(
        span("timestamps_since_epoch: true\ntimestamps_secs: true"),
        "10.0.0.1,1700000000.000000,1700000007.000000,3,84"
    );
}
