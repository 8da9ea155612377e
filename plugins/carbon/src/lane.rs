//! A lane: a queue, a thread that sends what is in it, and the carbon at its end (or, for failover, several of
//! which one has it all).
//!
//! The plugin's thread only ever adds to the queue. Names are resolved, connections made and files written on
//! the lane's own thread.

use std::hash::BuildHasher as _;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tracing::{info, warn};

use crate::config::Protocol;
use crate::destination::Destination;
use crate::journal::Journal;
use crate::link::Link;
use crate::outbox::Block;
use crate::queue::{Counts, Parcel, Queue};

/// The first pause after a connection has failed, and the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// How often a failure that lasts is said.
const SAY_AGAIN: Duration = Duration::from_secs(60);

/// How often the destinations before the one in use are tried again.
const PREFER: Duration = Duration::from_secs(30);

/// A carbon that takes nothing for so long is given up, and asked anew: its cache is full, or it hangs.
const STUCK: Duration = Duration::from_secs(60);

/// How long the end is put off without any progress, and in all while frames are live.
const END_STUCK: Duration = Duration::from_secs(5);
const END_ALL: Duration = Duration::from_secs(20);

/// How long a carbon may take to close the connection after us.
const CLOSING: Duration = Duration::from_secs(3);

/// How long a savefile waits for room without any progress.
const NO_ROOM: Duration = Duration::from_secs(30);

/// A lane.
#[derive(Debug)]
pub(crate) struct Lane {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What a lane is made of.
#[derive(Debug)]
pub(crate) struct LaneOptions {
    /// How log lines and the thread call it.
    pub(crate) name: String,
    /// In the order in which they are tried.
    pub(crate) destinations: Vec<Destination>,
    pub(crate) protocol: Protocol,
    /// With what is in the journal.
    pub(crate) queue: Queue,
    pub(crate) journal: Option<Journal>,
    /// Whether frames are live, and nothing may be kept waiting.
    pub(crate) live: bool,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// There is something to do for the lane's thread.
    work: Condvar,
    /// There is room in the queue.
    room: Condvar,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    /// When the lane was told to end.
    ending: Option<Instant>,
    connected: bool,
}

impl Lane {
    /// Starts the thread.
    pub(crate) fn start(options: LaneOptions) -> io::Result<Self> {
        let LaneOptions { name, destinations, protocol, queue, journal, live } = options;
        let state = State { queue, ending: None, connected: false };
        let shared =
            Arc::new(Shared { state: Mutex::new(state), work: Condvar::new(), room: Condvar::new() });
        let sender = Sender {
            name,
            destinations,
            protocol,
            shared: Arc::clone(&shared),
            journal,
            live,
            link: None,
            current: 0,
            prefer_at: Instant::now(),
            failures: Failures::default(),
            disk: Failures::default(),
            is_ending: false,
            progress: Instant::now(),
        };
        let thread = thread::Builder::new().name("carbon".to_owned()).spawn(move || sender.run())?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Adds a block. If there is no room, the oldest are lost. A report of the daemon's health that comes when
    /// the lane has been told to end comes too late.
    pub(crate) fn push(&self, block: Block) {
        let mut state = self.shared.lock();
        if state.ending.is_none() {
            state.queue.push(block);
            self.shared.work.notify_one();
        }
    }

    /// Adds a block as soon as there is room; gives up waiting for it when nothing moves any more.
    pub(crate) fn push_patiently(&self, block: Block) {
        let mut state = self.shared.lock();
        let (mut octets, mut since) = (state.queue.counts().octets, Instant::now());
        while state.queue.is_full(block.lines.len()) && since.elapsed() < NO_ROOM {
            state = wait(&self.shared.room, state, Duration::from_secs(1));
            let now = state.queue.counts().octets;
            if now != octets {
                (octets, since) = (now, Instant::now());
            }
        }
        state.queue.push(block);
        drop(state);
        self.shared.work.notify_one();
    }

    pub(crate) fn counts(&self) -> Counts {
        self.shared.lock().queue.counts()
    }

    /// Whether there is a connection.
    pub(crate) fn is_connected(&self) -> bool {
        self.shared.lock().connected
    }

    /// Tells the thread to send what is left and to end.
    pub(crate) fn end(&self) {
        self.shared.lock().ending.get_or_insert_with(Instant::now);
        self.shared.work.notify_one();
    }

    /// Waits for the thread's end.
    pub(crate) fn join(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = thread.join(); // a panic was logged by the daemon's hook
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wait<'a>(for_what: &Condvar, state: MutexGuard<'a, State>, timeout: Duration) -> MutexGuard<'a, State> {
    for_what.wait_timeout(state, timeout).unwrap_or_else(PoisonError::into_inner).0
}

/// The lane's thread.
struct Sender {
    name: String,
    destinations: Vec<Destination>,
    protocol: Protocol,
    shared: Arc<Shared>,
    journal: Option<Journal>,
    live: bool,
    link: Option<Link>,
    /// The destination that the link is to.
    current: usize,
    /// When the destinations before it are tried again.
    prefer_at: Instant,
    /// Of connections.
    failures: Failures,
    /// Of the journal.
    disk: Failures,
    /// Whether the end has been noticed.
    is_ending: bool,
    /// When something was sent last.
    progress: Instant,
}

enum Task {
    Connect,
    Send(Parcel),
    /// Blocks are to be written to the journal.
    Store,
    End,
}

impl Sender {
    fn run(mut self) {
        loop {
            store(&mut self.journal, &self.shared, &mut self.disk, &self.name);
            match self.task() {
                Task::Connect => self.connect(),
                Task::Send(parcel) => self.send(&parcel),
                Task::Store => {}
                Task::End => return self.end(),
            }
        }
    }

