//! The table: one row a primitive.

use crate::kind::{Kind, write_ip, write_time};
use crate::observation::Observation;

/// One aggregation primitive.
///
/// Adding one is adding a row to [`TABLE`], in the place of its column.
#[derive(Debug)]
pub struct Primitive {
    /// The word in `aggregate` and in the client's `-c`.
    pub word: &'static str,
    /// Other words for the same primitive.
    pub aliases: &'static [&'static str],
    /// Column heading in formatted and CSV output.
    pub heading: &'static str,
    /// Name in JSON.
    pub json: &'static str,
    /// Characters that a value is padded to in formatted output.
    pub value_width: usize,
    /// Characters of the whole column, heading and blanks included.
    pub column_width: usize,
    /// What a value is.
    pub kind: Kind,
    /// What the primitive does to a record.
    pub role: Role,
    /// Whether it is read from ports, so that later fragments must wait for their first one.
    pub reads_ports: bool,
    /// Where `-a` lists it.
    pub group: Group,
    /// One sentence for people.
    pub doc: &'static str,
}

/// What a primitive does to a record.
#[derive(Debug, Clone, Copy)]
pub enum Role {
    /// It is a part of the key, read from a packet into octets as wide as the kind.
    Key(Read),
    /// Every packet makes two records: the primitive is read in two ways, as source and as destination.
    Sum(Read, Read),
    /// It is not a part of the key: the flags of all packets of a record are OR-ed.
    TcpFlags,
    /// No key at all: one record with all packets.
    Nothing,
}

/// Reads a primitive into octets of its kind's width, all of which it writes.
pub(crate) type Read = fn(&Observation<'_>, &mut [u8]);

/// Groups of primitives in `rpmacctd -a`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Link layer.
    Layer2,
    /// Network layer.
    Layer3,
    /// Transport layer.
    Layer4,
    /// Interfaces. The client shows them before all others.
    Interface,
    /// MPLS labels.
    Label,
    /// Times of packets.
    Time,
    /// Words that change how records are made.
    Special,
}

impl Group {
    /// All groups, in the order of the listing.
    pub const ALL: &[Self] =
        &[Self::Layer2, Self::Layer3, Self::Layer4, Self::Interface, Self::Label, Self::Time, Self::Special];

    /// The title in the listing.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Layer2 => "L2",
            Self::Layer3 => "L3",
            Self::Layer4 => "L4",
            Self::Interface => "Interfaces",
            Self::Label => "MPLS",
            Self::Time => "Time",
            Self::Special => "Special",
        }
    }
}

