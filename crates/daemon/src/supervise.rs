//! Running: the threads, the signals, the end.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded, never, select};
use rpmacct_capture::{Doorbell, Live, LiveError, Savefile, SavefileError};
use rpmacct_core::{
    Clock, Control, Core, Report, SavefileOptions, SourceCounts, run_idle, run_live, run_savefile,
};
use rpmacct_ledger::Balance;
use rpmacct_packet::Timestamp;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;

use crate::host::{CoreLine, Switchboard};
use crate::log::{LogHandle, notice, speak_as};
use crate::open::{Interface, OpenSource, Opened, named_thread};
use crate::runner::{Absorbed, Command, SinkClock, wall};

/// How often losses are looked for.
const WATCH: Duration = Duration::from_secs(10);

/// How often a missing interface is looked for.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

const CLOCK: Clock = Clock { monotonic: Instant::now, wall };

/// Runs until told to stop, or the source ends. `started` is called when all threads run.
pub(crate) fn run(
    opened: Opened,
    signals: &Receiver<i32>,
    log: LogHandle,
    exit_any: bool,
    started: impl FnOnce() -> std::io::Result<()>,
) -> std::io::Result<ExitCode> {
    let Opened { core, source, control, doorbell, clock, runners, switchboard } = opened;
    let (plugin_done_in, plugin_done) = bounded(runners.len());
    let plugins = runners.len();
    for (number, runner) in runners.into_iter().enumerate() {
        let (done, speaker) = (plugin_done_in.clone(), runner.speaker.clone());
        named_thread(&speaker.clone(), move || {
            speak_as(&speaker);
            // A panic ends this plugin and not the others.
            let result = catch_unwind(AssertUnwindSafe(|| runner.run())).ok();
            let _ = done.send((number, result));
        })?;
    }
    drop(plugin_done_in);

    let (core_done_in, core_done) = bounded(1);
    let board = Arc::clone(&switchboard);
    named_thread("core", move || {
        let session = Session { core, control, doorbell, clock, board };
        let result = catch_unwind(AssertUnwindSafe(|| session.capture(source)));
        let _ = core_done_in.send(result.ok());
    })?;
    started()?;

    let supervisor = Supervisor { switchboard, log, failed: false, stopping: false };
    Ok(supervisor.run(signals, core_done, plugin_done, plugins, exit_any))
}

struct Supervisor {
    switchboard: Arc<OnceLock<Switchboard>>,
    log: LogHandle,
    failed: bool,
    stopping: bool,
}

impl Supervisor {
    fn run(
        mut self,
        signals: &Receiver<i32>,
        mut core_done: Receiver<Option<(Report, bool)>>,
        mut plugin_done: Receiver<(usize, Option<Absorbed>)>,
        mut plugins: usize,
        exit_any: bool,
    ) -> ExitCode {
        let mut report = None;
        let mut absorbed = vec![None; plugins];
        let mut core_runs = true;
        let mut losses = Losses::default();
        while core_runs || plugins > 0 {
            select! {
                recv(signals) -> signal => {
                    let signal = signal.unwrap_or(SIGTERM);
                    if self.stopping && matches!(signal, SIGINT | SIGTERM) {
                        tracing::warn!("told to stop a second time: what is not written yet is lost");
                        self.failed = true;
                        break;
                    }
                    self.signal(signal);
                }
                recv(core_done) -> result => {
                    core_runs = false;
                    core_done = never();
                    if matches!(result, Ok(None)) {
                        tracing::error!("the core has failed; there is no ledger");
                    }
                    let ended_well;
                    (report, ended_well) = result.ok().flatten().map_or((None, false), |(r, well)| (Some(r), well));
                    self.failed |= !ended_well;
                }
                recv(plugin_done) -> result => {
                    let Ok((number, result)) = result else {
                        plugin_done = never();
                        continue;
                    };
                    plugins -= 1;
                    // A plugin ends by itself only when its pipe has; anything else is a panic.
                    if result.is_none() {
                        self.plugin_panicked(number);
                        if plugins == 0 || exit_any {
                            tracing::error!("no more plugins active. Shutting down.");
                            self.stop();
                        }
                    }
                    absorbed[number] = result;
                }
                default(WATCH) => losses.watch(self.switchboard.get()),
            }
        }
        losses.conclude(self.switchboard.get());
        if let Some(board) = self.switchboard.get() {
            let balances = report.map_or_else(|| board.ledger(), |report| board.balances(&report, absorbed));
            log_ledger(&balances);
        }
        if self.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
    }

