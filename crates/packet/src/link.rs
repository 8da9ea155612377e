//! Link types: the outermost header of a frame.

use std::fmt;

use pnet_packet::ethernet::EthernetPacket;

use crate::encapsulation::{etype, ppp};
use crate::mac::MacAddr;
use crate::skip::{Reason, Skip};

/// What a frame begins with: a `LINKTYPE_` number of <https://www.tcpdump.org/linktypes.html>.
///
/// The `DLT_` numbers that libpcap gives for an interface are these too, apart from those for raw IP, which
/// differ from system to system; all of them are known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u32);

/// How the header of a link type is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Two addresses and an EtherType, or a length and an LLC header.
    Ethernet,
    /// The address family in the byte order of the capturing host.
    Null,
    /// The address family, big-endian.
    Loop,
    /// IPv4 or IPv6 at once: the first four bits tell.
    Raw,
    /// IPv4 at once.
    RawIpv4,
    /// IPv6 at once.
    RawIpv6,
    /// Linux "cooked" header, version 1.
    Sll,
    /// Linux "cooked" header, version 2.
    Sll2,
    /// The PPP protocol, perhaps after `ff 03`.
    Ppp,
    /// As `Ppp` after `ff 03`, else as `CiscoHdlc`.
    PppHdlc,
    /// Address, control and EtherType.
    CiscoHdlc,
}

struct Row {
    link: LinkType,
    name: &'static str,
    /// `None`: known by name only, for messages.
    framing: Option<Framing>,
}

const fn read(link: LinkType, name: &'static str, framing: Framing) -> Row {
    Row { link, name, framing: Some(framing) }
}

const fn named(link: u32, name: &'static str) -> Row {
    Row { link: LinkType(link), name, framing: None }
}

/// The most common one first: every frame looks its link type up.
const TABLE: &[Row] = &[
    read(LinkType::ETHERNET, "ETHERNET", Framing::Ethernet),
    read(LinkType::LINUX_SLL, "LINUX_SLL", Framing::Sll),
    read(LinkType::LINUX_SLL2, "LINUX_SLL2", Framing::Sll2),
    read(LinkType::RAW, "RAW", Framing::Raw),
    read(LinkType::DLT_RAW, "DLT_RAW", Framing::Raw),
    read(LinkType::DLT_RAW_OPENBSD, "DLT_RAW_OPENBSD", Framing::Raw),
    read(LinkType::IPV4, "IPV4", Framing::RawIpv4),
    read(LinkType::IPV6, "IPV6", Framing::RawIpv6),
    read(LinkType::NULL, "NULL", Framing::Null),
    read(LinkType::LOOP, "LOOP", Framing::Loop),
    read(LinkType::PPP, "PPP", Framing::Ppp),
    read(LinkType::PPP_HDLC, "PPP_HDLC", Framing::PppHdlc),
    read(LinkType::C_HDLC, "C_HDLC", Framing::CiscoHdlc),
    named(6, "IEEE802_5"),
    named(7, "ARCNET_BSD"),
    named(8, "SLIP"),
    named(10, "FDDI"),
    named(100, "ATM_RFC1483"),
    named(105, "IEEE802_11"),
    named(107, "FRELAY"),
    named(117, "PFLOG"),
    named(119, "IEEE802_11_PRISM"),
    named(122, "IP_OVER_FC"),
    named(127, "IEEE802_11_RADIOTAP"),
    named(129, "ARCNET_LINUX"),
    named(138, "APPLE_IP_OVER_IEEE1394"),
    named(147, "USER0"),
    named(163, "IEEE802_11_AVS"),
    named(189, "USB_LINUX"),
    named(192, "PPI"),
    named(195, "IEEE802_15_4_WITHFCS"),
    named(201, "BLUETOOTH_HCI_H4_WITH_PHDR"),
    named(220, "USB_LINUX_MMAPPED"),
    named(227, "CAN_SOCKETCAN"),
    named(239, "NFLOG"),
    named(240, "NETANALYZER"),
    named(249, "USBPCAP"),
    named(253, "NETLINK"),
    named(274, "ETHERNET_MPACKET"),
    named(281, "DSA_TAG_BRCM"),
];

const SUPPORTED: [LinkType; count_supported()] = {
    let mut links = [LinkType::ETHERNET; count_supported()];
    let mut row = 0;
    let mut filled = 0;
    while row < TABLE.len() {
        if TABLE[row].framing.is_some() {
            links[filled] = TABLE[row].link;
            filled += 1;
        }
        row += 1;
    }
    links
};

const fn count_supported() -> usize {
    let mut row = 0;
    let mut count = 0;
    while row < TABLE.len() {
        count += TABLE[row].framing.is_some() as usize;
        row += 1;
    }
    count
}

