//! The YAML form: the same statements out of a mapping.
//!
//! The order of a mapping has no meaning, so what is set for one plugin comes after what is set for all.

mod node;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::error::{ConfigError, Origin, Report};
use crate::key::Key;
use crate::plugins::{PLUGINS, read_entry};
use crate::registry::Registry;
use crate::statement::Statement;
use node::{Entry, Node};

/// Reads all keys; what is wrong with one goes into the report.
pub(crate) fn read(
    path: &Arc<Path>,
    bytes: &[u8],
    registry: &Registry,
    report: &mut Report,
) -> Vec<Statement> {
    let mut reading = Reading { path, registry, report, seen: HashMap::new(), statements: Vec::new() };
    match node::parse(bytes) {
        Ok(entries) => reading.mapping(&entries, None),
        Err(node::BadYaml { line, problem }) => {
            let error = ConfigError::problem(&reading.origin(line), "", "", problem);
            reading.report.error(error);
        }
    }
    reading.statements.sort_by_key(|statement| statement.symbol.is_some());
    reading.statements
}

struct Reading<'a> {
    path: &'a Arc<Path>,
    registry: &'a Registry,
    report: &'a mut Report,
    /// The keys, by their proper names and with their plugins, and their lines.
    seen: HashMap<(String, Option<String>), usize>,
    statements: Vec<Statement>,
}

impl Reading<'_> {
    /// The keys of the file, or those of the mapping of one plugin.
    fn mapping(&mut self, entries: &[Entry], plugin: Option<&str>) {
        for entry in entries {
            let origin = self.origin(entry.line);
            let statement = match Statement::new(origin.clone(), &entry.key, "") {
                Ok(statement) => statement,
                Err(bad) => {
                    self.report.error(ConfigError::problem(&origin, "", &entry.key, bad));
                    continue;
                }
            };
            let statement = match (plugin, &statement.symbol) {
                (None, _) => statement,
                (Some(plugin), None) => Statement { symbol: Some(plugin.to_owned()), ..statement },
                (Some(_), Some(_)) => {
                    let problem = "brackets in what is already the mapping of a plugin";
                    self.report.error(ConfigError::problem(&origin, "", &entry.key, problem));
                    continue;
                }
            };
            self.entry(statement, entry);
        }
    }

    fn entry(&mut self, statement: Statement, entry: &Entry) {
        let row = self.registry.key(&statement.key);
        let name = row.map_or(statement.key.as_str(), |row| row.name).to_owned();
        if let Some(line) = self.seen.insert((name.clone(), statement.symbol.clone()), entry.line) {
            let problem = format!("the key is there twice; first in line {line}");
            self.report.error(ConfigError::problem(&statement.origin, &statement.written_key(), "", problem));
        } else if name == PLUGINS.name && statement.symbol.is_none() {
            self.plugins(statement, &entry.value);
        } else {
            self.value(row, statement, &entry.value);
        }
    }

    /// A key that is not `plugins`.
    fn value(&mut self, row: Option<&Key>, statement: Statement, node: &Node) {
        let value = match node {
            Node::Scalar(text) => Some(text.trim_ascii().to_owned()),
            Node::List(items) if row.is_none_or(|row| row.kind.is_list()) => join(items),
            Node::List(_) | Node::Mapping(_) => None,
        };
        if let Some(value) = value {
            self.statements.push(Statement { value, ..statement });
            return;
        }
        let one = row.is_some_and(|row| !row.kind.is_list());
        let expected = if one { "one value" } else { "one value, or a list of values" };
        let key = statement.written_key();
        self.report.error(ConfigError::expected(&statement.origin, &key, "", expected));
    }

    /// `plugins`: a text as in pmacctd.conf, a list of such texts, or a mapping from them to the keys of
    /// this plugin.
    fn plugins(&mut self, statement: Statement, node: &Node) {
        let entries: Vec<(&str, usize, &[Entry])> = match node {
            Node::Scalar(text) => {
                self.statements.push(Statement { value: text.trim_ascii().to_owned(), ..statement });
                return;
            }
            Node::List(items) => {
                items.iter().filter_map(|item| Some((item.text()?, item.line, &[][..]))).collect()
            }
            Node::Mapping(entries) => entries
                .iter()
                .filter_map(|it| Some((it.key.as_str(), it.line, it.value.entries()?)))
                .collect(),
        };
        if node.len() != entries.len() {
            let expected = "a list of plugins, or a mapping from plugins to their keys";
            self.report.error(ConfigError::expected(&statement.origin, PLUGINS.name, "", expected));
        }
        for (index, (text, line, keys)) in entries.into_iter().enumerate() {
            self.plugin(text, line, keys, index > 0);
        }
    }

    fn plugin(&mut self, text: &str, line: usize, keys: &[Entry], continues: bool) {
        let origin = self.origin(line);
        if let Ok(entry) = read_entry(text, &origin) {
            self.mapping(keys, Some(&entry.name));
        }
        // What is wrong with the entry is found when the list is read.
        let key = PLUGINS.name.to_owned();
        self.statements.push(Statement { origin, key, symbol: None, value: text.to_owned(), continues });
    }

    fn origin(&self, line: usize) -> Origin {
        if line == 0 {
            return Origin::File(self.path.clone());
        }
        Origin::Line { path: self.path.clone(), line }
    }
}

fn join(items: &[node::Item]) -> Option<String> {
    let texts: Option<Vec<_>> = items.iter().map(node::Item::text).collect();
    Some(texts?.join(","))
}
