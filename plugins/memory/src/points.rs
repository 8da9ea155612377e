//! Moments of the table that tokens stand for, so that any number of readers get exact increments.
//!
//! A point is a snapshot: it shares with the table what was not written to since. The increment since a point is
//! the table now, minus the point, plus what was reset in between. Points are bounded in number and memory; who
//! comes with a token whose point is gone is told so, and never gets a wrong increment.
//!
//! ```text
//! token:  instance of the plugin ─ generation of the table ─ number of the point
//! ```

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::time::SystemTime;

use rpmacct_plugin::{Counters, Snapshot, Timestamp};
use rpmacct_query::Basis;

/// Points at once. A reader that goes from token to token keeps two.
const MAX_POINTS: usize = 1024;
/// Points whose reader has gone on to the next one. They stay for a while: it may have failed to write its
/// token down, or share it with another reader.
const MAX_PASSED: usize = 16;

/// The points of one table.
#[derive(Debug)]
pub(crate) struct Points {
    /// Another one at each start.
    instance: u64,
    /// Counts the erasures.
    generation: u64,
    /// When the table was last empty.
    born: Timestamp,
    next: u64,
    /// In the order of their numbers.
    kept: VecDeque<Point>,
    /// What was reset since the oldest point.
    resets: VecDeque<Reset>,
    /// Bytes that points and resets may hold.
    limit: usize,
}

#[derive(Debug)]
struct Point {
    number: u64,
    at: Timestamp,
    table: Snapshot,
    /// The point that its reader had before.
    parent: Option<u64>,
    /// Its reader has gone on.
    is_passed: bool,
    /// Bytes that it holds and the next point does not.
    memory: usize,
}

/// A reset happened while `point` was the newest.
#[derive(Debug)]
struct Reset {
    point: u64,
    key: Box<[u8]>,
    counters: Counters,
}

/// Where an increment begins.
#[derive(Debug)]
pub(crate) struct Base {
    pub(crate) basis: Basis,
    pub(crate) at: Timestamp,
    pub(crate) begin: Begin,
}

#[derive(Debug)]
pub(crate) enum Begin {
    /// When the table was empty: all that is in it was added.
    Empty,
    /// At a point.
    Point(Earlier),
    /// At the moment of the question: nothing was added.
    Now,
}

/// The table as it was, and what was taken out of it since.
#[derive(Debug)]
pub(crate) struct Earlier {
    table: Snapshot,
    resets: HashMap<Box<[u8]>, Counters>,
    number: u64,
}

