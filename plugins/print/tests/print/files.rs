//! Which file a purge goes to, and what others see of it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rpmacct_plugin::{SinkError, Tally};

use crate::bench::{Bench, at, log_of, without_pid};

const CSV: &str = "print_output: csv\n";

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(path).unwrap()
}

/// The names in a directory, sorted.
fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn counts(bench: &Bench) -> [u64; 4] {
    let tallies = &bench.tallies;
    [&tallies.in_table, &tallies.purged, &tallies.written, &tallies.lost].map(Tally::count)
}

#[test]
fn a_file_is_made_anew_at_each_purge() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/b/flows");
    let mut bench = Bench::file("src_host", &path, CSV);
    bench.hosts(&["10.0.0.1", "10.0.0.2"], 40);
    bench.tick(61).unwrap();
    assert_eq!(read(&path), "SRC_IP,PACKETS,BYTES\n10.0.0.1,1,40\n10.0.0.2,1,40\n");
    bench.hosts(&["10.0.0.3"], 50);
    bench.tick(121).unwrap();
    assert_eq!(read(&path), "SRC_IP,PACKETS,BYTES\n10.0.0.3,1,50\n");
    assert_eq!(names(path.parent().unwrap()), ["flows"]);
    assert_eq!(counts(&bench), [0, 3, 3, 0]);
}

#[test]
fn an_appended_file_has_one_header() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/flows");
    let lines = "print_output: csv\nprint_output_file_append: true\nprint_markers: true";
    for host in ["10.0.0.1", "10.0.0.2"] {
        // The second time the daemon is started anew.
        let mut bench = Bench::file("src_host", &path, lines);
        bench.hosts(&[host], 40);
        bench.tick(61).unwrap();
        bench.hosts(&[host], 50);
        bench.finish(70).unwrap();
    }
    let expected = "--START (PID)--
SRC_IP,PACKETS,BYTES
10.0.0.1,1,40
--END (PID)--
--START (PID)--
10.0.0.1,1,50
--END (PID)--
--START (PID)--
10.0.0.2,1,40
--END (PID)--
--START (PID)--
10.0.0.2,1,50
--END (PID)--
";
    assert_eq!(without_pid(&read(&path)), expected);
}

#[test]
fn a_file_that_was_moved_away_is_begun_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flows");
    let mut bench = Bench::file("src_host", &path, "print_output: csv\nprint_output_file_append: true");
    for secs in [61, 121] {
        bench.hosts(&["10.0.0.1"], 40);
        bench.tick(secs).unwrap();
        fs::rename(&path, dir.path().join(format!("old-{secs}"))).unwrap();
        assert_eq!(read(dir.path().join(format!("old-{secs}"))), "SRC_IP,PACKETS,BYTES\n10.0.0.1,1,40\n");
    }
}

#[test]
fn names_have_the_time_of_the_purge() {
    let dir = tempfile::tempdir().unwrap();
    let latest = dir.path().join("latest");
    let lines = format!("print_output: csv\nprint_latest_file: {}", latest.display());
    let mut bench = Bench::file("src_host", &dir.path().join("%Y/%m-%d/%H%M-$ref-%s.csv"), &lines);
    for (secs, bytes) in [(61, 40), (121, 50)] {
        bench.hosts(&["10.0.0.1"], bytes);
        bench.tick(secs).unwrap();
        let name = format!("2023/11-14/22{}-60-{}.csv", 14 + secs / 60, at(secs).secs());
        let path = dir.path().join(name);
        assert_eq!(read(&path), format!("SRC_IP,PACKETS,BYTES\n10.0.0.1,1,{bytes}\n"));
        assert_eq!(fs::read_link(&latest).unwrap(), path);
    }
}

