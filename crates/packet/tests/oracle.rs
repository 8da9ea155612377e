//! Frames as etherparse sees them, which knows nothing of us.
//!
//! It reads Ethernet, VLAN tags, IP with its extension headers, TCP and UDP: the frames here are made of these,
//! with anything in their fields, and then damaged and cut.

use std::cell::Cell;
use std::net::IpAddr;

use etherparse::{LaxLinkExtSlice, LaxNetSlice, LaxSlicedPacket, TransportSlice};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use rpmacct_packet::{LinkType, Packet, VlanTag};

/// An Ethernet frame with up to three tags around an IP packet.
fn frame() -> impl Strategy<Value = Vec<u8>> {
    let tag = (prop::sample::select(&[0x8100_u16, 0x88a8, 0x9100][..]), any::<u16>());
    let ip = prop_oneof![ipv4(), ipv6()];
    (any::<[u8; 12]>(), prop::collection::vec(tag, 0..=3), ip, prop::collection::vec(any::<u8>(), 0..20))
        .prop_map(|(macs, tags, (etype, ip), padding)| {
            let tags = tags.into_iter().flat_map(|(kind, control)| [kind, control]);
            let types: Vec<u8> = tags.chain([etype]).flat_map(u16::to_be_bytes).collect();
            [&macs[..], &types, &ip, &padding].concat()
        })
}

/// A protocol, TCP and UDP more often than others, and a payload.
fn payload() -> impl Strategy<Value = (u8, Vec<u8>)> {
    let proto = prop_oneof![3 => Just(6_u8), 3 => Just(17), 1 => any::<u8>()];
    (proto, prop::collection::vec(any::<u8>(), 0..60)).prop_map(|(proto, mut bytes)| {
        // A length of the header that may be right.
        if let (6, Some(offset)) = (proto, bytes.get_mut(12)) {
            *offset = 0x50 | *offset & 0x0f;
        }
        (proto, bytes)
    })
}

fn ipv4() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let fragment = prop_oneof![4 => Just(0x4000_u16), 1 => any::<u16>()];
    let options = prop::collection::vec(any::<[u8; 4]>(), 0..=3);
    (any::<[u8; 20]>(), fragment, options, payload()).prop_map(
        |(mut header, fragment, options, (proto, payload))| {
            header[0] = 0x45 + options.len() as u8;
            let len = 20 + options.len() * 4 + payload.len();
            header[2..4].copy_from_slice(&(len as u16).to_be_bytes());
            header[6..8].copy_from_slice(&fragment.to_be_bytes());
            header[9] = proto;
            (0x0800, [&header[..], &options.concat(), &payload].concat())
        },
    )
}

/// IPv6 with extension headers in an order that etherparse follows.
fn ipv6() -> impl Strategy<Value = (u16, Vec<u8>)> {
    let chain = prop::sample::subsequence(vec![0_u8, 60, 43, 44, 51], 0..=5);
    (any::<[u8; 40]>(), chain, any::<u16>(), payload()).prop_map(
        |(mut header, chain, fragment, (proto, payload))| {
            let nexts = chain.iter().copied().skip(1).chain([proto]);
            let chained: Vec<u8> =
                chain.iter().zip(nexts).flat_map(|(&kind, next)| extension(kind, next, fragment)).collect();
            header[0] = 0x60 | header[0] & 0x0f;
            header[4..6].copy_from_slice(&((chained.len() + payload.len()) as u16).to_be_bytes());
            header[6] = chain.first().copied().unwrap_or(proto);
            (0x86dd, [&header[..], &chained, &payload].concat())
        },
    )
}

/// An extension header of the given kind, with options that do nothing.
fn extension(kind: u8, next: u8, fragment: u16) -> Vec<u8> {
    let [high, low] = fragment.to_be_bytes();
    match kind {
        44 => vec![next, 0, high, low, 0, 0, 0, 9],
        51 => vec![next, 1, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2],
        _ => vec![next, 1, 1, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    }
}

/// What both say of a packet.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    tags: Vec<VlanTag>,
    src: IpAddr,
    dst: IpAddr,
    tos: u8,
    /// Unknown where etherparse gives up before it.
    is_fragment: Option<bool>,
    /// Unknown where etherparse gives up before it, or should.
    proto: Option<u8>,
    /// Only of TCP and UDP whose whole header etherparse found right.
    ports: Option<(u16, u16)>,
    flags: Option<u8>,
}

