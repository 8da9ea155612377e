//! Virtual networks of data centres, over UDP: VXLAN, VXLAN-GPE, Geneve.

use super::{Found, Tunnel, TunnelKind, ethernet, typed};
use crate::encapsulation::etype;
use crate::skip::Skip;
use crate::span::Span;

/// Ethernet as Geneve and GRE number it.
const BRIDGED: u16 = 0x6558;

/// Flags of VXLAN: the network's number is valid; the last reserved octet names what is carried.
const VALID: u8 = 0x08;
const PROTOCOL: u8 = 0x04;

/// VXLAN (RFC 7348): flags, three reserved octets, the network's number, a reserved octet, the frame.
pub(super) fn vxlan(payload: Span<'_>) -> Found<'_> {
    let (header, frame) = payload.split::<8>()?;
    if header[0] & VALID == 0 {
        return Ok(None);
    }
    Tunnel::some(TunnelKind::Vxlan, Some(network(*header)), ethernet(frame))
}

/// VXLAN-GPE (draft-ietf-nvo3-vxlan-gpe): as VXLAN, but the fourth octet may name what is carried.
pub(super) fn vxlan_gpe(payload: Span<'_>) -> Found<'_> {
    let (header, rest) = payload.split::<8>()?;
    if header[0] & VALID == 0 {
        return Ok(None);
    }
    let inner = match header[3] {
        _ if header[0] & PROTOCOL == 0 => ethernet(rest),
        1 => typed(etype::IPV4, rest),
        2 => typed(etype::IPV6, rest),
        3 => ethernet(rest),
        5 => typed(etype::MPLS, rest),
        _ => Err(Skip::NotIp),
    };
    Tunnel::some(TunnelKind::VxlanGpe, Some(network(*header)), inner)
}

/// Geneve (RFC 8926): two bits of version, the options' length in units of four octets; flags; EtherType;
/// the network's number; a reserved octet; the options.
pub(super) fn geneve(payload: Span<'_>) -> Found<'_> {
    let (header, rest) = payload.split::<8>()?;
    if header[0] >> 6 != 0 {
        return Ok(None);
    }
    let rest = rest.skip(usize::from(header[0] & 0x3f) * 4)?;
    let inner = match u16::from_be_bytes([header[2], header[3]]) {
        BRIDGED => ethernet(rest),
        ..etype::MIN_TYPE => Err(Skip::NotIp),
        etype => typed(etype, rest),
    };
    Tunnel::some(TunnelKind::Geneve, Some(network(*header)), inner)
}

/// The 24 bits in which all three have the network's number.
fn network(header: [u8; 8]) -> u32 {
    u32::from_be_bytes([0, header[4], header[5], header[6]])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skip::Reason;
    use crate::testing::hex;

    const IP: &str = "45 00 0014 0000 0000 40 06 0000 0a000001 0a000002";
    const FRAME: &str = "02000000000b 02000000000a 0800 45 00 0014 0000 0000 40 06 0000 0a000001 0a000002";

    type Seen = Option<(TunnelKind, Option<u32>, Result<u32, Skip>)>;

    fn of(read: fn(Span<'_>) -> Found<'_>, text: &str) -> Result<Seen, Skip> {
        let bytes = hex(text);
        let found = read(Span::new(&bytes, bytes.len() as u32))?;
        Ok(found.map(|tunnel| (tunnel.kind, tunnel.id, tunnel.inner.map(|packet| packet.ip_len()))))
    }

    #[test]
    fn vxlan_needs_its_flag() {
        let frame = of(vxlan, &format!("08 000000 00007b 00 {FRAME}"));
        assert_eq!(frame, Ok(Some((TunnelKind::Vxlan, Some(123), Ok(20)))));
        let policy = of(vxlan, &format!("88 000001 00007b 00 {FRAME}"));
        assert_eq!(policy, Ok(Some((TunnelKind::Vxlan, Some(123), Ok(20)))), "group policy");
        assert_eq!(of(vxlan, &format!("00 000000 00007b 00 {FRAME}")), Ok(None));
        assert_eq!(of(vxlan, "08 000000 0000"), Err(Skip::Undecodable(Reason::LinkCut)));
    }

    #[test]
    fn gpe_names_what_it_carries() {
        for (next, inner) in [("01", IP), ("03", FRAME), ("05", &format!("00064140 {IP}"))] {
            let found = of(vxlan_gpe, &format!("0c 0000 {next} 00007b 00 {inner}"));
            assert_eq!(found, Ok(Some((TunnelKind::VxlanGpe, Some(123), Ok(20)))), "{next}");
        }
        let found = of(vxlan_gpe, &format!("0c 0000 07 00007b 00 {IP}"));
        assert_eq!(found, Ok(Some((TunnelKind::VxlanGpe, Some(123), Err(Skip::NotIp)))));
    }

    #[test]
    fn geneve_has_options() {
        let found = of(geneve, &format!("00 00 6558 00007b 00 {FRAME}"));
        assert_eq!(found, Ok(Some((TunnelKind::Geneve, Some(123), Ok(20)))));
        let found = of(geneve, &format!("02 40 0800 00007b 00 0102 80 01 00000000 {IP}"));
        assert_eq!(found, Ok(Some((TunnelKind::Geneve, Some(123), Ok(20)))));
        assert_eq!(of(geneve, "3f 00 6558 00007b 00 0000"), Err(Skip::Undecodable(Reason::LinkCut)));
        assert_eq!(of(geneve, &format!("40 00 6558 00007b 00 {FRAME}")), Ok(None), "version 1");
    }
}
