//! What is wrong with a configuration, and where.

use std::fmt::{self, Display};
use std::path::Path;
use std::sync::Arc;

use crate::nearest::nearest;

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A line of a file.
    Line {
        /// The file, as it was named.
        path: Arc<Path>,
        /// The line, from 1.
        line: usize,
    },
    /// A file as a whole.
    File(Arc<Path>),
    /// An option.
    CommandLine,
}

impl Origin {
    /// For sorting: the file's lines before the command line.
    pub(crate) fn position(&self) -> usize {
        match self {
            Self::Default | Self::File(_) => 0,
            Self::Line { line, .. } => *line,
            Self::CommandLine => usize::MAX,
        }
    }
}

impl Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Line { path, line } => write!(f, "{}:{line}", path.display()),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::CommandLine => f.write_str("command line"),
        }
    }
}

/// An error in a configuration: it stops the start.
///
/// As text: `pmacctd.conf:7: print_output: jsn: expected one of formatted, csv, json; did you mean json?`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// Where.
    pub origin: Origin,
    /// The key; empty if the line has none.
    pub key: String,
    /// What was written there.
    pub written: String,
    /// What is wrong with it, where that is not plain from what was expected.
    pub problem: Option<String>,
    /// What was expected instead; may be empty if there is a problem.
    pub expected: String,
    /// The word that was probably meant.
    pub nearest: Option<String>,
}

/// Longest part of a wrong value that is shown, in characters.
const SHOWN: usize = 120;

impl ConfigError {
    pub(crate) fn expected(origin: &Origin, key: &str, written: &str, expected: impl Display) -> Self {
        Self {
            origin: origin.clone(),
            key: key.to_owned(),
            written: written.to_owned(),
            problem: has_trailing_comment(written).then(|| COMMENT.to_owned()),
            expected: expected.to_string(),
            nearest: None,
        }
    }

    pub(crate) fn problem(origin: &Origin, key: &str, written: &str, problem: impl Display) -> Self {
        Self { problem: Some(problem.to_string()), ..Self::expected(origin, key, written, "") }
    }

    /// Tells which of the candidates was probably meant.
    pub(crate) fn or_nearest<'a>(self, candidates: impl IntoIterator<Item = &'a str>) -> Self {
        let nearest = nearest(&self.written, candidates).map(str::to_owned);
        Self { nearest, ..self }
    }

    fn is_about_a_file(&self) -> bool {
        self.key.is_empty() && matches!(self.origin, Origin::File(_))
    }
}

const COMMENT: &str = "a comment must stand on a line of its own";

/// Whether a value looks as if somebody wanted to comment on it.
pub(crate) fn has_trailing_comment(value: &str) -> bool {
    value.split_whitespace().skip(1).any(|word| word.starts_with(['!', '#']) && !word.starts_with("!="))
}

/// Notes on a value that has more than the word that was complained about.
pub(crate) fn note_comment(error: ConfigError, whole: &str) -> ConfigError {
    match error.problem {
        None if has_trailing_comment(whole) => ConfigError { problem: Some(COMMENT.to_owned()), ..error },
        _ => error,
    }
}

impl Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_about_a_file() {
            // The peer's form; scripts look for it.
            write!(f, "[{}] ", self.origin)?;
        } else {
            write!(f, "{}: ", self.origin)?;
        }
        for part in [&self.key, &self.written].into_iter().filter(|part| !part.is_empty()) {
            write!(f, "{}: ", Shown(part))?;
        }
        let expected =
            Some(&self.expected).filter(|text| !text.is_empty()).map(|text| format!("expected {text}"));
        let nearest = self.nearest.as_ref().map(|word| format!("did you mean {word}?"));
        let parts: Vec<_> =
            [&self.problem, &expected, &nearest].into_iter().flatten().map(String::as_str).collect();
        f.write_str(&parts.join("; "))
    }
}

impl std::error::Error for ConfigError {}

/// The beginning of a text, without line breaks and other controls.
struct Shown<'a>(&'a str);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chars = self.0.chars();
        let clean = |c: char| if c.is_control() { ' ' } else { c };
        chars.by_ref().take(SHOWN).try_for_each(|c| write!(f, "{}", clean(c)))?;
        if chars.next().is_some() { f.write_str("…") } else { Ok(()) }
    }
}

/// Something odd that the peer ignores as well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// Where; [`Origin::Default`] if it is about several places.
    pub origin: Origin,
    /// A sentence: the peer's where it has one.
    pub message: String,
}

impl Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin {
            Origin::Default => f.write_str(&self.message),
            _ => write!(f, "[{}] {}", self.origin, self.message),
        }
    }
}

/// What is found while a configuration is read.
#[derive(Debug, Default)]
pub(crate) struct Report {
    pub(crate) errors: Vec<ConfigError>,
    pub(crate) warnings: Vec<Warning>,
}

impl Report {
    pub(crate) fn error(&mut self, error: ConfigError) {
        self.errors.push(error);
    }

    pub(crate) fn warn(&mut self, origin: &Origin, message: impl Into<String>) {
        self.warnings.push(Warning { origin: origin.clone(), message: message.into() });
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{ConfigError, Origin, has_trailing_comment};

    fn line_7() -> Origin {
        Origin::Line { path: Path::new("pmacctd.conf").into(), line: 7 }
    }

    #[test]
    fn errors_say_where_what_and_what_else() {
        let error = ConfigError::expected(&line_7(), "print_output", "jsn", "one of csv, json")
            .or_nearest(["csv", "json"]);
        let text = "pmacctd.conf:7: print_output: jsn: expected one of csv, json; did you mean json?";
        assert_eq!(error.to_string(), text);
    }

    #[test]
    fn errors_about_a_file_are_the_peers() {
        let error =
            ConfigError::problem(&Origin::File(Path::new("a.conf").into()), "", "", "file not found.");
        assert_eq!(error.to_string(), "[a.conf] file not found.");
    }

    #[test]
    fn long_values_are_cut() {
        let error = ConfigError::expected(&Origin::CommandLine, "k", &"x".repeat(20_000), "less");
        assert!(error.to_string().len() < 200, "{error}");
    }

    #[test]
    fn comments_behind_a_value_are_noticed() {
        for value in ["src_host ! x", "csv #x", "a\t# b"] {
            assert!(has_trailing_comment(value), "{value}");
        }
        for value in ["a!b", "tcp[13] != 0x10", "#x", ""] {
            assert!(!has_trailing_comment(value), "{value}");
        }
    }
}
