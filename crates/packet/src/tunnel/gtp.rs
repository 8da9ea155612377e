//! The tunnels of mobile networks: GTP-U of version 1 (3GPP TS 29.281), and of version 0.

use super::{Found, Tunnel, TunnelKind, ip_by_version};
use crate::skip::Skip;
use crate::span::Span;

/// A subscriber's packet; all other messages are the tunnel's own.
const PACKET: u8 = 0xff;

/// Flags of version 1: an extension header, a sequence number, an N-PDU number. The octets of all three are
/// there if any of them is.
const OPTIONAL: u8 = 0x07;
/// This is GTP, not its relative for charging.
const GTP: u8 = 0x10;

pub(super) fn read(payload: Span<'_>) -> Found<'_> {
    let (&[flags, message, l0, l1], rest) = payload.split()?;
    if flags & GTP == 0 {
        return Ok(None);
    }
    let len = u32::from(u16::from_be_bytes([l0, l1]));
    match flags >> 5 {
        0 => version_0(message, len, rest),
        1 => version_1(flags, message, len, rest),
        _ => Ok(None),
    }
}

/// Sequence, flow label, four more octets, and eight that identify the tunnel by its subscriber. `len`
/// counts from there.
fn version_0(message: u8, len: u32, rest: Span<'_>) -> Found<'_> {
    let packet = rest.skip(16)?.upto(len);
    let inner = if message == PACKET { ip_by_version(packet) } else { Err(Skip::NotIp) };
    Tunnel::some(TunnelKind::Gtp, None, inner)
}

/// The tunnel's number, from behind which `len` counts; the optional octets; extension headers.
fn version_1(flags: u8, message: u8, len: u32, rest: Span<'_>) -> Found<'_> {
    let (teid, rest) = rest.split()?;
    let teid = Some(u32::from_be_bytes(*teid));
    if message != PACKET {
        return Tunnel::some(TunnelKind::Gtp, teid, Err(Skip::NotIp));
    }
    let mut rest = rest.upto(len);
    if flags & OPTIONAL != 0 {
        let (&[_, _, _, mut next], behind) = rest.split()?;
        rest = behind;
        // Each takes four octets at least, so that the packet's length limits their number.
        while next != 0 {
            let (&[units], _) = rest.split()?;
            // A length of zero is an error; going on would be forever.
            let size = usize::from(units.max(1)) * 4;
            let behind = rest.skip(size)?;
            next = rest.data[size - 1];
            rest = behind;
        }
    }
    Tunnel::some(TunnelKind::Gtp, teid, ip_by_version(rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::skip::Reason;
    use crate::testing::hex;

    const IP: &str = "45 00 0014 0000 0000 40 06 0000 0a000001 0a000002";
    const IP6: &str = "60000000 0000 3b 40 20010db8000000000000000000000001 20010db8000000000000000000000002";

    type Seen = Option<(Option<u32>, Result<u32, Skip>)>;

    fn of(text: &str) -> Result<Seen, Skip> {
        let bytes = hex(text);
        let found = read(Span::new(&bytes, bytes.len() as u32))?;
        Ok(found.map(|tunnel| (tunnel.id, tunnel.inner.map(|packet| packet.ip_len()))))
    }

    #[test]
    fn version_1_with_and_without_options() {
        assert_eq!(of(&format!("30 ff 0014 00000007 {IP}")), Ok(Some((Some(7), Ok(20)))));
        assert_eq!(of(&format!("30 ff 0028 00000007 {IP6}")), Ok(Some((Some(7), Ok(40)))));
        assert_eq!(of(&format!("32 ff 0018 00000007 0001 00 00 {IP}")), Ok(Some((Some(7), Ok(20)))));
        let extended = format!("34 ff 0020 00000007 0000 00 85  01 1009 c0  01 0000 00 {IP}");
        assert_eq!(of(&extended), Ok(Some((Some(7), Ok(20)))));
    }

    #[test]
    fn other_messages_carry_nothing() {
        assert_eq!(
            of("32 01 0004 00000000 0001 00 00"),
            Ok(Some((Some(0), Err(Skip::NotIp)))),
            "echo request"
        );
        assert_eq!(of("30 ff 0003 00000007 020304"), Ok(Some((Some(7), Err(Skip::NotIp)))));
        assert_eq!(of("20 ff 0000 00000007"), Ok(None), "charging");
        assert_eq!(of("50 ff 0000 00000007"), Ok(None), "version 2");
        assert_eq!(of("34 ff 0008 00000007 0000 00 85 05 1009"), Err(Skip::Undecodable(Reason::LinkCut)));
        assert_eq!(
            of("34 ff 0008 00000007 0000 00 85 00 0000 00"),
            Ok(Some((Some(7), Err(Skip::Undecodable(Reason::IpShort)))))
        );
    }

    #[test]
    fn version_0() {
        let header = "0000 0000 00 ffffff 2143658709214365";
        assert_eq!(of(&format!("1e ff 0014 {header} {IP}")), Ok(Some((None, Ok(20)))));
        assert_eq!(of(&format!("1e 01 0000 {header}")), Ok(Some((None, Err(Skip::NotIp)))));
    }
}