    fn signal(&mut self, signal: i32) {
        match signal {
            SIGINT | SIGTERM => {
                let name = if signal == SIGINT { "SIGINT" } else { "SIGTERM" };
                tracing::info!("{name} received. Exiting ...");
                self.stop();
            }
            SIGHUP => self.reopen(),
            SIGUSR1 => {
                if let Some(board) = self.switchboard.get() {
                    log_ledger(&board.ledger());
                }
            }
            _ => tracing::info!("SIGUSR2 received: there are no maps to reload"),
        }
    }

    fn stop(&mut self) {
        self.stopping = true;
        if let Some(board) = self.switchboard.get() {
            board.core.stop();
        }
    }

    fn reopen(&self) {
        if let Err((path, error)) = self.log.reopen() {
            tracing::error!("reopening {}: {error}", path.display());
        }
        for line in self.switchboard.get().iter().flat_map(|board| &board.plugins) {
            line.command(Command::Reopen);
        }
        tracing::info!("SIGHUP received: files reopened");
    }

    fn plugin_panicked(&mut self, number: usize) {
        self.failed = true;
        let speaker = self.switchboard.get().and_then(|board| board.plugins.get(number));
        let speaker = speaker.map_or("a plugin", |line| &line.speaker);
        tracing::error!("{speaker} has failed; what is meant for it is lost from now on, and counted");
    }
}

/// What has been lost, as far as it was said.
#[derive(Default)]
struct Losses {
    drops: u64,
    forgotten_flows: u64,
    pipes: Vec<u64>,
}

impl Losses {
    /// Warns of what was lost since the last time.
    fn watch(&mut self, board: Option<&Switchboard>) {
        let Some(board) = board else { return };
        let drops = board.core.drops.count();
        if drops > self.drops {
            let (new, source) = (drops - self.drops, &board.core.source);
            tracing::warn!(
                "{source}: {new} packets dropped by the kernel; increase pmacctd_pipe_size, or aggregate less"
            );
            self.drops = drops;
        }
        // A table that is too small forgets again and again: that it does is said once, how often at the end.
        if self.forgotten_flows == 0 {
            self.forgotten_flows = board.core.forgotten_flows.count();
            self.say_forgotten_flows(&board.core);
        }
        self.pipes.resize(board.plugins.len(), 0);
        for (line, said) in board.plugins.iter().zip(&mut self.pipes) {
            let lost = line.pipe.lost();
            if lost > *said {
                // Monitoring looks for the peer's first words.
                let (new, speaker) = (lost - *said, &line.speaker);
                tracing::warn!(
                    "{speaker}: Missing data detected: {new} packets found the pipe full; increase plugin_pipe_size"
                );
                *said = lost;
            }
        }
    }

    /// Warns of flows that were forgotten since it was first said that some are.
    fn conclude(&mut self, board: Option<&Switchboard>) {
        self.watch(board);
        let Some(board) = board else { return };
        let forgotten = board.core.forgotten_flows.count();
        if forgotten > self.forgotten_flows {
            self.forgotten_flows = forgotten;
            self.say_forgotten_flows(&board.core);
        }
    }

    fn say_forgotten_flows(&self, core: &CoreLine) {
        let (count, source) = (self.forgotten_flows, &core.source);
        if count > 0 {
            tracing::warn!(
                "{source}: {count} flows forgotten before their time, as there is no room for more; those that go on \
                 count again; increase pmacctd_flow_buffer_size"
            );
        }
    }
}

