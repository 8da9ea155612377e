//! What may stand between the link header and the IP header: tags, labels, PPPoE, LLC, frames in frames.

use crate::link::{Split, lan};
use crate::llc::{self, Bridged};
use crate::mpls::MplsStack;
use crate::ppp;
use crate::pseudowire;
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
    /// Service tags of switches from before 802.1ad.
    pub(crate) const OLD_QINQ: u16 = 0x9100;
    pub(crate) const OTHER_OLD_QINQ: u16 = 0x9200;
    pub(crate) const MPLS: u16 = 0x8847;
    pub(crate) const MPLS_MULTICAST: u16 = 0x8848;
    pub(crate) const PPPOE_SESSION: u16 = 0x8864;
    /// FabricPath of Cisco.
    pub(crate) const FABRIC_PATH: u16 = 0x8903;
    /// The virtual interface tag of Cisco, VN-Tag.
    pub(crate) const VN_TAG: u16 = 0x8926;
    /// IEEE 802.1BR.
    pub(crate) const E_TAG: u16 = 0x893f;
    /// The service instance tag of IEEE 802.1ah.
    pub(crate) const I_TAG: u16 = 0x88e7;
    /// TrustSec of Cisco: the group of the sender.
    pub(crate) const TRUST_SEC: u16 = 0x8909;
    /// Network service header (RFC 8300).
    pub(crate) const NSH: u16 = 0x894f;
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
    pub(crate) fn find_ip(&mut self) -> Result<(), Skip> {
        for _ in 0..=MAX_ENCAPSULATIONS {
            match self.etype {
                etype::IPV4 | etype::IPV6 => return Ok(()),
                etype::VLAN | etype::QINQ | etype::OLD_QINQ | etype::OTHER_OLD_QINQ => {
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
                    (self.etype, self.rest) = labelled(stack, rest)?;
                }
                other => (self.etype, self.rest) = behind(other, self.rest)?,
            }
        }
        Err(Skip::Undecodable(Reason::LinkDepth))
    }
}

const CUT: Skip = Skip::Undecodable(Reason::LinkCut);

/// What follows a header that leaves no trace in the packet.
fn behind(etype: u16, rest: &[u8]) -> Split<'_> {
    match etype {
        ..=etype::MAX_LENGTH => llc::split(rest, Bridged::Padded),
        etype::PPPOE_SESSION => ppp::over_ethernet(rest),
        etype::VN_TAG | etype::E_TAG | etype::TRUST_SEC => shim(etype, rest),
        // A tree's number and a time to live, and the frame that goes through the fabric.
        etype::FABRIC_PATH => lan::ethernet(rest.get(2..).ok_or(CUT)?),
        // Flags, the service's number, and the customer's frame.
        etype::I_TAG => lan::ethernet(rest.get(4..).ok_or(CUT)?),
        etype::NSH => service_header(rest),
        _ => Err(Skip::NotIp),
    }
}

/// A tag of fixed length with an EtherType at its end.
fn shim(etype: u16, rest: &[u8]) -> Split<'_> {
    let len = match etype {
        // Direction and two interfaces.
        etype::VN_TAG => 4,
        // TrustSec: version, length, kind of option, group. E-Tag: priority and two channels.
        _ => 6,
    };
    let (etype, rest) = rest.get(len..).and_then(<[u8]>::split_first_chunk).ok_or(CUT)?;
    Ok((u16::from_be_bytes(*etype), rest))
}

/// The header of a service function chain: version, flags, time to live and length in two octets, kind of
/// metadata, next protocol, path, metadata.
fn service_header(rest: &[u8]) -> Split<'_> {
    let (&[_, units, _, next], _) = rest.split_first_chunk::<4>().ok_or(CUT)?;
    let len = usize::from(units & 0x3f) * 4;
    if len < 8 {
        return Err(Skip::Undecodable(Reason::LinkHeader));
    }
    let rest = rest.get(len..).ok_or(CUT)?;
    match next {
        1 => Ok((etype::IPV4, rest)),
        2 => Ok((etype::IPV6, rest)),
        3 => lan::ethernet(rest),
        5 => Ok((etype::MPLS, rest)),
        _ => Err(Skip::NotIp),
    }
}

/// What follows a label stack, which the wire does not say.
///
/// The explicit null labels do (RFC 3032, 2.1). Otherwise the first four bits tell: 4 and 6 are IP, and so that
/// they are not taken for it, pseudowires have a control word that begins with 0, or with 1 for what they say
/// themselves (RFC 4385, 3 and 5). Ethernet pseudowires may go without (RFC 4448, 4.6), and only the two ends
/// know. So a frame is taken for one if it is right down to its IP header (see [`pseudowire`]); what begins
/// like IP and is no such frame is IP. A frame is looked for at once before it is looked for behind a control
/// word: with four octets skipped, a tagged frame still looks like an untagged one.
fn labelled<'a>(stack: MplsStack<'_>, rest: &'a [u8]) -> Split<'a> {
    let version = rest.first().ok_or(Skip::Undecodable(Reason::IpCut))? >> 4;
    match (stack.bottom(), version) {
        (Some(0 | 3), _) => Ok((etype::IPV4, rest)),
        (Some(2), _) => Ok((etype::IPV6, rest)),
        // What may be both is IPv4 if its own checksum is right: 8.0.69.1 looks like an EtherType, too.
        (_, 4) if !looks_like_frame(rest) || pseudowire::is_ipv4(rest) == Some(true) => {
            Ok((etype::IPV4, rest))
        }
        (_, 6) if !looks_like_frame(rest) => Ok((etype::IPV6, rest)),
        (_, 0) => {
            let places = [rest, rest.get(CONTROL_WORD..).unwrap_or_default()];
            pseudowire::find(places).and_then(lan::ethernet)
        }
        _ => pseudowire::find([rest]).and_then(lan::ethernet),
    }
}

