//! The life of the daemon, as an operator sees it.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use support::{
    Daemon, Datagrams, ETHERNET, Launch, Namespace, PATIENCE, PcapFile, Port, need_program, need_root,
    wait_until,
};

const EAR: &str = "10.9.0.1:9";

/// A machine with eth2, and who sends to it.
fn machines() -> Option<(Namespace, Namespace)> {
    if !need_root() || !need_program("ip") {
        return None;
    }
    let eth2 = Port { interface: "eth2", addresses: &["10.9.0.1/24"] };
    Some(Namespace::pair(eth2, Port { interface: "up2", addresses: &["10.9.0.2/24"] }))
}

/// Datagrams of 100 bytes of IP.
fn send(from: &Namespace, count: usize) {
    let (source, to) = ("10.9.0.2:5000".parse().unwrap(), EAR.parse().unwrap());
    from.send(Datagrams { from: source, to, payload: 72, count, pace: Duration::ZERO });
}

/// An Ethernet frame with an IPv4 UDP packet, one source for each `n`.
fn frame(n: u8, port: u8) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    frame.extend([0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, n, 10, 0, 1, 1]);
    frame.extend([0x04, 0, 0, port, 0, 8, 0, 0]);
    frame
}

/// Four packets: three from 10.0.0.1 (ports 53, 53, 80), one from 10.0.0.2 (port 53).
fn capture() -> PcapFile {
    let packets = [(1, 53), (1, 53), (1, 80), (2, 53)];
    packets.iter().enumerate().fold(PcapFile::new(ETHERNET), |file, (second, (n, port))| {
        file.frame(Duration::from_secs(1_700_000_000 + second as u64), &frame(*n, *port))
    })
}

fn csv(daemon: &Daemon) -> String {
    daemon.query(&["-s", "-O", "csv"])
}

/// What was sent need not have come yet: the kernel of a busy machine passes it on when it likes.
#[track_caller]
fn comes(daemon: &Daemon, row: &str) {
    let came = wait_until(PATIENCE, || csv(daemon).ends_with(row));
    assert!(came, "{row:?} is not in {}\n{}", csv(daemon), daemon.stderr());
}

