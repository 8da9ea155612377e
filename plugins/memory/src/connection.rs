//! One connection: a question is read, checked, asked of the plugin's thread, and answered.

use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use rpmacct_plugin::{Counters, Host, Schema};
use rpmacct_query::{
    Answer, AnswerWriter, Context, CountsRequest, Other, QueryError, Request, RowsRequest, Selection, Shape,
    Status, Sum, Then, greet, listen, refuse,
};

use crate::access::{Access, Peer};
use crate::matcher::Matcher;
use crate::server::Count;
use crate::sink::{NoToken, Pick, Picked, Picking, Question};
use crate::timed::Timed;
use crate::top;

/// For the question to come.
const TO_ASK: Duration = Duration::from_secs(10);
/// For everything captured before it to be absorbed.
const TO_SETTLE: Duration = Duration::from_secs(5);
/// For the plugin's thread to take the question up.
const TO_START: Duration = Duration::from_secs(10);
/// For the plugin's thread to answer.
const TO_PICK: Duration = Duration::from_secs(30);
/// For the client to take the answer.
const TO_ANSWER: Duration = Duration::from_secs(60);

/// What is needed to answer.
pub(crate) struct Desk {
    pub(crate) name: String,
    pub(crate) schema: Arc<Schema>,
    pub(crate) host: Arc<dyn Host>,
    pub(crate) access: Access,
    pub(crate) questions: Sender<Question>,
    pub(crate) buckets: u64,
}

/// Why a question is not answered.
enum Failure {
    /// The client is told.
    Refused(String),
    /// There is nobody to tell.
    Gone,
}

impl From<QueryError> for Failure {
    fn from(_: QueryError) -> Self {
        Self::Gone
    }
}

/// Serves one connection to its end.
pub(crate) fn serve(stream: UnixStream, peer: Peer, place: &Count) {
    let mut stream = Timed::new(stream, TO_ASK, place.is_crowded());
    if greet(&mut stream).is_err() {
        return;
    }
    let result = match listen(&mut stream) {
        Ok(request) => {
            let _answering = place.answering();
            stream.extend(TO_ANSWER);
            place.desk().answer(request, peer, &mut stream)
        }
        Err(error @ (QueryError::Malformed { .. } | QueryError::TooLong { .. })) => {
            Err(Failure::Refused(error.to_string()))
        }
        Err(_) => Err(Failure::Gone),
    };
    if let Err(Failure::Refused(why)) = result {
        let _ = refuse(&mut stream, &why);
    }
}

impl Desk {
    fn answer(&self, request: Request, peer: Peer, stream: &mut Timed) -> Result<(), Failure> {
        if request.changes_table() && !self.access.may_change(peer) {
            return Err(Failure::Refused(self.access.rule()));
        }
        let (by, cancel) = (peer.uid, stream.cancel());
        let nothing = Picking { pick: Pick::Nothing, since: None, then: Then::Keep, by, cancel };
        match request {
            Request::Rows(request) => self.rows(request, nothing, stream),
            Request::Counts(request) => self.sums(request, nothing, stream),
            Request::Erase => {
                let complete = self.host.settle(TO_SETTLE);
                let packets = self.pick(Picking { then: Then::Erase, ..nothing })?.status.packets;
                reply(&Answer::Erased { packets }, complete, stream)
            }
            Request::Status => {
                let status = self.status(&self.pick(nothing)?);
                reply(&Answer::Status(status), true, stream)
            }
            Request::Ledger => reply(&Answer::Ledger(self.host.ledger()), true, stream),
        }
    }

