//! Frames as tshark sees them: each link type with each header around, and each tunnel.
//!
//! The frames are those of the matrix. That one compares the decoder with a builder from the same hand; here
//! somebody else says that the builder is right.

#[allow(dead_code, reason = "the matrix compares more than addresses")]
#[path = "support/build.rs"]
mod build;

use std::io::Write;
use std::process::{Command, Stdio};
use std::{env, iter};

use build::{AROUND, Around, Build, CARRIED, WAYS, Way, packet};
use rpmacct_packet::LinkType;

/// What tshark 4.0 does not know, or only tcpdump does, by whose output these were checked.
const NOT_BY_TSHARK: &[u32] = &[
    8,   // SLIP
    166, // PPP_PPPD
    205, // C_HDLC_WITH_DIR
    206, // FRELAY_WITH_DIR
    219, // MPLS
    281, // DSA_TAG_BRCM and its relatives
    282, 284, 285,
];

/// Links on which tshark follows all that Ethernet may carry.
const ALL_AROUND: &[u32] = &[1, 258];

/// Whether tshark looks behind this.
fn follows(link: LinkType, around: Around) -> bool {
    match around {
        Around::Nothing | Around::Label | Around::Labels | Around::Null | Around::TaggedPseudowire => true,
        // It does not know 0x9200, and takes the control word for the beginning of an address.
        Around::ThreeTags | Around::Pseudowire => false,
        // The EtherTypes of Cisco HDLC that it knows are few.
        _ if link.0 == 104 => false,
        Around::FabricPath | Around::Snap => ALL_AROUND.contains(&link.0),
        _ => true,
    }
}

/// A frame, what it is, and the addresses and lengths of the packets within each other.
struct Case {
    what: String,
    link: LinkType,
    frame: Vec<u8>,
    packets: String,
}

impl Case {
    fn new(what: String, link: LinkType, built: &Build) -> Option<Self> {
        let packets: Vec<_> =
            built.packets.iter().map(|facts| format!("{} {} {}", facts.src, facts.dst, facts.len)).collect();
        Some(Self { what, link, frame: built.on(link)?, packets: packets.join(", ") })
    }
}

fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for is_v6 in [false, true] {
        for &link in LinkType::supported().iter().filter(|link| !NOT_BY_TSHARK.contains(&link.0)) {
            for around in AROUND.into_iter().filter(|around| follows(link, *around)) {
                let built = packet(is_v6, CARRIED[0], 1).around(around);
                let what = format!("{link}, {around:?}, IPv6 {is_v6}");
                cases.extend(built.and_then(|built| Case::new(what, link, &built)));
            }
        }
        // Of L2TPv3 it would have to be told how long the cookie is.
        for way in WAYS.into_iter().filter(|way| !matches!(way, Way::L2tp3 | Way::L2tp3InUdp)) {
            for (outer_is_v6, around) in
                [(false, Around::Nothing), (true, Around::Nothing), (false, Around::Label)]
            {
                let inner = packet(is_v6, CARRIED[0], 1).around(around);
                let built = inner.and_then(|inner| inner.through(way, outer_is_v6, 2));
                let what = format!("{way:?} of IPv6 {outer_is_v6}, {around:?}, IPv6 {is_v6}");
                cases.extend(built.and_then(|built| Case::new(what, LinkType::ETHERNET, &built)));
            }
        }
    }
    cases
}

/// A pcapng file with an interface for each link type.
fn savefile(cases: &[Case]) -> Vec<u8> {
    let block = |kind: u32, body: &[u8]| {
        let len = (12 + body.len().next_multiple_of(4)) as u32;
        let padding = iter::repeat_n(0, body.len().next_multiple_of(4) - body.len());
        let numbers = [kind, len].map(u32::to_le_bytes).concat();
        numbers
            .into_iter()
            .chain(body.iter().copied())
            .chain(padding)
            .chain(len.to_le_bytes())
            .collect::<Vec<_>>()
    };
    let section = [0x1a2b_3c4d_u32, 1, u32::MAX, u32::MAX].map(u32::to_le_bytes).concat();
    let mut file = block(0x0a0d_0d0a, &section);
    let links = LinkType::supported();
    for link in links {
        file.extend(block(1, &[link.0, 0].map(u32::to_le_bytes).concat()));
    }
    for Case { link, frame, .. } in cases {
        let interface = links.iter().position(|known| known == link).unwrap() as u32;
        let len = frame.len() as u32;
        let header = [interface, 0, 1, len, len].map(u32::to_le_bytes).concat();
        file.extend(block(6, &[&header[..], frame].concat()));
    }
    file
}

/// A line for each frame of the file: its protocols, and the fields of its IPv4 and IPv6 headers. `None` if there
/// is no tshark.
fn dissect(file: Vec<u8>) -> Option<Vec<String>> {
    let fields = ["frame.protocols", "ip.src", "ip.dst", "ip.len", "ipv6.src", "ipv6.dst", "ipv6.plen"];
    let mut command = Command::new("tshark");
    command.args(["-n", "-r", "-", "-T", "fields", "-E", "occurrence=a", "-E", "separator=;"]);
    command.args(fields.iter().flat_map(|field| ["-e", field]));
    let mut tshark =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().ok()?;
    let mut input = tshark.stdin.take()?;
    let writer = std::thread::spawn(move || input.write_all(&file));
    let output = tshark.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    Some(String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect())
}

/// The packets within each other, as [`Case::packets`].
fn packets(line: &str) -> String {
    let fields: Vec<&str> = line.split(';').collect();
    let mut columns: Vec<_> = fields[1..].iter().map(|field| field.split(',')).collect();
    let mut next = |column: usize| columns[column].next().unwrap_or_default().to_owned();
    let mut found = Vec::new();
    for protocol in fields[0].split(':') {
        match protocol {
            "ip" => {
                let (src, dst, len) = (next(0), next(1), next(2));
                // Where it cannot know the version it says `ip:ipv6`.
                if !src.is_empty() {
                    found.push(format!("{src} {dst} {len}"));
                }
            }
            "ipv6" => {
                let (src, dst, payload) = (next(3), next(4), next(5));
                found.push(format!("{src} {dst} {}", payload.parse::<u32>().unwrap_or_default() + 40));
            }
            _ => {}
        }
    }
    found.join(", ")
}

#[test]
fn tshark_sees_what_was_built() {
    let cases = cases();
    assert!(cases.len() > 600, "{}", cases.len());
    let Some(lines) = dissect(savefile(&cases)) else {
        assert!(env::var_os("CI").is_none(), "tshark is not here");
        println!("skipped: tshark is not here");
        return;
    };
    assert_eq!(lines.len(), cases.len());
    let wrong: Vec<_> = cases
        .iter()
        .zip(&lines)
        .filter(|(case, line)| packets(line) != case.packets)
        .map(|(case, line)| format!("{}: {line}", case.what))
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), cases.len(), wrong.join("\n"));
}
