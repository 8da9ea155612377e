//! Signals: what each does to a daemon that captures, and to one that reads a savefile.

mod support;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use support::{
    Daemon, Datagrams, ETHERNET, Finished, Launch, Namespace, PcapFile, Port, need_program, need_root,
    wait_until,
};

const PATIENCE: Duration = Duration::from_secs(10);

/// Rows and packets of all CSV files whose names begin so; the last column but one counts packets.
fn sums(folder: &Path, name: &str) -> (usize, u64) {
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.file_name().is_some_and(|n| n.to_string_lossy().starts_with(name)));
    let mut sums = (0, 0);
    for file in files {
        for line in fs::read_to_string(file).unwrap().lines().filter(|line| !line.starts_with("SRC_")) {
            let packets = line.rsplit(',').nth(1).unwrap().parse::<u64>().unwrap();
            sums = (sums.0 + 1, sums.1 + packets);
        }
    }
    sums
}

/// The number after the last `name ` of the log.
fn last(log: &str, name: &str) -> u64 {
    let (_, rest) = log.rsplit_once(name).unwrap_or_else(|| panic!("no {name:?} in\n{log}"));
    rest.trim_start().split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

/// Sends HUP, USR1 and USR2, each answered in the log.
#[track_caller]
fn disturb(daemon: &Daemon) {
    for (signal, answer) in [
        (Signal::SIGUSR1, "print: purged "),
        (Signal::SIGUSR2, "SIGUSR2 received: "),
        (Signal::SIGHUP, "SIGHUP received: files reopened"),
    ] {
        let count = || daemon.stderr().matches(answer).count();
        let before = count();
        daemon.signal(signal);
        assert!(wait_until(PATIENCE, || count() > before), "{signal}: no {answer:?}\n{}", daemon.stderr());
    }
}

#[track_caller]
fn ended_well(finished: &Finished, signal: Signal) {
    let log = &finished.stderr;
    assert!(finished.status.success(), "{log}");
    assert!(log.contains(&format!("{signal} received. Exiting ...")), "{log}");
    assert!(!log.contains("!=") && !log.contains("ERROR"), "{log}");
}

#[test]
fn a_daemon_that_captures() {
    if !need_root() || !need_program("ip") {
        return;
    }
    let eth2 = Port { interface: "eth2", addresses: &["10.9.0.1/24"] };
    let (machine, other) = Namespace::pair(eth2, Port { interface: "up2", addresses: &["10.9.0.2/24"] });
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        let conf = "
            interface: eth2
            pcap_filter: udp port 9
            propagate_signals: true
            plugins: print[p], memory[m]
            aggregate: src_host, src_port
            imt_path[m]: {folder}/sock
            print_output: csv
            print_refresh_time: 1
            print_output_file[p]: {folder}/flows.csv
            print_output_file_append[p]: true
        ";
        let mut daemon = Launch::conf(conf).inside(&machine).start();
        daemon.wait_for_file("sock");
        let send = |count| {
            let (from, to) = ("10.9.0.2:5000".parse().unwrap(), "10.9.0.1:9".parse().unwrap());
            other.send(Datagrams { from, to, payload: 72, count, pace: Duration::ZERO });
        };
        send(500);
        daemon.wait_for_file("flows.csv");
        // The file is rotated away; what comes then goes into a new one, whole.
        fs::rename(daemon.path("flows.csv"), daemon.path("flows.csv.1")).unwrap();
        disturb(&daemon);
        send(500);
        daemon.wait_for_file("flows.csv");
        send(500);
        let finished = daemon.stop(signal);
        ended_well(&finished, signal);
        let folder = finished.folder.path();
        assert_eq!(sums(folder, "flows").1, 1500, "{}", finished.stderr);
        for name in ["flows.csv", "flows.csv.1"] {
            let text = fs::read_to_string(folder.join(name)).unwrap();
            assert_eq!(text.matches("SRC_IP,SRC_PORT,PACKETS,BYTES\n").count(), 1, "{name}: {text}");
        }
    }
}

/// A capture of a hundred sources.
fn capture() -> PcapFile {
    (0..100u8).fold(PcapFile::new(ETHERNET), |file, n| {
        let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
        frame.extend([0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, n, 10, 0, 1, 1]);
        frame.extend([4, 0, 0, 53, 0, 8, 0, 0]);
        file.frame(Duration::from_secs(1_700_000_000) + Duration::from_millis(n.into()), &frame)
    })
}

#[test]
fn a_daemon_that_reads_a_savefile() {
    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        // It would read for hours.
        let conf = "
            pcap_savefile: {folder}/in.pcap
            pcap_savefile_replay: 1000000000
            plugins: print[p], memory[m]
            aggregate: src_host
            imt_path[m]: {folder}/sock
            print_output[p]: csv
            print_output_file[p]: {folder}/flows.csv
        ";
        let mut daemon = Launch::conf(conf).file("in.pcap", capture().bytes()).start();
        daemon.wait_for_file("sock");
        for _ in 0..3 {
            disturb(&daemon);
        }
        let asked = Instant::now();
        assert_eq!(daemon.query(&["-s", "-O", "csv"]).lines().count(), 101);
        let finished = daemon.stop(signal);
        assert!(asked.elapsed() < PATIENCE, "it goes on reading");
        ended_well(&finished, signal);
        let (rows, packets) = sums(finished.folder.path(), "flows");
        assert_eq!((rows, packets), (100, last(&finished.stderr, "p/print: purged ")));
        assert!(packets > 0);
    }
}

#[test]
fn a_daemon_that_has_read_a_savefile_and_waits() {
    let conf = "
        pcap_savefile: {folder}/in.pcap
        pcap_savefile_wait: true
        plugins: print
        print_output: csv
        print_output_file: {folder}/flows.csv
        print_refresh_time: 86400
    ";
    let mut daemon = Launch::conf(conf).file("in.pcap", capture().bytes()).start();
    daemon.wait_for_log("finished reading PCAP capture file");
    disturb(&daemon);
    let finished = daemon.stop(Signal::SIGTERM);
    ended_well(&finished, Signal::SIGTERM);
    assert_eq!(sums(finished.folder.path(), "flows"), (100, 100));
}
