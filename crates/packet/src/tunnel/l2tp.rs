//! Layer two tunnelling: PPP in version 2 (RFC 2661), pseudowires in version 3 (RFC 3931).

use super::{Found, Tunnel, TunnelKind, ethernet, ppp};
use crate::packet::blame;
use crate::pseudowire;
use crate::skip::Skip;
use crate::span::Span;

/// Bits of the first two octets: a control message; a length; a sequence number; an offset.
mod bit {
    pub(super) const CONTROL: u16 = 0x8000;
    pub(super) const LENGTH: u16 = 0x4000;
    pub(super) const SEQUENCE: u16 = 0x0800;
    pub(super) const OFFSET: u16 = 0x0200;
    pub(super) const VERSION: u16 = 0x000f;
}

pub(super) fn read_udp(payload: Span<'_>) -> Found<'_> {
    let (&[b0, b1], rest) = payload.split()?;
    let flags = u16::from_be_bytes([b0, b1]);
    match flags & bit::VERSION {
        2 => version_2(flags, rest),
        3 if flags & bit::CONTROL != 0 => Tunnel::some(TunnelKind::L2tpV3, None, Err(Skip::NotIp)),
        // Two reserved octets, then as over IP.
        3 => session(rest.skip(2)?),
        _ => Ok(None),
    }
}

/// Over IP, control messages have the session 0.
pub(super) fn read_ip(payload: Span<'_>) -> Found<'_> {
    session(payload)
}

/// The length of the message, tunnel, session, two sequence numbers, the size of padding and the padding:
/// most of them optional.
fn version_2(flags: u16, mut rest: Span<'_>) -> Found<'_> {
    if flags & bit::LENGTH != 0 {
        let (len, behind) = rest.split()?;
        // It counts from the flags on.
        rest = behind.upto(u32::from(u16::from_be_bytes(*len)).saturating_sub(4));
    }
    let (id, mut rest) = rest.split()?;
    let id = Some(u32::from_be_bytes(*id));
    if flags & bit::CONTROL != 0 {
        return Tunnel::some(TunnelKind::L2tp, id, Err(Skip::NotIp));
    }
    if flags & bit::SEQUENCE != 0 {
        rest = rest.skip(4)?;
    }
    if flags & bit::OFFSET != 0 {
        let (size, behind) = rest.split()?;
        rest = behind.skip(u16::from_be_bytes(*size).into())?;
    }
    Tunnel::some(TunnelKind::L2tp, id, ppp(rest))
}

/// The session, a cookie of 0, 4 or 8 octets, a sublayer of 0 or 4 octets, the frame.
///
/// The ends agree on the lengths; the packet does not say them. So the frame is where one is that makes
/// sense down to its IP header, and if there is none nothing is guessed.
fn session(payload: Span<'_>) -> Found<'_> {
    let (session, rest) = payload.split()?;
    let session = u32::from_be_bytes(*session);
    if session == 0 {
        return Tunnel::some(TunnelKind::L2tpV3, None, Err(Skip::NotIp));
    }
    let places = (0..=12).step_by(4).filter_map(|skipped| rest.data.get(skipped..));
    let inner = pseudowire::find(places)
        .map_err(|skip| blame(skip, rest.behind()))
        .and_then(|frame| ethernet(rest.skip(rest.data.len() - frame.len())?));
    Tunnel::some(TunnelKind::L2tpV3, Some(session), inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    const IP: &str = "45 00 0014 0000 0000 40 06 66e2 0a000001 0a000002";

    type Seen = Option<(TunnelKind, Option<u32>, Result<u32, Skip>)>;

    fn of(read: fn(Span<'_>) -> Found<'_>, text: &str) -> Seen {
        let bytes = hex(text);
        let found = read(Span::new(&bytes, bytes.len() as u32)).unwrap();
        found.map(|tunnel| (tunnel.kind, tunnel.id, tunnel.inner.map(|packet| packet.ip_len())))
    }

    #[test]
    fn version_2_with_and_without_options() {
        let id = Some(0x0007_0009);
        for header in [
            "0002 0007 0009",
            "4002 0020 0007 0009",
            "4802 0024 0007 0009 0001 0000",
            "0202 0007 0009 0004 ffffffff",
            "0202 0007 0009 0000",
        ] {
            let found = of(read_udp, &format!("{header} ff03 0021 {IP}"));
            assert_eq!(found, Some((TunnelKind::L2tp, id, Ok(20))), "{header}");
        }
        let control = of(read_udp, "c802 000c 0007 0000 0001 0001");
        assert_eq!(control, Some((TunnelKind::L2tp, Some(0x0007_0000), Err(Skip::NotIp))));
        assert_eq!(of(read_udp, "0001 0007 0009"), None, "layer two forwarding");
    }

    #[test]
    fn version_3_with_each_cookie() {
        let frame = format!("02000000000b 02000000000a 0800 {IP}");
        for cookie in ["", "11223344", "1122334455667788", "11223344556677880 0000000"] {
            let found = of(read_udp, &format!("0003 0000 00000005 {cookie} {frame}"));
            assert_eq!(found, Some((TunnelKind::L2tpV3, Some(5), Ok(20))), "{cookie}");
            let found = of(read_ip, &format!("00000005 {cookie} {frame}"));
            assert_eq!(found, Some((TunnelKind::L2tpV3, Some(5), Ok(20))), "{cookie}");
        }
        let nothing = Some((TunnelKind::L2tpV3, Some(5), Err(Skip::NotIp)));
        assert_eq!(of(read_ip, "00000005 0000000000000000000000000000"), nothing);
        assert_eq!(of(read_ip, "00000000 c803 0014"), Some((TunnelKind::L2tpV3, None, Err(Skip::NotIp))));
        assert_eq!(of(read_udp, "c803 000c 00000000"), Some((TunnelKind::L2tpV3, None, Err(Skip::NotIp))));
    }
}
