//! Accepts connections and gives each a thread, within a limit.

use std::io;
use std::net::Shutdown;
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rpmacct_plugin::{OpenError, SinkError};
use rpmacct_query::{greet, refuse};

use crate::access::Peer;
use crate::connection::{Desk, serve};
use crate::socket::Socket;
use crate::timed::IsCrowded;

/// Stack of a thread that answers. It holds no more than a few frames.
const STACK: usize = 256 * 1024;

/// Connections at once. When they are that many, those that stall give way.
const MAX_CONNECTIONS: usize = 512;
/// How long new connections wait for one of them to give way: longer than it takes to see that one stalls.
const TO_GIVE_WAY: Duration = Duration::from_secs(2);
/// Connections beyond these that those who may erase have: nobody else can lock them out.
const RESERVED: usize = 8;

/// The thread that accepts, and the threads that it started.
pub(crate) struct Server {
    socket: Socket,
    listener: UnixListener,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

/// What all threads know.
pub(crate) struct Shared {
    pub(crate) desk: Desk,
    stopping: AtomicBool,
    /// Connections that are open.
    connections: AtomicUsize,
    /// Connections whose question is being answered.
    answering: AtomicUsize,
}

impl Server {
    pub(crate) fn start(listener: UnixListener, socket: Socket, desk: Desk) -> Result<Self, OpenError> {
        let shared = Arc::new(Shared {
            desk,
            stopping: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
            answering: AtomicUsize::new(0),
        });
        let threaded = listener.try_clone().and_then(|listener| {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name("memory-accept".into()).spawn(move || accept(&listener, &shared))
        });
        let failed =
            |source| OpenError::Io { doing: format!("listening on {}", socket.path().display()), source };
        match threaded {
            Ok(acceptor) => Ok(Self { socket, listener, shared, acceptor: Some(acceptor) }),
            Err(error) => {
                let _ = socket.remove();
                Err(failed(error))
            }
        }
    }

    /// Accepts no more and removes the socket. Answers that are under way go on.
    pub(crate) fn stop(&mut self) -> Result<(), SinkError> {
        let Some(acceptor) = self.acceptor.take() else { return Ok(()) };
        self.shared.stopping.store(true, Ordering::Release);
        // Wakes the acceptor: its call fails, or gives a last connection.
        let _ = nix::sys::socket::shutdown(self.listener.as_raw_fd(), nix::sys::socket::Shutdown::Both);
        let _ = acceptor.join();
        let doing = || format!("removing {}", self.socket.path().display());
        self.socket.remove().map_err(|error| SinkError::io(doing(), error))
    }

    /// Whether an answer is under way.
    pub(crate) fn is_answering(&self) -> bool {
        self.shared.answering.load(Ordering::Acquire) > 0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop();
    }
}

fn accept(listener: &UnixListener, shared: &Arc<Shared>) {
    let mut wait_until = Instant::now() + TO_GIVE_WAY;
    loop {
        let accepted = listener.accept();
        if shared.stopping.load(Ordering::Acquire) {
            return;
        }
        match accepted {
            Ok((stream, _)) => admit(stream, shared, &mut wait_until),
            // Out of descriptors or memory: it comes again at once, so it must not spin.
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                thread::sleep(Duration::from_millis(100));
            }
            Err(_) => {}
        }
    }
}

/// Gives a connection its thread, or turns it away. Until `wait_until` it is waited for a place; that is put off
/// when there was one, so that those who come while nobody gives way do not wait one after the other.
fn admit(stream: UnixStream, shared: &Arc<Shared>, wait_until: &mut Instant) {
    let Ok(peer) = Peer::of(&stream) else { return };
    let limit = MAX_CONNECTIONS + if shared.desk.access.may_change(peer) { RESERVED } else { 0 };
    let place = Count::of(shared, |shared| &shared.connections);
    let is_full = || shared.connections.load(Ordering::Acquire) > limit;
    // Whoever comes next waits in the socket's queue, in the order of arrival.
    while is_full() && Instant::now() < *wait_until && !shared.stopping.load(Ordering::Acquire) {
        thread::sleep(Duration::from_millis(10));
    }
    if is_full() {
        turn_away(&stream, "too many clients at once");
        return;
    }
    *wait_until = Instant::now() + TO_GIVE_WAY;
    let spare = stream.try_clone();
    let thread = thread::Builder::new().name("memory-answer".into()).stack_size(STACK).spawn(move || {
        serve(stream, peer, &place);
    });
    if let (Err(_), Ok(stream)) = (thread, spare) {
        turn_away(&stream, "no thread for another client");
    }
}

/// Says why, without waiting: a new connection has room for a sentence.
fn turn_away(stream: &UnixStream, why: &str) {
    let mut out = stream;
    let _ = stream.set_nonblocking(true);
    let _ = greet(&mut out).and_then(|()| refuse(&mut out, why));
    let _ = stream.shutdown(Shutdown::Write);
}

/// One more of something, until it is dropped.
pub(crate) struct Count {
    shared: Arc<Shared>,
    of: fn(&Shared) -> &AtomicUsize,
}

impl Count {
    fn of(shared: &Arc<Shared>, of: fn(&Shared) -> &AtomicUsize) -> Self {
        of(shared).fetch_add(1, Ordering::AcqRel);
        Self { shared: Arc::clone(shared), of }
    }

    pub(crate) fn desk(&self) -> &Desk {
        &self.shared.desk
    }

    /// Whether others wait for a place.
    pub(crate) fn is_crowded(&self) -> IsCrowded {
        let shared = Arc::clone(&self.shared);
        Arc::new(move || shared.connections.load(Ordering::Acquire) > MAX_CONNECTIONS)
    }

    /// One more answer under way.
    pub(crate) fn answering(&self) -> Self {
        Self::of(&self.shared, |shared| &shared.answering)
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        (self.of)(&self.shared).fetch_sub(1, Ordering::AcqRel);
    }
}
