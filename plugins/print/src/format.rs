//! What rows are turned into.

use std::io::{self, Write};
use std::path::Path;

use crate::avro::Avro;
use crate::share::Share;
use crate::text::Text;

/// A form of the output.
pub(crate) enum Format {
    Text(Text),
    Avro(Box<Avro>),
}

impl Format {
    /// Writes rows and returns how many. What is new begins with a header.
    pub(crate) fn write(&mut self, shares: &[Share], is_new: bool, out: &mut dyn Write) -> io::Result<u64> {
        match self {
            Self::Text(text) => text.write(shares, is_new, out),
            Self::Avro(avro) => avro.write(shares, is_new, out),
        }
    }

    /// Whether a file can be continued.
    pub(crate) fn check_continues(&self, path: &Path, is_new: bool) -> io::Result<()> {
        match self {
            Self::Avro(avro) if !is_new => avro.check_continues(path),
            _ => Ok(()),
        }
    }
}
