//! What users read is true.

mod support;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use rpmacct_plugins::CATALOGUE;
use support::{ETHERNET, Launch, PcapFile, bin};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn every_example_configuration_is_valid() {
    let mut examples: Vec<PathBuf> =
        fs::read_dir(root().join("conf")).unwrap().map(|e| e.unwrap().path()).collect();
    examples.retain(|path| path.is_file()); // folders are for other programs
    examples.sort();
    assert!(examples.len() >= 5);
    for example in examples {
        let output = Command::new(bin("rpmacctd")).arg("check").arg("-f").arg(&example).output().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {stderr}", example.display());
        assert!(stderr.is_empty(), "{}: {stderr}", example.display());
    }
}

#[test]
fn the_story_in_the_readme_is_the_file() {
    let story = read("conf/story.conf");
    assert_eq!(story.lines().count(), 7);
    assert!(read("README.md").contains(&format!("```\n{story}```\n")));
}

/// `docs/configuration.md` ends with a table of all keys. `UPDATE_DOCS=1 cargo test --test docs` writes it anew.
#[test]
fn the_table_of_keys_is_that_of_the_program() {
    const MARK: &str = "<!-- The rest is written by tests/docs.rs -->\n";
    let path = root().join("docs/configuration.md");
    let text = read("docs/configuration.md");
    let (prose, table) = text.split_once(MARK).expect("the mark");
    let expected = keys();
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(path, format!("{prose}{MARK}{expected}")).unwrap();
    } else {
        assert!(table == expected, "docs/configuration.md is old; run: UPDATE_DOCS=1 cargo test --test docs");
    }
}

/// What is shipped for Grafana is what Grafana reads, and asks for the series that the plugin makes.
#[test]
fn the_dashboard_asks_for_what_there_is() {
    let text = read("conf/graphite/dashboard.json");
    let dashboard: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    let targets = panels.iter().flat_map(|panel| panel["targets"].as_array().expect("targets"));
    let targets: Vec<_> = targets.map(|target| target["target"].as_str().expect("a target")).collect();
    assert!(targets.len() >= 6);
    let is_ours = |target: &&str| target.contains("$prefix.") || target.contains("rpmacct.$host.");
    assert!(targets.iter().all(is_ours), "{targets:?}");
    let above = "maximumAbove(scale(mpls.*.*.bytes,8),1000000)";
    assert!(read("conf/graphite/urls.txt").contains(above) && read("docs/graphite.md").contains(above));
}

fn keys() -> String {
    let registry = rpmacct_daemon::registry(CATALOGUE);
    let mut text = String::from("\n| key | default | option | meaning |\n|---|---|---|---|\n");
    for key in registry.rows() {
        let aliases: String =
            key.aliases.iter().fold(String::new(), |all, alias| all + &format!(", `{alias}`"));
        let default = key.default.map(|value| format!("`{value}`")).unwrap_or_default();
        let option = key.option.as_ref().map(|option| format!("`-{}`", option.letter)).unwrap_or_default();
        let doc = key.doc.replace('|', "\\|");
        let _ = writeln!(text, "| `{}`{aliases} | {default} | {option} | {doc} |", key.name);
    }
    text
}

#[test]
fn files_that_documents_name_are_there() {
    for document in [
        "README.md",
        "docs/architecture.md",
        "docs/client.md",
        "docs/configuration.md",
        "docs/differences.md",
        "docs/graphite.md",
        "docs/performance.md",
        "docs/print.md",
    ] {
        let text = read(document);
        for name in text.split(['`', '(', ')']).filter(|word| !word.contains([' ', '*', '%', '{', '\n', '<']))
        {
            let is_ours =
                ["docs/", "conf/", "crates/", "plugins/", "tests/"].iter().any(|dir| name.starts_with(dir));
            assert!(!is_ours || root().join(name).exists(), "{document} names {name}");
        }
    }
}

/// The examples of `docs/print.md`, each with a capture of one packet and in a folder of its own.
#[test]
fn the_examples_of_print_run() {
    let text = read("docs/print.md");
    let examples: Vec<&str> = text.split("```conf\n").skip(1).filter_map(|t| t.split("```").next()).collect();
    assert!(examples.len() >= 7, "{}", examples.len());
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    frame.extend([
        0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 1, 1, 4, 0, 0, 53, 0, 8, 0, 0,
    ]);
    let capture = PcapFile::new(ETHERNET).frame(Duration::from_secs(1_700_000_000), &frame);
    for example in examples {
        let example = example.replace("/var/lib/flows", "{folder}/out").replace("/var/log", "{folder}/out");
        let conf = format!("{example}pcap_savefile: {{folder}}/in.pcap\n");
        let finished = Launch::conf(&conf).file("in.pcap", capture.bytes()).finish();
        assert!(finished.status.success(), "{example}\n{}", finished.stderr);
        assert!(!finished.stderr.contains("WARN"), "{example}\n{}", finished.stderr);
        let has_output = !finished.stdout.is_empty() || finished.folder.path().join("out").is_dir();
        assert!(has_output, "{example}");
    }
}
