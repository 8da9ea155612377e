//! Each link type with each header around, each tunnel, each kind of packet: built, cut, decoded, compared with
//! what it was built from.

#[path = "support/build.rs"]
mod build;
#[path = "support/invariants.rs"]
mod invariants;

use build::{AROUND, Around, Build, CARRIED, Carried, Facts, WAYS, Way, packet};
use proptest::prelude::*;
use rpmacct_packet::{Class, LinkType, Packet, Skip, TunnelKind, limits};

/// Decodes `frame`, of which the capture has all or less, and compares.
#[track_caller]
fn compare(what: &dyn Fn() -> String, link: LinkType, frame: &[u8], captured: usize, built: &Build) {
    let data = &frame[..captured];
    match Packet::decode(link, data, frame.len() as u32) {
        Ok(packet) => {
            compare_link(what, link, &packet, built);
            compare_packets(what, frame.len() - captured, packet, built);
        }
        Err(Skip::Undecodable(reason)) => {
            assert!(captured < frame.len(), "{}: {reason}", what());
            assert_eq!(reason.class(), Class::Cut, "{} cut at {captured}: {reason}", what());
        }
        Err(Skip::NotIp) => panic!("{} cut at {captured}: not IP", what()),
    }
    invariants::check(link, data, frame.len() as u32);
    invariants::check(link, data, 0);
}

#[track_caller]
fn compare_link(what: &dyn Fn() -> String, link: LinkType, packet: &Packet<'_>, built: &Build) {
    assert_eq!((packet.src_mac(), packet.dst_mac()), Build::macs(link), "{}", what());
    let tags = [packet.vlan(), packet.inner_vlan()];
    assert_eq!(tags, [built.vlans.first().copied(), built.vlans.get(1).copied()], "{}", what());
    assert_eq!(packet.mpls().iter().collect::<Vec<_>>(), built.labels, "{}", what());
}

/// Compares the outermost packet, then those within, as far as the capture of a frame that lacks its last
/// `missing` octets has them.
#[track_caller]
fn compare_packets(what: &dyn Fn() -> String, missing: usize, outermost: Packet<'_>, built: &Build) {
    let mut packet = outermost;
    for (depth, facts) in built.packets.iter().enumerate() {
        compare_facts(&|| format!("{}, packet {depth}, {missing} missing", what()), missing, &packet, facts);
        let tunnel = packet.tunnel();
        let Some(&(kind, id)) = built.tunnels.get(depth) else {
            assert!(tunnel.is_none(), "{}: {tunnel:?}", what());
            return;
        };
        let Some(tunnel) = tunnel else {
            // Without the whole UDP header it is not known what follows.
            let captured = facts.behind_headers.saturating_sub(missing);
            assert!(facts.proto == 17 && captured < 8, "{}: no tunnel, {missing} missing", what());
            return;
        };
        match tunnel.inner {
            Ok(inner) => {
                assert_eq!((tunnel.kind, tunnel.id), (kind, id), "{}", what());
                packet = inner;
            }
            Err(Skip::Undecodable(reason)) if reason.class() == Class::Cut => {
                assert!(missing > 0, "{}: {reason}", what());
                // What is special about it may have been cut.
                assert!(kind.is(tunnel.kind) || tunnel.kind == TunnelKind::L2tp, "{}: {tunnel:?}", what());
                return;
            }
            Err(skip) => panic!("{}: {kind} with {missing} missing: {skip}", what()),
        }
    }
}

#[track_caller]
fn compare_facts(what: &dyn Fn() -> String, missing: usize, packet: &Packet<'_>, facts: &Facts) {
    assert_eq!((packet.src_ip(), packet.dst_ip()), (Some(facts.src), Some(facts.dst)), "{}", what());
    assert_eq!((packet.ip_len(), packet.tos()), (facts.len, facts.tos), "{}", what());
    let Some(captured) = facts.behind_headers.checked_sub(missing) else {
        // The fragment header of IPv6, which says the protocol, is cut.
        assert!(packet.ports().is_none() && packet.transport().is_none(), "{}", what());
        return;
    };
    assert_eq!((packet.proto(), packet.fragment()), (facts.proto, facts.fragment), "{}", what());
    let ports = facts.ports.filter(|_| captured >= 4);
    assert_eq!(packet.ports(), ports, "{}", what());
    assert_eq!(packet.is_cut(), facts.ports.is_some() && ports.is_none(), "{}", what());
    assert_eq!(packet.tcp_flags(), facts.flags.filter(|_| captured >= facts.needed), "{}", what());
}

/// All packets of both versions, whatever they carry.
fn packets() -> impl Iterator<Item = (bool, Carried, Build)> {
    let both = CARRIED.into_iter().flat_map(|carried| [(false, carried), (true, carried)]);
    both.map(|(is_v6, carried)| (is_v6, carried, packet(is_v6, carried, 1)))
}

#[test]
fn each_link_type_with_each_header_around_each_packet_cut_at_every_octet() {
    let mut met = 0;
    for &link in LinkType::supported() {
        let mut of_link = 0;
        for around in AROUND {
            for (is_v6, carried, packet) in packets() {
                let Some(built) = packet.around(around) else { continue };
                let Some(frame) = built.on(link) else { continue };
                let what = || format!("{link}, {around:?}, IPv6 {is_v6}, {carried:?}");
                for captured in 0..=frame.len() {
                    compare(&what, link, &frame, captured, &built);
                }
                of_link += 1;
            }
        }
        assert!(of_link > 0, "{link}: nothing was built");
        met += of_link;
    }
    assert!(met > 3000, "{met}");
}

