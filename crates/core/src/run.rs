//! Feeding the core until it is told to stop.

use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, TryRecvError};
use rpmacct_capture::{Doorbell, KernelCounts, Live, LiveError, Savefile, SavefileError};
use rpmacct_packet::Timestamp;

use crate::Core;
use crate::control::Control;
use crate::counts::SourceCounts;

/// Frames read before others get a word in.
const BURST: usize = 4096;

/// How long frames that the kernel has counted may take to come while nothing else comes. What has not come
/// by then never will: libpcap itself has taken it away.
const GRACE: Duration = Duration::from_millis(50);

/// The longest time that is spent on reading what was captured before a question.
const DRAIN_LIMIT: Duration = Duration::from_secs(1);

/// How often the kernel's counters are looked at, so that they do not wrap (at 2³²) between two looks.
const LOOK_AT_COUNTERS: Duration = Duration::from_secs(10);

/// The clocks: libraries read none themselves.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// For intervals.
    pub monotonic: fn() -> Instant,
    /// For what is compared with the times of frames.
    pub wall: fn() -> Timestamp,
}

/// How a savefile is read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SavefileOptions {
    /// Whether the core stays when the file ends, so that tables can be queried.
    pub wait: bool,
    /// Waited before each reading.
    pub delay: Duration,
    /// How many times it is read, at least once.
    pub times: u64,
}

/// Feeds frames from an interface until a [`Control::Stop`]. What the kernel holds by then is still read.
///
/// `before` is what earlier calls returned for interfaces that failed: the counts go on from there. After an
/// error the core keeps all that it has, so that another source may go on feeding it.
pub fn run_live(
    core: &mut Core,
    live: &mut Live,
    control: &Receiver<Control>,
    doorbell: &Doorbell,
    clock: Clock,
    before: SourceCounts,
) -> (SourceCounts, Result<(), LiveError>) {
    let (base, looked) = (core.seen(), (clock.monotonic)());
    let kernel = KernelCounts::default();
    let mut session =
        LiveSession { core, live, clock, base, kernel, looked, looked_at: 0, taken_away: 0, before };
    let result = session.run(control, doorbell);
    if result.is_err() {
        // A block that was not full yet may still come.
        let _ = session.live.wait(None, Some(2 * Live::LATENCY));
        let _ = session.read();
    }
    let _ = session.ask_kernel();
    (session.count(), result)
}

struct LiveSession<'a> {
    core: &'a mut Core,
    live: &'a mut Live,
    clock: Clock,
    /// Frames that the core had seen before this session.
    base: u64,
    /// What the kernel said when it was asked last.
    kernel: KernelCounts,
    /// When it was asked last.
    looked: Instant,
    /// Frames that had been seen by then.
    looked_at: u64,
    /// Frames that the kernel counted and libpcap took away.
    taken_away: u64,
    before: SourceCounts,
}

impl LiveSession<'_> {
    fn run(&mut self, control: &Receiver<Control>, doorbell: &Doorbell) -> Result<(), LiveError> {
        loop {
            let read = self.read()?;
            let now = (self.clock.monotonic)();
            let publish_in = self.core.publish_old(now);
            if self.answer(control)? {
                // What can't be read any more is shown as left in the ring.
                let _ = self.drain();
                return Ok(());
            }
            if now.saturating_duration_since(self.looked) >= LOOK_AT_COUNTERS {
                self.ask_kernel()?;
            }
            if read > 0 {
                let latest = self.core.latest().unwrap_or(Timestamp::MIN);
                self.core.expire_fragments(latest);
            } else {
                let now = (self.clock.wall)();
                self.core.expire_fragments(now);
                let expiry = self.core.next_expiry().map(|at| at.saturating_since(now));
                let timeout = publish_in.into_iter().chain(expiry).chain(self.look_again_in()).min();
                self.live.wait(Some(doorbell), timeout)?;
            }
        }
    }

    /// Answers what was asked so far. Returns true when told to stop.
    fn answer(&mut self, control: &Receiver<Control>) -> Result<bool, LiveError> {
        loop {
            match control.try_recv() {
                Ok(Control::Stop) | Err(TryRecvError::Disconnected) => return Ok(true),
                Ok(Control::Settle { pipeline, reply }) => {
                    self.drain()?;
                    let _ = reply.send(self.core.publish(pipeline).unwrap_or(0));
                }
                Ok(Control::Count { reply }) => {
                    self.drain()?;
                    self.ask_kernel()?;
                    let _ = reply.send(self.core.report(self.count()));
                }
                Err(TryRecvError::Empty) => return Ok(false),
            }
        }
    }

    fn read(&mut self) -> Result<usize, LiveError> {
        Ok(self.read_beyond(Timestamp::MAX)?.0)
    }

    /// Reads, and returns how many frames came, and how many of them were captured after `asked`.
    fn read_beyond(&mut self, asked: Timestamp) -> Result<(usize, u64), LiveError> {
        let Self { core, live, .. } = self;
        let mut later = 0;
        let read = live.read(BURST, |frame| {
            later += u64::from(frame.time > asked);
            core.frame(&frame);
        })?;
        Ok((read, later))
    }

    /// Reads everything that was captured before now.
    ///
    /// That is so when as many frames have come as the kernel has counted. But libpcap takes some away after
    /// they were counted (the other direction, the loopback interface's second copies), so there is other
    /// evidence too: the ring is handed over in order, and a frame that was captured after the question
    /// proves that all before it have been read; and so does silence.
    fn drain(&mut self) -> Result<(), LiveError> {
        self.ask_kernel()?;
        let asked = (self.clock.wall)();
        let begin = (self.clock.monotonic)();
        let target = self.kernel.received.saturating_sub(self.kernel.dropped);
        let mut quiet_since: Option<Instant> = None;
        let mut later = 0;
        while self.seen() - later + self.taken_away < target {
            let (read, beyond) = self.read_beyond(asked)?;
            later += beyond;
            let now = (self.clock.monotonic)();
            self.core.publish_old(now);
            if read > 0 {
                quiet_since = None;
            }
            let quiet = now.saturating_duration_since(*quiet_since.get_or_insert(now));
            let left = GRACE.saturating_sub(quiet);
            let too_long = now.saturating_duration_since(begin) >= DRAIN_LIMIT;
            if later > 0 || left.is_zero() || too_long {
                self.taken_away = target.saturating_sub(self.seen() - later);
                break;
            }
            if read == 0 {
                self.live.wait(None, Some(left))?;
            }
        }
        Ok(())
    }

    fn ask_kernel(&mut self) -> Result<(), LiveError> {
        self.kernel = self.live.counts()?;
        self.looked = (self.clock.monotonic)();
        self.looked_at = self.seen();
        self.core.drops.set(self.before.dropped.unwrap_or(0) + self.kernel.dropped);
        // A guess that was too high would make later drains end early.
        self.taken_away = self.taken_away.min(self.not_seen());
        Ok(())
    }

    /// How long until the counters must be looked at again; not at all if nothing has come since.
    fn look_again_in(&self) -> Option<Duration> {
        let since = (self.clock.monotonic)().saturating_duration_since(self.looked);
        (self.seen() != self.looked_at).then(|| LOOK_AT_COUNTERS.saturating_sub(since))
    }

    /// Frames that the kernel has counted and the core has not seen.
    fn not_seen(&self) -> u64 {
        self.kernel.received.saturating_sub(self.kernel.dropped).saturating_sub(self.seen())
    }

    fn count(&self) -> SourceCounts {
        let filtered = self.not_seen().min(self.taken_away);
        SourceCounts {
            received: self.before.received + self.kernel.received,
            dropped: Some(self.before.dropped.unwrap_or(0) + self.kernel.dropped),
            filtered: self.before.filtered + filtered,
            unread: self.before.unread + self.not_seen() - filtered,
        }
    }

    fn seen(&self) -> u64 {
        self.core.seen() - self.base
    }
}

