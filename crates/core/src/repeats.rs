//! Records of keys that repeat are summed before they go into the pipe.
//!
//! Traffic repeats: of a thousand packets most belong to few keys. A small direct-mapped table remembers
//! the keys that came last. The first record of a key goes into the pipe at once (so the order of first
//! packets stays what it was); those that follow are summed here, and go as one record when the table is
//! flushed, when another key needs the place, or when the second is over: a record never spans two seconds,
//! so that sinks may sort records into bins of a second by their time.
#![allow(
    clippy::inline_always,
    reason = "the length of a record has to reach the innermost loops as a constant"
)]

use rpmacct_packet::Timestamp;
use rpmacct_pipe::Writer;
use rpmacct_primitives::record::{forget_counters, key_words, packets, set_time, sum, time};
use rpmacct_primitives::{RecordLayout, Word, Words, are_equal, number};

/// Records that are added together.
pub(crate) const GROUP: usize = 32;

/// Places in the table. A power of two.
const PLACES: usize = 32768;

const SECOND: i64 = 1_000_000_000;

/// No second begins here.
const NEVER: Timestamp = Timestamp::MAX;

/// The keys that came last, with what was summed since.
pub(crate) struct Repeats {
    /// Words of a record.
    words: usize,
    /// A record for each place. It has no packets where only the key is remembered; its time is then the second
    /// in which the key came.
    records: Words,
    /// The places that may hold packets. Invariant: all that do are among them.
    listed: Vec<u32>,
    /// Where the second begins that all packets held are of.
    second: Timestamp,
}

impl Repeats {
    pub(crate) fn new(layout: RecordLayout) -> Self {
        let words = layout.words();
        let mut records = Words::zeros(PLACES * words);
        records.chunks_exact_mut(words).for_each(|record| remember(record, NEVER));
        Self { words, records, listed: Vec::with_capacity(PLACES), second: NEVER }
    }

    /// Adds records that have been offered to the pipe, [`GROUP`] at the most. They are summed here or pushed.
    pub(crate) fn add_all(&mut self, new: &[Word], writer: &mut Writer) {
        // The same code for the lengths that most people sum by (an address, a pair of hosts, with ports and
        // protocol), so that it is compiled for them without loops.
        match self.words {
            6 => self.add_words(6, new, writer),
            8 => self.add_words(8, new, writer),
            words => self.add_words(words, new, writer),
        }
    }

    #[inline(always)]
    fn add_words(&mut self, words: usize, new: &[Word], writer: &mut Writer) {
        // All places first: the processor then looks at several of them at once.
        let mut places = [0; GROUP];
        for (new, place) in new.chunks_exact(words).zip(&mut places) {
            *place = hash(key_words(new)) as usize % PLACES;
        }
        for (new, place) in new.chunks_exact(words).zip(places) {
            self.add(words, place, new, writer);
        }
    }

    #[inline(always)]
    fn add(&mut self, words: usize, place: usize, new: &[Word], writer: &mut Writer) {
        let since = time(new).as_nanos().wrapping_sub(self.second.as_nanos());
        if !(0..SECOND).contains(&since) {
            self.begin_second(time(new), writer);
        }
        let record = &mut self.records[place * words..][..words];
        let held = packets(record);
        let repeats =
            are_equal(key_words(record), key_words(new)) && (held > 0 || time(record) == self.second);
        if repeats && sum(record, new) {
            if held == 0 {
                self.listed.push(place as u32);
                if self.listed.len() == PLACES {
                    self.flush(writer);
                }
            }
            return;
        }
        if held > 0 {
            push(record, writer);
        }
        push(new, writer);
        record.copy_from_slice(new);
        remember(record, self.second);
    }

    #[cold]
    fn begin_second(&mut self, time: Timestamp, writer: &mut Writer) {
        self.flush(writer);
        self.second = Timestamp::from_secs_nanos(time.secs(), 0);
    }

    /// Pushes everything that was summed.
    pub(crate) fn flush(&mut self, writer: &mut Writer) {
        for place in self.listed.drain(..) {
            let record = &mut self.records[place as usize * self.words..][..self.words];
            // It may have been pushed since, and be listed twice.
            if packets(record) > 0 {
                push(record, writer);
                remember(record, self.second);
            }
        }
    }

    /// Whether something may have been summed and not pushed yet.
    pub(crate) fn is_holding(&self) -> bool {
        !self.listed.is_empty()
    }
}

/// Pushes a record whose packets have been offered.
#[inline(always)]
pub(crate) fn push(record: &[Word], writer: &mut Writer) {
    writer.push_offered(packets(record), |to| to.copy_from_slice(record.as_flattened()));
}

