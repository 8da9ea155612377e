//! `cargo xtask setup`: what the machine lacks, installed once, or said.

use std::process::Command;

use crate::needs::{Manager, NEEDS, Need, Purpose};
use crate::shell::{self, Privilege};
use crate::{Failure, Task};

pub(crate) const TASK: Task = Task {
    name: "setup",
    arguments: "[--tests | --peers]",
    summary: "Installs the system packages that the build needs",
    help: "\
It looks first and installs only what is missing; a machine that has everything
needs no privilege and no network. Packages come from apt-get, dnf, pacman or
apk, by sudo where you are not root; the command is shown before it runs.
Without root and sudo it prints the command for you to run, and ends with 1.

  --tests   also what the tests use: the real pmacctd, ip, tcpreplay, tcpdump,
            tshark, and cargo's fmt, clippy and deny. Tests that miss a program
            say `skipped`.
  --peers   also what `bench` compares with: softflowd and nfdump
",
    run: |arguments| {
        let purpose = match arguments {
            [] => Purpose::Build,
            [flag] if flag == "--tests" => Purpose::Tests,
            [flag] if flag == "--peers" => Purpose::Peers,
            [other, ..] => return Err(Failure::Usage(format!("`setup` knows no `{other}`"))),
        };
        match prepare(purpose)?.as_slice() {
            [] => {
                println!("setup: everything is here.");
                Ok(())
            }
            missing => Err(Failure::Failed(format!("still missing: {}.", missing.join("; ")))),
        }
    },
};

/// Sees to it that everything is here that `purpose` needs. An error when the build is impossible; otherwise what is
/// still missing for the tests.
pub(crate) fn prepare(purpose: Purpose) -> Result<Vec<&'static str>, String> {
    let missing = unmet(purpose);
    if !missing.is_empty() {
        install(&missing)?;
    }
    let still = unmet(purpose);
    if let Some(need) = still.iter().find(|need| need.purpose == Purpose::Build) {
        return Err(format!("{} is missing, without which nothing builds", need.what));
    }
    let mut still: Vec<_> = still.iter().map(|need| need.what).collect();
    if purpose == Purpose::Tests {
        still.extend(cargo_commands());
    }
    Ok(still)
}

fn unmet(purpose: Purpose) -> Vec<&'static Need> {
    NEEDS.iter().filter(|need| need.purpose <= purpose && !need.is_met()).collect()
}

fn install(missing: &[&Need]) -> Result<(), String> {
    for need in missing {
        println!("setup: missing: {}", need.what);
    }
    let Some(manager) = Manager::here() else {
        println!("setup: this distribution is not one that setup knows; install by hand what is missing.");
        return Ok(());
    };
    let (packaged, unpackaged): (Vec<&Need>, Vec<&Need>) =
        missing.iter().partition(|need| need.packages(manager).is_some());
    for need in unpackaged {
        println!(
            "setup: this distribution has no package of {}: the tests that use it say `skipped`.",
            need.what
        );
    }
    let packages: Vec<_> = packaged.iter().filter_map(|need| need.packages(manager)).collect();
    if packages.is_empty() {
        return Ok(());
    }
    let privilege = Privilege::at_hand();
    if privilege == Privilege::None {
        // What a person would type as root: as an error where the build needs it, as a hint otherwise.
        let line = shell::line(&install_command(manager, Privilege::Root, &packages));
        let hint = format!("installing needs root, and sudo is not at hand. As root, run:\n    {line}");
        if missing.iter().any(|need| need.purpose == Purpose::Build) {
            return Err(hint);
        }
        println!("setup: {hint}");
        return Ok(());
    }
    fetch_and_install(manager, privilege, &packages);
    if missing.iter().any(|need| need.what.starts_with("pmacctd")) {
        quiet_the_peer(privilege);
    }
    Ok(())
}

/// Installs what can be installed; whoever called looks again at what is there.
fn fetch_and_install(manager: &Manager, privilege: Privilege, packages: &[&str]) {
    let refresh = || shell::run(&mut privilege.command(manager.refresh.iter().copied()));
    let install = |packages: &[&str]| shell::run(&mut install_command(manager, privilege, packages));
    let mut fresh = false;
    if !(manager.has_lists)() {
        fresh = refresh().is_ok();
    }
    if install(packages).is_ok() {
        return;
    }
    // Old lists name packages that their servers no longer have.
    if !fresh && refresh().is_ok() && install(packages).is_ok() {
        return;
    }
    // One package that this release of the distribution lacks must not cost the others.
    if packages.len() > 1 {
        for package in packages {
            let _ = install(&[package]);
        }
    }
}

fn install_command(manager: &Manager, privilege: Privilege, packages: &[&str]) -> Command {
    let names = packages.iter().flat_map(|names| names.split(' '));
    privilege.command(manager.install.iter().copied().chain(names))
}

/// Debian starts pmacct's daemons as it installs them; the tests want the programs only.
fn quiet_the_peer(privilege: Privilege) {
    if std::path::Path::new("/run/systemd/system").exists() {
        let services = ["pmacctd", "nfacctd", "sfacctd", "uacctd"];
        let words = ["systemctl", "disable", "--now", "--quiet"].into_iter().chain(services);
        let _ = shell::run(&mut privilege.command(words));
    }
}

/// Cargo's own commands that the tests use: those that are still missing afterwards.
fn cargo_commands() -> Vec<&'static str> {
    let is_there = |name: &str| shell::succeeds(&mut shell::cargo([name, "--version"]));
    if !(is_there("fmt") && is_there("clippy")) && shell::find_program("rustup").is_some() {
        let mut rustup = Command::new("rustup");
        let _ = shell::run(rustup.args(["component", "add", "rustfmt", "clippy"]).current_dir(shell::root()));
    }
    if !is_there("deny") {
        println!("setup: missing: cargo deny (building it takes some minutes)");
        let _ = shell::run(&mut shell::cargo(["install", "cargo-deny", "--locked"]));
    }
    let all = [("fmt", "cargo fmt (rustfmt)"), ("clippy", "cargo clippy"), ("deny", "cargo deny")];
    all.into_iter().filter(|(name, _)| !is_there(name)).map(|(_, what)| what).collect()
}
