//! What plugins may ask of the daemon, and the ledger.

use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use crossbeam_channel::{Sender, bounded};
use rpmacct_capture::Doorbell;
use rpmacct_core::{Control, Report};
use rpmacct_ledger::{Balance, Tally};
use rpmacct_pipe::{Counts, Waker};
use rpmacct_plugin::Host;

use crate::runner::{Absorbed, Command};

/// How long the ledger waits for a thread that is busy.
const PATIENCE: Duration = Duration::from_secs(2);

/// The lines to the core and to all plugins. Known only when all of them are open.
pub(crate) struct Switchboard {
    pub(crate) core: CoreLine,
    pub(crate) plugins: Vec<PluginLine>,
}

/// The line to the core's thread.
pub(crate) struct CoreLine {
    /// Name of the interface or savefile.
    pub(crate) source: String,
    /// Name of what the source received.
    pub(crate) received: &'static str,
    pub(crate) control: Sender<Control>,
    pub(crate) doorbell: Doorbell,
    /// What the kernel dropped.
    pub(crate) drops: Arc<Tally>,
    /// Flows that were forgotten for want of room.
    pub(crate) forgotten_flows: Arc<Tally>,
}

/// The line to a plugin's thread.
pub(crate) struct PluginLine {
    /// `name/type`.
    pub(crate) speaker: String,
    pub(crate) commands: Sender<Command>,
    pub(crate) waker: Waker,
    pub(crate) pipe: Counts,
}

impl CoreLine {
    fn ask<T>(&self, request: impl FnOnce(Sender<T>) -> Control, timeout: Duration) -> Option<T> {
        let (reply, answer) = bounded(1);
        self.control.send_timeout(request(reply), timeout).ok()?;
        self.doorbell.ring();
        answer.recv_timeout(timeout).ok()
    }

    pub(crate) fn stop(&self) {
        let _ = self.control.send_timeout(Control::Stop, PATIENCE);
        self.doorbell.ring();
    }
}

impl PluginLine {
    pub(crate) fn command(&self, command: Command) -> bool {
        let sent = self.commands.send_timeout(command, PATIENCE).is_ok();
        self.waker.wake();
        sent
    }
}

impl Switchboard {
    /// Everything captured before this call has been absorbed by a plugin.
    fn settle(&self, plugin: usize, timeout: Duration) -> bool {
        let end = Instant::now() + timeout;
        let request = |reply| Control::Settle { pipeline: plugin, reply };
        let Some(batches) = self.core.ask(request, timeout) else { return false };
        let Some(line) = self.plugins.get(plugin) else { return false };
        if line.pipe.batches_taken() >= batches {
            return true;
        }
        let (reply, reached) = bounded(1);
        line.command(Command::Reached(batches, reply)) && reached.recv_deadline(end).is_ok()
    }

    /// All balances. Plugins are asked before the core, so that what is on its way between them is in the
    /// pipe, never negative.
    pub(crate) fn ledger(&self) -> Vec<Balance> {
        let absorbed: Vec<_> = self
            .plugins
            .iter()
            .map(|line| {
                let (reply, answer) = bounded(1);
                let asked = line.command(Command::Count(reply));
                asked.then(|| answer.recv_timeout(PATIENCE).ok()).flatten()
            })
            .collect();
        let report = self.core.ask(|reply| Control::Count { reply }, PATIENCE);
        report.map(|report| self.balances(&report, absorbed)).unwrap_or_default()
    }

    /// The balances from counts that are known.
    pub(crate) fn balances(&self, report: &Report, absorbed: Vec<Option<Absorbed>>) -> Vec<Balance> {
        let mut balances = vec![report.balance(&self.core.source, self.core.received)];
        for (i, (line, absorbed)) in self.plugins.iter().zip(absorbed).enumerate() {
            if let Some(absorbed) = absorbed {
                balances.push(report.way_balance(i, &line.speaker, absorbed.absorbed));
                balances.extend(absorbed.balances);
            } else {
                // It has failed, or is busy: only what it took from the pipe is known.
                let of = format!("{} (does not answer)", line.speaker);
                balances.push(report.way_balance(i, &of, line.pipe.taken()));
            }
        }
        balances
    }
}

/// One plugin's view of the daemon. It is given to the plugin before the switchboard is complete.
pub(crate) struct PluginHost {
    pub(crate) plugin: usize,
    pub(crate) waker: Waker,
    pub(crate) switchboard: Arc<OnceLock<Switchboard>>,
}

impl Host for PluginHost {
    fn settle(&self, timeout: Duration) -> bool {
        self.switchboard.get().is_some_and(|board| board.settle(self.plugin, timeout))
    }

    fn wake(&self) {
        self.waker.wake();
    }

    fn ledger(&self) -> Vec<Balance> {
        self.switchboard.get().map(Switchboard::ledger).unwrap_or_default()
    }
}
