//! Many clients, and some that mean no good, while traffic comes at a hundred thousand packets a second.

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use support::{Daemon, Launch, Namespace, Port, bin, need_program, need_root};

/// Hosts that send: an answer has a row for each.
const HOSTS: usize = 2_000;
/// From one frame to the next.
const PACE: Duration = Duration::from_micros(10);
/// Bytes of memory that may be more in the end than in the beginning: what an allocator keeps, and no table.
const SLACK: u64 = 24 << 20;

#[test]
fn a_thousand_clients_lose_nothing_and_leave_nothing() {
    if !need_root() || !need_program("ip") {
        return;
    }
    let stage = Stage::set();
    let sent = AtomicUsize::new(0);
    let over = AtomicBool::new(false);
    let mut increments = 0;
    thread::scope(|scope| {
        let sender = scope.spawn(|| stage.send_until(&over, &sent));
        let wait_for_all_hosts = || while stage.rows(&["-s"]) < HOSTS {};
        wait_for_all_hosts();
        let before = stage.resident();

        // One after the other.
        let (start, sent_before) = (Instant::now(), sent.load(Ordering::Relaxed));
        for n in 0..1_000 {
            let arguments: &[&str] = match n % 4 {
                0 => &["-s"],
                1 => &["-s", "-T", "bytes"],
                2 => &["-c", "src_host", "-M", "*"],
                _ => {
                    increments += stage.increment();
                    continue;
                }
            };
            assert_eq!(stage.rows(arguments), HOSTS, "answer {n}");
        }
        let in_a_row = start.elapsed();
        let pace = (sent.load(Ordering::Relaxed) - sent_before) as u128 * 1_000 / in_a_row.as_millis();

        // A hundred at once, three times.
        for _ in 0..3 {
            thread::scope(|scope| {
                let clients: Vec<_> = (0..100).map(|_| scope.spawn(|| stage.rows(&["-s"]))).collect();
                assert!(clients.into_iter().all(|client| client.join().unwrap() == HOSTS));
            });
        }

        stage.bad_clients();
        assert_eq!(stage.rows(&["-s"]), HOSTS, "nobody was held up");
        over.store(true, Ordering::Relaxed);
        sender.join().unwrap();
        let after = stage.resident();
        eprintln!(
            "{pace} packets a second; a thousand clients in a row in {in_a_row:?}; resident memory {} KiB before, \
             {} KiB after",
            before >> 10,
            after >> 10
        );
        assert!(after < before + SLACK, "{before} bytes before, {after} after");
    });
    assert_eq!(increments + stage.increment(), sent.load(Ordering::Relaxed) as u64);
    stage.nothing_is_lost(sent.into_inner() as u64);
}

/// A daemon on one end of a link.
struct Stage {
    daemon: Daemon,
    sender: Namespace,
    _receiver: Namespace,
    frames: Vec<Vec<u8>>,
}

impl Stage {
    fn set() -> Self {
        let left = Port { interface: "in0", addresses: &["10.9.0.1/24"] };
        let right = Port { interface: "out0", addresses: &["10.9.0.2/24"] };
        let (receiver, sender) = Namespace::pair(left, right);
        let conf = "plugins: memory\naggregate: src_host, dst_host\nimt_path: {folder}/sock\n\
                    pcap_interface: in0\nplugin_pipe_size: 67108864\npmacctd_pipe_size: 268435456\n";
        let mut daemon = Launch::conf(conf).inside(&receiver).start();
        daemon.wait_for_file("sock");
        // A fifth of a second each time.
        let frames = (0..20_000).map(|n| frame((n % HOSTS) as u16)).collect();
        Self { daemon, sender, _receiver: receiver, frames }
    }

    /// Sends all frames, again and again.
    fn send_until(&self, over: &AtomicBool, sent: &AtomicUsize) {
        while !over.load(Ordering::Relaxed) {
            self.sender.send_frames("out0", &self.frames, PACE);
            sent.fetch_add(self.frames.len(), Ordering::Relaxed);
        }
    }

    /// Rows of an answer in CSV, whose last line must be whole.
    fn rows(&self, arguments: &[&str]) -> usize {
        let answer = self.daemon.query(&[arguments, &["-O", "csv"]].concat());
        assert!(answer.ends_with('\n'), "{answer}");
        let rows = answer.lines().skip(1);
        rows.map(|row| assert_eq!(row.split(',').count(), 4, "{row}")).count()
    }

    /// Packets that were added since it was called before.
    fn increment(&self) -> u64 {
        let token = self.daemon.path("token");
        packets(&self.daemon.query(&["-s", "-O", "csv", "--token-file", token.to_str().unwrap()]))
    }

    /// Bytes of the daemon's memory that are in use.
    fn resident(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.daemon.pid())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// Clients that stall, drip, talk nonsense, hang up or are killed.
    fn bad_clients(&self) {
        let socket = self.daemon.path("sock");
        let connect = || UnixStream::connect(&socket).unwrap();
        let silent: Vec<_> = (0..100).map(|_| connect()).collect();
        let mut dripping: Vec<_> = (0..20).map(|_| connect()).collect();
        for octet in b"rpmacct" {
            for stream in &mut dripping {
                let _ = stream.write_all(&[*octet]);
            }
        }
        for n in 0..100u8 {
            let mut garbage = connect();
            let _ = garbage.write_all(&vec![n.wrapping_mul(37); 1 + usize::from(n) * 50]);
        }
        for n in 0..20 {
            let mut client = Command::new(bin("rpmacct"))
                .args(["-s", "-p", socket.to_str().unwrap()])
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            if n % 2 == 0 {
                let _ = client.stdout.take().unwrap().read(&mut [0; 10]);
            }
            client.kill().unwrap();
            client.wait().unwrap();
        }
        assert_eq!(self.rows(&["-s"]), HOSTS, "while they are there");
        drop((silent, dripping));
    }

    /// The ledger holds, and all that was sent is in the table.
    fn nothing_is_lost(self, sent: u64) {
        let ledger = self.daemon.query(&["--ledger"]);
        assert!(!ledger.contains("!="), "{ledger}");
        assert!(
            ledger.contains(&format!("in0: received by the kernel {sent} = kernel drops 0 ")),
            "{ledger}"
        );
        assert!(ledger.contains(&format!("absorbed {sent} = in the table {sent} ")), "{ledger}");
        assert_eq!(packets(&self.daemon.query(&["-s", "-O", "csv", "-e"])), sent);
        let finished = self.daemon.stop(Signal::SIGTERM);
        assert!(finished.status.success(), "{}", finished.stderr);
    }
}

/// The sum of the packets in an answer in CSV.
fn packets(csv: &str) -> u64 {
    csv.lines().skip(1).map(|row| row.split(',').nth(2).unwrap().parse::<u64>().unwrap()).sum()
}

/// A datagram from a host of its own, to nobody's hardware address.
fn frame(host: u16) -> Vec<u8> {
    let [high, low] = host.to_be_bytes();
    vec![
        2, 0, 0, 0, 0, 0x0f, 2, 0, 0, 0, 0, 0x0a, 8, 0, // Ethernet: to, from, IPv4
        0x45, 0, 0, 46, 0, 1, 0, 0, 64, 17, 0, 0, 10, 7, high, low, 10, 9, 9, 9, // IPv4: 46 bytes, UDP
        0, 7, 0, 9, 0, 26, 0, 0, // UDP: from 7 to 9
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, // payload
    ]
}
