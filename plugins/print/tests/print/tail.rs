//! A reader that follows files while they are written, over a hundred purges.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::bench::Bench;

const PURGES: i64 = 100;
/// So many that a purge takes several pages.
const ROWS: usize = 2_000;
const HEADER: &str = "SRC_IP,PACKETS,BYTES\n";

/// Purges a hundred times while `reader` runs; each purge has the same hosts, and its number as their bytes.
fn purge_while(bench: Bench, reader: impl FnOnce(&AtomicBool) + Send) {
    let done = AtomicBool::new(false);
    let mut bench = bench;
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| reader(&done));
        for purge in 1..=PURGES {
            let line = |n: usize| format!("10.7.{}.{} / 1 {} 0\n", n / 256, n % 256, 1000 + purge);
            let lines = (0..ROWS).fold(String::new(), |all, n| all + &line(n));
            bench.feed_at(purge, &lines);
            bench.tick(purge + 1).unwrap();
        }
        bench.finish(PURGES + 2).unwrap();
        done.store(true, Ordering::Release);
        reader.join().unwrap();
    });
}

/// Rows of each purge in whole lines; panics at anything that is none.
fn purges(text: &str) -> BTreeMap<String, usize> {
    let mut rows = BTreeMap::new();
    for line in text.lines() {
        let values: Vec<_> = line.split(',').collect();
        assert!(values.len() == 3 && values[1] == "1" && values[2].len() == 4, "{line:?} is no row");
        *rows.entry(values[2].to_owned()).or_default() += 1;
    }
    rows
}

/// The lines of `tail -F`, which follows a name whatever file has it.
fn tail(path: &Path, until: impl Fn(&str) -> bool) -> Vec<String> {
    let mut tail = Command::new("tail")
        .args(["-n", "+1", "-s", "0.001", "-F"])
        .arg(path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = Vec::new();
    for line in BufReader::new(tail.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        let is_last = until(&line);
        lines.push(line);
        if is_last {
            break;
        }
    }
    tail.kill().unwrap();
    tail.wait().unwrap();
    lines
}

/// The last row of the last purge.
fn is_last(line: &str) -> bool {
    let last = ROWS - 1;
    line == format!("10.7.{}.{},1,{}", last / 256, last % 256, 1000 + PURGES)
}

#[test]
fn an_appended_file_is_followed_line_by_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flows");
    let lines = "print_output: csv\nprint_output_file_append: true\nprint_refresh_time: 1";
    purge_while(Bench::file("src_host", &path, lines), |_| {
        let lines = tail(&path, is_last);
        assert_eq!(lines[0], HEADER.trim());
        let rows = purges(&lines[1..].join("\n"));
        assert_eq!(rows.len(), usize::try_from(PURGES).unwrap());
        assert!(rows.values().all(|count| *count == ROWS));
    });
}

/// `tail` sees each file that takes the name from its beginning, and none twice; it may be too slow for some.
#[test]
fn a_file_that_is_made_anew_is_followed_file_by_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flows");
    let lines = "print_output: csv\nprint_refresh_time: 1\nprint_markers: true";
    purge_while(Bench::file("src_host", &path, lines), |_| {
        let lines = tail(&path, |line| line.starts_with("--END") && is_the_last_file(&path));
        let files: Vec<_> = lines.split_inclusive(|line| line.starts_with("--END")).collect();
        assert!(files.len() > 1, "{} files were seen", files.len());
        for file in files {
            assert!(file[0].starts_with("--START") && file[1] == HEADER.trim(), "{:?}", &file[..2]);
            let rows = purges(&file[2..file.len() - 1].join("\n"));
            assert_eq!(rows.values().collect::<Vec<_>>(), [&ROWS]);
        }
    });
}

fn is_the_last_file(path: &Path) -> bool {
    fs::read_to_string(path).unwrap().lines().any(is_last)
}

/// Who takes the lock sees whole purges.
#[test]
fn a_reader_with_the_lock_sees_whole_purges() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flows");
    let lines = "print_output: csv\nprint_output_file_append: true\nprint_refresh_time: 1";
    purge_while(Bench::file("src_host", &path, lines), |done| {
        let mut seen = 0;
        while !done.load(Ordering::Acquire) {
            let Ok(mut file) = File::open(&path) else { continue };
            file.lock_shared().unwrap();
            let mut text = String::new();
            file.read_to_string(&mut text).unwrap();
            let Some(rows) = text.strip_prefix(HEADER) else {
                assert!(text.is_empty(), "half a header");
                continue;
            };
            assert!(purges(rows).values().all(|count| *count == ROWS));
            seen += 1;
        }
        assert!(seen > 0);
    });
}

/// A file for each bin is whole from the moment at which it is there.
#[test]
fn a_new_file_is_whole_when_it_appears() {
    let dir = tempfile::tempdir().unwrap();
    let latest = dir.path().join("latest");
    let lines = format!(
        "print_output: csv\nprint_refresh_time: 1\nprint_history: 1s\nprint_latest_file: {}",
        latest.display()
    );
    let whole = |path: &Path| {
        let text = fs::read_to_string(path).unwrap();
        let rows = purges(text.strip_prefix(HEADER).unwrap());
        assert_eq!(rows.values().collect::<Vec<_>>(), [&ROWS], "{}", path.display());
    };
    purge_while(Bench::file("src_host", &dir.path().join("flows-%s"), &lines), |done| {
        let mut seen = BTreeSet::new();
        while !done.load(Ordering::Acquire) {
            for entry in fs::read_dir(dir.path()).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_string_lossy().into_owned();
                if name.starts_with("flows-") && seen.insert(name) {
                    whole(&path);
                }
            }
            if latest.exists() {
                whole(&latest);
            }
        }
        assert!(seen.len() > 10, "{} files were seen", seen.len());
    });
    let count = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(count, usize::try_from(PURGES).unwrap() + 1, "a file each, and the link");
}