fn log_ledger(balances: &[Balance]) {
    for balance in balances {
        if balance.holds() {
            notice!("{balance}");
        } else {
            tracing::error!("{balance}");
        }
    }
}

/// Catches signals from now on. Their thread goes with the process.
pub(crate) fn signals() -> std::io::Result<Receiver<i32>> {
    let (sender, receiver): (Sender<i32>, _) = bounded(16);
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP, SIGUSR1, SIGUSR2])?;
    named_thread("signals", move || {
        for signal in signals.forever() {
            let _ = sender.send(signal);
        }
    })?;
    Ok(receiver)
}

/// The core's thread.
struct Session {
    core: Core,
    control: Receiver<Control>,
    doorbell: Doorbell,
    clock: SinkClock,
    board: Arc<OnceLock<Switchboard>>,
}

impl Session {
    /// Runs to the end. Returns the last report, and whether the source ended as it should.
    fn capture(mut self, source: OpenSource) -> (Report, bool) {
        let (counts, ended_well) = match source {
            OpenSource::Live(interface) => self.interface(interface),
            OpenSource::Savefile { savefile, options } => self.savefile(savefile, options),
        };
        (self.core.finish(counts), ended_well)
    }

    fn savefile(&mut self, mut savefile: Savefile, options: SavefileOptions) -> (SourceCounts, bool) {
        let Self { core, control, doorbell, clock, board } = self;
        let mut ended_well = true;
        let at_end = |latest: Option<Timestamp>, result: Result<(), &SavefileError>| {
            ended_well = say_how_it_ended(result);
            if options.wait {
                clock.run();
                // Who fell asleep while the clock stood still has set no alarm.
                board.get().into_iter().flat_map(|board| &board.plugins).for_each(|line| line.waker.wake());
            } else if let Some(latest) = latest {
                clock.finish_at(latest);
            }
        };
        let counts = run_savefile(core, &mut savefile, options, control, doorbell, CLOCK, at_end);
        (counts, ended_well)
    }

    /// An interface may come and go.
    fn interface(&mut self, mut interface: Interface) -> (SourceCounts, bool) {
        let Self { core, control, doorbell, .. } = self;
        let mut counts = SourceCounts::default();
        let mut said = None;
        loop {
            if let Some(mut live) = interface.live.take() {
                let (in_iface, out_iface) = interface.numbers();
                core.set_interfaces(in_iface, out_iface);
                let result;
                (counts, result) = run_live(core, &mut live, control, doorbell, CLOCK, counts);
                match result {
                    Ok(()) => return (counts, true),
                    Err(error) if interface.wait => tracing::warn!("{error}; waiting for the interface"),
                    Err(error) => {
                        tracing::error!("{error}. Exiting.");
                        return (counts, false);
                    }
                }
            }
            if run_idle(core, control, doorbell, CLOCK, Some(LOOK_AGAIN), counts) {
                return (counts, true);
            }
            match Live::open(&interface.options) {
                Ok(live) => {
                    tracing::info!("[{}] is there; capturing", interface.options.interface);
                    (interface.live, said) = (Some(live), None);
                }
                // That is what is waited for.
                Err(LiveError::NoInterface { .. } | LiveError::NotUp { .. }) => {}
                Err(error) if said.as_ref() == Some(&error) => {}
                Err(error) => {
                    tracing::error!("{error}; trying again");
                    said = Some(error);
                }
            }
        }
    }
}

/// A file whose last record is cut is what a killed `tcpdump -w` leaves: all whole records were accounted.
fn say_how_it_ended(result: Result<(), &SavefileError>) -> bool {
    match result {
        Ok(()) => tracing::info!("finished reading PCAP capture file"),
        Err(error @ SavefileError::Cut { .. }) => tracing::warn!("{error}; all that is whole was accounted"),
        Err(error) => {
            tracing::error!("{error}; what comes before was accounted, what comes after was not");
            return false;
        }
    }
    true
}
