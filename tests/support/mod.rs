//! What the tests of the programs share: the programs themselves, networks of namespaces, captures, patience.
//!
//! A test that lacks something (root, a program, the captures) says `skipped` and passes, so that it runs anywhere;
//! where the variable `CI` is set, it fails instead, so that nothing is skipped unseen.

#![allow(dead_code, unused_imports)] // every test program uses its own part of this

mod conversations;
mod daemon;
mod graphite;
mod namespace;
mod pcap_file;
mod tshark;

use std::env;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::Uid;

pub(crate) use self::conversations::conversations;
pub(crate) use self::daemon::{Daemon, Finished, Launch};
pub(crate) use self::graphite::{Graphite, Series, need_graphite, unix_now};
pub(crate) use self::namespace::{Datagrams, Namespace, Port};
pub(crate) use self::pcap_file::{ETHERNET, PcapFile};
pub(crate) use self::tshark::{Dissected, Dissection, dissect};

/// Longer than anything takes on a busy machine; only a failing test waits for so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A program of this workspace, by its name.
pub(crate) fn bin(name: &str) -> &'static Path {
    match name {
        "rpmacctd" => Path::new(env!("CARGO_BIN_EXE_rpmacctd")),
        "rpmacct" => Path::new(env!("CARGO_BIN_EXE_rpmacct")),
        _ => panic!("the workspace builds no program `{name}`"),
    }
}

/// Runs the client and gives all it said, whether it succeeded or not.
pub(crate) fn rpmacct<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Output {
    Command::new(bin("rpmacct")).args(arguments).output().expect("rpmacct runs")
}

/// Runs a command that must succeed, and gives what it wrote to its output.
#[track_caller]
pub(crate) fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{stdout}{stderr}", output.status);
    stdout
}

/// The folder of captures and their expected answers: `RPMACCT_SHARED`, or `shared` beside the workspace.
#[track_caller]
pub(crate) fn shared() -> Option<PathBuf> {
    let beside = || Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("shared");
    let folder = env::var_os("RPMACCT_SHARED").map_or_else(beside, PathBuf::from);
    is_here("corpus", folder.is_dir()).then_some(folder)
}

/// Whether this process may do what only root may.
#[track_caller]
pub(crate) fn need_root() -> bool {
    is_here("root", Uid::effective().is_root())
}

/// Whether a program of the system can be run.
#[track_caller]
pub(crate) fn need_program(name: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let administrators = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    is_here(name, env::split_paths(&path).chain(administrators).any(|folder| folder.join(name).is_file()))
}

/// Polls until the condition holds; false when it did not in time.
#[must_use]
pub(crate) fn wait_until(timeout: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + timeout;
    loop {
        if condition() {
            return true;
        }
        if Instant::now() >= deadline {
            return false;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// The one policy of skipping.
#[track_caller]
fn is_here(what: &str, is_here: bool) -> bool {
    if !is_here {
        let in_ci = env::var("CI").is_ok_and(|value| !value.is_empty() && value != "false" && value != "0");
        assert!(!in_ci, "needs {what}, and in CI no test may be skipped");
        let thread = thread::current();
        // The harness hides what `println!` says in a test that passes.
        let _ = writeln!(io::stderr(), "{}: skipped: needs {what}", thread.name().unwrap_or("test"));
    }
    is_here
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
