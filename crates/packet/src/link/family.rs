//! Headers that say what follows by an address family of the capturing system: loopback, packet filters.

use super::{CUT, Split};
use crate::encapsulation::etype;
use crate::skip::{Reason, Skip};

/// BSD loopback: the family in the byte order of the capturing host.
pub(super) fn null(frame: &[u8]) -> Split<'_> {
    let (family, rest) = frame.split_first_chunk().ok_or(CUT)?;
    either_order(*family, rest)
}

/// OpenBSD loopback: the family, big-endian.
pub(super) fn loopback(frame: &[u8]) -> Split<'_> {
    let (family, rest) = frame.split_first_chunk().ok_or(CUT)?;
    Ok((of_family(u32::from_be_bytes(*family)).ok_or(Skip::NotIp)?, rest))
}

/// OpenBSD's interface for IPsec: the family in the byte order of the capturing host, SPI, flags.
pub(super) fn enc(frame: &[u8]) -> Split<'_> {
    let (&[f0, f1, f2, f3, ..], rest) = frame.split_first_chunk::<12>().ok_or(CUT)?;
    either_order([f0, f1, f2, f3], rest)
}

/// The log of BSD's packet filter: its own length, the family, what the filter did; the whole padded to a
/// multiple of four octets.
pub(super) fn pflog(frame: &[u8]) -> Split<'_> {
    /// Up to the rule's number and the direction; versions differ in what follows.
    const MIN_LEN: usize = 45;
    let &[len, family, ..] = frame else { return Err(CUT) };
    if usize::from(len) < MIN_LEN {
        return Err(Skip::Undecodable(Reason::LinkHeader));
    }
    let rest = frame.get(usize::from(len).next_multiple_of(4)..).ok_or(CUT)?;
    Ok((of_family(family.into()).ok_or(Skip::NotIp)?, rest))
}

/// The log of Linux's packet filter: family, version, group; then values, each with its length, its type and
/// padding to a multiple of four octets. One of them is the packet.
pub(super) fn nflog(frame: &[u8]) -> Split<'_> {
    const PACKET: u16 = 9;
    let (&[family, version, ..], mut rest) = frame.split_first_chunk::<4>().ok_or(CUT)?;
    if version != 0 {
        return Err(Skip::NotIp);
    }
    let etype = of_family(family.into()).ok_or(Skip::NotIp)?;
    let is_little = is_little_endian(*rest.first_chunk().ok_or(CUT)?);
    let number = |octets| if is_little { u16::from_le_bytes(octets) } else { u16::from_be_bytes(octets) };
    loop {
        let (&[l0, l1, t0, t1], value) = rest.split_first_chunk::<4>().ok_or(CUT)?;
        let len = usize::from(number([l0, l1]));
        let Some(size) = len.checked_sub(4) else { return Err(Skip::Undecodable(Reason::LinkHeader)) };
        if number([t0, t1]) == PACKET {
            return Ok((etype, value.get(..size).unwrap_or(value)));
        }
        rest = value.get(size.next_multiple_of(4)..).ok_or(CUT)?;
    }
}

/// Lengths are in the byte order of the capturing host. The first value is short, so that its length is the
/// smaller one of both readings.
fn is_little_endian(len: [u8; 2]) -> bool {
    u16::from_le_bytes(len) <= u16::from_be_bytes(len)
}

/// No family has a number above 255, so the order of bytes can be seen.
fn either_order(family: [u8; 4], rest: &[u8]) -> Split<'_> {
    let etype = of_family(u32::from_le_bytes(family)).or_else(|| of_family(u32::from_be_bytes(family)));
    Ok((etype.ok_or(Skip::NotIp)?, rest))
}

/// The EtherType for an address family. IPv4 is 2 everywhere; each system has its own number for IPv6.
fn of_family(family: u32) -> Option<u16> {
    match family {
        2 => Some(etype::IPV4),
        10 // Linux
        | 23 // Windows
        | 24 // NetBSD, OpenBSD
        | 28 // FreeBSD, DragonFly
        | 30 // macOS
        => Some(etype::IPV6),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    fn etype(split: Split<'_>) -> Result<(u16, usize), Skip> {
        split.map(|(etype, rest)| (etype, rest.len()))
    }

    #[test]
    fn the_family_in_either_order() {
        for (frame, expected) in [
            ("02000000 45", Ok((etype::IPV4, 1))),
            ("00000002 45", Ok((etype::IPV4, 1))),
            ("0a000000 60", Ok((etype::IPV6, 1))),
            ("0000001c 60", Ok((etype::IPV6, 1))),
            ("1e000000 60", Ok((etype::IPV6, 1))),
            ("07000000 60", Err(Skip::NotIp)), // OSI
            ("020000", Err(CUT)),
        ] {
            assert_eq!(etype(null(&hex(frame))), expected, "{frame}");
        }
        assert_eq!(etype(loopback(&hex("02000000 45"))), Err(Skip::NotIp));
        assert_eq!(etype(loopback(&hex("00000018 60"))), Ok((etype::IPV6, 1)));
        assert_eq!(etype(enc(&hex("02000000 00001234 00000001 45"))), Ok((etype::IPV4, 1)));
    }

    #[test]
    fn the_log_of_pf() {
        let log = |len: u8, family: u8| [vec![len, family], vec![0; 62], vec![0x45]].concat();
        assert_eq!(etype(pflog(&log(61, 2))), Ok((etype::IPV4, 1)));
        assert_eq!(etype(pflog(&log(64, 24))), Ok((etype::IPV6, 1)));
        assert_eq!(etype(pflog(&log(61, 7))), Err(Skip::NotIp));
        assert_eq!(etype(pflog(&log(4, 2))), Err(Skip::Undecodable(Reason::LinkHeader)));
        assert_eq!(etype(pflog(&log(61, 2)[..60])), Err(CUT));
    }

    #[test]
    fn the_log_of_netfilter() {
        let little = "02 00 0005  0800 0100 0800 0100  0500 0a00 00 000000  0600 0900 4500";
        assert_eq!(etype(nflog(&hex(little))), Ok((etype::IPV4, 2)));
        let big = "0a 00 0005  0008 0001 0800 0100  0006 0009 6000";
        assert_eq!(etype(nflog(&hex(big))), Ok((etype::IPV6, 2)));
        assert_eq!(
            etype(nflog(&hex("02 00 0005  0300 0100 00"))),
            Err(Skip::Undecodable(Reason::LinkHeader))
        );
        assert_eq!(etype(nflog(&hex("02 00 0005  0800 0100 0800 0100"))), Err(CUT), "no packet");
        assert_eq!(etype(nflog(&hex("07 00 0005  0600 0900 4500"))), Err(Skip::NotIp), "from a bridge");
        assert_eq!(etype(nflog(&hex("02 01 0005  0600 0900 4500"))), Err(Skip::NotIp), "version 1");
    }
}
