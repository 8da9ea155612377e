//! A key with its counters, as it travels through a pipe.
//!
//! ```text
//!  0        8        16               24                    stride
//! ┌────────┬────────┬─────────────────┬───────────────── … ───┐
//! │ time   │ bytes  │ counts          │ key, zeros behind it  │
//! └────────┴────────┴─────────────────┴───────────────── … ───┘
//!                    packets: bits 0 to 31, flows: 32 to 55, TCP flags: 56 to 63
//! ```
//! A record is whole words of eight octets, and so is its key: equal keys are equal words. Time, bytes and
//! counts are in the machine's byte order (a record never leaves the process), the key is big-endian. A pair
//! of hosts takes 64 octets, one cache line.

use rpmacct_packet::Timestamp;

use crate::observation::Observation;
use crate::schema::{End, Schema};
use crate::words::{Word, number, word};

/// Places of the words.
const TIME: usize = 0;
const BYTES: usize = 1;
const COUNTS: usize = 2;
const KEY: usize = 3;

/// Where flows and TCP flags begin in the counts; packets are below them.
const FLOWS: u32 = 32;
const TCP_FLAGS: u32 = 56;

/// What a record can count.
const MAX_PACKETS: u64 = u32::MAX as u64;
const MAX_FLOWS: u64 = (1 << (TCP_FLAGS - FLOWS)) - 1;

/// What is summed for a key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Packets.
    pub packets: u64,
    /// Bytes of the IP packets, headers included; never the frame's.
    pub bytes: u64,
    /// Flows that began.
    pub flows: u64,
    /// TCP flags of all packets, OR-ed.
    pub tcp_flags: u8,
}

impl Counters {
    /// Adds the counters of another record of the same key.
    #[inline]
    pub fn add(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
        self.flows += other.flows;
        self.tcp_flags |= other.tcp_flags;
    }
}

/// Where the parts of a record lie, for the records of one schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordLayout {
    key_len: usize,
    /// Words of the key.
    key_words: usize,
}

/// One record of a batch.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// The key's octets.
    pub key: &'a [u8],
    /// Time of the packet, or of the first packet where several were summed.
    pub time: Timestamp,
    /// What it counts.
    pub counters: Counters,
}

impl RecordLayout {
    /// The layout for keys of `key_len` octets.
    pub const fn new(key_len: usize) -> Self {
        Self { key_len, key_words: key_len.div_ceil(size_of::<Word>()) }
    }

    /// Words from one record to the next.
    pub const fn words(&self) -> usize {
        KEY + self.key_words
    }

    /// Octets from one record to the next.
    pub const fn stride(&self) -> usize {
        self.words() * size_of::<Word>()
    }

    /// Writes the record of one packet into `slot`, which must be [`Self::stride`] octets long.
    #[inline]
    pub fn write(&self, slot: &mut [u8], schema: &Schema, observation: &Observation<'_>, end: End) {
        let flags = if schema.has_tcp_flags() { observation.packet.tcp_flags().unwrap_or(0) } else { 0 };
        let words = slot[..self.stride()].as_chunks_mut().0;
        let Some((head, key)) = words.split_first_chunk_mut::<KEY>() else { return };
        set_time(head, observation.time);
        head[BYTES] = word(observation.packet.ip_len().into());
        head[COUNTS] = word(counts(1, observation.new_flow.into(), flags));
        if let Some(last) = key.last_mut() {
            *last = [0; 8];
        }
        schema.write_key(observation, end, &mut key.as_flattened_mut()[..self.key_len]);
    }

    /// Writes a record into `slot`, which must be [`Self::stride`] octets long: the other way of
    /// [`Self::read`]. More than 2³² - 1 packets or 2²⁴ - 1 flows do not fit, and are cut to that.
    pub fn put(&self, slot: &mut [u8], record: &Record<'_>) {
        let Counters { packets, bytes, flows, tcp_flags } = record.counters;
        let (head, key) = slot[..self.stride()].as_chunks_mut().0.split_at_mut(KEY);
        set_time(head, record.time);
        head[BYTES] = word(bytes);
        head[COUNTS] = word(counts(packets.min(MAX_PACKETS), flows.min(MAX_FLOWS), tcp_flags));
        key.fill([0; 8]);
        key.as_flattened_mut()[..self.key_len].copy_from_slice(record.key);
    }

    /// The record in `slot`, which must be [`Self::words`] long.
    #[inline]
    pub fn read<'a>(&self, slot: &'a [Word]) -> Record<'a> {
        Record { key: self.key(slot), time: time(slot), counters: counters(slot) }
    }

    /// The key of the record in `slot`.
    #[inline]
    pub fn key<'a>(&self, slot: &'a [Word]) -> &'a [u8] {
        &slot[KEY..].as_flattened()[..self.key_len]
    }
}

