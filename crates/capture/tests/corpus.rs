//! Real captures: what is read and decoded, against what pmacctd 1.7.7 accounts.
//!
//! The captures are not part of the project. `RPMACCT_SHARED` says where the directory is that has `corpus/`;
//! without it, `shared` beside the workspace is tried, and without that nothing is tested.

use std::collections::BTreeMap;
use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use rpmacct_capture::{Savefile, SavefileError};
use rpmacct_packet::Packet;

/// What the peer was asked to aggregate, and how we would write the key.
type Aggregate = (&'static str, fn(&Packet<'_>) -> String);

const AGGREGATES: &[Aggregate] = &[
    ("A1", hosts),
    ("A2", |p| {
        let (src_port, dst_port) = p.ports().unwrap_or_default();
        format!("{},{src_port},{dst_port},{},{}", hosts(p), protocol_name(p.proto()), p.tos())
    }),
    ("A3", |p| {
        let (src, dst) = (p.src_mac().unwrap_or_default(), p.dst_mac().unwrap_or_default());
        let (vlan, cos) = p.vlan().map_or((0, 0), |tag| (tag.id, tag.cos));
        format!("{src},{dst},{vlan},{cos},{:x}", p.etype())
    }),
    ("A4", |p| protocol_name(p.proto())),
    ("A7", |p| {
        let (top, bottom) = (p.mpls().top().unwrap_or_default(), p.mpls().bottom().unwrap_or_default());
        format!("{},{top},{bottom},{}", hosts(p), p.mpls().len())
    }),
];

fn hosts(p: &Packet<'_>) -> String {
    let text = |ip: Option<IpAddr>| ip.map(|ip| ip.to_string()).unwrap_or_default();
    format!("{},{}", text(p.src_ip()), text(p.dst_ip()))
}

/// A capture whose account differs from the peer's, reviewed with tshark.
struct Difference {
    file: &'static str,
    /// The aggregates that differ; all others must be equal.
    aggregates: &'static [&'static str],
    /// The true sums.
    total: Sum,
    by_protocol: &'static [(&'static str, Sum)],
    /// What the peer does.
    peer: &'static str,
}

/// Every aggregate.
const ALL: &[&str] = &["A1", "A2", "A3", "A4", "A7"];
/// As `ALL`, for link types without addresses, where A3 has other columns.
const NO_MAC: &[&str] = &["A1", "A2", "A4", "A7"];