impl Points {
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            instance: RandomState::new().hash_one(std::process::id()),
            generation: 0,
            born: now(),
            next: 0,
            kept: VecDeque::new(),
            resets: VecDeque::new(),
            limit,
        }
    }

    /// The point that a token stands for. `None` if the text is no token.
    pub(crate) fn find(&mut self, token: &str) -> Option<Base> {
        let mut parts = token.split('-');
        let mut number = |radix| u64::from_str_radix(parts.next()?, radix).ok();
        let (instance, generation, number) = (number(16)?, number(10)?, number(10)?);
        if parts.next().is_some() {
            return None;
        }
        let whole = |basis| Base { basis, at: self.born, begin: Begin::Empty };
        if instance != self.instance {
            return Some(whole(Basis::Restarted));
        }
        if generation != self.generation {
            return Some(whole(Basis::Erased));
        }
        let Some(place) = self.place(number) else { return Some(whole(Basis::Forgotten)) };
        let Point { at, ref table, parent, .. } = self.kept[place];
        let begin = Begin::Point(self.earlier(table.clone(), number));
        // Who has this token has done with the one before.
        if let Some(parent) = parent.and_then(|parent| self.place(parent)) {
            self.kept[parent].is_passed = true;
        }
        Some(Base { basis: Basis::Asked, at, begin })
    }

    /// When the table was empty.
    pub(crate) fn start(&self) -> Base {
        Base { basis: Basis::Asked, at: self.born, begin: Begin::Empty }
    }

    /// Makes the table of this moment a point, and gives its token.
    pub(crate) fn add(&mut self, table: Snapshot, parent: Option<&Base>) -> (String, Timestamp) {
        let (number, at) = (self.next, now());
        self.next += 1;
        if let Some(last) = self.kept.back_mut() {
            last.memory = last.table.memory_beside(&table);
        }
        let parent = parent.and_then(|base| match &base.begin {
            Begin::Point(earlier) => Some(earlier.number),
            Begin::Empty | Begin::Now => None,
        });
        self.kept.push_back(Point { number, at, table, parent, is_passed: false, memory: 0 });
        self.forget_what_is_too_much();
        (format!("{:016x}-{}-{number}", self.instance, self.generation), at)
    }

    /// Notes what was reset: it was added all the same.
    pub(crate) fn reset(&mut self, key: &[u8], counters: Counters) {
        if let Some(newest) = self.kept.back() {
            self.resets.push_back(Reset { point: newest.number, key: key.into(), counters });
        }
    }

    /// The table was erased.
    pub(crate) fn erase(&mut self) {
        self.generation += 1;
        self.born = now();
        self.kept.clear();
        self.resets.clear();
    }

    /// Keeps within the bounds, the oldest go first. Points take more memory as the table is written to.
    pub(crate) fn forget_what_is_too_much(&mut self) {
        while self.kept.iter().filter(|point| point.is_passed).count() > MAX_PASSED {
            self.forget(self.kept.iter().position(|point| point.is_passed).unwrap_or(0));
        }
        while !self.kept.is_empty() && (self.kept.len() > MAX_POINTS || self.memory() > self.limit) {
            self.forget(self.kept.iter().position(|point| point.is_passed).unwrap_or(0));
        }
    }

    /// Bytes that points and resets hold beside the table.
    pub(crate) fn memory(&self) -> usize {
        let resets = self.resets.front().map_or(0, |reset| reset.key.len() + size_of::<Reset>());
        let newest = self.kept.back().map_or(0, |point| point.table.own_memory());
        resets * self.resets.len() + newest + self.kept.iter().map(|point| point.memory).sum::<usize>()
    }

    /// Whether there is nothing to keep within bounds.
    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    fn place(&self, number: u64) -> Option<usize> {
        self.kept.binary_search_by_key(&number, |point| point.number).ok()
    }

    fn forget(&mut self, place: usize) {
        self.kept.remove(place);
        // What the point before shared with the forgotten one it may now hold alone.
        if place > 0 {
            let (before, after) = (&self.kept[place - 1], self.kept.get(place));
            self.kept[place - 1].memory = after.map_or(0, |after| before.table.memory_beside(&after.table));
        }
        let oldest = self.kept.front().map_or(u64::MAX, |point| point.number);
        while self.resets.front().is_some_and(|reset| reset.point < oldest) {
            self.resets.pop_front();
        }
    }

    fn earlier(&self, table: Snapshot, number: u64) -> Earlier {
        let mut resets = HashMap::<Box<[u8]>, Counters>::new();
        for reset in self.resets.iter().filter(|reset| reset.point >= number) {
            resets.entry(reset.key.clone()).or_default().add(reset.counters);
        }
        Earlier { table, resets, number }
    }
}

impl Base {
    /// Nothing, with a beginning now.
    pub(crate) fn now() -> Self {
        Self { basis: Basis::Asked, at: now(), begin: Begin::Now }
    }
}

impl Earlier {
    /// What was added to each key between this and a later moment. Flags are those of the row's whole life: an OR
    /// can't be undone.
    pub(crate) fn increments<'a>(
        &'a self,
        now: &'a Snapshot,
    ) -> impl Iterator<Item = (&'a [u8], Counters)> + use<'a> {
        now.changes(&self.table).filter_map(|(key, now, then)| {
            let reset = self.resets.get(key).copied().unwrap_or_default();
            let added = minus(now, then, reset);
            (added.packets > 0 || added.bytes > 0).then_some((key, added))
        })
    }

    /// What was added to the sum of all keys that found the table full.
    pub(crate) fn other(&self, now: &Snapshot) -> Counters {
        minus(now.other(), self.table.other(), Counters::default())
    }
}

