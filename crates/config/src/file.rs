//! The lines of a pmacctd.conf.

use std::path::Path;
use std::sync::Arc;

use crate::error::{ConfigError, Origin, Report};
use crate::statement::Statement;

/// Reads all lines; what is wrong with a line goes into the report.
pub(crate) fn read(path: &Arc<Path>, bytes: &[u8], report: &mut Report) -> Vec<Statement> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut statements = Vec::new();
    for (index, line) in bytes.split(|&byte| byte == b'\n').enumerate() {
        let line = line.trim_ascii();
        if matches!(line.first(), None | Some(b'!' | b'#')) {
            continue;
        }
        match statement(&Origin::Line { path: path.clone(), line: index + 1 }, line) {
            Ok(statement) => statements.push(statement),
            Err(error) => report.error(error),
        }
    }
    statements
}

fn statement(origin: &Origin, line: &[u8]) -> Result<Statement, ConfigError> {
    let Ok(line) = std::str::from_utf8(line) else {
        let shown = String::from_utf8_lossy(line);
        return Err(ConfigError::problem(origin, "", &shown, "not UTF-8 text"));
    };
    let Some((key, value)) = line.split_once(':') else {
        let error = ConfigError::expected(origin, "", line, "key: value");
        return Err(ConfigError { problem: Some("missing ':'".to_owned()), ..error });
    };
    Statement::new(origin.clone(), key, value).map_err(|bad| ConfigError::problem(origin, "", line, bad))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::read;
    use crate::error::Report;

    /// `line key[symbol]=value` of each statement, and the errors.
    fn lines(text: &[u8]) -> (Vec<String>, Vec<String>) {
        let mut report = Report::default();
        let statements = read(&Path::new("a.conf").into(), text, &mut report);
        let shown =
            statements.iter().map(|it| format!("{} {}={}", it.origin.position(), it.written_key(), it.value));
        (shown.collect(), report.errors.iter().map(ToString::to_string).collect())
    }

    #[track_caller]
    fn reads(text: &str, expected: &[&str]) {
        assert_eq!(lines(text.as_bytes()), (expected.iter().map(ToString::to_string).collect(), vec![]));
    }

    #[test]
    fn comments_and_blank_lines_are_nothing() {
        reads("! a\n# b: c\n\n \t\n  ! d: e\nk: v ! w\n", &["6 k=v ! w"]);
    }

    #[test]
    fn line_ends_do_not_matter() {
        reads("a: 1\r\nb:2\r\n\r\nc : 3  ", &["1 a=1", "2 b=2", "4 c=3"]);
        reads("\u{feff}a: 1", &["1 a=1"]);
        reads("", &[]);
    }

    #[test]
    fn the_first_colon_separates() {
        reads("r: 127.0.0.1:2100\np[x]: /tmp/a:b\ne:", &["1 r=127.0.0.1:2100", "2 p[x]=/tmp/a:b", "3 e="]);
    }

    #[test]
    fn lines_may_be_long_and_many() {
        let long = format!("k: {}\nnext: 1", "x".repeat(20_000));
        let (statements, errors) = lines(long.as_bytes());
        assert_eq!((statements[0].len(), statements[1].as_str(), errors.len()), (20_004, "2 next=1", 0));
        let many = "k: v\n".repeat(20_000);
        assert_eq!(lines(many.as_bytes()).0.len(), 20_000);
    }

    #[test]
    fn all_errors_are_found() {
        let (statements, errors) = lines(b"plugins print\na: 1\n: 2\nk[a: 3\nk: \xff\n! \xff\n");
        assert_eq!(statements, ["2 a=1"]);
        assert_eq!(
            errors,
            [
                "a.conf:1: plugins print: missing ':'; expected key: value",
                "a.conf:3: : 2: missing key",
                "a.conf:4: k[a: 3: not weighted brackets (1): '[' without ']'",
                "a.conf:5: k: \u{fffd}: not UTF-8 text",
            ]
        );
    }
}
