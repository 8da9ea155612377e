//! Tunnels through the real daemon: what the primitives say of the packets within, and what is accounted in place of
//! the packets around them, is what tshark sees.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::time::Duration;

use support::{Dissected, Dissection, ETHERNET, Launch, PcapFile, dissect, need_program, shared};

/// Captures with tunnels, which kinds there are in them, and how many packets within.
const CAPTURES: &[(&str, &[&str], usize)] = &[
    ("arkime-gtp-u.pcap", &["gtp"], 102),
    ("arkime-ipv6-gtp6.pcap", &["gtp"], 1),
    ("dpkt-nb6-http.pcap", &["l2tp"], 11),
    ("libpcap-geneve.pcap", &["geneve"], 10),
    ("mercury-gre.pcap", &["gre"], 1),
    ("ndpi-false_positives.pcapng", &["gtp"], 54),
    ("ndpi-zoom.pcapng", &["gtp"], 81),
    ("pcapplusplus-GrePackets.pcapng", &["4in6", "gre", "pptp"], 7),
    ("sv-decode-teredo-01-input.pcap", &["teredo"], 4),
    ("sv-ip_in_ip.pcap", &["ipip"], 6),
    ("sv-vxlan.pcap", &["vxlan"], 100),
    (NO_IP_WITHIN, &["erspan"], 0),
    ("tcpdump-geneve-gcp.pcap", &["geneve"], 1),
    ("zeek-vxlan-overlapping-http-get.pcap", &["vxlan"], 28),
];

/// What ERSPAN mirrors in this one is no IP.
const NO_IP_WITHIN: &str = "tcpdump-erspan-type-ii-3.pcap";

/// Primitives in the order of their columns.
const WITHIN: &str = "src_host, dst_host, tunnel_src_mac, tunnel_dst_mac, tunnel_src_host, tunnel_dst_host, \
                      tunnel_proto, tunnel_tos, tunnel_flow_label, tunnel_src_port, tunnel_dst_port, \
                      tunnel_tcpflags, vxlan, nvgre";
const ACCOUNTED: &str = "src_host, dst_host, src_port, dst_port, proto, tos";

/// Packets and bytes by what they are summed by.
type Rows = BTreeMap<String, (u64, u64)>;

#[test]
fn tshark_sees_the_tunnels_of_real_captures() {
    let Some(shared) = shared() else { return };
    if !need_program("tshark") {
        return;
    }
    let mut seen = BTreeSet::new();
    for (capture, kinds, packets) in CAPTURES {
        let within = compare(&shared.join("corpus/captures").join(capture), kinds);
        assert_eq!(within, *packets, "{capture}");
        seen.extend(kinds.iter().copied());
    }
    assert_eq!(seen.len(), 10, "{seen:?}");
}

#[test]
fn tshark_sees_the_tunnels_that_no_capture_has() {
    if !need_program("tshark") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    for (kind, frame) in built() {
        let capture = folder.path().join(format!("{kind}.pcap"));
        let file = PcapFile::new(ETHERNET).frame(Duration::from_secs(1), &frame);
        fs::write(&capture, file.bytes()).expect("a capture");
        let packets = compare(&capture, &[kind.split('-').next().unwrap_or(kind)]);
        assert_eq!(packets, 1, "{kind} carries a packet");
    }
}

/// Accounts a capture and compares with tshark. Gives how many packets there are within tunnels.
fn compare(capture: &Path, kinds: &[&str]) -> usize {
    let frames = dissect(capture);
    let beside = rows(&frames, |packets| (within(packets), &packets[0]));
    assert_eq!(account(capture, WITHIN, ""), beside, "{}", capture.display());
    for kind in kinds {
        let there_is =
            |packets: &[Dissected]| packets.windows(2).any(|pair| is_tunnel(&pair[0], &pair[1], kind));
        let is_there = frames.iter().any(|frame| there_is(&frame.packets));
        assert!(is_there || capture.ends_with(NO_IP_WITHIN), "{kind} in {}", capture.display());
    }
    // Each kind alone, and all of them.
    for kinds in kinds.chunks(1).chain([kinds]) {
        let expected = rows(&frames, |packets| {
            let is_followed =
                |pair: &&[Dissected]| kinds.iter().any(|kind| is_tunnel(&pair[0], &pair[1], kind));
            let depth = packets.windows(2).take_while(is_followed).count();
            (accounted(&packets[depth]), &packets[depth])
        });
        let keys = format!("tunnel_0: {}\n", kinds.join("; "));
        assert_eq!(account(capture, ACCOUNTED, &keys), expected, "{kinds:?} of {}", capture.display());
    }
    frames.iter().map(|frame| frame.packets.len().saturating_sub(1)).sum()
}

/// What tshark's packets are summed up to: `row` picks a key, and the packet whose length counts.
fn rows<'a>(frames: &'a [Dissection], row: impl Fn(&'a [Dissected]) -> (String, &'a Dissected)) -> Rows {
    let packets = frames.iter().map(|frame| &frame.packets[..]).filter(|packets| !packets.is_empty());
    packets.map(row).fold(Rows::new(), |mut rows, (key, packet)| {
        let (packets, bytes) = rows.entry(key).or_default();
        (*packets, *bytes) = (*packets + 1, *bytes + packet.len);
        rows
    })
}

/// What stands in the column of a MAC address that there is not.
const NO_MAC: &str = "00:00:00:00:00:00";

