//! The daemon.

use std::process::ExitCode;

fn main() -> ExitCode {
    rpmacct_daemon::run(rpmacct_plugins::CATALOGUE, std::env::args_os())
}
