//! The rows of one purge that go into one file.

use std::io;

use rpmacct_plugin::{BinSums, Counters, Span, Timestamp};
use rpmacct_primitives::Moments;

use crate::preprocess::{Judge, Preprocess};

/// Rows that are written together.
#[derive(Debug)]
pub(crate) struct Share {
    rows: Contents,
    /// Packets that they count.
    pub(crate) packets: u64,
    /// The beginning of their bin of time, or of nothing if there are none.
    pub(crate) inserted: Timestamp,
    /// When they were purged.
    pub(crate) updated: Timestamp,
}

#[derive(Debug)]
enum Contents {
    /// All rows of a bin that the judge lets pass.
    All(BinSums, Option<Judge>),
    /// Copies of some rows, so that the others' memory is free.
    Some { key_len: usize, keys: Vec<u8>, counters: Vec<Counters>, spans: Vec<Span> },
}

impl Share {
    /// The rows of a bin that are wanted, and the packets of those that are not.
    pub(crate) fn judged(sums: BinSums, preprocess: &Preprocess, updated: Timestamp) -> (Self, u64) {
        let judge = preprocess.judge(&sums);
        let packets = match &judge {
            None => sums.packets,
            Some(judge) => {
                let wanted = sums.rows().filter(|(key, counters)| judge.judge(key, *counters).is_some());
                wanted.map(|(_, counters)| counters.packets).sum()
            }
        };
        let (inserted, erased) = (begin(&sums), sums.packets - packets);
        (Self { rows: Contents::All(sums, judge), packets, inserted, updated }, erased)
    }

    /// No rows of the bin of `sums` yet.
    pub(crate) fn none(sums: &BinSums, key_len: usize, updated: Timestamp) -> Self {
        let rows = Contents::Some { key_len, keys: Vec::new(), counters: Vec::new(), spans: Vec::new() };
        Self { rows, packets: 0, inserted: begin(sums), updated }
    }

    /// Adds a row, shown with `counters`, that counts `packets`.
    pub(crate) fn push(&mut self, key: &[u8], shown: Counters, span: Option<Span>, packets: u64) {
        if let Contents::Some { keys, counters, spans, .. } = &mut self.rows {
            spans.extend(span);
            keys.extend_from_slice(key);
            counters.push(shown);
            self.packets += packets;
        }
    }

    /// Rows that are kept in memory for it.
    pub(crate) fn len(&self) -> usize {
        match &self.rows {
            Contents::All(sums, _) => sums.len(),
            Contents::Some { counters, .. } => counters.len(),
        }
    }

    /// Calls `write` for each row, in the order in which their keys first came.
    #[inline]
    pub(crate) fn each(
        &self,
        mut write: impl FnMut(&[u8], &Counters, Option<&Span>) -> io::Result<()>,
    ) -> io::Result<()> {
        match &self.rows {
            Contents::All(sums, judge) => sums.rows().enumerate().try_for_each(|(n, (key, counters))| {
                let shown = judge.as_ref().map_or(Some(counters), |judge| judge.judge(key, counters));
                shown.map_or(Ok(()), |shown| write(key, &shown, sums.spans().get(n)))
            }),
            Contents::Some { key_len, keys, counters, spans } => {
                counters.iter().enumerate().try_for_each(|(n, counters)| {
                    let at = n * key_len;
                    write(&keys[at..at + key_len], counters, spans.get(n))
                })
            }
        }
    }

    /// The times of a row.
    #[inline]
    pub(crate) fn moments(&self, span: Option<&Span>) -> Moments {
        let span = span.copied().unwrap_or(Span { first: Timestamp::ZERO, last: Timestamp::ZERO });
        let Self { inserted, updated, .. } = *self;
        Moments { first: span.first, last: span.last, inserted, updated }
    }
}

fn begin(sums: &BinSums) -> Timestamp {
    sums.bin.as_ref().map_or(Timestamp::ZERO, |bin| Timestamp::from_secs_nanos(bin.start, 0))
}
