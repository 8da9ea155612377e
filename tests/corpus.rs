//! Real captures: what we account is what pmacctd accounts, or what is true where pmacctd is wrong.
//!
//! `tests/corpus_reviewed.tsv` lists every difference, with its reason and the true answer.

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use support::{Dissected, Dissection, Launch, dissect, need_program, shared};

/// The aggregates of the golden answers.
const AGGREGATES: [(&str, &str); 7] = [
    ("A1", "src_host,dst_host"),
    ("A2", "src_host,dst_host,src_port,dst_port,proto,tos,tcpflags"),
    ("A3", "src_mac,dst_mac,vlan,cos,etype"),
    ("A4", "proto"),
    ("A5", "sum_host"),
    ("A6", "src_host,dst_host,src_port,dst_port,proto,flows"),
    ("A7", "src_host,dst_host,mpls_label_top,mpls_label_bottom,mpls_stack_depth"),
];

/// The peer read the captures in no time, by its own clock: hardly a flow fell silent.
const FLOWS: &str = "pmacctd_flow_lifetime: 86400\npmacctd_flow_tcp_lifetime: 604800\n";

/// Aggregates that need keys of their own, and how often there must be a golden answer at least.
const WITH_KEYS: [((&str, &str), &str, usize); 2] = [
    (("A8", "src_host,dst_host,src_port,dst_port,proto"), "tunnel_0: gtp, 2152\n", 3),
    (("A9", "src_mac,dst_mac,vlan,cos,etype"), "aggregate_unknown_etype: true\n", 60),
];

#[test]
fn every_capture_equals_the_peer_or_the_truth() {
    let Some(shared) = shared() else { return };
    let corpus = shared.join("corpus");
    let mut comparison = Comparison::new(&corpus);
    let captures = captures(&corpus);
    for capture in &captures {
        comparison.account(capture, &AGGREGATES, FLOWS);
        for ((name, aggregate), keys, _) in WITH_KEYS {
            let there = |folder: &str| corpus.join(folder).join(format!("{capture}.{name}.csv")).exists();
            if name != "A8" || there("golden") {
                comparison.account(capture, &[(name, aggregate)], keys);
            }
        }
    }
    let Comparison { equal, true_instead, wrong, balances, reviewed, .. } = comparison;
    eprintln!(
        "{} captures: {} answers equal the peer's, {true_instead} are true where the peer is wrong or has none; \
         {balances} balances hold",
        captures.len(),
        equal.values().sum::<usize>()
    );
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(captures.len(), 98);
    for (name, least) in
        AGGREGATES.map(|(name, _)| (name, 50)).into_iter().chain(WITH_KEYS.map(|((n, _), _, l)| (n, l)))
    {
        assert!(equal[name] >= least, "only {} answers of {name} were compared", equal[name]);
    }
    assert_eq!(true_instead, reviewed.len(), "the list has lines that nothing needs");
}

/// Captures in which tshark sees something else: it does not know one link type, it does not look into SLIP, and it
/// takes 14 packets behind broken label stacks for IP that are not.
const OTHERWISE: [&str; 3] =
    ["libpcap-brcm-tag-stp.pcap", "tcpdump-cve2015-0261-ipv6.pcap", "zeek-mpls-6in6-broken.pcap"];

/// What the list says of packets and bytes, an independent reader says, too.
#[test]
fn tshark_sees_the_packets_that_the_list_has() {
    let Some(shared) = shared() else { return };
    if !need_program("tshark") {
        return;
    }
    let mut truths = BTreeMap::new();
    let mut confirmed = 0;
    for ((capture, aggregate), (_, packets, bytes)) in reviewed() {
        if OTHERWISE.contains(&capture.as_str()) {
            continue;
        }
        let file = shared.join("corpus/captures").join(&capture);
        let frames = truths.entry(capture.clone()).or_insert_with(|| dissect(&file));
        let (true_packets, true_bytes) = totals(frames, aggregate == "A9");
        // Each packet for both of its hosts.
        let times = if aggregate == "A5" { 2 } else { 1 };
        assert_eq!((true_packets * times, true_bytes * times), (packets, bytes), "{capture} {aggregate}");
        confirmed += 1;
    }
    assert!(confirmed >= 233, "{confirmed}");
}