impl LinkType {
    /// BSD loopback, and macOS tunnels.
    pub const NULL: Self = Self(0);
    /// Ethernet, and whatever the system presents as it, Wi-Fi for one.
    pub const ETHERNET: Self = Self(1);
    /// Point-to-point protocol.
    pub const PPP: Self = Self(9);
    /// Raw IP as most systems number it among their interfaces, such as Linux tunnels.
    pub const DLT_RAW: Self = Self(12);
    /// Raw IP as OpenBSD numbers it.
    pub const DLT_RAW_OPENBSD: Self = Self(14);
    /// Point-to-point protocol in frames like those of HDLC.
    pub const PPP_HDLC: Self = Self(50);
    /// Raw IP as savefiles number it.
    pub const RAW: Self = Self(101);
    /// Cisco HDLC.
    pub const C_HDLC: Self = Self(104);
    /// OpenBSD loopback.
    pub const LOOP: Self = Self(108);
    /// Linux "cooked" capture: the device `any`, and devices with headers that libpcap does not know.
    pub const LINUX_SLL: Self = Self(113);
    /// Raw IPv4.
    pub const IPV4: Self = Self(228);
    /// Raw IPv6.
    pub const IPV6: Self = Self(229);
    /// Linux "cooked" capture, version 2.
    pub const LINUX_SLL2: Self = Self(276);

    /// The name without `LINKTYPE_`; `UNKNOWN` for numbers that are not in our table.
    pub fn name(self) -> &'static str {
        self.row().map_or("UNKNOWN", |row| row.name)
    }

    /// Whether frames of this type can be decoded.
    pub fn is_supported(self) -> bool {
        self.framing().is_some()
    }

    /// The link types that can be decoded.
    pub const fn supported() -> &'static [Self] {
        &SUPPORTED
    }

    /// Whether frames carry link-layer addresses and VLAN tags.
    pub fn has_mac(self) -> bool {
        matches!(self.framing(), Some(Framing::Ethernet | Framing::Sll | Framing::Sll2))
    }

    #[inline]
    pub(crate) fn framing(self) -> Option<Framing> {
        self.row()?.framing
    }

    #[inline]
    fn row(self) -> Option<&'static Row> {
        TABLE.iter().find(|row| row.link == self)
    }
}

/// `LINUX_SLL (113)`.
impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name(), self.0)
    }
}

impl Framing {
    /// The EtherType that the link header of `frame` announces, and what follows the header.
    #[inline]
    pub(crate) fn split(self, frame: &[u8]) -> Result<(u16, &[u8]), Skip> {
        match self {
            Self::Ethernet => {
                const LEN: usize = EthernetPacket::minimum_packet_size();
                let (header, rest) = frame.split_first_chunk::<LEN>().ok_or(CUT)?;
                Ok((EthernetPacket::new(header).ok_or(CUT)?.get_ethertype().0, rest))
            }
            // pnet's views of the cooked headers accept half a header and panic on its fields.
            Self::Sll => {
                let (header, rest) = frame.split_first_chunk::<16>().ok_or(CUT)?;
                Ok((u16::from_be_bytes([header[14], header[15]]), rest))
            }
            Self::Sll2 => {
                let (header, rest) = frame.split_first_chunk::<20>().ok_or(CUT)?;
                Ok((u16::from_be_bytes([header[0], header[1]]), rest))
            }
            Self::Raw => match frame.first().ok_or(Skip::Undecodable(Reason::IpCut))? >> 4 {
                4 => Ok((etype::IPV4, frame)),
                6 => Ok((etype::IPV6, frame)),
                _ => Err(Skip::Undecodable(Reason::IpVersion)),
            },
            Self::RawIpv4 => Ok((etype::IPV4, frame)),
            Self::RawIpv6 => Ok((etype::IPV6, frame)),
            Self::Null => {
                let (family, rest) = frame.split_first_chunk().ok_or(CUT)?;
                // No family has a number above 255, so the order of bytes can be seen.
                let etype = family_etype(u32::from_le_bytes(*family));
                Ok((etype.or_else(|| family_etype(u32::from_be_bytes(*family))).ok_or(Skip::NotIp)?, rest))
            }
            Self::Loop => {
                let (family, rest) = frame.split_first_chunk().ok_or(CUT)?;
                Ok((family_etype(u32::from_be_bytes(*family)).ok_or(Skip::NotIp)?, rest))
            }
            Self::Ppp => ppp(frame),
            Self::PppHdlc if frame.starts_with(&[0xff]) => ppp(frame),
            Self::PppHdlc | Self::CiscoHdlc => {
                let (header, rest) = frame.split_first_chunk::<4>().ok_or(CUT)?;
                Ok((u16::from_be_bytes([header[2], header[3]]), rest))
            }
        }
    }

    /// The source address in the link header of `frame`.
    #[inline]
    pub(crate) fn src_mac(self, frame: &[u8]) -> Option<MacAddr> {
        let (octets, len) = match self {
            Self::Ethernet => (frame.get(6..12)?, 6),
            // Eight octets hold the address; those of tunnels and point-to-point links have other lengths.
            Self::Sll => (frame.get(6..12)?, u16::from_be_bytes([*frame.get(4)?, *frame.get(5)?])),
            Self::Sll2 => (frame.get(12..18)?, u16::from(*frame.get(11)?)),
            _ => return None,
        };
        if len == 6 { octets.first_chunk().copied().map(MacAddr) } else { None }
    }

