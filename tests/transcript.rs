//! What pmacct 1.7.7 and 1.8.1 printed, command by command, and what the client prints under the name `pmacct`, with
//! the same configurations and captures behind it.
//!
//! `tests/transcript_reviewed.tsv` lists every command whose answer differs, with its reason. Rows have no order but
//! where they are sorted; the words of the usage are our own.

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use support::{Daemon, Launch, bin, shared};

/// The transcripts, and what stood at the default path when they were made.
const TRANSCRIPTS: [(&str, Default); 2] =
    [("client_samples_master.txt", Default::StaleSocket), ("client_samples.txt", Default::Nothing)];

/// The configurations that stand behind their commands.
const CONFIGURATIONS: [&str; 3] = ["imt1", "imt2", "imt3"];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Default {
    Nothing,
    StaleSocket,
}

/// What stands in the transcripts for the usage.
const USAGE: &str = "<usage text, same as pmacct -h>\n";

#[test]
fn scripts_see_what_they_always_saw() {
    let Some(shared) = shared() else { return };
    let samples = shared.join("spec/samples");
    let reviewed = reviewed();
    let (mut matched, mut listed, mut total, mut wrong) = (0, 0, 0, String::new());
    for (name, default) in TRANSCRIPTS {
        let stage = Stage::set(&samples, default);
        let transcript = fs::read_to_string(samples.join(name)).unwrap();
        for (number, block) in (1..).zip(transcript.split("\n$ ")) {
            let (command, expected) = block.split_once('\n').unwrap();
            let command = command.trim_start_matches("$ ");
            total += 1;
            let printed = stage.run(command);
            let is_equal = same(command, &printed, expected);
            match reviewed.get(&(name.to_owned(), number)) {
                None if is_equal => matched += 1,
                Some(Review { command: ours, .. }) if !is_equal && ours == command => listed += 1,
                review => {
                    let why = if is_equal { "listed, and equal" } else { "not listed, and differs" };
                    let _ = writeln!(wrong, "--- {name} {number}: {command}: {why} {review:?}");
                    let _ = writeln!(wrong, "{}\n--- but\n{}", cut(expected), cut(&printed));
                }
            }
        }
    }
    eprintln!("{matched} answers match, {listed} differ and are listed, of {total}");
    assert!(wrong.is_empty(), "{wrong}");
    assert_eq!(listed, reviewed.len(), "the list has lines that nothing needs");
    assert!(total > 150 && matched > 120, "{matched} of {total}");
}

/// The peer takes a limit of 0 for its default and loses what does not fit; both tables lose packets there.
#[test]
fn small_tables_and_those_without_a_limit_hold_every_packet() {
    let Some(shared) = shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let samples = shared.join("spec/samples");
    let rows = |name: &str| {
        let daemon = start(&samples, name, folder.path());
        let socket = folder.path().join(format!("{name}.pipe"));
        let output =
            Command::new(bin("rpmacct")).args(["-s", "-O", "csv", "-p"]).arg(socket).output().unwrap();
        drop(daemon);
        String::from_utf8(output.stdout).unwrap()
    };
    let packets = |rows: &str| -> u64 {
        rows.lines().skip(1).map(|row| row.split(',').nth(2).unwrap().parse::<u64>().unwrap()).sum()
    };
    let (small, unlimited) = (rows("imt3"), rows("imt4"));
    assert_eq!((packets(&small), packets(&unlimited)), (20_000, 20_000));
    assert!(small.lines().last().unwrap().starts_with("other,*,"), "{}", small.lines().last().unwrap());
    assert!(small.lines().count() < 400 && !unlimited.contains("other"), "{}", small.lines().count());
}