/// All primitives, in the order of their columns.
pub static TABLE: &[Primitive] = &[
    Primitive {
        word: "src_mac",
        aliases: &[],
        heading: "SRC_MAC",
        json: "mac_src",
        value_width: 17,
        column_width: 19,
        kind: Kind::Mac,
        role: Role::Key(src_mac),
        reads_ports: false,
        group: Group::Layer2,
        doc: "Source MAC address",
    },
    Primitive {
        word: "sum_mac",
        aliases: &[],
        heading: "SRC_MAC",
        json: "mac_src",
        value_width: 17,
        column_width: 19,
        kind: Kind::Mac,
        role: Role::Sum(src_mac, dst_mac),
        reads_ports: false,
        group: Group::Special,
        doc: "Each MAC address, counted as source and as destination",
    },
    Primitive {
        word: "dst_mac",
        aliases: &[],
        heading: "DST_MAC",
        json: "mac_dst",
        value_width: 17,
        column_width: 19,
        kind: Kind::Mac,
        role: Role::Key(dst_mac),
        reads_ports: false,
        group: Group::Layer2,
        doc: "Destination MAC address",
    },
    Primitive {
        word: "vlan",
        aliases: &[],
        heading: "VLAN",
        json: "vlan",
        value_width: 5,
        column_width: 7,
        kind: Kind::Number(2),
        role: Role::Key(|o, to| put16(to, o.packet.vlan().map_or(0, |tag| tag.id))),
        reads_ports: false,
        group: Group::Layer2,
        doc: "VLAN of the outermost tag, 0 if untagged",
    },
    Primitive {
        word: "in_vlan",
        aliases: &[],
        heading: "IN_VLAN",
        json: "vlan_in",
        value_width: 7,
        column_width: 9,
        kind: Kind::Number(2),
        role: Role::Key(|o, to| put16(to, o.packet.vlan().map_or(0, |tag| tag.id))),
        reads_ports: false,
        group: Group::Layer2,
        doc: "VLAN of the outermost tag on the way in, 0 if untagged",
    },
    Primitive {
        word: "in_cvlan",
        aliases: &[],
        heading: "IN_CVLAN",
        json: "cvlan_in",
        value_width: 8,
        column_width: 10,
        kind: Kind::Number(2),
        role: Role::Key(|o, to| put16(to, o.packet.inner_vlan().map_or(0, |tag| tag.id))),
        reads_ports: false,
        group: Group::Layer2,
        doc: "VLAN of the second tag (QinQ), 0 if there is none",
    },
    Primitive {
        word: "cos",
        aliases: &[],
        heading: "COS",
        json: "cos",
        value_width: 2,
        column_width: 4,
        kind: Kind::Number(1),
        role: Role::Key(|o, to| to[0] = o.packet.vlan().map_or(0, |tag| tag.cos)),
        reads_ports: false,
        group: Group::Layer2,
        doc: "Class of service of the outermost VLAN tag, 0 if untagged",
    },
    Primitive {
        word: "etype",
        aliases: &[],
        heading: "ETYPE",
        json: "etype",
        value_width: 5,
        column_width: 7,
        kind: Kind::EtherType,
        role: Role::Key(|o, to| put16(to, o.packet.etype())),
        reads_ports: false,
        group: Group::Layer2,
        doc: "EtherType of the network layer, behind VLAN tags and labels",
    },
    Primitive {
        word: "in_iface",
        aliases: &[],
        heading: "IN_IFACE",
        json: "iface_in",
        value_width: 10,
        column_width: 12,
        kind: Kind::Number(4),
        role: Role::Key(|o, to| to.copy_from_slice(&o.in_iface.to_be_bytes())),
        reads_ports: false,
        group: Group::Interface,
        doc: "Number of the input interface (pcap_ifindex)",
    },
    Primitive {
        word: "out_iface",
        aliases: &[],
        heading: "OUT_IFACE",
        json: "iface_out",
        value_width: 10,
        column_width: 12,
        kind: Kind::Number(4),
        role: Role::Key(|o, to| to.copy_from_slice(&o.out_iface.to_be_bytes())),
        reads_ports: false,
        group: Group::Interface,
        doc: "Number of the output interface (pcap_ifindex)",
    },
    Primitive {
        word: "src_host",
        aliases: &[],
        heading: "SRC_IP",
        json: "ip_src",
        value_width: 45,
        column_width: 47,
        kind: Kind::Ip,
        role: Role::Key(src_host),
        reads_ports: false,
        group: Group::Layer3,
        doc: "Source IP address",
    },
    Primitive {
        word: "sum_host",
        aliases: &["sum"],
        heading: "SRC_IP",
        json: "ip_src",
        value_width: 45,
        column_width: 47,
        kind: Kind::Ip,
        role: Role::Sum(src_host, dst_host),
        reads_ports: false,
        group: Group::Special,
        doc: "Each IP address, counted as source and as destination",
    },
    Primitive {
        word: "dst_host",
        aliases: &[],
        heading: "DST_IP",
        json: "ip_dst",
        value_width: 45,
        column_width: 47,
        kind: Kind::Ip,
        role: Role::Key(dst_host),
        reads_ports: false,
        group: Group::Layer3,
        doc: "Destination IP address",
    },
    Primitive {
        word: "src_port",
        aliases: &[],
        heading: "SRC_PORT",
        json: "port_src",
        value_width: 5,
        column_width: 10,
        kind: Kind::Number(2),
        role: Role::Key(src_port),
        reads_ports: true,
        group: Group::Layer4,
        doc: "Source port of TCP and UDP, 0 if there is none",
    },
    Primitive {
        word: "sum_port",
        aliases: &[],
        heading: "SRC_PORT",
        json: "port_src",
        value_width: 5,
        column_width: 10,
        kind: Kind::Number(2),
        role: Role::Sum(src_port, dst_port),
        reads_ports: true,
        group: Group::Special,
        doc: "Each port, counted as source and as destination",
    },
    Primitive {
        word: "dst_port",
        aliases: &[],
        heading: "DST_PORT",
        json: "port_dst",
        value_width: 5,
        column_width: 10,
        kind: Kind::Number(2),
        role: Role::Key(dst_port),
        reads_ports: true,
        group: Group::Layer4,
        doc: "Destination port of TCP and UDP, 0 if there is none",
    },
    Primitive {
        word: "tcpflags",
        aliases: &[],
        heading: "TCP_FLAGS",
        json: "tcp_flags",
        value_width: 3,
        column_width: 11,
        kind: Kind::Number(1),
        role: Role::TcpFlags,
        reads_ports: false,
        group: Group::Layer4,
        doc: "TCP flags of all packets, OR-ed; not a part of the key",
    },
    Primitive {
        word: "proto",
        aliases: &[],
        heading: "PROTOCOL",
        json: "ip_proto",
        value_width: 10,
        column_width: 12,
        kind: Kind::Protocol,
        role: Role::Key(|o, to| to[0] = o.packet.proto()),
        reads_ports: false,
        group: Group::Layer3,
        doc: "IP protocol, for IPv6 the last next header",
    },
    Primitive {
        word: "tos",
        aliases: &[],
        heading: "TOS",
        json: "tos",
        value_width: 3,
        column_width: 7,
        kind: Kind::Number(1),
        role: Role::Key(|o, to| to[0] = o.packet.tos()),
        reads_ports: false,
        group: Group::Layer3,
        doc: "IPv4 type of service or IPv6 traffic class, all eight bits",
    },
    Primitive {
        word: "mpls_label_top",
        aliases: &[],
        heading: "MPLS_LABEL_TOP",
        json: "mpls_label_top",
        value_width: 7,
        column_width: 16,
        kind: Kind::Number(4),
        role: Role::Key(|o, to| put32(to, o.packet.mpls().top().unwrap_or(0))),
        reads_ports: false,
        group: Group::Label,
        doc: "First MPLS label, 0 if there is none",
    },
    Primitive {
        word: "mpls_label_bottom",
        aliases: &[],
        heading: "MPLS_LABEL_BOTTOM",
        json: "mpls_label_bottom",
        value_width: 7,
        column_width: 19,
        kind: Kind::Number(4),
        role: Role::Key(|o, to| put32(to, o.packet.mpls().bottom().unwrap_or(0))),
        reads_ports: false,
        group: Group::Label,
        doc: "Last MPLS label, 0 if there is none",
    },
    Primitive {
        word: "timestamp_start",
        aliases: &[],
        heading: "TIMESTAMP_START",
        json: "timestamp_start",
        value_width: 30,
        column_width: 31,
        kind: Kind::Time,
        role: Role::Key(|o, to| write_time(o.time, to)),
        reads_ports: false,
        group: Group::Time,
        doc: "Time of the packet",
    },
    Primitive {
        word: "timestamp_arrival",
        aliases: &[],
        heading: "TIMESTAMP_ARRIVAL",
        json: "timestamp_arrival",
        value_width: 30,
        column_width: 31,
        kind: Kind::Time,
        role: Role::Key(|o, to| write_time(o.time, to)),
        reads_ports: false,
        group: Group::Time,
        doc: "Time of the packet's arrival at this machine",
    },
    Primitive {
        word: "none",
        aliases: &[],
        heading: "",
        json: "",
        value_width: 0,
        column_width: 0,
        kind: Kind::Number(1),
        role: Role::Nothing,
        reads_ports: false,
        group: Group::Special,
        doc: "No key: one record with the totals",
    },
];

