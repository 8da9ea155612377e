//! The captures that are measured: synthetic traffic of known shape, the same bytes at every run.
//!
//! Addresses are private and documentation's; each pair of hosts has a destination of its own, so that the number of
//! entries in a table is the number of pairs.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use crate::capture_file::{Random, checksum, file_header, record_header};

/// Octets that are kept of a frame.
const SNAPLEN: usize = 128;
/// The first packet's time, in microseconds since 1970; then one every microsecond.
const START: u64 = 1_700_000_000_000_000;

/// What a capture is made of. Shares are in ten thousandths.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    /// What it stands for, for people.
    pub(crate) summary: &'static str,
    pub(crate) packets: u64,
    pub(crate) pairs: Pairs,
    /// Frames of 64, 594 and 1518 bytes as 7 : 4 : 1 (IMIX); otherwise all of 64.
    pub(crate) imix: bool,
    pub(crate) ipv6: u64,
    pub(crate) vlan: u64,
    pub(crate) icmp: u64,
    pub(crate) fragments: u64,
    pub(crate) seed: u64,
}

/// Who talks to whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pairs {
    /// So many pairs, all alike, each with four connections.
    Uniform(u64),
    /// So many pairs of which few speak much: the n-th one as much as 1/n.
    Zipf(u64),
    /// Every packet is of another pair.
    Distinct,
}

const PLAIN: Shape = Shape {
    name: "",
    summary: "",
    packets: 0,
    pairs: Pairs::Distinct,
    imix: false,
    ipv6: 0,
    vlan: 0,
    icmp: 0,
    fragments: 0,
    seed: 0,
};

pub(crate) const P1: Shape = Shape {
    name: "P1",
    summary: "10 M packets of 60 B, 1 k pairs of hosts",
    packets: 10_000_000,
    pairs: Pairs::Uniform(1000),
    seed: 1,
    ..PLAIN
};

pub(crate) const P2: Shape = Shape {
    name: "P2",
    summary: "5 M packets, Zipf over 1 M pairs, sizes mixed, IPv6, VLAN, ICMP, fragments",
    packets: 5_000_000,
    pairs: Pairs::Zipf(1_000_000),
    imix: true,
    ipv6: 2000,
    vlan: 1000,
    icmp: 200,
    fragments: 100,
    seed: 2,
};

pub(crate) const P3: Shape =
    Shape { name: "P3", summary: "2 M packets, each of another pair", packets: 2_000_000, seed: 3, ..PLAIN };

pub(crate) const P4: Shape =
    Shape { name: "P4", summary: "100 k packets, each of another pair", packets: 100_000, seed: 4, ..PLAIN };

pub(crate) const P5: Shape =
    Shape { name: "P5", summary: "1 M packets, each of another pair", packets: 1_000_000, seed: 5, ..PLAIN };

impl Shape {
    /// For the growth curve: so many pairs, over four million packets at least.
    pub(crate) fn growth(pairs: u64, packets: u64) -> Shape {
        let pairs_of = if pairs >= packets { Pairs::Distinct } else { Pairs::Uniform(pairs) };
        Shape { name: "G", packets: packets.max(pairs), pairs: pairs_of, seed: pairs, ..PLAIN }
    }

    /// A tenth of it.
    pub(crate) fn tenth(self) -> Shape {
        Shape { packets: self.packets / 10, ..self }
    }

    /// The capture in that folder, made if it is not there yet.
    pub(crate) fn capture(&self, folder: &Path) -> Result<Capture, String> {
        let stem = match self.pairs {
            Pairs::Uniform(pairs) | Pairs::Zipf(pairs) => format!("{}-{}-{pairs}", self.name, self.packets),
            Pairs::Distinct => format!("{}-{}", self.name, self.packets),
        };
        let path = folder.join(format!("{stem}.pcap"));
        let sums = folder.join(format!("{stem}.totals"));
        let known = fs::read_to_string(&sums).ok().and_then(|text| Totals::parse(&text));
        let totals = match known {
            Some(totals) if path.exists() => totals,
            _ => self.make(&path, &sums).map_err(|error| format!("{}: {error}", path.display()))?,
        };
        Ok(Capture { path, totals })
    }

    fn make(&self, path: &Path, sums: &Path) -> io::Result<Totals> {
        println!("making {}", path.display());
        fs::create_dir_all(path.parent().unwrap_or(Path::new(".")))?;
        let mut out = BufWriter::with_capacity(1 << 20, File::create(path)?);
        let totals = self.write(&mut out)?;
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
        // Last, so that a file that was not finished is made anew.
        fs::write(sums, totals.to_string())?;
        Ok(totals)
    }

