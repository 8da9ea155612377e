//! What one destination has not got yet, and what it got last, in order.
//!
//! ```text
//!   sent, repeated if the connection breaks │ waiting
//!   ────────────────────────────────────────┼──────────────────▶ new blocks
//!                                           ▲ next; on a new connection it goes back to the beginning
//! ```
//! Only what waits is bounded; what was sent is kept for a while. A block's octets are in memory, or in the
//! journal on disk, or in both.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::journal::Place;
use crate::link::SEND_BUFFER;
use crate::outbox::Block;

/// Octets of blocks that stay in memory although they are in the journal.
const IN_MEMORY: usize = 8 << 20;

/// The queue of one lane.
#[derive(Debug)]
pub(crate) struct Queue {
    entries: VecDeque<Entry>,
    /// Blocks that ever were in it: the number of the next one.
    numbers: u64,
    /// Entries that were sent at least once. Invariant: those at the front.
    sent: usize,
    /// The entry to send next. Invariant: at most `sent`.
    next: usize,
    /// Whether that entry is being sent.
    in_flight: bool,
    /// Octets that wait.
    waiting: usize,
    /// Octets that may wait.
    bound: usize,
    /// How long what was sent is kept.
    resend: Duration,
    counts: Counts,
}

/// A block in the queue.
#[derive(Debug)]
struct Entry {
    parcel: Parcel,
    points: u64,
    packets: u64,
    /// Octets of the lines.
    len: usize,
    /// When it was sent last, and how many octets had been sent by then. Set in the entries that were sent.
    sent: Option<(Instant, u64)>,
}

/// A block to send or to store.
#[derive(Debug, Clone)]
pub(crate) struct Parcel {
    /// Invariant: ascending in the queue.
    pub(crate) number: u64,
    pub(crate) points: u64,
    pub(crate) lines: Option<Arc<[u8]>>,
    pub(crate) place: Option<Place>,
}

/// What became of points, and of the packets that they stand for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Points that were made, or found in the journal.
    pub(crate) points: u64,
    pub(crate) sent: u64,
    pub(crate) lost: u64,
    /// Points that were sent once more.
    pub(crate) repeated: u64,
    pub(crate) packets_sent: u64,
    pub(crate) packets_lost: u64,
    /// Octets of lines that were sent, repeated ones included.
    pub(crate) octets: u64,
    /// Octets of lines that wait.
    pub(crate) waiting_octets: u64,
}

impl Counts {
    /// Points that wait.
    pub(crate) fn waiting(&self) -> u64 {
        self.points - self.sent - self.lost
    }
}

impl Counts {
    /// The sums of two lanes' counts.
    pub(crate) fn and(self, other: Self) -> Self {
        Self {
            points: self.points + other.points,
            sent: self.sent + other.sent,
            lost: self.lost + other.lost,
            repeated: self.repeated + other.repeated,
            packets_sent: self.packets_sent + other.packets_sent,
            packets_lost: self.packets_lost + other.packets_lost,
            octets: self.octets + other.octets,
            waiting_octets: self.waiting_octets + other.waiting_octets,
        }
    }
}

