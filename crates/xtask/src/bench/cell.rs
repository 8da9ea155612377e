//! A control group for one program and all that it starts: what they use is summed exactly, whichever of them ended when,
//! and nothing of it survives.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// A control group (cgroup v2) of its own, which is emptied and removed when this value is dropped.
#[derive(Debug)]
pub(crate) struct Cell {
    folder: PathBuf,
}

impl Cell {
    pub(crate) fn new() -> Result<Cell, String> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mounts = fs::read_to_string("/proc/mounts").map_err(|error| format!("/proc/mounts: {error}"))?;
        let mount = mount_of_cgroup2(&mounts).ok_or("cgroup v2 is not mounted: nothing can be measured")?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = Path::new(mount).join(format!("rpmacct-bench-{}-{number}", process::id()));
        fs::create_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(Cell { folder })
    }

    /// A command that runs in here, and everything that it starts.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", r#"echo $$ > "$0/cgroup.procs" && exec "$@""#]).arg(&self.folder).arg(program);
        command
    }

    /// The CPU time used in here so far, user and system, also by processes that have ended.
    pub(crate) fn cpu(&self) -> Duration {
        Duration::from_micros(usage(&self.read("cpu.stat")).unwrap_or(0))
    }

    pub(crate) fn processes(&self) -> Vec<u32> {
        self.read("cgroup.procs").lines().filter_map(|line| line.parse().ok()).collect()
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.folder.join(name)).unwrap_or_default()
    }
}

impl Drop for Cell {
    fn drop(&mut self) {
        let _ = fs::write(self.folder.join("cgroup.kill"), "1");
        let deadline = Instant::now() + Duration::from_secs(10);
        while fs::remove_dir(&self.folder).is_err() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Where `/proc/mounts` has the unified hierarchy.
fn mount_of_cgroup2(mounts: &str) -> Option<&str> {
    mounts.lines().find_map(|line| {
        let mut fields = line.split(' ').skip(1);
        let (folder, kind) = (fields.next()?, fields.next()?);
        (kind == "cgroup2").then_some(folder)
    })
}

/// `usage_usec` of `cpu.stat`.
fn usage(stat: &str) -> Option<u64> {
    stat.lines().find_map(|line| line.strip_prefix("usage_usec "))?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_unified_hierarchy_is_found() {
        let mounts =
            "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(mount_of_cgroup2(mounts), Some("/sys/fs/cgroup/unified"));
        assert_eq!(mount_of_cgroup2("proc /proc proc rw 0 0\n"), None);
    }

    #[test]
    fn usage_is_read() {
        assert_eq!(usage("usage_usec 67817\nuser_usec 58775\n"), Some(67_817));
        assert_eq!(usage(""), None);
    }
}
