//! The summing table: keys with their counters, in the order of their first record.
//!
//! Entries lie in chunks of up to 64 KiB, one after the other; an index finds the entry of a key by its hash.
//!
//! ```text
//! entry:  packets │ bytes │ flows: bits 0 to 55, TCP flags: 56 to 63 │ key, zeros behind it
//! index:  (hash u32, number of the entry u32)
//! ```
//! An entry is whole words of eight octets; that of a pair of hosts is one cache line. Chunks never move and
//! the index holds the hashes, so growing touches neither keys nor counters. A snapshot shares the chunks; one
//! that is written to afterwards is copied first. So a query costs the writer one copy of the chunks that it
//! touches, and never a pause for the whole table. Entries never move either, so what was added between two
//! snapshots is found by comparing those chunks that they do not share.
//!
//! A table may have a limit. Keys that find it full are summed together, beside the entries: no counter is lost.
//!
//! A large table is bound by memory: a key costs a miss of the cache in the index, and one in the entries.
//! [`SumTable::add_batch`] therefore looks at the index for a group of records first, then at their entries,
//! and only then adds: the processor waits for many of them at once, not for one after the other.
#![allow(
    clippy::inline_always,
    reason = "the length of an entry has to reach the innermost loops as a constant"
)]

use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use rpmacct_primitives::record::{counters, key_words};
use rpmacct_primitives::{Counters, Word, Words, are_equal, number, word};

use crate::Batch;

/// Places of the words of an entry.
const PACKETS: usize = 0;
const BYTES: usize = 1;
const FLOWS: usize = 2;
const KEY: usize = 3;

/// Where the TCP flags begin in the word of the flows.
const TCP_FLAGS: u32 = 56;

/// The most words of a chunk; a table of one entry takes one chunk.
const CHUNK: usize = 64 * 1024 / size_of::<Word>();

/// Records that are looked up together.
const GROUP: usize = 32;

/// Sums counters by key.
#[derive(Debug)]
pub struct SumTable {
    shape: Shape,
    chunks: Vec<Chunk>,
    index: HashTable<Slot>,
    /// Seeded anew for each table: who sends packets can't choose keys that collide.
    hasher: RandomState,
    /// Entries, those that were reset included.
    len: usize,
    /// Invariant: `len <= limit <= MAX_ENTRIES`.
    limit: usize,
    /// The sum of all keys that found the table full.
    other: Counters,
}

/// The index numbers entries in 32 bits.
const MAX_ENTRIES: usize = u32::MAX as usize;

/// Where things lie, for keys of one length.
#[derive(Debug, Clone, Copy)]
struct Shape {
    /// Octets of a key.
    key_len: usize,
    /// Words of an entry.
    words: usize,
    /// Entries of a chunk, as a power of two.
    chunk_bits: u32,
}

impl Shape {
    fn new(key_len: usize) -> Self {
        let words = KEY + key_len.div_ceil(size_of::<Word>());
        Self { key_len, words, chunk_bits: (CHUNK / words).max(1).ilog2() }
    }

    /// The chunk of an entry, and where the entry begins in it.
    #[inline]
    fn place(self, entry: usize) -> (usize, usize) {
        (entry >> self.chunk_bits, (entry & ((1 << self.chunk_bits) - 1)) * self.words)
    }

    /// Words of a chunk.
    fn chunk_words(self) -> usize {
        self.words << self.chunk_bits
    }
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    hash: u32,
    entry: u32,
}

impl Slot {
    /// The hash as the index wants it: it takes bits from both ends.
    fn spread(self) -> u64 {
        spread(self.hash)
    }
}

#[inline]
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[derive(Debug)]
enum Chunk {
    /// Nobody else reads it.
    Own(Words),
    /// A snapshot reads it, or did.
    Shared(Arc<Words>),
}

impl Chunk {
    #[inline]
    fn words(&self) -> &[Word] {
        match self {
            Self::Own(words) => words,
            Self::Shared(words) => words,
        }
    }

