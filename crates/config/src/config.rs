//! The typed configuration, as the core and each plugin see it.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use crate::error::{ConfigError, Origin, Warning, note_comment};
use crate::key::Key;
use crate::kind::{Value, split};
use crate::plugins::PluginEntry;
use crate::registry::Registry;
use crate::resolve::{self, Setting, Target};
use crate::source::Source;

/// A configuration without errors.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file it was read from.
    pub(crate) file: Option<PathBuf>,
    /// Invariant: not empty.
    pub(crate) plugins: Vec<PluginEntry>,
    /// In the order they were written. Invariant: each value is canonical and has been checked.
    pub(crate) settings: Vec<Setting>,
}

impl Config {
    /// Reads and checks a configuration. All errors are found, in the order of the lines.
    pub fn load(registry: &Registry, source: Source<'_>) -> Result<(Self, Vec<Warning>), Vec<ConfigError>> {
        resolve::load(registry, &source)
    }

    /// The plugins to start: at least one, each with a name of its own.
    pub fn plugins(&self) -> &[PluginEntry] {
        &self.plugins
    }

    /// The configuration as the core sees it: without what is set for single plugins.
    pub fn core(&self) -> View<'_> {
        View { config: self, plugin: None }
    }

    /// The configuration as a plugin sees it: what is set for it in brackets, and what is set for all; the
    /// later line wins.
    pub fn plugin<'a>(&'a self, name: &'a str) -> View<'a> {
        View { config: self, plugin: Some(name) }
    }

    /// A sentence for the log that says where the configuration comes from.
    pub fn read_from(&self) -> String {
        match &self.file {
            Some(path) => {
                let real = path.canonicalize().unwrap_or_else(|_| path.clone());
                format!("Reading configuration file '{}'.", real.display())
            }
            None => "Reading configuration from cmdline.".to_owned(),
        }
    }
}

/// A configuration as one reader sees it.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    config: &'a Config,
    /// The plugin's name; the core has none.
    plugin: Option<&'a str>,
}

impl<'a> View<'a> {
    /// Whether a flag is on. One without a default is off where it is not set.
    pub fn flag(&self, key: &Key) -> bool {
        matches!(self.value(key), Some(Value::Flag(true)))
    }

    /// A whole number.
    pub fn integer(&self, key: &Key) -> Option<i64> {
        match self.value(key)? {
            Value::Integer(number) => Some(number),
            _ => None,
        }
    }

    /// A number of bytes.
    pub fn size(&self, key: &Key) -> Option<u64> {
        match self.value(key)? {
            Value::Unsigned(number) => Some(number),
            _ => None,
        }
    }

    /// A number of seconds.
    pub fn seconds(&self, key: &Key) -> Option<u64> {
        self.size(key)
    }

    /// A text.
    pub fn text(&self, key: &Key) -> Option<&'a str> {
        match self.value(key)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The name of a file.
    pub fn path(&self, key: &Key) -> Option<&'a Path> {
        self.text(key).map(Path::new)
    }

    /// One of the key's words, in lower case.
    pub fn word(&self, key: &Key) -> Option<&'a str> {
        self.text(key)
    }

    /// The elements of a list, without blanks around them.
    pub fn list(&self, key: &Key) -> Vec<&'a str> {
        self.text(key).map(split).into_iter().flatten().collect()
    }

    /// One character.
    pub fn character(&self, key: &Key) -> Option<char> {
        match self.value(key)? {
            Value::Character(character) => Some(character),
            _ => None,
        }
    }

    /// Whether the user has set the key, even to its default.
    pub fn is_set(&self, key: &Key) -> bool {
        self.setting(key).is_some()
    }

    /// Where the value comes from.
    pub fn origin(&self, key: &Key) -> Origin {
        self.setting(key).map_or(Origin::Default, |setting| setting.origin.clone())
    }

    /// All that the user has set: the keys, in the order of their names, and their values.
    pub fn settings(&self) -> Vec<(&'static Key, &'a str)> {
        let config: &'a Config = self.config;
        let mut keys: Vec<_> = config.settings.iter().map(|setting| setting.key).collect();
        keys.sort_by_key(|key| key.name);
        keys.dedup_by_key(|key| key.name);
        keys.into_iter().filter_map(|key| Some((key, self.setting(key)?.value.as_deref()?))).collect()
    }

    /// An error about the key's value, in the form of all such errors: what was expected?
    pub fn error(&self, key: &Key, expected: impl Display) -> ConfigError {
        let Some(written) = self.written(key) else {
            let origin = match &self.config.file {
                Some(path) => Origin::File(path.as_path().into()),
                None => Origin::CommandLine,
            };
            let error = ConfigError::expected(&origin, &self.name(key), "", expected);
            return ConfigError { problem: Some("not set".to_owned()), ..error };
        };
        ConfigError::expected(&self.origin(key), &self.name(key), written, expected)
    }

    /// An error about a part of the key's value, `written`, with the nearest of the candidates.
    pub fn error_nearest<'c>(
        &self,
        key: &Key,
        written: &str,
        expected: impl Display,
        candidates: impl IntoIterator<Item = &'c str>,
    ) -> ConfigError {
        let error = ConfigError::expected(&self.origin(key), &self.name(key), written, expected);
        note_comment(error, self.written(key).unwrap_or_default()).or_nearest(candidates)
    }

    /// An error that says what is wrong with the key's value, where that needs a sentence of its own.
    pub fn problem(&self, key: &Key, problem: impl Display) -> ConfigError {
        let written = self.written(key).unwrap_or_default();
        ConfigError::problem(&self.origin(key), &self.name(key), written, problem)
    }

    /// The key as it was written, with its brackets.
    fn name(&self, key: &Key) -> String {
        self.setting(key).map_or_else(|| key.name.to_owned(), |setting| setting.written_key.clone())
    }

    fn value(&self, key: &Key) -> Option<Value<'a>> {
        key.kind.parse(self.written(key)?)
    }

    /// The value's text, of the user or by default.
    fn written(&self, key: &Key) -> Option<&'a str> {
        match self.setting(key) {
            Some(Setting { value: Some(value), .. }) => Some(value),
            _ => key.default,
        }
    }

    fn setting(&self, key: &Key) -> Option<&'a Setting> {
        let config: &'a Config = self.config;
        let last =
            config.settings.iter().rev().find(|it| it.key.name == key.name && self.sees(&it.target))?;
        last.value.is_some().then_some(last)
    }

    fn sees(&self, target: &Target) -> bool {
        match target {
            Target::All => true,
            Target::Core => self.plugin.is_none(),
            Target::Plugin(name) => self.plugin == Some(name),
        }
    }
}
