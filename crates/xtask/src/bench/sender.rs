//! A sender of frames: `xtask bench --send INTERFACE RATE COUNT PAIRS`, which [`super::live`] runs in a namespace.
//!
//! It makes all frames first, then sends them in batches of one system call each, in time with the rate. It prints
//! the time of the first one, in nanoseconds since 1970, and how many it sent.

use std::io::IoSlice;
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, MultiHeaders, SockFlag, SockType, bind, sendmmsg, socket,
};

use super::shape;

/// Frames of a system call.
const BATCH: usize = 32;

/// What was sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Sent {
    /// When the first frame was sent, in nanoseconds since 1970.
    pub(crate) start: u128,
    pub(crate) frames: u64,
    /// How long it took, in nanoseconds.
    pub(crate) took: u128,
}

impl Sent {
    /// Reads what [`run`] printed.
    pub(crate) fn parse(line: &str) -> Option<Sent> {
        let mut words = line.split_whitespace();
        let sent = Sent {
            start: words.next()?.parse().ok()?,
            frames: words.next()?.parse().ok()?,
            took: words.next()?.parse().ok()?,
        };
        words.next().is_none().then_some(sent)
    }

    /// Packets a second.
    pub(crate) fn rate(&self) -> f64 {
        self.frames as f64 / (self.took as f64 / 1e9)
    }
}

/// Sends as the words say: interface, frames a second (0: as fast as possible), frames, pairs of hosts.
pub(crate) fn run(words: &[String]) -> Result<(), String> {
    let [interface, rate, count, pairs] = words else {
        return Err("the sender takes INTERFACE RATE COUNT PAIRS".to_owned());
    };
    let number = |word: &String| word.parse::<u64>().map_err(|_| format!("`{word}` is no number"));
    let (rate, count, pairs) = (number(rate)?, number(count)?, number(pairs)?);
    let frames: Vec<_> = (0..pairs.max(1)).map(shape::small_frame).collect();
    let (start, clock) = (SystemTime::now(), Instant::now());
    send(interface, rate, count, &frames).map_err(|error| format!("sending on {interface}: {error}"))?;
    let start = start.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |time| time.as_nanos());
    println!("{start} {count} {}", clock.elapsed().as_nanos());
    Ok(())
}

fn send(interface: &str, rate: u64, count: u64, frames: &[Vec<u8>]) -> nix::Result<()> {
    let link = getifaddrs()?
        .filter(|found| found.interface_name == interface)
        .find_map(|found| found.address?.as_link_addr().copied())
        .ok_or(Errno::ENODEV)?;
    let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::empty(), None)?;
    bind(socket.as_raw_fd(), &link)?;
    let mut headers = MultiHeaders::<LinkAddr>::preallocate(BATCH, None);
    let slices: Vec<_> = frames.iter().map(|frame| [IoSlice::new(frame)]).collect();
    let (clock, mut sent) = (Instant::now(), 0);
    while sent < count {
        let wait = due(rate, sent).saturating_sub(clock.elapsed());
        if wait > Duration::from_micros(50) {
            thread::sleep(wait);
        }
        // What should have been sent by now; a batch at most, so that there are no bursts.
        let size = (count - sent).min(BATCH as u64) as usize;
        let at = |n: usize| &slices[((sent as usize) + n) % slices.len()];
        let done = sendmmsg(
            socket.as_raw_fd(),
            &mut headers,
            (0..size).map(at),
            vec![None; size],
            [],
            MsgFlags::empty(),
        );
        match done {
            Ok(done) => sent += done.count() as u64,
            Err(Errno::ENOBUFS | Errno::EINTR) => thread::yield_now(),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// When the frame of that number is to be sent, after the first one.
fn due(rate: u64, number: u64) -> Duration {
    Duration::from_nanos((number * 1_000_000_000).checked_div(rate).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_due_at_their_rate() {
        assert_eq!(due(100_000, 250_000), Duration::from_millis(2500));
        assert_eq!(due(0, 250_000), Duration::ZERO);
    }

    #[test]
    fn what_it_prints_is_read() {
        let sent = Sent::parse("1700000000000000000 400 2000000000\n").unwrap();
        assert_eq!(sent, Sent { start: 1_700_000_000_000_000_000, frames: 400, took: 2_000_000_000 });
        assert!((sent.rate() - 200.0).abs() < 1e-9);
        assert_eq!(Sent::parse("1 2"), None);
    }
}