    /// The words to write to: a chunk that a snapshot still reads is copied first.
    #[inline]
    fn words_mut(&mut self) -> &mut [Word] {
        if let Self::Shared(shared) = self {
            *self = Self::Own(Self::own(shared));
        }
        match self {
            Self::Own(words) => words,
            Self::Shared(_) => &mut [],
        }
    }

    #[cold]
    fn own(shared: &mut Arc<Words>) -> Words {
        Arc::try_unwrap(std::mem::take(shared)).unwrap_or_else(|shared| Words::clone(&shared))
    }

    fn share(&mut self) -> Arc<Words> {
        if let Self::Own(words) = self {
            *self = Self::Shared(Arc::new(std::mem::take(words)));
        }
        match self {
            Self::Shared(shared) => Arc::clone(shared),
            Self::Own(_) => Arc::default(),
        }
    }
}

impl SumTable {
    /// An empty table for keys of `key_len` octets.
    pub fn new(key_len: usize) -> Self {
        Self::with_limit(key_len, MAX_ENTRIES)
    }

    /// An empty table that never has more than `limit` entries.
    pub fn with_limit(key_len: usize, limit: usize) -> Self {
        Self {
            shape: Shape::new(key_len),
            chunks: Vec::new(),
            index: HashTable::new(),
            hasher: RandomState::default(),
            len: 0,
            limit: limit.min(MAX_ENTRIES),
            other: Counters::default(),
        }
    }

    /// How many entries with keys of `key_len` octets fit into so many bytes, their index included.
    pub fn entries_within(bytes: usize, key_len: usize) -> usize {
        let entry = Shape::new(key_len).words * size_of::<Word>();
        // hashbrown's buckets are a power of two, with a byte of control each, and full at 7/8.
        let bucket = size_of::<Slot>() + 1;
        let fits = |buckets: usize| {
            let left = bytes.saturating_sub(buckets.saturating_mul(bucket));
            (left / entry).min(buckets / 8 * 7)
        };
        (3..usize::BITS - 8).map(|log| fits(1 << log)).max().unwrap_or(0).min(MAX_ENTRIES)
    }

    /// Adds the counters of all records of a batch.
    pub fn add_batch(&mut self, batch: &Batch<'_>) {
        for group in batch.groups(GROUP) {
            // The same code for the lengths that most people sum by (an address, a pair of hosts, with ports
            // and protocol), so that it is compiled for them without loops.
            match self.shape.words {
                6 => self.add_group(6, group),
                8 => self.add_group(8, group),
                words => self.add_group(words, group),
            }
        }
    }

    /// Adds the records of a group, which are at most [`GROUP`].
    #[inline(always)]
    fn add_group(&mut self, words: usize, group: &[Word]) {
        let mut hashes = [0; GROUP];
        let mut entries = [None; GROUP];
        let records = || group.chunks_exact(words);
        for (record, (hash, entry)) in records().zip(hashes.iter_mut().zip(&mut entries)) {
            *hash = self.hash(key_words(record).iter().copied());
            *entry =
                self.index.find(spread(*hash), |slot| slot.hash == *hash).map(|slot| slot.entry as usize);
        }
        // Those of other keys that have the same hash are left to `find`.
        for (record, entry) in records().zip(&mut entries) {
            *entry = entry.filter(|entry| are_equal(self.key(words, *entry), key_words(record)));
        }
        for (record, (hash, entry)) in records().zip(hashes.iter().zip(entries)) {
            match entry.or_else(|| self.find_or_insert(*hash, key_words(record).iter().copied())) {
                Some(entry) => self.add_to(words, entry, counters(record)),
                None => self.other.add(counters(record)),
            }
        }
    }

    /// Adds counters to the entry of a key, which is made if there is none; in a full table, to
    /// [`Self::other`].
    pub fn add(&mut self, key: &[u8], counters: Counters) {
        self.add_numbered(key, counters);
    }

    /// The same; returns the number of the entry. A new one has the next number.
    pub fn add_numbered(&mut self, key: &[u8], counters: Counters) -> Option<usize> {
        let key = words_of(key);
        let entry = self.find_or_insert(self.hash(key.clone()), key);
        match entry {
            Some(entry) => self.add_to(self.shape.words, entry, counters),
            None => self.other.add(counters),
        }
        entry
    }

