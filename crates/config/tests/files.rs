//! The files in `data`: those in `same` mean the same in each of their forms, and the errors of those in
//! `errors` are known.

mod rows;

use std::fs;
use std::path::{Path, PathBuf};

use rpmacct_config::{Config, ConfigError, Scope, Source, View, Warning};

use rows::registry;

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(folder);
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn load(path: &Path) -> Result<(Config, Vec<Warning>), Vec<ConfigError>> {
    let text = fs::read(path).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    Config::load(&registry(), Source::text(name, &text))
}

#[test]
fn all_forms_of_a_file_mean_the_same() {
    let files = files("same");
    for path in &files {
        let (config, warnings) = load(path).unwrap_or_else(|errors| panic!("{}: {errors:?}", path.display()));
        assert!(warnings.is_empty(), "{}: {warnings:?}", path.display());
        let (first, _) = load(&path.with_extension("conf")).unwrap();
        assert_eq!(dump(&config), dump(&first), "{}", path.display());
    }
    assert!(files.len() >= 9);
}

#[test]
fn each_error_is_found_and_said() {
    for path in files("errors").iter().filter(|path| path.extension().unwrap() != "txt") {
        let expected = fs::read_to_string(format!("{}.txt", path.display())).unwrap_or_default();
        let errors = load(path).expect_err(&path.display().to_string());
        let said: Vec<_> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(said, expected.lines().collect::<Vec<_>>(), "{}:\n{}", path.display(), said.join("\n"));
    }
}

/// The meaning of a configuration: its plugins, what the core reads, and what each plugin reads.
fn dump(config: &Config) -> Vec<String> {
    let plugins = config.plugins();
    let mut lines: Vec<_> = plugins.iter().map(|it| format!("plugin {}[{}]", it.kind, it.name)).collect();
    lines.extend(dump_view("core", config.core(), |scope| scope == Scope::Global));
    for plugin in plugins {
        lines.extend(dump_view(&plugin.name, config.plugin(&plugin.name), |scope| scope != Scope::Global));
    }
    lines
}

fn dump_view(name: &str, view: View<'_>, of: impl Fn(Scope) -> bool) -> Vec<String> {
    let settings = view.settings().into_iter().filter(|(key, _)| of(key.scope) && key.name != "plugins");
    settings.map(|(key, value)| format!("{name}: {}: {}", key.name, value.replace(", ", ","))).collect()
}
