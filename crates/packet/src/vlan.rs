//! VLAN tags.

use pnet_packet::vlan::VlanPacket;

/// An IEEE 802.1Q tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct VlanTag {
    /// The VLAN, 0 to 4095; 0 if the tag carries only a priority.
    pub id: u16,
    /// The priority code point, 0 to 7.
    pub cos: u8,
}

/// Octets of a tag after the EtherType that announces it: control information, and the next EtherType.
const TAG_LEN: usize = VlanPacket::minimum_packet_size();

/// A tag as it came. What it says is read when it is asked for.
pub(crate) type RawTag = [u8; TAG_LEN];

/// The tag that `bytes` begin with, the EtherType after it, and what follows.
#[inline]
pub(crate) fn split(bytes: &[u8]) -> Option<(&RawTag, u16, &[u8])> {
    let (tag, rest) = bytes.split_first_chunk()?;
    Some((tag, VlanPacket::new(tag)?.get_ethertype().0, rest))
}

impl VlanTag {
    #[inline]
    pub(crate) fn read(tag: RawTag) -> Option<Self> {
        let tag = VlanPacket::new(&tag)?;
        Some(Self { id: tag.get_vlan_identifier(), cos: tag.get_priority_code_point().0 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields() {
        // 0xb064: priority 5, drop eligible, VLAN 100.
        let bytes = [0xb0, 0x64, 0x08, 0x00, 0x45];
        let (tag, etype, rest) = split(&bytes).unwrap();
        assert_eq!((etype, rest), (0x0800, &bytes[4..]));
        assert_eq!(VlanTag::read(*tag), Some(VlanTag { id: 100, cos: 5 }));
        assert_eq!(split(&bytes[..3]), None);
    }
}
