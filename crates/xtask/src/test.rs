//! `cargo xtask test`: every check of the project, in one order, for people and CI alike.

use std::iter;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::needs::Purpose;
use crate::{Failure, Task, fuzz, setup, shell, threads};

pub(crate) const TASK: Task = Task {
    name: "test",
    arguments: "[-- FILTER]",
    summary: "Runs every check: format, lints, builds, tests, docs, licences",
    help: "\
It installs what is missing (see `setup --tests`) and stops at the first check
that fails. Tests that need root, a program or captures that are not here say
`skipped`; where the variable CI is set, they fail instead.

  -- FILTER   runs only the tests whose name contains FILTER, and no other check;
              whatever follows `--` goes to the test programs

  RPMACCT_SHARED   the folder of captures and their expected answers
                   (default: `shared` beside the workspace)
",
    run: |arguments| match arguments {
        [] => check(STEPS),
        [dashes, filter @ ..] if dashes == "--" => {
            setup()?;
            let mut words = vec!["test", "--workspace", "--"];
            words.extend(filter.iter().map(String::as_str));
            Ok(shell::run(&mut shell::cargo(words))?)
        }
        [other, ..] => {
            Err(Failure::Usage(format!("`test` knows no `{other}`; write `-- {other}` for a filter")))
        }
    },
};

/// The checks, quick ones first.
const STEPS: &[Step] = &[
    Step { name: "set-up", run: setup },
    Step { name: "format", run: || cargo(&["fmt", "--all", "--check"]) },
    Step {
        name: "lints",
        run: || cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    },
    Step { name: "release build", run: || cargo(&["build", "--release"]) },
    Step { name: "tests", run: || cargo(&["test", "--workspace"]) },
    Step { name: "threads: loom", run: threads::loom },
    Step { name: "threads: sanitizer", run: threads::sanitizer },
    Step { name: "threads: miri", run: threads::miri },
    // Each once, in test mode: they are measured by `cargo bench`.
    Step { name: "micro-benchmarks", run: || cargo(&["test", "--bench", "micro", "--", "--test"]) },
    Step { name: "a minute of fuzzing", run: fuzzing },
    Step { name: "documentation", run: documentation },
    Step { name: "client without libpcap", run: lone_client },
    Step { name: "licences and sources", run: || deny(&["licenses", "bans", "sources"]) },
    Step { name: "advisories", run: advisories },
];

struct Step {
    name: &'static str,
    run: fn() -> Result<Outcome, String>,
}

pub(crate) enum Outcome {
    Passed,
    /// It could not be done here, and why.
    Skipped(String),
}

fn check(steps: &[Step]) -> Result<(), Failure> {
    let mut done: Vec<(&str, Duration, String)> = Vec::new();
    let (mut passed, mut skipped) = (0, 0);
    let mut failure = None;
    for Step { name, run } in steps {
        println!("\n==== {name} ====");
        let start = Instant::now();
        let outcome = run();
        let remark = match outcome {
            Ok(Outcome::Passed) => {
                passed += 1;
                "passed".to_owned()
            }
            Ok(Outcome::Skipped(reason)) => {
                skipped += 1;
                format!("skipped: {reason}")
            }
            Err(sentence) => {
                failure = Some(format!("{name}: {sentence}"));
                "FAILED".to_owned()
            }
        };
        done.push((name, start.elapsed(), remark));
        if failure.is_some() {
            break;
        }
    }
    print!("\n{}", summary(&done));
    println!("checks: {passed} passed, {} failed, {skipped} skipped", usize::from(failure.is_some()));
    failure.map_or(Ok(()), |sentence| Err(Failure::Failed(sentence)))
}

fn summary(done: &[(&str, Duration, String)]) -> String {
    let row = |name: &str, time: Duration, remark: &str| {
        format!("{name:<24}{:>7.1} s   {remark}", time.as_secs_f64()).trim_end().to_owned() + "\n"
    };
    let rows = done.iter().map(|(name, time, remark)| row(name, *time, remark));
    let sum = row("all", done.iter().map(|(_, time, _)| *time).sum(), "");
    iter::once("==== summary ====\n".to_owned()).chain(rows).chain([sum]).collect()
}

fn setup() -> Result<Outcome, String> {
    let missing = setup::prepare(Purpose::Tests)?;
    match missing.as_slice() {
        [] => Ok(Outcome::Passed),
        missing if shell::is_ci() => Err(format!("missing: {}", missing.join("; "))),
        missing => Ok(Outcome::Skipped(format!("without {}", missing.join("; ")))),
    }
}

