//! What values a key takes.

use std::borrow::Cow;

/// The type of a value, with its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `true` or `false`, in any case. Nothing else: `yes` and `1` are errors, as in the peer.
    Flag,
    /// A whole number.
    Integer {
        /// The least.
        min: i64,
        /// The greatest.
        max: i64,
    },
    /// A number of bytes.
    Size {
        /// The least.
        min: u64,
        /// The greatest.
        max: u64,
    },
    /// A number of seconds.
    Seconds {
        /// The least.
        min: u64,
        /// The greatest.
        max: u64,
    },
    /// Any text.
    Text,
    /// The name of a file.
    Path,
    /// One of these words; case does not matter.
    Word(&'static [&'static str]),
    /// Some of these words, separated by commas; case does not matter.
    Words(&'static [&'static str]),
    /// Any texts, separated by commas.
    List,
    /// One character, or `\t` for a tabulator, or `\s` for a blank.
    Character,
}

/// A value, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Value<'a> {
    Flag(bool),
    Integer(i64),
    /// Of a [`Kind::Size`] or a [`Kind::Seconds`].
    Unsigned(u64),
    /// Of all kinds of text.
    Text(&'a str),
    Character(char),
}

impl Kind {
    /// Reads a value that is in its [canonical form](Self::canonical); `None` if it is not of this kind.
    pub(crate) fn parse(self, text: &str) -> Option<Value<'_>> {
        match self {
            Self::Flag => match text {
                "true" => Some(Value::Flag(true)),
                "false" => Some(Value::Flag(false)),
                _ => None,
            },
            Self::Integer { min, max } => {
                let number = digits(text.strip_prefix('-').unwrap_or(text)).and_then(|()| text.parse().ok());
                number.filter(|number| (min..=max).contains(number)).map(Value::Integer)
            }
            Self::Size { min, max } | Self::Seconds { min, max } => {
                let number = digits(text).and_then(|()| text.parse().ok());
                number.filter(|number| (min..=max).contains(number)).map(Value::Unsigned)
            }
            Self::Text | Self::Path | Self::List => Some(Value::Text(text)),
            Self::Word(words) => words.contains(&text).then_some(Value::Text(text)),
            Self::Words(words) => split(text).all(|word| words.contains(&word)).then_some(Value::Text(text)),
            Self::Character => match text {
                r"\t" => Some(Value::Character('\t')),
                r"\s" => Some(Value::Character(' ')),
                _ => single(text).map(Value::Character),
            },
        }
    }

    /// The one form of a value that may be written in several.
    pub(crate) fn canonical(self, text: &str) -> Cow<'_, str> {
        match self {
            Self::Flag | Self::Word(_) | Self::Words(_) => Cow::Owned(text.to_ascii_lowercase()),
            _ => Cow::Borrowed(text),
        }
    }

    /// What a value of this kind is, as in "expected …".
    pub fn expected(self) -> String {
        match self {
            Self::Flag => "true or false".into(),
            Self::Integer { min, max } => format!("a number{}", bounds(min, max, i64::MAX)),
            Self::Size { min, max } => format!("a number of bytes{}", bounds(min, max, u64::MAX)),
            Self::Seconds { min, max } => format!("a number of seconds{}", bounds(min, max, u64::MAX)),
            Self::Text => "a text".into(),
            Self::Path => "the name of a file".into(),
            Self::Word(words) => format!("one of {}", words.join(", ")),
            Self::Words(words) => format!("a list out of {}", words.join(", ")),
            Self::List => "a list".into(),
            Self::Character => r"one character, or \t, or \s".into(),
        }
    }

    /// What values of this kind are called in a usage text.
    pub(crate) fn placeholder(self) -> &'static str {
        match self {
            Self::Flag => "true|false",
            Self::Integer { .. } => "N",
            Self::Size { .. } => "BYTES",
            Self::Seconds { .. } => "SECONDS",
            Self::Text => "TEXT",
            Self::Path => "FILE",
            Self::Word(_) => "WORD",
            Self::Words(_) | Self::List => "LIST",
            Self::Character => "CHAR",
        }
    }

    /// The words that a value is made of; empty where any will do.
    pub(crate) fn words(self) -> &'static [&'static str] {
        match self {
            Self::Flag => &["true", "false"],
            Self::Word(words) | Self::Words(words) => words,
            _ => &[],
        }
    }

    /// Whether several values, joined by commas, are one value.
    pub(crate) fn is_list(self) -> bool {
        matches!(self, Self::Text | Self::Words(_) | Self::List)
    }

    /// Whether an empty value stands for "not set" (else it is a wrong value).
    pub(crate) fn may_be_empty(self) -> bool {
        matches!(self, Self::Text | Self::Path | Self::Words(_) | Self::List)
    }
}

/// The elements of a list.
pub(crate) fn split(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim_ascii).filter(|element| !element.is_empty())
}

fn digits(text: &str) -> Option<()> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then_some(())
}

fn single(text: &str) -> Option<char> {
    let mut chars = text.chars();
    chars.next().filter(|_| chars.next().is_none())
}

fn bounds<N: Copy + PartialEq + std::fmt::Display>(min: N, max: N, endless: N) -> String {
    if max == endless { format!(" of at least {min}") } else { format!(" from {min} to {max}") }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Value};

    #[track_caller]
    fn check(kind: Kind, text: &str, value: Option<Value<'_>>) {
        assert_eq!(kind.parse(&kind.canonical(text)), value, "{text}");
    }

    #[test]
    fn flags_are_true_or_false_in_any_case() {
        for (text, flag) in [("true", true), ("TRUE", true), ("False", false)] {
            check(Kind::Flag, text, Some(Value::Flag(flag)));
        }
        for text in ["", "yes", "1", "on", "truee"] {
            check(Kind::Flag, text, None);
        }
    }

    #[test]
    fn numbers_keep_their_bounds() {
        let integer = Kind::Integer { min: -1, max: 10 };
        for (text, number) in [("-1", -1), ("0", 0), ("10", 10), ("007", 7)] {
            check(integer, text, Some(Value::Integer(number)));
        }
        for text in ["-2", "11", "", "-", "+1", "1k", "0x1", "1.5", "1 0", "99999999999999999999"] {
            check(integer, text, None);
        }
        let size = Kind::Size { min: 1, max: u64::MAX };
        check(size, "18446744073709551615", Some(Value::Unsigned(u64::MAX)));
        check(size, "0", None);
        check(size, "-1", None);
        assert_eq!(size.expected(), "a number of bytes of at least 1");
        assert_eq!(integer.expected(), "a number from -1 to 10");
    }

    #[test]
    fn words_are_lower_case() {
        let word = Kind::Word(&["csv", "json"]);
        check(word, "JSON", Some(Value::Text("json")));
        check(word, "jsn", None);
        let words = Kind::Words(&["m", "h"]);
        check(words, "M, h", Some(Value::Text("m, h")));
        check(words, "m, x", None);
    }

    #[test]
    fn characters_may_be_escaped() {
        for (text, character) in [(";", ';'), (r"\t", '\t'), (r"\s", ' '), ("ä", 'ä'), (r"\", '\\')] {
            check(Kind::Character, text, Some(Value::Character(character)));
        }
        for text in ["", "ab", r"\n"] {
            check(Kind::Character, text, None);
        }
    }
}
