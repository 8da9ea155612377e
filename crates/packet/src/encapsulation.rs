//! What may stand between the link header and the IP header: tags, labels, PPPoE, LLC.

use crate::mpls::MplsStack;
use crate::skip::{Reason, Skip};
use crate::vlan::{self, RawTag};

/// The headers between the link header and the IP header that a frame may have; a label stack counts as one.
pub const MAX_ENCAPSULATIONS: usize = 8;

/// EtherTypes that are followed.
pub(crate) mod etype {
    pub(crate) const IPV4: u16 = 0x0800;
    pub(crate) const IPV6: u16 = 0x86dd;
    /// The highest value that is a length, with an LLC header behind it (IEEE 802.3).
    pub(crate) const MAX_LENGTH: u16 = 1500;
    /// The lowest value that is a type.
    pub(crate) const MIN_TYPE: u16 = 0x0600;
    /// IEEE 802.1Q.
    pub(crate) const VLAN: u16 = 0x8100;
    /// IEEE 802.1ad, the service tag.
    pub(crate) const QINQ: u16 = 0x88a8;
    /// Service tag of switches from before 802.1ad.
    pub(crate) const OLD_QINQ: u16 = 0x9100;
    pub(crate) const MPLS: u16 = 0x8847;
    pub(crate) const MPLS_MULTICAST: u16 = 0x8848;
    pub(crate) const PPPOE_SESSION: u16 = 0x8864;
}

/// What was found between the link header and the IP header, as it came.
///
/// It is kept as references: a tag or a label is read when it is asked for. (Tags that were read here, in an
/// array of small fields, made decoding take twice as long: the processor waits when narrow writes are read
/// back wide.)
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Encapsulation<'a> {
    /// The outermost tag and the one within it.
    pub(crate) vlans: [Option<&'a RawTag>; 2],
    /// The outermost stack.
    pub(crate) mpls: MplsStack<'a>,
}

/// The way from the link header to the IP header.
pub(crate) struct Walk<'a> {
    pub(crate) found: Encapsulation<'a>,
    /// What announces the first octet of `rest`.
    pub(crate) etype: u16,
    /// What was captured from there on.
    pub(crate) rest: &'a [u8],
}

impl<'a> Walk<'a> {
    #[inline]
    pub(crate) fn new(etype: u16, rest: &'a [u8]) -> Self {
        Self { found: Encapsulation::default(), etype, rest }
    }

    /// Follows the headers to IP, of which `etype` then gives the version. Where it fails, `etype` is that of
    /// the header where it failed.
    #[inline]
    pub(crate) fn find_ip(&mut self) -> Result<(), Skip> {
        for _ in 0..=MAX_ENCAPSULATIONS {
            match self.etype {
                etype::IPV4 | etype::IPV6 => return Ok(()),
                etype::VLAN | etype::QINQ | etype::OLD_QINQ => {
                    let (tag, etype, rest) = vlan::split(self.rest).ok_or(CUT)?;
                    if let Some(free) = self.found.vlans.iter_mut().find(|tag| tag.is_none()) {
                        *free = Some(tag);
                    }
                    (self.etype, self.rest) = (etype, rest);
                }
                etype::MPLS | etype::MPLS_MULTICAST => {
                    let (stack, rest) = MplsStack::split(self.rest).map_err(Skip::Undecodable)?;
                    if self.found.mpls.is_empty() {
                        self.found.mpls = stack;
                    }
                    (self.etype, self.rest) = (labelled(stack, rest)?, rest);
                }
                etype::PPPOE_SESSION => (self.etype, self.rest) = pppoe(self.rest)?,
                ..=etype::MAX_LENGTH => (self.etype, self.rest) = llc(self.rest)?,
                _ => return Err(Skip::NotIp),
            }
        }
        Err(Skip::Undecodable(Reason::LinkDepth))
    }
}

const CUT: Skip = Skip::Undecodable(Reason::LinkCut);