/// Whether what begins like IP is an Ethernet frame that carries IP.
#[inline]
fn looks_like_frame(rest: &[u8]) -> bool {
    // Few packets have an EtherType within their sender's address; the others go on at once.
    let etype = rest.get(12..14).map(|octets| u16::from_be_bytes([octets[0], octets[1]]));
    let may_be = matches!(etype, Some(etype::IPV4 | etype::IPV6 | etype::VLAN | etype::QINQ));
    may_be && pseudowire::is_ethernet(rest) == Some(true)
}

/// Octets of a pseudowire's control word: four bits 0, flags, length and sequence number.
const CONTROL_WORD: usize = 4;

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
        let cut = Skip::Undecodable(Reason::PseudowireCut);
        assert_eq!(walk("8847 003e9140 00000000 0200"), Err(cut), "control word of a pseudowire");
        assert_eq!(walk("8847 003e9140"), Err(Skip::Undecodable(Reason::IpCut)));
        assert_eq!(walk("8847 003e9040 007d"), Err(Skip::Undecodable(Reason::MplsCut)));
    }

    #[test]
    fn pseudowires() {
        let macs = "02000000000b 02000000000a";
        let ip = "45 00 0014 0000 0000 40 06 66e2 0a000001 0a000002";
        assert_eq!(walk(&format!("8847 003e9140 00000000 {macs} 0800 {ip}")), Ok((etype::IPV4, None, None)));
        assert_eq!(
            walk(&format!("8847 003e9140 00000007 {macs} 8100 0005 0800 {ip}")),
            Ok((etype::IPV4, Some(5), None))
        );
        assert_eq!(
            walk(&format!("8847 003e9140 {macs} 0800 {ip}")),
            Ok((etype::IPV4, None, None)),
            "no control word"
        );
        let four = macs.replacen("02", "44", 1);
        assert_eq!(
            walk(&format!("8847 003e9140 {four} 0800 {ip}")),
            Ok((etype::IPV4, None, None)),
            "not version 4"
        );
        assert_eq!(walk(&format!("8847 003e9140 00000000 {macs} 0806 0001")), Err(Skip::NotIp));
        assert_eq!(walk(&format!("8847 003e9140 10000021 {ip}")), Err(Skip::NotIp), "associated channel");
        let cut = Err(Skip::Undecodable(Reason::PseudowireCut));
        assert_eq!(walk(&format!("8847 003e9140 00000000 {macs} 0800 4500")), cut);
        assert_eq!(
            walk("8847 003e9140 44"),
            Ok((etype::IPV4, None, None)),
            "what begins like IPv4 is held for it"
        );
    }

    #[test]
    fn headers_that_leave_no_trace() {
        let ip = Ok((etype::IPV4, None, None));
        let macs = "02000000000b 02000000000a";
        assert_eq!(walk("8926 80050001 0800 45"), ip, "VN-Tag");
        assert_eq!(walk("893f 000000010000 0800 45"), ip, "E-Tag");
        assert_eq!(walk("8909 01010001 0005 0800 45"), ip, "TrustSec");
        assert_eq!(walk(&format!("8903 0060 {macs} 0800 45")), ip, "FabricPath");
        assert_eq!(walk(&format!("8903 0060 {macs} 8100 0005 0800 45")), Ok((etype::IPV4, Some(5), None)));
        assert_eq!(walk(&format!("88e7 00000064 {macs} 0800 45")), ip, "802.1ah");
        assert_eq!(walk("894f 0fc2 01 01 000001ff 45"), ip, "NSH");
        assert_eq!(walk(&format!("894f 0fc2 02 03 000001ff {macs} 0800 45")), ip);
        assert_eq!(walk("894f 0fc1 01 01 000001ff 45"), Err(Skip::Undecodable(Reason::LinkHeader)));
        assert_eq!(walk("8864 11 00 0007 0066 0021 45"), ip, "PPPoE");
        assert_eq!(walk("8100 0005 8864 11 00 0007 0066 0057 60"), Ok((etype::IPV6, Some(5), None)));
        assert_eq!(walk("88e5 2000 00000001"), Err(Skip::NotIp), "MACsec");
        for cut in ["8926 8005", "8903 0060 02", "88e7", "894f 0fc2", "8864 11"] {
            assert_eq!(walk(cut), Err(CUT), "{cut}");
        }
    }

    #[test]
    fn llc_behind_a_length() {
        assert_eq!(walk("0020 aaaa03 000000 0800 45"), Ok((etype::IPV4, None, None)));
        assert_eq!(walk("8100 0007 0020 aaaa03 000000 86dd 60"), Ok((etype::IPV6, Some(7), None)));
        assert_eq!(walk("0026 424203 0000 0000 0000"), Err(Skip::NotIp), "spanning tree");
        assert_eq!(walk("05dd aaaa03 000000 0800 45"), Err(Skip::NotIp), "neither length nor type");
    }
}
