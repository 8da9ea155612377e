//! Bins of time: what goes into which file, and when.

use std::fs;

use crate::bench::{Bench, at};

const CSV: &str = "print_output: csv\n";

#[test]
fn a_file_has_the_time_of_its_bin() {
    let dir = tempfile::tempdir().unwrap();
    let lines = "print_output: csv\nprint_history: 1m\nprint_history_roundoff: m";
    let mut bench = Bench::file("src_port", &dir.path().join("%H%M-$hst.csv"), lines);
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    bench.feed_at(0, "80 / 1 40 0");
    bench.feed_at(59, "80 / 1 40 0");
    bench.feed_at(60, "443 / 1 50 0");
    bench.tick(61).unwrap();
    assert_eq!(read("2214-60.csv"), "SRC_PORT,PACKETS,BYTES\n80,2,80\n");
    assert!(!dir.path().join("2215-60.csv").exists()); // it is not over
    bench.feed_at(58, "22 / 1 60 0"); // late
    bench.tick(121).unwrap();
    assert_eq!(read("2214-60.csv"), "SRC_PORT,PACKETS,BYTES\n80,2,80\n22,1,60\n");
    assert_eq!(read("2215-60.csv"), "SRC_PORT,PACKETS,BYTES\n443,1,50\n");
    bench.feed_at(125, "80 / 1 40 0");
    bench.finish(130).unwrap();
    assert_eq!(read("2216-60.csv"), "SRC_PORT,PACKETS,BYTES\n80,1,40\n");
}

#[test]
fn a_bin_of_several_purges_is_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let lines = "print_output: csv\nprint_history: 1h\nprint_refresh_time: 60";
    let mut bench = Bench::file("src_port", &dir.path().join("%H%M.csv"), lines);
    for secs in [0, 60, 120] {
        bench.feed_at(secs, "80 / 1 40 0");
        bench.tick(secs + 61).unwrap();
    }
    let text = fs::read_to_string(dir.path().join("2200.csv")).unwrap();
    assert_eq!(text, "SRC_PORT,PACKETS,BYTES\n80,1,40\n80,1,40\n80,1,40\n");
}

#[test]
fn json_has_stamps_and_csv_if_wanted() {
    let output = |lines: &str| {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let mut bench = Bench::file("src_port", &path, &format!("print_history: 5m\n{lines}"));
        bench.feed_at(20, "80 / 1 40 0");
        bench.finish(30).unwrap();
        fs::read_to_string(path).unwrap()
    };
    let json = |inserted: &str, updated: &str| {
        format!(
            "{{\"event_type\": \"purge\", \"port_src\": 80, \"stamp_inserted\": \"{inserted}\", \
             \"stamp_updated\": \"{updated}\", \"packets\": 1, \"bytes\": 40}}\n"
        )
    };
    assert_eq!(output("print_output: json"), json("2023-11-14 22:10:00", "2023-11-14 22:14:30"));
    assert_eq!(output("print_output: json\ntimestamps_since_epoch: true"), json("1699999800", "1700000070"));
    assert_eq!(
        output("print_output: json\ntimestamps_rfc3339: true\nprint_history_offset: 30"),
        json("2023-11-14T22:09:30+00:00", "2023-11-14T22:14:30+00:00")
    );
    assert_eq!(output(CSV), "SRC_PORT,PACKETS,BYTES\n80,1,40\n");
    assert_eq!(
        output("print_output: csv\nprint_history_stamps: true"),
        "SRC_PORT,STAMP_INSERTED,STAMP_UPDATED,PACKETS,BYTES\n\
         80,2023-11-14 22:10:00,2023-11-14 22:14:30,1,40\n"
    );
}

#[test]
fn bins_by_arrival() {
    let dir = tempfile::tempdir().unwrap();
    let lines = "print_output: csv\nprint_history: 1m\npmacctd_time_new: true";
    let mut bench = Bench::file("src_port", &dir.path().join("%H%M.csv"), lines);
    bench.feed_at(-100_000, "80 / 1 40 0"); // arrives at 22:30:40
    bench.finish(1001).unwrap();
    assert!(dir.path().join("2230.csv").exists());
}

#[test]
fn purges_are_counted_from_where_bins_are() {
    let dir = tempfile::tempdir().unwrap();
    let due = |lines: &str| Bench::file("src_port", &dir.path().join("%s"), lines).sink.due();
    // The plugin is opened at 22:14:00.
    assert_eq!(due("print_refresh_time: 300"), Some(at(301)));
    assert_eq!(due("print_refresh_time: 300\nprint_history: 5m"), Some(at(61)));
    assert_eq!(due("print_refresh_time: 3600\nprint_history: 1h"), Some(at(46 * 60 + 1)));
    // Seven hours after midnight, and then seven more: the next is at 04:00 of the day after, counted on.
    let midnight = -(22 * 3600 + 14 * 60);
    let every = "print_refresh_time: 25200\nprint_history: 1h\nprint_history_roundoff: h";
    assert_eq!(due(every), Some(at(midnight + 4 * 25200 + 1)));
}

#[test]
fn an_empty_bin_makes_a_file_if_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let lines = "print_output: csv\nprint_history: 1m\nprint_write_empty_file: true";
    let mut bench = Bench::file("src_port", &dir.path().join("%H%M.csv"), lines);
    bench.tick(61).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("2214.csv")).unwrap(), "SRC_PORT,PACKETS,BYTES\n");
}
