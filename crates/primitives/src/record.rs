//! A key with its counters, as it travels through a pipe.
//!
//! ```text
//!  0        8        16      20      24        25            25+key   stride
//! ┌────────┬────────┬───────┬───────┬─────────┬──────── … ───┬────────┐
//! │ time   │ bytes  │packets│ flows │tcp_flags│ key          │ padding│
//! └────────┴────────┴───────┴───────┴─────────┴──────── … ───┴────────┘
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
const TCP_FLAGS: usize = 24;
const KEY: usize = 25;

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
        Self { key_len, stride: (KEY + key_len).next_multiple_of(8) }
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
        slot[FLOWS..TCP_FLAGS].copy_from_slice(&0u32.to_ne_bytes());
        slot[TCP_FLAGS] = flags;
        schema.write_key(observation, end, &mut slot[KEY..KEY + self.key_len]);
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
        slot[FLOWS..TCP_FLAGS].copy_from_slice(&four(flows));
        slot[TCP_FLAGS] = tcp_flags;
        slot[KEY..KEY + self.key_len].copy_from_slice(record.key);
    }

    /// The record in `slot`, which must be [`Self::stride`] octets long.
    #[inline]
    pub fn read<'a>(&self, slot: &'a [u8]) -> Record<'a> {
        let slot = &slot[..self.stride];
        let eight = |at: usize| <[u8; 8]>::try_from(&slot[at..at + 8]).unwrap_or_default();
        let four = |at: usize| <[u8; 4]>::try_from(&slot[at..at + 4]).unwrap_or_default();
        Record {
            key: &slot[KEY..KEY + self.key_len],
            time: Timestamp::from_nanos(i64::from_ne_bytes(eight(TIME))),
            counters: Counters {
                packets: u32::from_ne_bytes(four(PACKETS)).into(),
                bytes: u64::from_ne_bytes(eight(BYTES)),
                flows: u32::from_ne_bytes(four(FLOWS)).into(),
                tcp_flags: slot[TCP_FLAGS],
            },
        }
    }
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
