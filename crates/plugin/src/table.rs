//! The summing table: keys with their counters, in the order of their first record.
//!
//! Entries lie in chunks of 64 KiB, one after the other; an index finds the entry of a key by its hash.
//!
//! ```text
//! entry:  packets u64 │ bytes u64 │ flows u64 │ tcp_flags u8 │ key │ padding to 8
//! index:  (hash u32, number of the entry u32)
//! ```
//! Chunks never move and the index holds the hashes, so growing touches neither keys nor counters. A
//! snapshot shares the chunks; one that is written to afterwards is copied first. So a query costs the
//! writer one copy of the chunks that it touches, and never a pause for the whole table.

use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use rpmacct_primitives::Counters;
use std::hash::BuildHasher;

const PACKETS: usize = 0;
const BYTES: usize = 8;
const FLOWS: usize = 16;
const TCP_FLAGS: usize = 24;
const KEY: usize = 25;
const CHUNK: usize = 64 * 1024;

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
}

/// Where things lie, for keys of one length.
#[derive(Debug, Clone, Copy)]
struct Shape {
    key_len: usize,
    stride: usize,
    entries_per_chunk: usize,
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

fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[derive(Debug)]
enum Chunk {
    /// Nobody else reads it.
    Own(Box<[u8]>),
    /// A snapshot reads it, or did.
    Shared(Arc<Box<[u8]>>),
}

impl Chunk {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(bytes) => bytes,
        }
    }

    /// The bytes to write to: a chunk that a snapshot still reads is copied first.
    #[inline]
    fn bytes_mut(&mut self) -> &mut [u8] {
        if let Self::Shared(shared) = self {
            let shared = std::mem::take(shared);
            *self = Self::Own(Arc::try_unwrap(shared).unwrap_or_else(|shared| Box::clone(&shared)));
        }
        match self {
            Self::Own(bytes) => bytes,
            Self::Shared(_) => &mut [],
        }
    }

    fn share(&mut self) -> Arc<Box<[u8]>> {
        if let Self::Own(bytes) = self {
            *self = Self::Shared(Arc::new(std::mem::take(bytes)));
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
        let stride = (KEY + key_len).next_multiple_of(8);
        let shape = Shape { key_len, stride, entries_per_chunk: (CHUNK / stride).max(1) };
        Self { shape, chunks: Vec::new(), index: HashTable::new(), hasher: RandomState::default(), len: 0 }
    }

    /// Adds counters to the entry of a key, which is made if there is none.
    #[inline]
    pub fn add(&mut self, key: &[u8], counters: Counters) {
        let hash = self.hash(key);
        let entry = match self.find(hash, key) {
            Some(entry) => entry,
            None => self.insert(hash, key),
        };
        let Shape { stride, entries_per_chunk, .. } = self.shape;
        let at = entry % entries_per_chunk * stride;
        let bytes = &mut self.chunks[entry / entries_per_chunk].bytes_mut()[at..at + stride];
        let mut sum = read_counters(bytes);
        sum.add(counters);
        write_counters(bytes, sum);
    }

    /// The counters of a key.
    pub fn get(&self, key: &[u8]) -> Option<Counters> {
        let entry = self.find(self.hash(key), key)?;
        let counters = read_counters(self.entry(entry));
        is_live(&counters).then_some(counters)
    }

    /// Sets the counters of a key to zero and returns what they were. The entry is shown again when it
    /// counts something.
    pub fn reset(&mut self, key: &[u8]) -> Option<Counters> {
        let entry = self.find(self.hash(key), key)?;
        let Shape { stride, entries_per_chunk, .. } = self.shape;
        let at = entry % entries_per_chunk * stride;
        let bytes = &mut self.chunks[entry / entries_per_chunk].bytes_mut()[at..at + stride];
        let counters = read_counters(bytes);
        write_counters(bytes, Counters::default());
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

    /// Bytes that the table holds.
    pub fn memory(&self) -> usize {
        self.chunks.len() * self.chunk_size() + self.index.allocation_size()
    }

    /// Forgets all entries and gives their memory back.
    pub fn clear(&mut self) {
        self.chunks = Vec::new();
        self.index = HashTable::new();
        self.len = 0;
    }

    /// The table as it is now. Costs a reference for each chunk, whatever is in it.
    pub fn snapshot(&mut self) -> Snapshot {
        Snapshot {
            shape: self.shape,
            chunks: self.chunks.iter_mut().map(Chunk::share).collect(),
            len: self.len,
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
        entries(self.shape, self.chunks.iter().map(Chunk::bytes), self.len)
    }

    fn chunk_size(&self) -> usize {
        self.shape.entries_per_chunk * self.shape.stride
    }

    #[inline]
    fn hash(&self, key: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(key);
        (hash ^ hash >> 32) as u32
    }

    #[inline]
    fn find(&self, hash: u32, key: &[u8]) -> Option<usize> {
        let is_it = |slot: &Slot| slot.hash == hash && self.key(slot.entry as usize) == key;
        self.index.find(spread(hash), is_it).map(|slot| slot.entry as usize)
    }

    fn insert(&mut self, hash: u32, key: &[u8]) -> usize {
        let Shape { stride, entries_per_chunk, key_len } = self.shape;
        let entry = self.len;
        if entry / entries_per_chunk == self.chunks.len() {
            self.chunks.push(Chunk::Own(vec![0; self.chunk_size()].into_boxed_slice()));
        }
        let at = entry % entries_per_chunk * stride + KEY;
        self.chunks[entry / entries_per_chunk].bytes_mut()[at..at + key_len].copy_from_slice(key);
        self.index.insert_unique(spread(hash), Slot { hash, entry: entry as u32 }, |slot| slot.spread());
        self.len += 1;
        entry
    }

    #[inline]
    fn entry(&self, entry: usize) -> &[u8] {
        let Shape { stride, entries_per_chunk, .. } = self.shape;
        let at = entry % entries_per_chunk * stride;
        &self.chunks[entry / entries_per_chunk].bytes()[at..at + stride]
    }

    #[inline]
    fn key(&self, entry: usize) -> &[u8] {
        &self.entry(entry)[KEY..KEY + self.shape.key_len]
    }
}

/// A table as it was at one moment. Cheap to make, safe to send to another thread.
#[derive(Debug, Clone)]
pub struct Snapshot {
    shape: Shape,
    chunks: Vec<Arc<Box<[u8]>>>,
    len: usize,
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
}

fn entries<'a>(
    shape: Shape,
    chunks: impl Iterator<Item = &'a [u8]>,
    len: usize,
) -> impl Iterator<Item = (&'a [u8], Counters)> {
    chunks
        .flat_map(move |chunk| chunk.chunks_exact(shape.stride))
        .take(len)
        .map(move |entry| (&entry[KEY..KEY + shape.key_len], read_counters(entry)))
        .filter(|(_, counters)| is_live(counters))
}

/// An entry that counts nothing is free.
fn is_live(counters: &Counters) -> bool {
    counters.packets > 0 || counters.bytes > 0
}

#[inline]
fn read_counters(entry: &[u8]) -> Counters {
    let eight = |at: usize| u64::from_ne_bytes(entry[at..at + 8].try_into().unwrap_or_default());
    Counters {
        packets: eight(PACKETS),
        bytes: eight(BYTES),
        flows: eight(FLOWS),
        tcp_flags: entry[TCP_FLAGS],
    }
}

#[inline]
fn write_counters(entry: &mut [u8], counters: Counters) {
    entry[PACKETS..BYTES].copy_from_slice(&counters.packets.to_ne_bytes());
    entry[BYTES..FLOWS].copy_from_slice(&counters.bytes.to_ne_bytes());
    entry[FLOWS..TCP_FLAGS].copy_from_slice(&counters.flows.to_ne_bytes());
    entry[TCP_FLAGS] = counters.tcp_flags;
}

#[cfg(test)]
mod tests {
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
    fn an_entry_of_a_pair_of_hosts_is_one_cache_line() {
        assert_eq!(SumTable::new(34).shape.stride, 64);
    }
}
