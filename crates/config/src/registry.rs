//! The rows of the daemon, the core and the plugins, together.

use std::collections::HashMap;

use crate::key::Key;
use crate::plugins::PLUGINS;

/// All keys that there are.
#[derive(Debug, Clone)]
pub struct Registry {
    rows: Vec<&'static Key>,
    /// Each name and alias, and its row.
    by_name: HashMap<&'static str, &'static Key>,
}

impl Registry {
    /// The rows, and the one for `plugins`, which is ours. A row that several plugins share may be given
    /// several times.
    ///
    /// # Panics
    ///
    /// If two rows have a name or an option in common, if an option is one of [`crate::RESERVED`], or if a
    /// default is not a value of its kind. All are mistakes in the program; one test that makes the registry
    /// finds them.
    pub fn new(rows: impl IntoIterator<Item = &'static Key>) -> Self {
        let mut registry = Self { rows: Vec::new(), by_name: HashMap::new() };
        for row in std::iter::once(&PLUGINS).chain(rows) {
            registry.add(row);
        }
        registry
    }

    fn add(&mut self, row: &'static Key) {
        if self.key(row.name).is_some_and(|other| other.same(row)) {
            return;
        }
        for name in row.names() {
            let other = self.by_name.insert(name, row);
            assert!(other.is_none(), "two configuration keys are called {name}");
            let clean = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
            assert!(clean, "the configuration key {name} is not made of a-z, 0-9 and _");
        }
        if let Some(option) = row.option {
            let letter = option.letter;
            assert!(!crate::RESERVED.contains(&letter), "the option -{letter} of {} is reserved", row.name);
            assert!(self.by_letter(letter).is_none(), "two configuration keys have the option -{letter}");
        }
        for text in row.default.into_iter().chain(row.option.and_then(|option| option.value)) {
            assert!(row.check(text).is_ok(), "{text} is not a value of {}", row.name);
        }
        self.rows.push(row);
    }

    /// The rows, in the order they were given.
    pub fn rows(&self) -> &[&'static Key] {
        &self.rows
    }

    /// The row with this name or alias.
    pub fn key(&self, name: &str) -> Option<&'static Key> {
        self.by_name.get(name).copied()
    }

    /// The row with this short option.
    pub(crate) fn by_letter(&self, letter: char) -> Option<&'static Key> {
        self.rows.iter().copied().find(|row| row.option.is_some_and(|option| option.letter == letter))
    }

    /// All names and aliases, in the order of the rows.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.rows.iter().flat_map(|row| row.names())
    }
}

#[cfg(test)]
mod tests {
    use super::Registry;
    use crate::Key;

    const A: Key = Key::flag("a").alias(&["old_a"]).switch('a', "true");
    const ONE: Key = Key::path("one").alias(&["uno"]).option('o');

    #[test]
    fn rows_are_found_by_name_alias_and_letter() {
        let registry = Registry::new([&ONE, &ONE]);
        assert_eq!(registry.rows().len(), 2); // and `plugins`
        for name in ["one", "uno"] {
            assert_eq!(registry.key(name).unwrap().name, "one");
        }
        assert_eq!(registry.by_letter('o').unwrap().name, "one");
        assert!(registry.key("two").is_none());
        assert!(registry.key("plugins").is_some());
    }

    #[test]
    #[should_panic(expected = "two configuration keys are called one")]
    fn names_are_unique() {
        const OTHER: Key = Key::text("one");
        Registry::new([&ONE, &OTHER]);
    }

    #[test]
    #[should_panic(expected = "two configuration keys are called uno")]
    fn aliases_are_unique() {
        const OTHER: Key = Key::text("other").alias(&["uno"]);
        Registry::new([&ONE, &OTHER]);
    }

    #[test]
    #[should_panic(expected = "two configuration keys have the option -o")]
    fn options_are_unique() {
        const OTHER: Key = Key::text("other").option('o');
        Registry::new([&ONE, &OTHER]);
    }

    #[test]
    #[should_panic(expected = "the option -a of a is reserved")]
    fn some_options_are_reserved() {
        Registry::new([&A]);
    }

    #[test]
    #[should_panic(expected = "ten is not a value of number")]
    fn defaults_are_checked() {
        const NUMBER: Key = Key::integer("number", 0, 10).default("ten");
        Registry::new([&NUMBER]);
    }
}
