//! A capture made here, for machines that may not or cannot watch an interface: some dozen hosts that talk over IPv4
//! and IPv6, TCP and UDP, the same bytes at every run.
//!
//! Addresses are those kept for documentation (RFC 5737, RFC 3849); lengths and checksums are right, so that any
//! other program reads the file as well.

use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What [`write()`] wrote.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) packets: usize,
    /// Pairs of source and destination address.
    pub(crate) pairs: usize,
}

const CONVERSATIONS: usize = 24;
const PACKETS: usize = 4000;

/// The first packet's time: 2026-01-01 00:00:00 UTC, in microseconds since 1970. Then one every 2.5 ms: ten seconds.
const START: u64 = 1_767_225_600_000_000;
const INTERVAL: u64 = 2_500;

/// Writes the capture in the classic pcap format: little-endian, microseconds, Ethernet.
pub(crate) fn write(out: &mut impl Write) -> io::Result<Totals> {
    out.write_all(&file_header())?;
    let mut talks: Vec<_> = (0..CONVERSATIONS).map(Conversation::new).collect();
    let mut random = Random::new(1);
    for number in 0..PACKETS {
        // Everybody speaks once in each direction; then few speak much and many little, as hosts do.
        let (index, from_server) = match number {
            0..CONVERSATIONS => (number, false),
            CONVERSATIONS.. if number < 2 * CONVERSATIONS => (number - CONVERSATIONS, true),
            _ => (random.often_small(CONVERSATIONS), random.below(10) < 6),
        };
        // Servers send what was asked for, clients ask and acknowledge.
        let payload = if from_server { 600 + random.below(841) } else { random.below(80) };
        let frame = talks[index].frame(from_server, payload);
        out.write_all(&record_header(START + number as u64 * INTERVAL, frame.len(), frame.len()))?;
        out.write_all(&frame)?;
    }
    Ok(Totals { packets: PACKETS, pairs: 2 * CONVERSATIONS })
}

/// Two hosts and what they have said so far.
struct Conversation {
    client: Endpoint,
    server: Endpoint,
    is_tcp: bool,
}

#[derive(Clone, Copy)]
struct Endpoint {
    address: IpAddr,
    port: u16,
    /// TCP's sequence number of the next byte.
    sequence: u32,
}

impl Conversation {
    fn new(index: usize) -> Conversation {
        let (host, service) = (index as u16 + 10, index as u16 % 5 + 1);
        let (client, server) = if index % 3 == 2 {
            let address = |net, host| IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, net, 0, 0, 0, 0, host));
            (address(1, host), address(2, service))
        } else {
            (
                IpAddr::V4(Ipv4Addr::new(192, 0, 2, host as u8)),
                IpAddr::V4(Ipv4Addr::new(198, 51, 100, service as u8)),
            )
        };
        let is_tcp = index % 4 != 3;
        let port = [443, 443, 22, 5004][index % 4];
        Conversation {
            client: Endpoint { address: client, port: 40_000 + host, sequence: 1 },
            server: Endpoint { address: server, port, sequence: 1 },
            is_tcp,
        }
    }

    /// The next frame of one side, with a payload of that many bytes.
    fn frame(&mut self, from_server: bool, payload: usize) -> Vec<u8> {
        let (from, to) =
            if from_server { (&mut self.server, self.client) } else { (&mut self.client, self.server) };
        let sender = *from;
        from.sequence += payload as u32;
        let segment = if self.is_tcp { tcp(sender, to, payload) } else { udp(sender, to, payload) };
        let protocol = if self.is_tcp { 6 } else { 17 };
        ethernet(sender.address, to.address, protocol, &segment)
    }
}

