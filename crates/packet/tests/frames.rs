//! Whole frames, as they come from an interface.

#[path = "support/invariants.rs"]
mod invariants;

use proptest::prelude::*;
use rpmacct_packet::{Fragment, LinkType, MacAddr, Packet, Reason, Skip, TunnelKind, VlanTag};

/// A UDP packet of 44 bytes from 10.1.0.1 port 1000 to 10.9.9.9 port 2000.
const UDP4: &str = "
    45 b8 002c 0001 0000 40 11 0000  0a010001 0a090909
    03e8 07d0 0018 0000 78787878787878787878787878787878";
/// A SYN of 20 bytes from `2001:db8::1` port 1235 to `2001:db8::2` port 443.
const TCP6: &str = "
    60000000 0014 06 40  20010db8000000000000000000000001 20010db8000000000000000000000002
    04d3 01bb 00000001 00000000 50 02 2000 0000 0000";

/// Two Ethernet addresses: to 02:00:00:00:00:0b, from 02:00:00:00:00:0a.
const MACS: &str = "02000000000b 02000000000a";

/// Bytes from hexadecimal text; blanks are free.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    assert!(digits.len().is_multiple_of(2), "half an octet in {text}");
    digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

fn ethernet(after_macs: &str) -> Vec<u8> {
    hex(&format!("{MACS} {after_macs}"))
}

fn decode(link: LinkType, frame: &[u8]) -> Result<Packet<'_>, Skip> {
    Packet::decode(link, frame, frame.len() as u32)
}

/// Asserts that the frame carries [`UDP4`], whatever is around it.
#[track_caller]
fn assert_udp4(packet: &Packet<'_>) {
    assert_eq!(packet.src_ip().unwrap().to_string(), "10.1.0.1");
    assert_eq!(packet.dst_octets(), [10, 9, 9, 9]);
    assert_eq!((packet.etype(), packet.is_ipv6()), (0x0800, false));
    assert_eq!((packet.ip_len(), packet.proto(), packet.tos()), (44, 17, 0xb8));
    assert_eq!((packet.ports(), packet.tcp_flags()), (Some((1000, 2000)), None));
    assert_eq!((packet.fragment(), packet.is_cut(), packet.flow_label()), (None, false, None));
    assert_eq!(packet.transport().map(<[u8]>::len), Some(24));
    assert_eq!(packet.network().len(), 44);
}

#[track_caller]
fn assert_tcp6(packet: &Packet<'_>) {
    assert_eq!(packet.src_ip().unwrap().to_string(), "2001:db8::1");
    assert_eq!(packet.dst_ip().unwrap().to_string(), "2001:db8::2");
    assert_eq!((packet.etype(), packet.is_ipv6()), (0x86dd, true));
    assert_eq!((packet.ip_len(), packet.proto(), packet.tos()), (60, 6, 0));
    assert_eq!((packet.ports(), packet.tcp_flags()), (Some((1235, 443)), Some(0x02)));
    assert_eq!((packet.fragment(), packet.is_cut(), packet.flow_label()), (None, false, Some(0)));
}

#[test]
fn ethernet_ipv4() {
    let frame = ethernet(&format!("0800 {UDP4}"));
    let packet = decode(LinkType::ETHERNET, &frame).unwrap();
    assert_udp4(&packet);
    assert_eq!(packet.src_mac(), Some(MacAddr([2, 0, 0, 0, 0, 0x0a])));
    assert_eq!(packet.dst_mac(), Some(MacAddr([2, 0, 0, 0, 0, 0x0b])));
    assert_eq!((packet.vlan(), packet.inner_vlan()), (None, None));
    assert!(packet.mpls().is_empty());
    assert_eq!(packet.frame(), frame);
}

#[test]
fn ethernet_ipv6() {
    assert_tcp6(&decode(LinkType::ETHERNET, &ethernet(&format!("86dd {TCP6}"))).unwrap());
}

#[test]
fn traffic_class_and_flow_label() {
    let frame = hex(&TCP6.replacen("60000000", "6b812345", 1));
    let packet = decode(LinkType::IPV6, &frame).unwrap();
    assert_eq!((packet.tos(), packet.flow_label()), (0xb8, Some(0x12345)));
}

