//! The output is the peer's, letter by letter: `samples/p5_*.m.out` and their like.

use std::fs;

use crate::bench::{Bench, without_pid};

const FIVE: &str = "src_host, dst_host, src_port, dst_port, proto, tos, tcpflags";

/// The records of the peer's `basic.pcap`; most packets alone, as they come.
const BASIC: &str = "
    10.0.0.1 10.0.0.2 40000 80 tcp 16    / 1 40 2
    10.0.0.2 10.0.0.1 80 40000 tcp 0     / 1 40 18
    10.0.0.1 10.0.0.2 40000 80 tcp 16    / 2 180 24
    10.0.0.2 10.0.0.1 80 40000 tcp 0     / 1 1040 24
    10.0.0.1 10.0.0.2 40000 80 tcp 16    / 1 40 17
    10.0.0.1 8.8.8.8 5353 53 udp 0       / 1 68 0
    10.0.0.1 10.0.0.3 0 0 icmp 0         / 1 84 0
    2001:db8::1 2001:db8::2 1234 443 udp 184 / 1 248 0
    2001:db8:1111:2222:3333:4444:5555:6666 2001:db8::2 1235 443 tcp 0 / 1 60 2
    2001:db8::1 2001:db8::2 0 0 ipv6-icmp 0  / 1 48 0";

/// What a file holds after one purge.
fn output(aggregate: &str, records: &str, lines: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("out");
    let mut bench = Bench::file(aggregate, &path, lines);
    bench.feed(records);
    bench.finish(1).unwrap();
    without_pid(&fs::read_to_string(&path).unwrap())
}

#[test]
fn formatted() {
    let expected = "\
SRC_IP                                         DST_IP                                         SRC_PORT  DST_PORT  TCP_FLAGS  PROTOCOL    TOS    PACKETS               BYTES
10.0.0.1                                       10.0.0.2                                       40000     80        27         tcp         16     4                     260
10.0.0.2                                       10.0.0.1                                       80        40000     26         tcp         0      2                     1080
10.0.0.1                                       8.8.8.8                                        5353      53        0          udp         0      1                     68
10.0.0.1                                       10.0.0.3                                       0         0         0          icmp        0      1                     84
2001:db8::1                                    2001:db8::2                                    1234      443       0          udp         184    1                     248
2001:db8:1111:2222:3333:4444:5555:6666         2001:db8::2                                    1235      443       2          tcp         0      1                     60
2001:db8::1                                    2001:db8::2                                    0         0         0          ipv6-icmp   0      1                     48
";
    assert_eq!(output(FIVE, BASIC, ""), expected);
    assert_eq!(output(FIVE, BASIC, "print_output: FORMATTED"), expected);
}

#[test]
fn csv() {
    let expected = "\
SRC_IP,DST_IP,SRC_PORT,DST_PORT,TCP_FLAGS,PROTOCOL,TOS,PACKETS,BYTES
10.0.0.1,10.0.0.2,40000,80,27,tcp,16,4,260
10.0.0.2,10.0.0.1,80,40000,26,tcp,0,2,1080
10.0.0.1,8.8.8.8,5353,53,0,udp,0,1,68
10.0.0.1,10.0.0.3,0,0,0,icmp,0,1,84
2001:db8::1,2001:db8::2,1234,443,0,udp,184,1,248
2001:db8:1111:2222:3333:4444:5555:6666,2001:db8::2,1235,443,2,tcp,0,1,60
2001:db8::1,2001:db8::2,0,0,0,ipv6-icmp,0,1,48
";
    assert_eq!(output(FIVE, BASIC, "print_output: csv"), expected);
}

#[test]
fn json() {
    let expected = r#"{"event_type": "purge", "ip_src": "10.0.0.1", "ip_dst": "10.0.0.2", "port_src": 40000, "port_dst": 80, "tcp_flags": 27, "ip_proto": "tcp", "tos": 16, "packets": 4, "bytes": 260}
{"event_type": "purge", "ip_src": "10.0.0.2", "ip_dst": "10.0.0.1", "port_src": 80, "port_dst": 40000, "tcp_flags": 26, "ip_proto": "tcp", "tos": 0, "packets": 2, "bytes": 1080}
{"event_type": "purge", "ip_src": "10.0.0.1", "ip_dst": "8.8.8.8", "port_src": 5353, "port_dst": 53, "tcp_flags": 0, "ip_proto": "udp", "tos": 0, "packets": 1, "bytes": 68}
{"event_type": "purge", "ip_src": "10.0.0.1", "ip_dst": "10.0.0.3", "port_src": 0, "port_dst": 0, "tcp_flags": 0, "ip_proto": "icmp", "tos": 0, "packets": 1, "bytes": 84}
{"event_type": "purge", "ip_src": "2001:db8::1", "ip_dst": "2001:db8::2", "port_src": 1234, "port_dst": 443, "tcp_flags": 0, "ip_proto": "udp", "tos": 184, "packets": 1, "bytes": 248}
{"event_type": "purge", "ip_src": "2001:db8:1111:2222:3333:4444:5555:6666", "ip_dst": "2001:db8::2", "port_src": 1235, "port_dst": 443, "tcp_flags": 2, "ip_proto": "tcp", "tos": 0, "packets": 1, "bytes": 60}
{"event_type": "purge", "ip_src": "2001:db8::1", "ip_dst": "2001:db8::2", "port_src": 0, "port_dst": 0, "tcp_flags": 0, "ip_proto": "ipv6-icmp", "tos": 0, "packets": 1, "bytes": 48}
"#;
    assert_eq!(output(FIVE, BASIC, "print_output: json"), expected);
}

