//! What pmacct 1.8.1 printed, command by command, and what we print.

mod support;

use support::{Daemon, ICMP, ICMPV6, Pkt, TCP, UDP, client, pkt};

/// Commands, standard output and exit code. Left out: `-a`, `-t`, `-U` and sorting with ties, where we differ.
const TRANSCRIPT: &str = include_str!("transcript.txt");

/// The packets of `basic.pcap`.
fn basic() -> Vec<Pkt> {
    let (a, b) = ("10.0.0.1", "10.0.0.2");
    let (a6, b6) = ("2001:db8::1", "2001:db8::2");
    let (there, back) = ((40000, 80), (80, 40000));
    vec![
        pkt(a, b, TCP, there, 0x02, 40),
        pkt(b, a, TCP, back, 0x12, 40),
        pkt(a, b, TCP, there, 0x10, 40),
        pkt(a, b, TCP, there, 0x18, 140),
        pkt(b, a, TCP, back, 0x18, 1040),
        pkt(a, b, TCP, there, 0x11, 40),
        pkt(a, "8.8.8.8", UDP, (5353, 53), 0, 68),
        pkt(a, "10.0.0.3", ICMP, (0x0800, 0), 0, 84),
        pkt(a6, b6, UDP, (1234, 443), 0, 248),
        pkt("2001:db8:1111:2222:3333:4444:5555:6666", b6, TCP, (1235, 443), 2, 60),
        pkt(a6, b6, ICMPV6, (0x8000, 0), 0, 48),
    ]
}

/// The packets of `mid.pcap`.
fn mid() -> Vec<Pkt> {
    let packet = |i: u32| {
        let source = format!("10.100.0.{}", i % 16);
        pkt(&source, "10.0.0.2", UDP, (1000 + (i % 5) as u16, 53), 0, 28 + i % 100)
    };
    (0..200).map(packet).collect()
}

#[test]
fn scripts_see_what_they_always_saw() {
    let imt1 = Daemon::start("src_host, dst_host, src_port, dst_port, proto, tcpflags");
    let imt2 = Daemon::start("src_host");
    imt1.feed(&basic());
    imt2.feed(&mid());
    let queries = imt1.folder.path().join("q.txt");
    std::fs::write(&queries, "10.0.0.1\n! a remark\n\n10.0.0.2\n").unwrap();
    let place = |word: &str| match word {
        "imt1.pipe" => imt1.socket().to_str().unwrap().to_owned(),
        "imt2.pipe" => imt2.socket().to_str().unwrap().to_owned(),
        "file:q.txt" => format!("file:{}", queries.display()),
        other => other.to_owned(),
    };
    let mut commands = 0;
    for block in TRANSCRIPT.split("$ ").skip(1) {
        let (command, expected) = block.split_once('\n').unwrap();
        let words: Vec<String> = command.split_whitespace().map(place).collect();
        let (code, out, _) = client(words.iter().map(String::as_str));
        let printed = format!("{out}[rc={code}]\n");
        compare(command, &printed, expected.strip_suffix('\n').unwrap());
        commands += 1;
    }
    assert!(commands > 50, "{commands} commands");
}

/// Rows have no order, unless they were sorted; the usage text is our own.
#[track_caller]
fn compare(command: &str, printed: &str, expected: &str) {
    if let Some((before, after)) = expected.split_once("<usage text, same as pmacct -h>\n") {
        assert!(printed.starts_with(before) && printed.ends_with(after), "{command}: {printed}");
        return;
    }
    let sorted = |text: &str| {
        let mut lines: Vec<&str> = text.lines().collect();
        if !command.contains(" -T ") {
            let heading = usize::from(!command.contains("json"));
            lines[heading..].sort_unstable();
        }
        lines.join("\n")
    };
    assert_eq!(sorted(printed), sorted(expected), "{command}");
}

#[test]
fn sorted_rows_with_equal_values_stand_by_their_keys() {
    let daemon = Daemon::start("src_host, src_port");
    let hosts = [("10.0.0.9", 60), ("10.0.0.2", 60), ("10.0.0.1", 50), ("10.0.0.5", 60)];
    daemon.feed(&hosts.map(|(source, len)| pkt(source, "10.0.0.3", UDP, (7, 9), 0, len)));
    let first = |line: &str| -> Vec<String> {
        let out = daemon.answer(line);
        out.lines().skip(1).map(|line| line.split(',').next().unwrap().to_owned()).collect()
    };
    assert_eq!(first("-s -O csv"), ["10.0.0.9", "10.0.0.2", "10.0.0.1", "10.0.0.5"]);
    assert_eq!(first("-s -O csv -T bytes"), ["10.0.0.2", "10.0.0.5", "10.0.0.9", "10.0.0.1"]);
    assert_eq!(first("-s -O csv -T packets,2"), ["10.0.0.1", "10.0.0.2"]);
    assert_eq!(first("-c src_port -M 7 -O csv -T bytes,1"), ["10.0.0.2"]);
    // A lookup of whole keys: in the order of the queries.
    assert_eq!(
        first("-c src_host,src_port -M 10.0.0.5,7;10.0.0.8,7;10.0.0.2,7 -O csv"),
        ["10.0.0.5", "10.0.0.2"]
    );
}

#[test]
fn one_row_where_two_queries_match_and_two_numbers() {
    let daemon = Daemon::start("src_host, proto");
    daemon.feed(&[pkt("10.0.0.1", "10.0.0.2", TCP, (1, 2), 2, 40)]);
    let rows = daemon.answer("-c src_host,proto -M 10.0.0.1,*;*,tcp -O csv");
    assert_eq!(rows, "SRC_IP,PROTOCOL,PACKETS,BYTES\n10.0.0.1,tcp,1,40\n");
    assert_eq!(daemon.answer("-c src_host,proto -N 10.0.0.1,*;*,tcp;*,udp"), "40\n40\n0\n");
}

#[test]
fn tables_that_are_not_there_are_empty() {
    let daemon = Daemon::start("src_host");
    assert_eq!(daemon.answer("-C"), "CLASS_ID\tCLASS_NAME\n\nFor a total of: 0 classifiers\n");
    assert_eq!(daemon.answer("-U"), "NAME                              LEN    OFF\n");
    assert_eq!(daemon.answer("-i"), "never\n");
    assert_eq!(daemon.answer("-i -e"), "never\n");
    assert_eq!(daemon.answer("-i"), "0\n");
}

#[test]
fn the_ledger_holds() {
    let daemon = Daemon::start("src_host");
    daemon.feed(&mid());
    let queries = "-c src_host -N 10.100.0.0;10.100.0.1 -r -n packets -S";
    assert_eq!(daemon.answer(queries), "26\n");
    assert_eq!(daemon.answer(queries), "0\n");
    assert_eq!(
        daemon.answer("--ledger"),
        "test/memory: absorbed 200 = in the table 174 + purged 26\ntest/memory: purged 26 = erased 26\n"
    );
    daemon.answer("-e");
    daemon.tallies.erased.add(1); // a packet that nobody saw
    let (code, out, _) = daemon.ask("--ledger");
    assert_eq!(code, 1);
    assert!(out.ends_with("purged 200 != erased 201\n"), "{out}");
}
