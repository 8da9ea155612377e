//! From what is written to what is meant.

use crate::Origin;
use crate::config::Config;
use crate::error::{ConfigError, Report, Warning};
use crate::key::{Key, Scope};
use crate::nearest::nearest;
use crate::peer::{self, Effect};
use crate::plugins::{PLUGINS, Plugins};
use crate::registry::Registry;
use crate::source::Source;
use crate::statement::Statement;

/// A key that was set.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    pub(crate) key: &'static Key,
    /// The key as it was written, with its brackets.
    pub(crate) written_key: String,
    pub(crate) target: Target,
    /// Canonical and checked. `None`: an empty value, which unsets what was set before.
    pub(crate) value: Option<String>,
    pub(crate) origin: Origin,
}

/// Whom a key was set for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    All,
    Core,
    Plugin(String),
}

/// The key that gives the core its name; brackets with that name mean the core.
const CORE_NAME: &str = "core_proc_name";

pub(crate) fn load(
    registry: &Registry,
    source: &Source<'_>,
) -> Result<(Config, Vec<Warning>), Vec<ConfigError>> {
    let mut report = Report::default();
    let statements = source.read(registry, &mut report);
    let is = |statement: &Statement, name| registry.key(&statement.key).is_some_and(|key| key.name == name);
    let plugins = Plugins::new(statements.iter().filter(|it| is(it, PLUGINS.name)), &mut report);
    let core_name = statements.iter().rev().find(|it| is(it, CORE_NAME)).map(|it| it.value.as_str());
    let mut resolver = Resolver {
        registry,
        core_name: core_name.unwrap_or("default"),
        plugins: &plugins,
        report,
        without_effect: Vec::new(),
    };
    let settings = statements.iter().filter_map(|statement| resolver.setting(statement)).collect();
    resolver.warn_of_keys_without_effect();
    let Report { mut errors, warnings } = resolver.report;
    if errors.is_empty() {
        let file = source.path().map(Into::into);
        return Ok((Config { file, plugins: plugins.entries, settings }, warnings));
    }
    errors.sort_by_key(|error| error.origin.position());
    Err(errors)
}

struct Resolver<'a> {
    registry: &'a Registry,
    core_name: &'a str,
    plugins: &'a Plugins,
    report: Report,
    /// The peer's keys that make no difference here, with their lines.
    without_effect: Vec<String>,
}

impl Resolver<'_> {
    /// The setting that a statement means, if any.
    fn setting(&mut self, statement: &Statement) -> Option<Setting> {
        let Some(key) = self.registry.key(&statement.key) else {
            self.not_ours(statement);
            return None;
        };
        let target = self.target(key, statement)?;
        match checked_value(key, statement) {
            Ok(value) => {
                let (written_key, origin) = (statement.written_key(), statement.origin.clone());
                Some(Setting { key, written_key, target, value, origin })
            }
            Err(error) => {
                self.report.error(error);
                None
            }
        }
    }

    fn target(&mut self, key: &Key, statement: &Statement) -> Option<Target> {
        match (&statement.symbol, key.scope) {
            (None, Scope::PluginOnly) => {
                let name = self.plugins.entries.first().map_or("name", |entry| &entry.name);
                let expected = format!("the name of a plugin in brackets: {}[{name}]", statement.key);
                let problem = Some("cannot be global".to_owned());
                let error = wrong(statement, expected);
                self.report.error(ConfigError { problem, ..error });
                None
            }
            (None, _) => Some(Target::All),
            (Some(_), Scope::Global) => {
                let key = &statement.key;
                let message = format!("plugin name not supported for key '{key}'. Globalized.");
                self.report.warn(&statement.origin, message);
                Some(Target::All)
            }
            (Some(symbol), _) => self.symbol(symbol, statement),
        }
    }

    fn symbol(&mut self, symbol: &str, statement: &Statement) -> Option<Target> {
        if self.plugins.has(symbol) {
            return Some(Target::Plugin(symbol.to_owned()));
        }
        if symbol == self.core_name {
            return Some(Target::Core);
        }
        if self.plugins.was_replaced(symbol) {
            self.report.warn(&statement.origin, format!("Unknown symbol '{symbol}'. Ignored."));
            return None;
        }
        let problem = format!("no plugin is called {symbol}");
        let error =
            ConfigError::problem(&statement.origin, &statement.written_key(), &statement.value, problem);
        let nearest = self.plugins.meant_by(symbol).map(str::to_owned);
        self.report.error(ConfigError { nearest, ..error });
        None
    }

    /// A key without a row: one of the peer's, or of nobody's.
    fn not_ours(&mut self, statement: &Statement) {
        match peer::find(&statement.key) {
            Some(row) if row.effect == Effect::Silent || row.is_default(&statement.value) => {}
            Some(row) if row.effect == Effect::Tunes => {
                self.without_effect.push(format!("{} ({})", statement.written_key(), statement.origin));
            }
            Some(_) => {
                let shown = if statement.key.ends_with("passwd") { "" } else { &statement.value };
                let problem = "not implemented by rpmacct yet";
                let key = statement.written_key();
                self.report.error(ConfigError::problem(&statement.origin, &key, shown, problem));
            }
            None => self.unknown(statement),
        }
    }

    fn unknown(&mut self, statement: &Statement) {
        let key = &statement.key;
        let Some(meant) = nearest(key, self.registry.names().chain(peer::names())) else {
            self.report.warn(&statement.origin, format!("Unknown key: {key}. Ignored."));
            return;
        };
        let error = ConfigError::problem(
            &statement.origin,
            &statement.written_key(),
            &statement.value,
            "unknown key",
        );
        self.report.error(ConfigError { nearest: Some(meant.to_owned()), ..error });
    }

    fn warn_of_keys_without_effect(&mut self) {
        if !self.without_effect.is_empty() {
            let message = format!("Keys without effect in rpmacct: {}.", self.without_effect.join(", "));
            self.report.warn(&Origin::Default, message);
        }
    }
}

fn wrong(statement: &Statement, expected: String) -> ConfigError {
    ConfigError::expected(&statement.origin, &statement.written_key(), &statement.value, expected)
}

/// The value in its canonical form; `None` if it is empty.
fn checked_value(key: &Key, statement: &Statement) -> Result<Option<String>, ConfigError> {
    if statement.value.is_empty() && key.kind.may_be_empty() {
        return Ok(None);
    }
    let value = key.kind.canonical(&statement.value);
    let words = key.kind.words().iter().copied();
    key.check(&value).map_err(|expected| wrong(statement, expected).or_nearest(words))?;
    Ok(Some(value.into_owned()))
}