/// The row of a word or of one of its aliases.
pub fn primitive(word: &str) -> Option<&'static Primitive> {
    TABLE.iter().find(|row| row.word == word || row.aliases.contains(&word))
}

/// All words that `aggregate` knows, aliases included.
pub fn words() -> impl Iterator<Item = &'static str> {
    TABLE.iter().flat_map(|row| std::iter::once(row.word).chain(row.aliases.iter().copied()))
}

fn src_mac(o: &Observation<'_>, to: &mut [u8]) {
    to.copy_from_slice(&o.packet.src_mac().unwrap_or_default().0);
}

fn dst_mac(o: &Observation<'_>, to: &mut [u8]) {
    to.copy_from_slice(&o.packet.dst_mac().unwrap_or_default().0);
}

fn src_host(o: &Observation<'_>, to: &mut [u8]) {
    write_ip(o.packet.src_octets(), to);
}

fn dst_host(o: &Observation<'_>, to: &mut [u8]) {
    write_ip(o.packet.dst_octets(), to);
}

fn src_port(o: &Observation<'_>, to: &mut [u8]) {
    put16(to, o.ports.map_or(0, |(src, _)| src));
}

fn dst_port(o: &Observation<'_>, to: &mut [u8]) {
    put16(to, o.ports.map_or(0, |(_, dst)| dst));
}

fn put16(to: &mut [u8], n: u16) {
    to.copy_from_slice(&n.to_be_bytes());
}

fn put32(to: &mut [u8], n: u32) {
    to.copy_from_slice(&n.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn words_are_unique_and_lower_case() {
        let mut seen = HashSet::new();
        for word in words() {
            assert!(seen.insert(word), "{word} stands twice");
            assert!(
                word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit()),
                "{word}"
            );
            assert!(primitive(word).is_some());
        }
    }

    #[test]
    fn every_row_is_documented_and_fits_its_column() {
        for row in TABLE {
            assert!(!row.doc.is_empty(), "{}", row.word);
            assert!(row.heading.len() <= row.column_width, "{}", row.word);
            assert!(row.value_width <= row.column_width, "{}", row.word);
            assert!(Group::ALL.contains(&row.group));
        }
    }

    #[test]
    fn rows_that_share_a_heading_share_their_output() {
        for a in TABLE {
            for b in TABLE.iter().filter(|b| b.heading == a.heading) {
                assert_eq!((a.json, a.kind, a.column_width), (b.json, b.kind, b.column_width), "{}", a.word);
            }
        }
    }
}