    fn rows(&self, request: RowsRequest, nothing: Picking, stream: &mut Timed) -> Result<(), Failure> {
        let RowsRequest { selection, top, since, then } = request;
        let matcher = selection.map(|selection| self.matcher(&selection)).transpose()?;
        if then == Then::Reset && matcher.is_none() {
            return Err(Failure::Refused("a reset needs a selection".into()));
        }
        let complete = self.host.settle(TO_SETTLE);
        let pick = matcher.clone().map_or(Pick::All, Pick::Matching);
        let picked = self.pick(Picking { pick, since, then, ..nothing })?;
        stream.extend(TO_ANSWER);
        let mut scratch = Vec::new();
        let is_wanted = |(key, _): &(&[u8], Counters)| {
            matcher.as_ref().is_none_or(|matcher| matcher.matches(key, &mut scratch))
        };
        let rows = picked.rows().filter(is_wanted);
        // It is none of the largest few, and matches only what everything matches.
        let is_row = top.is_none_or(|top| top.rows.is_none())
            && matcher.as_ref().is_none_or(|matcher| matcher.match_all().next().is_some());
        let answer = Answer::Table(Shape::of(&self.schema), context(&picked, is_row));
        let mut answer = AnswerWriter::new(stream, &answer, complete)?;
        match top {
            Some(top) => {
                for (key, counters) in top::select(rows, top) {
                    answer.row(key, &counters)?;
                }
            }
            None => {
                for (key, counters) in rows {
                    answer.row(key, &counters)?;
                }
            }
        }
        Ok(answer.end()?)
    }

    fn sums(&self, request: CountsRequest, nothing: Picking, stream: &mut Timed) -> Result<(), Failure> {
        let CountsRequest { selection, since, then } = request;
        let matcher = self.matcher(&selection)?;
        let complete = self.host.settle(TO_SETTLE);
        let pick = Pick::Matching(Arc::clone(&matcher));
        let picked = self.pick(Picking { pick, since, then, ..nothing })?;
        let mut sums = vec![Sum::default(); matcher.queries()];
        let mut scratch = Vec::new();
        for (key, counters) in picked.rows() {
            matcher.each_query(key, &mut scratch, |number| add(&mut sums[number], &counters));
        }
        let other = picked.other().unwrap_or_default();
        if other != Counters::default() {
            matcher.match_all().for_each(|number| add(&mut sums[number], &other));
        }
        stream.extend(TO_ANSWER);
        let is_row = (1..=matcher.match_all().count()).contains(&matcher.queries());
        reply(&Answer::Sums(sums, context(&picked, is_row)), complete, stream)
    }

    fn matcher(&self, selection: &Selection) -> Result<Arc<Matcher>, Failure> {
        Matcher::new(selection, &self.schema).map(Arc::new).map_err(Failure::Refused)
    }

    fn status(&self, Picked { status, .. }: &Picked) -> Status {
        Status {
            name: self.name.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            aggregate: self.schema.aggregate(),
            customs: Shape::of(&self.schema).customs,
            entries: status.entries as u64,
            packets: status.packets,
            memory: status.memory as u64,
            buckets: self.buckets,
            erased_before: status.erased.map(|moment| moment.elapsed().as_secs()),
        }
    }

    /// Asks the plugin's thread.
    fn pick(&self, request: Picking) -> Result<Picked, Failure> {
        let (reply, picked) = bounded(1);
        let expires = Instant::now() + TO_START;
        let ending = || Failure::Refused("the daemon is ending".into());
        self.questions.send(Question { request, expires, reply }).map_err(|_| ending())?;
        self.host.wake();
        match picked.recv_timeout(TO_PICK) {
            Ok(picked) => picked
                .map_err(|NoToken(text)| Failure::Refused(format!("'{text}' is not a token of rpmacct"))),
            Err(RecvTimeoutError::Disconnected) if Instant::now() < expires => Err(ending()),
            Err(_) => Err(Failure::Refused("the daemon is too busy to answer".into())),
        }
    }
}

/// What the answer is about, besides its rows or sums.
fn context(picked: &Picked, is_row: bool) -> Context {
    let other = |Counters { packets, bytes, flows, tcp_flags }| Other {
        packets,
        bytes,
        flows,
        tcp_flags,
        is_row: is_row && packets > 0,
    };
    Context { other: picked.other().map(other), increments: picked.increments.clone() }
}

fn reply(answer: &Answer, complete: bool, stream: &mut Timed) -> Result<(), Failure> {
    Ok(AnswerWriter::new(stream, answer, complete)?.end()?)
}

fn add(sum: &mut Sum, counters: &Counters) {
    sum.packets += counters.packets;
    sum.bytes += counters.bytes;
    sum.flows += counters.flows;
    sum.entries += 1;
}
