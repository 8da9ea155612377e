//! IPv4 (RFC 791) and IPv6 (RFC 8200) with its extension headers.
//!
//! The fixed headers are read through pnet's views. Against direct reads of the same octets no difference
//! could be measured, as each view is made over an array whose length is in its type: 9 ns a frame for a host
//! pair, 13 ns for a five-tuple, either way.
#![allow(
    clippy::inline_always,
    reason = "the common frame is decoded where it is read, without copies of results"
)]

use pnet_packet::ipv4::Ipv4Packet;
use pnet_packet::ipv6::{FragmentPacket, Ipv6Packet};

use crate::skip::Reason;

/// The IPv6 extension headers that are followed. A packet of 1500 bytes has room for 182 empty ones; each of
/// them costs the sender eight bytes, so that this many do not slow us down more than ordinary traffic does.
pub const MAX_EXTENSION_HEADERS: usize = 192;

/// Octets of the fixed part of the headers.
pub(crate) const IPV4_LEN: usize = Ipv4Packet::minimum_packet_size();
pub(crate) const IPV6_LEN: usize = Ipv6Packet::minimum_packet_size();

/// The IP protocol numbers that are looked at; the rest is only reported.
pub mod protocol {
    /// IPv6 hop-by-hop options.
    pub const HOP_BY_HOP: u8 = 0;
    /// ICMP of IPv4.
    pub const ICMP: u8 = 1;
    /// IPv4 in IP (RFC 2003, RFC 2473).
    pub const IPV4: u8 = 4;
    /// TCP.
    pub const TCP: u8 = 6;
    /// UDP.
    pub const UDP: u8 = 17;
    /// IPv6 in IP (RFC 4213, RFC 2473).
    pub const IPV6: u8 = 41;
    /// IPv6 routing header.
    pub const ROUTING: u8 = 43;
    /// IPv6 fragment header.
    pub const FRAGMENT: u8 = 44;
    /// Generic routing encapsulation (RFC 2784).
    pub const GRE: u8 = 47;
    /// Authentication header (RFC 4302).
    pub const AH: u8 = 51;
    /// ICMP of IPv6.
    pub const ICMPV6: u8 = 58;
    /// Nothing follows an IPv6 header.
    pub const NO_NEXT: u8 = 59;
    /// IPv6 destination options.
    pub const DESTINATION: u8 = 60;
    /// Ethernet in IP (RFC 3378).
    pub const ETHERIP: u8 = 97;
    /// Layer two tunnelling, version 3 (RFC 3931).
    pub const L2TP: u8 = 115;
    /// SCTP.
    pub const SCTP: u8 = 132;
    /// MPLS in IP (RFC 4023).
    pub const MPLS: u8 = 137;
}

/// What one part of a fragmented packet says about the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fragment {
    /// The identification that all fragments of a packet have in common: 16 bits in IPv4, 32 bits in IPv6.
    pub id: u32,
    /// Where this part belongs, in bytes from the start of what was fragmented. Invariant: divisible by 8.
    pub offset: u16,
    /// Whether parts with higher offsets exist.
    pub more: bool,
}

impl Fragment {
    /// Whether this part holds the transport header.
    #[inline]
    pub const fn is_first(self) -> bool {
        self.offset == 0
    }
}

type FragmentHeader = [u8; FragmentPacket::minimum_packet_size()];

/// The fixed part of an IP header. As its length is in the type, no accessor can read beyond it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Header<'a> {
    V4(&'a [u8; IPV4_LEN]),
    V6(&'a [u8; IPV6_LEN]),
    /// No IP: the EtherType of what there is instead.
    Other(u16),
}

/// A checked IP packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ip<'a> {
    pub(crate) header: Header<'a>,
    /// The length to account, in bytes: header and payload. Invariant: not less than the header's length.
    pub(crate) len: u32,
    /// The protocol after the IP header and the extension headers that were followed.
    pub(crate) proto: u8,
    /// The innermost IPv6 fragment header, unless it says that the packet is whole.
    fragment_header: Option<&'a FragmentHeader>,
    /// What was captured of the packet, from the IP header on, without padding behind the packet.
    pub(crate) captured: &'a [u8],
    /// What was captured from the transport header on. `None` if it is in an earlier fragment, or if its
    /// place is not known: the capture or the packet ends before, or there are too many extension headers.
    pub(crate) transport: Option<&'a [u8]>,
}

