//! The thread of a plugin: batches from the pipe, commands from others, ticks when something is due.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use rpmacct_ledger::Balance;
use rpmacct_packet::Timestamp;
use rpmacct_pipe::{Counts, Reader};
use rpmacct_plugin::{Batch, Schema, Sink, SinkError, Tallies};

/// The time that sinks are given: the wall clock, or while a savefile is read, a moment that stands still.
///
/// So nothing falls due while a savefile is read, and its output does not depend on how fast that goes.
#[derive(Debug, Clone)]
pub(crate) struct SinkClock(Arc<Moments>);

#[derive(Debug)]
struct Moments {
    /// The moment at which the clock stands, or [`RUNNING`].
    now: AtomicI64,
    /// The moment at which sinks finish, or [`RUNNING`].
    finish: AtomicI64,
}

const RUNNING: i64 = i64::MIN;

impl SinkClock {
    /// A clock that shows the wall's time.
    pub(crate) fn running() -> Self {
        Self(Arc::new(Moments { now: RUNNING.into(), finish: RUNNING.into() }))
    }

    /// A clock that stands still.
    pub(crate) fn stopped(at: Timestamp) -> Self {
        Self(Arc::new(Moments { now: at.as_nanos().into(), finish: RUNNING.into() }))
    }

    /// Lets the clock run.
    pub(crate) fn run(&self) {
        self.0.now.store(RUNNING, Ordering::Release);
    }

    /// Lets sinks finish as if at this time.
    pub(crate) fn finish_at(&self, at: Timestamp) {
        self.0.finish.store(at.as_nanos(), Ordering::Release);
    }

    fn now(&self) -> Timestamp {
        moment(&self.0.now)
    }

    fn finish(&self) -> Timestamp {
        moment(&self.0.finish)
    }

    fn is_running(&self) -> bool {
        self.0.now.load(Ordering::Acquire) == RUNNING
    }
}

fn moment(at: &AtomicI64) -> Timestamp {
    match at.load(Ordering::Acquire) {
        RUNNING => wall(),
        nanos => Timestamp::from_nanos(nanos),
    }
}

/// The wall clock.
pub(crate) fn wall() -> Timestamp {
    Timestamp::from_nanos(i64::try_from(jiff::Timestamp::now().as_nanosecond()).unwrap_or(i64::MAX))
}

/// The shortest sleep between two ticks, should a sink always be due.
const SHORTEST_SLEEP: Duration = Duration::from_millis(1);

/// What others ask of a plugin's thread.
pub(crate) enum Command {
    /// Answer when this many batches have been absorbed.
    Reached(u64, Sender<()>),
    /// Answer with the plugin's balances, at one moment between two batches.
    Count(Sender<Absorbed>),
    /// SIGHUP.
    Reopen,
}

/// What a plugin has absorbed, and what it did with it.
#[derive(Debug, Clone)]
pub(crate) struct Absorbed {
    /// In packets times the pipeline's multiplicity.
    pub(crate) absorbed: u64,
    pub(crate) balances: Vec<Balance>,
}

/// Runs a sink until its pipe ends.
pub(crate) struct Runner {
    pub(crate) speaker: String,
    pub(crate) schema: Arc<Schema>,
    pub(crate) sink: Box<dyn Sink>,
    pub(crate) reader: Reader,
    pub(crate) commands: Receiver<Command>,
    pub(crate) clock: SinkClock,
    pub(crate) tallies: Arc<Tallies>,
}

impl Runner {
    /// Returns what the plugin did in all its life.
    pub(crate) fn run(mut self) -> Absorbed {
        let mut waiters: Vec<(u64, Sender<()>)> = Vec::new();
        let mut complaints = Complaints::default();
        loop {
            loop {
                let Some(received) = self.reader.next() else { break };
                let batch = Batch::new(&self.schema, received.records()).arrived(self.clock.now());
                let result = self.sink.absorb(&batch);
                drop(received);
                complaints.hear(result);
                self.obey(&mut waiters, &mut complaints);
                // What is due is not put off by traffic that never pauses.
                let now = self.clock.now();
                if self.due().is_some_and(|due| due <= now) {
                    complaints.hear(self.sink.tick(now));
                }
            }
            let finished = self.reader.is_finished();
            self.obey(&mut waiters, &mut complaints);
            let now = self.clock.now();
            complaints.hear(self.sink.tick(now));
            if finished {
                break;
            }
            let timeout = self.due().map(|due| due.saturating_since(now).max(SHORTEST_SLEEP));
            self.reader.sleep(timeout);
        }
        let Self { sink, clock, tallies, reader, speaker, commands, .. } = self;
        Complaints::default().hear(sink.finish(clock.finish()));
        drop(commands);
        count(&speaker, &reader.counts(), &tallies)
    }

    /// When the sink must be ticked next: never while the clock stands still.
    fn due(&self) -> Option<Timestamp> {
        self.sink.due().filter(|_| self.clock.is_running())
    }

    fn obey(&mut self, waiters: &mut Vec<(u64, Sender<()>)>, complaints: &mut Complaints) {
        for command in self.commands.try_iter() {
            match command {
                Command::Reached(batches, reply) => waiters.push((batches, reply)),
                Command::Count(reply) => {
                    let _ = reply.send(count(&self.speaker, &self.reader.counts(), &self.tallies));
                }
                Command::Reopen => complaints.hear(self.sink.reopen()),
            }
        }
        if waiters.is_empty() {
            return;
        }
        let taken = self.reader.counts().batches_taken();
        waiters.retain(|(batches, reply)| {
            let reached = taken >= *batches;
            if reached {
                let _ = reply.send(());
            }
            !reached
        });
    }
}

/// Logs a sink's errors, but not thousands in a second: what fails once mostly fails for every batch.
#[derive(Default)]
struct Complaints {
    last: Option<Instant>,
    unsaid: u64,
}

impl Complaints {
    const PAUSE: Duration = Duration::from_secs(1);

    fn hear(&mut self, result: Result<(), SinkError>) {
        let error = match result {
            // What is known has been said, and counted.
            Ok(()) | Err(SinkError::Known) => return,
            Err(error) => error,
        };
        if self.last.is_some_and(|last| last.elapsed() < Self::PAUSE) {
            self.unsaid += 1;
            return;
        }
        match std::mem::take(&mut self.unsaid) {
            0 => tracing::error!("{error}"),
            unsaid => tracing::error!("{error} (and {unsaid} errors more since the last one)"),
        }
        self.last = Some(Instant::now());
    }
}

fn count(of: &str, pipe: &Counts, tallies: &Tallies) -> Absorbed {
    let absorbed = pipe.taken();
    let kept = Balance::new(of, "absorbed", absorbed)
        .part("in the table", tallies.in_table.count())
        .part("purged", tallies.purged.count())
        .part("refused", tallies.refused.count());
    let purged = Balance::new(of, "purged", tallies.purged.count())
        .part("written", tallies.written.count())
        .part("lost by the destination", tallies.lost.count())
        .part("erased", tallies.erased.count());
    let balances = [kept, purged].into_iter().chain(tallies.more()).collect();
    Absorbed { absorbed, balances }
}
