//! Several readers, each with exact increments of its own, and nothing reset.

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use support::{Collected, Daemon, Pkt, TCP, UDP, pkt};

fn udp(host: u32, len: u32) -> Pkt {
    pkt(&format!("10.0.{}.{}", host >> 8, host & 255), "10.0.0.9", UDP, (1, 2), 0, len)
}

/// What `--since` answers: exit code, rows without the heading, the next token, what else was said.
struct Increment {
    code: u8,
    rows: Vec<String>,
    token: String,
    said: String,
}

fn since(daemon: &Daemon, token: &str, line: &str) -> Increment {
    let (code, out, err) = daemon.ask(&format!("{line} --since {token}"));
    let (tokens, said): (Vec<&str>, Vec<&str>) = err.lines().partition(|line| line.starts_with("TOKEN: "));
    let [token] = tokens[..] else { panic!("{line}: {err}") };
    let heading = usize::from(line.contains("csv"));
    Increment {
        code,
        rows: out.lines().skip(heading).map(str::to_owned).collect(),
        token: token.trim_start_matches("TOKEN: ").to_owned(),
        said: said.join("\n"),
    }
}

const CSV: &str = "-s -O csv";

#[test]
fn what_was_added_since_the_token() {
    let daemon = Daemon::start("src_host");
    daemon.feed(&[udp(1, 60), udp(2, 60)]);
    let all = since(&daemon, "0", CSV);
    assert_eq!(all.rows, ["10.0.0.1,1,60", "10.0.0.2,1,60"]);
    daemon.feed(&[udp(2, 100), udp(3, 40), udp(2, 100)]);
    let now = since(&daemon, "now", CSV);
    assert!(now.rows.is_empty());
    let some = since(&daemon, &all.token, CSV);
    assert_eq!((some.code, some.said.as_str()), (0, ""));
    assert_eq!(some.rows, ["10.0.0.2,2,200", "10.0.0.3,1,40"]);
    for token in [&some.token, &now.token] {
        assert!(since(&daemon, token, CSV).rows.is_empty());
    }
    daemon.feed(&[udp(1, 60)]);
    // A token stays good: an answer that got lost can be asked for again.
    for _ in 0..3 {
        assert_eq!(since(&daemon, &some.token, CSV).rows, ["10.0.0.1,1,60"]);
        assert_eq!(since(&daemon, &all.token, CSV).rows.len(), 3);
    }
    assert_eq!(daemon.answer(CSV).lines().count(), 4, "nothing was reset");
}

