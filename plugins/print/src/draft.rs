//! A file that is being written, and how it becomes the file that others read.
//!
//! - A regular file that is replaced is written beside its name and renamed over it: a reader sees the old
//!   one or the new one, never a part.
//! - A file that is appended to is locked (flock(2)); what could not be appended whole is cut off again. Who reads
//!   with the lock sees whole purges; who follows the file without it waits for the end of a line, as everywhere:
//!   the kernel lets a file grow page by page.
//! - Whatever else has the name (a FIFO, a device, a symbolic link) is written directly.

use std::ffi::OsString;
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, chown, fchown};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

/// Whom new files and directories belong to, if not to the daemon's user and group.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Owner {
    pub(crate) uid: Option<u32>,
    pub(crate) gid: Option<u32>,
}

/// An open file that is not finished. Dropped without [`Draft::commit`], it leaves nothing behind.
#[derive(Debug)]
pub(crate) struct Draft {
    file: File,
    /// Whether nothing is in the file yet, so that a header is due.
    is_new: bool,
    ending: Ending,
}

/// What makes a draft the file that was asked for.
#[derive(Debug)]
enum Ending {
    /// Renaming `from` to `to`.
    Rename { from: PathBuf, to: PathBuf },
    /// Nothing; without it the file is cut back to this length.
    Appended { len: u64 },
    /// Nothing, and nothing can be taken back.
    Direct,
}

impl Draft {
    /// A draft of a file that will take the place of `path`. Directories that are missing are made.
    pub(crate) fn replace(path: &Path, owner: Owner) -> io::Result<Self> {
        let existing = match fs::symlink_metadata(path) {
            Ok(metadata) if !metadata.is_file() => return Self::direct(path),
            Ok(metadata) => Some(metadata),
            Err(e) if e.kind() == ErrorKind::NotFound => {
                make_parents(path, owner)?;
                None
            }
            Err(e) => return Err(e),
        };
        match Self::beside(path, existing.as_ref(), owner) {
            // The file is ours to write, but its directory is not.
            Err(e) if e.kind() == ErrorKind::PermissionDenied && existing.is_some() => Self::direct(path),
            result => result,
        }
    }

    /// The file at `path`, to be continued. Directories that are missing are made.
    pub(crate) fn append(path: &Path, owner: Owner) -> io::Result<Self> {
        make_parents(path, owner)?;
        let file = open_directly(path, OpenOptions::new().append(true).create(true))?;
        if !file.metadata()?.is_file() {
            return Ok(Self { file, is_new: true, ending: Ending::Direct });
        }
        file.lock()?;
        let len = file.metadata()?.len(); // behind the lock: others append, too
        if len == 0 {
            owner.own(&file)?;
        }
        Ok(Self { file, is_new: len == 0, ending: Ending::Appended { len } })
    }

    /// Whether nothing is in the file yet, so that a header is due.
    pub(crate) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Makes what was written the file that others read.
    pub(crate) fn commit(mut self) -> io::Result<()> {
        if let Ending::Rename { from, to } = &self.ending {
            fs::rename(from, to)?;
        }
        self.ending = Ending::Direct; // there is nothing to take back any more
        Ok(())
    }

    fn beside(path: &Path, existing: Option<&Metadata>, owner: Owner) -> io::Result<Self> {
        let from = name_beside(path);
        let file = OpenOptions::new().write(true).create_new(true).open(&from)?;
        let ending = Ending::Rename { from, to: path.to_owned() };
        let draft = Self { file, is_new: true, ending };
        match existing {
            Some(existing) => draft.take_after(existing)?,
            None => owner.own(&draft.file)?,
        }
        Ok(draft)
    }

    /// Gives the draft the owner and the mode of the file that it replaces, as truncating would leave them.
    fn take_after(&self, existing: &Metadata) -> io::Result<()> {
        let mine = self.file.metadata()?;
        if (mine.uid(), mine.gid()) != (existing.uid(), existing.gid()) {
            // Only root may give files away; the group may be one of ours.
            let _ = fchown(&self.file, Some(existing.uid()), Some(existing.gid()))
                .or_else(|_| fchown(&self.file, None, Some(existing.gid())));
        }
        self.file.set_permissions(existing.permissions())
    }

    fn direct(path: &Path) -> io::Result<Self> {
        let file = open_directly(path, OpenOptions::new().write(true).create(true).truncate(true))?;
        Ok(Self { file, is_new: true, ending: Ending::Direct })
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(()) // a `File` holds nothing back
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Something went wrong before, and was said; that this goes wrong, too, would tell nothing new.
        let _ = match &self.ending {
            Ending::Rename { from, .. } => fs::remove_file(from),
            Ending::Appended { len } => self.file.set_len(*len),
            Ending::Direct => Ok(()),
        };
    }
}

impl Owner {
    fn own(self, file: &File) -> io::Result<()> {
        if self.uid.is_none() && self.gid.is_none() {
            return Ok(());
        }
        fchown(file, self.uid, self.gid)
    }
}

/// Makes `link` a symbolic link to `target`, whatever it pointed to before.
pub(crate) fn link(target: &Path, link: &Path, owner: Owner) -> io::Result<()> {
    match fs::symlink_metadata(link) {
        Ok(metadata) if !metadata.is_symlink() => {
            return Err(io::Error::new(
                ErrorKind::AlreadyExists,
                "it is not a symbolic link, and left alone",
            ));
        }
        Ok(_) => {}
        Err(_) => make_parents(link, owner)?,
    }
    let from = name_beside(link);
    std::os::unix::fs::symlink(target, &from)?;
    fs::rename(&from, link).inspect_err(|_| drop(fs::remove_file(&from)))
}

