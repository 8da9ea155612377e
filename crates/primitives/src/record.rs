//! A key with its counters, as it travels through a pipe.
//!
//! ```text
//!  0        8        16      20      24            24+key      stride
//! ┌────────┬────────┬───────┬───────┬──────── … ───┬─────┬─────────┐
//! │ time   │ bytes  │packets│ flows │ key          │  -  │tcp_flags│
//! └────────┴────────┴───────┴───────┴──────── … ───┴─────┴─────────┘
//! ```
//! Counters are in the machine's byte order (a record never leaves the process), the key is big-endian.
//! The stride is a multiple of eight octets; a pair of hosts takes 64, one cache line.

use rpmacct_packet::Timestamp;

use crate::observation::Observation;
use crate::schema::{End, Schema};

const TIME: usize = 0;
const BYTES: usize = 8;
const PACKETS: usize = 16;
const FLOWS: usize = 20;
const KEY: usize = 24;

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
    stride: usize,
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
        Self { key_len, stride: (KEY + key_len + 1).next_multiple_of(8) }
    }

    /// Octets from one record to the next.
    pub const fn stride(&self) -> usize {
        self.stride
    }

    /// Writes the record of one packet into `slot`, which must be [`Self::stride`] octets long.
    #[inline]
    pub fn write(&self, slot: &mut [u8], schema: &Schema, observation: &Observation<'_>, end: End) {
        let slot = &mut slot[..self.stride];
        let flags = if schema.has_tcp_flags() { observation.packet.tcp_flags().unwrap_or(0) } else { 0 };
        slot[TIME..BYTES].copy_from_slice(&observation.time.as_nanos().to_ne_bytes());
        slot[BYTES..PACKETS].copy_from_slice(&u64::from(observation.packet.ip_len()).to_ne_bytes());
        slot[PACKETS..FLOWS].copy_from_slice(&1u32.to_ne_bytes());
        slot[FLOWS..KEY].copy_from_slice(&0u32.to_ne_bytes());
        schema.write_key(observation, end, &mut slot[KEY..KEY + self.key_len]);
        slot[self.stride - 1] = flags;
    }

    /// Writes a record into `slot`, which must be [`Self::stride`] octets long: the other way of
    /// [`Self::read`]. More than 2³² - 1 packets or flows do not fit, and are cut to that.
    pub fn put(&self, slot: &mut [u8], record: &Record<'_>) {
        let slot = &mut slot[..self.stride];
        let Counters { packets, bytes, flows, tcp_flags } = record.counters;
        let four = |n: u64| u32::try_from(n).unwrap_or(u32::MAX).to_ne_bytes();
        slot[TIME..BYTES].copy_from_slice(&record.time.as_nanos().to_ne_bytes());
        slot[BYTES..PACKETS].copy_from_slice(&bytes.to_ne_bytes());
        slot[PACKETS..FLOWS].copy_from_slice(&four(packets));
        slot[FLOWS..KEY].copy_from_slice(&four(flows));
        slot[KEY..KEY + self.key_len].copy_from_slice(record.key);
        slot[self.stride - 1] = tcp_flags;
    }

    /// The record in `slot`, which must be [`Self::stride`] octets long.
    #[inline]
    pub fn read<'a>(&self, slot: &'a [u8]) -> Record<'a> {
        let slot = &slot[..self.stride];
        let counters = Counters {
            packets: four(slot, PACKETS).into(),
            bytes: eight(slot, BYTES),
            flows: four(slot, FLOWS).into(),
            tcp_flags: slot[self.stride - 1],
        };
        Record { key: self.key(slot), time: self.time(slot), counters }
    }

    /// The key of the record in `slot`.
    #[inline]
    pub fn key<'a>(&self, slot: &'a [u8]) -> &'a [u8] {
        &slot[KEY..KEY + self.key_len]
    }

    /// The key of the record in `slot` as words of eight octets, the last one filled up with zeros: equal
    /// keys have equal words. Whole words are what a processor reads and compares fast.
    #[inline]
    pub fn key_words(&self, slot: &[u8]) -> impl ExactSizeIterator<Item = u64> {
        let words = self.key_len.div_ceil(8);
        // Behind the key is anything, then the flags; a record is a multiple of eight octets, so it is there.
        let beyond = words * 8 - self.key_len;
        let mask = move |i| if i + 1 == words { u64::MAX >> (8 * beyond) } else { u64::MAX };
        let octets = slot[KEY..].as_chunks::<8>().0;
        octets[..words].iter().enumerate().map(move |(i, word)| u64::from_le_bytes(*word) & mask(i))
    }

    /// The time of the record in `slot`.
    #[inline]
    pub fn time(&self, slot: &[u8]) -> Timestamp {
        Timestamp::from_nanos(eight(slot, TIME).cast_signed())
    }

    /// The packets that the record in `slot` counts.
    #[inline]
    pub fn packets(&self, slot: &[u8]) -> u32 {
        four(slot, PACKETS)
    }

    /// Adds the counters of the record `new` to those of the record in `slot`, which has the same key. The
    /// time stays that of the first. Returns false, and adds nothing, if the sum would not fit.
    #[inline]
    pub fn sum(&self, slot: &mut [u8], new: &[u8]) -> bool {
        let Some(packets) = four(slot, PACKETS).checked_add(four(new, PACKETS)) else { return false };
        let Some(flows) = four(slot, FLOWS).checked_add(four(new, FLOWS)) else { return false };
        let bytes = eight(slot, BYTES).wrapping_add(eight(new, BYTES));
        if four(slot, PACKETS) == 0 {
            slot[TIME..BYTES].copy_from_slice(&new[TIME..BYTES]);
        }
        slot[BYTES..PACKETS].copy_from_slice(&bytes.to_ne_bytes());
        slot[PACKETS..FLOWS].copy_from_slice(&packets.to_ne_bytes());
        slot[FLOWS..KEY].copy_from_slice(&flows.to_ne_bytes());
        slot[self.stride - 1] |= new[self.stride - 1];
        true
    }

    /// Sets all counters of the record in `slot` to zero; key and time stay.
    #[inline]
    pub fn forget_counters(&self, slot: &mut [u8]) {
        slot[BYTES..KEY].fill(0);
        slot[self.stride - 1] = 0;
    }
}

#[inline]
fn eight(slot: &[u8], at: usize) -> u64 {
    slot[at..].first_chunk().map_or(0, |octets| u64::from_ne_bytes(*octets))
}

#[inline]
fn four(slot: &[u8], at: usize) -> u32 {
    slot[at..].first_chunk().map_or(0, |octets| u32::from_ne_bytes(*octets))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pair_of_hosts_takes_one_cache_line() {
        assert_eq!(RecordLayout::new(34).stride(), 64);
        assert_eq!(RecordLayout::new(0).stride(), 32);
    }

    #[test]
    fn a_record_that_was_put_is_read() {
        let layout = RecordLayout::new(3);
        let mut slot = vec![0; layout.stride()];
        let counters = Counters { packets: 2, bytes: 1 << 40, flows: 1, tcp_flags: 27 };
        let time = Timestamp::from_nanos(-5);
        layout.put(&mut slot, &Record { key: b"key", time, counters });
        let read = layout.read(&slot);
        assert_eq!((read.key, read.time, read.counters), (&b"key"[..], time, counters));
    }
}
