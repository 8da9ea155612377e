//! The table, and what is done with it on the plugin's thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use nix::unistd::Uid;
use rpmacct_plugin::{Batch, Context, OpenError, Sink, SinkError, Snapshot, SumTable, Tallies, Timestamp};
use rpmacct_query::Then;

use crate::access::Access;
use crate::connection::Desk;
use crate::keys::Settings;
use crate::matcher::Matcher;
use crate::server::Server;
use crate::socket;

/// How long the end of the daemon waits for answers that are under way.
const GRACE: Duration = Duration::from_secs(2);

/// Sums records and answers questions.
pub(crate) struct MemorySink {
    table: SumTable,
    key_len: usize,
    tallies: Arc<Tallies>,
    questions: Receiver<Question>,
    server: Server,
    /// A person's clock, not that of the traffic: a savefile's time stands still.
    erased: Option<Instant>,
}

/// What a connection's thread asks of the plugin's.
pub(crate) struct Question {
    pub(crate) request: Picking,
    /// After this nobody waits for the answer any more, and nothing may be changed.
    pub(crate) expires: Instant,
    pub(crate) reply: Sender<Picked>,
}

/// What to take out of the table, and what to leave in it.
pub(crate) struct Picking {
    pub(crate) pick: Pick,
    pub(crate) then: Then,
    /// Who asks, for the log.
    pub(crate) by: Uid,
}

/// Which entries an answer needs.
#[derive(Clone)]
pub(crate) enum Pick {
    /// None: only numbers are wanted.
    Nothing,
    All,
    /// At least those that match.
    Matching(Arc<Matcher>),
}

/// The table in the moment of the question.
pub(crate) struct Picked {
    /// At least the entries that were asked for.
    pub(crate) rows: Snapshot,
    pub(crate) status: TableStatus,
}

/// Numbers of the table before anything was erased.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TableStatus {
    pub(crate) entries: usize,
    pub(crate) packets: u64,
    pub(crate) memory: usize,
    pub(crate) erased: Option<Instant>,
}

impl MemorySink {
    pub(crate) fn open(settings: Settings, context: Context<'_>) -> Result<Self, OpenError> {
        let (socket, listener) = socket::open(&settings)?;
        let (ask, questions) = crossbeam_channel::unbounded(); // bounded by the number of connections
        let key_len = context.schema.key_len();
        let desk = Desk {
            name: context.name.to_owned(),
            schema: context.schema,
            host: context.host,
            access: Access { group: settings.group },
            questions: ask,
        };
        let server = Server::start(listener, socket, desk)?;
        let tallies = context.tallies;
        Ok(Self { table: SumTable::new(key_len), key_len, tallies, questions, server, erased: None })
    }

    fn answer_all(&mut self) {
        while let Ok(question) = self.questions.try_recv() {
            self.answer(question);
        }
    }

    fn answer(&mut self, question: Question) {
        let Question { request, expires, reply } = question;
        if Instant::now() < expires {
            let status = self.status();
            let rows = self.pick(&request);
            // Who has hung up meanwhile does not want to know.
            let _ = reply.send(Picked { rows, status });
        }
    }

    fn status(&self) -> TableStatus {
        TableStatus {
            entries: self.table.len(),
            packets: self.tallies.in_table.count(),
            memory: self.table.memory(),
            erased: self.erased,
        }
    }

    fn pick(&mut self, Picking { pick, then, by }: &Picking) -> Snapshot {
        match (then, pick) {
            (Then::Erase, _) => {
                self.erased = Some(Instant::now());
                self.count_erased(self.tallies.in_table.count(), "erased", *by);
                self.table.take()
            }
            (Then::Reset, Pick::Matching(matcher)) => self.reset(matcher, *by),
            (Then::Keep, Pick::Matching(matcher)) => self.find(matcher),
            (_, Pick::All) => self.table.snapshot(),
            (_, Pick::Nothing) => SumTable::new(self.key_len).snapshot(),
        }
    }

    /// What matches, and perhaps more.
    fn find(&mut self, matcher: &Matcher) -> Snapshot {
        let Some(keys) = matcher.exact_keys() else { return self.table.snapshot() };
        let mut found = SumTable::new(self.key_len);
        for key in keys {
            if let Some(counters) = self.table.get(key) {
                found.add(key, counters);
            }
        }
        found.take()
    }

    /// What matches, and perhaps more; what matches then counts from zero.
    fn reset(&mut self, matcher: &Matcher, by: Uid) -> Snapshot {
        let found = self.find(matcher);
        let mut scratch = Vec::new();
        let mut packets = 0;
        for (key, counters) in found.iter().filter(|(key, _)| matcher.matches(key, &mut scratch)) {
            self.table.reset(key);
            packets += counters.packets;
        }
        self.count_erased(packets, "reset", by);
        found
    }

    fn count_erased(&self, packets: u64, what: &str, by: Uid) {
        let Tallies { in_table, purged, erased, .. } = &*self.tallies;
        in_table.take(packets);
        purged.add(packets);
        erased.add(packets);
        tracing::info!("{packets} packets {what} by uid {by}");
    }
}

impl Sink for MemorySink {
    fn absorb(&mut self, batch: &Batch<'_>) -> Result<(), SinkError> {
        self.table.add_batch(batch);
        self.tallies.in_table.add(batch.packets());
        // Not only in `tick`: there is none while batches come without a pause.
        self.answer_all();
        Ok(())
    }

    fn tick(&mut self, _now: Timestamp) -> Result<(), SinkError> {
        self.answer_all();
        Ok(())
    }

    fn finish(mut self: Box<Self>, _now: Timestamp) -> Result<(), SinkError> {
        let removed = self.server.stop();
        let end = Instant::now() + GRACE;
        while self.server.is_answering() && Instant::now() < end {
            if let Ok(question) = self.questions.recv_timeout(Duration::from_millis(10)) {
                self.answer(question);
            }
        }
        removed
    }
}
