//! Real captures: what we account is what pmacctd accounts, or what is true where pmacctd is wrong.
//!
//! `tests/corpus_reviewed.tsv` lists every difference, with its reason and the true answer.

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use support::{Launch, need_program, shared};

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

/// Captures in which tshark sees something else: it does not look into SLIP, and it takes 14 packets behind broken
/// label stacks for IP that are not.
const OTHERWISE: [&str; 2] = ["tcpdump-cve2015-0261-ipv6.pcap", "zeek-mpls-6in6-broken.pcap"];

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
        if OTHERWISE.contains(&capture.as_str()) || ["A8", "A9"].contains(&aggregate.as_str()) {
            continue;
        }
        let file = shared.join("corpus/captures").join(&capture);
        let (true_packets, true_bytes) = *truths.entry(capture.clone()).or_insert_with(|| tshark(&file));
        // Each packet for both of its hosts.
        let times = if aggregate == "A5" { 2 } else { 1 };
        assert_eq!((true_packets * times, true_bytes * times), (packets, bytes), "{capture} {aggregate}");
        confirmed += 1;
    }
    assert!(confirmed > 150, "{confirmed}");
}

/// Packets and bytes of the outermost IP header of each frame.
fn tshark(capture: &Path) -> (u64, u64) {
    let output = Command::new("tshark")
        .args(["-n", "-T", "fields", "-E", "occurrence=f"])
        .args(["-e", "frame.protocols", "-e", "ip.len", "-e", "ipv6.plen"])
        .args(["-o", "ip.defragment:FALSE", "-o", "ipv6.defragment:FALSE", "-r"])
        .arg(capture)
        .output()
        .expect("tshark runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let lengths = text.lines().filter_map(|line| {
        let mut columns = line.split('\t');
        let (protocols, v4, v6) = (columns.next()?, columns.next()?, columns.next()?);
        match protocols.split(':').find(|protocol| ["ip", "ipv6"].contains(protocol))? {
            "ip" => v4.parse::<u64>().ok(),
            _ => v6.parse::<u64>().ok().map(|len| len + 40),
        }
    });
    lengths.fold((0, 0), |(packets, bytes), len| (packets + 1, bytes + len))
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
