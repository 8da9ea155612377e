//! Real captures: what we account is what pmacctd accounts, or what is true where pmacctd is wrong.
//!
//! `tests/corpus_reviewed.tsv` lists every difference, with its reason and the true answer.

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use support::{Launch, shared};

/// The aggregates of the golden answers.
const AGGREGATES: [(&str, &str); 4] = [
    ("A1", "src_host,dst_host"),
    ("A2", "src_host,dst_host,src_port,dst_port,proto,tos,tcpflags"),
    ("A3", "src_mac,dst_mac,vlan,cos,etype"),
    ("A4", "proto"),
];

/// `LINKTYPE_ETHERNET` in the corpus's list.
const ETHERNET: &str = "1:EN10MB";

#[test]
fn every_ethernet_capture_equals_the_peer_or_the_truth() {
    let Some(shared) = shared() else { return };
    let corpus = shared.join("corpus");
    let reviewed = reviewed();
    let (mut equal, mut true_instead, mut wrong, mut balances) = (0, 0, String::new(), 0);
    let captures = captures(&corpus);
    for capture in &captures {
        let answer = account(&corpus.join("captures").join(capture));
        balances += answer.balances;
        for (name, _) in AGGREGATES {
            let golden = corpus.join("golden").join(format!("{capture}.{name}.csv"));
            let Ok(golden) = fs::read_to_string(golden) else { continue };
            let ours = &answer.outputs[name];
            let review = reviewed.get(&(capture.clone(), name.to_owned()));
            match review {
                None if *ours == golden => equal += 1,
                Some(truth) if sums(ours) == *truth && *ours != golden => true_instead += 1,
                _ => {
                    let _ = writeln!(wrong, "--- {capture} {name}: {:?}, listed {review:?}", sums(ours));
                    wrong.push_str(&difference(&golden, ours));
                }
            }
        }
    }
    eprintln!(
        "{} captures: {equal} answers equal the peer's, {true_instead} are true where the peer is wrong; \
         {balances} balances hold",
        captures.len()
    );
    assert!(wrong.is_empty(), "{wrong}");
    assert!(equal > 200, "only {equal} answers were compared");
    assert_eq!(true_instead, reviewed.len(), "the list has lines that nothing needs");
}

/// The same capture, the same bytes of output.
#[test]
fn the_same_capture_gives_the_same_bytes() {
    let Some(shared) = shared() else { return };
    let capture = shared.join("corpus/captures/mercury-top_100_fingerprints.pcap");
    let (once, again) = (account(&capture), account(&capture));
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

/// Accounts a capture by all aggregates in one run.
fn account(capture: &Path) -> Answer {
    let mut conf = format!("pcap_savefile: {}\nprint_output: csv\n", capture.display());
    let plugins: Vec<_> = AGGREGATES.iter().map(|(name, _)| format!("print[{name}]")).collect();
    let _ = writeln!(conf, "plugins: {}", plugins.join(", "));
    for (name, aggregate) in AGGREGATES {
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
    assert!(balances > AGGREGATES.len(), "{log}");

    let mut answer = Answer { outputs: BTreeMap::new(), unsorted: String::new(), balances };
    for (name, _) in AGGREGATES {
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
    output.lines().skip(1).fold((0, 0, 0), |(rows, packets, bytes), line| {
        let mut columns = line.rsplit(',').map(|value| value.parse::<u64>().unwrap_or(0));
        let (b, p) = (columns.next().unwrap_or(0), columns.next().unwrap_or(0));
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

/// The captures whose frames are Ethernet, by the corpus's own list.
fn captures(corpus: &Path) -> Vec<String> {
    let list = fs::read_to_string(corpus.join("captures/MANIFEST.tsv")).expect("the corpus's list");
    let mut lines = list.lines();
    let column = |name: &str, line: &str| line.split('\t').position(|c| c == name);
    let header = lines.next().unwrap_or_default();
    let (file, links) = (column("file", header).unwrap(), column("linktypes", header).unwrap());
    lines
        .map(|line| line.split('\t').collect::<Vec<_>>())
        .filter(|columns| columns[links].split([',', ' ', ';']).any(|link| link == ETHERNET))
        .map(|columns| columns[file].to_owned())
        .collect()
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
