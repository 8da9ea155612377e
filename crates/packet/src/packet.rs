//! A decoded packet.

use std::net::IpAddr;

use crate::encapsulation::{Encapsulation, etype};
use crate::ip::{Fragment, Header, Ip};
use crate::link::{Framing, LinkType};
use crate::mac::MacAddr;
use crate::mpls::MplsStack;
use crate::skip::{Reason, Skip};
use crate::transport;
use crate::vlan::VlanTag;

/// An IP packet in a captured frame: views over the frame's headers.
///
/// See the [crate's guarantees](crate). Small enough to be copied, but best passed by reference.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    framing: Framing,
    frame: &'a [u8],
    outer: Encapsulation<'a>,
    ip: Ip<'a>,
}

impl<'a> Packet<'a> {
    /// Finds the outermost IP packet in the frame `data`, which had `wire_len` bytes on the wire. (A
    /// `wire_len` below that of `data` is taken for this.)
    ///
    /// The capture must reach to the end of the IP header's fixed part. What is missing behind that, only the
    /// accessors of it notice.
    #[inline]
    pub fn decode(link: LinkType, data: &'a [u8], wire_len: u32) -> Result<Self, Skip> {
        let framing = link.framing().ok_or(Skip::Undecodable(Reason::LinkType))?;
        let (etype, rest) = framing.split(data)?;
        let (outer, etype, network) = Encapsulation::walk(etype, rest)?;
        let behind_capture = wire_len.saturating_sub(data.len() as u32);
        let on_wire = (network.len() as u32).saturating_add(behind_capture);
        let ip = Ip::decode(etype, network, on_wire).map_err(Skip::Undecodable)?;
        Ok(Self { framing, frame: data, outer, ip })
    }

    /// The whole frame as captured.
    #[inline]
    pub fn frame(&self) -> &'a [u8] {
        self.frame
    }

    /// What was captured of the IP packet: header and payload, without padding of the frame behind them.
    #[inline]
    pub fn network(&self) -> &'a [u8] {
        self.ip.captured
    }

    /// The link-layer address of the sender, if the link type has one.
    #[inline]
    pub fn src_mac(&self) -> Option<MacAddr> {
        self.framing.src_mac(self.frame)
    }

    /// The link-layer address of the receiver, if the link type has one.
    #[inline]
    pub fn dst_mac(&self) -> Option<MacAddr> {
        self.framing.dst_mac(self.frame)
    }

    /// The outermost VLAN tag.
    #[inline]
    pub fn vlan(&self) -> Option<VlanTag> {
        self.outer.vlans[0].copied().and_then(VlanTag::read)
    }

    /// The tag within the outermost one. There may be more; these are not kept.
    #[inline]
    pub fn inner_vlan(&self) -> Option<VlanTag> {
        self.outer.vlans[1].copied().and_then(VlanTag::read)
    }

    /// The EtherType of the network layer, behind tags, labels and PPPoE: `0x0800` or `0x86dd`. For link
    /// types without EtherTypes the one that stands for the IP version.
    #[inline]
    pub fn etype(&self) -> u16 {
        match self.ip.header {
            Header::V4(_) => etype::IPV4,
            Header::V6(_) => etype::IPV6,
        }
    }

    /// The MPLS labels, empty if there are none.
    #[inline]
    pub fn mpls(&self) -> MplsStack<'a> {
        self.outer.mpls
    }

    /// Whether this is IPv6; otherwise it is IPv4.
    #[inline]
    pub fn is_ipv6(&self) -> bool {
        matches!(self.ip.header, Header::V6(_))
    }

    /// The sender's address.
    #[inline]
    pub fn src_ip(&self) -> IpAddr {
        ip_addr(self.src_octets())
    }

    /// The receiver's address.
    #[inline]
    pub fn dst_ip(&self) -> IpAddr {
        ip_addr(self.dst_octets())
    }

    /// The sender's address in 4 or 16 octets, as it came.
    #[inline]
    pub fn src_octets(&self) -> &'a [u8] {
        match self.ip.header {
            Header::V4(header) => &header[12..16],
            Header::V6(header) => &header[8..24],
        }
    }

    /// The receiver's address in 4 or 16 octets, as it came.
    #[inline]
    pub fn dst_octets(&self) -> &'a [u8] {
        match self.ip.header {
            Header::V4(header) => &header[16..20],
            Header::V6(header) => &header[24..40],
        }
    }

    /// The length to account, in bytes: that of the IP packet with its header, whatever was captured of it.
    ///
    /// It is what the packet says. Where that is zero, because the packet is too long for the field or the
    /// network card was to fill it in, it is what the frame had on the wire behind the link header.
    #[inline]
    pub fn ip_len(&self) -> u32 {
        self.ip.len
    }

    /// The IPv4 protocol, or the IPv6 next header behind the extension headers. If these cannot be followed
    /// to their end, the number of the one where it stopped.
    #[inline]
    pub fn proto(&self) -> u8 {
        self.ip.proto
    }

    /// The IPv4 type of service or the IPv6 traffic class.
    #[inline]
    pub fn tos(&self) -> u8 {
        match self.ip.header {
            Header::V4(header) => header[1],
            Header::V6(header) => (header[0] << 4) | (header[1] >> 4),
        }
    }

    /// The IPv6 flow label, 20 bits; zero when the sender sets none.
    #[inline]
    pub fn flow_label(&self) -> Option<u32> {
        match self.ip.header {
            Header::V4(_) => None,
            Header::V6(header) => Some(u32::from_be_bytes([0, header[1] & 0x0f, header[2], header[3]])),
        }
    }

    /// What part of a fragmented packet this is; `None` for a whole packet.
    #[inline]
    pub fn fragment(&self) -> Option<Fragment> {
        self.ip.fragment()
    }

    /// What was captured behind the IP headers, not beyond the end of the IP packet.
    ///
    /// `None` for later fragments, and if the end of the IP headers is not known.
    #[inline]
    pub fn transport(&self) -> Option<&'a [u8]> {
        self.ip.transport
    }

    /// Source and destination port of TCP and UDP. `None` for other protocols, for later fragments, and if
    /// they are not in the capture.
    #[inline]
    pub fn ports(&self) -> Option<(u16, u16)> {
        transport::ports(self.proto(), self.ip.transport?)
    }

    /// All eight flags of TCP. `None` for other protocols, for later fragments, and if they are not in the
    /// capture.
    #[inline]
    pub fn tcp_flags(&self) -> Option<u8> {
        transport::tcp_flags(self.proto(), self.ip.transport?)
    }

    /// Whether the capture ends before the ports that this packet has, or might have. Only a longer snapshot
    /// length would help.
    #[inline]
    pub fn is_cut(&self) -> bool {
        if self.ip.is_later_fragment() || !self.ip.is_snapped() {
            return false;
        }
        match self.ip.transport {
            Some(transport) => transport::has_ports(self.proto()) && transport.len() < transport::PORTS_LEN,
            // Somewhere in a chain of extension headers, TCP or UDP may follow.
            None => self.is_ipv6() || transport::has_ports(self.proto()),
        }
    }
}

/// The address in 4 or 16 octets.
#[inline]
fn ip_addr(octets: &[u8]) -> IpAddr {
    match <[u8; 16]>::try_from(octets) {
        Ok(octets) => octets.into(),
        Err(_) => <[u8; 4]>::try_from(octets).unwrap_or_default().into(),
    }
}
