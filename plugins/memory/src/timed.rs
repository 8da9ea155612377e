//! A stream that gives up at a deadline, however slowly the other side takes or gives, or when it is told to.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::lent::Cancel;

/// How long it takes at most until it is seen that an answer is to be broken off.
const LOOK: Duration = Duration::from_millis(500);

/// A stream with a deadline for all that is read and written together.
#[derive(Debug)]
pub(crate) struct Timed {
    stream: UnixStream,
    deadline: Instant,
    cancel: Cancel,
}

impl Timed {
    pub(crate) fn new(stream: UnixStream, patience: Duration) -> Self {
        Self { stream, deadline: Instant::now() + patience, cancel: Cancel::default() }
    }

    /// What makes it give up writing.
    pub(crate) fn cancel(&self) -> Cancel {
        Arc::clone(&self.cancel)
    }

    /// Puts the deadline off.
    pub(crate) fn extend(&mut self, patience: Duration) {
        self.deadline = Instant::now() + patience;
    }

    fn left(&self) -> io::Result<Option<Duration>> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(Some(left)) }
    }
}

impl Read for Timed {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(self.left()?)?;
        self.stream.read(to)
    }
}

impl Write for Timed {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        loop {
            let left = self.left()?.map(|left| left.min(LOOK));
            self.stream.set_write_timeout(left)?;
            match self.stream.write(from) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                written => return written,
            }
            if self.cancel.load(Ordering::Acquire) {
                return Err(ErrorKind::TimedOut.into());
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn a_drip_does_not_put_the_deadline_off() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let drip = thread::spawn(move || {
            while theirs.write_all(b".").is_ok() {
                thread::sleep(Duration::from_millis(10));
            }
        });
        let mut timed = Timed::new(ours, Duration::from_millis(100));
        let error = timed.read_exact(&mut [0; 1000]).unwrap_err();
        assert!(matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock), "{error}");
        drop(timed);
        drip.join().unwrap();
    }

    #[test]
    fn nor_does_one_who_does_not_read() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut timed = Timed::new(ours, Duration::from_millis(50));
        assert!(timed.write_all(&vec![0; 10 << 20]).is_err());
    }

    #[test]
    fn it_gives_up_when_it_is_told_to() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut timed = Timed::new(ours, Duration::from_secs(60));
        let (cancel, start) = (timed.cancel(), Instant::now());
        let writer = thread::spawn(move || timed.write_all(&vec![0; 10 << 20]).is_err());
        thread::sleep(Duration::from_millis(50));
        cancel.store(true, Ordering::Release);
        assert!(writer.join().unwrap());
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}