/// A packet that is cut within a routing header: we name that one, tshark what it says comes next.
const CUT: &str = "tcpdump-hoobr_rt6_print.pcap";

/// How many flows there are where the peer counts others or crashes follows from tshark's packets, too.
#[test]
fn the_flows_on_the_list_are_those_of_tshark() {
    let Some(shared) = shared() else { return };
    if !need_program("tshark") {
        return;
    }
    let (mut confirmed, mut begun_anew) = (0, 0);
    for capture in
        reviewed().into_keys().filter(|(_, aggregate)| aggregate == "A6").map(|(capture, _)| capture)
    {
        if OTHERWISE.iter().chain([&CUT]).any(|other| *other == capture) {
            continue;
        }
        let file = shared.join("corpus/captures").join(&capture);
        let truth = flows(&dissect(&file));
        let answer = account(&file, &AGGREGATES[5..6], &format!("{FLOWS}print_num_protos: true\n"));
        let ours: BTreeMap<String, u64> = answer.outputs["A6"]
            .lines()
            .skip(1)
            .map(|line| {
                let columns: Vec<&str> = line.split(',').collect();
                (columns[..5].join(","), columns[6].parse().expect("flows"))
            })
            .collect();
        assert_eq!(ours, truth, "{capture}");
        confirmed += 1;
        begun_anew += truth.values().filter(|flows| **flows > 1).count();
    }
    assert!(confirmed >= 42 && begun_anew > 10, "{confirmed} {begun_anew}");
}

/// How often each flow begins: with its first packet, and with the first one after a silence that is longer than
/// its lifetime, in seconds.
fn flows(frames: &[Dissection]) -> BTreeMap<String, u64> {
    // Later fragments have the ports of the first one.
    let datagram = |packet: &Dissected| (packet.src.clone(), packet.dst.clone(), packet.proto, packet.id);
    let packets = || frames.iter().filter_map(|frame| Some((frame.time, frame.packets.first()?)));
    let first = packets().filter(|(_, packet)| packet.is_first_fragment);
    let ports: BTreeMap<_, _> =
        first.map(|(_, packet)| (datagram(packet), (packet.src_port, packet.dst_port))).collect();

    let mut begun = BTreeMap::new();
    let mut alive: BTreeMap<String, (f64, usize)> = BTreeMap::new();
    for (time, packet) in packets() {
        let Dissected { src, dst, src_port, dst_port, proto, tcp_flags, .. } = packet;
        let of_first = ports.get(&datagram(packet)).filter(|_| packet.is_later_fragment);
        let (src_port, dst_port) = of_first.copied().unwrap_or((*src_port, *dst_port));
        let key = format!("{src},{dst},{src_port},{dst_port},{proto}");
        // Other protocols than TCP; a SYN, anything else, a FIN, a RST.
        let lifetimes = [86_400.0, 60.0, 604_800.0, 30.0, 10.0];
        let state = match tcp_flags {
            _ if *proto != 6 => 0,
            flags if flags & 0x04 != 0 => 4,
            flags if flags & 0x01 != 0 => 3,
            flags if flags & 0x02 != 0 => 1,
            _ => 2,
        };
        let before = alive.get(&key).filter(|(last, state)| time <= last + lifetimes[*state]).copied();
        *begun.entry(key.clone()).or_default() += u64::from(before.is_none());
        let (last, stage) = before.unwrap_or((time, state));
        alive.insert(key, (last.max(time), stage.max(state)));
    }
    begun
}