#[test]
fn an_interval_purged_in_parts_is_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flows");
    let mut bench = Bench::file("none, src_port", &path, "print_output: csv\nprint_cache_entries: 1");
    let ports =
        |range: std::ops::Range<u16>| range.map(|n| format!("{n} / 1 40 0")).collect::<Vec<_>>().join("\n");
    let rows = |path: &Path| {
        let text = read(path);
        assert!(text.starts_with("SRC_PORT,PACKETS,BYTES\n"));
        text.lines()
            .skip(1)
            .map(|line| line.split(',').next().unwrap().parse().unwrap())
            .collect::<Vec<u16>>()
    };

    // The peer keeps eleven entries for each of `print_cache_entries`.
    let log = log_of(|| bench.feed(&ports(0..25)));
    assert_eq!(rows(&path), (0..22).collect::<Vec<_>>());
    assert_eq!(log[0], "INFO Finished cache entries (ie. print_cache_entries). Purging.");
    assert_eq!(counts(&bench), [3, 22, 22, 0]);
    bench.tick(61).unwrap();
    assert_eq!(rows(&path), (0..25).collect::<Vec<_>>());

    // The next interval begins a new file, and so does one that nothing is left of at its end.
    bench.feed(&ports(0..11));
    assert_eq!(rows(&path), (0..11).collect::<Vec<_>>());
    bench.tick(121).unwrap();
    bench.feed(&ports(5..6));
    bench.tick(181).unwrap();
    assert_eq!(rows(&path), [5]);
}

#[test]
fn what_is_left_at_the_end_does_not_replace_the_minute_before() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::file("src_host", &dir.path().join("%H%M.csv"), CSV);
    bench.hosts(&["10.0.0.1"], 40);
    bench.tick(61).unwrap();
    bench.hosts(&["10.0.0.2"], 50);
    bench.finish(100).unwrap();
    assert_eq!(read(dir.path().join("2215.csv")), "SRC_IP,PACKETS,BYTES\n10.0.0.1,1,40\n10.0.0.2,1,50\n");
}

#[test]
fn an_interval_without_traffic_makes_a_file_only_if_wanted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flows");
    let mut bench = Bench::file("src_host", &path, CSV);
    let log = log_of(|| bench.tick(61).unwrap());
    assert!(!path.exists());
    assert_eq!(
        log,
        [
            "INFO *** Purging cache - START (PID: PID) ***",
            "INFO *** Purging cache - END (PID: PID, QN: 0/0, ET: X) ***"
        ]
    );
    drop(bench);
    let mut bench = Bench::file("src_host", &path, "print_output: csv\nprint_write_empty_file: true");
    bench.tick(61).unwrap();
    assert_eq!(read(&path), "SRC_IP,PACKETS,BYTES\n");
}

#[test]
fn purges_are_logged_and_a_second_late() {
    let dir = tempfile::tempdir().unwrap();
    let lines = "print_refresh_time: 10\nprint_startup_delay: 2";
    let mut bench = Bench::file("src_host", &dir.path().join("flows"), lines);
    bench.hosts(&["10.0.0.1", "10.0.0.2"], 40);
    assert_eq!(bench.sink.due(), Some(at(13)));
    let log = log_of(|| {
        for secs in 0..=13 {
            bench.tick(secs).unwrap();
        }
    });
    assert_eq!(
        log,
        [
            "INFO *** Purging cache - START (PID: PID) ***",
            "INFO *** Purging cache - END (PID: PID, QN: 2/2, ET: 0) ***"
        ]
    );
    assert_eq!(bench.sink.due(), Some(at(23)));
}

