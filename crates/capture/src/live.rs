//! Frames from an interface, through libpcap.

use std::cell::Cell;
use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, poll};
use pcap::{Active, Capture, Precision};
use rpmacct_packet::{LinkType, Timestamp};

use crate::doorbell::{Doorbell, poll_timeout};
use crate::filter::message;
use crate::frame::Frame;

/// How an interface is captured from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveOptions {
    /// Name of the interface.
    pub interface: String,
    /// Whether frames for other machines are captured too.
    pub promisc: bool,
    /// Bytes captured of each frame.
    pub snaplen: u32,
    /// Bytes of the kernel's ring.
    pub ring: u32,
    /// Which way frames must go; both if `None`.
    pub direction: Option<Direction>,
    /// An expression of `pcap-filter(7)` that the kernel applies.
    pub filter: Option<String>,
}

/// Which way a frame goes, seen from the interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// It comes in.
    In,
    /// It goes out.
    Out,
}

/// What the kernel counted since the capture was opened, in frames that passed its filter.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct KernelCounts {
    /// Received, the dropped ones included.
    pub received: u64,
    /// Dropped because the ring was full.
    pub dropped: u64,
}

/// Why an interface can't be captured from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LiveError {
    /// There is no such interface.
    #[error("no interface '{interface}' (there are: {})", .present.join(", "))]
    NoInterface {
        /// The name that was asked for.
        interface: String,
        /// The interfaces that there are.
        present: Vec<String>,
    },
    /// The interface is there, but down.
    #[error("interface '{interface}' is not up")]
    NotUp {
        /// The interface.
        interface: String,
    },
    /// The filter is wrong.
    #[error("{message}")]
    Filter {
        /// What libpcap says.
        message: String,
    },
    /// Frames of this interface have a link layer that is not known.
    #[error("{interface}: unsupported link type {link}; supported are {}", LinkType::supported_names())]
    LinkType {
        /// The interface.
        interface: String,
        /// Its link type.
        link: LinkType,
    },
    /// This process may not capture.
    #[error("{interface}: capturing needs superuser privileges or CAP_NET_RAW ({message})")]
    Permission {
        /// The interface.
        interface: String,
        /// What libpcap says.
        message: String,
    },
    /// Anything else that libpcap or the kernel refuses.
    #[error("{doing} {interface}: {message}")]
    Pcap {
        /// What was being done.
        doing: &'static str,
        /// The interface.
        interface: String,
        /// What libpcap says.
        message: String,
    },
}

/// An open capture on an interface.
pub struct Live {
    capture: Capture<Active>,
    interface: String,
    link: LinkType,
    received: Widened,
    dropped: Widened,
    /// Whether the interface has said that something is wrong with it, and no frame has come since. libpcap
    /// finds out what when it is read from, so that must be done from time to time then.
    suspicious: Cell<bool>,
}

/// A counter of 32 bits that wraps, made wider.
#[derive(Debug, Default)]
struct Widened {
    total: u64,
    last: u32,
}

impl Widened {
    /// Takes the counter as it is now. It may have wrapped once since the last time.
    fn update(&mut self, now: u32) -> u64 {
        self.total += u64::from(now.wrapping_sub(self.last));
        self.last = now;
        self.total
    }
}

impl Live {
    /// The longest time that a frame stays in the kernel before it can be read.
    ///
    /// The ring is handed over block by block, so a block that is not full waits this long. Shorter makes
    /// the kernel's timer run more often; longer makes a query wait longer.
    pub const LATENCY: Duration = Duration::from_millis(5);

    /// How often an interface is read from that seems to have gone.
    const LOOK_AGAIN: Duration = Duration::from_secs(1);