/// A TCP segment (RFC 9293): PSH and ACK set.
fn tcp(from: Endpoint, to: Endpoint, payload: usize) -> Vec<u8> {
    let mut segment = ports(from, to);
    segment.extend(from.sequence.to_be_bytes());
    segment.extend(to.sequence.to_be_bytes());
    segment.extend([0x50, 0x18, 0xff, 0xff]); // 5 words of header, flags, window
    segment.extend([0; 4]); // checksum, urgent pointer
    segment.resize(segment.len() + payload, b'.');
    put_checksum(&mut segment, 16, from.address, to.address, 6);
    segment
}

/// A UDP datagram (RFC 768).
fn udp(from: Endpoint, to: Endpoint, payload: usize) -> Vec<u8> {
    let mut datagram = ports(from, to);
    datagram.extend((8 + payload as u16).to_be_bytes());
    datagram.extend([0; 2]); // checksum
    datagram.resize(datagram.len() + payload, b'.');
    put_checksum(&mut datagram, 6, from.address, to.address, 17);
    datagram
}

fn ports(from: Endpoint, to: Endpoint) -> Vec<u8> {
    [from.port.to_be_bytes(), to.port.to_be_bytes()].concat()
}

/// Puts TCP's or UDP's checksum at `at`: over the pseudo-header (RFC 9293 3.1, RFC 8200 8.1) and the segment.
fn put_checksum(segment: &mut [u8], at: usize, from: IpAddr, to: IpAddr, protocol: u8) {
    // Both pseudo-headers sum to the same as this one: zeros add nothing.
    let mut pseudo = [octets(from), octets(to)].concat();
    pseudo.extend((segment.len() as u32).to_be_bytes());
    pseudo.extend([0, 0, 0, protocol]);
    let sum = match checksum([&pseudo[..], segment]) {
        0 if protocol == 17 => 0xffff, // zero means "none" in UDP
        sum => sum,
    };
    segment[at..at + 2].copy_from_slice(&sum.to_be_bytes());
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    }
}

/// The Internet checksum (RFC 1071) of parts that each start at an even offset.
pub(crate) fn checksum<const N: usize>(parts: [&[u8]; N]) -> u16 {
    let words = parts.into_iter().flat_map(|part| part.chunks(2));
    let sum: u32 =
        words.map(|word| u32::from(word[0]) << 8 | u32::from(word.get(1).copied().unwrap_or(0))).sum();
    let folded = (sum >> 16) + (sum & 0xffff);
    !((folded >> 16) + folded) as u16
}

/// The segment within IP within Ethernet.
fn ethernet(from: IpAddr, to: IpAddr, protocol: u8, segment: &[u8]) -> Vec<u8> {
    let (ethertype, header) = match (from, to) {
        (IpAddr::V4(from), IpAddr::V4(to)) => ([0x08, 0x00], ipv4(from, to, protocol, segment.len())),
        _ => ([0x86, 0xdd], ipv6(from, to, protocol, segment.len())),
    };
    let macs = [2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]; // locally administered
    let mut frame = [&macs[..], &ethertype, &header, segment].concat();
    frame.resize(frame.len().max(60), 0); // Ethernet pads short frames
    frame
}

fn ipv4(from: Ipv4Addr, to: Ipv4Addr, protocol: u8, length: usize) -> Vec<u8> {
    let mut header = vec![0x45, 0];
    header.extend((20 + length as u16).to_be_bytes());
    header.extend([0, 0, 0x40, 0]); // identification; don't fragment
    header.extend([64, protocol, 0, 0]); // time to live, protocol, checksum
    header.extend(from.octets());
    header.extend(to.octets());
    let sum = checksum([&header]);
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    header
}

fn ipv6(from: IpAddr, to: IpAddr, protocol: u8, length: usize) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0];
    header.extend((length as u16).to_be_bytes());
    header.extend([protocol, 64]); // next header, hop limit
    header.extend(octets(from));
    header.extend(octets(to));
    header
}