/// What was added: what there is more now, and what was taken out in between.
fn minus(now: Counters, then: Counters, reset: Counters) -> Counters {
    let added = |now: u64, then: u64, reset: u64| now.wrapping_sub(then).wrapping_add(reset);
    Counters {
        packets: added(now.packets, then.packets, reset.packets),
        bytes: added(now.bytes, then.bytes, reset.bytes),
        flows: added(now.flows, then.flows, reset.flows),
        ..now
    }
}

/// The wall's clock: intervals are for people, and for whoever compares them with other logs.
fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_nanos(i64::try_from(since_epoch.as_nanos()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use rpmacct_plugin::SumTable;

    use super::*;

    const PLENTY: usize = 1 << 30;

    fn count(table: &mut SumTable, key: u64, packets: u64) {
        table.add(&key.to_be_bytes(), Counters { packets, bytes: 10 * packets, flows: 0, tcp_flags: 0 });
    }

    fn added(base: &Base, table: &mut SumTable) -> Vec<(u64, u64)> {
        let now = table.snapshot();
        let Begin::Point(earlier) = &base.begin else { panic!() };
        let key = |key: &[u8]| u64::from_be_bytes(key.try_into().unwrap());
        earlier.increments(&now).map(|(k, counters)| (key(k), counters.packets)).collect()
    }

    #[test]
    fn increments_survive_resets() {
        let (mut points, mut table) = (Points::new(PLENTY), SumTable::new(8));
        count(&mut table, 1, 100);
        let (first, _) = points.add(table.snapshot(), None);
        count(&mut table, 1, 20);
        count(&mut table, 2, 1);
        points.reset(&1u64.to_be_bytes(), table.reset(&1u64.to_be_bytes()).unwrap());
        let (second, _) = points.add(table.snapshot(), None);
        count(&mut table, 1, 3);
        assert_eq!(added(&points.find(&first).unwrap(), &mut table), [(1, 23), (2, 1)]);
        assert_eq!(added(&points.find(&second).unwrap(), &mut table), [(1, 3)]);
    }

    #[test]
    fn tokens_that_are_not_known() {
        let (mut points, mut table) = (Points::new(PLENTY), SumTable::new(8));
        let (token, _) = points.add(table.snapshot(), None);
        let mut others = Points::new(PLENTY);
        assert_eq!(others.find(&token).unwrap().basis, Basis::Restarted);
        points.erase();
        table.clear();
        assert_eq!(points.find(&token).unwrap().basis, Basis::Erased);
        for nonsense in ["", "-", "1-2", "1-2-3-4", "x-0-0", "1-2-3x", "0", "ffffffffffffffffff-0-0"] {
            assert!(points.find(nonsense).is_none(), "{nonsense}");
        }
    }

    #[test]
    fn who_goes_on_lets_go() {
        let (mut points, mut table) = (Points::new(PLENTY), SumTable::new(8));
        let (steady, _) = points.add(table.snapshot(), None);
        let (mut token, _) = points.add(table.snapshot(), None);
        for n in 0..5_000 {
            count(&mut table, n % 50, 1);
            let base = points.find(&token).unwrap();
            assert_eq!(added(&base, &mut table), [(n % 50, 1)]);
            (token, _) = points.add(table.snapshot(), Some(&base));
        }
        assert!(points.kept.len() <= MAX_PASSED + 3, "{}", points.kept.len());
        let all = added(&points.find(&steady).unwrap(), &mut table);
        assert_eq!(all, (0..50).map(|n| (n, 100)).collect::<Vec<_>>());
    }

    #[test]
    fn too_many_or_too_large_are_forgotten_oldest_first() {
        let (mut points, mut table) = (Points::new(PLENTY), SumTable::new(8));
        let tokens: Vec<_> = (0..=MAX_POINTS).map(|_| points.add(table.snapshot(), None).0).collect();
        assert_eq!(points.find(&tokens[0]).unwrap().basis, Basis::Forgotten);
        assert_eq!(points.find(&tokens[1]).unwrap().basis, Basis::Asked);

        let mut points = Points::new(3 << 20);
        (0..50_000).for_each(|n| count(&mut table, n, 1)); // 2 MB
        let tokens: Vec<_> = (0..4)
            .map(|_| {
                let token = points.add(table.snapshot(), None).0;
                (0..50_000).for_each(|n| count(&mut table, n, 1));
                points.forget_what_is_too_much();
                assert!(points.memory() <= 3 << 20);
                token
            })
            .collect();
        let basis = |points: &mut Points, n: usize| points.find(&tokens[n]).unwrap().basis;
        assert_eq!(basis(&mut points, 3), Basis::Asked);
        assert_eq!(basis(&mut points, 0), Basis::Forgotten);
    }

    #[test]
    fn resets_are_kept_for_points_only() {
        let (mut points, mut table) = (Points::new(PLENTY), SumTable::new(8));
        count(&mut table, 1, 1);
        points.reset(&1u64.to_be_bytes(), table.reset(&1u64.to_be_bytes()).unwrap());
        assert!(points.resets.is_empty());
        points.add(table.snapshot(), None);
        count(&mut table, 1, 1);
        points.reset(&1u64.to_be_bytes(), table.reset(&1u64.to_be_bytes()).unwrap());
        assert_eq!(points.resets.len(), 1);
        points.forget(0);
        assert!(points.resets.is_empty() && points.is_empty());
    }

    /// What happens to a table that three readers follow.
    #[derive(Debug, Clone)]
    enum Event {
        Count { key: u64, packets: u64 },
        Reset { key: u64 },
        Read { reader: usize },
        Erase,
    }

    fn event() -> impl Strategy<Value = Event> {
        // So many keys that a point often shares some chunks with the table, and not others.
        let key = prop_oneof![0..8u64, 0..6_000u64];
        prop_oneof![
            60 => (key.clone(), 1..5u64).prop_map(|(key, packets)| Event::Count { key, packets }),
            20 => key.prop_map(|key| Event::Reset { key }),
            20 => (0..3usize).prop_map(|reader| Event::Read { reader }),
            1 => Just(Event::Erase),
        ]
    }

    proptest! {
        #[test]
        fn whatever_happens_increments_are_exact_or_said_to_be_the_table(
            events in prop::collection::vec(event(), 1..300),
            limit in prop_oneof![Just(PLENTY), 100_000..1_000_000usize],
        ) {
            let (mut points, mut table) = (Points::new(limit), SumTable::new(8));
            (0..6_000).for_each(|key| count(&mut table, key, 1));
            let start = points.add(table.snapshot(), None).0;
            // For each reader its token, and what it must be told next.
            let mut readers = vec![(start, BTreeMap::<u64, u64>::new()); 3];
            let mut erased = [false; 3];
            for event in events {
                match event {
                    Event::Count { key, packets } => {
                        count(&mut table, key, packets);
                        for (_, due) in &mut readers {
                            *due.entry(key).or_default() += packets;
                        }
                    }
                    Event::Reset { key } => {
                        if let Some(counters) = table.reset(&key.to_be_bytes()) {
                            points.reset(&key.to_be_bytes(), counters);
                        }
                    }
                    Event::Erase => {
                        table.clear();
                        points.erase();
                        erased = [true; 3];
                    }
                    Event::Read { reader } => {
                        points.forget_what_is_too_much();
                        let (token, due) = &mut readers[reader];
                        let base = points.find(token).unwrap();
                        let now = table.snapshot();
                        let told = |rows: &mut dyn Iterator<Item = (&[u8], Counters)>| -> BTreeMap<u64, u64> {
                            rows.map(|(key, c)| (u64::from_be_bytes(key.try_into().unwrap()), c.packets)).collect()
                        };
                        match &base.begin {
                            Begin::Point(earlier) => {
                                prop_assert_eq!(base.basis, Basis::Asked);
                                prop_assert!(!erased[reader]);
                                prop_assert_eq!(&told(&mut earlier.increments(&now)), &*due);
                            }
                            _ if erased[reader] => prop_assert_eq!(base.basis, Basis::Erased),
                            _ => {
                                prop_assert_eq!(base.basis, Basis::Forgotten);
                                prop_assert!(limit < PLENTY);
                            }
                        }
                        *token = points.add(now, Some(&base)).0;
                        due.clear();
                        erased[reader] = false;
                    }
                }
            }
        }
    }
}
