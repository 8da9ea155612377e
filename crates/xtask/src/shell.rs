//! Running other programs, and the few facts about the machine that decide how.

use std::env;
use std::fs;
use std::io::{self, IsTerminal};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The workspace's root, two folders above this package.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_owned()
}

/// Where cargo puts the programs of a profile (`release`, …).
///
/// This program runs from `TARGET/debug` itself, so every profile is its neighbour, however the target folder was
/// chosen (environment, configuration, another target triple).
pub(crate) fn programs(profile: &str) -> Result<PathBuf, String> {
    let own = env::current_exe().map_err(|error| format!("this program's own path: {error}"))?;
    match own.ancestors().nth(2) {
        Some(target) => Ok(target.join(profile)),
        None => Err(format!("{} has no target folder above it", own.display())),
    }
}

/// A cargo of this toolchain, in the workspace's root.
pub(crate) fn cargo<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(arguments).current_dir(root());
    command
}

/// The compiler that this toolchain's cargo runs.
pub(crate) fn rustc<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    command.args(arguments).current_dir(root());
    command
}

/// The triple of this machine, such as `x86_64-unknown-linux-gnu`.
pub(crate) fn host() -> Result<String, String> {
    let said = output(&mut rustc(["-vV"]))?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| "`rustc -vV` names no host".to_owned())
}

/// Says the command, then runs it with this program's own input and output.
pub(crate) fn run(command: &mut Command) -> Result<(), String> {
    println!("$ {}", line(command));
    let status = command.status().map_err(|error| format!("`{}`: {error}", line(command)))?;
    if status.success() { Ok(()) } else { Err(format!("`{}` failed: {status}", line(command))) }
}

/// What the command wrote to its output, when it ended well.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| format!("`{}`: {error}", line(command)))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        let said = String::from_utf8_lossy(&output.stderr);
        Err(format!("`{}` failed: {}\n{}", line(command), output.status, said.trim_end()))
    }
}

/// Whether the command ends well, with nothing of it shown.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The command as one would type it.
pub(crate) fn line(command: &Command) -> String {
    let program = Path::new(command.get_program());
    // Cargo tells its own path in `CARGO`; nobody types it.
    let program = if program.ends_with("cargo") { Path::new("cargo") } else { program };
    let variables = command.get_envs().filter_map(|(name, value)| {
        let (name, value) = (name.to_string_lossy(), value?.to_string_lossy());
        Some(if value.contains(' ') { format!("{name}='{value}'") } else { format!("{name}={value}") })
    });
    let arguments = command.get_args().map(|argument| argument.to_string_lossy().into_owned());
    variables.chain([program.display().to_string()]).chain(arguments).collect::<Vec<_>>().join(" ")
}

/// Finds a program on the path, or where a system keeps its administrator's programs: a user's path often lacks those.
pub(crate) fn find_program(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let administrators = ["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(administrators).map(|folder| folder.join(name)).find(|file| {
        fs::metadata(file).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    })
}

/// How a command can be run that needs root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Privilege {
    /// This program runs as root.
    Root,
    /// `sudo` lets it through, after a password maybe.
    Sudo,
    /// Not at all.
    None,
}

impl Privilege {
    /// What there is, without asking the user anything.
    pub(crate) fn at_hand() -> Privilege {
        // The owner of a process's folder is its effective user.
        let is_root = fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
        let can_ask = || io::stdin().is_terminal() || succeeds(Command::new("sudo").args(["-n", "true"]));
        if is_root {
            Privilege::Root
        } else if find_program("sudo").is_some() && can_ask() {
            Privilege::Sudo
        } else {
            Privilege::None
        }
    }

    /// The command that does `arguments` as root.
    pub(crate) fn command<'a>(self, arguments: impl IntoIterator<Item = &'a str>) -> Command {
        let mut words = (self != Privilege::Root).then_some("sudo").into_iter().chain(arguments);
        let mut command = Command::new(words.next().unwrap_or("true"));
        command.args(words);
        command
    }
}

/// Whether this is a run of continuous integration, where nothing may be skipped.
pub(crate) fn is_ci() -> bool {
    env::var("CI").is_ok_and(|value| !value.is_empty() && value != "false" && value != "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_holds_the_workspace() {
        assert!(root().join("Cargo.toml").is_file() && root().join("crates/xtask").is_dir());
    }

    #[test]
    fn a_command_reads_as_one_would_type_it() {
        let mut command = cargo(["doc", "--no-deps"]);
        command.env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(line(&command), "RUSTDOCFLAGS='-D warnings' cargo doc --no-deps");
        assert_eq!(line(&Privilege::Sudo.command(["apk", "add", "gcc"])), "sudo apk add gcc");
        assert_eq!(line(&Privilege::Root.command(["apk", "add", "gcc"])), "apk add gcc");
    }

    #[test]
    fn programs_are_found_on_the_path() {
        assert!(find_program("sh").is_some_and(|file| file.is_absolute()));
        assert!(find_program("no-such-program-anywhere").is_none());
    }

    #[test]
    fn a_failing_command_says_what_it_said() {
        let error = output(Command::new("sh").args(["-c", "echo no luck >&2; exit 3"])).unwrap_err();
        assert!(error.contains("no luck") && error.contains('3'), "{error}");
    }
}