#[test]
fn what_cannot_be_written_is_held_and_said() {
    let dir = tempfile::tempdir().unwrap();
    let blocker = dir.path().join("file");
    let path = blocker.join("flows");
    let mut bench = Bench::file("src_host", &path, CSV);
    fs::remove_dir(&blocker).unwrap();
    fs::write(&blocker, "").unwrap(); // a file is no directory, not even root's
    bench.hosts(&["10.0.0.1", "10.0.0.2"], 40);
    let mut result = Ok(());
    let log = log_of(|| result = bench.tick(61));
    let error = result.unwrap_err().to_string();
    assert_eq!(error, format!("writing {}: Not a directory (os error 20)", path.display()));
    assert_eq!(log[1], "WARN 2 rows of 1 files are kept in memory, and tried again every 10 s");
    assert_eq!(log[2], "INFO *** Purging cache - END (PID: PID, QN: 0/2, ET: 0) ***");
    assert_eq!(counts(&bench), [2, 0, 0, 0]);

    // It is said once.
    assert_eq!(bench.sink.due(), Some(at(71)));
    assert!(matches!(bench.tick(71).unwrap_err(), SinkError::Known));
    assert_eq!(bench.sink.due(), Some(at(81)));

    // And goes on as soon as it can be, in one file with what came since.
    fs::remove_file(&blocker).unwrap();
    bench.hosts(&["10.0.0.3"], 40);
    let log = log_of(|| bench.tick(121).unwrap());
    assert_eq!(log[1], "INFO what could not be written is written now");
    assert_eq!(read(&path), "SRC_IP,PACKETS,BYTES\n10.0.0.1,1,40\n10.0.0.2,1,40\n10.0.0.3,1,40\n");
    assert_eq!(counts(&bench), [0, 3, 3, 0]);
    bench.hosts(&["10.0.0.4"], 40);
    bench.tick(181).unwrap();
    assert_eq!(read(&path), "SRC_IP,PACKETS,BYTES\n10.0.0.4,1,40\n");
}

#[test]
fn what_is_held_is_tried_again_before_the_next_purge() {
    let dir = tempfile::tempdir().unwrap();
    let blocker = dir.path().join("file");
    let path = blocker.join("%H%M.csv");
    let mut bench = Bench::file("src_host", &path, CSV);
    fs::remove_dir(&blocker).unwrap();
    fs::write(&blocker, "").unwrap();
    bench.hosts(&["10.0.0.1"], 40);
    bench.tick(61).unwrap_err();
    bench.hosts(&["10.0.0.2"], 40);
    fs::remove_file(&blocker).unwrap();
    bench.tick(71).unwrap();
    assert_eq!(read(blocker.join("2215.csv")), "SRC_IP,PACKETS,BYTES\n10.0.0.1,1,40\n");
    assert_eq!(counts(&bench), [1, 1, 1, 0]);
    assert_eq!(bench.sink.due(), Some(at(121)));
}

#[test]
fn what_no_longer_fits_in_memory_is_lost_the_oldest_first() {
    let dir = tempfile::tempdir().unwrap();
    let blocker = dir.path().join("file");
    let path = blocker.join("%H%M.csv");
    let mut bench = Bench::file("none, src_port", &path, "print_output: csv\nprint_cache_entries: 1");
    fs::remove_dir(&blocker).unwrap();
    fs::write(&blocker, "").unwrap();
    let ports = |n: u16| (0..6).map(|i| format!("{} / 1 40 0", n + i)).collect::<Vec<_>>().join("\n");
    bench.feed(&ports(0));
    bench.tick(61).unwrap_err();
    assert_eq!(counts(&bench), [6, 0, 0, 0]);
    bench.feed(&ports(10));
    let log = log_of(|| bench.tick(121).unwrap_err().to_string().clear());
    assert!(log.iter().any(|line| line.starts_with("WARN 6 packets are lost: ")), "{log:?}");
    assert_eq!(counts(&bench), [6, 6, 0, 6]);
    let tallies = Arc::clone(&bench.tallies);
    let error = bench.finish(130).unwrap_err().to_string();
    assert!(error.starts_with("writing "), "{error}");
    assert_eq!([&tallies.in_table, &tallies.written, &tallies.lost].map(Tally::count), [0, 0, 12]);
}