/// Opens for writing what has the name. A FIFO without a reader is an error at once, not a plugin that waits.
fn open_directly(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let file =
        options.custom_flags((OFlag::O_NONBLOCK | OFlag::O_NOCTTY).bits()).open(path).map_err(|e| match e
            .raw_os_error()
        {
            Some(nix::libc::ENXIO) => io::Error::new(ErrorKind::NotConnected, "nobody reads it"),
            _ => e,
        })?;
    if !file.metadata()?.is_file() {
        // From here on a reader that is slow is waited for.
        let flags = OFlag::from_bits_retain(fcntl(&file, FcntlArg::F_GETFL)?);
        fcntl(&file, FcntlArg::F_SETFL(flags - OFlag::O_NONBLOCK))?;
    }
    Ok(file)
}

fn make_parents(path: &Path, owner: Owner) -> io::Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    if parent.is_dir() {
        return Ok(());
    }
    make_parents(parent, owner)?;
    match DirBuilder::new().create(parent) {
        Ok(()) if owner.uid.is_some() || owner.gid.is_some() => chown(parent, owner.uid, owner.gid),
        // Another plugin was faster.
        Err(e) if e.kind() == ErrorKind::AlreadyExists && parent.is_dir() => Ok(()),
        result => result,
    }
}

/// `.NAME.tmp-PID-N` in the same directory: hidden, and no other plugin's.
fn name_beside(path: &Path) -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let mut name = OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    // Relaxed: nothing but the number itself is shared.
    name.push(format!(".tmp-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed)));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::os::unix::fs::PermissionsExt as _;

    use nix::sys::stat::Mode;

    use super::*;

    fn write(draft: io::Result<Draft>, text: &str) -> io::Result<()> {
        let mut draft = draft?;
        draft.write_all(text.as_bytes())?;
        draft.commit()
    }

    fn names(dir: &Path) -> Vec<String> {
        let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name());
        names.map(|name| name.into_string().unwrap()).collect()
    }

    #[test]
    fn a_replaced_file_is_whole_at_any_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/flows");
        write(Draft::replace(&path, Owner::default()), "old").unwrap();
        let mut draft = Draft::replace(&path, Owner::default()).unwrap();
        assert!(draft.is_new());
        draft.write_all(b"new").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        draft.commit().unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(names(path.parent().unwrap()), ["flows"]);
    }

    #[test]
    fn a_draft_that_is_dropped_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("flows");
        Draft::replace(&path, Owner::default()).unwrap().write_all(b"half").unwrap();
        assert!(names(dir.path()).is_empty());
        write(Draft::append(&path, Owner::default()), "one\n").unwrap();
        Draft::append(&path, Owner::default()).unwrap().write_all(b"tw").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
    }

    #[test]
    fn appending_knows_a_new_file() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/flows");
        assert!(Draft::append(&path, Owner::default()).unwrap().is_new());
        write(Draft::append(&path, Owner::default()), "one\n").unwrap();
        assert!(!Draft::append(&path, Owner::default()).unwrap().is_new());
        write(Draft::append(&path, Owner::default()), "two\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "one\ntwo\n");
    }

    #[test]
    fn a_replaced_file_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("flows");
        fs::write(&path, "old").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        write(Draft::replace(&path, Owner::default()), "new").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
    }

    #[test]
    fn links_and_devices_are_written_through() {
        let dir = tempfile::tempdir().unwrap();
        let (target, link) = (dir.path().join("target"), dir.path().join("link"));
        std::os::unix::fs::symlink(&target, &link).unwrap();
        write(Draft::replace(&link, Owner::default()), "through").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "through");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        write(Draft::replace(Path::new("/dev/null"), Owner::default()), "gone").unwrap();
        assert!(write(Draft::replace(Path::new("/dev/full"), Owner::default()), "x").is_err());
        assert!(write(Draft::append(Path::new("/dev/full"), Owner::default()), "x").is_err());
    }

    #[test]
    fn a_fifo_is_written_when_somebody_reads_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        nix::unistd::mkfifo(&path, Mode::from_bits_truncate(0o600)).unwrap();
        assert_eq!(Draft::replace(&path, Owner::default()).unwrap_err().to_string(), "nobody reads it");
        let reader = {
            let path = path.clone();
            std::thread::spawn(move || {
                let mut text = String::new();
                File::open(path).unwrap().read_to_string(&mut text).unwrap();
                text.len()
            })
        };
        // More than the 64 KiB that a pipe holds: the writer waits for the reader.
        let text = "x".repeat(1 << 20);
        while write(Draft::replace(&path, Owner::default()), &text).is_err() {
            std::thread::yield_now();
        }
        assert_eq!(reader.join().unwrap(), 1 << 20);
    }

    #[test]
    fn a_link_follows_the_newest_file_and_never_replaces_one() {
        let dir = tempfile::tempdir().unwrap();
        let latest = dir.path().join("a/latest");
        for target in ["/x/1", "/x/2"] {
            link(Path::new(target), &latest, Owner::default()).unwrap();
            assert_eq!(fs::read_link(&latest).unwrap(), Path::new(target));
        }
        assert_eq!(names(latest.parent().unwrap()), ["latest"]);
        let file = dir.path().join("file");
        fs::write(&file, "mine").unwrap();
        assert!(link(Path::new("/x/3"), &file, Owner::default()).is_err());
        assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    }
}