    /// The counters of a key.
    pub fn get(&self, key: &[u8]) -> Option<Counters> {
        let counters = read_counters(self.entry(self.shape.words, self.find_octets(key)?));
        is_live(&counters).then_some(counters)
    }

    /// Sets the counters of a key to zero and returns what they were. The entry is shown again when it
    /// counts something.
    pub fn reset(&mut self, key: &[u8]) -> Option<Counters> {
        let entry = self.find_octets(key)?;
        let entry = self.entry_mut(self.shape.words, entry);
        let counters = read_counters(entry);
        write_counters(entry, Counters::default());
        is_live(&counters).then_some(counters)
    }

    /// Entries, those that were reset and have not counted since included.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The sum of all keys that found the table full.
    pub fn other(&self) -> Counters {
        self.other
    }

    /// Bytes that the table holds.
    pub fn memory(&self) -> usize {
        self.chunks.len() * self.shape.chunk_words() * size_of::<Word>() + self.index.allocation_size()
    }

    /// Forgets all entries and gives their memory back.
    pub fn clear(&mut self) {
        self.chunks = Vec::new();
        self.index = HashTable::new();
        self.len = 0;
        self.other = Counters::default();
    }

    /// The table as it is now. Costs a reference for each chunk, whatever is in it.
    pub fn snapshot(&mut self) -> Snapshot {
        Snapshot {
            shape: self.shape,
            chunks: self.chunks.iter_mut().map(Chunk::share).collect(),
            len: self.len,
            other: self.other,
        }
    }

    /// Takes all entries out.
    pub fn take(&mut self) -> Snapshot {
        let snapshot = self.snapshot();
        self.clear();
        snapshot
    }

    /// The entries, in the order in which their keys first came.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Counters)> {
        entries(self.shape, self.chunks.iter().map(Chunk::words), self.len)
    }

    #[inline]
    fn hash(&self, key: impl Iterator<Item = Word>) -> u32 {
        let mut hasher = self.hasher.build_hasher();
        key.for_each(|word| hasher.write_u64(number(word)));
        let hash = hasher.finish();
        (hash ^ hash >> 32) as u32
    }

    fn find_octets(&self, key: &[u8]) -> Option<usize> {
        let key = words_of(key);
        self.find(self.hash(key.clone()), &key)
    }

    #[inline]
    fn find(&self, hash: u32, key: &(impl Iterator<Item = Word> + Clone)) -> Option<usize> {
        let is_key = |entry: u32| self.key(self.shape.words, entry as usize).iter().copied().eq(key.clone());
        let found = self.index.find(spread(hash), |slot| slot.hash == hash && is_key(slot.entry));
        found.map(|slot| slot.entry as usize)
    }

    /// The entry of a key; `None` if it has none and the table is full.
    fn find_or_insert(&mut self, hash: u32, key: impl Iterator<Item = Word> + Clone) -> Option<usize> {
        let found = self.find(hash, &key);
        found.or_else(|| (self.len < self.limit).then(|| self.insert(hash, key)))
    }

    fn insert(&mut self, hash: u32, key: impl Iterator<Item = Word>) -> usize {
        let entry = self.len;
        if self.shape.place(entry).0 == self.chunks.len() {
            self.chunks.push(Chunk::Own(Words::zeros(self.shape.chunk_words())));
        }
        let place = &mut self.entry_mut(self.shape.words, entry)[KEY..];
        place.iter_mut().zip(key).for_each(|(to, from)| *to = from);
        self.index.insert_unique(spread(hash), Slot { hash, entry: entry as u32 }, |slot| slot.spread());
        self.len += 1;
        entry
    }

    #[inline(always)]
    fn add_to(&mut self, words: usize, entry: usize, counters: Counters) {
        let entry = self.entry_mut(words, entry);
        let mut sum = read_counters(entry);
        sum.add(counters);
        write_counters(entry, sum);
    }

    #[inline(always)]
    fn entry(&self, words: usize, entry: usize) -> &[Word] {
        let (chunk, at) = self.shape.place(entry);
        &self.chunks[chunk].words()[at..at + words]
    }

    #[inline(always)]
    fn entry_mut(&mut self, words: usize, entry: usize) -> &mut [Word] {
        let (chunk, at) = self.shape.place(entry);
        &mut self.chunks[chunk].words_mut()[at..at + words]
    }

    #[inline(always)]
    fn key(&self, words: usize, entry: usize) -> &[Word] {
        &self.entry(words, entry)[KEY..]
    }
}