#[test]
fn padding_is_no_payload() {
    // A UDP packet without payload, in the shortest Ethernet frame.
    let frame = ethernet("0800 45000020 00010000 40110000 0a010001 0a090909 03e807d0 000c0000 61626364");
    let padded = [frame, vec![0; 14]].concat();
    let packet = decode(LinkType::ETHERNET, &padded).unwrap();
    assert_eq!(packet.ip_len(), 32);
    assert_eq!(packet.transport(), Some(&hex("03e807d0 000c0000 61626364")[..]));
}

#[test]
fn two_tags() {
    let frame = ethernet(&format!("88a8 60c8 8100 212c 0800 {UDP4}"));
    let packet = decode(LinkType::ETHERNET, &frame).unwrap();
    assert_udp4(&packet);
    assert_eq!(packet.vlan(), Some(VlanTag { id: 200, cos: 3 }));
    assert_eq!(packet.inner_vlan(), Some(VlanTag { id: 300, cos: 1 }));
}

#[test]
fn tag_labels_and_ipv6() {
    let frame = ethernet(&format!("8100 0064 8847 003e9040 007d2140 {TCP6}"));
    let packet = decode(LinkType::ETHERNET, &frame).unwrap();
    assert_tcp6(&packet);
    assert_eq!(packet.vlan(), Some(VlanTag { id: 100, cos: 0 }));
    assert_eq!((packet.mpls().top(), packet.mpls().bottom()), (Some(1001), Some(2002)));
    assert_eq!(packet.mpls().len(), 2);
}

#[test]
fn an_explicit_null_label_must_tell_the_truth() {
    let frame = ethernet(&format!("8847 00000140 {TCP6}"));
    assert_eq!(decode(LinkType::ETHERNET, &frame).unwrap_err(), Skip::Undecodable(Reason::IpVersion));
}

#[test]
fn each_link_type() {
    for (link, header) in [
        (LinkType::ETHERNET, "02000000000b 02000000000a 0800"),
        (LinkType::ETHERNET, "02000000000b 02000000000a 8864 1100 0007 002e 0021"),
        (LinkType::ETHERNET, "02000000000b 02000000000a 0034 aaaa03 000000 0800"),
        (LinkType::RAW, ""),
        (LinkType::DLT_RAW, ""),
        (LinkType::DLT_RAW_OPENBSD, ""),
        (LinkType::IPV4, ""),
        (LinkType::NULL, "02000000"),
        (LinkType::LOOP, "00000002"),
        (LinkType::PPP, "0021"),
        (LinkType::PPP, "ff03 0281 003e9140"),
        (LinkType::PPP_HDLC, "ff03 0021"),
        (LinkType::C_HDLC, "0f00 0800"),
        (LinkType::LINUX_SLL, "0000 0001 0006 02000000000a 0000 0800"),
        (LinkType::LINUX_SLL, "0000 0001 0006 02000000000a 0000 8100 0005 0800"),
        (LinkType::LINUX_SLL2, "0800 0000 00000002 0001 00 06 02000000000a 0000"),
    ] {
        let frame = hex(&format!("{header} {UDP4}"));
        let packet = decode(link, &frame).unwrap_or_else(|skip| panic!("{link} {header}: {skip}"));
        assert_udp4(&packet);
        let sender = link.has_mac().then_some(MacAddr([2, 0, 0, 0, 0, 0x0a]));
        assert_eq!(packet.src_mac(), sender, "{link}");
        assert_eq!(packet.dst_mac().is_some(), link == LinkType::ETHERNET, "{link}");
    }
    assert_tcp6(&decode(LinkType::RAW, &hex(TCP6)).unwrap());
    assert_tcp6(&decode(LinkType::IPV6, &hex(TCP6)).unwrap());
    assert_eq!(decode(LinkType(147), &hex(UDP4)).unwrap_err(), Skip::Undecodable(Reason::LinkType));
}

#[test]
fn other_traffic_is_not_ip() {
    for after_macs in [
        "0806 0001 0800 06 04 0001 02000000000a 0a000001 000000000000 0a000002", // ARP
        "88cc 0207 04",                                                          // LLDP
        "0026 424203 000000000000",                                              // spanning tree
    ] {
        assert_eq!(
            decode(LinkType::ETHERNET, &ethernet(after_macs)).unwrap_err(),
            Skip::NotIp,
            "{after_macs}"
        );
    }
}

