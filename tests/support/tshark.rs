//! Captures as tshark sees them: an independent reader of what is in the frames.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

/// What tshark found in one frame.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dissection {
    /// When it was captured, in seconds since 1970.
    pub(crate) time: f64,
    /// Bytes that it had on the wire, and those that were captured.
    pub(crate) len: u64,
    pub(crate) captured: u64,
    /// Whether it is a wireless frame that is encrypted.
    pub(crate) is_protected: bool,
    /// Its protocols from the outermost inwards, by tshark's names.
    pub(crate) protocols: Vec<String>,
    /// The IP packets within each other, from the outermost inwards. Those that ICMP quotes are not carried.
    pub(crate) packets: Vec<Dissected>,
}

/// An IP packet as tshark sees it. What it does not have is 0.
#[derive(Debug, Clone, Default)]
pub(crate) struct Dissected {
    /// tshark's names of the protocols between the packet around and this one.
    pub(crate) behind: Vec<String>,
    /// The MAC addresses of the Ethernet frame among those, if there is one.
    pub(crate) macs: Option<[String; 2]>,
    pub(crate) src: String,
    pub(crate) dst: String,
    /// What fragments of an IPv4 packet have in common; whether this is the first of them, or a later one.
    pub(crate) id: u64,
    pub(crate) is_first_fragment: bool,
    pub(crate) is_later_fragment: bool,
    /// The protocol behind the extension headers.
    pub(crate) proto: u64,
    /// Type of service, traffic class.
    pub(crate) tos: u64,
    pub(crate) flow_label: u64,
    pub(crate) src_port: u64,
    pub(crate) dst_port: u64,
    pub(crate) tcp_flags: u64,
    /// The number of the network if this is the packet around VXLAN or Geneve.
    pub(crate) vni: u64,
    /// If it is the packet around GRE that has nothing but a key, the number that the key has in NVGRE.
    pub(crate) vsid: u64,
    /// Bytes, with the IP header.
    pub(crate) len: u64,
}

/// The fields that are read.
const FIELDS: &[&str] = &[
    "frame.time_epoch",
    "frame.protocols",
    "frame.len",
    "frame.cap_len",
    "wlan.fc.protected",
    "eth.src",
    "eth.dst",
    "ip.src",
    "ip.dst",
    "ip.id",
    "ip.flags.mf",
    "ip.frag_offset",
    "ip.proto",
    "ip.dsfield",
    "ip.len",
    "ipv6.src",
    "ipv6.dst",
    "ipv6.nxt",
    "ipv6.tclass",
    "ipv6.flow",
    "ipv6.plen",
    "ipv6.hopopts.nxt",
    "ipv6.routing.nxt",
    "ipv6.fraghdr.nxt",
    "ipv6.dstopts.nxt",
    "ah.next_header",
    "tcp.srcport",
    "tcp.dstport",
    "tcp.flags",
    "udp.srcport",
    "udp.dstport",
    "sctp.srcport",
    "sctp.dstport",
    "vxlan.vni",
    "geneve.vni",
    "gre.flags_and_version",
    "gre.key",
];

/// Reads all frames of a capture. Fragments stay what they are in their frames.
pub(crate) fn dissect(capture: &Path) -> Vec<Dissection> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-T", "fields", "-E", "occurrence=a", "-E", "separator=;"]);
    command.args(["-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE"]);
    command.args(FIELDS.iter().flat_map(|field| ["-e", field])).arg("-r").arg(capture);
    let output = command.output().expect("tshark runs");
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(!text.is_empty(), "{command:?}: {errors}");
    text.lines().map(dissection).collect()
}

/// The values of a line that are still to be taken, by field.
struct Values<'a>(BTreeMap<&'static str, std::str::Split<'a, char>>);

impl<'a> Values<'a> {
    fn text(&mut self, field: &str) -> &'a str {
        self.0.get_mut(field).and_then(Iterator::next).unwrap_or_default()
    }

    /// Decimal, or hexadecimal behind `0x`; 0 if there is none.
    fn number(&mut self, field: &str) -> u64 {
        let text = self.text(field);
        let number = text.strip_prefix("0x").map_or_else(|| text.parse(), |hex| u64::from_str_radix(hex, 16));
        number.unwrap_or(0)
    }

    /// Versions of tshark differ in how they write it.
    fn flag(&mut self, field: &str) -> bool {
        ["1", "True"].contains(&self.text(field))
    }
}