/// A table as it was at one moment. Cheap to make, safe to send to another thread.
#[derive(Debug, Clone)]
pub struct Snapshot {
    shape: Shape,
    chunks: Vec<Arc<Words>>,
    len: usize,
    other: Counters,
}

impl Snapshot {
    /// The entries, in the order in which their keys first came. Entries that were reset are left out.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Counters)> {
        entries(self.shape, self.chunks.iter().map(|chunk| &***chunk), self.len)
    }

    /// An upper bound of the entries: those that were reset are counted.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no entries.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The sum of all keys that found the table full.
    pub fn other(&self) -> Counters {
        self.other
    }

    /// Entries that may have changed since an earlier snapshot of the same table, which was not cleared in
    /// between: their keys, what they count, and what they counted then. Those that were reset are there, too.
    pub fn changes<'a>(
        &'a self,
        since: &'a Self,
    ) -> impl Iterator<Item = (&'a [u8], Counters, Counters)> + use<'a> {
        let Shape { key_len, words, chunk_bits } = self.shape;
        let changed = self.chunks.iter().enumerate().filter(|(number, chunk)| {
            since.chunks.get(*number).is_none_or(|earlier| !Arc::ptr_eq(chunk, earlier))
        });
        changed.flat_map(move |(number, chunk)| {
            let earlier = since.chunks.get(number);
            let entries = chunk.chunks_exact(words).enumerate();
            let entries = entries.take(self.len - (number << chunk_bits));
            entries.map(move |(place, entry)| {
                let was_there = (number << chunk_bits) + place < since.len;
                let then = earlier
                    .filter(|_| was_there)
                    .map_or_else(Counters::default, |chunk| read_counters(&chunk[place * words..][..words]));
                (&entry[KEY..].as_flattened()[..key_len], read_counters(entry), then)
            })
        })
    }

    /// Bytes that this snapshot holds, whoever else holds them.
    pub fn memory(&self) -> usize {
        self.memory_of(self.chunks.len())
    }

    /// Bytes that this snapshot holds and a later one of the same table does not share.
    pub fn memory_beside(&self, later: &Self) -> usize {
        let pairs = self.chunks.iter().zip(&later.chunks);
        self.memory_of(pairs.filter(|(chunk, later)| !Arc::ptr_eq(chunk, later)).count())
    }

    /// Bytes that nobody else holds, neither the table nor another snapshot.
    pub fn own_memory(&self) -> usize {
        self.memory_of(self.chunks.iter().filter(|chunk| Arc::strong_count(chunk) == 1).count())
    }

    fn memory_of(&self, chunks: usize) -> usize {
        chunks * self.shape.chunk_words() * size_of::<Word>() + size_of_val(self.chunks.as_slice())
    }
}

/// The words of a key, zeros behind its octets.
fn words_of(key: &[u8]) -> impl Iterator<Item = Word> + Clone {
    let (words, rest) = key.as_chunks();
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    words.iter().copied().chain((!rest.is_empty()).then_some(last))
}

fn entries<'a>(
    shape: Shape,
    chunks: impl Iterator<Item = &'a [Word]>,
    len: usize,
) -> impl Iterator<Item = (&'a [u8], Counters)> {
    chunks
        .flat_map(move |chunk| chunk.chunks_exact(shape.words))
        .take(len)
        .map(move |entry| (&entry[KEY..].as_flattened()[..shape.key_len], read_counters(entry)))
        .filter(|(_, counters)| is_live(counters))
}

/// An entry that counts nothing is free.
fn is_live(counters: &Counters) -> bool {
    counters.packets > 0 || counters.bytes > 0
}

