//! `cargo xtask bench`: measures this build against the programs it replaces, and writes `docs/performance.md`.
//!
//! Each experiment has its own file and gives a [`Section`]; the list below is all that the command knows.
#![allow(clippy::cast_precision_loss, reason = "of what is measured, three digits count")]
#![allow(clippy::cast_sign_loss, reason = "nothing here is negative")]

mod cell;
mod daemon;
mod growth;
mod live;
mod plot;
mod print;
mod quiet;
mod report;
mod savefile;
mod sender;
mod shape;
mod stats;
mod table;
mod wire;

use std::env;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{self, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

use crate::needs::Purpose;
use crate::shell::{self, Privilege};
use crate::{Failure, Task, setup};
use report::Section;
use shape::{Capture, Shape};

pub(crate) const TASK: Task = Task {
    name: "bench",
    arguments: "[--quick] [NAME…]",
    summary: "Measures against pmacctd, and writes docs/performance.md",
    help: "\
It installs what it compares with (see `setup --peers`), makes its captures (once;
they stay in target/bench, 4 GB), builds in release, and measures in turns. As root,
for network namespaces and control groups. About 25 minutes on two cores, which
should have nothing else to do. Ctrl-C stops all that it has started.

  --quick   smaller captures and fewer runs, in some minutes; prints only
  NAME…     only these experiments, printed only:
            savefile, live, table, print, quiet, growth
",
    run: |arguments| match arguments {
        [send, words @ ..] if send == "--send" => Ok(sender::run(words)?),
        _ => bench(arguments),
    },
};

/// An experiment's name and what runs it.
type Experiment = (&'static str, fn(&Bench) -> Result<Section, String>);

const EXPERIMENTS: &[Experiment] = &[
    ("savefile", savefile::measure),
    ("live", live::measure),
    ("table", table::measure),
    ("print", print::measure),
    ("quiet", quiet::measure),
    ("growth", growth::measure),
];

fn bench(arguments: &[String]) -> Result<(), Failure> {
    let (flags, names): (Vec<&String>, Vec<&String>) =
        arguments.iter().partition(|word| word.starts_with("--"));
    if let Some(unknown) = flags.iter().find(|flag| **flag != "--quick") {
        return Err(Failure::Usage(format!("`bench` knows no `{unknown}`")));
    }
    if let Some(unknown) = names.iter().find(|name| !EXPERIMENTS.iter().any(|(known, _)| known == **name)) {
        return Err(Failure::Usage(format!("there is no experiment `{unknown}`")));
    }
    if Privilege::at_hand() != Privilege::Root {
        return Err(Failure::Failed("namespaces and control groups need root".to_owned()));
    }
    // What measures must not be slow itself: the work is done by this program's release build.
    if cfg!(debug_assertions) {
        setup::prepare(Purpose::Peers)?;
        shell::run(&mut shell::cargo(["build", "--release", "--package=rpmacct", "--package=xtask"]))?;
        let own = shell::programs("release")?.join("xtask");
        // In this process's place, so that a signal reaches the one that cleans up.
        let error = Command::new(&own).arg("bench").args(arguments).exec();
        return Err(Failure::Failed(format!("{}: {error}", own.display())));
    }
    let bench = Bench::new(!flags.is_empty())?;
    let is_wanted = |name: &str| names.is_empty() || names.iter().any(|wanted| *wanted == name);
    let mut failures = Vec::new();
    let mut sections = Vec::new();
    for (name, measure) in EXPERIMENTS.iter().filter(|(name, _)| is_wanted(name)) {
        let start = Instant::now();
        println!("==== {name} ====");
        match measure(&bench) {
            Ok(section) => {
                print!("{}", report::section(&section));
                sections.push(section);
            }
            Err(sentence) if bench.is_interrupted() => return Err(Failure::Failed(sentence)),
            Err(sentence) => {
                eprintln!("xtask: {name}: {sentence}");
                let mut section = Section::new(name);
                section.say(&format!("Could not be measured: {sentence}"));
                sections.push(section);
                failures.push(*name);
            }
        }
        println!("(it took {:.0} s)", start.elapsed().as_secs_f64());
    }
    print!("\n{}", report::goals(&sections));
    if names.is_empty() && !bench.quick {
        write(&sections)?;
    }
    if failures.is_empty() {
        return Ok(());
    }
    Err(Failure::Failed(format!("could not be measured: {}", failures.join(", "))))
}

/// Writes the document and its pictures.
fn write(sections: &[Section]) -> Result<(), String> {
    let docs = shell::root().join("docs");
    let text = report::document(sections, &report::machine());
    let pictures = sections.iter().filter_map(|section| section.picture.as_ref());
    let files = pictures.map(|picture| (picture.name, &picture.svg)).chain([("performance.md", &text)]);
    for (name, text) in files {
        let path = docs.join(name);
        fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))?;
        println!("written: {}", path.display());
    }
    Ok(())
}

/// What all experiments share.
pub(crate) struct Bench {
    pub(crate) quick: bool,
    /// Where captures stay.
    pub(crate) cache: PathBuf,
    programs: PathBuf,
    interrupted: Arc<AtomicBool>,
}

impl Bench {
    fn new(quick: bool) -> Result<Bench, String> {
        let cache = shell::programs("bench")?;
        fs::create_dir_all(&cache).map_err(|error| format!("{}: {error}", cache.display()))?;
        let bench = Bench {
            quick,
            cache,
            programs: shell::programs("release")?,
            interrupted: Arc::new(AtomicBool::new(false)),
        };
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&bench.interrupted))
                .map_err(|error| format!("catching signal {signal}: {error}"))?;
        }
        Ok(bench)
    }

    /// How often a comparison is made.
    pub(crate) fn pairs(&self) -> usize {
        if self.quick { 2 } else { 5 }
    }

    /// The capture of a shape; a tenth of it if we are in a hurry.
    pub(crate) fn capture(&self, shape: Shape) -> Result<Capture, String> {
        let shape = if self.quick { shape.tenth() } else { shape };
        self.pause(Duration::ZERO)?;
        shape.capture(&self.cache)
    }

    pub(crate) fn program(&self, name: &str) -> Result<PathBuf, String> {
        daemon::find(&self.programs, name)
    }

    /// Lets time pass; an error once the user has had enough.
    pub(crate) fn pause(&self, time: Duration) -> Result<(), String> {
        let deadline = Instant::now() + time;
        loop {
            if self.is_interrupted() {
                return Err("interrupted".to_owned());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(Duration::from_millis(50)));
        }
    }

    fn is_interrupted(&self) -> bool {
        self.interrupted.load(Ordering::Relaxed)
    }
}

/// A folder for one run's files.
pub(crate) fn scratch() -> Result<PathBuf, String> {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let folder = env::temp_dir().join(format!("rpmacct-bench-{}-{number}", process::id()));
    fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn experiments_are_named_once_and_in_the_help() {
        for (index, (name, _)) in EXPERIMENTS.iter().enumerate() {
            assert!(EXPERIMENTS[..index].iter().all(|(earlier, _)| earlier != name), "{name} twice");
            assert!(TASK.help.contains(name), "{name}");
        }
    }
}
