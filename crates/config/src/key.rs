//! Rows: what keys there are.

use crate::kind::Kind;

/// One configuration key: a row that is declared where it belongs. Everything that knows keys (the reader,
/// the command line, the manual, tests) walks the rows.
///
/// ```
/// use rpmacct_config::Key;
///
/// pub const IMT_PATH: Key = Key::path("imt_path")
///     .default("/tmp/collect.pipe")
///     .option('p')
///     .doc("Unix socket of the memory plugin");
/// ```
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// The name, in lower case.
    pub name: &'static str,
    /// Other names for the same key: retired ones, and those that pmacctd takes for the same.
    pub aliases: &'static [&'static str],
    /// Whom it can be set for.
    pub scope: Scope,
    /// What values it takes.
    pub kind: Kind,
    /// The value where it is not set. Invariant: of this kind.
    pub default: Option<&'static str>,
    /// The short option of the command line that sets it.
    pub option: Option<Opt>,
    /// One sentence for people.
    pub doc: &'static str,
    /// Whether another value means that something else is counted.
    pub counts: bool,
    /// What more a value must fulfil. The error says what was expected.
    pub check: Option<Check>,
}

/// A check of a value. On an error: what was expected.
pub type Check = fn(&str) -> Result<(), String>;

/// Whom a key can be set for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// For the whole daemon only; a plugin's name in brackets is taken away, with a warning.
    Global,
    /// For all, or for one plugin by `key[name]`.
    Both,
    /// For one plugin only, by `key[name]`.
    PluginOnly,
}

/// A short option of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opt {
    /// The letter after the dash.
    pub letter: char,
    /// The value that the option stands for; `None`: the value is the option's argument.
    pub value: Option<&'static str>,
}

impl Key {
    /// A key that is `true` or `false`.
    pub const fn flag(name: &'static str) -> Self {
        Self::new(name, Kind::Flag)
    }

    /// A whole number.
    pub const fn integer(name: &'static str, min: i64, max: i64) -> Self {
        Self::new(name, Kind::Integer { min, max })
    }

    /// A number of bytes.
    pub const fn size(name: &'static str, min: u64, max: u64) -> Self {
        Self::new(name, Kind::Size { min, max })
    }

    /// A number of seconds.
    pub const fn seconds(name: &'static str, min: u64, max: u64) -> Self {
        Self::new(name, Kind::Seconds { min, max })
    }

    /// Any text.
    pub const fn text(name: &'static str) -> Self {
        Self::new(name, Kind::Text)
    }

    /// The name of a file.
    pub const fn path(name: &'static str) -> Self {
        Self::new(name, Kind::Path)
    }

    /// One of `words`, which are in lower case.
    pub const fn word(name: &'static str, words: &'static [&'static str]) -> Self {
        Self::new(name, Kind::Word(words))
    }

    /// Some of `words`, which are in lower case, separated by commas.
    pub const fn words(name: &'static str, words: &'static [&'static str]) -> Self {
        Self::new(name, Kind::Words(words))
    }

    /// Any texts, separated by commas.
    pub const fn list(name: &'static str) -> Self {
        Self::new(name, Kind::List)
    }

    /// One character.
    pub const fn character(name: &'static str) -> Self {
        Self::new(name, Kind::Character)
    }

    const fn new(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            aliases: &[],
            scope: Scope::Both,
            kind,
            default: None,
            option: None,
            doc: "",
            counts: false,
            check: None,
        }
    }

    /// Other names for it.
    #[must_use]
    pub const fn alias(mut self, aliases: &'static [&'static str]) -> Self {
        self.aliases = aliases;
        self
    }

    /// Whom it can be set for, if not for both.
    #[must_use]
    pub const fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }

    /// The value where it is not set.
    #[must_use]
    pub const fn default(mut self, value: &'static str) -> Self {
        self.default = Some(value);
        self
    }

    /// The short option that sets it to the option's argument.
    #[must_use]
    pub const fn option(mut self, letter: char) -> Self {
        self.option = Some(Opt { letter, value: None });
        self
    }

    /// The short option that sets it to `value`.
    #[must_use]
    pub const fn switch(mut self, letter: char, value: &'static str) -> Self {
        self.option = Some(Opt { letter, value: Some(value) });
        self
    }

    /// One sentence for people.
    #[must_use]
    pub const fn doc(mut self, doc: &'static str) -> Self {
        self.doc = doc;
        self
    }

    /// Another value means that something else is counted.
    #[must_use]
    pub const fn counts(mut self) -> Self {
        self.counts = true;
        self
    }

    /// A value must pass this, too. The error says what was expected.
    #[must_use]
    pub const fn checked(mut self, check: Check) -> Self {
        self.check = Some(check);
        self
    }

    /// The name and the aliases.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + use<> {
        std::iter::once(self.name).chain(self.aliases.iter().copied())
    }

    /// Whether two rows are one and the same, declared or listed twice.
    pub(crate) fn same(&self, other: &Self) -> bool {
        let face =
            |key: &Self| (key.name, key.aliases, key.scope, key.kind, key.default, key.option, key.doc);
        face(self) == face(other)
    }

    /// Checks a value in its canonical form. On an error: what was expected.
    pub(crate) fn check(&self, text: &str) -> Result<(), String> {
        self.kind.parse(text).ok_or_else(|| self.kind.expected())?;
        self.check.map_or(Ok(()), |check| check(text))
    }
}