#[inline(always)]
fn read_counters(entry: &[Word]) -> Counters {
    let flows = number(entry[FLOWS]);
    Counters {
        packets: number(entry[PACKETS]),
        bytes: number(entry[BYTES]),
        flows: flows & (u64::MAX >> (64 - TCP_FLAGS)),
        tcp_flags: (flows >> TCP_FLAGS) as u8,
    }
}

#[inline(always)]
fn write_counters(entry: &mut [Word], Counters { packets, bytes, flows, tcp_flags }: Counters) {
    entry[PACKETS] = word(packets);
    entry[BYTES] = word(bytes);
    entry[FLOWS] = word(flows | u64::from(tcp_flags) << TCP_FLAGS);
}

#[cfg(test)]
mod tests {
    use rpmacct_packet::Timestamp;
    use rpmacct_primitives::{Record, Schema, SchemaOptions};

    use super::*;

    fn one(bytes: u64) -> Counters {
        Counters { packets: 1, bytes, flows: 0, tcp_flags: 2 }
    }

    #[test]
    fn sums_and_keeps_the_order_of_arrival() {
        let mut table = SumTable::new(2);
        for (key, bytes) in [(b"bb", 10), (b"aa", 20), (b"bb", 30)] {
            table.add(key, one(bytes));
        }
        let rows: Vec<_> = table.iter().map(|(key, c)| (key.to_vec(), c.packets, c.bytes)).collect();
        assert_eq!(rows, [(b"bb".to_vec(), 2, 40), (b"aa".to_vec(), 1, 20)]);
        assert_eq!(table.get(b"bb").unwrap().tcp_flags, 2);
        assert_eq!(table.get(b"cc"), None);
    }

    #[test]
    fn many_keys_over_many_chunks() {
        let mut table = SumTable::new(8);
        for round in 0..3u64 {
            for n in 0..20_000u64 {
                table.add(&n.to_be_bytes(), one(n + round));
            }
        }
        assert_eq!(table.len(), 20_000);
        assert!(table.iter().enumerate().all(|(n, (key, c))| {
            let n = n as u64;
            key == n.to_be_bytes() && c.packets == 3 && c.bytes == 3 * n + 3
        }));
    }

    /// Whatever the length of the keys, whether they are new, known or twice in a group.
    #[test]
    fn a_batch_adds_what_its_records_add() {
        for aggregate in
            ["none", "proto", "src_host", "src_host,dst_host", "src_mac,src_host,dst_host,src_port"]
        {
            let schema = Schema::parse(aggregate, SchemaOptions::default()).unwrap();
            let (layout, key_len) = (schema.layout(), schema.key_len());
            let (mut one_by_one, mut batched) = (SumTable::new(key_len), SumTable::new(key_len));
            for round in 0..20u64 {
                let records = 10 * round as usize;
                let mut batch = vec![0; records * layout.stride()];
                for (n, slot) in (0..).zip(batch.chunks_exact_mut(layout.stride())) {
                    let number = (n * (round + 7) % 90).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    let octets = number.to_be_bytes();
                    let key: Vec<u8> = octets.into_iter().cycle().take(key_len).collect();
                    let counters =
                        Counters { packets: n, bytes: round + 1, flows: n % 3, tcp_flags: n as u8 };
                    layout.put(slot, &Record { key: &key, time: Timestamp::ZERO, counters });
                    one_by_one.add(&key, counters);
                }
                let batch = Batch::new(&schema, &batch);
                batched.add_batch(&batch);
                assert_eq!(batch.packets(), batch.iter().map(|record| record.counters.packets).sum::<u64>());
            }
            assert!(one_by_one.iter().eq(batched.iter()), "{aggregate}");
            assert!(batched.iter().all(|(key, counters)| batched.get(key) == Some(counters)), "{aggregate}");
        }
    }