#[test]
fn events_have_no_counters() {
    let record = "10.0.0.1 10.0.0.2 40000 80 tcp 16 / 1 40 2";
    let expected = "\
SRC_IP                                         DST_IP                                         SRC_PORT  DST_PORT  TCP_FLAGS  PROTOCOL    TOS    \n\
10.0.0.1                                       10.0.0.2                                       40000     80        2          tcp         16     \n";
    assert_eq!(output(FIVE, record, "print_output: event_formatted"), expected);
    let expected = "\
SRC_IP,DST_IP,SRC_PORT,DST_PORT,TCP_FLAGS,PROTOCOL,TOS
10.0.0.1,10.0.0.2,40000,80,2,tcp,16
";
    assert_eq!(output(FIVE, record, "print_output: event_csv"), expected);
}

#[test]
fn separators() {
    for (written, between) in [(";", ";"), (r"\t", "\t"), (r"\s", " "), ("|", "|")] {
        let lines = format!("print_output: csv\nprint_output_separator: {written}");
        let expected = "SRC_IP,PROTOCOL,PACKETS,BYTES\n10.0.0.1,tcp,4,260\n".replace(',', between);
        assert_eq!(output("src_host, proto", "10.0.0.1 tcp / 4 260 0", &lines), expected, "{written}");
    }
}

#[test]
fn protocols_as_numbers() {
    let records = "tcp / 7 1400 0\nudp / 2 316 0\nicmp / 1 84 0\nipv6-icmp / 1 48 0";
    let expected = "PROTOCOL,PACKETS,BYTES\n6,7,1400\n17,2,316\n1,1,84\n58,1,48\n";
    assert_eq!(output("proto", records, "print_output: csv\nprint_num_protos: true"), expected);
}

#[test]
fn markers() {
    let record = "10.0.0.1 / 6 412 0\n10.0.0.2 / 2 1080 0";
    let lines = |output| format!("print_markers: true\nprint_output: {output}");
    let csv = "--START (PID)--\nSRC_IP,PACKETS,BYTES\n10.0.0.1,6,412\n10.0.0.2,2,1080\n--END (PID)--\n";
    assert_eq!(output("src_host", record, &lines("csv")), csv);
    let formatted = "\
--START (PID)--
SRC_IP                                         PACKETS               BYTES
10.0.0.1                                       6                     412
10.0.0.2                                       2                     1080
--END (PID)--
";
    assert_eq!(output("src_host", record, &lines("formatted")), formatted);
    let json = r#"{"event_type": "purge_init", "writer_id": "default_print/PID"}
{"event_type": "purge", "ip_src": "10.0.0.1", "packets": 6, "bytes": 412}
{"event_type": "purge", "ip_src": "10.0.0.2", "packets": 2, "bytes": 1080}
{"event_type": "purge_close", "writer_id": "default_print/PID", "purged_entries": 2, "total_entries": 2, "duration": 0}
"#;
    assert_eq!(output("src_host", record, &lines("json")), json);
}

#[test]
fn times() {
    let record = "2023-11-14T22:13:20.1Z / 1 40 0";
    for (lines, time) in [
        ("", "2023-11-14 22:13:20.100000"),
        ("timestamps_rfc3339: true", "2023-11-14T22:13:20.100000+00:00"),
        ("timestamps_rfc9557: true", "2023-11-14T22:13:20.100000+00:00"),
        ("timestamps_since_epoch: true", "1700000000.100000"),
    ] {
        let expected = format!("TIMESTAMP_START,PACKETS,BYTES\n{time},1,40\n");
        assert_eq!(output("timestamp_start", record, &format!("print_output: csv\n{lines}")), expected);
    }
}

#[test]
fn nothing_aggregated_is_one_row() {
    assert_eq!(
        output("none", "/ 10 1800 0\n/ 1 48 0", ""),
        "PACKETS               BYTES\n11                    1848\n"
    );
}

#[test]
fn a_purge_of_many_pieces_is_whole() {
    let record = |n| format!("10.0.{}.{} / 1 40 0", n / 256, n % 256);
    let records = (0..20_000).map(record).collect::<Vec<_>>().join(
        "
",
    );
    let text = output("src_host", &records, "print_output: csv\nprint_markers: true");
    assert_eq!(text.lines().count(), 20_003);
    assert!(text.ends_with("\n10.0.78.31,1,40\n--END (PID)--\n"));
}
