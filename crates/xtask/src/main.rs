//! Set-up, demo, test and benchmark commands for people and CI: `cargo xtask help` lists them.
//!
//! It builds without libpcap, because `setup` is what installs libpcap. Each command has its own file, which
//! declares its [`Task`]; the list below is all that dispatch and help know.

mod bench;
mod capture_file;
mod demo;
mod fuzz;
mod interface;
mod needs;
mod setup;
mod shell;
mod test;
mod threads;

use std::env;
use std::process::ExitCode;

const TASKS: &[Task] = &[setup::TASK, demo::TASK, test::TASK, fuzz::TASK, bench::TASK];

/// A command of `cargo xtask`.
struct Task {
    name: &'static str,
    arguments: &'static str,
    summary: &'static str,
    /// The text of `--help` below the usage line.
    help: &'static str,
    run: fn(&[String]) -> Result<(), Failure>,
}

/// Why a command ended without doing what it is for.
#[derive(Debug)]
enum Failure {
    /// The command line makes no sense; exit code 2.
    Usage(String),
    /// The work failed; exit code 1.
    Failed(String),
}

impl From<String> for Failure {
    fn from(sentence: String) -> Failure {
        Failure::Failed(sentence)
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed(sentence)) => {
            eprintln!("xtask: {sentence}");
            ExitCode::from(1)
        }
        Err(Failure::Usage(sentence)) => {
            eprintln!("xtask: {sentence}\nTry `cargo xtask help`.");
            ExitCode::from(2)
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<(), Failure> {
    let Some((name, rest)) = arguments.split_first() else {
        print!("{}", overview());
        return Ok(());
    };
    if ["help", "--help", "-h"].contains(&name.as_str()) {
        match rest.first() {
            Some(name) => print!("{}", manual(task(name)?)),
            None => print!("{}", overview()),
        }
        return Ok(());
    }
    let task = task(name)?;
    // What follows a lone `--` is for somebody else's command line.
    if rest.iter().take_while(|argument| *argument != "--").any(|argument| is_help(argument)) {
        print!("{}", manual(task));
        return Ok(());
    }
    (task.run)(rest)
}

fn task(name: &str) -> Result<&'static Task, Failure> {
    TASKS
        .iter()
        .find(|task| task.name == name)
        .ok_or_else(|| Failure::Usage(format!("there is no command `{name}`")))
}

fn is_help(argument: &str) -> bool {
    argument == "--help" || argument == "-h"
}

fn overview() -> String {
    let mut text = String::from("Usage: cargo xtask COMMAND\n\n");
    let help = ("help", "[COMMAND]", "Shows this list, or what a command does");
    let tasks = TASKS.iter().map(|task| (task.name, task.arguments, task.summary));
    for (name, arguments, summary) in tasks.chain([help]) {
        text.extend(["  ", &format!("{:<26}", format!("{name} {arguments}")), summary, "\n"]);
    }
    text
}

fn manual(task: &Task) -> String {
    let Task { name, arguments, summary, help, .. } = task;
    let usage = format!("cargo xtask {name} {arguments}");
    format!("{summary}.\n\nUsage: {}\n\n{help}", usage.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_task_is_named_once_and_explained() {
        for (index, task) in TASKS.iter().enumerate() {
            assert!(TASKS[..index].iter().all(|earlier| earlier.name != task.name), "{} twice", task.name);
            assert!(!task.summary.is_empty() && !task.summary.ends_with('.'), "{}", task.name);
            assert!(task.help.ends_with('\n'), "{}", task.name);
            assert!(overview().contains(task.summary));
            assert!(task.help.lines().all(|line| line.len() <= 100), "{}", task.name);
        }
    }

    #[test]
    fn unknown_commands_are_usage_errors() {
        assert!(matches!(dispatch(&["teest".to_owned()]), Err(Failure::Usage(_))));
        assert!(matches!(
            dispatch(&["setup".to_owned(), "--test".to_owned()]),
            Err(Failure::Usage(message)) if message.contains("--test")
        ));
    }
}