/// Packets and bytes of the outermost IP packets, and of the frames without IP if those are accounted, too.
fn totals(frames: &[Dissection], others_too: bool) -> (u64, u64) {
    let lengths = frames.iter().filter_map(|frame| match frame.packets.first() {
        Some(packet) => Some(packet.len),
        None if others_too => len_without_ip(frame),
        None => None,
    });
    lengths.fold((0, 0), |(packets, bytes), len| (packets + 1, bytes + len))
}

/// Link headers, as tshark names what they end with, and their octets. Frames of other links have no EtherType,
/// and count whole.
const LINK_HEADERS: [(&str, u64); 4] = [
    ("eth", 14),
    ("chdlc", 4),
    // Radiotap here has 24, 802.11 too, LLC and SNAP 8.
    ("radiotap:wlan_radio:wlan:llc", 56),
    ("", 0),
];

/// What follows the link header of a frame that carries no IP; `None` if it may carry IP and cannot be read.
fn len_without_ip(frame: &Dissection) -> Option<u64> {
    let protocols = frame.protocols.join(":");
    let is_broken_ip = frame.protocols.iter().any(|protocol| ["ip", "ipv6"].contains(&protocol.as_str()));
    // A link that has nothing but IP, or two octets of PPP.
    let is_nothing = ["", "data"].contains(&protocols.as_str()) || frame.captured <= 2;
    if is_broken_ip || is_nothing || frame.is_protected {
        return None;
    }
    let header = LINK_HEADERS.iter().find(|(names, _)| protocols.starts_with(names));
    header.map(|(_, octets)| frame.len - octets)
}

/// Our answers beside the peer's.
struct Comparison<'a> {
    corpus: &'a Path,
    reviewed: BTreeMap<(String, String), (usize, u64, u64)>,
    /// How many answers were equal, by aggregate.
    equal: BTreeMap<&'static str, usize>,
    /// How many differ, or have none to be compared with, and are as the list says.
    true_instead: usize,
    wrong: String,
    balances: usize,
}

impl<'a> Comparison<'a> {
    fn new(corpus: &'a Path) -> Self {
        let (equal, wrong) = (BTreeMap::new(), String::new());
        Self { corpus, reviewed: reviewed(), equal, true_instead: 0, wrong, balances: 0 }
    }