#[test]
fn other_traffic_has_a_type_and_a_length() {
    for (after_macs, vlan, etype, len) in [
        ("0806 0001 0800 06 04 0001 02000000000a 0a000001 000000000000 0a000002", None, 0x0806, 28),
        ("8100 0006 0806 0001 0800", Some(VlanTag { id: 6, cos: 0 }), 0x0806, 8),
        ("0026 424203 000000000000", None, 0x26, 9),
        ("88e5 2000 00000001", None, 0x88e5, 6),
        ("8864 1100 0007 0006 c021 0100 0004", None, 0xc021, 12),
        ("8847 003e9140 10000021", None, 0x8847, 8),
    ] {
        let frame = ethernet(after_macs);
        assert_eq!(decode(LinkType::ETHERNET, &frame).unwrap_err(), Skip::NotIp, "{after_macs}");
        let packet = Packet::decode_any(LinkType::ETHERNET, &frame, frame.len() as u32).unwrap();
        assert_eq!((packet.vlan(), packet.etype(), packet.ip_len()), (vlan, etype, len), "{after_macs}");
        assert_eq!(packet.src_mac(), Some(MacAddr([2, 0, 0, 0, 0, 0x0a])));
        // Cut, it has the length that it had.
        let packet = Packet::decode_any(LinkType::ETHERNET, &frame[..18], frame.len() as u32);
        assert!(packet.is_err() || packet.unwrap().ip_len() == len, "{after_macs}");
    }
    let ip = ethernet(&format!("0800 {UDP4}"));
    assert_udp4(&Packet::decode_any(LinkType::ETHERNET, &ip, ip.len() as u32).unwrap());
    let cut = Packet::decode_any(LinkType::ETHERNET, &ip[..20], ip.len() as u32);
    assert_eq!(cut.err(), Some(Reason::IpCut));
}

#[test]
fn an_authentication_header_hides_no_tunnel() {
    let outer = "45 00 0000 0001 0000 40 33 0000 0a000001 0a000002  04 04 0000 00000100 00000020 000000000000000000000000";
    let frame = ethernet(&format!("0800 {outer} {UDP4}").replacen("0000", "0058", 1));
    let packet = decode(LinkType::ETHERNET, &frame).unwrap();
    assert_eq!((packet.proto(), packet.ip_len()), (51, 88));
    let tunnel = packet.tunnel().unwrap();
    assert_eq!(tunnel.kind, TunnelKind::IpIp);
    assert_udp4(&tunnel.inner.unwrap());
}

#[test]
fn a_later_fragment_has_no_ports() {
    let frame = ethernet("0800 45000018 109200af 40110000 0a010001 0a090909 03e807d0");
    let packet = decode(LinkType::ETHERNET, &frame).unwrap();
    assert_eq!(packet.fragment(), Some(Fragment { id: 0x1092, offset: 1400, more: false }));
    assert!(!packet.fragment().unwrap().is_first());
    assert_eq!((packet.ports(), packet.transport(), packet.is_cut()), (None, None, false));
}

#[test]
fn a_cut_capture_gives_what_is_there() {
    let frame = ethernet(&format!("0800 {UDP4}"));
    let wire_len = frame.len() as u32;
    for captured in 0..=frame.len() {
        let result = Packet::decode(LinkType::ETHERNET, &frame[..captured], wire_len);
        match captured {
            0..14 => assert_eq!(result.unwrap_err(), Skip::Undecodable(Reason::LinkCut)),
            14..34 => assert_eq!(result.unwrap_err(), Skip::Undecodable(Reason::IpCut)),
            34.. => {
                let packet = result.unwrap();
                assert_eq!((packet.ip_len(), packet.proto()), (44, 17));
                assert_eq!(packet.is_cut(), captured < 38);
                assert_eq!(packet.ports().is_some(), captured >= 38);
            }
        }
    }
}

#[test]
fn a_packet_that_ends_early_is_not_cut() {
    // UDP with two octets, all of them captured; the padding behind must not be taken for a port.
    let frame = ethernet("0800 45000016 00010000 40110000 0a010001 0a090909 03e8 07d0 0000 0000");
    let packet = decode(LinkType::ETHERNET, &frame).unwrap();
    assert_eq!((packet.ports(), packet.is_cut()), (None, false));
}

