//! Networks of this machine's own: namespaces joined by veth links, quiet enough to count every packet.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::{SocketAddr, UdpSocket};
use std::panic;
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};

use super::{PATIENCE, run, wait_until};

/// A network namespace. Nothing speaks in it unasked: IPv6 is off (no neighbour discovery, no multicast listener
/// reports), and neighbours are known without ARP. It is deleted when it is dropped.
pub(crate) struct Namespace {
    name: String,
}

/// One end of a link: an interface and its addresses (`10.9.0.1/24`), all IPv4.
#[derive(Clone, Copy)]
pub(crate) struct Port<'a> {
    pub(crate) interface: &'a str,
    pub(crate) addresses: &'a [&'a str],
}

/// UDP datagrams that are all alike.
#[derive(Clone, Copy)]
pub(crate) struct Datagrams {
    /// Its address must be one of the sending namespace; port 0 takes any.
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    /// Length of the payload, in bytes; IPv4 and UDP add 28, Ethernet 14 more.
    pub(crate) payload: usize,
    pub(crate) count: usize,
    /// Time from one datagram to the next.
    pub(crate) pace: Duration,
}

impl Namespace {
    /// The hardware address of a link's first port, and of its second.
    pub(crate) const MACS: [[u8; 6]; 2] = [[2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]];

    pub(crate) fn new(label: &str) -> Namespace {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("rpmacct-{}-{}-{label}", process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        ip(&["netns", "add", &name]);
        let namespace = Namespace { name };
        namespace.inside(|| {
            // The kernel may have no IPv6 at all, which is as quiet.
            let _ = fs::write("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
            let _ = fs::write("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
        });
        ip(&["-n", &namespace.name, "link", "set", "lo", "up"]);
        namespace
    }

    /// Two namespaces with a link between them.
    pub(crate) fn pair(first: Port<'_>, second: Port<'_>) -> (Namespace, Namespace) {
        let (one, other) = (Namespace::new(first.interface), Namespace::new(second.interface));
        one.link(first, &other, second);
        (one, other)
    }

    /// Adds a link from here to another namespace.
    pub(crate) fn link(&self, own: Port<'_>, peer: &Namespace, theirs: Port<'_>) {
        ip(&[
            "-n",
            &self.name,
            "link",
            "add",
            own.interface,
            "type",
            "veth",
            "peer",
            "name",
            theirs.interface,
            "netns",
            &peer.name,
        ]);
        let ends = [(self, own, theirs), (peer, theirs, own)];
        for (end, (namespace, port, _)) in ends.iter().enumerate() {
            let (name, interface) = (namespace.name.as_str(), port.interface);
            ip(&["-n", name, "link", "set", interface, "address", &mac(end)]);
            for address in port.addresses {
                ip(&["-n", name, "addr", "add", address, "dev", interface]);
            }
            ip(&["-n", name, "link", "set", interface, "up"]);
        }
        for (end, (namespace, port, other)) in ends.iter().enumerate() {
            let (name, interface) = (namespace.name.as_str(), port.interface);
            for address in other.addresses {
                let address = address.split('/').next().unwrap_or_default();
                let neighbour = ["-n", name, "neigh", "replace", address, "lladdr", &mac(1 - end)];
                ip(&[&neighbour[..], &["dev", interface, "nud", "permanent"]].concat());
            }
            let is_up = || ip(&["-n", name, "link", "show", "dev", interface]).contains("LOWER_UP");
            assert!(wait_until(PATIENCE, is_up), "{interface} did not come up");
        }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// A command that will run in this namespace. The program takes the place of `ip`: the child's id is its own.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }

    /// Runs a command here that must succeed, and gives what it wrote to its output.
    #[track_caller]
    pub(crate) fn exec(&self, words: &[&str]) -> String {
        run(self.command(words[0]).args(&words[1..]))
    }

    /// Does some work on a thread that lives in this namespace: sockets opened there belong to it, and stay so.
    pub(crate) fn inside<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        let enter = || {
            let file = File::open(format!("/run/netns/{}", self.name)).expect("the namespace's file");
            setns(file, CloneFlags::CLONE_NEWNET).expect("entering the namespace");
            work()
        };
        thread::scope(|scope| scope.spawn(enter).join()).unwrap_or_else(|cause| panic::resume_unwind(cause))
    }

    /// Binds a socket that takes datagrams and answers none. While it lives, the kernel does not answer either: to a
    /// port that nobody listens on it would send ICMP errors, which are packets to count.
    #[must_use]
    pub(crate) fn listen(&self, address: SocketAddr) -> UdpSocket {
        self.inside(|| UdpSocket::bind(address).unwrap_or_else(|error| panic!("{address}: {error}")))
    }

    /// Sends datagrams through the kernel's own stack.
    pub(crate) fn send(&self, datagrams: Datagrams) {
        let Datagrams { from, to, payload, count, pace } = datagrams;
        self.inside(|| {
            let socket = UdpSocket::bind(from).unwrap_or_else(|error| panic!("{from}: {error}"));
            let bytes = vec![b'.'; payload];
            paced(count, pace, |_| {
                let sent = socket.send_to(&bytes, to).unwrap_or_else(|error| panic!("to {to}: {error}"));
                assert_eq!(sent, payload);
            });
        });
    }

    /// Puts frames on an interface as they are, Ethernet header and all; nothing but the frames is sent. The other
    /// end's kernel ignores those that are for another hardware address than its own.
    pub(crate) fn send_frames(&self, interface: &str, frames: &[impl AsRef<[u8]> + Sync], pace: Duration) {
        self.inside(|| {
            // Sending only: no need to see the others' frames, nor one's own again.
            let capture = pcap::Capture::from_device(interface).expect("a device").promisc(false).snaplen(64);
            let mut capture = capture.open().unwrap_or_else(|error| panic!("{interface}: {error}"));
            paced(frames.len(), pace, |index| {
                let frame = frames[index].as_ref();
                capture.sendpacket(frame).unwrap_or_else(|error| panic!("frame {index}: {error}"));
            });
        });
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// Does something `count` times, each at its time since the start, so that a late one does not delay the rest.
fn paced(count: usize, pace: Duration, mut act: impl FnMut(usize)) {
    let start = Instant::now();
    for index in 0..count {
        let due = start + pace * index as u32;
        thread::sleep(due.saturating_duration_since(Instant::now()));
        act(index);
    }
}

#[track_caller]
fn ip(arguments: &[&str]) -> String {
    run(Command::new("ip").args(arguments))
}

fn mac(end: usize) -> String {
    Namespace::MACS[end].map(|byte| format!("{byte:02x}")).join(":")
}
