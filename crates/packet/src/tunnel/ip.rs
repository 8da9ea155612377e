//! What the IP protocol number announces, and ESP in UDP, which once was one.

use super::{Found, Tunnel, TunnelKind, ethernet, gre, l2tp, typed};
use crate::encapsulation::etype;
use crate::ip::protocol;
use crate::skip::{Reason, Skip};
use crate::span::Span;

/// What an IP packet of protocol `proto` carries, if it is a tunnel.
pub(super) fn read(is_ipv6: bool, proto: u8, payload: Span<'_>) -> Option<Tunnel<'_>> {
    let (kind, found) = match proto {
        protocol::IPV4 => {
            let kind = if is_ipv6 { TunnelKind::FourInSix } else { TunnelKind::IpIp };
            (kind, Tunnel::some(kind, None, typed(etype::IPV4, payload)))
        }
        protocol::IPV6 => {
            let kind = if is_ipv6 { TunnelKind::SixInSix } else { TunnelKind::SixInFour };
            (kind, Tunnel::some(kind, None, typed(etype::IPV6, payload)))
        }
        protocol::GRE => (TunnelKind::Gre, gre::read(payload)),
        protocol::ETHERIP => (TunnelKind::EtherIp, etherip(payload)),
        protocol::MPLS => (TunnelKind::MplsInIp, mpls(payload)),
        protocol::L2TP => (TunnelKind::L2tpV3, l2tp::read_ip(payload)),
        _ => return None,
    };
    Tunnel::found(kind, payload, found)
}

/// EtherIP (RFC 3378): version 3 in four bits, twelve reserved ones, the frame.
fn etherip(payload: Span<'_>) -> Found<'_> {
    let (&[version, _], frame) = payload.split()?;
    if version >> 4 == 3 { Tunnel::some(TunnelKind::EtherIp, None, ethernet(frame)) } else { Ok(None) }
}

/// MPLS in IP (RFC 4023) and in UDP (RFC 7510): the label stack at once.
pub(super) fn mpls(payload: Span<'_>) -> Found<'_> {
    Tunnel::some(TunnelKind::MplsInIp, None, typed(etype::MPLS, payload))
}

/// What goes to the port of address translation for IPsec (RFC 3947, RFC 3948): ESP, whose number is never
/// zero; key exchange behind a zero; or a single octet that keeps the translation alive.
pub(super) fn esp_udp(payload: Span<'_>) -> Found<'_> {
    if payload.data.len() == 1 && payload.behind() == 0 {
        return Tunnel::some(TunnelKind::EspUdp, None, Err(Skip::NotIp));
    }
    let (spi, _) = payload.split()?;
    match u32::from_be_bytes(*spi) {
        0 => Tunnel::some(TunnelKind::Ike, None, Err(Skip::NotIp)),
        spi => Tunnel::some(TunnelKind::EspUdp, Some(spi), Err(Skip::Undecodable(Reason::Encrypted))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    fn of(found: Found<'_>) -> (TunnelKind, Option<u32>, Option<Skip>) {
        let tunnel = found.unwrap().unwrap();
        (tunnel.kind, tunnel.id, tunnel.inner.err())
    }

    #[test]
    fn what_shares_the_port_of_esp() {
        let encrypted = Some(Skip::Undecodable(Reason::Encrypted));
        let udp = |bytes: &[u8], len| of(esp_udp(Span::new(bytes, len)));
        assert_eq!(udp(&hex("deadbeef 00000001"), 100), (TunnelKind::EspUdp, Some(0xdead_beef), encrypted));
        assert_eq!(udp(&hex("00000000 0102030405060708"), 100), (TunnelKind::Ike, None, Some(Skip::NotIp)));
        assert_eq!(udp(&[0xff], 1), (TunnelKind::EspUdp, None, Some(Skip::NotIp)), "keeps alive");
        assert_eq!(esp_udp(Span::new(&[0xff], 100)).unwrap_err(), Skip::Undecodable(Reason::LinkCut));
    }
}
