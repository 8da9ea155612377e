//! The files in `data`: those in `same` mean the same in each of their forms, and the errors of those in
//! `errors` are known.

mod rows;

use std::fs;
use std::path::{Path, PathBuf};

use rpmacct_config::{Config, ConfigError, Source, Warning};

use rows::{dump, registry};

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
        let said: String = errors.iter().map(|error| format!("{error}\n")).collect();
        assert_eq!(said, expected, "{}:\n{said}", path.display());
    }
}
