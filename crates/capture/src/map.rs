//! The bytes of a file, without copying them where the system can map it into memory.
#![expect(unsafe_code, reason = "mapping a file is unsafe; this is the only place that does")]

use std::fs::File;
use std::io::{self, Read};
use std::ops::Deref;
use std::path::Path;

use memmap2::{Advice, Mmap};

/// The bytes of a file: mapped if it is a regular file, else read into memory.
#[derive(Debug)]
pub(crate) enum FileBytes {
    Mapped(Mmap),
    Read(Vec<u8>),
}

impl FileBytes {
    /// The bytes of the file at `path`, which will be read from the start to the end; `-` is standard input.
    ///
    /// A pipe is read to its end first.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        if path.as_os_str() == "-" {
            return read_to_end(io::stdin().lock());
        }
        let file = File::open(path)?;
        // An empty file cannot be mapped, and files of /proc pretend to be empty.
        let metadata = file.metadata()?;
        if !metadata.is_file() || metadata.len() == 0 {
            return read_to_end(file);
        }
        // SAFETY: The mapping is private to this type, read-only, and lives as long as the slices that
        // `deref` lends. What cannot be excluded is that somebody changes the file meanwhile. Bytes that
        // change give packets that never were; all lengths are checked on a copy of the value that is then
        // used, so that no read leaves the mapping. A file that gets shorter makes the system end the
        // process (SIGBUS): the same holds for every reader of a mapped file, and is why captures are
        // rotated by renaming.
        let map = unsafe { Mmap::map(&file)? };
        // Only a hint: read ahead, and drop behind. Without it the result is the same.
        let _ = map.advise(Advice::Sequential);
        Ok(Self::Mapped(map))
    }
}

impl Deref for FileBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Read(bytes) => bytes,
        }
    }
}

fn read_to_end(mut file: impl Read) -> io::Result<FileBytes> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(FileBytes::Read(bytes))
}