impl<'a> Ip<'a> {
    /// Reads the IPv4 packet that `bytes` begin with. `on_wire` is what the frame had from there on, in bytes.
    #[inline(always)]
    pub(crate) fn decode_v4(bytes: &'a [u8], on_wire: u32) -> Result<Self, Reason> {
        let header = bytes.first_chunk().ok_or(Reason::IpCut)?;
        let view = Ipv4Packet::new(header).ok_or(Reason::IpCut)?;
        if view.get_version() != 4 {
            return Err(Reason::IpVersion);
        }
        let header_len = usize::from(view.get_header_length()) * 4;
        if header_len < IPV4_LEN {
            return Err(Reason::IpHeaderLength);
        }
        let len = match view.get_total_length() {
            // The capturing host left the length to its network card (TSO), or it does not fit ("BIG TCP").
            0 => on_wire,
            len => u32::from(len),
        };
        if len < header_len as u32 {
            return Err(Reason::IpLength);
        }
        let captured = upto(bytes, len);
        let is_later = view.get_fragment_offset() != 0;
        let transport = if is_later { None } else { captured.get(header_len..) };
        let proto = view.get_next_level_protocol().0;
        Ok(Self { header: Header::V4(header), len, proto, fragment_header: None, captured, transport })
    }

    /// Reads the IPv6 packet that `bytes` begin with. `on_wire` is what the frame had from there on, in bytes.
    #[inline]
    pub(crate) fn decode_v6(bytes: &'a [u8], on_wire: u32) -> Result<Self, Reason> {
        let (header, _) = bytes.split_first_chunk().ok_or(Reason::IpCut)?;
        let view = Ipv6Packet::new(header).ok_or(Reason::IpCut)?;
        if view.get_version() != 6 {
            return Err(Reason::IpVersion);
        }
        let next = view.get_next_header().0;
        let len = match view.get_payload_length() {
            // A jumbogram (RFC 2675) or, without its option, "BIG TCP" of Linux; 4 GiB from a forged option
            // in a short frame would spoil the sums, the frame's own length cannot.
            0 if next != protocol::NO_NEXT => on_wire.max(IPV6_LEN as u32),
            len => u32::from(len) + IPV6_LEN as u32,
        };
        let captured = upto(bytes, len);
        let chain = Chain::walk(next, captured.get(IPV6_LEN..).unwrap_or_default());
        let Chain { proto, fragment_header, transport } = chain;
        Ok(Self { header: Header::V6(header), len, proto, fragment_header, captured, transport })
    }

    /// A stand-in for what is not IP: `payload` of the type `etype`, of which the frame had `len` bytes.
    pub(crate) fn other(etype: u16, payload: &'a [u8], len: u32) -> Self {
        let header = Header::Other(etype);
        Self { header, len, proto: 0, fragment_header: None, captured: payload, transport: None }
    }

    /// `None` when the packet is whole.
    #[inline]
    pub(crate) fn fragment(&self) -> Option<Fragment> {
        match self.header {
            Header::V4(header) => Fragment::read_v4(header),
            Header::V6(_) => Fragment::read_v6(*self.fragment_header?),
            Header::Other(_) => None,
        }
    }

    /// Whether the transport header is in an earlier fragment.
    #[inline]
    pub(crate) fn is_later_fragment(&self) -> bool {
        self.fragment().is_some_and(|fragment| !fragment.is_first())
    }

