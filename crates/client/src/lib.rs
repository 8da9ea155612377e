//! rpmacct as a library: command line and output formats.
//!
//! The client asks a memory plugin over its Unix socket and prints the answer as scripts have known it for
//! twenty years: same options, same columns, same exit codes. Every answer is of one moment, so `-l` changes
//! nothing. An answer that was cut, or a daemon of another release, is an error and never half a table.
//!
//! ```
//! let (mut out, mut err) = (Vec::new(), Vec::new());
//! let args = ["rpmacct", "-p", "/nonexistent", "-s"].map(Into::into);
//! assert_eq!(rpmacct_client::run_with(args, &mut out, &mut err), 1);
//! assert_eq!(err, b"ERROR: Unable to connect to '/nonexistent'\n\n");
//! ```
//!
//! Started under the name `pmacct` it also writes errors where `pmacct` does, to standard output.
#![forbid(unsafe_code)]

mod command;
mod error;
mod follow;
mod options;
mod print;
mod selection;
mod talk;
mod token;

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use command::Command;
use error::ClientError;
use options::Options;

/// Runs the client with the arguments of a process, its name first.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let mut out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    ExitCode::from(run_with(args, &mut out, &mut io::stderr().lock()))
}

/// Runs the client with other outputs than the process's own, and returns its exit code.
pub fn run_with(args: impl IntoIterator<Item = OsString>, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let args: Vec<OsString> = args.into_iter().collect();
    let name = program_name(&args);
    let mut console = Console { classic: name == "pmacct", out, err };
    let result = attempt(args, &mut console).and_then(|code| {
        console.out.flush().map_err(ClientError::Output)?;
        Ok(code)
    });
    match result {
        Ok(code) => code,
        // Whoever read our output has seen enough, as `head` does.
        Err(ClientError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => 0,
        Err(error) => {
            complain(&error, &name, &mut console);
            1
        }
    }
}

fn attempt(args: Vec<OsString>, console: &mut Console<'_>) -> Result<u8, ClientError> {
    let options = Options::parse(args, console.classic)?;
    for warning in &options.warnings {
        let _ = writeln!(console.complaints(), "WARN: {warning}");
    }
    Command::new(options)?.execute(console)
}

/// Where things are written.
struct Console<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    /// Errors go to standard output, too.
    classic: bool,
}

impl Console<'_> {
    /// Where errors, warnings and their usage go.
    fn complaints(&mut self) -> &mut dyn Write {
        if self.classic { self.out } else { self.err }
    }
}

/// Says what went wrong. Whether that can be written changes nothing any more.
fn complain(error: &ClientError, name: &str, console: &mut Console<'_>) {
    let _ = console.out.flush();
    if let ClientError::BadOption(getopt) = error {
        let _ = writeln!(console.err, "{name}: {getopt}");
    }
    let classic = console.classic;
    let complaints = console.complaints();
    let _ = writeln!(complaints, "{}", error.line(classic));
    let _ = match error.tail() {
        error::Tail::Nothing => Ok(()),
        error::Tail::Blank => writeln!(complaints),
        error::Tail::Exiting => writeln!(complaints, "  Exiting...\n"),
        error::Tail::Usage => writeln!(complaints, "  Exiting...\n\n{}", options::usage()),
    };
    let _ = complaints.flush();
}

