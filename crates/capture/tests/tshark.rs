//! Real captures as tshark sees them: the packets in each frame, outermost first, their addresses and lengths.
//!
//! The captures are not part of the project: see `corpus.rs`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::{env, fs, thread};

use rpmacct_capture::Savefile;
use rpmacct_packet::Packet;

/// A packet: sender, receiver, length in bytes.
type Seen = (IpAddr, IpAddr, u32);

/// Where tshark and we see different things: the file, the frames with IP that we see and those that tshark
/// sees, and why that is right.
const DIFFERENCES: &[(&str, usize, usize, &str)] = &[
    ("libpcap-AH-IPcomp-IPv6.pcap", 15, 15, "tshark decompresses IPComp, and shows what is in it"),
    ("ndpi-fuzz-2006-06-26-2594.pcap", 606, 607, "an EtherType of IPv4 before version 6, which is damage"),
    ("tcpdump-cve2015-0261-ipv6.pcap", 2, 0, "tshark does not read SLIP; tcpdump sees what we see"),
    ("zeek-mpls-6in6-broken.pcap", 1774, 1783, "tshark follows any number of labels in damaged frames"),
];

#[test]
fn tshark_sees_the_same_packets() {
    let Some(captures) = captures() else { return };
    if Command::new("tshark").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_err() {
        return skip("tshark is not here");
    }
    let files: Vec<PathBuf> = fs::read_dir(&captures).unwrap().map(|entry| entry.unwrap().path()).collect();
    let files = files.iter().filter(|path| path.extension().is_some_and(|kind| kind != "tsv"));
    let (queue, wrong) = (Mutex::new(files), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                loop {
                    let Some(path) = queue.lock().unwrap().next() else { return };
                    if let Err(difference) = compare(path) {
                        wrong.lock().unwrap().push(difference);
                    }
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn compare(path: &Path) -> Result<(), String> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let (ours, theirs) = (by_us(path), by_tshark(path));
    let listed = DIFFERENCES.iter().find(|(file, ..)| *file == name);
    match (ours == theirs, listed) {
        (true, None) => Ok(()),
        (false, Some((.., we, they, _))) if (ours.len(), theirs.len()) == (*we, *they) => Ok(()),
        (_, Some((.., why))) => {
            Err(format!("{name}: ours {}, tshark's {}; listed as: {why}", ours.len(), theirs.len()))
        }
        (false, None) => {
            let first =
                ours.iter().zip(&theirs).position(|(a, b)| a != b).unwrap_or(ours.len().min(theirs.len()));
            Err(format!(
                "{name}: frame {first} with IP: ours {:?}, tshark's {:?}",
                ours.get(first),
                theirs.get(first)
            ))
        }
    }
}

/// The packets within each other of each frame that has some.
fn by_us(path: &Path) -> Vec<Vec<Seen>> {
    let mut frames = Vec::new();
    let mut savefile = Savefile::open(path).unwrap();
    while let Some(frame) = savefile.next() {
        let Ok(frame) = frame else { continue };
        let Ok(packet) = Packet::decode(frame.link, frame.data, frame.wire_len) else { continue };
        let inner = packet.tunnels().map_while(|tunnel| tunnel.inner.ok());
        let packets = std::iter::once(packet).chain(inner);
        frames.push(packets.filter_map(|p| Some((p.src_ip()?, p.dst_ip()?, p.ip_len()))).collect());
    }
    frames
}

fn by_tshark(path: &Path) -> Vec<Vec<Seen>> {
    // What was found by putting fragments together is not in the frame.
    let whole = ["-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE"];
    let fields = ["frame.protocols", "ip.src", "ip.dst", "ip.len", "ipv6.src", "ipv6.dst", "ipv6.plen"];
    let mut command = Command::new("tshark");
    command.args(["-n", "-T", "fields", "-E", "occurrence=a", "-E", "separator=;"]).args(whole);
    command.args(fields.iter().flat_map(|field| ["-e", field])).arg("-r").arg(path);
    let output = command.stderr(Stdio::null()).output().unwrap();
    let lines = String::from_utf8(output.stdout).unwrap();
    lines.lines().map(packets).filter(|packets| !packets.is_empty()).collect()
}

/// The packets of a line of tshark's. Those that an ICMP message quotes are not carried.
fn packets(line: &str) -> Vec<Seen> {
    let fields: Vec<&str> = line.split(';').collect();
    let mut columns: Vec<_> = fields[1..].iter().map(|field| field.split(',')).collect();
    let mut found = Vec::new();
    for protocol in fields[0].split(':').take_while(|protocol| !["icmp", "icmpv6"].contains(protocol)) {
        let (column, header) = match protocol {
            "ip" => (0, 0),
            "ipv6" => (3, 40),
            _ => continue,
        };
        let mut next = |offset: usize| columns[column + offset].next().unwrap_or_default();
        if let (Ok(src), Ok(dst), Ok(len)) = (next(0).parse(), next(1).parse(), next(2).parse::<u32>()) {
            found.push((src, dst, len + header));
        }
    }
    found
}

fn captures() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let shared = env::var_os("RPMACCT_SHARED").map_or_else(beside, PathBuf::from);
    let captures = shared.join("corpus/captures");
    if captures.is_dir() {
        return Some(captures);
    }
    println!("skipped: {} is not there; set RPMACCT_SHARED", captures.display());
    None
}

fn skip(reason: &str) {
    assert!(env::var_os("CI").is_none(), "{reason}");
    println!("skipped: {reason}");
}
