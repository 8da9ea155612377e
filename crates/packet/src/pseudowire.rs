//! Ethernet frames whose place nothing announces: those that pseudowires carry.
//!
//! MPLS does not say what follows its labels (RFC 3031), and L2TPv3 not how long its cookie is. A frame is
//! believed to be there if it leads to an IP header that is right in all that can be checked at once; some
//! thirty bits must fit. What does not is left alone: it is counted as traffic that is not IP, as whatever
//! has no IP header that can be found.

use crate::encapsulation::etype;
use crate::ip::{IPV4_LEN, IPV6_LEN};

/// The VLAN tags that are looked behind.
const MAX_TAGS: usize = 2;

/// Whether `bytes` begin with an Ethernet frame that carries IP.
pub(crate) fn is_ethernet(bytes: &[u8]) -> bool {
    let Some((header, mut rest)) = bytes.split_first_chunk::<14>() else { return false };
    // No station has a group address.
    if header[6] & 1 == 1 {
        return false;
    }
    let mut etype = u16::from_be_bytes([header[12], header[13]]);
    for _ in 0..MAX_TAGS {
        if let etype::VLAN | etype::QINQ = etype
            && let Some((tag, behind)) = rest.split_first_chunk::<4>()
        {
            (etype, rest) = (u16::from_be_bytes([tag[2], tag[3]]), behind);
        }
    }
    match etype {
        etype::IPV4 => is_ipv4(rest),
        etype::IPV6 => is_ipv6(rest),
        _ => false,
    }
}

/// Version, header length and total length make sense.
pub(crate) fn is_ipv4(bytes: &[u8]) -> bool {
    let Some(header) = bytes.first_chunk::<IPV4_LEN>() else { return false };
    let size = u16::from(header[0] & 0x0f) * 4;
    let len = u16::from_be_bytes([header[2], header[3]]);
    header[0] >> 4 == 4 && usize::from(size) >= IPV4_LEN && (len >= size || len == 0)
}

/// The version is right and the addresses are not empty.
fn is_ipv6(bytes: &[u8]) -> bool {
    let Some(header) = bytes.first_chunk::<IPV6_LEN>() else { return false };
    header[0] >> 4 == 6 && header[24..] != [0; 16]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    #[test]
    fn frames_that_make_sense() {
        let macs = "02000000000b 02000000000a";
        let ip = "45 00 0014 0000 0000 40 06 0000 0a000001 0a000002";
        let ip6 = "60000000 0000 3b 40 20010db8000000000000000000000001 20010db8000000000000000000000002";
        let is = |text: &str| is_ethernet(&hex(text));
        assert!(is(&format!("{macs} 0800 {ip}")));
        assert!(is(&format!("{macs} 86dd {ip6}")));
        assert!(is(&format!("{macs} 88a8 0001 8100 0002 0800 {ip}")));
        assert!(!is(&format!("{macs} 0800 {ip6}")));
        assert!(!is(&format!("{macs} 0806 {ip}")));
        assert!(!is(&format!("02000000000b 03000000000a 0800 {ip}")), "sent by a group");
        assert!(!is(&format!("{macs} 0800 {}", ip.replacen("45", "44", 1))), "header length");
        assert!(!is(&format!("{macs} 0800 {}", ip.replacen("0014", "0013", 1))), "total length");
        assert!(!is(&format!("{macs} 0800 45")));
    }
}
