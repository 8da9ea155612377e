//! `cargo xtask fuzz`: feeds what reads octets from strangers with octets that it has not seen.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Failure, Task, shell};

pub(crate) const TASK: Task = Task {
    name: "fuzz",
    arguments: "[--seconds N] [TARGET …]",
    summary: "Looks for octets that the decoder or the reader of savefiles cannot stand",
    help: "\
It needs a C++ compiler, and no other toolchain than the project's own. Inputs that
led somewhere new are kept in target/fuzz/corpus and are the start of the next run;
those that broke something are in target/fuzz/findings, and the program ends with
status 1.

  --seconds N   for how long, all targets together (default: 60)
  TARGET        decode or savefile (default: both)

  RPMACCT_SHARED   the folder of captures that inputs are made from
                   (default: `shared` beside the workspace)
",
    run: |arguments| {
        let Options { seconds, targets } = Options::parse(arguments)?;
        Ok(run(seconds, &targets)?)
    },
};

/// What can be fuzzed: programs of the package in `fuzz`.
const TARGETS: &[&str] = &["decode", "savefile"];

/// What makes the compiler count the code that an input reaches, and the values that it is compared with: what
/// cargo-fuzz sets too. The sanitizers, which only a nightly compiler has, look for what safe Rust cannot do.
const FLAGS: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
];

struct Options {
    seconds: u64,
    targets: Vec<&'static str>,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, Failure> {
        let mut options = Self { seconds: 60, targets: Vec::new() };
        let mut words = arguments.iter();
        while let Some(word) = words.next() {
            if word == "--seconds" {
                let number = words.next().and_then(|number| number.parse().ok());
                options.seconds = number
                    .filter(|seconds| *seconds > 0)
                    .ok_or_else(|| Failure::Usage("`--seconds` wants a number above 0".to_owned()))?;
            } else if let Some(target) = TARGETS.iter().find(|target| *target == word) {
                options.targets.push(target);
            } else {
                return Err(Failure::Usage(format!("`fuzz` knows no `{word}`: {}", TARGETS.join(", "))));
            }
        }
        if options.targets.is_empty() {
            options.targets.extend(TARGETS);
        }
        Ok(options)
    }
}

/// Runs all `targets`, so many seconds altogether.
pub(crate) fn run(seconds: u64, targets: &[&'static str]) -> Result<(), String> {
    let place = shell::programs("fuzz")?;
    let programs = build(&place, targets)?;
    seed(&place)?;
    for target in targets {
        let share = (seconds / targets.len() as u64).max(1);
        let (corpus, findings) = (folder(&place, "corpus", target)?, folder(&place, "findings", target)?);
        let mut fuzzer = Command::new(programs.join(target));
        fuzzer.current_dir(&place).arg(corpus).arg(format!("-artifact_prefix={}/", findings.display())).args(
            [
                &format!("-max_total_time={share}"),
                "-max_len=4096",
                "-timeout=10",
                "-print_final_stats=1",
                "-verbosity=0",
            ],
        );
        shell::run(&mut fuzzer)
            .map_err(|error| format!("{error}; the input is in {}", findings.display()))?;
    }
    Ok(())
}

/// All targets, as `cargo xtask test` runs them.
pub(crate) fn run_all(seconds: u64) -> Result<(), String> {
    run(seconds, TARGETS)
}

/// Builds the targets, and gives the folder that they are in.
fn build(place: &Path, targets: &[&str]) -> Result<PathBuf, String> {
    // With a triple, build scripts and macros go without the flags.
    let triple = shell::host()?;
    let mut build = cargo_build(place);
    build.args(["--target", &triple]).args(targets.iter().flat_map(|target| ["--bin", target]));
    shell::run(build.env("RUSTFLAGS", FLAGS.join(" ")))?;
    Ok(place.join(triple).join("release"))
}

fn cargo_build(place: &Path) -> Command {
    let mut build =
        shell::cargo(["build", "--release", "--manifest-path", "fuzz/Cargo.toml", "--target-dir"]);
    build.arg(place);
    build
}

/// Makes the first inputs: frames as the tests build them, and what is in the captures, if they are here.
fn seed(place: &Path) -> Result<(), String> {
    shell::run(cargo_build(place).args(["--bin", "seeds"]))?;
    let mut seeds = Command::new(place.join("release/seeds"));
    seeds.arg(folder(place, "corpus", "decode")?).arg(folder(place, "corpus", "savefile")?);
    let shared = env::var_os("RPMACCT_SHARED").map(PathBuf::from);
    let captures = shared.unwrap_or_else(|| shell::root().join("../shared")).join("corpus/captures");
    if captures.is_dir() {
        seeds.arg(captures);
    } else {
        println!("{} is not there: it begins without captures.", captures.display());
    }
    shell::run(&mut seeds)
}

fn folder(place: &Path, kind: &str, target: &str) -> Result<PathBuf, String> {
    let folder = place.join(kind).join(target);
    fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Options, Failure> {
        Options::parse(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn options() {
        let all = parse(&[]).unwrap();
        assert_eq!((all.seconds, &all.targets[..]), (60, TARGETS));
        let one = parse(&["--seconds", "3600", "decode"]).unwrap();
        assert_eq!((one.seconds, &one.targets[..]), (3600, &["decode"][..]));
        for wrong in [&["--seconds"][..], &["--seconds", "0"], &["--seconds", "x"], &["decoder"]] {
            assert!(matches!(parse(wrong), Err(Failure::Usage(_))), "{wrong:?}");
        }
    }

    #[test]
    fn targets_are_programs_of_the_package() {
        let manifest = fs::read_to_string(shell::root().join("fuzz/Cargo.toml")).unwrap();
        for target in TARGETS {
            assert!(manifest.contains(&format!("name = \"{target}\"")), "{target}");
            assert!(shell::root().join(format!("fuzz/src/{target}.rs")).is_file(), "{target}");
        }
    }
}
