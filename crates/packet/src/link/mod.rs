//! Link types: the outermost header of a frame.

mod cooked;
mod family;
pub(crate) mod lan;
mod switch;
mod wan;
mod wireless;
mod wrapped;

use std::fmt;

use crate::encapsulation::etype;
use crate::mac::MacAddr;
use crate::ppp;
use crate::skip::{Reason, Skip};

/// What a frame begins with: a `LINKTYPE_` number of <https://www.tcpdump.org/linktypes.html>.
///
/// The `DLT_` numbers that libpcap gives for an interface are these too, apart from those for raw IP, which
/// differ from system to system; all of them are known here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u32);

/// What a header announces: the EtherType, and what follows.
pub(crate) type Split<'a> = Result<(u16, &'a [u8]), Skip>;

/// How the header of a link type is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    // Networks.
    Ethernet,
    Fddi,
    TokenRing,
    FibreChannel,
    Firewire,
    ArcnetBsd,
    ArcnetLinux,
    Wireless,
    /// As `Wireless`, with a header that is filled up to a multiple of four octets.
    PaddedWireless,
    // Lines.
    Ppp,
    PppHdlc,
    Pppd,
    Pppoe,
    CiscoHdlc,
    FrameRelay,
    Atm,
    SunAtm,
    Slip,
    Mpls,
    // Nothing before the IP header.
    Raw,
    RawIpv4,
    RawIpv6,
    // Headers that the capturing system made.
    Null,
    Loop,
    Enc,
    Pflog,
    Nflog,
    Sll,
    Sll2,
    // Ethernet with a switch's tag in it.
    Broadcom,
    Marvell,
    MarvellEther,
    // Something that the capture put before the link header.
    Radiotap,
    Prism,
    Avs,
    Ppi,
    Pktap,
    /// Four octets before Ethernet.
    TaggedEthernet,
    /// The direction in an octet before PPP, or before another.
    DirectedPpp,
    DirectedCiscoHdlc,
    DirectedFrameRelay,
}

struct Row {
    link: LinkType,
    name: &'static str,
    /// `None`: known by name only, for messages.
    framing: Option<Framing>,
}

const fn read(link: u32, name: &'static str, framing: Framing) -> Row {
    Row { link: LinkType(link), name, framing: Some(framing) }
}

const fn named(link: u32, name: &'static str) -> Row {
    Row { link: LinkType(link), name, framing: None }
}

