//! rpmacctd as a library: command line, privileges, logging, signals, supervision.
//!
//! [`run`] is the whole daemon, given a catalogue of plugins; a `main` of one line is enough, and a user's
//! own `main` may add plugins to the catalogue.
//!
//! Its life: read the configuration, make a plan of it (everything is checked before anything is opened), go
//! to the background, open the capture and the plugins, say that it is ready, run, and at the end drain the
//! kernel's ring and the pipes and let each plugin finish.

mod background;
mod host;
pub mod keys;
mod log;
mod open;
mod pidfile;
mod plan;
mod runner;
mod supervise;

use std::ffi::OsString;
use std::fmt::{Display, Write as _};
use std::io::{self, Write as _};
use std::process::ExitCode;

use nix::sys::stat::{Mode, umask};
use rpmacct_config::{Action, CommandLine, Config, ConfigError, Registry, Source, Warning};
use rpmacct_plugin::Plugin;
use rpmacct_primitives::{Group, listed};

use background::{Parent, Side};
use log::LogHandle;
use open::Opened;
use pidfile::PidFiles;
use plan::Plan;

/// All configuration keys: the daemon's and those of the plugins.
pub fn registry(catalogue: &[&'static dyn Plugin]) -> Registry {
    let plugins = catalogue.iter().flat_map(|plugin| plugin.keys().iter().copied());
    Registry::new(keys::KEYS.iter().copied().chain(plugins))
}

/// Runs the daemon as the command line says and returns its exit status. `args` begins with the program's
/// name.
pub fn run(catalogue: &'static [&'static dyn Plugin], args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let registry = registry(catalogue);
    let command_line = match CommandLine::parse(args.into_iter().skip(1), &registry) {
        Ok(command_line) => command_line,
        Err(error) => return refuse(&format!("{error}\nrpmacctd -h shows all options")),
    };
    match command_line.action {
        Action::Help => return say(&registry.usage()),
        Action::Version => return say(&version(catalogue)),
        Action::List => return say(&list()),
        Action::Run | Action::Check | Action::Setup => {}
    }
    let (config, warnings) = match Config::load(&registry, Source::from(&command_line)) {
        Ok(loaded) => loaded,
        Err(errors) => return refuse_all(&errors),
    };
    let plan = match Plan::new(&config, catalogue) {
        Ok(plan) => plan,
        Err(errors) => return refuse_all(&errors),
    };
    if command_line.action == Action::Check {
        let warnings = warnings.iter().map(ToString::to_string).chain(plan.empty_columns());
        for warning in warnings {
            eprintln!("WARN: {warning}");
        }
        return match remarks(&plan, &config) {
            Ok(remarks) => say(&format!("OK: the configuration is valid\n{remarks}")),
            Err(errors) => refuse_all(&errors),
        };
    }
    if command_line.action == Action::Setup {
        return match Opened::new(&plan, &config) {
            Ok(_) => say("OK: everything can be opened\n"),
            Err(error) => refuse(&error.to_string()),
        };
    }
    launch(&plan, &config, &warnings)
}

/// What the plugins have to say of their configuration, one sentence a line.
fn remarks(plan: &Plan, config: &Config) -> Result<String, Vec<ConfigError>> {
    let (mut text, mut errors) = (String::new(), Vec::new());
    for plugin in &plan.plugins {
        match plugin.plugin.check(config.plugin(&plugin.name), &plugin.schema) {
            Ok(remarks) => remarks.iter().for_each(|remark| {
                let _ = writeln!(text, "{}: {remark}", plugin.speaker());
            }),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(text) } else { Err(errors) }
}

/// Goes to the background if asked to, and runs.
fn launch(plan: &Plan, config: &Config, warnings: &[Warning]) -> ExitCode {
    if !plan.daemonize {
        return match start(plan, config, warnings, None) {
            Ok(code) => code,
            Err(message) => refuse(&message),
        };
    }
    match background::detach() {
        Err(error) => refuse(&format!("going to the background: {error}")),
        Ok(Side::Parent(code)) => code,
        Ok(Side::Child(parent)) => {
            let mut parent = Some(parent);
            let result = start(plan, config, warnings, Some(&mut parent));
            match (result, parent) {
                (Ok(code), _) => code,
                (Err(message), Some(parent)) => {
                    parent.failed(&format!("ERROR: {message}\n"));
                    ExitCode::FAILURE
                }
                (Err(_), None) => ExitCode::FAILURE,
            }
        }
    }
}

/// Opens everything, then runs. The parent, if there is one, is told when everything is open.
fn start(
    plan: &Plan,
    config: &Config,
    warnings: &[Warning],
    parent: Option<&mut Option<Parent>>,
) -> Result<ExitCode, String> {
    umask(Mode::from_bits_truncate(plan.umask as _));
    let log = log::open(plan.log.clone()).map_err(|(path, e)| format!("opening {}: {e}", path.display()))?;
    // Standard error is /dev/null in the background: what panics must be seen in the log.
    std::panic::set_hook(Box::new(|panic| tracing::error!("{panic}")));
    tracing::info!("rpmacctd {}", env!("CARGO_PKG_VERSION"));
    tracing::info!("{}", config.read_from());
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    if let Some(warning) = plan.empty_columns() {
        tracing::warn!("{warning}");
    }
    open_and_run(plan, config, log, parent).inspect_err(|message| {
        if !log.is_stderr() {
            tracing::error!("{message}");
        }
    })
}

fn open_and_run(
    plan: &Plan,
    config: &Config,
    log: LogHandle,
    parent: Option<&mut Option<Parent>>,
) -> Result<ExitCode, String> {
    // From here on a signal ends the daemon in order, whatever is open by then.
    let signals = supervise::signals().map_err(|error| error.to_string())?;
    let opened = Opened::new(plan, config).map_err(|error| error.to_string())?;
    let plugins = plan.plugins.iter().map(|plugin| (plugin.plugin.kind(), plugin.name.as_str()));
    let pid_files = match &plan.pidfile {
        Some(path) => PidFiles::write(path, plugins)
            .map_err(|(path, error)| format!("writing {}: {error}", path.display()))?,
        None => PidFiles::default(),
    };
    let started = || parent.and_then(Option::take).map_or(Ok(()), Parent::ready);
    let code = supervise::run(opened, &signals, log, plan.exit_any, started);
    drop(pid_files);
    code.map_err(|error| error.to_string())
}

fn say(text: &str) -> ExitCode {
    // A reader that has gone away has seen enough.
    let _ = io::stdout().write_all(text.as_bytes());
    ExitCode::SUCCESS
}

fn refuse(message: &str) -> ExitCode {
    eprintln!("ERROR: {message}");
    ExitCode::FAILURE
}

fn refuse_all(errors: &[impl Display]) -> ExitCode {
    for error in errors {
        refuse(&error.to_string());
    }
    ExitCode::FAILURE
}

fn version(catalogue: &[&'static dyn Plugin]) -> String {
    let mut text = format!("rpmacctd {}\n\nplugins:\n", env!("CARGO_PKG_VERSION"));
    for plugin in catalogue {
        let _ = writeln!(text, "  {:10} {}", plugin.kind(), plugin.doc());
    }
    text
}

/// The primitives, in groups.
fn list() -> String {
    let mut text = String::new();
    for group in Group::ALL {
        let _ = writeln!(text, "{}", group.title());
        for row in listed().filter(|row| row.group == *group) {
            let _ = writeln!(text, "{:<32} : {:<64}", row.word, row.doc);
        }
        text.push('\n');
    }
    text
}