#[test]
fn the_parent_tells_why_the_child_does_not_run() {
    let conf = "daemonize: true\nplugins: memory\ninterface: eth99\nimt_path: {folder}/sock\npidfile: {folder}/pid\n";
    let started = Instant::now();
    let finished = Launch::conf(conf).finish();
    assert_eq!(finished.status.code(), Some(1));
    assert!(
        finished.stderr.contains("rpmacctd.conf:3: interface: eth99: no interface 'eth99'"),
        "{}",
        finished.stderr
    );
    assert!(!finished.folder.path().join("pid").exists());
    assert!(!finished.folder.path().join("sock").exists());
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_daemon_in_the_background_has_pid_files_and_a_log() {
    let conf = "
        daemonize: true
        pidfile: {folder}/run/pid
        logfile: {folder}/log
        pcap_savefile: {folder}/in.pcap
        pcap_savefile_wait: true
        plugins: memory[m], print[p]
        imt_path[m]: {folder}/sock
        print_output_file[p]: {folder}/out.txt
        print_refresh_time[p]: 86400
    ";
    let mut daemon = Launch::conf(conf).file("in.pcap", capture().bytes()).start();
    daemon.follow("run/pid");
    for name in ["run/pid", "run/pid-memory-m", "run/pid-print-p"] {
        let path = daemon.path(name);
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", daemon.pid()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
    assert!(csv(&daemon).ends_with("10.0.0.1,3,84\n10.0.0.2,1,28\n"));

    // A second daemon with the same PID file does not start.
    let pid_file = daemon.path("run/pid");
    let twin =
        format!("pcap_savefile: {{folder}}/in.pcap\nplugins: print\npidfile: {}\n", pid_file.display());
    let twin = Launch::conf(&twin).file("in.pcap", capture().bytes()).finish();
    assert_eq!(twin.status.code(), Some(1));
    assert!(
        twin.stderr.contains(&format!("rpmacctd runs already, as process {}", daemon.pid())),
        "{}",
        twin.stderr
    );

    // The log is rotated away: SIGHUP opens it anew, and kills nothing.
    let log = |name: &str| fs::read_to_string(daemon.path(name)).unwrap_or_default();
    fs::rename(daemon.path("log"), daemon.path("log.1")).unwrap();
    daemon.signal(Signal::SIGHUP);
    assert!(wait_until(Duration::from_secs(5), || log("log").contains("files reopened")), "{}", log("log"));
    let first = log("log.1");
    let line = first.lines().next().unwrap();
    assert!(line.contains("INFO ( default/core ): rpmacctd ") && line.starts_with("20"), "{line}");
    assert!(first.contains("INFO ( default/core ): Reading configuration file '"), "{first}");

    daemon.signal(Signal::SIGUSR1);
    let ledger = "m/memory: absorbed 4 = in the table 4 + purged 0 + refused 0";
    assert!(wait_until(Duration::from_secs(5), || log("log").contains(ledger)), "{}", log("log"));

    let folder = daemon.stop(Signal::SIGTERM).folder;
    assert!(!folder.path().join("run/pid").exists() && !folder.path().join("sock").exists());
    let written = fs::read_to_string(folder.path().join("out.txt")).unwrap();
    assert!(written.starts_with("SRC_IP ") && written.ends_with(" 28\n"), "{written}");
    assert_eq!(fs::metadata(folder.path().join("out.txt")).unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn syslog_gets_the_lines() {
    if !need_root() {
        return;
    }
    let socket = Path::new("/dev/log");
    if socket.exists() {
        eprintln!("syslog_gets_the_lines: this machine has a syslog of its own");
        return;
    }
    let ear = UnixDatagram::bind(socket).unwrap();
    ear.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let conf = "syslog: daemon\npcap_savefile: {folder}/in.pcap\nplugins: print\n";
    let finished = Launch::conf(conf).file("in.pcap", capture().bytes()).finish();
    let mut line = [0; 1024];
    let length = ear.recv(&mut line).unwrap();
    fs::remove_file(socket).unwrap();
    let line = String::from_utf8_lossy(&line[..length]).into_owned();
    // Facility daemon (3), severity info (6): 3 * 8 + 6.
    assert!(
        line.starts_with("<30>") && line.contains("rpmacctd[") && line.contains("INFO ( default/core ): "),
        "{line}"
    );
    assert!(finished.stderr.is_empty(), "{}", finished.stderr);
}

#[test]
fn an_interface_is_waited_for_and_its_end_loses_nothing() {
    let Some((machine, mirror)) = machines() else { return };
    machine.exec(&["ip", "link", "set", "eth2", "name", "later"]);
    let conf = "
        interface: eth2
        interface_wait: true
        plugins: memory, print
        imt_path: {folder}/sock
        print_output: csv
        print_output_file: {folder}/out.csv
        print_refresh_time: 86400
    ";
    let mut daemon = Launch::conf(conf).inside(&machine).start();
    daemon.wait_for_log("waiting for it");
    daemon.wait_for_file("sock");
    assert_eq!(csv(&daemon), "SRC_IP,PACKETS,BYTES\n");
    machine.exec(&["ip", "link", "set", "later", "down"]);
    machine.exec(&["ip", "link", "set", "later", "name", "eth2"]);
    machine.exec(&["ip", "link", "set", "eth2", "up"]);
    machine.exec(&[
        "ip",
        "neigh",
        "replace",
        "10.9.0.2",
        "lladdr",
        "02:00:00:00:00:02",
        "dev",
        "eth2",
        "nud",
        "permanent",
    ]);
    daemon.wait_for_log("is there; capturing");
    let _ear = machine.listen(EAR.parse().unwrap());
    send(&mirror, 5);
    comes(&daemon, "10.9.0.2,5,500\n");

    // Down and up again is no end.
    machine.exec(&["ip", "link", "set", "eth2", "down"]);
    machine.exec(&["ip", "link", "set", "eth2", "up"]);
    send(&mirror, 3);
    comes(&daemon, "10.9.0.2,8,800\n");

    machine.exec(&["ip", "link", "del", "eth2"]);
    daemon.wait_for_log("waiting for the interface");
    let eth2 = Port { interface: "eth2", addresses: &["10.9.0.1/24"] };
    machine.link(eth2, &mirror, Port { interface: "up2", addresses: &["10.9.0.2/24"] });
    daemon.wait_for("not captured again", |d| d.stderr().matches("is there; capturing").count() == 2);
    send(&mirror, 2);
    comes(&daemon, "10.9.0.2,10,1000\n");
    let finished = daemon.stop(Signal::SIGTERM);
    assert!(finished.status.success());
    assert!(finished.stderr.contains("received by the kernel 10 = "), "{}", finished.stderr);
    assert!(!finished.stderr.contains("!="), "{}", finished.stderr);
}

#[test]
fn without_waiting_the_end_of_the_interface_is_the_end_and_everything_is_written() {
    let Some((machine, mirror)) = machines() else { return };
    let conf = "
        interface: eth2
        plugins: print, memory
        imt_path: {folder}/sock
        print_output: csv
        print_output_file: {folder}/out.csv
        print_refresh_time: 86400
    ";
    let mut daemon = Launch::conf(conf).inside(&machine).start();
    daemon.wait_for_file("sock");
    let _ear = machine.listen(EAR.parse().unwrap());
    send(&mirror, 5);
    comes(&daemon, "10.9.0.2,5,500\n");
    machine.exec(&["ip", "link", "del", "eth2"]);
    let finished = daemon.wait();
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    let written = fs::read_to_string(finished.folder.path().join("out.csv")).unwrap();
    assert_eq!(written, "SRC_IP,PACKETS,BYTES\n10.9.0.2,5,500\n");
    assert!(!finished.stderr.contains("!="), "{}", finished.stderr);
}

/// A pipe that is far too small: what is lost is counted to the packet.
#[test]
fn an_overloaded_plugin_loses_and_the_ledger_knows_how_many() {
    let Some((machine, mirror)) = machines() else { return };
    let conf = "
        interface: eth2
        plugins: memory
        aggregate: src_host, timestamp_start
        imt_path: {folder}/sock
        plugin_pipe_size: 1
        plugin_buffer_size: 1
    ";
    let mut daemon = Launch::conf(conf).inside(&machine).start();
    daemon.wait_for_file("sock");
    let _ear = machine.listen(EAR.parse().unwrap());
    send(&mirror, 20_000);
    daemon.wait_for("not all came", |d| {
        d.query(&["--ledger"]).contains("eth2: received by the kernel 20000 = ")
    });
    let table = csv(&daemon);
    let seen: u64 = table.lines().skip(1).map(|l| l.split(',').nth(2).unwrap().parse::<u64>().unwrap()).sum();
    let ledger = daemon.query(&["--ledger"]);
    assert!(!ledger.contains("!="), "{ledger}");
    assert!(ledger.contains("eth2: received by the kernel 20000 = "), "{ledger}");
    let lost = number_after(&ledger, "pipe losses ");
    assert!(lost > 0, "nothing was lost, so this shows nothing: {ledger}");
    assert_eq!(number_after(&ledger, "default_memory/memory: accounted "), seen + lost, "{ledger}");
    assert_eq!(number_after(&ledger, "in the pipe "), 0, "{ledger}");
    let log = daemon.stop(Signal::SIGTERM).stderr;
    assert!(log.contains(&format!("Missing data detected: {lost} packets found the pipe full")), "{log}");
}

fn number_after(text: &str, name: &str) -> u64 {
    let rest = text.split_once(name).unwrap_or_else(|| panic!("no {name} in {text}")).1;
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

#[test]
fn an_idle_daemon_sleeps() {
    let Some((machine, mirror)) = machines() else { return };
    let conf =
        "interface: eth2\nplugins: memory, print\nimt_path: {folder}/sock\nprint_output_file: {folder}/out\n";
    let mut daemon = Launch::conf(conf).inside(&machine).start();
    daemon.wait_for_file("sock");
    let _ear = machine.listen(EAR.parse().unwrap());
    send(&mirror, 5);
    comes(&daemon, "10.9.0.2,5,500\n");
    thread::sleep(Duration::from_millis(500));
    let wakeups = || -> u64 {
        let threads = fs::read_dir(format!("/proc/{}/task", daemon.pid())).unwrap();
        threads
            .map(|t| fs::read_to_string(t.unwrap().path().join("status")).unwrap())
            .map(|status| switches(&status))
            .sum()
    };
    let before = wakeups();
    thread::sleep(Duration::from_secs(2));
    let woken = wakeups() - before;
    assert!(woken <= 10, "woken {woken} times in two seconds without a packet");
}

fn switches(status: &str) -> u64 {
    let line = status.lines().find(|line| line.starts_with("voluntary_ctxt_switches")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn savefiles_are_filtered_replayed_and_waited_for() {
    let conf = "
        pcap_sf_wait: true
        pcap_savefile: {folder}/in.pcap
        pcap_sf_replay: 3
        pcap_sf_delay: 0
        pcap_filter: port 53
        plugins: memory[all], memory[one]
        aggregate: src_host, dst_port
        imt_path[all]: {folder}/sock
        imt_path[one]: {folder}/one
        aggregate_filter[one]: src host 10.0.0.2
    ";
    let mut daemon = Launch::conf(conf).file("in.pcap", capture().bytes()).start();
    daemon.wait_for_log("finished reading");
    assert_eq!(csv(&daemon), "SRC_IP,DST_PORT,PACKETS,BYTES\n10.0.0.1,53,6,168\n10.0.0.2,53,3,84\n");
    let one = support::rpmacct(["-p", daemon.path("one").to_str().unwrap(), "-s", "-O", "csv"]);
    assert_eq!(String::from_utf8_lossy(&one.stdout), "SRC_IP,DST_PORT,PACKETS,BYTES\n10.0.0.2,53,3,84\n");
    let ledger = daemon.query(&["--ledger"]);
    assert!(ledger.contains("in.pcap: read from the file 12 = "), "{ledger}");
    assert!(ledger.contains("filtered out 3 "), "{ledger}");
    assert!(ledger.contains("one/memory: accounted 9 = filtered by aggregate_filter 6 + "), "{ledger}");
    assert!(daemon.stop(Signal::SIGINT).status.success());
}

#[test]
fn a_cut_savefile_is_said_and_its_whole_packets_count() {
    let whole = capture();
    let cut = &whole.bytes()[..whole.bytes().len() - 5];
    let conf = "pcap_savefile: {folder}/in.pcap\nplugins: print\nprint_output: csv\naggregate: none\n";
    let finished = Launch::conf(conf).file("in.pcap", cut).finish();
    assert!(finished.status.success());
    assert_eq!(finished.stdout, "PACKETS,BYTES\n3,84\n");
    assert!(
        finished.stderr.contains("WARN ( default/core ): ") && finished.stderr.contains("is cut off at byte")
    );
}

#[test]
fn yaml_says_the_same() {
    let conf = "
pcap_savefile: '{folder}/in.pcap'
plugins:
  print[a]: { aggregate: [src_host, proto], print_output: csv, print_output_file: '{folder}/a.csv' }
  print[b]: { aggregate: none, print_output: json, print_output_file: '{folder}/b.json' }
";
    let finished = Launch::yaml(conf).file("in.pcap", capture().bytes()).finish();
    assert!(finished.status.success(), "{}", finished.stderr);
    let read = |name| fs::read_to_string(finished.folder.path().join(name)).unwrap();
    assert_eq!(read("a.csv"), "SRC_IP,PROTOCOL,PACKETS,BYTES\n10.0.0.1,udp,3,84\n10.0.0.2,udp,1,28\n");
    assert_eq!(read("b.json"), "{\"event_type\": \"purge\", \"packets\": 4, \"bytes\": 112}\n");
}

#[test]
fn mistakes_stop_the_start_with_file_line_and_the_nearest_word() {
    let cases = [
        ("aggregate: src_hst", "rpmacctd.conf:2: aggregate: src_hst: expected a primitive", "src_host?"),
        (
            "plugins: memry",
            "rpmacctd.conf:2: plugins: memry: expected one of the plugins memory, print",
            "memory?",
        ),
        ("print_output: jsn", "rpmacctd.conf:2: print_output: jsn: expected one of formatted", "json?"),
        ("pcap_filter: prt 80", "rpmacctd.conf:2: pcap_filter: prt 80: ", "syntax error"),
        ("aggregate[a: src_host", "rpmacctd.conf:2: ", "brackets"),
        ("promisc: yes", "rpmacctd.conf:2: promisc: yes: expected true or false", ""),
        ("networks_file: /etc/nets", "rpmacctd.conf:2: networks_file: /etc/nets: not implemented", ""),
        ("aggregate[zz]: src_host", "rpmacctd.conf:2: aggregate[zz]: src_host: no plugin is called zz", ""),
        ("no colon here", "rpmacctd.conf:2: ", "missing ':'"),
    ];
    for (line, sentence, hint) in cases {
        let finished = Launch::conf(&format!("interface: lo\n{line}\n")).finish();
        assert_eq!(finished.status.code(), Some(1), "{line}");
        assert!(finished.stderr.contains(sentence), "{line}: {}", finished.stderr);
        assert!(finished.stderr.contains(hint), "{line}: {}", finished.stderr);
    }
}

#[test]
fn the_ledger_holds_while_traffic_flows() {
    let Some((machine, mirror)) = machines() else { return };
    let conf = "
        interface: eth2
        plugins: memory[m], print[p]
        aggregate[m]: sum_host, src_port
        aggregate[p]: src_host, timestamp_start
        aggregate_filter[p]: udp port 5000
        imt_path: {folder}/sock
        print_output_file: {folder}/out
        print_refresh_time: 1
    ";
    let mut daemon = Launch::conf(conf).inside(&machine).start();
    daemon.wait_for_file("sock");
    let _ear = machine.listen(EAR.parse().unwrap());
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let (from, to) = ("10.9.0.2:5000".parse().unwrap(), EAR.parse().unwrap());
            mirror.send(Datagrams { from, to, payload: 72, count: 4000, pace: Duration::from_micros(500) });
        });
        let mut asked = 0;
        while !sender.is_finished() {
            let ledger = daemon.query(&["--ledger"]);
            assert!(!ledger.contains("!="), "{ledger}");
            asked += 1;
        }
        assert!(asked > 10, "only {asked} ledgers in two seconds");
    });
    let finished = daemon.stop(Signal::SIGTERM);
    assert!(
        finished.stderr.contains("m/memory: accounted (each packet 2 times) 8000 = "),
        "{}",
        finished.stderr
    );
    assert!(!finished.stderr.contains("!="), "{}", finished.stderr);
}

/// libpcap takes the second copies of the loopback's frames away after the kernel has counted them.
#[test]
fn questions_and_the_end_do_not_wait_for_a_pause_on_the_loopback() {
    if !need_root() || !need_program("ip") {
        return;
    }
    let machine = Namespace::new("loopback");
    let conf = "interface: lo\nplugins: memory\nimt_path: {folder}/sock\n";
    let mut daemon = Launch::conf(conf).inside(&machine).start();
    daemon.wait_for_file("sock");
    let _ear = machine.listen("127.0.0.1:9".parse().unwrap());
    thread::scope(|scope| {
        let sender = scope.spawn(|| {
            let (from, to) = ("127.0.0.1:5000".parse().unwrap(), "127.0.0.1:9".parse().unwrap());
            machine.send(Datagrams { from, to, payload: 72, count: 300, pace: Duration::from_millis(10) });
        });
        thread::sleep(Duration::from_millis(300));
        for _ in 0..5 {
            let began = Instant::now();
            csv(&daemon);
            assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        }
        let began = Instant::now();
        let finished = daemon.stop(Signal::SIGTERM);
        assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
        assert!(!sender.is_finished(), "the sender had paused");
        assert!(finished.status.success() && !finished.stderr.contains("!="), "{}", finished.stderr);
    });
}

#[test]
fn an_interface_that_goes_down_first_and_away_later_is_missed() {
    let Some((machine, mirror)) = machines() else { return };
    let conf = "interface: eth2\ninterface_wait: true\nplugins: memory\nimt_path: {folder}/sock\n";
    machine.exec(&["ip", "link", "set", "eth2", "down"]);
    let mut daemon = Launch::conf(conf).inside(&machine).start();
    daemon.wait_for_log("is not up; waiting for it");
    machine.exec(&["ip", "link", "set", "eth2", "up"]);
    daemon.wait_for_log("is there; capturing");
    machine.exec(&["ip", "link", "set", "eth2", "down"]);
    thread::sleep(Duration::from_millis(300));
    machine.exec(&["ip", "link", "del", "eth2"]);
    daemon.wait_for_log("waiting for the interface");
    let eth2 = Port { interface: "eth2", addresses: &["10.9.0.1/24"] };
    machine.link(eth2, &mirror, Port { interface: "up2", addresses: &["10.9.0.2/24"] });
    daemon.wait_for("not captured again", |d| d.stderr().matches("is there; capturing").count() == 2);
    let _ear = machine.listen(EAR.parse().unwrap());
    send(&mirror, 7);
    comes(&daemon, "10.9.0.2,7,700\n");
}

/// Later fragments of datagram 1, whose first one never comes; both fragments of datagram 2.
fn fragments() -> PcapFile {
    let fragment = |id: u8, offset: u8, more: u8| {
        let mut frame = frame(1, 53);
        (frame[17], frame[19], frame[20], frame[21]) = (36, id, more << 5, offset);
        frame.extend([0; 8]);
        frame
    };
    let second = Duration::from_secs(1_700_000_000);
    let file = PcapFile::new(ETHERNET).frame(second, &fragment(1, 2, 0));
    file.frame(second, &fragment(2, 2, 0)).frame(second, &fragment(2, 0, 1))
}

#[test]
fn fragments_wait_only_as_long_as_the_file_goes_on() {
    let conf = "
        pcap_savefile: {folder}/in.pcap
        pcap_savefile_wait: true
        pcap_savefile_replay: 3
        plugins: memory, print
        aggregate: dst_port
        imt_path: {folder}/sock
        print_output: csv
        print_output_file: {folder}/out.csv
        print_refresh_time: 1
    ";
    let mut daemon = Launch::conf(conf).file("in.pcap", fragments().bytes()).start();
    daemon.wait_for_log("finished reading");
    let mut rows: Vec<_> = csv(&daemon).lines().map(str::to_owned).collect();
    rows.sort_unstable();
    assert_eq!(rows, ["0,3,108", "53,6,216", "DST_PORT,PACKETS,BYTES"]);
    // The clock runs again: the print plugin's second is over soon.
    daemon.wait_for_file("out.csv");
}