fn program_name(args: &[OsString]) -> String {
    let name = args.first().and_then(|arg| Path::new(arg).file_name());
    name.map_or_else(|| "rpmacct".to_owned(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Exit code, standard output and standard error.
    fn client(line: &[&str]) -> (u8, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let code = run_with(line.iter().map(Into::into), &mut out, &mut err);
        (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[track_caller]
    fn fails(line: &[&str], first_lines: &str) -> String {
        let args = [&["rpmacct", "-p", "/nonexistent"], line].concat();
        let (code, out, err) = client(&args);
        assert_eq!((code, out.as_str()), (1, ""), "{line:?}: {err}");
        assert!(err.starts_with(first_lines), "{line:?}: {err}");
        err
    }

    #[test]
    fn no_server() {
        let err = fails(&["-s"], "ERROR: Unable to connect to '/nonexistent'\n\n");
        assert_eq!(err.lines().count(), 2);
    }

    #[test]
    fn exclusions() {
        let exclusive = "ERROR: -s, -t, -N, -M and -C options are each mutually exclusive.\n\n";
        for line in
            [&["-s", "-t"][..], &["-s", "-N", "x", "-c", "src_host"], &["-C", "-U"], &["-s", "--ledger"]]
        {
            assert_eq!(fails(line, exclusive), exclusive, "{line:?}");
        }
        let with_usage = |line: &[&str], message: &str| {
            let err = fails(line, &format!("ERROR: {message}\n  Exiting...\n\n"));
            assert!(err.contains("-T COUNTER[,N]"), "{err}");
        };
        with_usage(&[], "no options specified. Either -s, -e, -t, -M, -N or -C must be supplied. ");
        with_usage(&["-N", "10.0.0.1"], "-N or -M selected but -c has not been specified or is invalid.");
        with_usage(
            &["-M", "10.0.0.1", "-c", ""],
            "-N or -M selected but -c has not been specified or is invalid.",
        );
        with_usage(&["-r", "-s"], "-r selected but either -N or -M has not been specified.");
        with_usage(&["-n", "packets", "-s"], "-n and -S options apply only to -N");
        with_usage(&["-n", "bytes", "-s"], "-n and -S options apply only to -N");
        with_usage(&["-S", "-s"], "-n and -S options apply only to -N");
        with_usage(&["-T", "bytes", "-e"], "-T option apply only to -M or -s");
        with_usage(&["-i", "--since", "0"], "--since and --token-file apply only to -s, -M and -N");
        with_usage(&["-e", "--token-file", "x"], "--since and --token-file apply only to -s, -M and -N");
        for company in [&["-e"][..], &["-N", "1", "-c", "proto"], &["-r", "-M", "1", "-c", "proto"]] {
            let line = [&["--follow"], company].concat();
            with_usage(&line, "--follow applies only to -s and -M, without -e and -r");
        }
    }

    #[test]
    fn wrong_values() {
        assert_eq!(
            fails(&["-s", "-O", "csv", "-E", "ab"], ""),
            "ERROR: -E option expects a single char as separator\n  Exiting...\n\n"
        );
        fails(&["-c", "src_host", "-N", "notanip"], "ERROR: src_host: Invalid IP address: 'notanip'\n");
        fails(&["-c", "src_host,proto", "-N", "10.0.0.1,blah"], "ERROR: invalid protocol: 'blah'\n");
        fails(&["-u", "-c", "proto", "-N", "tcp"], "ERROR: invalid protocol: 'tcp'\n");
        fails(&["-c", "src_host", "-N", "file:/nonexistent"], "ERROR: file '/nonexistent' not found\n");
        fails(&["-c", "badprim", "-N", "1"], "ERROR: unknown primitive 'badprim'\n");
        fails(&["-c", "tcpflags", "-N", "27"], "ERROR: unknown primitive 'tcpflags'\n");
        let hint = fails(&["-c", "src_hst", "-N", "1"], "ERROR: unknown primitive 'src_hst'\n");
        assert!(hint.contains("src_host"), "{hint}");
        fails(&["-s", "-T", "foo,2"], "ERROR: -T, unknown counter type: foo\n");
        fails(&["-s", "-T", "bytes,x"], "ERROR: -T, 'x' is not a number of entries\n");
        fails(&["-c", "src_host", "-N", ";"], "ERROR: no value to look for\n");
        fails(&["--follow=0"], "ERROR: --follow, '0' is no number of seconds (from 0.1)\n");
        fails(&["--follow", "-Oformatted"], "ERROR: --follow writes json or csv\n");
        fails(&["-s", "10.0.0.1"], "ERROR: '10.0.0.1' belongs to no option\n");
    }

    #[test]
    fn unknown_options_are_named_as_getopt_does() {
        let err =
            fails(&["-z"], "rpmacct: invalid option -- 'z'\nERROR: parameter ? unknown! \n  Exiting...\n\n");
        assert!(err.contains("Usage:"));
        fails(&["-sP"], "rpmacct: invalid option -- 'P'\n");
        fails(&["-c"], "rpmacct: option requires an argument -- 'c'\n");
        fails(&["--frob"], "rpmacct: unrecognized option '--frob'\n");
    }

    #[test]
    fn under_the_old_name_errors_go_to_standard_output() {
        let (code, out, err) = client(&["/usr/bin/pmacct", "-p", "/nonexistent", "-s"]);
        assert_eq!((code, err.as_str()), (1, ""));
        assert_eq!(out, "ERROR: Unable to connect to '/nonexistent'\n\n");
        // As the peer does it, which connects before it looks at most options, but not at all.
        let (_, out, _) = client(&["pmacct", "-p", "/nonexistent", "-n", "packets", "-s"]);
        assert_eq!(out, "ERROR: Unable to connect to '/nonexistent'\n\n");
        let (_, out, _) = client(&["pmacct", "-p", "/nonexistent", "-s", "-t"]);
        assert!(out.starts_with("ERROR: -s, -t, -N, -M and -C options are each"), "{out}");
        let (_, out, _) = client(&["pmacct", "-p", "/nonexistent", "-s", "-T", "foo,2", "stray"]);
        let warned = "WARN: -T, ignoring unknown counter type: foo.\n";
        assert_eq!(out, format!("{warned}ERROR: Unable to connect to '/nonexistent'\n\n"));
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        let (code, out, err) = client(&["pmacct", "-p", path, "-e"]);
        assert_eq!((code, err.as_str()), (1, ""));
        assert_eq!(out, format!("INFO: Connection refused while trying to connect to '{path}'\n\n"));
        fails_at(path, "ERROR: Unable to connect to");
        let (_, out, err) = client(&["pmacct", "-z"]);
        assert!(out.starts_with("ERROR: parameter ? unknown! \n"));
        assert_eq!(err, "pmacct: invalid option -- 'z'\n");
    }

    fn fails_at(path: &str, first_words: &str) {
        let (code, _, err) = client(&["rpmacct", "-p", path, "-e"]);
        assert!(code == 1 && err.starts_with(first_words), "{err}");
    }

    #[test]
    fn unknown_words_of_n_and_o_are_warnings() {
        fails(
            &["-c", "src_host", "-N", "10.0.0.1", "-n", "foo"],
            "WARN: -n, ignoring unknown counter type: foo.\nERROR: Unable",
        );
        fails(&["-s", "-Oxml"], "WARN: -O, ignoring unknown output value: 'xml'.\nERROR: Unable");
    }

    #[test]
    fn help_and_version_need_no_server() {
        for help in ["-h", "--help"] {
            let (code, out, err) = client(&["rpmacct", help]);
            assert_eq!((code, err.as_str()), (0, ""));
            assert!(out.contains("-c PRIMITIVES") && out.contains("--ledger"), "{out}");
        }
        for version in ["-V", "--version"] {
            let (code, out, _) = client(&["rpmacct", version]);
            assert_eq!(code, 0);
            assert!(out.starts_with("rpmacct "), "{out}");
        }
    }

    #[test]
    fn a_reader_that_has_seen_enough_is_no_error() {
        struct Closed;
        impl Write for Closed {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut err = Vec::new();
        assert_eq!(run_with(["rpmacct", "-h"].map(Into::into), &mut Closed, &mut err), 0);
        assert_eq!(err, b"");
    }
}