/// The EtherType of what follows a label stack, which the wire does not say.
///
/// The explicit null labels do (RFC 3032, 2.1). Otherwise the first four bits tell: pseudowires begin with a
/// control word of 0 or 1 there, so that they are not taken for IP (RFC 4385).
fn labelled(stack: MplsStack<'_>, rest: &[u8]) -> Result<u16, Skip> {
    let version = rest.first().ok_or(Skip::Undecodable(Reason::IpCut))? >> 4;
    match stack.bottom() {
        Some(0 | 3) => Ok(etype::IPV4),
        Some(2) => Ok(etype::IPV6),
        _ => match version {
            4 => Ok(etype::IPV4),
            6 => Ok(etype::IPV6),
            _ => Err(Skip::NotIp),
        },
    }
}

/// Reads a PPPoE header (RFC 2516): version and type, code, session, length; then the PPP protocol.
fn pppoe(bytes: &[u8]) -> Result<(u16, &[u8]), Skip> {
    let (header, rest) = bytes.split_first_chunk::<6>().ok_or(CUT)?;
    // Version 1, type 1, code 0: session data.
    if header[..2] == [0x11, 0] { ppp(rest) } else { Err(Skip::NotIp) }
}

/// Reads the protocol of a PPP frame (RFC 1661), after the address and control octets if they are there.
/// A protocol is one octet, if that is odd, or two.
pub(crate) fn ppp(bytes: &[u8]) -> Result<(u16, &[u8]), Skip> {
    let bytes = bytes.strip_prefix(&[0xff, 0x03]).unwrap_or(bytes);
    let (protocol, rest) = match bytes {
        [short, rest @ ..] if short & 1 == 1 => (u16::from(*short), rest),
        [high, low, rest @ ..] => (u16::from_be_bytes([*high, *low]), rest),
        _ => return Err(CUT),
    };
    match protocol {
        0x0021 => Ok((etype::IPV4, rest)),
        0x0057 => Ok((etype::IPV6, rest)),
        0x0281 => Ok((etype::MPLS, rest)),
        0x0283 => Ok((etype::MPLS_MULTICAST, rest)),
        _ => Err(Skip::NotIp),
    }
}