#[test]
fn where_nothing_can_be_written_nothing_is_started() {
    let dir = tempfile::tempdir().unwrap();
    let blocker = dir.path().join("file");
    fs::write(&blocker, "").unwrap();
    let lines = format!("print_output_file: {}/flows", blocker.display());
    let error = Bench::try_open("src_host", &lines, true).err().unwrap().to_string();
    assert_eq!(error, format!("making {}: File exists (os error 17)", blocker.display()));
}

#[test]
fn a_file_that_is_made_anew_belongs_to_one_plugin() {
    let dir = tempfile::tempdir().unwrap();
    let lines = format!("print_output_file: {}/flows", dir.path().display());
    let first = Bench::open("src_host", &lines);
    let error = Bench::try_open("proto", &lines, true).err().unwrap().to_string();
    assert!(
        error.ends_with("/flows anew at each purge, too") && error.starts_with("another plugin writes "),
        "{error}"
    );
    drop(first);
    Bench::open("proto", &lines);
}

#[test]
fn a_full_disk_is_said() {
    for lines in ["", "print_output_file_append: true"] {
        let mut bench = Bench::file("src_host", Path::new("/dev/full"), lines);
        bench.hosts(&["10.0.0.1"], 40);
        let error = bench.tick(61).unwrap_err();
        assert!(matches!(&error, SinkError::Io { .. }));
        assert_eq!(error.to_string(), "writing /dev/full: No space left on device (os error 28)");
        assert_eq!(counts(&bench), [1, 0, 0, 0]);
    }
}

#[test]
fn a_reader_never_sees_a_part() {
    const ROWS: usize = 5_000; // several writes each
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flows");
    let mut bench = Bench::file("none, src_host", &path, "print_output: csv\nprint_refresh_time: 1");
    let hosts: Vec<String> = (0..ROWS).map(|n| format!("10.7.{}.{}", n / 256, n % 256)).collect();
    let hosts: Vec<&str> = hosts.iter().map(String::as_str).collect();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen = 0;
            while !done.load(Ordering::Acquire) {
                let Ok(text) = fs::read_to_string(&path) else { continue };
                let mut lines = text.lines();
                assert_eq!(lines.next(), Some("SRC_IP,PACKETS,BYTES"));
                let last = text.trim_end().rsplit(',').next().unwrap();
                assert!(lines.all(|line| line.ends_with(&format!(",1,{last}"))), "rows of several purges");
                assert_eq!(text.lines().count(), ROWS + 1, "not all rows");
                assert!(text.ends_with('\n'));
                seen += 1;
            }
            seen
        });
        for purge in 0..100 {
            bench.hosts(&hosts, 1000 + purge);
            bench.tick(i64::try_from(purge).unwrap() + 2).unwrap();
        }
        done.store(true, Ordering::Release);
        assert!(reader.join().unwrap() > 0);
    });
    assert_eq!(names(dir.path()), ["flows"]);
    assert_eq!(counts(&bench), [0, 500_000, 500_000, 0]);
}

#[test]
fn two_plugins_may_write_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flows");
    std::thread::scope(|scope| {
        for plugin in 0..2 {
            let path = &path;
            scope.spawn(move || {
                let lines = "print_output: csv\nprint_output_file_append: true\nprint_refresh_time: 1";
                let mut bench = Bench::file("src_host", path, lines);
                for purge in 0..100 {
                    bench.hosts(&["10.0.0.1", "10.0.0.2"], plugin);
                    bench.tick(purge + 2).unwrap();
                }
            });
        }
    });
    let text = read(&path);
    let (headers, rows): (Vec<_>, Vec<_>) = text.lines().partition(|line| line.starts_with("SRC_IP"));
    assert_eq!((headers.len(), rows.len()), (1, 400));
    // Each purge is in one piece.
    assert!(rows.chunks(2).all(|pair| pair[0].starts_with("10.0.0.1,") && pair[1][8..] == pair[0][8..]));
}

#[test]
fn the_mode_of_a_file_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flows");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    let mut bench = Bench::file("src_host", &path, CSV);
    bench.hosts(&["10.0.0.1"], 40);
    bench.tick(61).unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);
}
