//! What holds for every frame, whatever its bytes are. Used by tests and by the fuzzer.

use std::net::IpAddr;

use rpmacct_packet::{Class, Layer, LinkType, Packet, Skip, TunnelKind, TunnelRule, limits};

/// Decodes a frame, calls every accessor, and checks what must hold for all packets.
pub(crate) fn check(link: LinkType, frame: &[u8], wire_len: u32) {
    assert!(link.is_supported());
    let is_whole = wire_len as usize <= frame.len();
    match Packet::decode(link, frame, wire_len) {
        Ok(packet) => {
            assert!(packet.is_ip());
            check_packet(&packet, frame, is_whole);
            assert!(Packet::decode_any(link, frame, wire_len).is_ok_and(|any| any.is_ip()));
        }
        Err(Skip::NotIp) => {
            let any = Packet::decode_any(link, frame, wire_len).expect("what is not IP is a frame");
            check_other(&any);
        }
        Err(Skip::Undecodable(reason)) => {
            // Of a frame that is whole nothing was cut.
            assert!(!is_whole || reason.class() != Class::Cut, "{link}: {reason}");
            assert_eq!(Packet::decode_any(link, frame, wire_len).err(), Some(reason));
        }
    }
}

fn check_packet(packet: &Packet<'_>, frame: &[u8], is_whole: bool) {
    let (octets, header) = if packet.is_ipv6() { (16, 40) } else { (4, 20) };
    assert_eq!((packet.src_octets().len(), packet.dst_octets().len()), (octets, octets));
    assert_eq!(packet.src_ip().map(|ip| matches!(ip, IpAddr::V6(_))), Some(packet.is_ipv6()));
    assert!(packet.dst_ip().is_some());
    assert!(packet.ip_len() >= header);
    assert!(packet.network().len() as u32 <= packet.ip_len());
    assert_eq!(packet.etype(), if packet.is_ipv6() { 0x86dd } else { 0x0800 });
    assert_eq!(packet.flow_label().is_some(), packet.is_ipv6());
    assert!(packet.flow_label().is_none_or(|label| label < 1 << 20));
    assert!(std::ptr::eq(packet.frame().as_ptr_range().end, frame.as_ptr_range().end) || !frame.is_empty());

    let later = packet.fragment().is_some_and(|fragment| !fragment.is_first());
    assert!(!later || (packet.transport().is_none() && !packet.is_cut() && packet.tunnel().is_none()));
    assert!(!packet.is_cut() || (packet.ports().is_none() && packet.tcp_flags().is_none()));
    assert!(!is_whole || !packet.is_cut());
    // The receiver's address comes with the sender's, or not at all.
    assert!(packet.dst_mac().is_none() || packet.src_mac().is_some());
    check_link(packet);
    check_tunnels(packet, is_whole);
    // Formatting reads the rest.
    assert!(!format!("{packet:?} {}", packet.tos()).is_empty());
}

fn check_link(packet: &Packet<'_>) {
    assert!(packet.vlan().is_some() || packet.inner_vlan().is_none());
    assert!(packet.vlan().is_none_or(|tag| tag.id < 4096 && tag.cos < 8));
    let labels = packet.mpls();
    assert!(labels.len() <= limits::MAX_LABELS);
    assert_eq!((labels.iter().next(), labels.iter().last()), (labels.top(), labels.bottom()));
    assert!(labels.iter().len() == labels.len() && labels.iter().all(|label| label < 1 << 20));
    let frame = packet.frame();
    assert_eq!(packet.layer(Layer::Packet), Some(frame));
    assert_eq!(packet.layer(Layer::Vlan).is_some(), packet.vlan().is_some());
    assert_eq!(packet.layer(Layer::Mpls).is_some(), !labels.is_empty());
    assert_eq!(packet.layer(Layer::L4), packet.transport());
    for layer in [Layer::Mac, Layer::Vlan, Layer::Mpls] {
        assert!(packet.layer(layer).is_none_or(|bytes| frame.ends_with(bytes)), "{layer:?}");
    }
    let l4 = packet.layer(Layer::L4).unwrap_or_default();
    assert!(packet.layer(Layer::Payload).is_none_or(|bytes| l4.ends_with(bytes)));
}

fn check_tunnels(packet: &Packet<'_>, is_whole: bool) {
    let mut outer = *packet;
    let mut depth = 0;
    for tunnel in packet.tunnels() {
        depth += 1;
        match tunnel.inner {
            Ok(inner) => {
                assert!(inner.is_ip());
                assert!(inner.frame().len() < outer.network().len(), "{}", tunnel.kind);
                check_link(&inner);
                outer = inner;
            }
            Err(Skip::NotIp) => {}
            // What was not captured was cut, what was not there was not.
            Err(Skip::Undecodable(reason)) => assert!(!is_whole || reason.class() != Class::Cut, "{reason}"),
        }
        // There is a rule for every tunnel, and it finds it.
        let rule = TunnelRule { kind: tunnel.kind, port: None };
        assert!(depth > 1 || packet.tunnel_at(&rule).is_some(), "{}", tunnel.kind);
    }
    assert!(depth <= limits::MAX_TUNNELS);
    let rules: Vec<_> = TunnelKind::ALL.iter().map(|&kind| TunnelRule { kind, port: None }).collect();
    let within = packet.within(&rules);
    assert_eq!(within.is_some(), packet.tunnel().is_some_and(|tunnel| tunnel.inner.is_ok()));
    assert!(within.is_none_or(|within| within.network().as_ptr() == outer.network().as_ptr()));
    // Any port may be named.
    for &kind in TunnelKind::ALL.iter().filter(|kind| kind.ports().next().is_some()) {
        let port = packet.ports().map(|(_, to)| to);
        assert!(packet.tunnel_at(&TunnelRule { kind, port }).is_none_or(|tunnel| tunnel.kind.is(kind)));
    }
}

fn check_other(packet: &Packet<'_>) {
    assert!(!packet.is_ip() && !packet.is_ipv6());
    assert_eq!((packet.src_ip(), packet.dst_ip(), packet.fragment()), (None, None, None));
    assert_eq!((packet.ports(), packet.tcp_flags(), packet.flow_label()), (None, None, None));
    assert_eq!((packet.proto(), packet.tos(), packet.is_cut()), (0, 0, false));
    assert!(packet.transport().is_none() && packet.tunnel().is_none());
    check_link(packet);
}
