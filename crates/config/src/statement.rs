//! A setting as it was written: key, plugin, value.

use crate::error::Origin;

/// One line of a file, or what stands for one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) origin: Origin,
    /// In lower case, without blanks.
    pub(crate) key: String,
    /// The name in brackets.
    pub(crate) symbol: Option<String>,
    /// Without blanks around it.
    pub(crate) value: String,
    /// Whether it goes on with the list that the statement before began (of `plugins` only).
    pub(crate) continues: bool,
}

impl Statement {
    /// Reads the part before the colon, `key` or `key[name]`. On an error: what is wrong with it.
    pub(crate) fn new(origin: Origin, key: &str, value: &str) -> Result<Self, BadKey> {
        let (key, symbol) = split_key(key)?;
        if key.is_empty() {
            return Err(if symbol.is_some() { BadKey::SymbolWithoutKey } else { BadKey::Missing });
        }
        let key = key.to_lowercase();
        Ok(Self { origin, key, symbol, value: value.trim_ascii().to_owned(), continues: false })
    }

    /// The key as it would be written, with its brackets.
    pub(crate) fn written_key(&self) -> String {
        match &self.symbol {
            Some(symbol) => format!("{}[{symbol}]", self.key),
            None => self.key.clone(),
        }
    }
}

/// What can be wrong with the part before the colon. The words in quotes are the peer's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadKey {
    #[error("missing key")]
    Missing,
    #[error("symbol not referring to any key")]
    SymbolWithoutKey,
    #[error("not weighted brackets (1): '[' without ']'")]
    Unclosed,
    #[error("not weighted brackets (2): ']' without '['")]
    Unopened,
    #[error("nested symbols not allowed")]
    Nested,
    #[error("illegal brackets: there is no name in them")]
    Empty,
    #[error("illegal brackets: they must end the key")]
    Inside,
}

/// Takes `key[ a name ]` apart. Blanks are removed from the key, and around the name.
pub(crate) fn split_key(text: &str) -> Result<(String, Option<String>), BadKey> {
    let without_blanks = |text: &str| text.split_ascii_whitespace().collect::<String>();
    let opened = text.matches('[').count();
    let closed = text.matches(']').count();
    match (opened, closed) {
        (0, 0) => return Ok((without_blanks(text), None)),
        _ if opened > closed => return Err(BadKey::Unclosed),
        _ if opened < closed => return Err(BadKey::Unopened),
        (1, 1) => {}
        _ => return Err(BadKey::Nested),
    }
    let Some((key, (name, rest))) =
        text.split_once('[').and_then(|(key, rest)| Some((key, rest.split_once(']')?)))
    else {
        return Err(BadKey::Unopened);
    };
    match name.trim_ascii() {
        _ if !rest.trim_ascii().is_empty() => Err(BadKey::Inside),
        "" => Err(BadKey::Empty),
        name => Ok((without_blanks(key), Some(name.to_owned()))),
    }
}

#[cfg(test)]
mod tests {
    use super::{BadKey, Statement};
    use crate::Origin;

    fn read(key: &str) -> Result<(String, Option<String>), BadKey> {
        Statement::new(Origin::CommandLine, key, "").map(|statement| (statement.key, statement.symbol))
    }

    #[test]
    fn keys_lose_blanks_and_case_but_names_do_not() {
        for (text, key, name) in [
            ("print_output", "print_output", None),
            (" Print_out put\t", "print_output", None),
            ("print_output[a]", "print_output", Some("a")),
            ("print_output [ A  b ] ", "print_output", Some("A  b")),
        ] {
            assert_eq!(read(text), Ok((key.to_owned(), name.map(str::to_owned))), "{text}");
        }
    }

    #[test]
    fn each_error_of_brackets_has_its_name() {
        for (text, error) in [
            ("", BadKey::Missing),
            (" \t", BadKey::Missing),
            ("[a]", BadKey::SymbolWithoutKey),
            ("key[a", BadKey::Unclosed),
            ("key[[a]", BadKey::Unclosed),
            ("keya]", BadKey::Unopened),
            ("key[a]]", BadKey::Unopened),
            ("key]a[", BadKey::Unopened),
            ("key[a[b]]", BadKey::Nested),
            ("key[a][b]", BadKey::Nested),
            ("key[]", BadKey::Empty),
            ("key[ ]", BadKey::Empty),
            ("key[a]b", BadKey::Inside),
        ] {
            assert_eq!(read(text), Err(error), "{text}");
        }
    }
}