/// The key of the record in `slot` as words, with zeros behind its octets.
#[inline]
pub fn key_words(slot: &[Word]) -> &[Word] {
    &slot[KEY..]
}

/// The time of the record in `slot`.
#[inline]
pub fn time(slot: &[Word]) -> Timestamp {
    Timestamp::from_nanos(number(slot[TIME]).cast_signed())
}

/// Sets the time of the record in `slot`.
#[inline]
pub fn set_time(slot: &mut [Word], time: Timestamp) {
    slot[TIME] = word(time.as_nanos().cast_unsigned());
}

/// The packets that the record in `slot` counts.
#[inline]
pub fn packets(slot: &[Word]) -> u64 {
    number(slot[COUNTS]) & MAX_PACKETS
}

/// What the record in `slot` counts.
#[inline]
pub fn counters(slot: &[Word]) -> Counters {
    let counts = number(slot[COUNTS]);
    Counters {
        packets: counts & MAX_PACKETS,
        bytes: number(slot[BYTES]),
        flows: counts >> FLOWS & MAX_FLOWS,
        tcp_flags: (counts >> TCP_FLAGS) as u8,
    }
}

/// Adds the counters of the record `new` to those of the record in `slot`, which has the same key. The time is
/// that of the first one that counts something. Returns false, and adds nothing, if the sum would not fit.
#[inline]
pub fn sum(slot: &mut [Word], new: &[Word]) -> bool {
    const NUMBERS: u64 = u64::MAX >> (64 - TCP_FLAGS);
    let (held, add) = (number(slot[COUNTS]), number(new[COUNTS]));
    // Packets and flows at once: a carry out of either shows in the bit above it.
    let sum = (held & NUMBERS) + (add & NUMBERS);
    let carries = sum ^ held ^ add;
    if carries & (1 << FLOWS) != 0 || sum > NUMBERS {
        return false;
    }
    if held & MAX_PACKETS == 0 {
        slot[TIME] = new[TIME];
    }
    slot[BYTES] = word(number(slot[BYTES]).wrapping_add(number(new[BYTES])));
    slot[COUNTS] = word(sum | (held | add) & !NUMBERS);
    true
}

/// Sets all counters of the record in `slot` to zero; key and time stay.
#[inline]
pub fn forget_counters(slot: &mut [Word]) {
    slot[BYTES] = [0; 8];
    slot[COUNTS] = [0; 8];
}

/// The third word. Invariant: the numbers fit.
#[inline]
const fn counts(packets: u64, flows: u64, tcp_flags: u8) -> u64 {
    packets | flows << FLOWS | (tcp_flags as u64) << TCP_FLAGS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(layout: RecordLayout, packets: u64, flows: u64, tcp_flags: u8) -> Vec<Word> {
        let mut slot = vec![[0xff; 8]; layout.words()];
        let counters = Counters { packets, bytes: 1 << 40, flows, tcp_flags };
        let time = Timestamp::from_nanos(-packets.cast_signed());
        layout.put(slot.as_flattened_mut(), &Record { key: b"key", time, counters });
        slot
    }

    #[test]
    fn a_pair_of_hosts_takes_one_cache_line() {
        assert_eq!(RecordLayout::new(34).stride(), 64);
        assert_eq!(RecordLayout::new(0).stride(), 24);
    }

    #[test]
    fn a_record_that_was_put_is_read() {
        let layout = RecordLayout::new(3);
        let slot = record(layout, 2, 1, 27);
        let read = layout.read(&slot);
        let counters = Counters { packets: 2, bytes: 1 << 40, flows: 1, tcp_flags: 27 };
        assert_eq!((read.key, read.time, read.counters), (&b"key"[..], Timestamp::from_nanos(-2), counters));
        assert_eq!(key_words(&slot), [*b"key\0\0\0\0\0"]);
    }

    #[test]
    fn records_are_summed_as_long_as_the_sum_fits() {
        let layout = RecordLayout::new(3);
        let mut slot = record(layout, 3, 1, 2);
        assert!(sum(&mut slot, &record(layout, MAX_PACKETS - 3, MAX_FLOWS - 1, 16)));
        let full = Counters { packets: MAX_PACKETS, bytes: 2 << 40, flows: MAX_FLOWS, tcp_flags: 18 };
        assert_eq!((counters(&slot), time(&slot)), (full, Timestamp::from_nanos(-3)));
        for (packets, flows) in [(1, 0), (0, 1), (1, 1), (MAX_PACKETS, MAX_FLOWS)] {
            assert!(!sum(&mut slot, &record(layout, packets, flows, 255)));
            assert_eq!(counters(&slot), full);
        }
        forget_counters(&mut slot);
        assert_eq!(counters(&slot), Counters::default());
        assert!(sum(&mut slot, &record(layout, 5, 0, 0)));
        assert_eq!((counters(&slot).packets, time(&slot)), (5, Timestamp::from_nanos(-5)));
    }
}
