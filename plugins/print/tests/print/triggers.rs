//! `print_trigger_exec`.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::bench::Bench;

fn wait_for(path: &Path) -> String {
    let begin = Instant::now();
    loop {
        match fs::read_to_string(path) {
            Ok(text) if text.ends_with('\n') => return text,
            _ => assert!(begin.elapsed() < Duration::from_secs(10), "no {}", path.display()),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn it_is_told_of_the_purge() {
    let dir = tempfile::tempdir().unwrap();
    let (path, told) = (dir.path().join("%H%M.csv"), dir.path().join("told"));
    let told_to = told.display();
    let script = r#"echo "$0 $1 $RPMACCT_PLUGIN $RPMACCT_FILE $RPMACCT_FILES $RPMACCT_ROWS" >"#;
    let lines = format!(
        "print_refresh_time: 60\nprint_trigger_exec: /bin/sh -c '{script}\"{told_to}.new\"; mv \"{told_to}.new\" \"{told_to}\"' 'a  b' $HOME"
    );
    let mut bench = Bench::file("src_port", &path, &lines);
    bench.tick(61).unwrap(); // nothing came
    assert!(!told.exists());
    bench.feed("80 / 1 40 0\n443 / 1 40 0");
    bench.tick(121).unwrap();
    let file = dir.path().join("2216.csv");
    assert_eq!(wait_for(&told), format!("a  b $HOME default_print {} 1 2\n", file.display()));
    fs::remove_file(&told).unwrap();
    bench.feed("80 / 1 40 0");
    bench.finish(130).unwrap(); // waits for it
    assert!(told.exists());
}

#[test]
fn a_purge_does_not_wait_and_they_do_for_each_other() {
    for (lines, together) in [("", false), ("print_trigger_exec_async: true\n", true)] {
        let dir = tempfile::tempdir().unwrap();
        let begun = dir.path().join("begun");
        let script = format!("echo begun >> {}; sleep 0.5", begun.display());
        let lines = format!(
            "{lines}print_refresh_time: 1\nprint_trigger_exec: /bin/sh -c '{script}'\nprint_max_writers: 2"
        );
        let mut bench = Bench::file("src_port", &dir.path().join("flows"), &lines);
        let begin = Instant::now();
        for secs in 2..5 {
            bench.feed("80 / 1 40 0");
            bench.tick(secs).unwrap();
        }
        assert!(begin.elapsed() < Duration::from_millis(400), "it waited");
        std::thread::sleep(Duration::from_millis(300).saturating_sub(begin.elapsed()));
        let count = fs::read_to_string(&begun).unwrap().lines().count();
        assert_eq!(count, if together { 2 } else { 1 });
        bench.finish(6).unwrap();
        assert_eq!(fs::read_to_string(&begun).unwrap().lines().count(), 3);
        assert!(begin.elapsed() >= Duration::from_millis(if together { 1000 } else { 1500 }));
    }
}