    /// Whether the capture has less than the whole packet.
    #[inline]
    pub(crate) fn is_snapped(&self) -> bool {
        self.captured.len() < self.len as usize
    }
}

/// `bytes` without what lies behind the first `len` of them.
#[inline]
fn upto(bytes: &[u8], len: u32) -> &[u8] {
    bytes.get(..len as usize).unwrap_or(bytes)
}

/// Where a chain of IPv6 extension headers leads.
struct Chain<'a> {
    /// The first protocol that is not an extension header, or the extension header where the walk ended.
    proto: u8,
    /// As [`Ip::fragment_header`].
    fragment_header: Option<&'a FragmentHeader>,
    /// As [`Ip::transport`].
    transport: Option<&'a [u8]>,
}

impl<'a> Chain<'a> {
    /// Follows the chain that begins with the header `next` at the start of `rest`.
    ///
    /// Encrypted payload (ESP) ends a chain, and so does whatever is not known to be an extension header. A
    /// chain that is cut, or too long, still leaves a packet with addresses and a length, which is accounted:
    /// a few empty options must not hide traffic.
    #[inline]
    fn walk(mut next: u8, mut rest: &'a [u8]) -> Self {
        let mut fragment_header = None;
        for _ in 0..=MAX_EXTENSION_HEADERS {
            let units = rest.get(1).copied().map(usize::from);
            let size = match next {
                protocol::HOP_BY_HOP | protocol::ROUTING | protocol::DESTINATION => {
                    units.map(|n| (n + 1) * 8)
                }
                protocol::AH => units.map(|n| (n + 2) * 4),
                protocol::FRAGMENT => Some(size_of::<FragmentHeader>()),
                proto => return Self { proto, fragment_header, transport: Some(rest) },
            };
            let Some((header, behind)) = size.and_then(|size| rest.split_at_checked(size)) else { break };
            let fragment = if next == protocol::FRAGMENT { header.first_chunk() } else { None };
            // An atomic fragment (RFC 6946), first and last at once, is a whole packet.
            if let Some((bytes, fragment)) =
                fragment.and_then(|bytes| Some((bytes, Fragment::read_v6(*bytes)?)))
            {
                fragment_header = Some(bytes);
                if !fragment.is_first() {
                    // What follows is the middle of the packet.
                    return Self { proto: header[0], fragment_header, transport: None };
                }
            }
            next = header[0];
            rest = behind;
        }
        Self { proto: next, fragment_header, transport: None }
    }
}

impl Fragment {
    /// `None` if it is neither first, middle nor last of several.
    #[inline]
    fn new(id: u32, offset: u16, more: bool) -> Option<Self> {
        (more || offset != 0).then_some(Self { id, offset, more })
    }

    #[inline]
    fn read_v4(header: &[u8; IPV4_LEN]) -> Option<Self> {
        let view = Ipv4Packet::new(header)?;
        let more = view.get_flags() & 1 == 1;
        Self::new(view.get_identification().into(), view.get_fragment_offset() * 8, more)
    }