/// Rows of link-layer keys in three forms; the transcript has some of the rows. Primitives that this program does not
/// know yet are left out of the question, and their columns out of the answer.
#[test]
fn the_link_layer_looks_as_it_always_did() {
    let Some(shared) = shared() else { return };
    let folder = tempfile::tempdir().unwrap();
    let samples = shared.join("spec/samples");
    let (conf, mut without) = as_far_as_known(&fs::read_to_string(samples.join("imt5.conf")).unwrap());
    fs::write(folder.path().join("imt5.conf"), conf).unwrap();
    fs::copy(samples.join("l2.pcap"), folder.path().join("l2.pcap")).unwrap();
    let _daemon = start(folder.path(), "imt5", folder.path());
    let socket = folder.path().join("imt5.pipe");
    let rows = |layout: &str| {
        let output =
            Command::new(bin("rpmacct")).args(["-s", "-O", layout, "-p"]).arg(&socket).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let ours = ["formatted", "csv", "json"].map(rows).concat();
    // The peer counts no flows but those of TCP.
    without.push("flows".to_owned());
    let ours = cells(&ours, &without);
    let expected = cells(&fs::read_to_string(samples.join("client_l2_master.txt")).unwrap(), &without);
    let missing: Vec<_> = expected.iter().filter(|line| !ours.contains(line)).collect();
    eprintln!("{} lines, without {without:?}", expected.len());
    assert!(missing.is_empty(), "{missing:#?}\n--- not in\n{ours:#?}");
    assert!(expected.len() > 10);
}

/// The configuration without the primitives that are not known, and these.
fn as_far_as_known(conf: &str) -> (String, Vec<String>) {
    let (mut conf, mut unknown) = (conf.to_owned(), Vec::new());
    loop {
        let file = tempfile::Builder::new().suffix(".conf").tempfile().unwrap();
        fs::write(file.path(), &conf).unwrap();
        let output = Command::new(bin("rpmacctd")).args(["check", "-f"]).arg(file.path()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        let Some((before, _)) = said.split_once(" is not implemented") else { return (conf, unknown) };
        let word = before.rsplit(' ').next().unwrap().to_owned();
        conf = conf.replace(&format!(", {word}"), "");
        unknown.push(word);
    }
}

/// The lines, cut into cells, without the columns of some primitives.
fn cells(text: &str, without: &[String]) -> Vec<Vec<String>> {
    let mut heading = Vec::new();
    let mut lines = Vec::new();
    for line in text.lines() {
        let is_json = line.starts_with('{');
        let cells: Vec<&str> = if is_json {
            line.trim_matches(['{', '}']).split(", ").collect()
        } else {
            line.split([',', ' ']).filter(|cell| !cell.is_empty()).collect()
        };
        if cells.contains(&"PACKETS") {
            heading = cells.iter().map(|cell| cell.to_lowercase()).collect();
        }
        let is_wanted = |(place, cell): &(usize, &&str)| {
            if is_json {
                !without.iter().any(|word| cell.starts_with(&format!("\"{word}\"")))
            } else {
                heading.get(*place).is_none_or(|name| !without.contains(name))
            }
        };
        lines.push(cells.iter().enumerate().filter(is_wanted).map(|(_, cell)| (*cell).to_owned()).collect());
    }
    lines
}

/// Daemons behind the sockets, and a client under the name of the peer's.
struct Stage {
    folder: tempfile::TempDir,
    _daemons: Vec<Daemon>,
}

impl Stage {
    fn set(samples: &Path, default: Default) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        symlink(bin("rpmacct"), path.join("pmacct")).unwrap();
        fs::write(path.join("q.txt"), "10.0.0.1\n10.0.0.2\n").unwrap();
        let daemons = CONFIGURATIONS.iter().map(|name| start(samples, name, path)).collect();
        if default == Default::StaleSocket {
            drop(UnixListener::bind(path.join("default")).unwrap()); // its file stays
        }
        Self { folder, _daemons: daemons }
    }

    /// Runs a command of the transcript: what it prints, in the transcript's form.
    fn run(&self, command: &str) -> String {
        let words = command.split_whitespace().skip(1);
        let mut client = Command::new(self.folder.path().join("pmacct"));
        client.current_dir(self.folder.path());
        if !command.contains(" -p ") {
            client.args(["-p", "default"]);
        }
        let output = client.args(words).output().unwrap();
        let [stdout, stderr] = [output.stdout, output.stderr].map(|out| String::from_utf8(out).unwrap());
        let stderr = if stderr.is_empty() { stderr } else { format!("[stderr]\n{stderr}") };
        let code = output.status.code().unwrap();
        let printed = format!("{stdout}{stderr}[rc={code}]\n");
        printed.replace("'default'", "'/tmp/collect.pipe'")
    }
}

/// A daemon with a configuration of the samples, its paths in `folder`.
fn start(samples: &Path, name: &str, folder: &Path) -> Daemon {
    let text = fs::read_to_string(samples.join(name).with_extension("conf")).unwrap();
    let at = |line: &str| match line.split_once(": ") {
        Some(("pcap_savefile", capture)) => format!("pcap_savefile: {}\n", samples.join(capture).display()),
        Some(("imt_path", socket)) => format!("imt_path: {}\n", folder.join(socket).display()),
        _ => format!("{line}\n"),
    };
    let mut daemon = Launch::conf(&text.lines().map(at).collect::<String>()).start();
    daemon.wait_for_log("finished reading");
    daemon
}

/// Whether two answers are the same to a script.
fn same(command: &str, printed: &str, expected: &str) -> bool {
    let expected = format!("{}\n", spelled_out(expected).trim_end());
    if let Some((before, after)) = expected.split_once(USAGE) {
        // The peer's transcript names the path of its program.
        let after = after.replace("inst/bin/pmacct: ", "pmacct: ");
        return printed.starts_with(before) && printed.ends_with(&after);
    }
    let sorted = |text: &str| {
        let mut lines: Vec<String> = text.trim_end().lines().map(str::to_owned).collect();
        if !command.contains(" -T ") {
            let heading = usize::from(!command.contains("json")).min(lines.len());
            lines[heading..].sort_unstable();
        }
        lines
    };
    sorted(printed) == sorted(&expected)
}

/// With the lines of empty buckets that the transcript only counts.
fn spelled_out(text: &str) -> String {
    let mut bucket = 0;
    let mut spelled = String::new();
    for line in text.lines() {
        if let Some(count) = line.strip_prefix("... (").and_then(|rest| rest.split(' ').next()) {
            for _ in 0..count.parse().unwrap() {
                let _ = writeln!(spelled, "{bucket}\t");
                bucket += 1;
            }
        } else {
            if line.starts_with(&format!("{bucket}\t")) {
                bucket += 1;
            }
            let _ = writeln!(spelled, "{line}");
        }
    }
    spelled
}

/// A line of the list.
#[derive(Debug)]
struct Review {
    command: String,
    #[allow(dead_code)] // for the reader of a failure
    reason: String,
}

/// The list, by transcript and number of the command.
fn reviewed() -> BTreeMap<(String, usize), Review> {
    let line = |line: &str| {
        let [file, number, command, reason] = line.split('\t').collect::<Vec<_>>()[..] else {
            panic!("{line}")
        };
        assert!(reason.len() > 10, "{line}");
        let review = Review { command: command.to_owned(), reason: reason.to_owned() };
        ((file.to_owned(), number.parse().unwrap()), review)
    };
    include_str!("transcript_reviewed.tsv").lines().skip(1).map(line).collect()
}

/// Enough of a long answer.
fn cut(text: &str) -> String {
    let lines = text.lines().take(12).map(|line| line.chars().take(200).collect::<String>());
    lines.collect::<Vec<_>>().join("\n")
}
