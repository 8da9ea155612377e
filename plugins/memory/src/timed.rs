//! A stream that gives up at a deadline, however slowly the other side takes or gives; before it, if the other
//! side stalls while its place is needed, or if it is told to.

use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::lent::Cancel;

/// Who has given or taken nothing for so long stalls.
const STALL: Duration = Duration::from_millis(500);

/// Whether others wait for the place of a connection.
pub(crate) type IsCrowded = Arc<dyn Fn() -> bool + Send + Sync>;

/// A stream with a deadline for all that is read and written together.
pub(crate) struct Timed {
    stream: UnixStream,
    deadline: Instant,
    cancel: Cancel,
    is_crowded: IsCrowded,
}

impl Timed {
    pub(crate) fn new(stream: UnixStream, patience: Duration, is_crowded: IsCrowded) -> Self {
        Self { stream, deadline: Instant::now() + patience, cancel: Cancel::default(), is_crowded }
    }

    /// What makes it give up when the other side stalls.
    pub(crate) fn cancel(&self) -> Cancel {
        Arc::clone(&self.cancel)
    }

    /// Puts the deadline off.
    pub(crate) fn extend(&mut self, patience: Duration) {
        self.deadline = Instant::now() + patience;
    }

    /// Reads or writes, waiting until that goes or is given up.
    fn wait(
        &self,
        mut go: impl FnMut(&UnixStream, Option<Duration>) -> io::Result<usize>,
    ) -> io::Result<usize> {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(ErrorKind::TimedOut.into());
            }
            match go(&self.stream, Some(left.min(STALL))) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                done => return done,
            }
            if self.cancel.load(Ordering::Acquire) || (self.is_crowded)() {
                return Err(ErrorKind::TimedOut.into());
            }
        }
    }
}

impl Read for Timed {
    fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
        self.wait(|mut stream, timeout| {
            stream.set_read_timeout(timeout)?;
            stream.read(to)
        })
    }
}

impl Write for Timed {
    fn write(&mut self, from: &[u8]) -> io::Result<usize> {
        self.wait(|mut stream, timeout| {
            stream.set_write_timeout(timeout)?;
            stream.write(from)
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    fn timed(stream: UnixStream, patience: Duration) -> Timed {
        Timed::new(stream, patience, Arc::new(|| false))
    }

    #[test]
    fn a_drip_does_not_put_the_deadline_off() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let drip = thread::spawn(move || {
            while theirs.write_all(b".").is_ok() {
                thread::sleep(Duration::from_millis(10));
            }
        });
        let mut timed = timed(ours, Duration::from_millis(100));
        let error = timed.read_exact(&mut [0; 1000]).unwrap_err();
        assert!(matches!(error.kind(), io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock), "{error}");
        drop(timed);
        drip.join().unwrap();
    }

    #[test]
    fn nor_does_one_who_does_not_read() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut timed = timed(ours, Duration::from_millis(50));
        assert!(timed.write_all(&vec![0; 10 << 20]).is_err());
    }

    #[test]
    fn who_stalls_makes_way_for_others() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut timed = Timed::new(ours, Duration::from_secs(60), Arc::new(|| true));
        let start = Instant::now();
        assert!(timed.read(&mut [0]).is_err());
        assert!(timed.write_all(&vec![0; 10 << 20]).is_err());
        assert!(start.elapsed() < Duration::from_secs(20));
    }

    #[test]
    fn it_gives_up_when_it_is_told_to() {
        let (ours, _theirs) = UnixStream::pair().unwrap();
        let mut timed = timed(ours, Duration::from_secs(60));
        let (cancel, start) = (timed.cancel(), Instant::now());
        let writer = thread::spawn(move || timed.write_all(&vec![0; 10 << 20]).is_err());
        thread::sleep(Duration::from_millis(50));
        cancel.store(true, Ordering::Release);
        assert!(writer.join().unwrap());
        assert!(start.elapsed() < Duration::from_secs(10));
    }
}
