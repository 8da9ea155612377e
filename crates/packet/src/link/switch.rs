//! Ethernet frames as they pass between a switch's ports and its processor, with the switch's tag in them.
//!
//! The tags say which port; their forms are those of Linux, `net/dsa`.

use super::{CUT, Split};
use crate::encapsulation::etype;

/// Octets of the two addresses.
const MACS: usize = 12;

/// Broadcom: four octets between the addresses and the EtherType.
pub(super) fn broadcom(frame: &[u8]) -> Split<'_> {
    let (header, rest) = frame.split_first_chunk::<{ MACS + 6 }>().ok_or(CUT)?;
    Ok((u16::from_be_bytes([header[MACS + 4], header[MACS + 5]]), rest))
}

/// Marvell: four octets between the addresses and the EtherType, which may stand for a VLAN tag.
pub(super) fn marvell(frame: &[u8]) -> Split<'_> {
    marvell_tag(frame.get(MACS..).ok_or(CUT)?)
}

/// Marvell with an EtherType, and two reserved octets, before the tag.
pub(super) fn marvell_ether(frame: &[u8]) -> Split<'_> {
    marvell_tag(frame.get(MACS + 4..).ok_or(CUT)?)
}

/// Command, device and port in two octets; priority and VLAN in two, as a VLAN tag has them; the EtherType.
fn marvell_tag(tag: &[u8]) -> Split<'_> {
    const TAGGED: u8 = 0x20;
    let (&[command, _, _, _, e0, e1], rest) = tag.split_first_chunk::<6>().ok_or(CUT)?;
    if command & TAGGED == 0 {
        Ok((u16::from_be_bytes([e0, e1]), rest))
    } else {
        Ok((etype::VLAN, &tag[2..]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    const ADDRESSES: &str = "02000000000b 02000000000a";

    #[test]
    fn tags_are_skipped() {
        let frame = hex(&format!("{ADDRESSES} 20000004 0800 45"));
        assert_eq!(broadcom(&frame), Ok((etype::IPV4, &[0x45][..])));
        assert_eq!(broadcom(&frame[..17]), Err(CUT));
        let frame = hex(&format!("{ADDRESSES} c0180000 0800 45"));
        assert_eq!(marvell(&frame), Ok((etype::IPV4, &[0x45][..])));
        let frame = hex(&format!("{ADDRESSES} dada 0000 c0180000 0800 45"));
        assert_eq!(marvell_ether(&frame), Ok((etype::IPV4, &[0x45][..])));
    }

    #[test]
    fn a_tag_that_stands_for_a_vlan() {
        let frame = hex(&format!("{ADDRESSES} e018 a064 0800 45"));
        assert_eq!(marvell(&frame), Ok((etype::VLAN, &hex("a064 0800 45")[..])));
    }
}