#[test]
fn each_tunnel_of_both_versions_with_each_packet_cut_at_every_octet() {
    let mut met = Vec::new();
    for way in WAYS {
        for (inner_is_v6, carried, packet) in packets() {
            for (around, is_v6) in [Around::Nothing, Around::Vlan, Around::Label]
                .into_iter()
                .flat_map(|a| [(a, false), (a, true)])
            {
                let built = packet.clone().around(around).and_then(|inner| inner.through(way, is_v6, 2));
                let Some(built) = built else { continue };
                let frame = built.on(LinkType::ETHERNET).unwrap();
                let what = || format!("{way:?} of IPv6 {is_v6}, {around:?}, IPv6 {inner_is_v6}, {carried:?}");
                for captured in 0..=frame.len() {
                    compare(&what, LinkType::ETHERNET, &frame, captured, &built);
                }
                met.push(built.tunnels[0].0);
            }
        }
    }
    let hidden = [TunnelKind::EspUdp, TunnelKind::Ike];
    for kind in TunnelKind::ALL.iter().filter(|kind| !hidden.contains(kind)) {
        assert!(met.contains(kind), "{kind}");
    }
}

#[test]
fn each_link_type_with_each_header_around_each_tunnel() {
    for &link in LinkType::supported() {
        for (around, way) in AROUND.into_iter().flat_map(|around| WAYS.map(|way| (around, way))) {
            for (inner_is_v6, is_v6) in [(false, false), (false, true), (true, false), (true, true)] {
                let inner = packet(inner_is_v6, Carried::Tcp, 1);
                let built = inner.through(way, is_v6, 2).and_then(|outer| outer.around(around));
                let Some(built) = built else { continue };
                let Some(frame) = built.on(link) else { continue };
                let what = || format!("{link}, {around:?}, {way:?} of IPv6 {is_v6}, IPv6 {inner_is_v6}");
                compare(&what, link, &frame, frame.len(), &built);
            }
        }
    }
}

#[test]
fn tunnels_end_at_the_limit() {
    let mut built = packet(false, Carried::Tcp, 1);
    for depth in 0..=limits::MAX_TUNNELS as u8 {
        built = built.through(Way::Gre, false, 2 + depth).unwrap();
    }
    let frame = built.on(LinkType::ETHERNET).unwrap();
    let packet = Packet::decode(LinkType::ETHERNET, &frame, frame.len() as u32).unwrap();
    assert_eq!(packet.tunnels().count(), limits::MAX_TUNNELS);
    let within = packet.within(&["gre".parse().unwrap()]).unwrap();
    assert_eq!(within.src_ip(), Some(built.packets[limits::MAX_TUNNELS].src), "not the innermost one");
}

#[test]
fn rules_name_tunnels_and_ports() {
    let inner = packet(true, Carried::Tcp, 1);
    let gtp = inner.clone().through(Way::Gtp, false, 2).unwrap();
    let built = gtp.through(Way::Vxlan, true, 3).unwrap();
    let mut frame = built.on(LinkType::ETHERNET).unwrap();
    let within = |frame: &[u8], rules: &[&str]| {
        let rules: Vec<_> = rules.iter().map(|rule| rule.parse().unwrap()).collect();
        let packet = Packet::decode(LinkType::ETHERNET, frame, frame.len() as u32).unwrap();
        packet.within(&rules).map(|packet| packet.tos() & 0x0f)
    };
    assert_eq!(within(&frame, &["gtp"]), None, "it is not outermost");
    assert_eq!(within(&frame, &["vxlan"]), Some(2));
    assert_eq!(within(&frame, &["VXLAN , 4789"]), Some(2));
    assert_eq!(within(&frame, &["vxlan", "gtp, 2152"]), Some(1));
    assert_eq!(within(&frame, &["gtp", "vxlan"]), Some(1));
    assert_eq!(within(&frame, &["vxlan,8472"]), None);
    // Destination port of the outer UDP header.
    frame[56..58].copy_from_slice(&8472_u16.to_be_bytes());
    assert_eq!(within(&frame, &["vxlan"]), None);
    assert_eq!(within(&frame, &["vxlan,8472", "gtp"]), Some(1));
}

/// A packet in up to six tunnels, with something around it, on some link; and where it is cut.
fn any_frame() -> impl Strategy<Value = (Build, LinkType, Vec<u8>)> {
    let hop = (prop::sample::select(&WAYS[..]), any::<bool>(), prop::sample::select(&AROUND[..]));
    let parts = (
        any::<bool>(),
        prop::sample::select(&CARRIED[..]),
        prop::collection::vec(hop, 0..=6),
        prop::sample::select(&AROUND[..]),
        prop::sample::select(LinkType::supported()),
    );
    parts.prop_filter_map("cannot be built", |(is_v6, carried, hops, around, link)| {
        let mut built = packet(is_v6, carried, 1);
        for (depth, (way, is_v6, around)) in hops.into_iter().enumerate() {
            // What can't be carried goes without.
            let inner = built.clone().around(around);
            built = inner.and_then(|inner| inner.through(way, is_v6, depth as u8 + 2)).unwrap_or(built);
        }
        let built = built.around(around)?;
        let frame = built.on(link)?;
        Some((built, link, frame))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 16 } else { 4096 }))]

    #[test]
    fn frames_of_any_depth((built, link, frame) in any_frame(), captured: prop::sample::Index) {
        let what = || format!("{link}, {:?}, {built:?}", built.tunnels);
        compare(&what, link, &frame, captured.index(frame.len() + 1), &built);
        compare(&what, link, &frame, frame.len(), &built);
    }
}
