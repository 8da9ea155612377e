//! The table, and what is done with it on the plugin's thread.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender};
use nix::unistd::Uid;
use rpmacct_plugin::{
    Batch, Context, Counters, OpenError, Sink, SinkError, Snapshot, SumTable, Tallies, Timestamp,
};
use rpmacct_query::{Increments, Since, Then};

use crate::access::Access;
use crate::connection::Desk;
use crate::keys::Settings;
use crate::lent::{Cancel, Lent};
use crate::matcher::Matcher;
use crate::points::{Base, Begin, Points};
use crate::server::Server;
use crate::socket;

/// How long the end of the daemon waits for answers that are under way.
const GRACE: Duration = Duration::from_secs(2);
/// Bytes that the snapshots of answers under way may hold, or twice the table if that is more.
const LENT: usize = 256 << 20;
/// How often the memory that increments and answers take is looked at.
const WATCH: Duration = Duration::from_millis(100);

/// Sums records and answers questions.
pub(crate) struct MemorySink {
    table: SumTable,
    key_len: usize,
    tallies: Arc<Tallies>,
    questions: Receiver<Question>,
    server: Server,
    /// A person's clock, not that of the traffic: a savefile's time stands still.
    erased: Option<Instant>,
    /// Most entries of the table.
    limit: usize,
    /// That the table is full is said once, until it is erased.
    said_full: bool,
    /// What the tokens of clients stand for.
    points: Points,
    /// What answers under way hold.
    lent: Lent,
    /// When the memory of `points` and `lent` was last looked at.
    watched: Instant,
}

/// What a connection's thread asks of the plugin's.
pub(crate) struct Question {
    pub(crate) request: Picking,
    /// After this nobody waits for the answer any more, and nothing may be changed.
    pub(crate) expires: Instant,
    pub(crate) reply: Sender<Result<Picked, NoToken>>,
}

/// What to take out of the table, and what to leave in it.
pub(crate) struct Picking {
    pub(crate) pick: Pick,
    pub(crate) since: Option<Since>,
    pub(crate) then: Then,
    /// Who asks, for the log.
    pub(crate) by: Uid,
    /// Breaks the answer off.
    pub(crate) cancel: Cancel,
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
    pub(crate) rows: Arc<Snapshot>,
    pub(crate) status: TableStatus,
    /// Where the increments begin, if these are wanted.
    pub(crate) base: Option<Base>,
    /// What the increments are of.
    pub(crate) increments: Option<Increments>,
}

/// Why nothing was picked: the token is none.
pub(crate) struct NoToken(pub(crate) String);

impl Picked {
    /// The entries, or what was added to them; at least those that were asked for.
    pub(crate) fn rows(&self) -> Box<dyn Iterator<Item = (&[u8], Counters)> + '_> {
        match self.base.as_ref().map(|base| &base.begin) {
            None | Some(Begin::Empty) => Box::new(self.rows.iter()),
            Some(Begin::Point(earlier)) => Box::new(earlier.increments(&self.rows)),
            Some(Begin::Now) => Box::new(std::iter::empty()),
        }
    }

    /// The sum of all keys that found the table full, or what was added to it; `None` if the table is not full.
    pub(crate) fn other(&self) -> Option<Counters> {
        let other = match self.base.as_ref().map(|base| &base.begin) {
            None | Some(Begin::Empty) => self.status.other,
            Some(Begin::Point(earlier)) => earlier.other(&self.rows),
            Some(Begin::Now) => Counters::default(),
        };
        (self.status.other != Counters::default()).then_some(other)
    }
}

/// Numbers of the table before anything was erased.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TableStatus {
    pub(crate) entries: usize,
    pub(crate) packets: u64,
    pub(crate) memory: usize,
    pub(crate) erased: Option<Instant>,
    /// The sum of all keys that found the table full.
    pub(crate) other: Counters,
}

impl MemorySink {
    pub(crate) fn open(settings: Settings, context: Context<'_>) -> Result<Self, OpenError> {
        let (socket, listener) = socket::open(&settings)?;
        let (ask, questions) = crossbeam_channel::unbounded(); // bounded by the number of connections
        let key_len = context.schema.key_len();
        let limit = settings.max_entries(key_len);
        let desk = Desk {
            name: context.name.to_owned(),
            schema: context.schema,
            host: context.host,
            access: Access { group: settings.group },
            questions: ask,
            buckets: settings.buckets as u64,
        };
        let server = Server::start(listener, socket, desk)?;
        let tallies = context.tallies;
        Ok(Self {
            table: SumTable::with_limit(key_len, limit),
            key_len,
            tallies,
            questions,
            server,
            erased: None,
            limit,
            said_full: false,
            points: Points::new(settings.since_size),
            lent: Lent::new(LENT),
            watched: Instant::now(),
        })
    }