/// The most common ones first: every frame that is not Ethernet looks its link type up.
const TABLE: &[Row] = &[
    read(1, "ETHERNET", Framing::Ethernet),
    read(113, "LINUX_SLL", Framing::Sll),
    read(276, "LINUX_SLL2", Framing::Sll2),
    read(101, "RAW", Framing::Raw),
    read(12, "DLT_RAW", Framing::Raw),
    read(14, "DLT_RAW_OPENBSD", Framing::Raw),
    read(228, "IPV4", Framing::RawIpv4),
    read(229, "IPV6", Framing::RawIpv6),
    read(0, "NULL", Framing::Null),
    read(108, "LOOP", Framing::Loop),
    read(9, "PPP", Framing::Ppp),
    read(50, "PPP_HDLC", Framing::PppHdlc),
    read(51, "PPP_ETHER", Framing::Pppoe),
    read(166, "PPP_PPPD", Framing::Pppd),
    read(204, "PPP_WITH_DIR", Framing::DirectedPpp),
    read(104, "C_HDLC", Framing::CiscoHdlc),
    read(205, "C_HDLC_WITH_DIR", Framing::DirectedCiscoHdlc),
    read(107, "FRELAY", Framing::FrameRelay),
    read(206, "FRELAY_WITH_DIR", Framing::DirectedFrameRelay),
    read(219, "MPLS", Framing::Mpls),
    read(8, "SLIP", Framing::Slip),
    read(11, "DLT_ATM_RFC1483", Framing::Atm),
    read(100, "ATM_RFC1483", Framing::Atm),
    read(123, "SUNATM", Framing::SunAtm),
    read(105, "IEEE802_11", Framing::Wireless),
    read(127, "IEEE802_11_RADIOTAP", Framing::Radiotap),
    read(119, "IEEE802_11_PRISM", Framing::Prism),
    read(163, "IEEE802_11_AVS", Framing::Avs),
    read(192, "PPI", Framing::Ppi),
    read(258, "PKTAP", Framing::Pktap),
    read(10, "FDDI", Framing::Fddi),
    read(6, "IEEE802_5", Framing::TokenRing),
    read(7, "ARCNET_BSD", Framing::ArcnetBsd),
    read(129, "ARCNET_LINUX", Framing::ArcnetLinux),
    read(122, "IP_OVER_FC", Framing::FibreChannel),
    read(138, "APPLE_IP_OVER_IEEE1394", Framing::Firewire),
    read(281, "DSA_TAG_BRCM", Framing::Broadcom),
    read(282, "DSA_TAG_BRCM_PREPEND", Framing::TaggedEthernet),
    read(284, "DSA_TAG_DSA", Framing::Marvell),
    read(285, "DSA_TAG_EDSA", Framing::MarvellEther),
    read(109, "ENC", Framing::Enc),
    read(117, "PFLOG", Framing::Pflog),
    read(239, "NFLOG", Framing::Nflog),
    named(99, "SYMANTEC_FIREWALL"),
    named(114, "LTALK"),
    named(143, "DOCSIS"),
    named(147, "USER0"),
    named(182, "MFR"),
    named(187, "BLUETOOTH_HCI_H4"),
    named(189, "USB_LINUX"),
    named(195, "IEEE802_15_4_WITHFCS"),
    named(201, "BLUETOOTH_HCI_H4_WITH_PHDR"),
    named(220, "USB_LINUX_MMAPPED"),
    named(226, "IPNET"),
    named(227, "CAN_SOCKETCAN"),
    named(230, "IEEE802_15_4_NOFCS"),
    named(240, "NETANALYZER"),
    named(241, "NETANALYZER_TRANSPARENT"),
    named(242, "IPOIB"),
    named(247, "INFINIBAND"),
    named(249, "USBPCAP"),
    named(251, "BLUETOOTH_LE_LL"),
    named(252, "WIRESHARK_UPPER_PDU"),
    named(253, "NETLINK"),
    named(271, "VSOCK"),
    named(272, "NORDIC_BLE"),
    named(274, "ETHERNET_MPACKET"),
    named(283, "IEEE802_15_4_TAP"),
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

    /// The names of the link types that can be decoded, for messages: `ETHERNET, LINUX_SLL, …`. The numbers that
    /// systems have of their own for one of them are left out.
    pub fn supported_names() -> impl fmt::Display {
        struct Names;
        impl fmt::Display for Names {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let names = LinkType::supported().iter().map(|link| link.name());
                for (i, name) in names.filter(|name| !name.starts_with("DLT_")).enumerate() {
                    write!(f, "{}{name}", if i == 0 { "" } else { ", " })?;
                }
                Ok(())
            }
        }
        Names
    }

    /// Whether frames carry link-layer addresses of six octets, at least the sender's.
    pub fn has_mac(self) -> bool {
        self.framing().is_some_and(Framing::has_mac)
    }

    #[inline]
    pub(crate) fn framing(self) -> Option<Framing> {
        if self == Self::ETHERNET { Some(Framing::Ethernet) } else { self.row()?.framing }
    }

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
    pub(crate) fn split(self, frame: &[u8]) -> Split<'_> {
        // The common case goes straight; the rest stays out of its way.
        if self == Self::Ethernet { lan::ethernet(frame) } else { self.split_other(frame) }
    }

    #[inline(never)]
    fn split_other(self, frame: &[u8]) -> Split<'_> {
        let (framing, frame) = self.unwrap(frame)?;
        match framing {
            Self::Ethernet => lan::ethernet(frame),
            Self::Fddi => lan::fddi(frame),
            Self::TokenRing => lan::token_ring(frame),
            Self::FibreChannel => lan::fibre_channel(frame),
            Self::Firewire => lan::firewire(frame),
            Self::ArcnetBsd => lan::arcnet(frame, 2),
            Self::ArcnetLinux => lan::arcnet(frame, 4),
            Self::Wireless => wireless::data(frame, false),
            Self::PaddedWireless => wireless::data(frame, true),
            Self::Ppp => ppp::split(frame),
            Self::PppHdlc => wan::ppp_hdlc(frame),
            Self::Pppd => wan::pppd(frame),
            Self::Pppoe => ppp::over_ethernet(frame),
            Self::CiscoHdlc => wan::cisco_hdlc(frame),
            Self::FrameRelay => wan::frame_relay(frame),
            Self::Atm => wan::atm(frame),
            Self::SunAtm => wan::sun_atm(frame),
            Self::Slip => wan::slip(frame),
            Self::Mpls => Ok((etype::MPLS, frame)),
            Self::Raw => raw(frame),
            Self::RawIpv4 => Ok((etype::IPV4, frame)),
            Self::RawIpv6 => Ok((etype::IPV6, frame)),
            Self::Null => family::null(frame),
            Self::Loop => family::loopback(frame),
            Self::Enc => family::enc(frame),
            Self::Pflog => family::pflog(frame),
            Self::Nflog => family::nflog(frame),
            Self::Sll => cooked::version_1(frame),
            Self::Sll2 => cooked::version_2(frame),
            Self::Broadcom => switch::broadcom(frame),
            Self::Marvell => switch::marvell(frame),
            Self::MarvellEther => switch::marvell_ether(frame),
            Self::Radiotap
            | Self::Prism
            | Self::Avs
            | Self::Ppi
            | Self::Pktap
            | Self::TaggedEthernet
            | Self::DirectedPpp
            | Self::DirectedCiscoHdlc
            // One of them within another; `unwrap` has said so already.
            | Self::DirectedFrameRelay => Err(Skip::Undecodable(Reason::LinkHeader)),
        }
    }

    /// Where the receiver's address is, and the sender's, in headers that have them at fixed places.
    #[inline]
    fn macs(self) -> Option<[usize; 2]> {
        match self {
            Self::Ethernet | Self::Broadcom | Self::Marvell | Self::MarvellEther => Some([0, 6]),
            Self::Fddi => Some([1, 7]),
            Self::TokenRing => Some([2, 8]),
            Self::FibreChannel => Some([2, 10]),
            _ => None,
        }
    }

    fn has_mac(self) -> bool {
        self.macs().is_some()
            || matches!(
                self,
                Self::Wireless
                    | Self::PaddedWireless
                    | Self::Radiotap
                    | Self::Prism
                    | Self::Avs
                    | Self::Ppi
                    | Self::Pktap
                    | Self::TaggedEthernet
                    | Self::Sll
                    | Self::Sll2
            )
    }

    /// The source address in the link header of `frame`.
    #[inline]
    pub(crate) fn src_mac(self, frame: &[u8]) -> Option<MacAddr> {
        if self == Self::Ethernet {
            return frame.get(6..12)?.first_chunk().copied().map(MacAddr);
        }
        let (framing, frame) = self.unwrap(frame).ok()?;
        match framing {
            Self::Wireless | Self::PaddedWireless => wireless::src_mac(frame),
            Self::Sll => cooked::src_mac_1(frame),
            Self::Sll2 => cooked::src_mac_2(frame),
            framing => {
                let mut octets = *frame.get(framing.macs()?[1]..)?.first_chunk()?;
                // Here a set group bit announces a route.
                if framing == Self::TokenRing {
                    octets[0] &= 0x7f;
                }
                Some(MacAddr(octets))
            }
        }
    }

    /// The destination address in the link header of `frame`; the cooked ones have none.
    #[inline]
    pub(crate) fn dst_mac(self, frame: &[u8]) -> Option<MacAddr> {
        if self == Self::Ethernet {
            return frame.first_chunk().copied().map(MacAddr);
        }
        let (framing, frame) = self.unwrap(frame).ok()?;
        match framing {
            Self::Wireless | Self::PaddedWireless => wireless::dst_mac(frame),
            framing => frame.get(framing.macs()?[0]..)?.first_chunk().copied().map(MacAddr),
        }
    }

    /// The frame from its link header on. `None` if it has none.
    pub(crate) fn link_frame(self, frame: &[u8]) -> Option<&[u8]> {
        match self.unwrap(frame).ok()? {
            (Self::Raw | Self::RawIpv4 | Self::RawIpv6, _) => None,
            (_, frame) => Some(frame),
        }
    }
}

