//! What takes time and must not be done on the plugin's thread: asking the daemon.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use rpmacct_plugin::{Host, OpenError, Timestamp};

use crate::health::Health;

/// How long the daemon may take to settle.
const PATIENCE: Duration = Duration::from_secs(2);

/// Errands that may wait.
const QUEUE: usize = 8;

/// The sink's side of the attendant's thread. The thread ends after this is dropped.
#[derive(Debug)]
pub(crate) struct Attendant {
    errands: Sender<Errand>,
    settled: Receiver<Option<Timestamp>>,
}

enum Errand {
    Settle(Timestamp),
    Health(Timestamp),
}

impl Attendant {
    pub(crate) fn start(host: Arc<dyn Host>, health: Option<Health>) -> Result<Self, OpenError> {
        let (errands, received) = bounded::<Errand>(QUEUE);
        let (answers, settled) = bounded(QUEUE);
        let mut health = health;
        let serve = move || {
            for errand in received {
                match errand {
                    Errand::Settle(now) => {
                        let answer = host.settle(PATIENCE).then_some(now);
                        if answers.try_send(answer).is_err_and(|error| error.is_disconnected()) {
                            return;
                        }
                        host.wake();
                    }
                    Errand::Health(now) => {
                        if let Some(health) = &mut health {
                            health.report(now, &host.ledger());
                        }
                    }
                }
            }
        };
        let spawned = thread::Builder::new().name("carbon-asks".to_owned()).spawn(serve);
        spawned.map_err(|source| OpenError::Io { doing: "starting a thread".to_owned(), source })?;
        Ok(Self { errands, settled })
    }

    /// Asks that everything that was captured before `now`, which is now, be absorbed. False if it has too much
    /// to do already.
    pub(crate) fn settle(&self, now: Timestamp) -> bool {
        self.errand(Errand::Settle(now))
    }

    /// The answers: the time that was given, or nothing if the daemon did not settle.
    pub(crate) fn settled(&self) -> impl Iterator<Item = Option<Timestamp>> + '_ {
        self.settled.try_iter()
    }

    /// Asks for the points of the daemon's own health.
    pub(crate) fn report(&self, now: Timestamp) {
        self.errand(Errand::Health(now));
    }

    fn errand(&self, errand: Errand) -> bool {
        !matches!(self.errands.try_send(errand), Err(TrySendError::Full(_) | TrySendError::Disconnected(_)))
    }
}
