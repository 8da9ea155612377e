//! Files that hold the process id.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Files with our process id. Removed when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct PidFiles(Vec<PathBuf>);

impl PidFiles {
    /// Writes the core's file and one `<path>-<type>-<name>` for each plugin, mode 0600.
    pub(crate) fn write<'a>(
        path: &Path,
        plugins: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, (PathBuf, io::Error)> {
        let mut files = Self::default();
        let of_plugin = |(kind, name): (&str, &str)| {
            let mut path = path.as_os_str().to_owned();
            path.push(format!("-{kind}-{name}"));
            PathBuf::from(path)
        };
        for path in std::iter::once(path.to_owned()).chain(plugins.map(of_plugin)) {
            write_one(&path).map_err(|error| (path.clone(), error))?;
            files.0.push(path);
        }
        Ok(files)
    }
}

fn write_one(path: &Path) -> io::Result<()> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    if let Some(pid) =
        fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).filter(|pid| is_daemon(*pid))
    {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            format!("rpmacctd runs already, as process {pid}"),
        ));
    }
    // A symbolic link would let others choose what is overwritten.
    let flags = nix::libc::O_NOFOLLOW;
    let options =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).custom_flags(flags).clone();
    let mut file = options.open(path)?;
    file.write_all(content().as_bytes())
}

/// Whether a process other than this one is this program.
fn is_daemon(pid: u32) -> bool {
    let name = |pid| fs::read_to_string(format!("/proc/{pid}/comm")).ok();
    pid != std::process::id() && name(pid).is_some_and(|other| Some(other) == name(std::process::id()))
}

fn content() -> String {
    format!("{}\n", std::process::id())
}

impl Drop for PidFiles {
    fn drop(&mut self) {
        for path in &self.0 {
            // Another daemon may have written its own since.
            if fs::read_to_string(path).is_ok_and(|text| text == content()) {
                let _ = fs::remove_file(path);
            }
        }
    }
}