#[test]
fn every_question_has_increments() {
    let daemon = Daemon::start("src_host, proto");
    daemon.feed(&[udp(1, 60), udp(2, 60)]);
    let token = since(&daemon, "now", CSV).token;
    daemon.feed(&[udp(1, 100), udp(1, 100), udp(2, 300), pkt("10.0.0.1", "10.0.0.9", TCP, (1, 2), 2, 40)]);
    let rows = |line: &str| since(&daemon, &token, line).rows;
    assert_eq!(rows("-c src_host -N 10.0.0.1 -n all"), ["3 240 0 2"]);
    assert_eq!(rows("-c src_host -N 10.0.0.1;10.0.0.2;10.0.0.3 -n packets"), ["3", "1", "0"]);
    assert_eq!(rows("-c src_host,proto -N 10.0.0.1,udp"), ["200"]); // a whole key
    assert_eq!(rows("-c src_host -M 10.0.0.2 -O csv"), ["10.0.0.2,udp,1,300"]);
    assert_eq!(rows("-s -O csv -T bytes,1"), ["10.0.0.2,udp,1,300"]);
    let formatted = rows("-s");
    assert!(formatted.last().unwrap() == "For a total of: 3 entries", "{formatted:?}");
    let json = rows("-s -O json -T packets -0");
    assert!(json[0].starts_with(r#"{"ip_src": "10.0.0.1", "ip_proto": "udp", "packets": 2"#), "{json:?}");
    let closing = json.last().unwrap();
    let begins = closing.starts_with(r#"{"interval_start": "20"#);
    assert!(begins && closing.contains(r#", "entries": 3, "token": ""#) && !closing.contains("unknown"));
}

#[test]
fn a_token_that_is_not_known_gives_the_whole_table_and_says_so() {
    let daemon = Daemon::start("src_host");
    daemon.feed(&[udp(1, 60)]);
    let old = since(&daemon, "0", CSV).token;
    daemon.answer("-e");
    daemon.feed(&[udp(2, 60)]);
    let erased = since(&daemon, &old, CSV);
    assert_eq!((erased.code, erased.rows.as_slice()), (3, &["10.0.0.2,1,60".to_owned()][..]));
    assert_eq!(
        erased.said,
        "WARN: the token is not known any more: the table was erased. This is the whole table"
    );
    let other = Daemon::start("src_host");
    other.feed(&[udp(7, 60)]);
    let restarted = since(&other, &erased.token, "-s -O json");
    assert_eq!(restarted.code, 3);
    assert!(restarted.rows[1].ends_with(r#", "token_unknown": "restarted"}"#), "{:?}", restarted.rows);
    assert!(restarted.said.contains("the daemon was restarted"), "{}", restarted.said);
    let (code, out, err) = other.ask("-s --since nonsense");
    assert_eq!((code, out.as_str(), err.as_str()), (1, "", "ERROR: 'nonsense' is not a token of rpmacct\n"));
}

#[test]
fn what_is_too_much_to_keep_is_forgotten_and_never_wrong() {
    let daemon = Daemon::configured("src_host", "imt_since_size: 300000").unwrap();
    let round = |len| daemon.feed(&(0..4_000).map(|host| udp(host, len)).collect::<Vec<_>>()); // 192 KB
    round(60);
    let first = since(&daemon, "0", CSV);
    round(60);
    let second = since(&daemon, &first.token, CSV);
    assert_eq!((second.code, second.rows.len()), (0, 4_000));
    round(60);
    let third = since(&daemon, &first.token, CSV);
    assert_eq!(third.code, 3);
    assert!(third.said.contains("it is too old (imt_since_size)"), "{}", third.said);
    assert!(third.rows.iter().all(|row| row.ends_with(",3,180")), "the whole table");
    let fourth = since(&daemon, &second.token, CSV);
    assert!(fourth.code == 0 && fourth.rows.iter().all(|row| row.ends_with(",1,60")));
}

#[test]
fn erasing_and_resetting_go_with_increments() {
    let daemon = Daemon::start("src_host");
    daemon.feed(&[udp(1, 60), udp(2, 60)]);
    let token = since(&daemon, "0", CSV).token;
    daemon.feed(&[udp(1, 60), udp(2, 60)]);
    let reset = since(&daemon, &token, "-c src_host -M 10.0.0.1 -r -O csv");
    assert_eq!(reset.rows, ["10.0.0.1,1,60"]);
    daemon.feed(&[udp(1, 60)]);
    // Readers are not disturbed by somebody who resets.
    assert_eq!(since(&daemon, &token, CSV).rows, ["10.0.0.1,2,120", "10.0.0.2,1,60"]);
    assert_eq!(since(&daemon, &reset.token, CSV).rows, ["10.0.0.1,1,60"]);
    assert_eq!(daemon.answer("-c src_host -N 10.0.0.1"), "60\n");
    // What is erased is what was shown, and the token goes on from there.
    let erased = since(&daemon, &token, "-s -e -O csv");
    assert_eq!(erased.rows, ["10.0.0.1,2,120", "10.0.0.2,1,60"]);
    daemon.feed(&[udp(2, 77)]);
    let after = since(&daemon, &erased.token, CSV);
    assert_eq!((after.code, after.rows), (0, vec!["10.0.0.2,1,77".to_owned()]));
    assert_eq!(daemon.ask("--ledger").0, 0);
}

#[test]
fn a_token_file_is_all_that_a_script_needs() {
    let daemon = Daemon::start("src_host");
    let file = daemon.folder.path().join("token");
    let line = format!("-s -O csv --token-file {}", file.display());
    daemon.feed(&[udp(1, 60)]);
    assert_eq!(daemon.answer(&line), "SRC_IP,PACKETS,BYTES\n10.0.0.1,1,60\n");
    daemon.feed(&[udp(2, 60)]);
    assert_eq!(daemon.answer(&line), "SRC_IP,PACKETS,BYTES\n10.0.0.2,1,60\n");
    assert_eq!(daemon.answer(&line), "SRC_IP,PACKETS,BYTES\n");
    let token = fs::read_to_string(&file).unwrap();
    daemon.answer("-e");
    assert_eq!(daemon.ask(&line).0, 3);
    assert_ne!(fs::read_to_string(&file).unwrap(), token);
    assert_eq!(daemon.ask(&line).0, 0);
    let (code, out, _) = daemon.ask("-s --token-file /nonexistent/token");
    assert!(code == 1 && out.contains("10.0.0") == daemon.answer("-s").contains("10.0.0"));
}

/// Packets of each host, in rows of CSV.
fn packets(rows: &[String]) -> BTreeMap<String, u64> {
    let row = |row: &String| {
        let mut cells = row.split(',');
        (cells.next().unwrap().to_owned(), cells.next().unwrap().parse().unwrap())
    };
    rows.iter().map(row).collect()
}

#[test]
fn pollers_that_come_as_they_like_all_see_every_packet_once() {
    let daemon = Daemon::start("src_host");
    let feeding = AtomicBool::new(true);
    let results = Collected::default();
    let mut fed = 0;
    let first = since(&daemon, "0", CSV).token;
    thread::scope(|scope| {
        for poller in 0..6u64 {
            let (daemon, feeding, results, first) = (&daemon, &feeding, &results, &first);
            scope.spawn(move || {
                let (mut token, mut seen) = (first.clone(), BTreeMap::<String, u64>::new());
                loop {
                    let last = !feeding.load(Ordering::Relaxed);
                    let more = since(daemon, &token, CSV);
                    assert_eq!(more.code, 0);
                    for (host, packets) in packets(&more.rows) {
                        *seen.entry(host).or_default() += packets;
                    }
                    token = more.token;
                    if last {
                        break;
                    }
                    thread::sleep(Duration::from_millis(poller * 3));
                }
                results.push(seen);
            });
        }
        // One that resets meanwhile.
        let resetter = scope.spawn(|| {
            while feeding.load(Ordering::Relaxed) {
                daemon.answer("-c src_host -M 10.0.0.3 -r");
                thread::sleep(Duration::from_millis(1));
            }
        });
        let end = Instant::now() + Duration::from_millis(700);
        while Instant::now() < end {
            daemon.feed(&(0..16).map(|host| udp(host, 60)).collect::<Vec<_>>());
            fed += 1;
            thread::sleep(Duration::from_micros(300));
        }
        feeding.store(false, Ordering::Relaxed);
        resetter.join().unwrap();
    });
    let expected: BTreeMap<_, _> = (0..16).map(|host| (format!("10.0.0.{host}"), fed)).collect();
    for seen in results.take() {
        assert_eq!(seen, expected);
    }
}
