//! The frames and keys that the benchmarks work on.

use rpmacct_packet::{LinkType, Packet};
use rpmacct_primitives::{Schema, SchemaOptions};

/// Frames of each kind: enough to defeat a branch predictor's memory, few enough to stay in the first cache.
pub(crate) const COUNT: u32 = 128;

pub(crate) const HOST_PAIR: &str = "src_host, dst_host";
pub(crate) const FIVE_TUPLE: &str = "src_host, dst_host, src_port, dst_port, proto, tcpflags";

/// Makes the nth frame of a kind.
pub(crate) type Kind = fn(u32) -> Vec<u8>;

/// What the benchmarks decode.
pub(crate) const KINDS: [(&str, Kind); 3] = [("ipv4", ipv4), ("vlan", vlan), ("ipv6", ipv6)];

/// The first [`COUNT`] frames of a kind.
pub(crate) fn some(kind: Kind) -> Vec<Vec<u8>> {
    (0..COUNT).map(kind).collect()
}

pub(crate) fn decode(frame: &[u8]) -> Packet<'_> {
    Packet::decode(LinkType::ETHERNET, frame, frame.len() as u32).expect("a frame that can be decoded")
}

pub(crate) fn schema(aggregate: &str) -> Schema {
    Schema::parse(aggregate, SchemaOptions::default()).expect("an aggregate")
}

/// Ethernet, IPv4, TCP.
fn ipv4(n: u32) -> Vec<u8> {
    [&MACS[..], &[0x08, 0x00], &ipv4_packet(n)].concat()
}

/// Ethernet, a VLAN tag, IPv4, TCP.
fn vlan(n: u32) -> Vec<u8> {
    [&MACS[..], &[0x81, 0x00, 0x00, 0x64, 0x08, 0x00], &ipv4_packet(n)].concat()
}

/// Ethernet, IPv6, TCP.
fn ipv6(n: u32) -> Vec<u8> {
    let mut packet = vec![0x60, 0, 0, 0, 0, 20, 6, 64];
    for host in [n, !n] {
        packet.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0]);
        packet.extend(host.to_be_bytes());
    }
    [&MACS[..], &[0x86, 0xdd], &packet, &TCP].concat()
}

fn ipv4_packet(n: u32) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6, 0, 0];
    packet.extend((0x0a00_0000 | n).to_be_bytes());
    packet.extend((0x6400_0000 | (n * 7)).to_be_bytes());
    packet.extend(TCP);
    packet
}

const MACS: [u8; 12] = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1];

/// From port 40000 to 443: PSH and ACK.
const TCP: [u8; 20] = [0x9c, 0x40, 1, 0xbb, 0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0xff, 0xff, 0, 0, 0, 0];

/// The `n`th key of `len` octets: each is another one, and neighbours are not alike.
pub(crate) fn key(n: u64, len: usize) -> Vec<u8> {
    let mut key = vec![0; len];
    key[..8].copy_from_slice(&n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes());
    key
}