    #[inline]
    fn read_v6(header: FragmentHeader) -> Option<Self> {
        let view = FragmentPacket::new(&header)?;
        // 13 bits of offset in units of 8 bytes, 2 reserved bits, the M bit. pnet's own accessors for these
        // take two bits away instead of three.
        let offset_and_more = view.get_fragment_offset_with_flags();
        Self::new(view.get_id(), offset_and_more & !7, offset_and_more & 1 == 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encapsulation::etype;
    use crate::testing::hex;

    const WIRE: u32 = 1500;

    fn decode(etype: u16, bytes: &[u8], on_wire: u32) -> Result<Ip<'_>, Reason> {
        if etype == etype::IPV6 { Ip::decode_v6(bytes, on_wire) } else { Ip::decode_v4(bytes, on_wire) }
    }

    fn v4(text: &str) -> Vec<u8> {
        hex(text)
    }

    /// An IPv6 header for `payload`, whose first header is `next`, with the payload behind it.
    fn v6(next: u8, payload: &str) -> Vec<u8> {
        let payload = hex(payload);
        let mut bytes = hex("6b8 12345 0000 00 40 | version 6, class b8, label, length, next, hop limit");
        bytes[4..6].copy_from_slice(&(payload.len() as u16).to_be_bytes());
        bytes[6] = next;
        bytes.extend(hex("20010db8000000000000000000000001 20010db8000000000000000000000002"));
        bytes.extend(payload);
        bytes
    }

    fn chain(next: u8, payload: &str) -> (u8, Option<Fragment>, Option<Vec<u8>>) {
        let bytes = v6(next, payload);
        let ip = decode(etype::IPV6, &bytes, bytes.len() as u32).unwrap();
        (ip.proto, ip.fragment(), ip.transport.map(<[u8]>::to_vec))
    }

    #[test]
    fn ipv4() {
        let bytes = v4("
            45 10 001e 0001 0000 40 11 0000 | version and size, TOS, length 30, id, offset, TTL, UDP, sum
            0a000001 0a000002               | 10.0.0.1 to 10.0.0.2
            0035 14e9 000a 0000 6162        | UDP
            0000 0000                       | padding of the frame");
        let ip = decode(etype::IPV4, &bytes, WIRE).unwrap();
        assert_eq!((ip.len, ip.proto, ip.fragment()), (30, protocol::UDP, None));
        assert_eq!(ip.transport, Some(&bytes[20..30]));
    }

    #[test]
    fn ipv4_options_shift_the_transport_header() {
        let bytes = v4("46 00 001c 0001 0000 40 11 0000 0a000001 0a000002 01010101 000a0014");
        assert_eq!(decode(etype::IPV4, &bytes, WIRE).unwrap().transport, Some(&bytes[24..]));
        let cut = decode(etype::IPV4, &bytes[..22], WIRE).unwrap();
        assert_eq!((cut.len, cut.transport, cut.is_snapped()), (28, None, true));
    }

    #[test]
    fn ipv4_headers_that_are_wrong() {
        let bytes = v4("45 00 001c 0001 0000 40 11 0000 0a000001 0a000002 000a 0014 0008 0000");
        let with = |at: usize, value: u8| {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            decode(etype::IPV4, &bytes, WIRE).map(|ip| ip.len)
        };
        assert_eq!(with(0, 0x45), Ok(28));
        assert_eq!(with(0, 0x55), Err(Reason::IpVersion));
        assert_eq!(with(0, 0x44), Err(Reason::IpHeaderLength));
        assert_eq!(with(3, 19), Err(Reason::IpLength));
        assert_eq!(with(3, 20), Ok(20));
        assert_eq!(decode(etype::IPV4, &bytes[..19], WIRE).map(|ip| ip.len), Err(Reason::IpCut));
    }

    #[test]
    fn a_length_of_zero_means_what_the_frame_had() {
        let bytes = v4("45 00 0000 0001 0000 40 06 0000 0a000001 0a000002 000a 0014");
        assert_eq!(decode(etype::IPV4, &bytes, 65_600).unwrap().len, 65_600);
        let mut bytes = v6(protocol::TCP, "000a 0014");
        bytes[5] = 0;
        assert_eq!(decode(etype::IPV6, &bytes, 65_600).unwrap().len, 65_600);
        bytes[6] = protocol::NO_NEXT;
        assert_eq!(decode(etype::IPV6, &bytes, 65_600).unwrap().len, 40);
    }

    #[test]
    fn ipv4_fragments() {
        let bytes = v4("45 00 0018 1092 2000 40 11 0000 0a000001 0a000002 1e61 22b8 | more follow");
        let first = decode(etype::IPV4, &bytes, WIRE).unwrap();
        assert_eq!(first.fragment(), Some(Fragment { id: 0x1092, offset: 0, more: true }));
        assert_eq!(first.transport, Some(&bytes[20..]));

        let bytes = v4("45 00 0018 1092 00af 40 11 0000 0a000001 0a000002 7878 7878 | the last one, at 1400");
        let last = decode(etype::IPV4, &bytes, WIRE).unwrap();
        assert_eq!(last.fragment(), Some(Fragment { id: 0x1092, offset: 1400, more: false }));
        assert_eq!(last.transport, None);

        let bytes =
            v4("45 00 0018 1092 4000 40 11 0000 0a000001 0a000002 1e61 22b8 | must not be fragmented");
        assert_eq!(decode(etype::IPV4, &bytes, WIRE).unwrap().fragment(), None);
    }

    #[test]
    fn ipv6() {
        assert_eq!(chain(protocol::UDP, "000a 0014"), (protocol::UDP, None, Some(hex("000a 0014"))));
        assert_eq!(chain(50, "00000001"), (50, None, Some(hex("00000001"))), "ESP hides what follows");
        let bytes = v6(protocol::UDP, "000a 0014");
        assert_eq!(decode(etype::IPV6, &bytes[..39], WIRE).map(|ip| ip.len), Err(Reason::IpCut));
        assert_eq!(decode(etype::IPV6, &bytes[..40], WIRE).map(|ip| ip.len), Ok(44));
        assert_eq!(decode(etype::IPV4, &bytes, WIRE).map(|ip| ip.len), Err(Reason::IpVersion));
    }

    #[test]
    fn ipv6_extension_headers() {
        let udp = Some(hex("000a 0014"));
        assert_eq!(chain(0, "11 00 0104 00000000 000a 0014"), (17, None, udp.clone()), "hop-by-hop");
        assert_eq!(chain(60, "11 00 0104 00000000 000a 0014"), (17, None, udp.clone()), "destination");
        let routing = "11 02 0001 00000000 20010db8000000000000000000000003 000a 0014";
        assert_eq!(chain(43, routing), (17, None, udp.clone()));
        let ah = "11 04 0000 00000100 00000020 000000000000000000000000 000a 0014";
        assert_eq!(chain(51, ah), (17, None, udp.clone()));
        let three = "3c 00 0104 00000000  2b 00 0104 00000000  11 00 0000 00000000  000a 0014";
        assert_eq!(chain(0, three), (17, None, udp));
        assert_eq!(chain(0, "3b 00 0104 00000000"), (59, None, Some(vec![])), "nothing follows");
    }

    #[test]
    fn ipv6_fragments() {
        let first = Fragment { id: 99, offset: 0, more: true };
        assert_eq!(chain(44, "11 00 0001 00000063 006f"), (17, Some(first), Some(hex("006f"))));
        let later = Fragment { id: 99, offset: 1232, more: false };
        assert_eq!(chain(44, "11 00 04d0 00000063 7878"), (17, Some(later), None));
        assert_eq!(
            chain(44, "3c 00 04d0 00000063 7878"),
            (60, Some(later), None),
            "not followed into the middle"
        );
        assert_eq!(chain(44, "11 00 0006 00000063 006f"), (17, None, Some(hex("006f"))), "atomic");
        let nested = "2c 00 0001 00000063  11 00 0000 00000064 006f";
        assert_eq!(chain(44, nested), (17, Some(first), Some(hex("006f"))), "atomic in the first");
    }

    #[test]
    fn a_chain_that_is_cut_or_too_long_leaves_the_packet() {
        assert_eq!(chain(0, "11 01 0104 00000000 000a"), (0, None, None));
        assert_eq!(chain(0, ""), (0, None, None));
        let option = "3c 00 0104 00000000 ";
        let longest = option.repeat(MAX_EXTENSION_HEADERS - 1) + "11 00 0104 00000000 000a";
        assert_eq!(chain(60, &longest), (17, None, Some(hex("000a"))));
        assert_eq!(chain(60, &(option.to_owned() + &longest)), (17, None, None));
    }
}
