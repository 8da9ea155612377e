//! A connection to one carbon.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream, ToSocketAddrs as _, UdpSocket};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{setsockopt, sockopt};

use crate::config::Protocol;
use crate::destination::Destination;
use crate::wire;

/// How long one address may take to answer.
const CONNECT: Duration = Duration::from_secs(3);

/// How often the sender looks up while carbon makes it wait.
const GLANCE: Duration = Duration::from_millis(100);

/// Octets that may wait in the kernel: what is there when a connection breaks is not known to have come.
pub(crate) const SEND_BUFFER: usize = 128 * 1024;

/// Is told for how long carbon has taken nothing, and whether to go on waiting is what it returns.
pub(crate) type Meanwhile<'a> = &'a mut dyn FnMut(Duration) -> bool;

/// An open connection.
#[derive(Debug)]
pub(crate) enum Link {
    Tcp { stream: TcpStream, pickle: bool },
    Udp(UdpSocket),
}

impl Link {
    /// Resolves the name, which may take long, and connects to the first address that answers.
    pub(crate) fn open(destination: &Destination, protocol: Protocol) -> io::Result<Self> {
        let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
        for address in (destination.host.as_str(), destination.port).to_socket_addrs()? {
            match Self::connect(address, protocol) {
                Ok(link) => return Ok(link),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    fn connect(address: SocketAddr, protocol: Protocol) -> io::Result<Self> {
        if protocol == Protocol::Udp {
            let any: SocketAddr = match address {
                SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
                SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
            };
            let socket = UdpSocket::bind(any)?;
            socket.connect(address)?;
            return Ok(Self::Udp(socket));
        }
        let stream = TcpStream::connect_timeout(&address, CONNECT)?;
        stream.set_nonblocking(true)?;
        setsockopt(&stream, sockopt::SndBuf, &SEND_BUFFER)?;
        setsockopt(&stream, sockopt::KeepAlive, &true)?;
        Ok(Self::Tcp { stream, pickle: protocol == Protocol::Pickle })
    }

    /// Whether the other side has closed. Asked before writing: what is written into a closed connection is
    /// lost without an error.
    pub(crate) fn is_closed(&mut self) -> bool {
        match self {
            // What a host says that has nobody at the port: it came after the last datagram.
            Self::Udp(socket) => socket.take_error().is_ok_and(|error| error.is_some()),
            Self::Tcp { stream, .. } => {
                let mut said = [0; 512]; // carbon says nothing; if it does, it is not for us
                loop {
                    match stream.read(&mut said) {
                        Ok(0) => return true,
                        Ok(_) => {}
                        Err(error) if error.kind() == ErrorKind::Interrupted => {}
                        Err(error) => return error.kind() != ErrorKind::WouldBlock,
                    }
                }
            }
        }
    }

    /// Sends lines. While carbon makes it wait, `meanwhile` is called every now and then.
    pub(crate) fn send(&mut self, lines: &[u8], meanwhile: Meanwhile<'_>) -> io::Result<()> {
        match self {
            Self::Udp(socket) => wire::datagrams(lines).try_for_each(|piece| socket.send(piece).map(drop)),
            Self::Tcp { stream, pickle: true } => write(stream, &wire::pickles(lines), meanwhile),
            Self::Tcp { stream, pickle: false } => write(stream, lines, meanwhile),
        }
    }

    /// Says that nothing more comes, and waits until the other side has closed, too: then it has read all.
    pub(crate) fn finish(mut self, patience: Duration) -> bool {
        let Self::Tcp { stream, .. } = &self else { return true };
        if stream.shutdown(Shutdown::Write).is_err() {
            return false;
        }
        let deadline = Instant::now() + patience;
        loop {
            if self.is_closed() {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() || !self.wait(PollFlags::POLLIN, left) {
                return false;
            }
        }
    }

    fn wait(&self, flags: PollFlags, timeout: Duration) -> bool {
        match self {
            Self::Tcp { stream, .. } => wait(stream, flags, timeout).unwrap_or(false),
            Self::Udp(_) => true,
        }
    }
}

fn write(stream: &mut TcpStream, bytes: &[u8], meanwhile: Meanwhile<'_>) -> io::Result<()> {
    let mut rest = bytes;
    let mut progress = Instant::now();
    while !rest.is_empty() {
        match stream.write(rest) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(n) => {
                rest = &rest[n..];
                progress = Instant::now();
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                let has_room = wait(stream, PollFlags::POLLOUT, GLANCE)?;
                if !has_room && !meanwhile(progress.elapsed()) {
                    return Err(io::Error::new(ErrorKind::TimedOut, "carbon takes nothing"));
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn wait(stream: &TcpStream, flags: PollFlags, timeout: Duration) -> io::Result<bool> {
    let timeout = PollTimeout::try_from(timeout).unwrap_or(PollTimeout::MAX);
    match poll(&mut [PollFd::new(stream.as_fd(), flags)], timeout) {
        Ok(events) => Ok(events > 0),
        Err(nix::Error::EINTR) => Ok(false),
        Err(error) => Err(error.into()),
    }
}
