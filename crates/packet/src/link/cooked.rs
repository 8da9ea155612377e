//! The "cooked" headers of Linux, for devices that have no header of their own or many.

use super::{CUT, Split};
use crate::mac::MacAddr;

/// Direction, type of device, length of the address, eight octets for it, EtherType.
#[inline]
pub(super) fn version_1(frame: &[u8]) -> Split<'_> {
    // pnet's views of the cooked headers accept half a header and panic on its fields.
    let (header, rest) = frame.split_first_chunk::<16>().ok_or(CUT)?;
    Ok((u16::from_be_bytes([header[14], header[15]]), rest))
}

/// EtherType, two reserved octets, number of the interface, type of device, direction, length of the address,
/// eight octets for it.
#[inline]
pub(super) fn version_2(frame: &[u8]) -> Split<'_> {
    let (header, rest) = frame.split_first_chunk::<20>().ok_or(CUT)?;
    Ok((u16::from_be_bytes([header[0], header[1]]), rest))
}

/// The sender in a header of version 1.
pub(super) fn src_mac_1(frame: &[u8]) -> Option<MacAddr> {
    let header = frame.first_chunk::<16>()?;
    mac(u16::from_be_bytes([header[4], header[5]]), &header[6..])
}

/// The sender in a header of version 2.
pub(super) fn src_mac_2(frame: &[u8]) -> Option<MacAddr> {
    let header = frame.first_chunk::<20>()?;
    mac(header[11].into(), &header[12..])
}

/// Tunnels and point-to-point links have addresses of other lengths, or none.
fn mac(len: u16, octets: &[u8]) -> Option<MacAddr> {
    if len == 6 { octets.first_chunk().copied().map(MacAddr) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encapsulation::etype;
    use crate::testing::hex;

    const SENDER: Option<MacAddr> = Some(MacAddr([2, 0, 0, 0, 0, 0x0a]));

    #[test]
    fn addresses() {
        let v1 = hex("0000 0001 0006 02000000000a 0000 0800 | sent to us, Ethernet, 6 octets");
        assert_eq!((version_1(&v1), src_mac_1(&v1)), (Ok((etype::IPV4, &[][..])), SENDER));
        let v2 = hex("86dd 0000 00000002 0001 00 06 02000000000a 0000 | interface 2");
        assert_eq!((version_2(&v2), src_mac_2(&v2)), (Ok((etype::IPV6, &[][..])), SENDER));
        let ppp = hex("0000 0200 0000 0000000000000000 0800 | PPP, no address");
        assert_eq!(src_mac_1(&ppp), None);
        assert_eq!((version_1(&v1[..15]), version_2(&v2[..19])), (Err(CUT), Err(CUT)));
    }
}