/// Reads an LLC header and the SNAP header behind it (RFC 1042): `aa aa 03`, organization 0, EtherType.
fn llc(bytes: &[u8]) -> Result<(u16, &[u8]), Skip> {
    match bytes {
        [0xaa, 0xaa, 0x03, 0, 0, 0, high, low, rest @ ..] => match u16::from_be_bytes([*high, *low]) {
            ..etype::MIN_TYPE => Err(Skip::NotIp),
            etype => Ok((etype, rest)),
        },
        _ if bytes.len() < 8 && [0xaa, 0xaa, 0x03, 0, 0, 0].starts_with(&bytes[..bytes.len().min(6)]) => {
            Err(CUT)
        }
        _ => Err(Skip::NotIp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;
    use crate::vlan::VlanTag;

    /// Walks the hexadecimal `bytes`, which begin with an EtherType; the result is the one of the network
    /// layer and the outer and inner VLAN.
    fn walk(bytes: &str) -> Result<(u16, Option<u16>, Option<u16>), Skip> {
        let bytes = hex(bytes);
        let mut walk = Walk::new(u16::from_be_bytes([bytes[0], bytes[1]]), &bytes[2..]);
        walk.find_ip()?;
        let [outer, inner] =
            walk.found.vlans.map(|tag| tag.copied().and_then(VlanTag::read).map(|tag| tag.id));
        Ok((walk.etype, outer, inner))
    }

    #[test]
    fn tags() {
        assert_eq!(walk("0800 45"), Ok((etype::IPV4, None, None)));
        assert_eq!(walk("8100 0064 0800 45"), Ok((etype::IPV4, Some(100), None)));
        assert_eq!(walk("88a8 00c8 8100 012c 86dd 60"), Ok((etype::IPV6, Some(200), Some(300))));
        assert_eq!(walk("9100 0190 8100 01f4 0800 45"), Ok((etype::IPV4, Some(400), Some(500))));
        assert_eq!(walk("8100 0001 8100 0002 8100 0003 0800 45"), Ok((etype::IPV4, Some(1), Some(2))));
        assert_eq!(walk("8100 0064 0806 0001"), Err(Skip::NotIp));
        assert_eq!(walk("8100 0064 08"), Err(CUT));
    }

    #[test]
    fn depth() {
        let deepest = format!("8100 {} 0800 45", "0001 8100 ".repeat(MAX_ENCAPSULATIONS - 1) + "0001");
        assert_eq!(walk(&deepest), Ok((etype::IPV4, Some(1), Some(1))));
        assert_eq!(walk(&format!("8100 0001 {deepest}")), Err(Skip::Undecodable(Reason::LinkDepth)));
    }

    #[test]
    fn labels() {
        assert_eq!(walk("8847 003e9140 45"), Ok((etype::IPV4, None, None)));
        assert_eq!(walk("8848 003e9140 60"), Ok((etype::IPV6, None, None)));
        assert_eq!(walk("8847 003e9040 007d2140 60"), Ok((etype::IPV6, None, None)));
        assert_eq!(walk("8847 00000140 70"), Ok((etype::IPV4, None, None)), "IPv4 explicit null");
        assert_eq!(walk("8847 00002140 70"), Ok((etype::IPV6, None, None)), "IPv6 explicit null");
        assert_eq!(walk("8847 003e9140 00000000 0200"), Err(Skip::NotIp), "control word of a pseudowire");
        assert_eq!(walk("8847 003e9140"), Err(Skip::Undecodable(Reason::IpCut)));
        assert_eq!(walk("8847 003e9040 007d"), Err(Skip::Undecodable(Reason::MplsCut)));
    }

    #[test]
    fn point_to_point() {
        assert_eq!(walk("8864 11 00 0007 0066 0021 45"), Ok((etype::IPV4, None, None)));
        assert_eq!(walk("8864 11 00 0007 0066 0057 60"), Ok((etype::IPV6, None, None)));
        assert_eq!(walk("8100 0005 8864 11 00 0007 0066 0021 45"), Ok((etype::IPV4, Some(5), None)));
        assert_eq!(walk("8864 11 00 0007 000a c021 0100"), Err(Skip::NotIp), "LCP");
        assert_eq!(walk("8864 11 a7 0007 0066 0021 45"), Err(Skip::NotIp), "end of the session");
        assert_eq!(walk("8864 11 00 0007 0066 00"), Err(CUT));
        assert_eq!(ppp(&hex("ff03 0021 45")), Ok((etype::IPV4, &[0x45][..])));
        assert_eq!(ppp(&hex("ff03 21 45")), Ok((etype::IPV4, &[0x45][..])), "compressed protocol");
        assert_eq!(ppp(&hex("57 60")), Ok((etype::IPV6, &[0x60][..])));
        assert_eq!(ppp(&hex("0281 003e9140")), Ok((etype::MPLS, &hex("003e9140")[..])));
        assert_eq!(ppp(&hex("ff03")), Err(CUT));
    }

    #[test]
    fn llc_and_snap() {
        assert_eq!(walk("0020 aaaa03 000000 0800 45"), Ok((etype::IPV4, None, None)));
        assert_eq!(walk("8100 0007 0020 aaaa03 000000 86dd 60"), Ok((etype::IPV6, Some(7), None)));
        assert_eq!(walk("0026 424203 0000 0000 0000"), Err(Skip::NotIp), "spanning tree");
        assert_eq!(walk("0026 4242"), Err(Skip::NotIp));
        assert_eq!(walk("0026 aaaa03 00000c 2000 02b4"), Err(Skip::NotIp), "Cisco discovery");
        assert_eq!(walk("0026 aaaa03 000000 0020 aaaa03"), Err(Skip::NotIp), "a length is no type");
        assert_eq!(walk("0020 aaaa03 000000 08"), Err(CUT));
        assert_eq!(walk("05dd aaaa03 000000 0800 45"), Err(Skip::NotIp), "neither length nor type");
    }
}
