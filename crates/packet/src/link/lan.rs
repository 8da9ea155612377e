//! Local networks: Ethernet, and those that came before it or beside it.

use super::{CUT, Split};
use crate::encapsulation::etype;
use crate::llc::{self, Bridged};
use crate::skip::Skip;
use pnet_packet::ethernet::EthernetPacket;

/// Ethernet (IEEE 802.3): receiver, sender, EtherType or length.
#[inline]
pub(crate) fn ethernet(frame: &[u8]) -> Split<'_> {
    const LEN: usize = EthernetPacket::minimum_packet_size();
    let (header, rest) = frame.split_first_chunk::<LEN>().ok_or(CUT)?;
    Ok((EthernetPacket::new(header).ok_or(CUT)?.get_ethertype().0, rest))
}

/// FDDI (ANSI X3.139): frame control, receiver, sender; then LLC, if the frame control says so.
pub(super) fn fddi(frame: &[u8]) -> Split<'_> {
    let (header, rest) = frame.split_first_chunk::<13>().ok_or(CUT)?;
    // Asynchronous and synchronous frames of the LLC format.
    if header[0] & 0x70 == 0x50 { llc::split(rest, Bridged::Padded) } else { Err(Skip::NotIp) }
}

/// Token ring (IEEE 802.5): access control, frame control, receiver, sender, perhaps a route; then LLC, if
/// the frame control says so.
pub(super) fn token_ring(frame: &[u8]) -> Split<'_> {
    let (header, rest) = frame.split_first_chunk::<14>().ok_or(CUT)?;
    if header[1] & 0xc0 != 0x40 {
        return Err(Skip::NotIp);
    }
    // The sender's group bit, which no sender has, announces a route. Its length counts its own two octets.
    let route = if header[8] & 0x80 == 0 { 0 } else { usize::from(rest.first().ok_or(CUT)? & 0x1f) };
    llc::split(rest.get(route..).ok_or(CUT)?, Bridged::Padded)
}

/// IP over Fibre Channel (RFC 2625): two addresses of eight octets, then LLC.
pub(super) fn fibre_channel(frame: &[u8]) -> Split<'_> {
    llc::split(frame.get(16..).ok_or(CUT)?, Bridged::Padded)
}

/// IP over IEEE 1394 as Apple captures it: two addresses of eight octets, EtherType.
pub(super) fn firewire(frame: &[u8]) -> Split<'_> {
    let (header, rest) = frame.split_first_chunk::<18>().ok_or(CUT)?;
    Ok((u16::from_be_bytes([header[16], header[17]]), rest))
}

/// ARCNET (RFC 1201, RFC 1051) with `before_type` octets of addresses (and, on Linux, of offset) before the
/// type.
///
/// The protocols of RFC 1051 follow at once; those of RFC 1201 follow a flag and a sequence number, by which
/// long packets are split. What is not the first part has no IP header.
pub(super) fn arcnet(frame: &[u8], before_type: usize) -> Split<'_> {
    let (&kind, rest) = frame.get(before_type..).and_then(<[u8]>::split_first).ok_or(CUT)?;
    match kind {
        240 => return Ok((etype::IPV4, rest)),
        212 | 196 => {}
        _ => return Err(Skip::NotIp),
    }
    let (&[flag, ..], mut rest) = rest.split_first_chunk::<3>().ok_or(CUT)?;
    let mut split = flag;
    // A packet of awkward length has an empty header of four octets more, and says the flag once again.
    if flag == 0xff {
        let (&[_, real, ..], behind) = rest.split_first_chunk::<4>().ok_or(CUT)?;
        (split, rest) = (real, behind);
    }
    // The first part's flag is odd and tells their number, those of the others are even.
    if split != 0 && split & 1 == 0 {
        return Err(Skip::NotIp);
    }
    Ok((if kind == 212 { etype::IPV4 } else { etype::IPV6 }, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    const SNAP: &str = "aaaa03 000000 0800";

    fn etype(split: Split<'_>) -> Result<(u16, usize), Skip> {
        split.map(|(etype, rest)| (etype, rest.len()))
    }

    #[test]
    fn rings() {
        let fddi = |control: &str| hex(&format!("{control} 02000000000b 02000000000a {SNAP} 45"));
        assert_eq!(etype(super::fddi(&fddi("50"))), Ok((etype::IPV4, 1)));
        assert_eq!(etype(super::fddi(&fddi("57"))), Ok((etype::IPV4, 1)));
        assert_eq!(etype(super::fddi(&fddi("41"))), Err(Skip::NotIp), "station management");
        assert_eq!(etype(super::fddi(&fddi("50")[..12])), Err(CUT));

        let ring = |text: &str| etype(token_ring(&hex(text)));
        assert_eq!(ring(&format!("10 40 02000000000b 02000000000a {SNAP} 45")), Ok((etype::IPV4, 1)));
        assert_eq!(
            ring(&format!("10 40 02000000000b 82000000000a 0630 0011 0020 {SNAP} 45")),
            Ok((etype::IPV4, 1))
        );
        assert_eq!(
            ring("10 00 02000000000b 02000000000a 0000"),
            Err(Skip::NotIp),
            "a frame of the ring's own"
        );
        assert_eq!(ring("10 40 02000000000b 82000000000a 0830"), Err(CUT));
    }

    #[test]
    fn long_addresses() {
        let addresses = "1000 02000000000b 1000 02000000000a";
        assert_eq!(etype(fibre_channel(&hex(&format!("{addresses} {SNAP} 45")))), Ok((etype::IPV4, 1)));
        assert_eq!(etype(firewire(&hex(&format!("{addresses} 86dd 60")))), Ok((etype::IPV6, 1)));
        assert_eq!(etype(firewire(&hex(addresses))), Err(CUT));
    }

    #[test]
    fn arcnet_of_both_kinds() {
        let bsd = |text: &str| etype(arcnet(&hex(text), 2));
        assert_eq!(bsd("01 02 f0 45"), Ok((etype::IPV4, 1)));
        assert_eq!(bsd("01 02 d4 00 0001 45"), Ok((etype::IPV4, 1)));
        assert_eq!(bsd("01 02 c4 00 0001 60"), Ok((etype::IPV6, 1)));
        assert_eq!(bsd("01 02 d4 ff ffff d4 00 0001 45"), Ok((etype::IPV4, 1)), "exception");
        assert_eq!(bsd("01 02 d4 01 0001 45"), Ok((etype::IPV4, 1)), "first of two");
        assert_eq!(bsd("01 02 d4 02 0001 45"), Err(Skip::NotIp), "second of two");
        assert_eq!(bsd("01 02 f1 0001"), Err(Skip::NotIp), "ARP");
        assert_eq!(bsd("01 02 d4 00"), Err(CUT));
        assert_eq!(etype(arcnet(&hex("01 02 0000 d4 00 0001 45"), 4)), Ok((etype::IPV4, 1)), "Linux");
    }
}
