//! Teredo (RFC 4380): IPv6 through address translation.

use super::{Found, Tunnel, TunnelKind, typed};
use crate::encapsulation::etype;
use crate::span::Span;

/// The packet may follow an authentication header, and an origin indication: port and address, veiled.
pub(super) fn read(payload: Span<'_>) -> Found<'_> {
    let mut rest = payload;
    // The first octet of both is zero, which no version is.
    while rest.data.first() == Some(&0) {
        let (indicator, _) = rest.split()?;
        rest = match indicator {
            // The lengths of the client's name and of the authentication value; then both, a nonce of eight
            // octets, and a confirmation.
            [0, 1] => {
                let (&[_, _, name, value], behind) = rest.split()?;
                behind.skip(usize::from(name) + usize::from(value) + 9)?
            }
            [0, 0] => rest.skip(8)?,
            _ => return Ok(None),
        };
    }
    match rest.data.first().map(|octet| octet >> 4) {
        Some(6) | None => Tunnel::some(TunnelKind::Teredo, None, typed(etype::IPV6, rest)),
        Some(_) => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    #[test]
    fn headers_before_the_packet() {
        let packet = "60000000 0000 3b 40 20010db8000000000000000000000001 20010db8000000000000000000000002";
        let nonce = "0102030405060708";
        for before in [
            "",
            "0000 bc93 f5fffffe",
            &format!("0001 00 00 {nonce} 00"),
            &format!("0001 02 03 6162 010203 {nonce} 00"),
            &format!("0001 00 00 {nonce} 00 0000 bc93 f5fffffe"),
        ] {
            let bytes = hex(&format!("{before} {packet}"));
            let tunnel = read(Span::new(&bytes, bytes.len() as u32)).unwrap().unwrap();
            assert_eq!((tunnel.kind, tunnel.inner.unwrap().ip_len()), (TunnelKind::Teredo, 40), "{before}");
        }
        assert!(read(Span::new(&hex("4500"), 2)).unwrap().is_none());
    }
}
