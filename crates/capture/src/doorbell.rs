//! A bell that wakes a thread which waits for frames.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// Rung by any thread, heard by the one that waits.
#[derive(Debug, Clone)]
pub struct Doorbell(Arc<EventFd>);

impl Doorbell {
    /// A silent bell.
    pub fn new() -> std::io::Result<Self> {
        let flags = EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC;
        Ok(Self(Arc::new(EventFd::from_value_and_flags(0, flags)?)))
    }

    /// Makes the waiter's current or next wait return.
    pub fn ring(&self) {
        // The only error is a counter at its maximum: the bell rings then anyway.
        let _ = self.0.write(1);
    }

    /// Waits until it rings or `timeout` is over, then silences it.
    pub fn wait(&self, timeout: Option<Duration>) {
        let _ = poll(&mut [PollFd::new(self.as_fd(), PollFlags::POLLIN)], poll_timeout(timeout));
        self.silence();
    }

    pub(crate) fn silence(&self) {
        let _ = self.0.read();
    }
}

impl AsFd for Doorbell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Rounded up to a millisecond: waking too early would mean waking twice.
pub(crate) fn poll_timeout(timeout: Option<Duration>) -> PollTimeout {
    timeout.map_or(PollTimeout::NONE, |t| {
        PollTimeout::try_from(t.as_micros().div_ceil(1_000).min(i32::MAX as u128) as i32)
            .unwrap_or(PollTimeout::MAX)
    })
}