    /// Waits for something to do.
    fn task(&mut self) -> Task {
        let mut state = self.shared.lock();
        loop {
            let has_next = state.queue.has_next();
            if let Some(since) = state.ending {
                if !std::mem::replace(&mut self.is_ending, true) {
                    self.failures.retry_now();
                }
                let stuck = since.max(self.progress).elapsed() > END_STUCK;
                // What is on disk can wait for the next start.
                let kept = self.journal.is_some() && self.link.is_none() && self.failures.count > 0;
                if !has_next || stuck || kept || self.live && since.elapsed() > END_ALL {
                    return Task::End;
                }
            }
            let pause = match self.failures.pause() {
                _ if !has_next => Duration::MAX,
                Some(pause) if self.link.is_none() => pause,
                _ if self.link.is_none() => return Task::Connect,
                _ => return state.queue.take().map_or(Task::Store, Task::Send),
            };
            if self.journal.is_some() && state.queue.has_unstored() && self.disk.pause().is_none() {
                return Task::Store;
            }
            let timeout = if state.ending.is_some() { pause.min(FIRST_PAUSE) } else { pause.min(SAY_AGAIN) };
            state = wait(&self.shared.work, state, timeout);
        }
    }

    /// Tries the destinations in their order.
    fn connect(&mut self) {
        self.try_connect(self.destinations.len());
    }

    fn try_connect(&mut self, candidates: usize) {
        let mut failed = Vec::new();
        for (number, destination) in self.destinations.iter().take(candidates).enumerate() {
            match Link::open(destination, self.protocol) {
                Ok(link) => {
                    info!("{}: connected to {destination}", self.name);
                    self.link = Some(link);
                    self.current = number;
                    self.prefer_at = Instant::now() + PREFER;
                    let mut state = self.shared.lock();
                    state.queue.rewind();
                    state.connected = true;
                    return;
                }
                Err(error) => failed.push(format!("connecting to {destination}: {error}")),
            }
        }
        self.prefer_at = Instant::now() + PREFER;
        if self.link.is_none() {
            self.failures.hear(&self.name, failed.join("; "));
        }
    }

