//! Which plugins there shall be.

use std::collections::HashSet;

use crate::error::{ConfigError, Origin, Report};
use crate::key::{Key, Scope};
use crate::kind::split;
use crate::statement::{Statement, split_key};

/// The list of plugins.
pub const PLUGINS: Key = Key::list("plugins")
    .scope(Scope::Global)
    .default("memory")
    .option('P')
    .counts()
    .doc("Plugins to start, separated by commas: type, or type[name]");

/// A plugin that shall be started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PluginEntry {
    /// The type, in lower case, such as `memory`. Whether there is such a type is for the daemon to say.
    pub kind: String,
    /// The name: what stands in the brackets, or `default_<type>`.
    pub name: String,
    /// Where it is named.
    pub origin: Origin,
}

impl PluginEntry {
    fn unnamed(kind: &str, origin: Origin) -> Self {
        Self { kind: kind.to_owned(), name: default_name(kind), origin }
    }

    /// Says that there is no such type of plugin: what was expected, and what types there are.
    pub fn error<'a>(
        &self,
        expected: impl std::fmt::Display,
        candidates: impl IntoIterator<Item = &'a str>,
    ) -> ConfigError {
        ConfigError::expected(&self.origin, PLUGINS.name, &self.kind, expected).or_nearest(candidates)
    }
}

fn default_name(kind: &str) -> String {
    format!("default_{kind}")
}

/// The plugins to start, and all names that brackets may have for a reason.
pub(crate) struct Plugins {
    pub(crate) entries: Vec<PluginEntry>,
    /// Names in a list that another list has replaced: not started, but not a slip either.
    replaced: HashSet<String>,
}

impl Plugins {
    /// Reads the `plugins` lines. The command line's replaces the file's; in a file the first line counts,
    /// as in the peer.
    pub(crate) fn new<'a>(lines: impl Iterator<Item = &'a Statement>, report: &mut Report) -> Self {
        let mut plugins = Self { entries: Vec::new(), replaced: HashSet::new() };
        let mut chosen: Option<Vec<_>> = None;
        for line in lines {
            if let (Some(entries), true) = (&mut chosen, line.continues) {
                read_list(line, entries, report);
                continue;
            }
            if chosen.is_some() && line.origin != Origin::CommandLine {
                report.warn(&line.origin, "Unable to handle key: plugins. Ignored.");
                continue;
            }
            let mut entries = Vec::new();
            read_list(line, &mut entries, report);
            let before = chosen.replace(entries).unwrap_or_default();
            plugins.replaced.extend(before.into_iter().map(|entry| entry.name));
        }
        plugins.entries = chosen.unwrap_or_default();
        if plugins.entries.is_empty() {
            plugins.entries.push(PluginEntry::unnamed("memory", Origin::Default));
        }
        plugins
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.entries.iter().any(|entry| entry.name == name)
    }

    /// Whether a plugin of this name stood in a list that another list has replaced.
    pub(crate) fn was_replaced(&self, name: &str) -> bool {
        self.replaced.contains(name)
    }

    /// The plugin that was probably meant by a name that none has.
    pub(crate) fn meant_by(&self, name: &str) -> Option<&str> {
        self.by_kind(name).or_else(|| {
            // print1 and print2 are two names, not a slip.
            let letters = |name: &str| name.replace(|c: char| c.is_ascii_digit(), "");
            let same_case = |other: &&str| other.eq_ignore_ascii_case(name);
            let names = || self.entries.iter().map(|entry| entry.name.as_str());
            names()
                .find(same_case)
                .or_else(|| crate::nearest(name, names().filter(|other| letters(other) != letters(name))))
        })
    }

    /// `print` or `default_print` where there is one plugin of the type, with another name.
    fn by_kind(&self, name: &str) -> Option<&str> {
        let kind = name.strip_prefix("default_").unwrap_or(name);
        let mut of_kind = self.entries.iter().filter(|entry| entry.kind == kind);
        let entry = of_kind.next()?;
        of_kind.next().is_none().then_some(entry.name.as_str())
    }
}

/// Reads `memory[m], print`, to be appended to a list.
fn read_list(line: &Statement, entries: &mut Vec<PluginEntry>, report: &mut Report) {
    for text in split(&line.value) {
        let entry = match read_entry(text, &line.origin) {
            Ok(entry) => entry,
            Err(error) => {
                report.error(error);
                continue;
            }
        };
        match entries.iter().find(|other| other.name == entry.name) {
            None => entries.push(entry),
            Some(other) if other.kind == entry.kind => {
                let message = format!("plugin name '{}' is there twice. First one preserved.", entry.name);
                report.warn(&line.origin, message);
            }
            Some(other) => {
                let expected = format!("another name: the {} plugin has this one", other.kind);
                report.error(ConfigError::expected(&line.origin, PLUGINS.name, text, expected));
            }
        }
    }
}

