//! Where tokens are kept, and what is said of them.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rpmacct_query::{Basis, Context, Increments, Since};

use crate::Console;
use crate::error::ClientError;

/// The exit code when a token was not known, and the whole table was shown.
pub(crate) const UNKNOWN: u8 = 3;

/// The token that a file holds; of a file that is missing or empty, the beginning.
pub(crate) fn read(path: &Path) -> Result<Since, ClientError> {
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        read => read.map_err(|error| ClientError::TokenFile(path.to_owned(), error))?,
    };
    Ok(match text.trim() {
        "" => Since::Start,
        token => Since::Token(token.to_owned()),
    })
}

/// Replaces the file as a whole: whoever reads it sees the old token or the new one.
pub(crate) fn write(path: &Path, token: &str) -> Result<(), ClientError> {
    let mut draft = path.as_os_str().to_owned();
    draft.push(format!(".{}", std::process::id()));
    let draft = PathBuf::from(draft);
    let written = File::create(&draft)
        .and_then(|mut file| {
            writeln!(file, "{token}")?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&draft, path));
    written.map_err(|error| {
        let _ = fs::remove_file(&draft);
        ClientError::TokenFile(path.to_owned(), error)
    })
}

/// Says what an answer is about and hands the token over, once all of it is written. Returns the exit code.
pub(crate) fn conclude(
    context: &Context,
    file: Option<&Path>,
    console: &mut Console<'_>,
) -> Result<u8, ClientError> {
    console.out.flush().map_err(ClientError::Output)?;
    say_full(context, console);
    let Some(Increments { token, basis, .. }) = &context.increments else { return Ok(0) };
    match file {
        Some(file) => write(file, token)?,
        None => writeln!(console.err, "TOKEN: {token}").map_err(ClientError::Output)?,
    }
    let Some(why) = why_unknown(*basis) else { return Ok(0) };
    let _ = writeln!(console.err, "WARN: the token is not known any more: {why}. This is the whole table");
    Ok(UNKNOWN)
}

/// Says that the table was full.
pub(crate) fn say_full(context: &Context, console: &mut Console<'_>) {
    let Some(other) = context.other else { return };
    let shown = if other.is_row { "the row 'other'" } else { "none of these rows" };
    let _ = writeln!(
        console.err,
        "WARN: the table is full: {} packets of keys that found no room are in {shown} (-e makes room)",
        other.packets
    );
}

/// Why a token was not known, in a sentence.
pub(crate) fn why_unknown(basis: Basis) -> Option<&'static str> {
    match basis {
        Basis::Asked => None,
        Basis::Restarted => Some("the daemon was restarted, or it is another one"),
        Basis::Erased => Some("the table was erased"),
        Basis::Forgotten => Some("it is too old (imt_since_size)"),
    }
}

/// The same in a word.
pub(crate) fn word(basis: Basis) -> Option<&'static str> {
    match basis {
        Basis::Asked => None,
        Basis::Restarted => Some("restarted"),
        Basis::Erased => Some("erased"),
        Basis::Forgotten => Some("forgotten"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_kept_in_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert_eq!(read(&path).unwrap(), Since::Start);
        write(&path, "1-2-3").unwrap();
        write(&path, "1-2-4").unwrap();
        assert_eq!(read(&path).unwrap(), Since::Token("1-2-4".to_owned()));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no draft is left");
        assert!(read(folder.path()).is_err());
        assert!(write(&folder.path().join("no/such"), "1").is_err());
        assert!(write(folder.path(), "1").is_err());
    }
}
