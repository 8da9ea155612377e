//! Ethernet frames whose place nothing announces: those that pseudowires carry.
//!
//! MPLS does not say what follows its labels (RFC 3031), and L2TPv3 not how long its cookie is. A frame is
//! believed to be there if it leads to an IP header that is right in all that can be checked at once, the
//! checksum of IPv4 too; more than thirty bits must fit. What does not is left alone: it is counted as traffic
//! that is not IP, as whatever has no IP header that can be found.

use crate::encapsulation::etype;
use crate::ip::{IPV4_LEN, IPV6_LEN};
use crate::skip::{Reason, Skip};

/// The VLAN tags that are looked behind.
const MAX_TAGS: usize = 2;

/// The first of `places` where an Ethernet frame begins that carries IP. `NotIp` if there is none;
/// `PseudowireCut` if there may be one, of which too little was captured.
pub(crate) fn find<'a>(places: impl IntoIterator<Item = &'a [u8]>) -> Result<&'a [u8], Skip> {
    let mut nothing = Skip::NotIp;
    for place in places {
        match is_ethernet(place) {
            Some(true) => return Ok(place),
            Some(false) => {}
            None => nothing = Skip::Undecodable(Reason::PseudowireCut),
        }
    }
    Err(nothing)
}

/// Whether `bytes` begin with an Ethernet frame that carries IP. `None` if they end too soon to tell.
pub(crate) fn is_ethernet(bytes: &[u8]) -> Option<bool> {
    // No station has a group address.
    if bytes.get(6)? & 1 == 1 {
        return Some(false);
    }
    let (mut etype, mut rest) = bytes.get(12..)?.split_first_chunk()?;
    for _ in 0..MAX_TAGS {
        if let etype::VLAN | etype::QINQ = u16::from_be_bytes(*etype) {
            (etype, rest) = rest.get(2..)?.split_first_chunk()?;
        }
    }
    match u16::from_be_bytes(*etype) {
        etype::IPV4 => is_ipv4(rest),
        etype::IPV6 => is_ipv6(rest),
        _ => Some(false),
    }
}

/// Whether version, header length, total length and checksum are right.
pub(crate) fn is_ipv4(bytes: &[u8]) -> Option<bool> {
    let (&[first, _, l0, l1], _) = bytes.split_first_chunk()?;
    let size = usize::from(first & 0x0f) * 4;
    let len = usize::from(u16::from_be_bytes([l0, l1]));
    if first >> 4 != 4 || size < IPV4_LEN || (len < size && len != 0) {
        return Some(false);
    }
    let (words, _) = bytes.get(..size)?.as_chunks();
    let sum: u32 = words.iter().map(|word| u32::from(u16::from_be_bytes(*word))).sum();
    // Ones' complement: the carries come back, and the sum with its complement has all bits.
    Some((sum & 0xffff) + (sum >> 16) == 0xffff)
}

/// Whether the version is right and the receiver has an address.
fn is_ipv6(bytes: &[u8]) -> Option<bool> {
    let header = bytes.first_chunk::<IPV6_LEN>()?;
    Some(header[0] >> 4 == 6 && header[24..] != [0; 16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    #[test]
    fn frames_that_make_sense() {
        let macs = "02000000000b 02000000000a";
        let ip = "45 00 0014 0000 0000 40 06 66e2 0a000001 0a000002";
        let ip6 = "60000000 0000 3b 40 20010db8000000000000000000000001 20010db8000000000000000000000002";
        let is = |text: &str| is_ethernet(&hex(text)).unwrap();
        assert!(is(&format!("{macs} 0800 {ip}")));
        assert!(is(&format!("{macs} 86dd {ip6}")));
        assert!(is(&format!("{macs} 88a8 0001 8100 0002 0800 {ip}")));
        assert!(!is(&format!("{macs} 0800 {ip6}")));
        assert!(!is(&format!("{macs} 0806 {ip}")));
        assert!(!is(&format!("02000000000b 03000000000a 0800 {ip}")), "sent by a group");
        assert!(!is(&format!("{macs} 0800 {}", ip.replacen("45", "44", 1))), "header length");
        assert!(!is(&format!("{macs} 0800 {}", ip.replacen("0014", "0013", 1))), "total length");
        assert!(!is(&format!("{macs} 0800 {}", ip.replacen("66e2", "66e3", 1))), "checksum");
        let options = "46 00 0018 0000 0000 40 06 63dd 0a000001 0a000002 01010100";
        assert!(is(&format!("{macs} 0800 {options}")));
    }

    #[test]
    fn too_little_to_tell() {
        let frame =
            hex("02000000000b 02000000000a 8100 0001 0800 45 00 0014 0000 0000 40 06 66e2 0a000001 0a000002");
        for len in 0..frame.len() {
            assert_eq!(is_ethernet(&frame[..len]), None, "{len}");
        }
        assert_eq!(is_ethernet(&frame), Some(true));
        let cut = Err(Skip::Undecodable(Reason::PseudowireCut));
        assert_eq!(find([&frame[..30]]), cut);
        assert_eq!(find([&frame[..30], &frame]), Ok(&frame[..]));
        assert_eq!(find([&frame[1..]]), Err(Skip::NotIp));
        assert_eq!(find([&frame[1..], &frame[..30]]), cut);
    }
}
