//! Points on their way out, as lines, by the lane that they take.

use crate::destination::Ring;
use crate::values::Number;

/// Which lane a series takes. There is one for each destination that has a share, or one for all.
#[derive(Debug)]
pub(crate) struct Router(Option<Ring>);

impl Router {
    /// One lane for all series.
    pub(crate) const fn single() -> Self {
        Self(None)
    }

    /// A lane for each destination of the ring.
    pub(crate) const fn hashing(ring: Ring) -> Self {
        Self(Some(ring))
    }

    /// The lane of a series.
    pub(crate) fn lane(&self, name: &[u8]) -> u16 {
        self.0.as_ref().map_or(0, |ring| ring.destination(name))
    }
}

/// Points that are sent, kept and lost together: those of an interval, or a part of them.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Block {
    /// `NAME VALUE TIME\n` for each point.
    pub(crate) lines: Vec<u8>,
    pub(crate) points: u64,
    /// Packets that the points stand for. Each packet is in one block, however many series count it.
    pub(crate) packets: u64,
}

/// Collects points into blocks.
#[derive(Debug)]
pub(crate) struct Outbox {
    /// A block in the making for each lane.
    drafts: Vec<Block>,
    ready: Vec<(u16, Block)>,
    /// What a line ends with.
    time: Vec<u8>,
}

/// Blocks have about this many bytes at most: what is kept, sent and lost as a whole should be small.
const LARGEST: usize = 128 * 1024;

impl Outbox {
    pub(crate) fn new(lanes: usize) -> Self {
        Self { drafts: vec![Block::default(); lanes], ready: Vec::new(), time: Vec::new() }
    }

    /// The points that follow have this time.
    pub(crate) fn begin(&mut self, time: i64) {
        self.time = format!(" {time}\n").into_bytes();
    }

    /// Adds the points of a flow, which counted so many packets.
    #[inline]
    pub(crate) fn points<'a>(&mut self, points: impl Iterator<Item = (&'a [u8], u16, Number)>, packets: u64) {
        let mut packets = packets;
        for (name, lane, value) in points {
            let draft = &mut self.drafts[lane as usize];
            draft.lines.extend_from_slice(name);
            draft.lines.push(b' ');
            value.write(&mut draft.lines);
            draft.lines.extend_from_slice(&self.time);
            draft.points += 1;
            draft.packets += std::mem::take(&mut packets);
            if draft.lines.len() >= LARGEST {
                self.ready.push((lane, std::mem::take(draft)));
            }
        }
    }

    /// The interval is complete.
    pub(crate) fn end(&mut self) {
        for (lane, draft) in self.drafts.iter_mut().enumerate().filter(|(_, draft)| draft.points > 0) {
            self.ready.push((lane as u16, std::mem::take(draft)));
        }
    }

    /// The blocks that are complete, with their lanes.
    pub(crate) fn take(&mut self) -> impl Iterator<Item = (u16, Block)> + '_ {
        self.ready.drain(..)
    }
}