/// `None` if etherparse sees no IP packet.
fn by_etherparse(frame: &[u8]) -> Option<Seen> {
    let sliced = LaxSlicedPacket::from_ethernet(frame).ok()?;
    let mut tags = Vec::new();
    for ext in &sliced.link_exts {
        match ext {
            LaxLinkExtSlice::Vlan(tag) => {
                tags.push(VlanTag {
                    id: tag.vlan_identifier().value(),
                    cos: tag.priority_code_point().value(),
                });
            }
            // It looks into what is not encrypted.
            LaxLinkExtSlice::Macsec(_) => return None,
        }
    }
    // It believes the version in the IP header. We want the EtherType to say the same.
    let etype = frame[12 + 4 * tags.len()..].first_chunk().copied().map(u16::from_be_bytes);
    let is_v6 = matches!(sliced.net, Some(LaxNetSlice::Ipv6(_)));
    if etype != Some(if is_v6 { 0x86dd } else { 0x0800 }) {
        return None;
    }
    tags.truncate(2);
    let (src, dst, tos, is_fragment, proto): (IpAddr, IpAddr, _, _, _) = match &sliced.net {
        Some(LaxNetSlice::Ipv4(ip)) => {
            let header = ip.header();
            // It makes the best of a packet that is shorter than its header; we call it wrong.
            if (1..header.slice().len()).contains(&header.total_len().into()) {
                return None;
            }
            let tos = header.dcp().value() << 2 | header.ecn().value();
            let is_fragment = header.is_fragmenting_payload();
            (
                header.source_addr().into(),
                header.destination_addr().into(),
                tos,
                is_fragment,
                header.protocol().0,
            )
        }
        Some(LaxNetSlice::Ipv6(ip)) => {
            let header = ip.header();
            let is_fragment = ip.is_payload_fragmented();
            let proto = ip.payload().ip_number.0;
            (
                header.source_addr().into(),
                header.destination_addr().into(),
                header.traffic_class(),
                is_fragment,
                proto,
            )
        }
        Some(LaxNetSlice::Arp(_)) | None => return None,
    };
    // Behind the fragment header of a later fragment it reads what is none of its headers.
    let gave_up = sliced.stop_err.is_some() || (is_fragment && src.is_ipv6());
    let is_fragment = sliced.stop_err.is_none().then_some(is_fragment);
    let (ports, flags) = match &sliced.transport {
        Some(TransportSlice::Udp(udp)) => (Some((udp.source_port(), udp.destination_port())), None),
        Some(TransportSlice::Tcp(tcp)) => {
            (Some((tcp.source_port(), tcp.destination_port())), Some(tcp.slice()[13]))
        }
        _ => (None, None),
    };
    Some(Seen { tags, src, dst, tos, is_fragment, proto: (!gave_up).then_some(proto), ports, flags })
}

/// What we see, as far as etherparse got.
fn by_us(frame: &[u8], theirs: &Seen) -> Option<Seen> {
    let packet = Packet::decode(LinkType::ETHERNET, frame, frame.len() as u32).ok()?;
    Some(Seen {
        tags: packet.vlan().into_iter().chain(packet.inner_vlan()).collect(),
        src: packet.src_ip()?,
        dst: packet.dst_ip()?,
        tos: packet.tos(),
        is_fragment: theirs.is_fragment.map(|_| packet.fragment().is_some()),
        proto: theirs.proto.map(|_| packet.proto()),
        ports: theirs.ports.and_then(|_| packet.ports()),
        flags: theirs.flags.and_then(|_| packet.tcp_flags()),
    })
}

#[test]
fn etherparse_sees_the_same() {
    let (compared, with_ports) = (Cell::new(0), Cell::new(0));
    let damage = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3);
    let cases = if cfg!(miri) { 16 } else { 20_000 };
    let mut runner = TestRunner::new(ProptestConfig::with_cases(cases));
    let strategy = (frame(), damage, any::<prop::sample::Index>(), any::<bool>());
    let result = runner.run(&strategy, |(mut frame, damage, captured, is_cut)| {
        for (at, value) in damage {
            let at = at.index(frame.len());
            frame[at] = value;
        }
        let frame = if is_cut { &frame[..captured.index(frame.len() + 1)] } else { &frame[..] };
        if let Some(theirs) = by_etherparse(frame) {
            compared.set(compared.get() + 1);
            with_ports.set(with_ports.get() + u32::from(theirs.ports.is_some()));
            let ours = by_us(frame, &theirs);
            prop_assert_eq!(ours, Some(theirs));
        }
        Ok(())
    });
    result.unwrap();
    assert!(compared.get() > cases / 2, "{} of {cases} compared", compared.get());
    assert!(with_ports.get() > cases / 8, "{} of {cases} with ports", with_ports.get());
}
