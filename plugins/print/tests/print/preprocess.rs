//! `print_preprocess`.

use std::fs;
use std::sync::Arc;

use crate::bench::Bench;

/// Ports with their packets and bytes after a purge; written and erased packets.
fn preprocess(records: &str, lines: &str) -> (Vec<(u16, u64, u64)>, [u64; 2]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let mut bench = Bench::file("src_port", &path, &format!("print_output: csv\n{lines}"));
    bench.feed(records);
    let tallies = Arc::clone(&bench.tallies);
    bench.finish(61).unwrap();
    let text = fs::read_to_string(path).unwrap();
    let rows = text.lines().skip(1).map(|line| {
        let values: Vec<u64> = line.split(',').map(|value| value.parse().unwrap()).collect();
        (values[0] as u16, values[1], values[2])
    });
    assert_eq!(tallies.in_table.count() + tallies.lost.count(), 0);
    assert_eq!(tallies.written.count() + tallies.erased.count(), tallies.purged.count());
    (rows.collect(), [tallies.written.count(), tallies.erased.count()])
}

const RECORDS: &str = "1 / 6 412 0\n2 / 2 1080 0\n3 / 2 296 0\n4 / 1 60 0";

fn ports(lines: &str) -> Vec<u16> {
    preprocess(RECORDS, lines).0.into_iter().map(|(port, ..)| port).collect()
}

#[test]
fn checks() {
    assert_eq!(ports("print_preprocess: minp=2"), [1, 2, 3]);
    assert_eq!(ports("print_preprocess: maxp=2"), [2, 3, 4]);
    assert_eq!(ports("print_preprocess: minb=400"), [1, 2]);
    assert_eq!(ports("print_preprocess: maxb=296"), [3, 4]);
    assert_eq!(ports("print_preprocess: minbpp=100"), [2, 3]);
    assert_eq!(ports("print_preprocess: maxbpp=60"), [4]);
    // There are no flows: none has that many, all have that few.
    assert!(ports("print_preprocess: minf=1").is_empty());
    assert!(ports("print_preprocess: minppf=1").is_empty());
    assert_eq!(ports("print_preprocess: maxf=1"), [1, 2, 3, 4]);
    assert_eq!(ports("sql_preprocess: minp = 2"), [1, 2, 3]);
}

#[test]
fn one_of_several_or_all() {
    assert_eq!(ports("print_preprocess: minp=6, minb=1000"), [1, 2]);
    assert!(ports("print_preprocess: minp=6, minb=1000\nprint_preprocess_type: all").is_empty());
    assert_eq!(ports("print_preprocess: minp=2, maxb=1000\nprint_preprocess_type: all"), [1, 3]);
}

#[test]
fn few_rows_are_not_checked() {
    assert_eq!(ports("print_preprocess: qnum=5, minp=2"), [1, 2, 3, 4]);
    assert_eq!(ports("print_preprocess: qnum=4, minp=2"), [1, 2, 3]);
}

#[test]
fn counters_are_adjusted_and_the_ledger_is_not() {
    let (rows, tallies) = preprocess(RECORDS, "print_preprocess: minp=2, usrf=3, adjb=14");
    assert_eq!(rows, [(1, 18, 3 * 412 + 18 * 14), (2, 6, 3 * 1080 + 6 * 14), (3, 6, 3 * 296 + 6 * 14)]);
    assert_eq!(tallies, [10, 1]);
    let (rows, _) = preprocess(RECORDS, "print_preprocess: adjb=-50");
    assert_eq!(rows.iter().map(|(.., bytes)| *bytes).collect::<Vec<_>>(), [112, 980, 196, 10]);
    let (rows, _) = preprocess(RECORDS, "print_preprocess: adjb=-100");
    assert_eq!(rows[3].2, 0);
}

/// Ports with one packet each; each tenth one has a thousand times as many bytes.
fn many() -> (String, u64) {
    let bytes = |port: u64| if port.is_multiple_of(10) { 40_000 } else { 40 };
    let line = |port| format!("{port} / 1 {} 0\n", bytes(port));
    let records = (1..=10_000).fold(String::new(), |all, port| all + &line(port));
    (records, (1..=10_000).map(bytes).sum())
}

#[test]
fn sampling_keeps_the_sum() {
    let (records, all) = many();
    for lines in ["print_preprocess: fss=4000", "print_preprocess: fsrc=2000"] {
        let (rows, [written, erased]) = preprocess(&records, lines);
        assert_eq!(written + erased, 10_000);
        assert_eq!(written, rows.len() as u64);
        assert!((500..=2000).contains(&written), "{lines}: {written}");
        let large = rows.iter().filter(|(port, ..)| port % 10 == 0).count();
        assert_eq!(large, 1000, "{lines}");
        let sum: u64 = rows.iter().map(|(.., bytes)| bytes).sum();
        assert!(sum.abs_diff(all) < all / 50, "{lines}: {sum} of {all}");
        assert_eq!(preprocess(&records, lines).0, rows); // the same dice
    }
    assert_eq!(preprocess(&records, "print_preprocess: fsrc=2000").0.len(), 2000);
    assert_eq!(preprocess(&records, "print_preprocess: fsrc=20000").0.len(), 10_000);
}
