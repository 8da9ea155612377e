//! What is printed and written: the goals with what was reached, then each experiment's own table.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;

use crate::shell;

/// One row of the table of goals.
#[derive(Debug)]
pub(crate) struct Goal {
    pub(crate) what: &'static str,
    pub(crate) at_least: &'static str,
    pub(crate) aim: &'static str,
    pub(crate) reached: String,
}

/// What one experiment found.
#[derive(Debug, Default)]
pub(crate) struct Section {
    pub(crate) title: &'static str,
    pub(crate) goals: Vec<Goal>,
    /// Prose and tables, in Markdown.
    pub(crate) text: String,
    /// A picture to be written beside the report.
    pub(crate) picture: Option<Picture>,
}

#[derive(Debug)]
pub(crate) struct Picture {
    pub(crate) name: &'static str,
    pub(crate) svg: String,
}

impl Section {
    pub(crate) fn new(title: &'static str) -> Section {
        Section { title, ..Section::default() }
    }

    pub(crate) fn goal(
        &mut self,
        what: &'static str,
        at_least: &'static str,
        aim: &'static str,
        reached: String,
    ) {
        self.goals.push(Goal { what, at_least, aim, reached });
    }

    /// A line of prose, or a paragraph.
    pub(crate) fn say(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// A row of a table; the first one is its heading.
    pub(crate) fn row<S: AsRef<str>>(&mut self, cells: &[S]) {
        let is_first = !self.text.ends_with("|\n");
        if is_first && !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
        let cells: Vec<&str> = cells.iter().map(AsRef::as_ref).collect();
        let _ = writeln!(self.text, "| {} |", cells.join(" | "));
        if is_first {
            let _ = writeln!(self.text, "|{}", "---|".repeat(cells.len()));
        }
    }
}

/// The document.
pub(crate) fn document(sections: &[Section], machine: &str) -> String {
    let mut out = String::from(
        "# Performance\n\n\
         Written by `cargo xtask bench`, as root; nothing in it is by hand. It measures the release build against the\n\
         real pmacctd on the same machine, in turns, and prints medians, with the range in brackets. A figure that was not\n\
         reached stays as it is. CPU is user and system time of all of a program's processes, those that have ended\n\
         included (a control group for each run). Machines differ and this one is shared: trust factors rather than\n\
         second digits.\n\n",
    );
    out.push_str(machine);
    out.push_str(
        "\n```sh\ncargo xtask bench           # all of this, as root\ncargo xtask bench --quick   # smaller, prints only\n\
         cargo bench                 # micro-benchmarks: decode, key, pipe, table, format\n```\n",
    );
    out.push_str("\n## Goals\n\n");
    out.push_str(&goals(sections));
    out.extend(sections.iter().map(section));
    out
}

/// The table of goals.
pub(crate) fn goals(sections: &[Section]) -> String {
    let mut out = String::from("| | at least | aim | reached |\n|---|---|---|---|\n");
    for Goal { what, at_least, aim, reached } in sections.iter().flat_map(|section| &section.goals) {
        let _ = writeln!(out, "| {what} | {at_least} | {aim} | {reached} |");
    }
    out
}

/// One experiment's part of the document.
pub(crate) fn section(section: &Section) -> String {
    format!("\n## {}\n\n{}", section.title, section.text)
}

/// Machine, kernel and versions.
pub(crate) fn machine() -> String {
    let file = |name: &str| fs::read_to_string(name).unwrap_or_default();
    let after = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        line.unwrap_or("?").trim_start_matches([':', '\t', ' ', '=']).trim_matches('"').to_owned()
    };
    let cpus = file("/proc/cpuinfo");
    let memory = after(&file("/proc/meminfo"), "MemTotal");
    let memory: u64 = memory.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(0);
    let cores = cpus.lines().filter(|line| line.starts_with("processor")).count();
    let said = |program: &str, argument: &str, word: &str| {
        let program = shell::find_program(program)?;
        let output = Command::new(program).arg(argument).output().ok()?;
        let text = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        text.lines().find(|line| line.contains(word)).map(|line| line.trim().to_owned())
    };
    let mut out = String::from("| | |\n|---|---|\n");
    let mut row = |name: &str, value: Option<String>| {
        let _ = writeln!(out, "| {name} | {} |", value.unwrap_or_else(|| "not here".to_owned()));
    };
    row("processor", Some(format!("{cores} x {}", after(&cpus, "model name"))));
    row("memory", Some(format!("{} MiB", memory / 1024)));
    row("kernel", Some(format!("Linux {}", file("/proc/sys/kernel/osrelease").trim())));
    row("system", Some(after(&file("/etc/os-release"), "PRETTY_NAME")));
    row("rustc", said("rustc", "--version", "rustc"));
    row("pmacctd", said("pmacctd", "-V", "pmacctd"));
    row("softflowd", said("softflowd", "-h", "version"));
    row("nfdump", said("nfdump", "-V", "Version"));
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_have_one_heading_each() {
        let mut section = Section::new("Numbers");
        section.say("Prose.");
        section.row(&["a", "b"]);
        section.row(&["1", "2"]);
        assert_eq!(section.text, "Prose.\n\n| a | b |\n|---|---|\n| 1 | 2 |\n");
    }

    #[test]
    fn goals_come_first() {
        let mut section = Section::new("Numbers");
        section.goal("speed", "25 x", "60 x", "26 x".to_owned());
        section.say("Prose.");
        let text = document(&[section], "");
        assert!(text.contains("| speed | 25 x | 60 x | 26 x |\n\n## Numbers\n\nProse.\n"), "{text}");
    }
}
