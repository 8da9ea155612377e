//! The examples in `docs/client.md` do what is written there.

mod support;

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use support::{bin, conversations};

/// The examples name no socket.
const PROLOGUE: &str = "rpmacct() { command rpmacct -p \"$SOCKET\" \"$@\"; }\n";

#[test]
fn examples_are_true() {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/client.md")).unwrap();
    let daemon = conversations();
    for name in ["rpmacct", "pmacct"] {
        symlink(bin("rpmacct"), daemon.path(name)).unwrap();
    }
    let path = format!("{}:{}", daemon.path("").display(), std::env::var("PATH").unwrap());
    let mut examples = 0;
    let blocks = text.split("```console\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    for example in blocks.flat_map(|block| block.trim_start_matches("$ ").split("\n$ ")) {
        let (command, expected) = example.split_once('\n').unwrap_or((example, ""));
        let output = Command::new("/bin/sh")
            .args(["-c", &format!("{PROLOGUE}{{ {command}\n}} 2>&1")])
            .env("PATH", &path)
            .env("SOCKET", daemon.path("sock"))
            .current_dir(daemon.path(""))
            .output()
            .unwrap();
        let printed = String::from_utf8(output.stdout).unwrap();
        assert!(is_like(printed.trim_end(), expected.trim_end()), "{command}\n{printed}");
        examples += 1;
    }
    assert!(examples >= 15, "{examples} examples");
}

/// Whether a text is as written, where `…` stands for anything within a line.
fn is_like(text: &str, written: &str) -> bool {
    let line = |(text, written): (&str, &str)| {
        let mut rest = Some(text);
        for (number, part) in written.split('…').enumerate() {
            rest = rest.and_then(|rest| match number {
                0 => rest.strip_prefix(part),
                _ if part.is_empty() => Some(""),
                _ => rest.split_once(part).map(|(_, after)| after),
            });
        }
        rest == Some("")
    };
    text.lines().count() == written.lines().count() && text.lines().zip(written.lines()).all(line)
}