/// Leaves only the key of a record, which came in the given second.
#[inline(always)]
fn remember(record: &mut [Word], second: Timestamp) {
    forget_counters(record);
    set_time(record, second);
}

/// Mixes a key. Keys that collide only cost a place in the table, so it need not be more than fast: two words are
/// multiplied with each other at a time.
#[inline(always)]
fn hash(key: &[Word]) -> u32 {
    const MIX: [u64; 2] = [0x9e37_79b9_7f4a_7c15, 0xe703_7ed1_a0b4_28db];
    let (pairs, last) = key.as_chunks::<2>();
    let mix = |hash: u64, a: Word, b: Word| {
        let product = u128::from(number(a) ^ hash ^ MIX[0]) * u128::from(number(b) ^ MIX[1]);
        (product >> 64) as u64 ^ product as u64
    };
    let hash = pairs.iter().fold(0, |hash, [a, b]| mix(hash, *a, *b));
    last.iter().fold(hash, |hash, word| mix(hash, *word, [0; 8])) as u32
}

#[cfg(test)]
mod tests {
    use rpmacct_pipe::{Options, Overflow, pipe};
    use rpmacct_primitives::{Counters, Record};

    use super::*;

    const LAYOUT: RecordLayout = RecordLayout::new(8);

    fn record(key: u64, nanos: i64) -> Vec<Word> {
        let mut slot = vec![[0; 8]; LAYOUT.words()];
        let counters = Counters { packets: 1, bytes: 100, flows: 0, tcp_flags: key as u8 };
        let time = Timestamp::from_nanos(nanos);
        LAYOUT.put(slot.as_flattened_mut(), &Record { key: &key.to_be_bytes(), time, counters });
        slot
    }

    /// Key, packets, nanoseconds of the records that come out of the pipe.
    fn pushed(input: impl Iterator<Item = (u64, i64)>) -> Vec<(u64, u64, i64)> {
        let options = Options {
            stride: LAYOUT.stride(),
            buffer_size: 1 << 16,
            pipe_size: 1 << 24,
            overflow: Overflow::Lose,
        };
        let (mut writer, mut reader) = pipe(options);
        let mut repeats = Repeats::new(LAYOUT);
        let mut packets = 0;
        for (key, nanos) in input {
            writer.offer(1);
            repeats.add_all(&record(key, nanos), &mut writer);
            packets += 1;
        }
        repeats.flush(&mut writer);
        assert!(!repeats.is_holding());
        writer.publish();
        let mut rows = Vec::new();
        while let Some(batch) = reader.next() {
            let records = batch.records().as_chunks().0;
            rows.extend(records.chunks_exact(LAYOUT.words()).map(|slot| {
                let Record { key, time, counters } = LAYOUT.read(slot);
                assert_eq!(counters.bytes, 100 * counters.packets);
                (u64::from_be_bytes(key.try_into().unwrap()), counters.packets, time.as_nanos())
            }));
        }
        assert_eq!(rows.iter().map(|row| row.1).sum::<u64>(), packets);
        let counts = reader.counts();
        assert_eq!((counts.offered(), counts.taken(), counts.lost()), (packets, packets, 0));
        rows
    }

    #[test]
    fn the_first_record_goes_at_once_and_the_rest_as_one() {
        let input = [(7, 10), (7, 20), (8, 30), (7, 40)];
        assert_eq!(pushed(input.into_iter()), [(7, 1, 10), (8, 1, 30), (7, 2, 20)]);
    }

    #[test]
    fn a_record_never_spans_two_seconds() {
        let input =
            [(7, 999_999_998), (7, 999_999_999), (7, 1_000_000_000), (7, 1_000_000_001), (7, 999_999_999)];
        assert_eq!(
            pushed(input.into_iter()),
            [
                (7, 1, 999_999_998),
                (7, 1, 999_999_999),
                (7, 1, 1_000_000_000),
                (7, 1, 1_000_000_001),
                (7, 1, 999_999_999)
            ]
        );
    }

    #[test]
    fn more_keys_than_places_lose_nothing_and_keep_their_order() {
        let keys = 3 * PLACES as u64;
        let rows = pushed((0..5 * keys).map(|n| (n % keys, n.cast_signed())));
        let mut first = std::collections::HashSet::new();
        let order: Vec<_> = rows.iter().map(|row| row.0).filter(|key| first.insert(*key)).collect();
        assert_eq!(order, (0..keys).collect::<Vec<_>>());
    }
}