/// Reads `memory` or `memory[m]`.
pub(crate) fn read_entry(text: &str, origin: &Origin) -> Result<PluginEntry, ConfigError> {
    let (_, name) = split_key(text).map_err(|bad| ConfigError::problem(origin, PLUGINS.name, text, bad))?;
    let kind = text.split('[').next().unwrap_or_default().trim_ascii().to_lowercase();
    if kind.is_empty() || !kind.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
        let expected = "a type of plugin, with or without a name: memory, or print[out]";
        return Err(ConfigError::expected(origin, PLUGINS.name, text, expected));
    }
    let name = name.unwrap_or_else(|| default_name(&kind));
    Ok(PluginEntry { kind, name, origin: origin.clone() })
}

#[cfg(test)]
mod tests {
    use super::Plugins;
    use crate::error::{Origin, Report};
    use crate::statement::Statement;

    fn line(origin: Origin, value: &str) -> Statement {
        Statement::new(origin, "plugins", value).unwrap()
    }

    fn file(value: &str) -> Statement {
        line(Origin::Line { path: std::path::Path::new("a").into(), line: 1 }, value)
    }

    fn read(lines: &[Statement]) -> (String, Report) {
        let mut report = Report::default();
        let plugins = Plugins::new(lines.iter(), &mut report);
        let shown = plugins.entries.iter().map(|entry| format!("{}[{}]", entry.kind, entry.name));
        (shown.collect::<Vec<_>>().join(" "), report)
    }

    #[test]
    fn each_has_its_own_name() {
        for (text, plugins) in [
            ("", "memory[default_memory]"),
            ("memory[m], print[a], print[b]", "memory[m] print[a] print[b]"),
            ("PRINT[Foo]", "print[Foo]"),
            ("print, memory[b]", "print[default_print] memory[b]"), // the peer renames the second
            ("print[ a b ],memory,", "print[a b] memory[default_memory]"),
        ] {
            let (shown, report) = read(&[file(text)]);
            assert_eq!(shown, plugins, "{text}");
            assert!(report.errors.is_empty() && report.warnings.is_empty(), "{text}");
        }
        assert_eq!(read(&[]).0, "memory[default_memory]");
    }

    #[test]
    fn the_command_line_wins_but_in_a_file_the_first_line() {
        let (shown, report) = read(&[file("print"), file("memory")]);
        assert_eq!((shown.as_str(), report.warnings.len()), ("print[default_print]", 1));
        let (shown, report) = read(&[file("print"), line(Origin::CommandLine, "memory[x]")]);
        assert_eq!((shown.as_str(), report.warnings.len()), ("memory[x]", 0));
    }

    #[test]
    fn a_name_has_one_plugin() {
        let (shown, report) = read(&[file("print, print")]);
        assert_eq!((shown.as_str(), report.warnings.len()), ("print[default_print]", 1));
        let (_, report) = read(&[file("print[x], memory[x]")]);
        let text = "a:1: plugins: memory[x]: expected another name: the print plugin has this one";
        assert_eq!(report.errors[0].to_string(), text);
    }

    #[test]
    fn bad_entries_are_errors() {
        for text in ["print ! x", "print[a", "[a]", "print[]", "print[a][b]", "a b"] {
            assert_eq!(read(&[file(text)]).1.errors.len(), 1, "{text}");
        }
        let error = &read(&[file("print ! x")]).1.errors[0];
        assert!(error.to_string().contains("a comment must stand on a line of its own"), "{error}");
    }

    #[test]
    fn slips_in_names_are_noticed() {
        let lines =
            [file("print[old]"), line(Origin::CommandLine, "memory[Table], print[out1], print[flows]")];
        let plugins = Plugins::new(lines.iter(), &mut Report::default());
        for (name, meant) in [
            ("table", Some("Table")),
            ("memory", Some("Table")),
            ("default_memory", Some("Table")),
            ("flow", Some("flows")),
            ("print", None), // there are two
            ("out2", None),
            ("old", None),
            ("zzz", None),
        ] {
            assert_eq!(plugins.meant_by(name), meant, "{name}");
        }
    }
}
