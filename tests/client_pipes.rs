//! The client among other programs: in a pipe, under its old name, with nobody to ask.

mod support;

use std::io::{BufRead, BufReader, Read};
use std::os::unix::fs::symlink;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use support::{Daemon, ETHERNET, Launch, PcapFile, bin};

const HOSTS: u32 = 30_000;

/// A table with so many hosts that an answer fits into no socket buffer.
fn daemon() -> Daemon {
    let mut capture = PcapFile::new(ETHERNET);
    for n in 0..HOSTS {
        let [_, b, c, d] = n.to_be_bytes();
        let frame = [
            2, 0, 0, 0, 0, 0x0b, 2, 0, 0, 0, 0, 0x0a, 8, 0, // Ethernet: to, from, IPv4
            0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 10, b, c, d, 10, 255, 0, 1, // IPv4: 28 bytes, UDP
            0, 7, 0, 9, 0, 8, 0, 0, // UDP: from 7 to 9
        ];
        capture = capture.frame(Duration::from_secs(1_700_000_000), &frame);
    }
    let conf = "plugins: memory\naggregate: src_host\nimt_path: {folder}/sock\n\
                pcap_savefile: {folder}/in.pcap\npcap_savefile_wait: true\n";
    let mut daemon = Launch::conf(conf).file("in.pcap", capture.bytes()).start();
    daemon.wait_for_log("finished reading");
    daemon
}

fn client(daemon: &Daemon, arguments: &[&str]) -> Child {
    let mut command = Command::new(bin("rpmacct"));
    command.arg("-p").arg(daemon.path("sock")).args(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn head_sees_enough_and_nobody_complains() {
    let daemon = daemon();
    let mut client = client(&daemon, &["-s"]);
    let mut heading = String::new();
    BufReader::new(client.stdout.take().unwrap()).read_line(&mut heading).unwrap();
    assert!(heading.starts_with("SRC_IP "), "{heading}");
    let output = client.wait_with_output().unwrap(); // its output is closed by now
    assert!(output.status.success(), "{}", output.status);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}

#[test]
fn a_slow_pager_and_a_killed_client_hold_up_nobody() {
    let daemon = daemon();
    let mut slow = client(&daemon, &["-s", "-O", "csv"]);
    let mut killed = client(&daemon, &["-s"]);
    thread::sleep(Duration::from_millis(100));
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(daemon.query(&["-e"]), "OK: Clearing stats.\n");
    // The plugin may end before the pager has read a line.
    let finished = daemon.stop(Signal::SIGTERM);
    assert!(
        finished.status.success() && !finished.folder.path().join("sock").exists(),
        "{}",
        finished.stderr
    );
    let mut rows = String::new();
    slow.stdout.take().unwrap().read_to_string(&mut rows).unwrap();
    assert!(slow.wait().unwrap().success());
    assert_eq!(rows.lines().count(), 1 + HOSTS as usize);
}

#[test]
fn under_its_old_name_it_complains_where_scripts_look() {
    let folder = tempfile::tempdir().unwrap();
    let old_name = folder.path().join("pmacct");
    symlink(bin("rpmacct"), &old_name).unwrap();
    for (program, to_stdout) in [(bin("rpmacct"), false), (old_name.as_path(), true)] {
        let output = Command::new(program).args(["-s", "-p", "/nonexistent"]).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let (said, silent) =
            if to_stdout { (&output.stdout, &output.stderr) } else { (&output.stderr, &output.stdout) };
        assert_eq!(String::from_utf8_lossy(said), "ERROR: Unable to connect to '/nonexistent'\n\n");
        assert!(silent.is_empty());
    }
}