    /// The destination address in the link header of `frame`; the cooked ones have none.
    #[inline]
    pub(crate) fn dst_mac(self, frame: &[u8]) -> Option<MacAddr> {
        if self == Self::Ethernet { frame.first_chunk().copied().map(MacAddr) } else { None }
    }
}

const CUT: Skip = Skip::Undecodable(Reason::LinkCut);

/// The EtherType for an address family. IPv4 is 2 everywhere; each system has its own number for IPv6.
fn family_etype(family: u32) -> Option<u16> {
    match family {
        2 => Some(etype::IPV4),
        10 // Linux
        | 23 // Windows
        | 24 // NetBSD, OpenBSD
        | 28 // FreeBSD, DragonFly
        | 30 // macOS
        => Some(etype::IPV6),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::testing::hex;

    #[test]
    fn the_table_has_each_number_and_each_name_once() {
        let numbers: HashSet<_> = TABLE.iter().map(|row| row.link).collect();
        let names: HashSet<_> = TABLE.iter().map(|row| row.name).collect();
        assert_eq!(numbers.len(), TABLE.len());
        assert_eq!(names.len(), TABLE.len());
    }

    #[test]
    fn supported_types_are_read_and_others_are_not() {
        for row in TABLE {
            assert_eq!(LinkType::supported().contains(&row.link), row.link.is_supported(), "{}", row.link);
            assert!(!row.link.has_mac() || row.link.is_supported());
        }
        assert_eq!(LinkType(9999).to_string(), "UNKNOWN (9999)");
        assert_eq!(LinkType::LINUX_SLL2.to_string(), "LINUX_SLL2 (276)");
    }

    #[test]
    fn null_has_the_family_in_either_order() {
        for (frame, etype) in [
            ("02000000 45", Ok(etype::IPV4)),
            ("00000002 45", Ok(etype::IPV4)),
            ("0a000000 60", Ok(etype::IPV6)),
            ("0000001c 60", Ok(etype::IPV6)),
            ("1e000000 60", Ok(etype::IPV6)),
            ("07000000 60", Err(Skip::NotIp)), // OSI
            ("020000", Err(CUT)),
        ] {
            assert_eq!(Framing::Null.split(&hex(frame)).map(|(etype, _)| etype), etype, "{frame}");
        }
        assert_eq!(Framing::Loop.split(&hex("02000000 45")), Err(Skip::NotIp));
        assert_eq!(Framing::Loop.split(&hex("00000018 60")), Ok((etype::IPV6, &[0x60][..])));
    }

    #[test]
    fn ethernet_addresses() {
        let frame = hex("02000000000b 02000000000a 0800");
        assert_eq!(Framing::Ethernet.split(&frame), Ok((etype::IPV4, &[][..])));
        assert_eq!(Framing::Ethernet.src_mac(&frame), Some(MacAddr([2, 0, 0, 0, 0, 0x0a])));
        assert_eq!(Framing::Ethernet.dst_mac(&frame), Some(MacAddr([2, 0, 0, 0, 0, 0x0b])));
        assert_eq!(Framing::Ethernet.split(&frame[..13]), Err(CUT));
    }

    #[test]
    fn cooked_addresses() {
        let v1 = hex("0000 0001 0006 02000000000a 0000 0800 | sent to us, Ethernet, 6 octets");
        assert_eq!(Framing::Sll.split(&v1), Ok((etype::IPV4, &[][..])));
        assert_eq!(Framing::Sll.src_mac(&v1), Some(MacAddr([2, 0, 0, 0, 0, 0x0a])));
        assert_eq!(Framing::Sll.dst_mac(&v1), None);

        let v2 = hex("86dd 0000 00000002 0001 00 06 02000000000a 0000 | interface 2");
        assert_eq!(Framing::Sll2.split(&v2), Ok((etype::IPV6, &[][..])));
        assert_eq!(Framing::Sll2.src_mac(&v2), Some(MacAddr([2, 0, 0, 0, 0, 0x0a])));

        let ppp = hex("0000 0200 0000 0000000000000000 0800 | PPP, no address");
        assert_eq!(Framing::Sll.src_mac(&ppp), None);
    }

    #[test]
    fn hdlc() {
        assert_eq!(Framing::CiscoHdlc.split(&hex("0f00 0800 45")), Ok((etype::IPV4, &[0x45][..])));
        assert_eq!(Framing::PppHdlc.split(&hex("0f00 86dd 60")), Ok((etype::IPV6, &[0x60][..])));
        assert_eq!(Framing::PppHdlc.split(&hex("ff03 0021 45")), Ok((etype::IPV4, &[0x45][..])));
    }

    #[test]
    fn raw_is_told_by_the_version() {
        assert_eq!(Framing::Raw.split(&[0x45]).map(|(etype, _)| etype), Ok(etype::IPV4));
        assert_eq!(Framing::Raw.split(&[0x60]).map(|(etype, _)| etype), Ok(etype::IPV6));
        assert_eq!(Framing::Raw.split(&[0x50]), Err(Skip::Undecodable(Reason::IpVersion)));
        assert_eq!(Framing::Raw.split(&[]), Err(Skip::Undecodable(Reason::IpCut)));
    }
}