    /// Accounts a capture and compares.
    fn account(&mut self, capture: &str, aggregates: &[(&'static str, &str)], keys: &str) {
        let answer = account(&self.corpus.join("captures").join(capture), aggregates, keys);
        self.balances += answer.balances;
        for (name, ours) in &answer.outputs {
            let golden = ["golden", "golden-1.8"].iter().find_map(|folder| {
                fs::read_to_string(self.corpus.join(folder).join(format!("{capture}.{name}.csv"))).ok()
            });
            let review = self.reviewed.get(&(capture.to_owned(), (*name).to_owned()));
            match review {
                None if golden.as_ref() == Some(ours) => *self.equal.entry(name).or_default() += 1,
                Some(truth) if sums(ours) == *truth && golden.as_ref() != Some(ours) => {
                    self.true_instead += 1;
                }
                _ => {
                    let _ = writeln!(self.wrong, "--- {capture} {name}: {:?}, listed {review:?}", sums(ours));
                    self.wrong.push_str(&difference(&golden.unwrap_or_default(), ours));
                }
            }
        }
    }
}

/// The same capture, the same bytes of output.
#[test]
fn the_same_capture_gives_the_same_bytes() {
    let Some(shared) = shared() else { return };
    let capture = shared.join("corpus/captures/mercury-top_100_fingerprints.pcap");
    let (once, again) = (account(&capture, &AGGREGATES, FLOWS), account(&capture, &AGGREGATES, FLOWS));
    assert!(once.unsorted.len() > 10_000, "{}", once.unsorted.len());
    assert!(once.unsorted == again.unsorted);
}

/// What was accounted of one capture.
struct Answer {
    /// Header and sorted rows, by aggregate; empty where nothing was accounted.
    outputs: BTreeMap<&'static str, String>,
    /// All outputs as they were written.
    unsorted: String,
    /// Lines of the ledger, all of which hold.
    balances: usize,
}

/// Accounts a capture by some aggregates in one run.
fn account(capture: &Path, aggregates: &[(&'static str, &str)], keys: &str) -> Answer {
    let mut conf = format!("pcap_savefile: {}\nprint_output: csv\n{keys}", capture.display());
    let plugins: Vec<_> = aggregates.iter().map(|(name, _)| format!("print[{name}]")).collect();
    let _ = writeln!(conf, "plugins: {}", plugins.join(", "));
    for (name, aggregate) in aggregates {
        let _ = writeln!(
            conf,
            "aggregate[{name}]: {aggregate}\nprint_output_file[{name}]: {{folder}}/{name}.csv"
        );
    }
    let finished = Launch::conf(&conf).finish();
    let log = &finished.stderr;
    assert!(finished.status.success(), "{}:\n{log}", capture.display());
    assert!(!log.contains("!="), "{}:\n{log}", capture.display());
    let balances = log.lines().filter(|line| line.starts_with("NOTICE") && line.contains(" = ")).count();
    assert!(balances > aggregates.len(), "{log}");

    let mut answer = Answer { outputs: BTreeMap::new(), unsorted: String::new(), balances };
    for &(name, _) in aggregates {
        let output =
            fs::read_to_string(finished.folder.path().join(format!("{name}.csv"))).unwrap_or_default();
        answer.unsorted.push_str(&output);
        answer.outputs.insert(name, sorted(&output));
    }
    answer
}

fn sorted(output: &str) -> String {
    let mut lines = output.lines();
    let header = lines.next().into_iter();
    let mut rows: Vec<_> = lines.collect();
    rows.sort_unstable();
    header.chain(rows).fold(String::new(), |all, line| all + line + "\n")
}

/// Rows, packets and bytes of an output.
fn sums(output: &str) -> (usize, u64, u64) {
    let has_flows = output.lines().next().is_some_and(|header| header.contains(",FLOWS,"));
    output.lines().skip(1).fold((0, 0, 0), |(rows, packets, bytes), line| {
        let mut columns = line.rsplit(',').map(|value| value.parse::<u64>().unwrap_or(0));
        let b = columns.next().unwrap_or(0);
        let p = columns.nth(usize::from(has_flows)).unwrap_or(0);
        (rows + 1, packets + p, bytes + b)
    })
}

/// The lines that only one of two sorted outputs has.
fn difference(golden: &str, ours: &str) -> String {
    let only = |a: &str, b: &str, sign: char| {
        let lines = a.lines().filter(|line| !b.lines().any(|other| other == *line)).take(8);
        lines.fold(String::new(), |all, line| all + &format!("{sign} {line}\n"))
    };
    only(golden, ours, '-') + &only(ours, golden, '+')
}

/// All captures of the corpus's own list.
fn captures(corpus: &Path) -> Vec<String> {
    let list = fs::read_to_string(corpus.join("captures/MANIFEST.tsv")).expect("the corpus's list");
    list.lines().skip(1).filter_map(|line| line.split('\t').next()).map(str::to_owned).collect()
}

/// Rows, packets and bytes that are true, by capture and aggregate.
fn reviewed() -> BTreeMap<(String, String), (usize, u64, u64)> {
    let list = include_str!("corpus_reviewed.tsv");
    let lines = list.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    lines
        .map(|c| {
            assert!(c.len() == 6 && !c[5].is_empty(), "a line without a reason: {c:?}");
            let number = |i: usize| c[i].parse::<u64>().unwrap_or_else(|_| panic!("{c:?}"));
            ((c[0].to_owned(), c[1].to_owned()), (number(2) as usize, number(3), number(4)))
        })
        .collect()
}