fn cargo(arguments: &[&str]) -> Result<Outcome, String> {
    shell::run(&mut shell::cargo(arguments.iter().copied())).map(|()| Outcome::Passed)
}

fn fuzzing() -> Result<Outcome, String> {
    if shell::find_program("c++").is_none() && !shell::is_ci() {
        return Ok(Outcome::Skipped("there is no C++ compiler".to_owned()));
    }
    fuzz::run_all(60).map(|()| Outcome::Passed)
}

fn documentation() -> Result<Outcome, String> {
    let mut doc = shell::cargo(["doc", "--no-deps", "--workspace"]);
    shell::run(doc.env("RUSTDOCFLAGS", "-D warnings")).map(|()| Outcome::Passed)
}

/// The client builds and runs on machines that have no libpcap.
fn lone_client() -> Result<Outcome, String> {
    let target = shell::programs("no-libpcap")?;
    let mut build = shell::cargo(["build", "--no-default-features", "--bin", "rpmacct", "--target-dir"]);
    // Whoever would ask for libpcap looks for it where nothing is.
    shell::run(build.arg(&target).env("LIBPCAP_LIBDIR", "/nonexistent"))?;

    let tree = shell::output(&mut shell::cargo([
        "tree",
        "--package=rpmacct",
        "--no-default-features",
        "--edges=normal",
        "--prefix=none",
    ]))?;
    if let Some(package) = first_of_libpcap(&tree) {
        return Err(format!("the client depends on `{package}`"));
    }
    let program = target.join("debug/rpmacct");
    match linked_libraries(&program)? {
        libraries if libraries.contains("libpcap") => {
            Err(format!("the client is linked with libpcap:\n{libraries}"))
        }
        _ => {
            println!("{} is not linked with libpcap.", program.display());
            Ok(Outcome::Passed)
        }
    }
}

/// The first package of `cargo tree --prefix=none` that has to do with libpcap.
fn first_of_libpcap(tree: &str) -> Option<&str> {
    tree.lines().filter_map(|line| line.split(' ').next()).find(|package| package.contains("pcap"))
}

/// What ldd says, which is not to be trusted with its exit code: it fails on static programs.
fn linked_libraries(program: &Path) -> Result<String, String> {
    let output = Command::new("ldd").arg(program).output().map_err(|error| format!("ldd: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn deny(checks: &[&str]) -> Result<Outcome, String> {
    cargo(&[&["deny", "--workspace", "check", "--hide-inclusion-graph"], checks].concat())
}

fn advisories() -> Result<Outcome, String> {
    let mut fetch = shell::cargo(["deny", "--workspace", "fetch", "db"]);
    println!("$ {}", shell::line(&fetch));
    if !shell::succeeds(&mut fetch) {
        return Ok(Outcome::Skipped("the database of advisories cannot be fetched from here".to_owned()));
    }
    deny(&["advisories"])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_named_once() {
        for (index, step) in STEPS.iter().enumerate() {
            assert!(STEPS[..index].iter().all(|earlier| earlier.name != step.name), "{}", step.name);
        }
    }

    #[test]
    fn the_first_failure_ends_the_run() {
        const BAD: &[Step] = &[
            Step { name: "good", run: || Ok(Outcome::Passed) },
            Step { name: "bad", run: || Err("no luck".to_owned()) },
            Step { name: "never", run: || unreachable!("after a failure") },
        ];
        assert!(matches!(check(BAD), Err(Failure::Failed(sentence)) if sentence == "bad: no luck"));
    }

    #[test]
    fn the_summary_has_a_line_for_each_step_and_their_sum() {
        let done = [
            ("format", Duration::from_millis(1500), "passed".to_owned()),
            ("advisories", Duration::from_millis(500), "skipped: no network".to_owned()),
        ];
        let text = summary(&done);
        assert!(text.contains("format                      1.5 s   passed\n"), "{text}");
        assert!(text.ends_with("all                         2.0 s\n"), "{text}");
    }

    #[test]
    fn libpcap_is_found_in_a_tree_and_not_in_its_paths() {
        let clean = "rpmacct v0.1.0 (/home/me/pcap/rpmacct)\nlexopt v0.3.1\n";
        assert_eq!(first_of_libpcap(clean), None);
        assert_eq!(first_of_libpcap("rpmacct v0.1.0 (/x)\npcap v2.5.0\n"), Some("pcap"));
    }
}