    /// Opens an interface.
    pub fn open(options: &LiveOptions) -> Result<Self, LiveError> {
        let interface = options.interface.clone();
        let failed = |doing: &'static str, error: pcap::Error| {
            open_error(doing, options.interface.clone(), &message(&error))
        };
        let capture = Capture::from_device(interface.as_str())
            .map_err(|e| failed("opening", e))?
            .promisc(options.promisc)
            .snaplen(i32::try_from(options.snaplen).unwrap_or(i32::MAX))
            .buffer_size(i32::try_from(options.ring).unwrap_or(i32::MAX))
            .timeout(Self::LATENCY.as_millis() as i32)
            .precision(Precision::Nano)
            .open()
            .map_err(|e| failed("opening", e))?;
        let mut capture = capture.setnonblock().map_err(|e| failed("opening", e))?;
        let link = LinkType(capture.get_datalink().0.cast_unsigned());
        if !link.is_supported() {
            return Err(LiveError::LinkType { interface, link });
        }
        if let Some(direction) = options.direction {
            let direction = match direction {
                Direction::In => pcap::Direction::In,
                Direction::Out => pcap::Direction::Out,
            };
            capture.direction(direction).map_err(|e| failed("setting the direction of", e))?;
        }
        if let Some(filter) = &options.filter {
            capture.filter(filter, true).map_err(|e| LiveError::Filter { message: message(&e) })?;
        }
        let (received, dropped) = (Widened::default(), Widened::default());
        Ok(Self { capture, interface, link, received, dropped, suspicious: Cell::new(false) })
    }

    /// The interface's name.
    pub fn interface(&self) -> &str {
        &self.interface
    }

    /// The link type of all its frames.
    pub fn link(&self) -> LinkType {
        self.link
    }

    /// Reads up to `limit` frames that are there now, without waiting. Returns how many.
    pub fn read(&mut self, limit: usize, mut each: impl FnMut(Frame<'_>)) -> Result<usize, LiveError> {
        let link = self.link;
        let result = self.capture.dispatch(Some(limit), |packet| {
            let header = packet.header;
            // With nanosecond precision libpcap keeps nanoseconds in the field of microseconds.
            let nanos = u32::try_from(header.ts.tv_usec).unwrap_or(0);
            let time = Timestamp::from_secs_nanos(header.ts.tv_sec, nanos);
            each(Frame { time, link, wire_len: header.len, data: packet.data, interface: 0 });
        });
        match result {
            Ok(count) => {
                if count > 0 {
                    self.suspicious.set(false);
                }
                Ok(count)
            }
            Err(pcap::Error::TimeoutExpired) => Ok(0),
            Err(error) => Err(self.failed("reading from", &error)),
        }
    }

    /// Waits until there is something to read, the doorbell (if there is one) rings, or `timeout` is over.
    pub fn wait(&self, doorbell: Option<&Doorbell>, timeout: Option<Duration>) -> Result<(), LiveError> {
        let timeout = match timeout {
            Some(timeout) if self.suspicious.get() => Some(timeout.min(Self::LOOK_AGAIN)),
            None if self.suspicious.get() => Some(Self::LOOK_AGAIN),
            timeout => timeout,
        };
        let frames = PollFd::new(self.capture.as_fd(), PollFlags::POLLIN);
        // Without a doorbell the descriptor stands twice, which does no harm.
        let second = doorbell.map_or(self.capture.as_fd(), Doorbell::as_fd);
        let mut fds = [frames, PollFd::new(second, PollFlags::POLLIN)];
        if let Err(errno) = poll(&mut fds, poll_timeout(timeout))
            && errno != nix::errno::Errno::EINTR
        {
            let interface = self.interface.clone();
            return Err(LiveError::Pcap { doing: "waiting for", interface, message: errno.to_string() });
        }
        if fds[0].revents().is_some_and(|events| events.intersects(PollFlags::POLLERR | PollFlags::POLLHUP)) {
            self.suspicious.set(true);
        }
        if let Some(bell) = doorbell {
            bell.silence();
        }
        Ok(())
    }

    /// What the kernel counted so far. Must be called before 2³² more frames have been received.
    pub fn counts(&mut self) -> Result<KernelCounts, LiveError> {
        let stat = self.capture.stats().map_err(|e| self.failed("reading the counters of", &e))?;
        let (received, dropped) = (self.received.update(stat.received), self.dropped.update(stat.dropped));
        Ok(KernelCounts { received, dropped })
    }

    fn failed(&self, doing: &'static str, error: &pcap::Error) -> LiveError {
        LiveError::Pcap { doing, interface: self.interface.clone(), message: message(error) }
    }
}

impl std::fmt::Debug for Live {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Live")
            .field("interface", &self.interface)
            .field("link", &self.link)
            .finish_non_exhaustive()
    }
}

/// The names of the interfaces that can be captured from.
pub fn interfaces() -> Vec<String> {
    let names = pcap::Device::list().unwrap_or_default().into_iter().map(|device| device.name);
    // libpcap also lists pseudo-devices such as nflog, which nobody means here.
    names.filter(|name| interface_index(name) != 0).collect()
}

/// The number that the system gave an interface, 0 if there is no such interface.
pub fn interface_index(name: &str) -> u32 {
    nix::net::if_::if_nametoindex(name).unwrap_or(0)
}

fn open_error(doing: &'static str, interface: String, message: &str) -> LiveError {
    let message = message.to_owned();
    if interface_index(&interface) == 0 && interface != "any" {
        return LiveError::NoInterface { interface, present: interfaces() };
    }
    if message.contains("not up") {
        return LiveError::NotUp { interface };
    }
    if message.contains("permission") || message.contains("permitted") {
        return LiveError::Permission { interface, message };
    }
    LiveError::Pcap { doing, interface, message }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_survive_their_wrap() {
        let mut wide = Widened::default();
        assert_eq!(wide.update(u32::MAX), u64::from(u32::MAX));
        assert_eq!(wide.update(4), u64::from(u32::MAX) + 5);
        assert_eq!(wide.update(4), u64::from(u32::MAX) + 5);
    }
}