#[test]
fn extension_headers_that_are_cut_may_hide_ports() {
    let frame =
        hex("60000000 0018 00 40 20010db8000000000000000000000001 20010db8000000000000000000000002 0600");
    let packet = Packet::decode(LinkType::IPV6, &frame, 64).unwrap();
    assert_eq!((packet.ip_len(), packet.proto()), (64, 0));
    assert_eq!((packet.ports(), packet.is_cut()), (None, true));
}

#[test]
fn an_unset_length_is_that_of_the_frame() {
    let frame = ethernet(&format!("8100 0064 0800 {}", UDP4.replacen("002c", "0000", 1)));
    let packet = Packet::decode(LinkType::ETHERNET, &frame, 18 + 65_600).unwrap();
    assert_eq!(packet.ip_len(), 65_600);
    // Less on the wire than captured is an error of the capture; the bytes are there.
    let packet = Packet::decode(LinkType::ETHERNET, &frame, 0).unwrap();
    assert_eq!(packet.ip_len(), 44);
}

/// Frames whose headers lead deep into the decoder.
fn deep_frames() -> Vec<(LinkType, Vec<u8>)> {
    let chain = "60000000 0064 00 40 20010db8000000000000000000000001 20010db8000000000000000000000002
        3c 00 0104 00000000  2b 00 0104 00000000  33 02 0001 00000000 20010db8000000000000000000000003
        2c 04 0000 00000100 00000020 000000000000000000000000  06 00 0001 00000063
        04d3 01bb 00000001 00000000 50 02 2000 0000 0000";
    let options = "4f 00 0060 0001 2000 40 06 0000 0a000001 0a000002
        01010101 01010101 01010101 01010101 01010101 01010101 01010101 01010101 01010101 01010101
        9c40 0050 00000001 00000002 50 d2 2000 0000 0000";
    let cooked = "0000 0001 0006 02000000000a 0000";
    vec![
        (LinkType::ETHERNET, ethernet(&format!("88a8 60c8 8100 212c 8847 003e9040 007d2140 {chain}"))),
        (LinkType::ETHERNET, ethernet(&format!("8100 0064 8864 1100 0007 0062 0021 {options}"))),
        (LinkType::ETHERNET, ethernet(&format!("0068 aaaa03 000000 8100 0001 0800 {options}"))),
        (LinkType::LINUX_SLL, hex(&format!("{cooked} 8100 0005 86dd {chain}"))),
        (LinkType::LINUX_SLL2, hex(&format!("86dd 0000 00000002 0001 00 06 02000000000a 0000 {chain}"))),
        (LinkType::PPP, hex(&format!("ff03 0281 003e9140 {options}"))),
        (LinkType::NULL, hex(&format!("0000001e {chain}"))),
        (LinkType::RAW, hex(options)),
    ]
}

#[test]
fn frames_cut_at_every_byte() {
    for (link, frame) in deep_frames() {
        let whole = decode(link, &frame).unwrap_or_else(|skip| panic!("{link}: {skip}"));
        assert!(whole.tcp_flags().is_some(), "{link} does not reach TCP");
        for captured in 0..frame.len() {
            invariants::check(link, &frame[..captured], frame.len() as u32);
            invariants::check(link, &frame[..captured], 0);
        }
    }
}

fn any_link() -> impl Strategy<Value = LinkType> {
    prop::sample::select(LinkType::supported().to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 16 } else { 4096 }))]

    #[test]
    fn any_bytes(link in any_link(), frame in prop::collection::vec(any::<u8>(), 0..200), wire_len: u32) {
        invariants::check(link, &frame, wire_len);
    }

    /// Damaged frames get further than arbitrary bytes.
    #[test]
    fn damaged_frames(
        (link, mut frame) in prop::sample::select(deep_frames()),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        captured: prop::sample::Index,
        wire_len: u32,
    ) {
        for (at, value) in damage {
            let at = at.index(frame.len());
            frame[at] = value;
        }
        invariants::check(link, &frame, wire_len);
        invariants::check(link, &frame[..captured.index(frame.len())], wire_len);
    }
}
