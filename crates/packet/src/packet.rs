//! A decoded packet.
#![allow(
    clippy::inline_always,
    reason = "the common frame is decoded where it is read, without copies of results"
)]

use std::net::IpAddr;

use crate::encapsulation::{Encapsulation, Walk, etype};
use crate::ip::{Fragment, Header, Ip};
use crate::link::{Framing, LinkType};
use crate::mac::MacAddr;
use crate::mpls::MplsStack;
use crate::ppp;
use crate::skip::{Reason, Skip};
use crate::span::Span;
use crate::transport;
use crate::vlan::VlanTag;

/// An IP packet in a captured frame: views over the frame's headers.
///
/// See the [crate's guarantees](crate). Small enough to be copied, but best passed by reference.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'a> {
    framing: Framing,
    /// What the frame had on the wire behind its captured end, in bytes.
    behind: u32,
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
    #[inline(always)]
    pub fn decode(link: LinkType, data: &'a [u8], wire_len: u32) -> Result<Self, Skip> {
        let framing = link.framing().ok_or(Skip::Undecodable(Reason::LinkType))?;
        Self::framed(framing, data, wire_len.saturating_sub(data.len() as u32))
    }

    /// As [`decode`](Self::decode), but a frame that carries no IP is a packet too: one without addresses,
    /// whose [`etype`](Self::etype) is the type or, with an LLC header, the length that the frame gives (in a
    /// PPPoE session the protocol of PPP; 0 on links that have none), and whose [length](Self::ip_len) is
    /// what the frame had behind its link header.
    pub fn decode_any(link: LinkType, data: &'a [u8], wire_len: u32) -> Result<Self, Reason> {
        match Self::decode(link, data, wire_len) {
            Ok(packet) => Ok(packet),
            Err(Skip::Undecodable(reason)) => Err(reason),
            Err(Skip::NotIp) => Ok(Self::other(link, data, wire_len)),
        }
    }

    /// A frame in which no IP was found.
    fn other(link: LinkType, data: &'a [u8], wire_len: u32) -> Self {
        let framing = link.framing().unwrap_or(Framing::Raw);
        let behind = wire_len.saturating_sub(data.len() as u32);
        let (etype, rest) = framing.split(data).unwrap_or((0, data));
        let mut walk = Walk::new(etype, rest);
        // It ends as it did when IP was looked for; how far it came is what is wanted here.
        let _ = walk.find_ip();
        if walk.etype == etype::PPPOE_SESSION
            && let Ok((protocol, rest)) = ppp::session(walk.rest).and_then(ppp::protocol)
        {
            (walk.etype, walk.rest) = (protocol, rest);
        }
        let ip = Ip::other(walk.etype, walk.rest, (rest.len() as u32).saturating_add(behind));
        Self { framing, behind, frame: data, outer: walk.found, ip }
    }

    /// The packet in `frame`, which had `behind` more bytes on the wire.
    #[inline(always)]
    pub(crate) fn framed(framing: Framing, frame: &'a [u8], behind: u32) -> Result<Self, Skip> {
        match framing.split(frame) {
            Ok((etype, rest)) => Self::typed(framing, frame, behind, etype, rest),
            Err(skip) => Err(blame(skip, behind)),
        }
    }

    /// The packet at the end of `frame` that `etype` announces and `rest` holds.
    #[inline(always)]
    pub(crate) fn typed(
        framing: Framing,
        frame: &'a [u8],
        behind: u32,
        etype: u16,
        rest: &'a [u8],
    ) -> Result<Self, Skip> {
        let (outer, etype, rest) = match etype {
            // Most frames: nothing stands between the link header and IP.
            etype::IPV4 | etype::IPV6 => (Encapsulation::default(), etype, rest),
            _ => {
                let mut walk = Walk::new(etype, rest);
                walk.find_ip().map_err(|skip| blame(skip, behind))?;
                (walk.found, walk.etype, walk.rest)
            }
        };
        let on_wire = (rest.len() as u32).saturating_add(behind);
        // Each version by itself: a result that either may have made would be copied, piece by piece.
        if etype == etype::IPV6 {
            let ip =
                Ip::decode_v6(rest, on_wire).map_err(|reason| blame(Skip::Undecodable(reason), behind))?;
            return Ok(Self { framing, behind, frame, outer, ip });
        }
        let ip = Ip::decode_v4(rest, on_wire).map_err(|reason| blame(Skip::Undecodable(reason), behind))?;
        Ok(Self { framing, behind, frame, outer, ip })
    }

    /// What the IP packet carries behind its headers, as far as it was captured and as long as it was on the
    /// wire. `None` as [`transport`](Self::transport).
    pub(crate) fn payload(&self) -> Option<Span<'a>> {
        let transport = self.ip.transport?;
        let headers = (self.ip.captured.len() - transport.len()) as u32;
        let on_wire = (self.ip.captured.len() as u32).saturating_add(self.behind);
        Some(Span::new(transport, self.ip.len.min(on_wire).saturating_sub(headers)))
    }

    /// The whole frame as captured.
    #[inline]
    pub fn frame(&self) -> &'a [u8] {
        self.frame
    }

    /// Whether this is an IP packet: not so only for what [`decode_any`](Self::decode_any) gives.
    #[inline]
    pub fn is_ip(&self) -> bool {
        !matches!(self.ip.header, Header::Other(_))
    }

    /// What was captured of the IP packet: header and payload, without padding of the frame behind them. What
    /// follows the EtherType if it is not IP.
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

    /// The frame from the link header on, if the link type has one.
    pub(crate) fn link_frame(&self) -> Option<&'a [u8]> {
        self.framing.link_frame(self.frame)
    }

    /// The outermost VLAN tag as it came.
    pub(crate) fn raw_vlan(&self) -> Option<&'a [u8]> {
        self.outer.vlans[0].map(<[u8; 4]>::as_slice)
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
    /// types without EtherTypes the one that stands for the IP version. If it is not IP, the last EtherType
    /// (or 802.3 length) that was found.
    #[inline]
    pub fn etype(&self) -> u16 {
        match self.ip.header {
            Header::V4(_) => etype::IPV4,
            Header::V6(_) => etype::IPV6,
            Header::Other(etype) => etype,
        }
    }

    /// The MPLS labels, empty if there are none.
    #[inline]
    pub fn mpls(&self) -> MplsStack<'a> {
        self.outer.mpls
    }

    /// Whether this is IPv6; otherwise it is IPv4, unless it is not [IP](Self::is_ip) at all.
    #[inline]
    pub fn is_ipv6(&self) -> bool {
        matches!(self.ip.header, Header::V6(_))
    }

    /// The sender's address. `None` if this is not IP.
    #[inline]
    pub fn src_ip(&self) -> Option<IpAddr> {
        ip_addr(self.src_octets())
    }

    /// The receiver's address. `None` if this is not IP.
    #[inline]
    pub fn dst_ip(&self) -> Option<IpAddr> {
        ip_addr(self.dst_octets())
    }

    /// The sender's address in 4 or 16 octets, as it came; none if this is not IP.
    #[inline]
    pub fn src_octets(&self) -> &'a [u8] {
        match self.ip.header {
            Header::V4(header) => &header[12..16],
            Header::V6(header) => &header[8..24],
            Header::Other(_) => &[],
        }
    }

    /// The receiver's address in 4 or 16 octets, as it came; none if this is not IP.
    #[inline]
    pub fn dst_octets(&self) -> &'a [u8] {
        match self.ip.header {
            Header::V4(header) => &header[16..20],
            Header::V6(header) => &header[24..40],
            Header::Other(_) => &[],
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
            Header::Other(_) => 0,
        }
    }

    /// The IPv6 flow label, 20 bits; zero when the sender sets none.
    #[inline]
    pub fn flow_label(&self) -> Option<u32> {
        match self.ip.header {
            Header::V4(_) | Header::Other(_) => None,
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
        if self.behind == 0 || self.ip.is_later_fragment() || !self.ip.is_snapped() {
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
fn ip_addr(octets: &[u8]) -> Option<IpAddr> {
    match *octets {
        [] => None,
        [a, b, c, d] => Some([a, b, c, d].into()),
        _ => <[u8; 16]>::try_from(octets).ok().map(IpAddr::from),
    }
}

/// Says of a header that is not complete whether the capture cut it or the frame ends there.
#[cold]
pub(crate) fn blame(skip: Skip, behind: u32) -> Skip {
    match skip {
        Skip::Undecodable(reason) if behind == 0 => reason.in_whole_frame(),
        skip => skip,
    }
}