const CUT: Skip = Skip::Undecodable(Reason::LinkCut);

/// IP at once: the first four bits tell which.
fn raw(frame: &[u8]) -> Split<'_> {
    match frame.first().ok_or(Skip::Undecodable(Reason::IpCut))? >> 4 {
        4 => Ok((etype::IPV4, frame)),
        6 => Ok((etype::IPV6, frame)),
        _ => Err(Skip::Undecodable(Reason::IpVersion)),
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
        let names = LinkType::supported_names().to_string();
        assert!(names.starts_with("ETHERNET, LINUX_SLL, LINUX_SLL2, RAW, IPV4, "), "{names}");
        assert_eq!(LinkType(9999).to_string(), "UNKNOWN (9999)");
        assert_eq!(LinkType::LINUX_SLL2.to_string(), "LINUX_SLL2 (276)");
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
    fn raw_is_told_by_the_version() {
        assert_eq!(Framing::Raw.split(&[0x45]).map(|(etype, _)| etype), Ok(etype::IPV4));
        assert_eq!(Framing::Raw.split(&[0x60]).map(|(etype, _)| etype), Ok(etype::IPV6));
        assert_eq!(Framing::Raw.split(&[0x50]), Err(Skip::Undecodable(Reason::IpVersion)));
        assert_eq!(Framing::Raw.split(&[]), Err(Skip::Undecodable(Reason::IpCut)));
    }
}
