//! Generic routing encapsulation and what was made of it: NVGRE, ERSPAN, PPTP.

use super::{Found, Tunnel, TunnelKind, ethernet, ppp, typed};
use crate::encapsulation::etype;
use crate::skip::Skip;
use crate::span::Span;

/// The bits of the header's first two octets (RFC 2784, RFC 2890; the routing bit: RFC 1701; the
/// acknowledgement bit: RFC 2637).
mod bit {
    pub(super) const CHECKSUM: u16 = 0x8000;
    pub(super) const ROUTING: u16 = 0x4000;
    pub(super) const KEY: u16 = 0x2000;
    pub(super) const SEQUENCE: u16 = 0x1000;
    pub(super) const ACKNOWLEDGEMENT: u16 = 0x0080;
    pub(super) const VERSION: u16 = 0x0007;
}

/// What GRE carries that Ethernet does not.
mod proto {
    /// Ethernet.
    pub(super) const BRIDGED: u16 = 0x6558;
    pub(super) const PPP: u16 = 0x880b;
    pub(super) const ERSPAN: u16 = 0x88be;
    pub(super) const ERSPAN_III: u16 = 0x22eb;
    /// Web cache redirection.
    pub(super) const WCCP: u16 = 0x883e;
}

pub(super) fn read(packet: Span<'_>) -> Found<'_> {
    let (&[b0, b1, p0, p1], options) = packet.split()?;
    let (flags, protocol) = (u16::from_be_bytes([b0, b1]), u16::from_be_bytes([p0, p1]));
    match flags & bit::VERSION {
        0 => version_0(flags, protocol, options),
        1 if protocol == proto::PPP => pptp(flags, options),
        _ => Ok(None),
    }
}

fn version_0(flags: u16, protocol: u16, mut rest: Span<'_>) -> Found<'_> {
    if flags & (bit::CHECKSUM | bit::ROUTING) != 0 {
        rest = rest.skip(4)?;
    }
    let key = take_number(flags & bit::KEY != 0, &mut rest)?;
    if flags & bit::SEQUENCE != 0 {
        rest = rest.skip(4)?;
    }
    if flags & bit::ROUTING != 0 {
        rest = behind_routes(rest)?;
    }
    match protocol {
        // RFC 7637: a key, of which 24 bits are the network's number, and neither checksum nor sequence.
        proto::BRIDGED if flags == bit::KEY => {
            Tunnel::some(TunnelKind::Nvgre, key.map(|key| key >> 8), ethernet(rest))
        }
        proto::BRIDGED => Tunnel::some(TunnelKind::Gre, key, ethernet(rest)),
        proto::PPP => Tunnel::some(TunnelKind::Gre, key, ppp(rest)),
        // Type I has no header of its own and does not count its packets.
        proto::ERSPAN if flags & bit::SEQUENCE == 0 => Tunnel::some(TunnelKind::Erspan, None, ethernet(rest)),
        proto::ERSPAN | proto::ERSPAN_III => erspan(rest),
        // Version 2 has four octets before the packet.
        proto::WCCP if rest.data.first().is_some_and(|octet| octet >> 4 != 4) => {
            Tunnel::some(TunnelKind::Gre, key, typed(etype::IPV4, rest.skip(4)?))
        }
        proto::WCCP => Tunnel::some(TunnelKind::Gre, key, typed(etype::IPV4, rest)),
        ..etype::MIN_TYPE => Tunnel::some(TunnelKind::Gre, key, Err(Skip::NotIp)),
        etype => Tunnel::some(TunnelKind::Gre, key, typed(etype, rest)),
    }
}

/// Version 1 (RFC 2637): the key is the payload's length and the call; packets that carry data have a
/// sequence number.
fn pptp(flags: u16, rest: Span<'_>) -> Found<'_> {
    let (&[l0, l1, c0, c1], mut rest) = rest.split()?;
    let call = Some(u32::from(u16::from_be_bytes([c0, c1])));
    if flags & bit::SEQUENCE == 0 {
        return Tunnel::some(TunnelKind::Pptp, call, Err(Skip::NotIp));
    }
    rest = rest.skip(4)?;
    if flags & bit::ACKNOWLEDGEMENT != 0 {
        rest = rest.skip(4)?;
    }
    Tunnel::some(TunnelKind::Pptp, call, ppp(rest.upto(u16::from_be_bytes([l0, l1]).into())))
}

/// Types II and III of draft-foschiano-erspan: four bits of version, 12 of VLAN, 6 of other fields, 10 of
/// session; then four octets in type II, and eight in type III whose last bit announces eight more.
fn erspan(rest: Span<'_>) -> Found<'_> {
    let (&[version, _, s0, s1], rest) = rest.split()?;
    let session = Some(u32::from(u16::from_be_bytes([s0, s1]) & 0x03ff));
    let frame = match version >> 4 {
        1 => rest.skip(4)?,
        2 => {
            let (header, frame) = rest.split::<8>()?;
            if header[7] & 1 == 1 { frame.skip(8)? } else { frame }
        }
        _ => return Tunnel::some(TunnelKind::Erspan, None, Err(Skip::NotIp)),
    };
    Tunnel::some(TunnelKind::Erspan, session, ethernet(frame))
}

/// The four octets that `rest` begins with, if `present`.
fn take_number(present: bool, rest: &mut Span<'_>) -> Result<Option<u32>, Skip> {
    if !present {
        return Ok(None);
    }
    let (number, behind) = rest.split()?;
    *rest = behind;
    Ok(Some(u32::from_be_bytes(*number)))
}

/// Skips source routes (RFC 1701): address family, offset, length, and so many octets. The last one has
/// length 0. Each has four octets at least, so that the packet's length limits their number.
fn behind_routes(mut rest: Span<'_>) -> Result<Span<'_>, Skip> {
    loop {
        let (&[.., len], behind) = rest.split::<4>()?;
        rest = behind.skip(len.into())?;
        if len == 0 {
            return Ok(rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skip::Reason;
    use crate::testing::hex;

    const IP: &str = "45 00 0014 0000 0000 40 06 0000 0a000001 0a000002";
    const MACS: &str = "02000000000b 02000000000a";

    fn of(text: &str) -> (TunnelKind, Option<u32>, Result<u32, Skip>) {
        let bytes = hex(text);
        let tunnel = read(Span::new(&bytes, bytes.len() as u32)).unwrap().unwrap();
        (tunnel.kind, tunnel.id, tunnel.inner.map(|packet| packet.ip_len()))
    }

    #[test]
    fn each_optional_field_is_skipped() {
        assert_eq!(of(&format!("0000 0800 {IP}")), (TunnelKind::Gre, None, Ok(20)));
        assert_eq!(of(&format!("8000 0800 1234 0000 {IP}")), (TunnelKind::Gre, None, Ok(20)));
        assert_eq!(of(&format!("2000 0800 00000007 {IP}")), (TunnelKind::Gre, Some(7), Ok(20)));
        assert_eq!(
            of(&format!("b000 0800 1234 0000 00000007 00000001 {IP}")),
            (TunnelKind::Gre, Some(7), Ok(20))
        );
        let routed = format!("4000 0800 0000 0000 0800 00 04 0a000003 0000 00 00 {IP}");
        assert_eq!(of(&routed), (TunnelKind::Gre, None, Ok(20)));
    }

    #[test]
    fn what_is_carried() {
        assert_eq!(of(&format!("0000 6558 {MACS} 0800 {IP}")), (TunnelKind::Gre, None, Ok(20)));
        assert_eq!(
            of(&format!("2000 6558 00123456 {MACS} 0800 {IP}")),
            (TunnelKind::Nvgre, Some(0x1234), Ok(20))
        );
        assert_eq!(of(&format!("3000 6558 00123456 00000001 {MACS} 0800 {IP}")).0, TunnelKind::Gre);
        assert_eq!(of(&format!("0000 8847 00064140 {IP}")), (TunnelKind::Gre, None, Ok(20)));
        assert_eq!(of(&format!("0000 880b 0021 {IP}")), (TunnelKind::Gre, None, Ok(20)));
        assert_eq!(of(&format!("0000 883e {IP}")), (TunnelKind::Gre, None, Ok(20)));
        assert_eq!(of(&format!("0000 883e 00000000 {IP}")), (TunnelKind::Gre, None, Ok(20)));
        assert_eq!(of("0000 2000 0200"), (TunnelKind::Gre, None, Err(Skip::NotIp)), "Cisco discovery");
        assert_eq!(of("0000 0000"), (TunnelKind::Gre, None, Err(Skip::NotIp)), "keepalive");
        let short = Err(Skip::Undecodable(Reason::IpShort));
        assert_eq!(of("0000 0800 4500"), (TunnelKind::Gre, None, short));
        assert_eq!(
            read(Span::new(&hex("0002 0800"), 4)).unwrap().map(|tunnel| tunnel.kind),
            None,
            "version 2"
        );
    }

    #[test]
    fn pptp_has_data_only_with_a_sequence_number() {
        let data = format!("3001 880b 0018 0007 00000001 ff03 0021 {IP} ffff");
        assert_eq!(of(&data), (TunnelKind::Pptp, Some(7), Ok(20)));
        let acknowledged = format!("3081 880b 0018 0007 00000001 00000002 ff03 0021 {IP}");
        assert_eq!(of(&acknowledged), (TunnelKind::Pptp, Some(7), Ok(20)));
        assert_eq!(of("2081 880b 0000 0007 00000002"), (TunnelKind::Pptp, Some(7), Err(Skip::NotIp)));
    }

    #[test]
    fn erspan_of_three_types() {
        assert_eq!(of(&format!("0000 88be {MACS} 0800 {IP}")), (TunnelKind::Erspan, None, Ok(20)));
        let ii = format!("1000 88be 00000001 1005 1064 00000000 {MACS} 0800 {IP}");
        assert_eq!(of(&ii), (TunnelKind::Erspan, Some(100), Ok(20)));
        let iii = format!("1000 22eb 00000001 2005 0064 00000000 0000 0000 {MACS} 0800 {IP}");
        assert_eq!(of(&iii), (TunnelKind::Erspan, Some(100), Ok(20)));
        let more =
            format!("1000 22eb 00000001 2005 0064 00000000 0000 0001 0000000000000000 {MACS} 0800 {IP}");
        assert_eq!(of(&more), (TunnelKind::Erspan, Some(100), Ok(20)));
    }
}