    #[test]
    fn a_snapshot_does_not_change() {
        let mut table = SumTable::new(8);
        for n in 0..5_000u64 {
            table.add(&n.to_be_bytes(), one(1));
        }
        let snapshot = table.snapshot();
        for n in 0..6_000u64 {
            table.add(&n.to_be_bytes(), one(1));
        }
        assert_eq!(snapshot.iter().count(), 5_000);
        assert!(snapshot.iter().all(|(_, c)| c.packets == 1));
        assert_eq!(table.iter().map(|(_, c)| c.packets).sum::<u64>(), 11_000);
        table.clear();
        assert_eq!(snapshot.iter().count(), 5_000);
        assert!(table.is_empty());
    }

    #[test]
    fn a_reset_entry_is_hidden_until_it_counts_again() {
        let mut table = SumTable::new(1);
        table.add(b"a", one(5));
        assert_eq!(table.reset(b"a").unwrap().bytes, 5);
        assert_eq!(table.reset(b"a"), None);
        assert_eq!(table.get(b"a"), None);
        assert_eq!(table.iter().count(), 0);
        table.add(b"a", one(7));
        assert_eq!(table.get(b"a").unwrap().bytes, 7);
        assert_eq!(table.snapshot().iter().count(), 1);
    }

    #[test]
    fn a_key_of_no_octets_is_one_entry() {
        let mut table = SumTable::new(0);
        table.add(b"", one(1));
        table.add(b"", one(2));
        assert_eq!(table.iter().count(), 1);
    }

    #[test]
    fn a_full_table_sums_what_does_not_fit() {
        let mut table = SumTable::with_limit(1, 2);
        for key in [b"a", b"b", b"c", b"d", b"a", b"c"] {
            table.add(key, one(5));
        }
        assert_eq!(table.len(), 2);
        assert_eq!(table.get(b"a").unwrap().packets, 2); // known keys still count
        assert_eq!(table.get(b"c"), None);
        assert_eq!((table.other().packets, table.other().bytes), (3, 15));
        let full = table.take();
        assert_eq!(full.other().packets, 3);
        table.add(b"c", one(5));
        assert_eq!(table.get(b"c").unwrap().packets, 1);
        assert_eq!(table.other(), Counters::default());
    }

    #[test]
    fn as_many_entries_as_fit_take_no_more_than_they_may() {
        for bytes in [0, 1_000, 16_384, 1 << 20, 3 << 20] {
            let entries = SumTable::entries_within(bytes, 34);
            let mut table = SumTable::new(34);
            let mut key = [0; 34];
            for n in 0..entries as u64 {
                key[..8].copy_from_slice(&n.to_be_bytes());
                table.add(&key, one(1));
            }
            let used = entries * table.shape.words * size_of::<Word>() + table.index.allocation_size();
            assert!(used <= bytes + 32, "{bytes}: {used}"); // a group of control bytes at the end
        }
        assert!(SumTable::entries_within(100_000_000, 34) > 1_000_000);
        assert_eq!(SumTable::entries_within(usize::MAX, 34), MAX_ENTRIES);
    }

    #[test]
    fn what_changed_between_two_snapshots() {
        let mut table = SumTable::new(8);
        for n in 0..5_000u64 {
            table.add(&n.to_be_bytes(), one(1));
        }
        let then = table.snapshot();
        assert_eq!(table.snapshot().changes(&then).count(), 0);
        for n in [7, 4_999, 5_000, 20_000u64] {
            table.add(&n.to_be_bytes(), one(10));
        }
        table.reset(&3u64.to_be_bytes());
        let now = table.snapshot();
        let changed: Vec<_> = now
            .changes(&then)
            .filter(|(_, now, then)| now != then)
            .map(|(key, now, then)| (key.to_vec(), now.bytes, then.bytes))
            .collect();
        let row = |n: u64, now, then| (n.to_be_bytes().to_vec(), now, then);
        assert_eq!(
            changed,
            [row(3, 0, 1), row(7, 11, 1), row(4_999, 11, 1), row(5_000, 10, 0), row(20_000, 10, 0)]
        );
        assert!(now.changes(&then).count() < 5_000, "chunks that are shared are not looked at");
        assert_eq!(then.own_memory(), then.memory_beside(&now));
    }

    #[test]
    fn an_entry_of_a_pair_of_hosts_is_one_cache_line() {
        assert_eq!(Shape::new(34).words * size_of::<Word>(), 64);
    }
}
