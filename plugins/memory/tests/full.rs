//! A table with a limit: nothing vanishes, and who asks is told.

mod support;

use support::{Daemon, Pkt, UDP, pkt};

/// Room for a hundred hosts: as many as there are buckets, which is more than fit into the pools.
const LIMIT: &str = "imt_buckets: 100\nimt_mem_pools_number: 1\nimt_mem_pools_size: 100";

fn hosts(range: std::ops::Range<u32>) -> Vec<Pkt> {
    let host = |n: u32| pkt(&format!("10.0.{}.{}", n >> 8, n & 255), "10.0.0.2", UDP, (1, 2), 0, 60);
    range.map(host).collect()
}

/// What is asked, printed, and said besides; it must succeed.
fn ask(daemon: &Daemon, line: &str) -> (String, String) {
    let (code, out, err) = daemon.ask(line);
    assert_eq!(code, 0, "{line}: {err}");
    (out, err)
}

#[test]
fn new_keys_are_summed_in_one_row_and_known_ones_count_on() {
    let daemon = Daemon::configured("src_host, proto", LIMIT).unwrap();
    daemon.feed(&hosts(0..100));
    assert_eq!(ask(&daemon, "-s -O csv").1, "");
    daemon.feed(&hosts(90..150));
    let (csv, said) = ask(&daemon, "-s -O csv");
    assert_eq!(
        said,
        "WARN: the table is full: 50 packets of keys that found no room are in the row 'other' (-e makes room)\n"
    );
    let rows: Vec<&str> = csv.lines().skip(1).collect();
    assert_eq!(rows.len(), 101);
    assert_eq!(
        (rows[0], rows[99], rows[100]),
        ("10.0.0.0,udp,1,60", "10.0.0.99,udp,2,120", "other,*,50,3000")
    );
    let packets: u64 = rows.iter().map(|row| row.split(',').nth(2).unwrap().parse::<u64>().unwrap()).sum();
    assert_eq!(packets, 160, "the sum is exact");
    assert_eq!(daemon.tallies.in_table.count(), 160);
    assert_eq!(daemon.tallies.refused.count(), 0);
    let formatted = ask(&daemon, "-s").0;
    assert!(formatted.ends_with("\n\nFor a total of: 101 entries\n"), "{formatted}");
    let other = formatted.lines().find(|line| line.starts_with("other ")).unwrap();
    assert_eq!(other.split_whitespace().collect::<Vec<_>>(), ["other", "*", "50", "3000"]);
    let json = ask(&daemon, "-s -O json").0;
    let other = r#"{"ip_src": null, "ip_proto": null, "other": true, "packets": 50, "bytes": 3000}"#;
    assert_eq!(json.lines().last().unwrap(), other);
}

#[test]
fn questions_for_some_keys_are_told_what_they_may_miss() {
    let daemon = Daemon::configured("src_host", LIMIT).unwrap();
    daemon.feed(&hosts(0..110));
    let in_none = "10 packets of keys that found no room are in none of these rows";
    for (line, printed) in [
        ("-c src_host -N 10.0.0.5", "60\n"),
        ("-c src_host -N 10.0.0.105", "0\n"),
        ("-c src_host -M 10.0.0.5 -O csv", "SRC_IP,PACKETS,BYTES\n10.0.0.5,1,60\n"),
        ("-s -T bytes,1 -O csv", "SRC_IP,PACKETS,BYTES\n10.0.0.0,1,60\n"),
    ] {
        let (out, said) = ask(&daemon, line);
        assert_eq!(out, printed, "{line}");
        assert!(said.contains(in_none), "{line}: {said}");
    }
    // What matches everything misses nothing.
    let (out, said) = ask(&daemon, "-c src_host -N * -n all");
    assert_eq!(out, "110 6600 0 101\n");
    assert!(said.contains("the row 'other'"), "{said}");
    assert_eq!(ask(&daemon, "-s -T bytes -O csv").0.lines().last(), Some("other,10,600"));
    assert_eq!(ask(&daemon, "-c src_host -M * -O csv").0.lines().last(), Some("other,10,600"));
}

#[test]
fn erasing_makes_room() {
    let daemon = Daemon::configured("src_host", LIMIT).unwrap();
    for _ in 0..3 {
        daemon.feed(&hosts(0..300));
        let (csv, _) = ask(&daemon, "-s -e -O csv");
        assert_eq!(csv.lines().last(), Some("other,200,12000"));
        daemon.feed(&hosts(200..300));
        assert_eq!(ask(&daemon, "-s -e -O csv"), (csv_of(200..300), String::new()));
    }
    assert_eq!(daemon.ask("--ledger").0, 0);
}

fn csv_of(range: std::ops::Range<u32>) -> String {
    let row = |n: u32| format!("10.0.{}.{},1,60\n", n >> 8, n & 255);
    "SRC_IP,PACKETS,BYTES\n".to_owned() + &range.map(row).collect::<String>()
}

#[test]
fn increments_have_the_row_too() {
    let daemon = Daemon::configured("src_host", LIMIT).unwrap();
    daemon.feed(&hosts(0..110));
    let (_, err) = ask(&daemon, "-s --since now");
    let token = err.lines().find_map(|line| line.strip_prefix("TOKEN: ")).unwrap();
    assert_eq!(
        ask(&daemon, &format!("-s -O csv --since {token}")).0,
        "SRC_IP,PACKETS,BYTES\n",
        "nothing was added"
    );
    daemon.feed(&hosts(98..103));
    let rows = ask(&daemon, &format!("-s -O csv --since {token}")).0;
    assert_eq!(rows, "SRC_IP,PACKETS,BYTES\n10.0.0.98,1,60\n10.0.0.99,1,60\nother,3,180\n");
}

#[test]
fn no_pools_are_no_limit_and_the_default_is_large() {
    for lines in ["imt_buckets: 13\nimt_mem_pools_number: 0", "imt_buckets: 13"] {
        let daemon = Daemon::configured("src_host", lines).unwrap();
        for first in (0..50_000).step_by(1_000) {
            daemon.feed(&hosts(first..first + 1_000));
        }
        let (csv, said) = ask(&daemon, "-s -O csv");
        assert_eq!((csv.lines().count(), said.as_str()), (50_001, ""), "{lines}");
    }
}

#[test]
fn the_buckets_are_shown_as_the_peer_shows_them() {
    let daemon = Daemon::configured("src_host", "imt_buckets: 7").unwrap();
    daemon.feed(&hosts(0..20));
    let shown = daemon.answer("-t");
    let lines: Vec<&str> = shown.lines().collect();
    assert_eq!(lines[..3], ["* = element", "", "BUCKET\tCHAIN_STATUS"]);
    assert_eq!(lines.len(), 3 + 7);
    for (number, line) in lines[3..].iter().enumerate() {
        let (bucket, elements) = line.split_once('\t').unwrap();
        assert_eq!(bucket, number.to_string());
        assert!(elements.bytes().all(|c| c == b'*'), "{line}");
    }
    assert_eq!(shown.matches('*').count(), 1 + 20);
}
