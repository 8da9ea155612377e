//! Where a configuration is read from.

use std::borrow::Cow;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use crate::error::{ConfigError, Origin, Report};
use crate::registry::Registry;
use crate::statement::Statement;
use crate::{file, yaml};

/// A file, the command line, or both; the command line comes last.
///
/// A file whose name ends in `.yaml` or `.yml` is YAML, any other a pmacctd.conf. It may be a pipe.
#[derive(Debug, Clone, Copy, Default)]
pub struct Source<'a> {
    file: Option<(&'a Path, Option<&'a [u8]>)>,
    lines: &'a [(String, String)],
}

impl<'a> Source<'a> {
    /// A file.
    pub fn file(path: &'a Path) -> Self {
        Self { file: Some((path, None)), lines: &[] }
    }

    /// What a file of this name would hold.
    pub fn text(name: &'a str, text: &'a (impl AsRef<[u8]> + ?Sized)) -> Self {
        Self { file: Some((Path::new(name), Some(text.as_ref()))), lines: &[] }
    }

    /// Keys and values of the command line.
    #[must_use]
    pub fn with_lines(self, lines: &'a [(String, String)]) -> Self {
        Self { lines, ..self }
    }

    pub(crate) fn path(&self) -> Option<&'a Path> {
        self.file.map(|(path, _)| path)
    }

    /// All that is written there, the command line's lines last.
    pub(crate) fn read(&self, registry: &Registry, report: &mut Report) -> Vec<Statement> {
        let mut statements = match self.file {
            Some((path, text)) => read_file(path, text, registry, report),
            None => Vec::new(),
        };
        for (key, value) in self.lines {
            match Statement::new(Origin::CommandLine, key, value) {
                Ok(statement) => statements.push(statement),
                Err(bad) => report.error(ConfigError::problem(&Origin::CommandLine, "", key, bad)),
            }
        }
        statements
    }
}

fn read_file(path: &Path, text: Option<&[u8]>, registry: &Registry, report: &mut Report) -> Vec<Statement> {
    let shared: Arc<Path> = path.into();
    let text = match text.map_or_else(|| read_bytes(path).map(Cow::Owned), |text| Ok(Cow::Borrowed(text))) {
        Ok(text) => text,
        Err(problem) => {
            report.error(ConfigError::problem(&Origin::File(shared), "", "", problem));
            return Vec::new();
        }
    };
    if is_yaml(path) {
        yaml::read(&shared, &text, registry, report)
    } else {
        file::read(&shared, &text, report)
    }
}

/// Reads a file, or a pipe to its end. On an error: the peer's sentence for it.
fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    fs::read(path).map_err(|error| match error.kind() {
        ErrorKind::NotFound => "file not found.".to_owned(),
        ErrorKind::IsADirectory => "path is not a regular file.".to_owned(),
        _ => format!("file cannot be read: {error}."),
    })
}

fn is_yaml(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    ["yaml", "yml"].iter().any(|yaml| extension.eq_ignore_ascii_case(yaml))
}