    /// Writes the capture.
    pub(crate) fn write(&self, out: &mut impl Write) -> io::Result<Totals> {
        let mut random = Random::new(self.seed);
        let harmonic = self.harmonic();
        let population = match self.pairs {
            Pairs::Uniform(pairs) | Pairs::Zipf(pairs) => pairs,
            Pairs::Distinct => self.packets,
        };
        let mut seen = vec![false; population as usize];
        let mut totals = Totals::default();
        out.write_all(&file_header())?;
        for number in 0..self.packets {
            let pair = match self.pairs {
                Pairs::Uniform(pairs) => random.next() % pairs,
                Pairs::Zipf(pairs) => {
                    let share = (random.next() >> 11) as f64 / (1_u64 << 53) as f64;
                    (harmonic.partition_point(|sum| *sum < share) as u64).min(pairs - 1)
                }
                Pairs::Distinct => number,
            };
            let frame = Frame::new(self, pair, number, &mut random);
            let captured = frame.bytes.len().min(SNAPLEN);
            out.write_all(&record_header(START + number, captured, frame.bytes.len()))?;
            out.write_all(&frame.bytes[..captured])?;
            totals.packets += 1;
            totals.bytes += frame.ip_len as u64;
            totals.entries += u64::from(!std::mem::replace(&mut seen[pair as usize], true));
        }
        Ok(totals)
    }

    /// For [`Pairs::Zipf`]: the share of all packets that the first n pairs have.
    fn harmonic(&self) -> Vec<f64> {
        let Pairs::Zipf(pairs) = self.pairs else { return Vec::new() };
        let whole: f64 = (1..=pairs).map(|n| 1.0 / n as f64).sum();
        let mut sum = 0.0;
        let share = |n| {
            sum += 1.0 / n as f64 / whole;
            sum
        };
        (1..=pairs).map(share).collect()
    }
}

/// A capture, and what a right answer to it is.
#[derive(Clone, Debug)]
pub(crate) struct Capture {
    pub(crate) path: PathBuf,
    pub(crate) totals: Totals,
}

/// What is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) packets: u64,
    /// Octets of IP packets.
    pub(crate) bytes: u64,
    /// Pairs of hosts.
    pub(crate) entries: u64,
}

impl Totals {
    fn parse(text: &str) -> Option<Totals> {
        let numbers: Vec<u64> = text.split(' ').map_while(|word| word.parse().ok()).collect();
        let [packets, bytes, entries] = numbers[..] else { return None };
        Some(Totals { packets, bytes, entries })
    }

    /// Sums an answer in CSV: the last two columns are packets and bytes.
    pub(crate) fn of_csv(text: &str) -> Totals {
        let mut totals = Totals::default();
        for line in text.lines().skip(1) {
            let mut fields = line.rsplit(',');
            let mut number = || fields.next().and_then(|field| field.trim().parse::<u64>().ok());
            let (Some(bytes), Some(packets)) = (number(), number()) else { continue };
            totals.packets += packets;
            totals.bytes += bytes;
            totals.entries += 1;
        }
        totals
    }
}

impl std::fmt::Display for Totals {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} {} {}", self.packets, self.bytes, self.entries)
    }
}

/// The frame of 60 bytes that the live sender sends for a pair.
pub(crate) fn small_frame(pair: u64) -> Vec<u8> {
    Frame::new(&P1, pair, pair, &mut Random::new(pair)).bytes
}

/// One frame, without the checksum that Ethernet puts behind it.
struct Frame {
    bytes: Vec<u8>,
    ip_len: usize,
}

impl Frame {
    /// The packet of that number, of that pair.
    fn new(shape: &Shape, pair: u64, number: u64, random: &mut Random) -> Frame {
        // What a pair is never changes: its IP version, its VLAN, its addresses.
        let nature = Random::new(pair ^ 0x00ab_cdef).next();
        let is_ipv6 = nature % 10_000 < shape.ipv6;
        let has_vlan = (nature >> 14) % 10_000 < shape.vlan;
        let connection = Random::new(nature ^ (random.next() % 4)).next();
        let protocol = match connection % 10_000 {
            share if share < shape.icmp => {
                if is_ipv6 {
                    58
                } else {
                    1
                }
            }
            share if share < shape.icmp + 3000 => 17,
            _ => 6,
        };
        let size = match (shape.imix, random.next() % 12) {
            (false, _) | (true, 0..7) => 60,
            (true, 7..11) => 590,
            _ => 1514,
        };

        let mut bytes = Vec::with_capacity(size);
        bytes.extend([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1]); // locally administered
        if has_vlan {
            bytes.extend([0x81, 0]);
            bytes.extend((nature as u16 % 4000 + 1).to_be_bytes());
        }
        bytes.extend(if is_ipv6 { [0x86, 0xdd] } else { [0x08, 0x00] });
        let headers = if is_ipv6 { 40 } else { 20 } + if protocol == 6 { 20 } else { 8 };
        let ip_len = (size - bytes.len()).max(headers);
        let end = bytes.len() + ip_len;

        let source = 0x0a00_0000 | (nature as u32 & 0xffff);
        let destination = 0x6400_0000 + pair as u32 + 1;
        if is_ipv6 {
            ipv6(&mut bytes, ip_len, protocol, source, destination);
        } else {
            let is_fragment = random.next() % 10_000 < shape.fragments;
            // The first fragment of one datagram, or a later one of another, whose first never comes.
            let offset = match (is_fragment, number % 2) {
                (false, _) => 0,
                (true, 0) => 0x2000,
                (true, _) => 185,
            };
            ipv4(&mut bytes, ip_len, number as u16, offset, protocol, source, destination);
        }
        transport(&mut bytes, protocol, connection, end);
        bytes.resize(end, 0);
        Frame { bytes, ip_len }
    }
}

