//! Standard output.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use rpmacct_plugin::{Outcome, SinkError};

use crate::format::Format;
use crate::share::Share;

/// Standard output. What it does not take can't be taken back, and is lost.
pub(crate) struct Stdout {
    out: Box<dyn Write + Send>,
    /// File that is locked while rows are written.
    lock: Option<PathBuf>,
    header_is_due: bool,
    is_closed: bool,
}

impl Stdout {
    pub(crate) fn new(out: Box<dyn Write + Send>, lock: Option<PathBuf>) -> Self {
        Self { out, lock, header_is_due: true, is_closed: false }
    }

    /// Writes rows. Returns how many, and what became of their packets.
    pub(crate) fn purge(&mut self, format: &mut Format, shares: &[Share]) -> (u64, Outcome) {
        let packets = shares.iter().map(|share| share.packets).sum();
        if shares.is_empty() {
            return (0, Outcome::default());
        }
        match self.write(format, shares) {
            Ok(rows) => (rows, Outcome::written(packets)),
            Err(error) => (0, Outcome::lost(packets, error)),
        }
    }

    fn write(&mut self, format: &mut Format, shares: &[Share]) -> Result<u64, SinkError> {
        let _lock = self.lock.as_deref().map(lock).transpose()?;
        let result = format.write(shares, self.header_is_due, &mut self.out);
        let was_closed = self.is_closed;
        self.is_closed = matches!(&result, Err(e) if e.kind() == ErrorKind::BrokenPipe);
        let rows = match result {
            // Whoever read it has gone and won't come back.
            Err(_) if self.is_closed && was_closed => return Err(SinkError::Known),
            result => result.map_err(|e| SinkError::io("writing to standard output", e))?,
        };
        self.header_is_due = false;
        Ok(rows)
    }
}

/// Locks a file, which is made if there is none, until the answer is dropped.
pub(crate) fn lock(path: &Path) -> Result<File, SinkError> {
    let open = || -> io::Result<File> {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        file.lock()?;
        Ok(file)
    };
    open().map_err(|e| SinkError::io(format!("locking {}", path.display()), e))
}
