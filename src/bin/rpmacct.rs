//! The client: asks a memory plugin and prints its answer.

fn main() -> std::process::ExitCode {
    rpmacct_client::run(std::env::args_os())
}
