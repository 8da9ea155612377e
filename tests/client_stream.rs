//! `rpmacct --follow`: a stream of increments, against daemons that count, end and come back.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use support::{Daemon, ETHERNET, Launch, PATIENCE, PcapFile, bin, wait_until};

/// A daemon that reads a capture of one packet from each of three hosts, once a second and so many times.
fn counting(rounds: u32, socket: &str) -> Daemon {
    let mut capture = PcapFile::new(ETHERNET);
    for host in 1..=3 {
        let frame = [
            2, 0, 0, 0, 0, 0x0b, 2, 0, 0, 0, 0, 0x0a, 8, 0, // Ethernet: to, from, IPv4
            0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, host, 10, 255, 0,
            1, // IPv4: 28 bytes, UDP
            0, 7, 0, 9, 0, 8, 0, 0, // UDP: from 7 to 9
        ];
        capture = capture.frame(Duration::from_secs(1_700_000_000), &frame);
    }
    let conf = format!(
        "plugins: memory\naggregate: src_host\nimt_path: {socket}\npcap_savefile: {{folder}}/in.pcap\n\
         pcap_savefile_replay: {rounds}\npcap_savefile_delay: 1\npcap_savefile_wait: true\n"
    );
    let mut daemon = Launch::conf(&conf).file("in.pcap", capture.bytes()).start();
    daemon.wait_for("no socket", |_| std::path::Path::new(socket).exists());
    daemon
}

fn follow(socket: &str, arguments: &[&str]) -> Child {
    let mut command = Command::new(bin("rpmacct"));
    command.args(["-p", socket]).args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Signals the client, which must end well, and gives what it wrote: output and errors.
fn end(mut client: Child, signal: Signal) -> (String, String) {
    kill(Pid::from_raw(client.id().cast_signed()), signal).unwrap();
    let mut stdout = String::new();
    client.stdout.take().unwrap().read_to_string(&mut stdout).unwrap();
    let output = client.wait_with_output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    (stdout, stderr)
}

/// A member of an object of our JSON.
fn member<'a>(object: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = object.split_once(&format!("\"{name}\": "))?;
    let quoted = rest.strip_prefix('"').and_then(|rest| rest.split('"').next());
    quoted.or_else(|| rest.split([',', '}']).next())
}

/// Packets of the rows.
fn packets(stream: &str) -> u64 {
    stream.lines().filter_map(|line| member(line, "packets")?.parse::<u64>().ok()).sum()
}

#[test]
fn intervals_abut_and_hold_every_packet_once() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("sock").display().to_string();
    let mut daemon = counting(3, &socket);
    let token = folder.path().join("token");
    let client = follow(&socket, &["--follow=0.25", "--since", "0", "--token-file", token.to_str().unwrap()]);
    daemon.wait_for_log("finished reading");
    std::thread::sleep(Duration::from_millis(600));
    let (stream, stderr) = end(client, Signal::SIGINT);
    assert_eq!(stderr, "");
    assert_eq!(packets(&stream), 9, "{stream}");
    let closing: Vec<&str> = stream.lines().filter(|line| line.contains("\"token\"")).collect();
    assert!(closing.len() > 10, "{stream}");
    for pair in closing.windows(2) {
        assert_eq!(member(pair[0], "interval_end"), member(pair[1], "interval_start"), "{stream}");
    }
    // Rows are of the interval that the object behind them closes.
    let mut rows = 0;
    for line in stream.lines() {
        match member(line, "entries") {
            None => rows += 1,
            Some(entries) => assert_eq!(std::mem::take(&mut rows).to_string(), entries, "{stream}"),
        }
    }
    // The file holds the last token: who goes on from there misses nothing and sees nothing twice.
    let last = fs::read_to_string(&token).unwrap();
    assert_eq!(Some(last.trim()), member(closing.last().unwrap(), "token"));
}

