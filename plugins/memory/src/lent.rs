//! Snapshots that answers under way still need, and a bound on what they hold together.
//!
//! A client that takes its answer slowly keeps a snapshot alive. A thousand of them must not cost a thousand
//! tables: when the snapshots hold too much, the oldest answer is broken off, which its client notices.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use rpmacct_plugin::Snapshot;

/// Told when an answer is broken off.
pub(crate) type Cancel = Arc<AtomicBool>;

/// The snapshots that answers hold.
#[derive(Debug)]
pub(crate) struct Lent {
    /// Oldest first.
    snapshots: VecDeque<(Weak<Snapshot>, Cancel)>,
    /// Bytes that they may hold together, whatever the size of the table.
    always: usize,
}

impl Lent {
    pub(crate) fn new(always: usize) -> Self {
        Self { snapshots: VecDeque::new(), always }
    }

    pub(crate) fn add(&mut self, snapshot: &Arc<Snapshot>, cancel: Cancel) {
        self.snapshots.push_back((Arc::downgrade(snapshot), cancel));
    }

    /// Whether no answer is under way.
    pub(crate) fn is_empty(&self) -> bool {
        self.snapshots.is_empty()
    }

    /// Breaks off the oldest answers until all of them together hold no more than twice the table.
    pub(crate) fn keep_within(&mut self, table: usize) {
        self.snapshots.retain(|(snapshot, _)| snapshot.strong_count() > 0);
        let limit = self.always.max(2 * table);
        let alive: Vec<_> = self.snapshots.iter().filter_map(|(snapshot, _)| snapshot.upgrade()).collect();
        // Mostly they are few, and it need not be known what they share.
        if alive.iter().map(|snapshot| snapshot.memory()).sum::<usize>() <= limit {
            return;
        }
        let between = alive.windows(2).map(|pair| pair[0].memory_beside(&pair[1]));
        let mut held = between.sum::<usize>() + alive.last().map_or(0, |newest| newest.own_memory());
        for pair in alive.windows(2) {
            if held <= limit {
                break;
            }
            held -= pair[0].memory_beside(&pair[1]);
            if let Some((_, cancel)) = self.snapshots.pop_front() {
                cancel.store(true, Ordering::Release);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use rpmacct_plugin::{Counters, SumTable};

    use super::*;

    const ENTRIES: u64 = 50_000; // 1.6 MB

    fn count_all(table: &mut SumTable) {
        let one = Counters { packets: 1, ..Counters::default() };
        (0..ENTRIES).for_each(|n| table.add(&n.to_be_bytes(), one));
    }

    #[test]
    fn the_oldest_is_broken_off_when_they_hold_too_much() {
        let mut table = SumTable::new(8);
        count_all(&mut table);
        let (mut lent, mut answers) = (Lent::new(8 << 20), Vec::new());
        for _ in 0..12 {
            let (snapshot, cancel) = (Arc::new(table.snapshot()), Cancel::default());
            lent.add(&snapshot, Arc::clone(&cancel));
            answers.push((snapshot, cancel));
            lent.keep_within(table.memory());
            count_all(&mut table);
        }
        lent.keep_within(table.memory());
        let broken: Vec<bool> = answers.iter().map(|(_, cancel)| cancel.load(Ordering::Acquire)).collect();
        let count = broken.iter().filter(|broken| **broken).count();
        assert!((6..9).contains(&count), "{broken:?}");
        assert!(broken.is_sorted_by(|a, b| a >= b), "the oldest first: {broken:?}");
        drop(answers);
        lent.keep_within(table.memory());
        assert!(lent.is_empty());
    }

    #[test]
    fn snapshots_that_share_everything_are_many() {
        let mut table = SumTable::new(8);
        count_all(&mut table);
        let mut lent = Lent::new(8 << 20);
        let answers: Vec<_> = (0..400).map(|_| (Arc::new(table.snapshot()), Cancel::default())).collect();
        for (snapshot, cancel) in &answers {
            lent.add(snapshot, Arc::clone(cancel));
        }
        lent.keep_within(table.memory());
        assert!(answers.iter().all(|(_, cancel)| !cancel.load(Ordering::Acquire)));
    }
}