fn ipv4(out: &mut Vec<u8>, len: usize, id: u16, offset: u16, protocol: u8, source: u32, destination: u32) {
    let start = out.len();
    out.extend([0x45, 0]);
    out.extend((len as u16).to_be_bytes());
    out.extend(id.to_be_bytes());
    out.extend(offset.to_be_bytes());
    out.extend([64, protocol, 0, 0]); // time to live, protocol, checksum
    out.extend(source.to_be_bytes());
    out.extend(destination.to_be_bytes());
    let sum = checksum([&out[start..]]);
    out[start + 10..start + 12].copy_from_slice(&sum.to_be_bytes());
}

fn ipv6(out: &mut Vec<u8>, len: usize, protocol: u8, source: u32, destination: u32) {
    out.extend([0x60, 0, 0, 0]);
    out.extend((len as u16 - 40).to_be_bytes());
    out.extend([protocol, 64]); // next header, hop limit
    for (network, host) in [(1, source), (2, destination)] {
        out.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, network, 0, 0, 0, 0]);
        out.extend(host.to_be_bytes());
    }
}

fn transport(out: &mut Vec<u8>, protocol: u8, connection: u64, end: usize) {
    const SERVICES: [u16; 8] = [80, 443, 53, 8080, 22, 25, 123, 3306];
    let from = 1024 + (connection % 60_000) as u16;
    let to = SERVICES[(connection >> 20) as usize % SERVICES.len()];
    let length = (end - out.len()) as u16;
    match protocol {
        1 => out.extend([8, 0, 0, 0, 0, 0, 0, 0]),
        58 => out.extend([128, 0, 0, 0, 0, 0, 0, 0]),
        17 => out.extend([from, to, length, 0].map(u16::to_be_bytes).concat()),
        _ => {
            out.extend([from, to].map(u16::to_be_bytes).concat());
            out.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x10, 0xff, 0xff, 0, 0, 0, 0]); // ACK
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small(shape: Shape) -> (Vec<u8>, Totals) {
        let mut bytes = Vec::new();
        let totals = Shape { packets: 2000, ..shape }.write(&mut bytes).unwrap();
        (bytes, totals)
    }

    #[test]
    fn every_run_writes_the_same_bytes() {
        for shape in [P1, P2, P3] {
            assert_eq!(small(shape), small(shape), "{}", shape.name);
        }
    }

    #[test]
    fn sizes_are_as_announced() {
        let (bytes, totals) = small(P1);
        assert_eq!(bytes.len(), 24 + 2000 * (16 + 60));
        assert_eq!(totals, Totals { packets: 2000, bytes: 2000 * 46, entries: totals.entries });
        assert!((800..=1000).contains(&totals.entries), "{totals}");
        assert_eq!(small(P3).1.entries, 2000);
        assert_eq!(small_frame(7).len(), 60);
    }

    #[test]
    fn the_mix_has_everything() {
        let (bytes, totals) = small(P2);
        let mut at = 24;
        let (mut ipv6, mut vlan, mut fragments, mut packets) = (0, 0, 0, 0);
        while at < bytes.len() {
            let length = u32::from_le_bytes(bytes[at + 8..at + 12].try_into().unwrap()) as usize;
            let frame = &bytes[at + 16..at + 16 + length];
            match frame[12..14] {
                [0x86, 0xdd] => ipv6 += 1,
                [0x81, 0x00] => vlan += 1,
                _ => fragments += u32::from(frame[20..22] != [0, 0]),
            }
            packets += 1;
            at += 16 + length;
        }
        assert_eq!((packets, at), (totals.packets, bytes.len()));
        assert!(ipv6 > 100 && vlan > 50 && fragments > 2, "{ipv6} {vlan} {fragments}");
        assert!(totals.entries > 500 && totals.entries < 2000, "{totals}");
    }

    #[test]
    fn totals_are_summed_from_an_answer() {
        let answer = "SRC_IP,DST_IP,PACKETS,BYTES\n10.0.0.1,10.0.0.2,3,138\n10.0.0.2,10.0.0.1,1,46\n";
        assert_eq!(Totals::of_csv(answer), Totals { packets: 4, bytes: 184, entries: 2 });
        let totals = Totals { packets: 4, bytes: 184, entries: 2 };
        assert_eq!(Totals::parse(&totals.to_string()), Some(totals));
    }
}