const DIFFERENCES: &[Difference] = &[
    Difference {
        file: "mercury-tlsv1_3.pcap",
        aggregates: ALL,
        total: Sum(30, 10_913),
        by_protocol: &[("tcp", Sum(30, 10_913))],
        peer: "counts 0 bytes for the packet of 1843 whose length the sending host left to its network card",
    },
    Difference {
        file: "zeek-missing_ldap_logs.pcapng",
        aggregates: ALL,
        total: Sum(315, 428_246),
        by_protocol: &[("tcp", Sum(315, 428_246))],
        peer: "the same for three packets of 1848, 1880 and 1880 bytes",
    },
    Difference {
        file: "arkime-socks5-http-302-frag.pcap",
        aggregates: &["A2"],
        total: Sum(72, 3097),
        by_protocol: &[("tcp", Sum(72, 3097))],
        peer: "gives later fragments the ports of the first (so will the core), and flags read from payload",
    },
    Difference {
        file: "ndpi-ip_fragmented_garbage.pcap",
        aggregates: &["A2"],
        total: Sum(1252, 45_040),
        by_protocol: &[("tcp", Sum(1252, 45_040))],
        peer: "the same",
    },
    Difference {
        file: "ndpi-fuzz-2006-06-26-2594.pcap",
        aggregates: ALL,
        total: Sum(606, 550_148),
        by_protocol: &[
            ("0", Sum(3, 663)),
            ("118", Sum(1, 403)),
            ("120", Sum(1, 495)),
            ("127", Sum(1, 72)),
            ("170", Sum(6, 131_522)),
            ("19", Sum(1, 48)),
            ("240", Sum(1, 72)),
            ("37", Sum(2, 163)),
            ("tcp", Sum(52, 36_398)),
            ("udp", Sum(538, 380_312)),
        ],
        peer: "looks neither at the version (wrong in 6 packets) nor for a header length below 5 (1 packet)",
    },
    Difference {
        file: "zeek-mpls-6in6-broken.pcap",
        // The peer crashes on A7.
        aggregates: &["A1", "A2", "A3", "A4"],
        total: Sum(1774, 149_043),
        by_protocol: &[("ipv6", Sum(1774, 149_043))],
        peer: "accounts what it takes for IPv4 behind damaged label stacks, such as 255.255.0.0",
    },
    Difference {
        file: "tcpdump-lspping-fec-ldp.pcap",
        aggregates: NO_MAC,
        total: Sum(13, 874),
        by_protocol: &[("tcp", Sum(3, 194)), ("udp", Sum(10, 680))],
        peer: "reads IP behind MPLS in PPP four bytes too early",
    },
    Difference {
        file: "tcpdump-mpls-traceroute.pcap",
        aggregates: NO_MAC,
        total: Sum(18, 1536),
        by_protocol: &[("icmp", Sum(9, 1176)), ("udp", Sum(9, 360))],
        peer: "the same",
    },
    Difference {
        file: "gopacket-test_loopback.pcap",
        aggregates: NO_MAC,
        total: Sum(24, 58_083),
        by_protocol: &[("tcp", Sum(24, 58_083))],
        peer: "does not know the number that macOS has for IPv6",
    },
    Difference {
        file: "pcapplusplus-pcapng-example.pcapng",
        aggregates: ALL,
        total: Sum(159, 55_039),
        by_protocol: &[("tcp", Sum(159, 55_039))],
        peer: "stops without a word where a pcapng file describes an interface of another link type",
    },
    Difference {
        file: "pcapplusplus-many_interfaces-1.pcapng",
        aggregates: NO_MAC,
        total: Sum(64, 15_078),
        by_protocol: &[("tcp", Sum(32, 4749)), ("udp", Sum(32, 10_329))],
        peer: "the same",
    },
    Difference {
        file: "gopacket-test202.pcapng",
        aggregates: NO_MAC,
        total: Sum(8, 2212),
        by_protocol: &[("udp", Sum(8, 2212))],
        peer: "the same",
    },
    Difference {
        file: "pcapplusplus-GrePackets.pcapng",
        aggregates: ALL,
        total: Sum(7, 623),
        by_protocol: &[("gre", Sum(6, 373)), ("ipencap", Sum(1, 250))],
        peer: "the same, for interfaces of different snapshot lengths",
    },
];

/// Captures that the peer refuses for their link type, and what is in them.
const PEER_REFUSES: &[(&str, Sum)] = &[
    ("arkime-mqtt_synthetic.pcap", Sum(63, 11_388)),
    ("arkime-nflog.pcap", Sum(10, 1875)),
    ("libpcap-ISIS_p2p_adjacency.pcap", Sum(0, 0)), // IS-IS over Cisco HDLC
    ("libpcap-arcnet-rfc1051-arp-icmp-http.pcap", Sum(13, 1120)),
    ("libpcap-arcnet-rfc1201-arp-icmp-http.pcap", Sum(11, 822)),
    ("libpcap-brcm-tag-stp.pcap", Sum(0, 0)), // spanning tree
    ("libpcap-http_PPI.pcap", Sum(3, 227)),
    ("libpcap-wpa-Induction.pcap", Sum(0, 0)), // a wireless station, and two packets that are encrypted
    ("mercury-sll2_tls.pcap", Sum(1, 569)),
    ("tcpdump-HDLC.pcap", Sum(10, 1000)),
    ("tcpdump-OSPFv3_multipoint_adjacencies.pcap", Sum(73, 10_332)),
    ("tcpdump-cve2015-0261-ipv6.pcap", Sum(2, 53_020)), // with lengths that are forged
    ("tcpdump-heapoverflow-ppp_hdlc_if_print.pcap", Sum(0, 0)), // two octets
    ("tcpdump-hoobr_rt6_print.pcap", Sum(1, 12_376)),   // and two that are not IPv6
    ("tcpdump-ipv6_mobility_1.pcap", Sum(16, 1024)),
    ("zeek-dns-inverse-query.pcap", Sum(11, 521)),
    ("zeek-llc.pcap", Sum(1333, 53_320)),
    ("zeek-openjdk-25.0.2-zeek.org.pcap", Sum(6, 3649)),
];