/// As [`WITHIN`].
fn within(packets: &[Dissected]) -> String {
    let nothing = Dissected::default();
    let (outer, inner) = (&packets[0], packets.get(1).unwrap_or(&nothing));
    let numbers = [inner.proto, inner.tos, inner.flow_label, inner.src_port, inner.dst_port, inner.tcp_flags];
    let vsid = if is_tunnel(outer, inner, "nvgre") { outer.vsid } else { 0 };
    let numbers = numbers.into_iter().chain([outer.vni, vsid]).map(|number| number.to_string());
    let [src_mac, dst_mac] = inner.macs.clone().unwrap_or([NO_MAC, NO_MAC].map(str::to_owned));
    let hosts =
        [outer.src.clone(), outer.dst.clone(), src_mac, dst_mac, inner.src.clone(), inner.dst.clone()];
    hosts.into_iter().chain(numbers).collect::<Vec<_>>().join(",")
}

/// As [`ACCOUNTED`].
fn accounted(packet: &Dissected) -> String {
    let Dissected { src, dst, src_port, dst_port, proto, tos, .. } = packet;
    format!("{src},{dst},{src_port},{dst_port},{proto},{tos}")
}

/// Whether tshark sees this kind of tunnel between a packet and the one within it.
fn is_tunnel(outer: &Dissected, inner: &Dissected, kind: &str) -> bool {
    let has = |name: &str| inner.behind.iter().any(|protocol| protocol == name);
    let is_v6 = |packet: &Dissected| packet.src.contains(':');
    let versions = |around, within| {
        inner.behind.is_empty() && is_v6(outer) == (around == 6) && is_v6(inner) == (within == 6)
    };
    match kind {
        "ipip" => versions(4, 4),
        "6in4" => versions(4, 6),
        "4in6" => versions(6, 4),
        "6in6" => versions(6, 6),
        "pptp" => has("gre") && has("ppp"),
        "nvgre" => outer.vsid > 0 && has("gre") && has("eth"),
        name => has(name),
    }
}

/// The rows that the daemon writes.
fn account(capture: &Path, aggregate: &str, keys: &str) -> Rows {
    let finished = Launch::conf(&format!(
        "pcap_savefile: {}\nplugins: print\nprint_output: csv\nprint_num_protos: true\naggregate: {aggregate}\n{keys}",
        capture.display()
    ))
    .finish();
    let log = &finished.stderr;
    assert!(finished.status.success() && !log.contains("!="), "{log}");
    let balances = log.lines().filter(|line| line.starts_with("NOTICE") && line.contains(" = ")).count();
    assert!(balances >= 4, "{log}");
    let rows = finished.stdout.lines().skip(1).map(|line| {
        let mut columns = line.rsplitn(3, ',');
        let mut next = || columns.next().unwrap_or_default();
        let (bytes, packets, key) = (next(), next(), next());
        (key.to_owned(), (packets.parse().expect("packets"), bytes.parse().expect("bytes")))
    });
    rows.collect()
}

/// Tunnels of each kind that the captures don't have, with a UDP packet within.
fn built() -> Vec<(&'static str, Vec<u8>)> {
    const UDP: u8 = 17;
    const GRE: u8 = 47;
    let datagram = [0x30, 0x39, 0, 80, 0, 12, 0, 0, 1, 2, 3, 4];
    let (v4, v6) = (ipv4(UDP, &datagram), ipv6(UDP, &datagram));
    let gre = |header: &[u8], payload: &[u8]| ethernet(0x0800, &ipv4(GRE, &[header, payload].concat()));
    let frame = ethernet(0x0800, &v4);
    vec![
        ("6in4", ethernet(0x0800, &ipv4(41, &v6))),
        ("4in6", ethernet(0x86dd, &ipv6(4, &v4))),
        ("6in6", ethernet(0x86dd, &ipv6(41, &v6))),
        ("etherip", ethernet(0x0800, &ipv4(97, &[&[0x30, 0], &frame[..]].concat()))),
        ("nvgre", gre(&[0x20, 0, 0x65, 0x58, 0, 0x12, 0x34, 1], &frame)),
        // With a checksum, a key and a sequence number.
        ("gre", gre(&[0xb0, 0, 0x86, 0xdd, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 1], &v6)),
        ("erspan-1", gre(&[0, 0, 0x88, 0xbe], &frame)),
        ("erspan-2", gre(&[0x10, 0, 0x88, 0xbe, 0, 0, 0, 1, 0x10, 1, 0, 5, 0, 0, 0, 0], &frame)),
        ("erspan-3", gre(&[0x10, 0, 0x22, 0xeb, 0, 0, 0, 1, 0x20, 1, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0], &frame)),
    ]
}

fn ethernet(etype: u16, packet: &[u8]) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2], &etype.to_be_bytes()[..], packet].concat()
}

fn ipv4(protocol: u8, payload: &[u8]) -> Vec<u8> {
    let len = (20 + payload.len() as u16).to_be_bytes();
    let header = [0x45, 0xb8, len[0], len[1], 0, 1, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    [&header, payload].concat()
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    let len = (payload.len() as u16).to_be_bytes();
    let mut header = vec![0x6b, 0x8a, 0xbc, 0xde, len[0], len[1], next, 64];
    for host in [1, 2] {
        header.extend([0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, host]);
    }
    [&header, payload].concat()
}