    fn send(&mut self, parcel: &Parcel) {
        if self.current > 0 && Instant::now() >= self.prefer_at {
            let number = self.current;
            self.try_connect(number);
            if self.current != number {
                return; // what was taken is taken again
            }
        }
        let destination = &self.destinations[self.current];
        let Some(link) = &mut self.link else { return };
        if link.is_closed() {
            warn!("{}: {destination} has closed the connection", self.name);
            return self.disconnect();
        }
        let lines = match (&parcel.lines, parcel.place, &self.journal) {
            (Some(lines), ..) => Arc::clone(lines),
            (None, Some(place), Some(journal)) => match journal.read(place) {
                Ok(lines) => lines.into(),
                Err(error) => {
                    warn!("{}: reading what was kept in {}: {error}", self.name, journal.folder().display());
                    return self.shared.lock().queue.lose_taken();
                }
            },
            _ => return self.shared.lock().queue.lose_taken(),
        };
        let Self { journal, shared, disk, name, live, .. } = self;
        let mut meanwhile = |stuck: Duration| {
            store(journal, shared, disk, name);
            let is_over =
                |since: Instant| stuck.min(since.elapsed()) > END_STUCK || *live && since.elapsed() > END_ALL;
            stuck < STUCK && !shared.lock().ending.is_some_and(is_over)
        };
        match link.send(&lines, &mut meanwhile) {
            Ok(()) => {
                self.progress = Instant::now();
                self.failures.over();
                self.shared.lock().queue.sent(self.progress);
                self.shared.room.notify_all();
            }
            Err(error) => {
                self.failures.hear(&self.name, format!("sending to {destination}: {error}"));
                self.disconnect();
            }
        }
    }

    fn disconnect(&mut self) {
        self.link = None;
        let mut state = self.shared.lock();
        state.connected = false;
        state.queue.rewind();
    }

    fn end(&mut self) {
        let is_read = match self.link.take() {
            Some(link) => link.finish(CLOSING),
            None => true,
        };
        store(&mut self.journal, &self.shared, &mut self.disk, &self.name);
        let mut state = self.shared.lock();
        let waiting = state.queue.counts().waiting();
        match &mut self.journal {
            Some(journal) => {
                if waiting > 0 {
                    info!("{}: {waiting} points stay in {}", self.name, journal.folder().display());
                }
                // What carbon has read is not sent again at the next start.
                let first =
                    if is_read { state.queue.first_waiting_place() } else { state.queue.first_place() };
                if let Err(error) = journal.release(first) {
                    warn!("{}: writing to {}: {error}", self.name, journal.folder().display());
                }
            }
            None if waiting > 0 => {
                warn!("{}: {waiting} points are lost: carbon has not taken them", self.name);
            }
            None => {}
        }
        state.queue.abandon();
    }
}

/// Writes blocks to the journal that are not there yet, and lets go what is no longer needed.
fn store(journal: &mut Option<Journal>, shared: &Shared, failures: &mut Failures, name: &str) {
    let Some(journal) = journal else { return };
    if failures.pause().is_some() {
        return;
    }
    let parcels = shared.lock().queue.unstored();
    let mut result = Ok(());
    for parcel in parcels {
        let Some(lines) = &parcel.lines else { continue };
        match journal.append(parcel.points, lines) {
            Ok(place) => shared.lock().queue.stored(parcel.number, place),
            Err(error) => {
                result = Err(error);
                break;
            }
        }
    }
    let first = shared.lock().queue.first_place();
    match result.and_then(|()| journal.release(first)) {
        Ok(()) => failures.over(),
        Err(error) => failures.hear(name, format!("writing to {}: {error}", journal.folder().display())),
    }
}

/// Failures in a row, and when they were said.
#[derive(Debug, Default)]
struct Failures {
    count: u32,
    /// When the next attempt is due.
    retry_at: Option<Instant>,
    said: Option<(String, Instant)>,
}

impl Failures {
    fn hear(&mut self, name: &str, text: String) {
        let is_known = |(said, at): &(String, Instant)| *said == text && at.elapsed() < SAY_AGAIN;
        if !self.said.as_ref().is_some_and(is_known) {
            warn!("{name}: {text}; trying again");
            self.said = Some((text, Instant::now()));
        }
        self.count = self.count.saturating_add(1);
        let pause = FIRST_PAUSE.saturating_mul(1 << self.count.min(16).saturating_sub(1)).min(LONGEST_PAUSE);
        // A carbon that comes back is not met by all its senders at once.
        let dice = foldhash::fast::RandomState::default().hash_one(self.count) as u8;
        self.retry_at = Some(Instant::now() + pause / 2 + pause / 2 / 256 * u32::from(dice));
    }

    /// How long to wait for the next attempt; `None`: not at all.
    fn pause(&self) -> Option<Duration> {
        self.retry_at.map(|at| at.saturating_duration_since(Instant::now())).filter(|pause| !pause.is_zero())
    }

    fn retry_now(&mut self) {
        self.retry_at = None;
    }

    fn over(&mut self) {
        *self = Self::default();
    }
}