    fn answer_all(&mut self) {
        while let Ok(question) = self.questions.try_recv() {
            self.answer(question);
        }
    }

    fn answer(&mut self, question: Question) {
        let Question { request, expires, reply } = question;
        if Instant::now() < expires {
            let picked = self.pick(request);
            // Who has hung up meanwhile does not want to know.
            let _ = reply.send(picked);
        }
    }

    fn pick(&mut self, picking: Picking) -> Result<Picked, NoToken> {
        let Picking { pick, since, then, by, cancel } = picking;
        let base = since.map(|since| self.base(since)).transpose()?;
        let status = self.status();
        // A token stands for the whole table, whatever was asked for.
        let rows = Arc::new(if base.is_some() { self.table.snapshot() } else { self.find(&pick) });
        self.lent.add(&rows, cancel);
        self.lent.keep_within(self.table.memory());
        if then == Then::Erase {
            self.erase(by);
        }
        let increments = base.as_ref().map(|base| {
            let (token, to) = self.points.add(self.table.snapshot(), Some(base));
            Increments { token, from: base.at.as_nanos(), to: to.as_nanos(), basis: base.basis }
        });
        if let (Then::Reset, Pick::Matching(matcher)) = (then, &pick) {
            self.reset(&rows, matcher, by);
        }
        Ok(Picked { rows, status, base, increments })
    }

    fn base(&mut self, since: Since) -> Result<Base, NoToken> {
        self.points.forget_what_is_too_much();
        match since {
            Since::Start => Ok(self.points.start()),
            Since::Now => Ok(Base::now()),
            Since::Token(token) => self.points.find(&token).ok_or(NoToken(token)),
        }
    }

    fn status(&self) -> TableStatus {
        TableStatus {
            entries: self.table.len(),
            packets: self.tallies.in_table.count(),
            memory: self.table.memory() + self.points.memory(),
            erased: self.erased,
            other: self.table.other(),
        }
    }

    /// What was asked for, and perhaps more.
    fn find(&mut self, pick: &Pick) -> Snapshot {
        match pick {
            Pick::Nothing => SumTable::new(self.key_len).take(),
            Pick::All => self.table.snapshot(),
            Pick::Matching(matcher) => self.find_matching(matcher),
        }
    }

    fn find_matching(&mut self, matcher: &Matcher) -> Snapshot {
        let Some(keys) = matcher.exact_keys() else { return self.table.snapshot() };
        let mut found = SumTable::new(self.key_len);
        for key in keys {
            if let Some(counters) = self.table.get(key) {
                found.add(key, counters);
            }
        }
        found.take()
    }

    /// What matches counts from zero.
    fn reset(&mut self, found: &Snapshot, matcher: &Matcher, by: Uid) {
        let mut scratch = Vec::new();
        let mut packets = 0;
        for (key, counters) in found.iter().filter(|(key, _)| matcher.matches(key, &mut scratch)) {
            self.table.reset(key);
            self.points.reset(key, counters);
            packets += counters.packets;
        }
        self.count_erased(packets, "reset", by);
    }

    fn erase(&mut self, by: Uid) {
        self.erased = Some(Instant::now());
        self.count_erased(self.tallies.in_table.count(), "erased", by);
        self.table.clear();
        self.points.erase();
        self.said_full = false;
    }

    /// Looks after the bounds.
    fn watch(&mut self) {
        if !self.said_full && self.table.other() != Counters::default() {
            self.said_full = true;
            tracing::warn!(
                "the table is full, at {} entries: keys that are new are summed in the row 'other' until it is \
                 erased (rpmacct -e); imt_mem_pools_number and imt_mem_pools_size limit it",
                self.limit
            );
        }
        let nothing = self.points.is_empty() && self.lent.is_empty();
        if !nothing && self.watched.elapsed() >= WATCH {
            self.points.forget_what_is_too_much();
            self.lent.keep_within(self.table.memory());
            self.watched = Instant::now();
        }
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
        self.watch();
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