pub(crate) fn file_header() -> [u8; 24] {
    let mut header = [0; 24];
    header[0..4].copy_from_slice(&0xa1b2_c3d4_u32.to_le_bytes());
    header[4..6].copy_from_slice(&2_u16.to_le_bytes()); // version 2.4
    header[6..8].copy_from_slice(&4_u16.to_le_bytes());
    header[16..20].copy_from_slice(&65_535_u32.to_le_bytes()); // longest frame
    header[20..24].copy_from_slice(&1_u32.to_le_bytes()); // LINKTYPE_ETHERNET
    header
}

/// `time` in microseconds since 1970, the octets kept of the frame, and its length.
pub(crate) fn record_header(time: u64, captured: usize, length: usize) -> [u8; 16] {
    let mut header = [0; 16];
    header[0..4].copy_from_slice(&((time / 1_000_000) as u32).to_le_bytes());
    header[4..8].copy_from_slice(&((time % 1_000_000) as u32).to_le_bytes());
    header[8..12].copy_from_slice(&(captured as u32).to_le_bytes());
    header[12..16].copy_from_slice(&(length as u32).to_le_bytes());
    header
}

/// Numbers that look random and are the same at every run (splitmix64).
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// Below `limit`; small numbers come more often.
    fn often_small(&mut self, limit: usize) -> usize {
        let bound = self.below(limit) + 1;
        let bound = self.below(bound) + 1;
        self.below(bound)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn capture() -> (Vec<u8>, Totals) {
        let mut bytes = Vec::new();
        let totals = write(&mut bytes).unwrap();
        (bytes, totals)
    }

    /// The frames of a little-endian pcap file.
    fn frames(mut bytes: &[u8]) -> Vec<&[u8]> {
        bytes = &bytes[24..];
        let mut frames = Vec::new();
        while let Some((header, rest)) = bytes.split_at_checked(16) {
            let length = u32::from_le_bytes(header[8..12].try_into().unwrap()) as usize;
            frames.push(&rest[..length]);
            bytes = &rest[length..];
        }
        frames
    }

    #[test]
    fn every_run_writes_the_same_bytes() {
        assert_eq!(capture(), capture());
    }

    #[test]
    fn the_totals_are_what_was_written() {
        let (bytes, totals) = capture();
        let frames = frames(&bytes);
        assert_eq!(frames.len(), totals.packets);
        let pairs: BTreeSet<&[u8]> = frames
            .iter()
            .map(|frame| match frame[12..14] {
                [0x08, 0x00] => &frame[26..34],
                [0x86, 0xdd] => &frame[22..54],
                _ => panic!("neither IPv4 nor IPv6"),
            })
            .collect();
        assert_eq!(pairs.len(), totals.pairs);
    }

    #[test]
    fn lengths_and_checksums_hold() {
        let (bytes, _) = capture();
        for frame in frames(&bytes) {
            let ip = &frame[14..];
            let (protocol, addresses, segment) = if ip[0] == 0x45 {
                assert_eq!(checksum([&ip[..20]]), 0, "IPv4 header");
                let total = usize::from(u16::from_be_bytes([ip[2], ip[3]]));
                (ip[9], &ip[12..20], &ip[20..total])
            } else {
                let length = usize::from(u16::from_be_bytes([ip[4], ip[5]]));
                (ip[6], &ip[8..40], &ip[40..40 + length])
            };
            let length = (segment.len() as u32).to_be_bytes();
            assert_eq!(checksum([addresses, &length, &[0, protocol], segment]), 0, "protocol {protocol}");
            assert!((60..=1514).contains(&frame.len()));
        }
    }

    #[test]
    fn the_first_frame_reads_as_expected() {
        let (bytes, _) = capture();
        assert_eq!(bytes[..8], [0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0]);
        let frame = frames(&bytes)[0];
        assert_eq!(frame[26..34], [192, 0, 2, 10, 198, 51, 100, 1]);
        assert_eq!(frame[34..38], [0x9c, 0x4a, 0x01, 0xbb], "port 40010 to port 443");
    }
}
