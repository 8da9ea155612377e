//! Going to the background.
//!
//! The parent stays until its child has opened the capture and all sockets, so that whoever started the
//! daemon learns whether it runs: the parent's exit status is 0 then, and 1 with the child's error if not.
#![expect(unsafe_code, reason = "fork(2)")]

use std::fs::OpenOptions;
use std::io::{self, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use nix::unistd::{ForkResult, dup2_stderr, dup2_stdin, dup2_stdout, fork, setsid};

/// The child's line to the parent that waits.
pub(crate) struct Parent(UnixStream);

/// Who goes on after [`detach`].
pub(crate) enum Side {
    /// The parent, which has nothing to do but to exit with this.
    Parent(ExitCode),
    /// The child, in a session of its own.
    Child(Parent),
}

const READY: u8 = b'+';

/// Forks. In the parent it returns when the child has said how it went.
///
/// Must be called while the process has one thread.
pub(crate) fn detach() -> io::Result<Side> {
    let (mut parents, childs) = UnixStream::pair()?;
    // SAFETY: the process has one thread (the daemon starts its threads later), so the child may do
    // anything, allocation included.
    match unsafe { fork() }? {
        ForkResult::Parent { .. } => {
            drop(childs);
            let mut said = Vec::new();
            parents.read_to_end(&mut said)?;
            let ready = said == [READY];
            if !ready {
                let _ = io::stderr().write_all(&said);
            }
            Ok(Side::Parent(if ready { ExitCode::SUCCESS } else { ExitCode::FAILURE }))
        }
        ForkResult::Child => {
            drop(parents);
            setsid()?;
            Ok(Side::Child(Parent(childs)))
        }
    }
}

impl Parent {
    /// Tells the parent that everything is open, and lets go of its terminal.
    pub(crate) fn ready(mut self) -> io::Result<()> {
        let null = OpenOptions::new().read(true).write(true).open("/dev/null")?;
        dup2_stdin(&null)?;
        dup2_stdout(&null)?;
        dup2_stderr(&null)?;
        self.0.write_all(&[READY])
    }

    /// Tells the parent why nothing runs.
    pub(crate) fn failed(mut self, message: &str) {
        let _ = self.0.write_all(message.as_bytes());
    }
}