#[test]
fn intervals_do_not_drift() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("sock").display().to_string();
    let _daemon = counting(1, &socket);
    let start = Instant::now();
    let mut client = follow(&socket, &["--follow=0.2", "-I"]);
    let lines = BufReader::new(client.stdout.take().unwrap()).lines();
    let ends: Vec<f64> = lines
        .map(|line| line.unwrap())
        .filter(|line| line.contains("\"token\""))
        .take(16)
        .map(|line| member(&line, "interval_end").unwrap().parse().unwrap())
        .collect();
    let took = start.elapsed();
    client.kill().unwrap();
    client.wait().unwrap();
    // On a busy machine one may be late; those after it are not.
    let in_time = |(n, end): (u32, &f64)| (end - ends[0] - 0.2 * f64::from(n)).abs() < 0.05;
    assert!((0..).zip(&ends).skip(10).any(in_time), "{ends:?} in {took:?}");
}

#[test]
fn csv_has_one_heading_and_the_interval_before_each_row() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("sock").display().to_string();
    let mut daemon = counting(2, &socket);
    let client = follow(&socket, &["-s", "--follow=0.2", "-O", "csv", "-I", "-E", ";", "-T", "bytes,2"]);
    daemon.wait_for_log("finished reading");
    std::thread::sleep(Duration::from_millis(500));
    let (stream, stderr) = end(client, Signal::SIGTERM);
    assert_eq!(stderr, "");
    let lines: Vec<&str> = stream.lines().collect();
    assert_eq!(lines[0], "INTERVAL_START;INTERVAL_END;SRC_IP;PACKETS;BYTES");
    assert_eq!(lines.len(), 1 + 2 * 2, "{stream}");
    for line in &lines[1..] {
        let cells: Vec<&str> = line.split(';').collect();
        let [from, to] = [0, 1].map(|n| cells[n].parse::<f64>().unwrap());
        assert!(to > from && to - from < 1.0, "{line}");
        assert_eq!(cells[3..], ["1", "28"], "{line}");
    }
}

#[test]
fn it_outlives_the_daemon() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("sock").display().to_string();
    let mut daemon = counting(1, &socket);
    let mut client = follow(&socket, &["--follow=1", "--since", "0"]);
    let mut stderr = BufReader::new(client.stderr.take().unwrap()).lines().map(Result::unwrap);
    daemon.wait_for_log("finished reading");
    std::thread::sleep(Duration::from_millis(1_200));
    daemon.stop(Signal::SIGTERM);
    let away = stderr.next().unwrap();
    assert!(away.starts_with("WARN: ") && away.ends_with(": waiting for the daemon"), "{away}");
    std::thread::sleep(Duration::from_millis(2_500)); // it asks again and again
    let mut daemon = counting(2, &socket);
    let back = stderr.next().unwrap();
    assert!(back.starts_with("WARN: the daemon was restarted, or it is another one: "), "{back}");
    assert!(back.contains("what was counted from 20") && back.contains("going on from 20"), "{back}");
    daemon.wait_for_log("finished reading");
    std::thread::sleep(Duration::from_millis(1_200)); // and goes on in its old step
    let (stream, _) = end(client, Signal::SIGINT);
    assert_eq!(packets(&stream), 3 + 6, "{stream}");
    assert_eq!(stream.matches("\"token_unknown\": \"restarted\"").count(), 1, "{stream}");
}

#[test]
fn it_ends_when_nobody_reads() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("sock").display().to_string();
    let _daemon = counting(1, &socket);
    for layout in ["json", "csv"] {
        let mut client = follow(&socket, &["--follow=0.1", "-O", layout]);
        let mut line = String::new();
        BufReader::new(client.stdout.take().unwrap()).read_line(&mut line).unwrap();
        // Its output is closed by now, and a stream of CSV has nothing to write.
        assert!(wait_until(PATIENCE, || client.try_wait().unwrap().is_some()), "{layout}: goes on");
        let output = client.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{layout}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{layout}");
    }
}

#[test]
fn without_a_daemon_it_does_not_begin() {
    let output = Command::new(bin("rpmacct")).args(["-p", "/nonexistent", "--follow"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "ERROR: Unable to connect to '/nonexistent'\n\n");
}