/// Feeds the frames of a savefile, as fast as they can be accounted, until its end (or, with
/// [`SavefileOptions::wait`], until a [`Control::Stop`]). `at_end` is called when everything has been read,
/// with the time of the latest frame.
///
/// Of a damaged file all that comes before the damage is accounted; `at_end` gets the error.
pub fn run_savefile(
    core: &mut Core,
    savefile: &mut Savefile,
    options: SavefileOptions,
    control: &Receiver<Control>,
    doorbell: &Doorbell,
    clock: Clock,
    at_end: impl FnOnce(Option<Timestamp>, Result<(), &SavefileError>),
) -> SourceCounts {
    let mut result = Ok(());
    for _ in 0..options.times.max(1) {
        if !options.delay.is_zero() {
            let source = all_seen(core);
            if run_idle(core, control, doorbell, clock, Some(options.delay), source) {
                return all_seen(core);
            }
        }
        savefile.rewind();
        match read_savefile(core, savefile, control) {
            Ok(false) => {}
            Ok(true) => return all_seen(core),
            Err(error) => result = Err(error),
        }
        // The file holds no more of what its fragments wait for; and it may be read again, back in time.
        core.rewind();
    }
    core.publish_all();
    at_end(core.latest(), result.as_ref().copied());
    let source = all_seen(core);
    if options.wait {
        run_idle(core, control, doorbell, clock, None, source);
    }
    source
}

/// Reads a savefile once. Returns true when told to stop.
fn read_savefile(
    core: &mut Core,
    savefile: &mut Savefile,
    control: &Receiver<Control>,
) -> Result<bool, SavefileError> {
    while savefile.read(BURST, |frame| core.frame(frame))? > 0 {
        if answer(core, control, all_seen(core)) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Waits while there is no source: answers, and publishes what grows old. Returns true when told to stop,
/// false when the time is over. `source` is what the source said last.
pub fn run_idle(
    core: &mut Core,
    control: &Receiver<Control>,
    doorbell: &Doorbell,
    clock: Clock,
    how_long: Option<Duration>,
    source: SourceCounts,
) -> bool {
    let end = how_long.map(|d| (clock.monotonic)() + d);
    loop {
        if answer(core, control, source) {
            return true;
        }
        let now = (clock.monotonic)();
        let left = end.map(|end| end.saturating_duration_since(now));
        if left == Some(Duration::ZERO) {
            return false;
        }
        let publish_in = core.publish_old(now);
        doorbell.wait(publish_in.into_iter().chain(left).min());
    }
}

/// Answers what was asked so far. Returns true when told to stop.
fn answer(core: &mut Core, control: &Receiver<Control>, source: SourceCounts) -> bool {
    loop {
        match control.try_recv() {
            Ok(Control::Stop) | Err(TryRecvError::Disconnected) => return true,
            Ok(Control::Settle { pipeline, reply }) => {
                let _ = reply.send(core.publish(pipeline).unwrap_or(0));
            }
            Ok(Control::Count { reply }) => {
                let _ = reply.send(core.report(source));
            }
            Err(TryRecvError::Empty) => return false,
        }
    }
}

/// A savefile's frames are received when they are read.
fn all_seen(core: &Core) -> SourceCounts {
    SourceCounts { received: core.seen(), ..SourceCounts::default() }
}