fn dissection(line: &str) -> Dissection {
    let columns = line.split(';').map(|column| column.split(','));
    let mut values = Values(FIELDS.iter().copied().zip(columns).collect());
    let protocols: Vec<String> = values.text("frame.protocols").split(':').map(str::to_owned).collect();
    let mut dissection = Dissection {
        time: values.text("frame.time_epoch").parse().unwrap_or(0.0),
        len: values.number("frame.len"),
        captured: values.number("frame.cap_len"),
        is_protected: values.flag("wlan.fc.protected"),
        protocols: protocols.clone(),
        packets: Vec::new(),
    };
    let (mut behind, mut macs) = (Vec::new(), None);
    for protocol in protocols {
        if let Some(packet) = begun(&protocol, &mut values) {
            // A header that tshark cannot read has no addresses, and what it guesses behind it is none.
            if packet.src.is_empty() {
                break;
            }
            dissection.packets.push(Dissected {
                behind: std::mem::take(&mut behind),
                macs: macs.take(),
                ..packet
            });
            continue;
        }
        if protocol == "eth" {
            macs = Some(["eth.src", "eth.dst"].map(|field| values.text(field).to_owned()));
        }
        if let Some(packet) = dissection.packets.last_mut() {
            packet.go_on(&protocol, &mut values);
        }
        if ["icmp", "icmpv6"].contains(&protocol.as_str()) {
            break;
        }
        behind.push(protocol);
    }
    dissection
}

/// The packet whose IP header this is.
fn begun(protocol: &str, values: &mut Values<'_>) -> Option<Dissected> {
    match protocol {
        "ip" => {
            let more_follow = values.flag("ip.flags.mf");
            let is_later_fragment = values.number("ip.frag_offset") > 0;
            Some(Dissected {
                src: values.text("ip.src").to_owned(),
                dst: values.text("ip.dst").to_owned(),
                id: values.number("ip.id"),
                is_first_fragment: more_follow && !is_later_fragment,
                is_later_fragment,
                proto: values.number("ip.proto"),
                tos: values.number("ip.dsfield"),
                len: values.number("ip.len"),
                ..Dissected::default()
            })
        }
        "ipv6" => Some(Dissected {
            src: values.text("ipv6.src").to_owned(),
            dst: values.text("ipv6.dst").to_owned(),
            proto: values.number("ipv6.nxt"),
            tos: values.number("ipv6.tclass"),
            flow_label: values.number("ipv6.flow"),
            len: values.number("ipv6.plen") + 40,
            ..Dissected::default()
        }),
        _ => None,
    }
}

impl Dissected {
    /// Takes what the next protocol behind the IP header says.
    fn go_on(&mut self, protocol: &str, values: &mut Values<'_>) {
        match protocol {
            "ipv6.hopopts" | "ipv6.routing" | "ipv6.fraghdr" | "ipv6.dstopts" => {
                self.proto = values.number(&format!("{protocol}.nxt"));
            }
            // An extension header to IPv6, a protocol of its own to IPv4.
            "ah" => {
                let next = values.number("ah.next_header");
                self.proto = if self.src.contains(':') { next } else { self.proto };
            }
            "tcp" | "udp" | "sctp" => {
                self.src_port = values.number(&format!("{protocol}.srcport"));
                self.dst_port = values.number(&format!("{protocol}.dstport"));
                if protocol == "tcp" {
                    self.tcp_flags = values.number("tcp.flags") & 0xff;
                }
            }
            "vxlan" | "geneve" => self.vni = values.number(&format!("{protocol}.vni")),
            "gre" => {
                let flags = values.number("gre.flags_and_version");
                let key = if flags & 0x2000 != 0 { values.number("gre.key") } else { 0 };
                // NVGRE has nothing but a key (RFC 7637).
                self.vsid = if flags == 0x2000 { key >> 8 } else { 0 };
            }
            _ => {}
        }
    }
}
