//! Logical link control (IEEE 802.2) and what may follow it: SNAP, protocol numbers of the ISO.

use crate::encapsulation::etype;
use crate::link::{Split, lan};
use crate::ppp;
use crate::skip::{Reason, Skip};

/// How Ethernet frames follow the SNAP header that announces them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bridged {
    /// At once (RFC 2427).
    Bare,
    /// After two octets of padding (RFC 2684).
    Padded,
}

const CUT: Skip = Skip::Undecodable(Reason::LinkCut);

/// Unnumbered information: no connection, no state.
const UI: u8 = 0x03;

/// Two service access points, which say what follows, and control.
pub(crate) fn split(bytes: &[u8], bridged: Bridged) -> Split<'_> {
    const SNAP: u8 = 0xaa;
    const IP: u8 = 0x06;
    const ISO: u8 = 0xfe;
    match *bytes {
        [SNAP, SNAP, UI, ref rest @ ..] => snap(rest, bridged),
        [IP, IP, UI, ref rest @ ..] => Ok((etype::IPV4, rest)),
        [ISO, ISO, UI, ref rest @ ..] => network_protocol(rest, bridged),
        [] | [SNAP | IP | ISO] | [SNAP, SNAP] | [IP, IP] | [ISO, ISO] => Err(CUT),
        _ => Err(Skip::NotIp),
    }
}

/// A network layer protocol identifier (ISO 9577, RFC 2427).
pub(crate) fn network_protocol(bytes: &[u8], bridged: Bridged) -> Split<'_> {
    let (&protocol, rest) = bytes.split_first().ok_or(CUT)?;
    match protocol {
        0xcc => Ok((etype::IPV4, rest)),
        0x8e => Ok((etype::IPV6, rest)),
        0x80 => snap(rest, bridged),
        0xcf => ppp::split(rest),
        _ => Err(Skip::NotIp),
    }
}

/// Organization and protocol (RFC 1042). Organization 0 has EtherTypes, and so has the one of IEEE 802.1H.
fn snap(bytes: &[u8], bridged: Bridged) -> Split<'_> {
    /// Ethernet of IEEE 802.1, with and without its check sequence.
    const BRIDGED: [u16; 2] = [0x0001, 0x0007];
    let (&[o0, o1, o2, p0, p1], rest) = bytes.split_first_chunk::<5>().ok_or(CUT)?;
    match ([o0, o1, o2], u16::from_be_bytes([p0, p1])) {
        ([0, 0, 0 | 0xf8], etype @ etype::MIN_TYPE..) => Ok((etype, rest)),
        ([0x00, 0x80, 0xc2], protocol) if BRIDGED.contains(&protocol) => {
            let padding = if bridged == Bridged::Padded { 2 } else { 0 };
            lan::ethernet(rest.get(padding..).ok_or(CUT)?)
        }
        _ => Err(Skip::NotIp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    fn of(text: &str) -> Result<(u16, usize), Skip> {
        split(&hex(text), Bridged::Padded).map(|(etype, rest)| (etype, rest.len()))
    }

    #[test]
    fn what_leads_to_ip() {
        for text in [
            "aaaa03 000000 0800 45",
            "aaaa03 0000f8 0800 45",
            "060603 45",
            "fefe03 cc 45",
            "fefe03 cf 0021 45",
        ] {
            assert_eq!(of(text), Ok((etype::IPV4, 1)), "{text}");
        }
        assert_eq!(of("fefe03 8e 60"), Ok((etype::IPV6, 1)));
        let frame = "02000000000b 02000000000a 0800 45";
        assert_eq!(of(&format!("aaaa03 0080c2 0001 0000 {frame}")), Ok((etype::IPV4, 1)));
    }

    #[test]
    fn what_does_not() {
        assert_eq!(of("424203 0000 0000 0000"), Err(Skip::NotIp), "spanning tree");
        assert_eq!(of("4242"), Err(Skip::NotIp));
        assert_eq!(of("fefe03 83 1401"), Err(Skip::NotIp), "IS-IS");
        assert_eq!(of("aaaa03 00000c 2000 02b4"), Err(Skip::NotIp), "Cisco discovery");
        assert_eq!(of("aaaa03 000000 0020 aaaa03"), Err(Skip::NotIp), "a length is no type");
        for text in ["", "aa", "aaaa", "aaaa03 000000 08", "fefe03", "fefe03 80 0000"] {
            assert_eq!(of(text), Err(CUT), "{text}");
        }
    }
}
