//! Records of keys that repeat are summed before they go into the pipe.
//!
//! Traffic repeats: of a thousand packets most belong to few keys. A small direct-mapped table remembers
//! the keys that came last. The first record of a key goes into the pipe at once (so the order of first
//! packets stays what it was); those that follow are summed here, and go as one record when the table is
//! flushed, when another key needs the place, or when the second is over: a record never spans two seconds,
//! so that sinks may sort records into bins of a second by their time.

use rpmacct_pipe::Writer;
use rpmacct_primitives::RecordLayout;

/// Places in the table. A power of two.
const PLACES: usize = 8192;

const SECOND: i64 = 1_000_000_000;

/// The keys that came last, with what was summed since.
pub(crate) struct Repeats {
    layout: RecordLayout,
    places: Box<[Place]>,
    /// A record for each place; it has no packets where only the key is remembered.
    records: Box<[u8]>,
    /// The places that may hold packets. Invariant: those whose `listed` is set, each once.
    listed: Vec<u32>,
}

#[derive(Clone)]
struct Place {
    /// The second, in nanoseconds, that the record belongs to.
    second: i64,
    listed: bool,
}

impl Repeats {
    pub(crate) fn new(layout: RecordLayout) -> Self {
        Self {
            layout,
            places: vec![Place { second: i64::MAX, listed: false }; PLACES].into_boxed_slice(),
            records: vec![0; PLACES * layout.stride()].into_boxed_slice(),
            listed: Vec::with_capacity(PLACES),
        }
    }

    /// Adds a record that has been offered to the pipe. It is summed here or pushed.
    #[inline]
    pub(crate) fn add(&mut self, new: &[u8], writer: &mut Writer) {
        let layout = self.layout;
        let number = hash(layout.key_words(new)) as usize % PLACES;
        let time = layout.time(new).as_nanos();
        let record = &mut self.records[number * layout.stride()..][..layout.stride()];
        let place = &mut self.places[number];
        let same_second = (0..SECOND).contains(&time.wrapping_sub(place.second));
        let repeats = same_second && layout.key_words(record).eq(layout.key_words(new));
        if repeats && layout.sum(record, new) {
            if !place.listed {
                place.listed = true;
                self.listed.push(number as u32);
            }
            return;
        }
        push_held(layout, record, writer);
        writer.push_offered(layout.packets(new).into(), |to| to.copy_from_slice(new));
        place.second = time.saturating_sub(time.rem_euclid(SECOND));
        record.copy_from_slice(new);
        layout.forget_counters(record);
    }

    /// Pushes everything that was summed.
    pub(crate) fn flush(&mut self, writer: &mut Writer) {
        for number in self.listed.drain(..) {
            let number = number as usize;
            self.places[number].listed = false;
            let record = &mut self.records[number * self.layout.stride()..][..self.layout.stride()];
            push_held(self.layout, record, writer);
        }
    }

    /// Whether something may have been summed and not pushed yet.
    pub(crate) fn is_holding(&self) -> bool {
        !self.listed.is_empty()
    }
}

/// Pushes what was summed in a place, if anything was.
#[inline]
fn push_held(layout: RecordLayout, record: &mut [u8], writer: &mut Writer) {
    let packets = layout.packets(record);
    if packets > 0 {
        writer.push_offered(packets.into(), |to| to.copy_from_slice(record));
        layout.forget_counters(record);
    }
}

/// Mixes a key. Keys that collide only cost a place in the table, so it need not be more than fast.
#[inline]
fn hash(words: impl Iterator<Item = u64>) -> u32 {
    const MIX: u128 = 0x9e37_79b9_7f4a_7c15;
    let hash = words.fold(0u64, |hash, word| {
        let product = u128::from(hash.rotate_left(23) ^ word) * MIX;
        (product >> 64) as u64 ^ product as u64
    });
    hash as u32
}

#[cfg(test)]
mod tests {
    use rpmacct_packet::Timestamp;
    use rpmacct_pipe::{Options, Overflow, pipe};
    use rpmacct_primitives::{Counters, Record};

    use super::*;

    const LAYOUT: RecordLayout = RecordLayout::new(8);

    fn record(key: u64, nanos: i64) -> Vec<u8> {
        let mut slot = vec![0; LAYOUT.stride()];
        let counters = Counters { packets: 1, bytes: 100, flows: 0, tcp_flags: key as u8 };
        let time = Timestamp::from_nanos(nanos);
        LAYOUT.put(&mut slot, &Record { key: &key.to_be_bytes(), time, counters });
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
            repeats.add(&record(key, nanos), &mut writer);
            packets += 1;
        }
        repeats.flush(&mut writer);
        assert!(!repeats.is_holding());
        writer.publish();
        let mut rows = Vec::new();
        while let Some(batch) = reader.next() {
            rows.extend(batch.records().chunks_exact(LAYOUT.stride()).map(|slot| {
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