/// Files of versions 2.0 and 2.2, where the lengths of a record are in the other order, their frames and
/// whether they are cut. The corpus's list of contents has no frames for them.
const OLD_VERSIONS: &[(&str, u64, bool)] = &[
    ("ndpi-fuzz-2021-10-13.pcap", 1, true),
    ("pcapplusplus-clusterfuzz-testcase-minimized-FuzzTarget-6604968558198784.pcap", 1, false),
];

#[test]
fn accounts_equal_the_peers() {
    let Some(corpus) = corpus() else { return };
    let mut wrong = Vec::new();
    for (name, ..) in &contents(&corpus) {
        let Ok(ours) = Account::read(&corpus, name) else { continue };
        let difference = DIFFERENCES.iter().find(|difference| difference.file == name);
        for (aggregate, rows) in AGGREGATES.iter().map(|(aggregate, _)| *aggregate).zip(&ours.tables) {
            // Without link-layer addresses the peer leaves columns out.
            if aggregate == "A3" && !ours.has_mac {
                continue;
            }
            let Some(golden) = golden(&corpus, name, aggregate) else { continue };
            let differs = difference.is_some_and(|difference| difference.aggregates.contains(&aggregate));
            if (*rows == golden) == differs {
                let only =
                    |a: &Table, b: &Table| format!("{:?}", a.iter().find(|(k, v)| b.get(*k) != Some(v)));
                let (us, peer) = (only(rows, &golden), only(&golden, rows));
                wrong.push(format!("{name} {aggregate}: ours {us}, peer {peer}, listed {differs}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn differences_are_the_truth() {
    let Some(corpus) = corpus() else { return };
    for Difference { file, total, by_protocol, peer, .. } in DIFFERENCES {
        let ours = Account::read(&corpus, file).unwrap();
        assert_eq!(ours.total(), *total, "{file}: the peer {peer}");
        let protocols: Vec<(&str, Sum)> =
            ours.table("A4").iter().map(|(k, (sum, _))| (&k[..], *sum)).collect();
        assert_eq!(protocols, *by_protocol, "{file}: the peer {peer}");
    }
    for (file, total) in PEER_REFUSES {
        assert_eq!(Account::read(&corpus, file).unwrap().total(), *total, "{file}");
        assert_eq!(golden(&corpus, file, "A1"), None, "{file}");
    }
}

#[test]
fn all_frames_are_read() {
    let Some(corpus) = corpus() else { return };
    for (name, frames, covers) in contents(&corpus) {
        let account = Account::read(&corpus, &name).unwrap_or_else(|error| panic!("{name}: {error}"));
        let old = OLD_VERSIONS.iter().find(|(file, ..)| *file == name);
        let (frames, is_cut) =
            old.map_or((frames, covers.contains("file truncated")), |(_, frames, is_cut)| (*frames, *is_cut));
        assert_eq!(account.frames, frames, "{name}");
        let ends_cut = matches!(account.end, Some(SavefileError::Cut { .. }));
        assert_eq!(ends_cut, is_cut, "{name}");
        assert!(ends_cut || account.end.is_none(), "{name}: {:?}", account.end);
    }
}

/// The same bytes, cut and damaged: no panic, and an end.
#[test]
fn damaged_captures_are_survived() {
    let Some(corpus) = corpus() else { return };
    let scratch = tempfile::NamedTempFile::new().unwrap();
    for (name, ..) in contents(&corpus) {
        let mut bytes = fs::read(corpus.join("captures").join(&name)).unwrap();
        bytes.truncate(20_000);
        for round in 1..=8_usize {
            // Any pattern will do, as long as it is the same each time.
            for at in (round * 7..bytes.len()).step_by(97 * round) {
                bytes[at] = bytes[at].wrapping_mul(31).wrapping_add(round as u8);
            }
            fs::write(scratch.path(), &bytes[..bytes.len() - bytes.len() * (round - 1) / 16]).unwrap();
            if let Ok(account) = Account::of(Savefile::open(scratch.path())) {
                assert!(account.frames <= bytes.len() as u64 / 12, "{name}");
            }
        }
    }
}

/// Packets and bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Sum(u64, u64);

/// Key → sums and the flags of TCP.
type Table = BTreeMap<String, (Sum, u8)>;

/// A capture, accounted.
#[derive(Debug)]
struct Account {
    /// One for each of `AGGREGATES`.
    tables: Vec<Table>,
    /// Whether all frames have link-layer addresses.
    has_mac: bool,
    frames: u64,
    /// How the file ended, if not well.
    end: Option<SavefileError>,
}

impl Account {
    fn read(corpus: &Path, name: &str) -> Result<Self, SavefileError> {
        Self::of(Savefile::open(&corpus.join("captures").join(name)))
    }

    fn of(savefile: Result<Savefile, SavefileError>) -> Result<Self, SavefileError> {
        let mut savefile = savefile?;
        let mut account =
            Self { tables: vec![Table::new(); AGGREGATES.len()], has_mac: true, frames: 0, end: None };
        while let Some(frame) = savefile.next() {
            let frame = match frame {
                Ok(frame) => frame,
                Err(error) => {
                    account.end = Some(error);
                    continue;
                }
            };
            assert!(frame.wire_len as usize >= frame.data.len());
            account.frames += 1;
            account.has_mac &= frame.link.has_mac();
            if let Ok(packet) = Packet::decode(frame.link, frame.data, frame.wire_len) {
                account.add(&packet);
            }
        }
        Ok(account)
    }

    fn add(&mut self, packet: &Packet<'_>) {
        for ((aggregate, key), table) in AGGREGATES.iter().zip(&mut self.tables) {
            let (Sum(packets, bytes), flags) = table.entry(key(packet)).or_default();
            *packets += 1;
            *bytes += u64::from(packet.ip_len());
            if *aggregate == "A2" {
                *flags |= packet.tcp_flags().unwrap_or_default();
            }
        }
    }

    fn table(&self, aggregate: &str) -> &Table {
        &self.tables[AGGREGATES.iter().position(|(name, _)| *name == aggregate).unwrap()]
    }

    fn total(&self) -> Sum {
        self.table("A4").values().fold(Sum::default(), |sum, (row, _)| Sum(sum.0 + row.0, sum.1 + row.1))
    }
}

/// What the peer accounts in the capture `name`; `None` if it refuses the file, or crashes.
fn golden(corpus: &Path, name: &str, aggregate: &str) -> Option<Table> {
    let text = fs::read_to_string(corpus.join(format!("golden/{name}.{aggregate}.csv"))).ok()?;
    let mut table = Table::new();
    for line in text.lines().skip(1) {
        let mut columns: Vec<&str> = line.split(',').collect();
        let bytes = columns.pop()?.parse().unwrap();
        let packets = columns.pop()?.parse().unwrap();
        // The flags are no part of the key.
        let flags = if aggregate == "A2" { columns.remove(4).parse().unwrap() } else { 0 };
        table.insert(columns.join(","), (Sum(packets, bytes), flags));
    }
    Some(table)
}

/// The peer's name of a protocol, as far as the corpus has it.
fn protocol_name(number: u8) -> String {
    let name = match number {
        1 => "icmp",
        2 => "igmp",
        4 => "ipencap",
        6 => "tcp",
        17 => "udp",
        41 => "ipv6",
        44 => "ipv6-frag",
        47 => "gre",
        50 => "esp",
        51 => "ah",
        58 => "ipv6-icmp",
        80 => "iso-ip",
        83 => "vines",
        89 => "ospf",
        103 => "pim",
        108 => "IPcomp",
        112 => "vrrp",
        132 => "sctp",
        _ => return number.to_string(),
    };
    name.to_owned()
}

fn corpus() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let corpus = std::env::var_os("RPMACCT_SHARED").map_or_else(beside, PathBuf::from).join("corpus");
    if corpus.is_dir() {
        return Some(corpus);
    }
    println!("skipped: {} is not there; set RPMACCT_SHARED", corpus.display());
    None
}

/// The captures: file, number of frames, and what they are good for.
fn contents(corpus: &Path) -> Vec<(String, u64, String)> {
    let text = fs::read_to_string(corpus.join("captures/MANIFEST.tsv")).unwrap();
    let rows = text.lines().skip(1).map(|line| {
        let columns: Vec<&str> = line.split('\t').collect();
        (columns[0].to_owned(), columns[7].parse().unwrap(), columns[9].to_owned())
    });
    rows.collect()
}
