//! Configurations of pmacctd, each with a capture and with what pmacctd 1.8 answers: we answer the same, or what is
//! on the reviewed list.
//!
//! `tests/samples_reviewed.tsv` has a line for each difference: its verdict, and the reason. An output that differs
//! on purpose has its fingerprint there; whoever changes such an output looks at it, and then changes the line.

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use support::{Launch, shared};

#[test]
fn configurations_of_pmacctd_give_its_output() {
    let Some(shared) = shared() else { return };
    let folder = shared.join("spec/samples");
    let mut reviewed = reviewed();
    let (mut matched, mut listed, mut wrong) = (0, 0, String::new());
    let samples = samples(&folder, "print");
    for (name, capture) in &samples {
        let golden = fs::read_to_string(folder.join(format!("{name}.m.out"))).expect("what pmacctd says");
        let answer = run(&folder, name, capture);
        let verdict = Verdict::of(&answer, &golden);
        match reviewed.remove(name) {
            None if verdict == Verdict::Same => matched += 1,
            Some(review) if review == verdict => listed += 1,
            review => {
                let _ = writeln!(wrong, "--- {name}: {verdict:?}; listed: {review:?}\n{}", answer.stderr);
                wrong.push_str(&difference(&without_pids(&golden), &answer.stdout));
            }
        }
    }
    eprintln!("samples: {matched} matched, {listed} listed, {} in total", samples.len());
    assert!(wrong.is_empty(), "{wrong}");
    assert!(reviewed.is_empty(), "lines of the list that nothing needs: {:?}", reviewed.keys());
    assert!(samples.len() > 100, "only {} samples", samples.len());
}

/// How an answer compares with pmacctd's.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Same,
    /// It is refused with the words "not implemented".
    Missing,
    /// It is an error on purpose.
    Refused,
    /// It is another output, with this fingerprint.
    Differs(String),
}

impl Verdict {
    fn of(answer: &Answer, golden: &str) -> Self {
        if !answer.succeeded {
            return match answer.stderr.contains("not implemented") {
                true => Self::Missing,
                // pmacctd ended with an error, too.
                false if golden.is_empty() => Self::Same,
                false => Self::Refused,
            };
        }
        if answer.stdout == without_pids(golden) {
            return Self::Same;
        }
        Self::Differs(fingerprint(&answer.stdout))
    }
}

struct Answer {
    succeeded: bool,
    stdout: String,
    stderr: String,
}

/// Runs a configuration as an operator would who has the capture before them.
fn run(folder: &Path, name: &str, capture: &str) -> Answer {
    let conf = format!("{name}.conf");
    let finished = Launch::command_line()
        .arguments(["-f", &conf, "-I", capture])
        .directory(folder)
        .environment("TZ", "UTC")
        .finish();
    Answer {
        succeeded: finished.status.success(),
        stdout: without_pids(&finished.stdout),
        stderr: finished.stderr,
    }
}

/// What is another in each run of pmacctd: process ids, and the time of the purge.
fn without_pids(output: &str) -> String {
    let mut text = String::new();
    for line in output.split_inclusive('\n') {
        let line = replace_between(line, "--START (", ")--");
        let line = replace_between(&line, "--END (", ")--");
        let line = replace_between(&line, r#""writer_id": "default_print/"#, "\"");
        text.push_str(&replace_between(&line, r#""stamp_updated": ""#, "\""));
    }
    text
}

fn replace_between(line: &str, before: &str, after: &str) -> String {
    let Some((start, rest)) = line.split_once(before) else { return line.to_owned() };
    let Some((_, end)) = rest.split_once(after) else { return line.to_owned() };
    format!("{start}{before}_{after}{end}")
}

/// FNV-1a.
fn fingerprint(text: &str) -> String {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325u64, |hash, octet| {
        (hash ^ u64::from(octet)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{hash:016x}")
}

/// The lines that only one of two outputs has.
fn difference(golden: &str, ours: &str) -> String {
    let only = |a: &str, b: &str, sign: char| {
        let lines = a.lines().filter(|line| !b.lines().any(|other| other == *line)).take(8);
        lines.fold(String::new(), |all, line| all + &format!("{sign} {line}\n"))
    };
    only(golden, ours, '-') + &only(ours, golden, '+')
}

/// Configurations whose plugin is `plugin`, and their captures: those that have an answer of pmacctd 1.8.
fn samples(folder: &Path, plugin: &str) -> Vec<(String, String)> {
    let index = fs::read_to_string(folder.join("INDEX.tsv")).expect("the index of the samples");
    let lines = index.lines().skip(1).filter_map(|line| line.split_once('\t'));
    lines
        .filter(|(name, _)| {
            let conf = fs::read_to_string(folder.join(format!("{name}.conf"))).unwrap_or_default();
            let is_it = |line: &str| {
                line.strip_prefix("plugins:").is_some_and(|plugins| plugins.trim().starts_with(plugin))
            };
            conf.lines().any(is_it) && folder.join(format!("{name}.m.out")).exists()
        })
        .map(|(name, capture)| (name.to_owned(), capture.to_owned()))
        .collect()
}

/// The verdicts by name of the configuration.
fn reviewed() -> BTreeMap<String, Verdict> {
    let list = include_str!("samples_reviewed.tsv");
    let lines = list.lines().skip(1).map(|line| line.split('\t').collect::<Vec<_>>());
    lines
        .map(|c| {
            assert!(c.len() == 4 && !c[3].is_empty(), "a line without a reason: {c:?}");
            let verdict = match c[1] {
                "missing" => Verdict::Missing,
                "refused" => Verdict::Refused,
                "differs" => Verdict::Differs(c[2].to_owned()),
                other => panic!("no verdict: {other}"),
            };
            (c[0].to_owned(), verdict)
        })
        .collect()
}