impl Queue {
    pub(crate) fn new(bound: usize, resend: Duration) -> Self {
        Self {
            entries: VecDeque::new(),
            numbers: 0,
            sent: 0,
            next: 0,
            in_flight: false,
            waiting: 0,
            bound,
            resend,
            counts: Counts::default(),
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        Counts { waiting_octets: self.waiting as u64, ..self.counts }
    }

    /// Whether a block of so many octets would make older ones be lost.
    pub(crate) fn is_full(&self, len: usize) -> bool {
        self.waiting + len > self.bound && self.loose() < self.entries.len()
    }

    /// Adds a block. The oldest that wait make room for it: they are lost.
    pub(crate) fn push(&mut self, block: Block) {
        while self.is_full(block.lines.len()) {
            self.lose(self.loose());
        }
        let Block { lines, points, packets } = block;
        self.add(points, packets, lines.len(), Some(lines.into()), None);
    }

    /// Adds a block that an earlier run of the daemon left in the journal. Its packets are not of this run.
    pub(crate) fn recover(&mut self, points: u64, place: Place) {
        self.add(points, 0, place.len as usize, None, Some(place));
    }

    /// Takes the next block for sending.
    pub(crate) fn take(&mut self) -> Option<Parcel> {
        let entry = self.entries.get(self.next)?;
        self.in_flight = true;
        Some(entry.parcel.clone())
    }

    /// Whether there is something to send.
    pub(crate) fn has_next(&self) -> bool {
        self.next < self.entries.len()
    }

    /// What was taken has been sent.
    pub(crate) fn sent(&mut self, now: Instant) {
        self.in_flight = false;
        let is_new = self.next == self.sent;
        let Some(entry) = self.entries.get_mut(self.next) else { return };
        self.counts.octets += entry.len as u64;
        entry.sent = Some((now, self.counts.octets));
        self.next += 1;
        if is_new {
            self.sent += 1;
            self.waiting -= entry.len;
            self.counts.sent += entry.points;
            self.counts.packets_sent += entry.packets;
        } else {
            self.counts.repeated += entry.points;
        }
        self.forget(now);
    }

    /// What was taken has not been sent, and won't be.
    pub(crate) fn lose_taken(&mut self) {
        self.in_flight = false;
        if self.next == self.sent {
            self.lose(self.next);
        } else {
            self.entries.remove(self.next);
            self.sent -= 1;
        }
    }

    /// A new connection: what was sent last goes again.
    pub(crate) fn rewind(&mut self) {
        self.next = 0;
        self.in_flight = false;
    }

    /// Blocks that are not in the journal yet.
    pub(crate) fn unstored(&self) -> Vec<Parcel> {
        let stored =
            self.entries.iter().rposition(|entry| entry.parcel.place.is_some()).map_or(0, |at| at + 1);
        self.entries.range(stored..).map(|entry| entry.parcel.clone()).collect()
    }

    /// Whether there are blocks that are not in the journal.
    pub(crate) fn has_unstored(&self) -> bool {
        self.entries.back().is_some_and(|entry| entry.parcel.place.is_none())
    }

    /// A block is in the journal.
    pub(crate) fn stored(&mut self, number: u64, place: Place) {
        let at = self.entries.partition_point(|entry| entry.parcel.number < number);
        let Some(entry) = self.entries.get_mut(at).filter(|entry| entry.parcel.number == number) else {
            return;
        };
        entry.parcel.place = Some(place);
        if self.waiting > IN_MEMORY {
            entry.parcel.lines = None;
        }
    }

    /// Where the journal's first block lies that is still needed.
    pub(crate) fn first_place(&self) -> Option<Place> {
        self.entries.iter().find_map(|entry| entry.parcel.place)
    }

    /// Where the journal's first block lies that waits.
    pub(crate) fn first_waiting_place(&self) -> Option<Place> {
        self.entries.range(self.sent..).find_map(|entry| entry.parcel.place)
    }

    /// All that waits and is not in the journal is lost: nobody will send it.
    pub(crate) fn abandon(&mut self) {
        self.in_flight = false;
        let mut at = self.sent;
        while let Some(entry) = self.entries.get(at) {
            if entry.parcel.place.is_some() {
                at += 1;
            } else {
                self.lose(at);
            }
        }
    }

    /// The first entry that waits and is not being sent.
    fn loose(&self) -> usize {
        self.sent + usize::from(self.in_flight && self.next == self.sent)
    }

    fn lose(&mut self, at: usize) {
        if let Some(entry) = self.entries.remove(at) {
            self.waiting -= entry.len;
            self.counts.lost += entry.points;
            self.counts.packets_lost += entry.packets;
        }
    }

    fn add(&mut self, points: u64, packets: u64, len: usize, lines: Option<Arc<[u8]>>, place: Option<Place>) {
        self.counts.points += points;
        self.waiting += len;
        let parcel = Parcel { number: self.numbers, points, lines, place };
        self.numbers += 1;
        self.entries.push_back(Entry { parcel, points, packets, len, sent: None });
    }

    /// Forgets what was sent long ago: longer than `resend`, and not in the kernel's buffer any more.
    fn forget(&mut self, now: Instant) {
        while self.next > 0 {
            let Some((at, octets)) = self.entries.front().and_then(|entry| entry.sent) else { return };
            let is_old = now.saturating_duration_since(at) > self.resend;
            let has_left = self.counts.octets - octets > 2 * SEND_BUFFER as u64; // Linux doubles what is asked for
            if self.resend > Duration::ZERO && !(is_old && has_left) {
                return;
            }
            self.entries.pop_front();
            self.next -= 1;
            self.sent -= 1;
        }
    }
}
