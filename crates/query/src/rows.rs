//! Rows on their way.
//!
//! ```text
//! ┌──────── … ─┬─────────────┬───────────┬───────────┬─────────────┐
//! │ key        │ packets u64 │ bytes u64 │ flows u64 │ tcp_flags u8│   big-endian
//! └──────── … ─┴─────────────┴───────────┴───────────┴─────────────┘
//! ```

use rpmacct_primitives::Counters;

use crate::error::QueryError;

/// Octets of the counters of a row.
const COUNTERS: usize = 25;

/// Octets of a row whose key has `key_len`.
pub const fn row_len(key_len: usize) -> usize {
    key_len + COUNTERS
}

/// The rows of one frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackedRows {
    key_len: usize,
    octets: Vec<u8>,
}

impl PackedRows {
    /// The rows in the payload of a frame. It must hold whole rows.
    pub fn new(key_len: usize, octets: Vec<u8>) -> Result<Self, QueryError> {
        if octets.len().is_multiple_of(row_len(key_len)) {
            Ok(Self { key_len, octets })
        } else {
            let why = format!("{} bytes are no whole number of rows of {}", octets.len(), row_len(key_len));
            Err(QueryError::malformed("the rows", &why))
        }
    }

    /// Keys with their counters.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&[u8], Counters)> {
        self.octets.chunks_exact(row_len(self.key_len)).map(|row| {
            let (key, counters) = row.split_at(self.key_len);
            (key, unpack(counters))
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.octets.len() / row_len(self.key_len)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.octets.is_empty()
    }
}

/// Appends a row.
pub(crate) fn pack(key: &[u8], counters: &Counters, out: &mut Vec<u8>) {
    out.extend_from_slice(key);
    for counter in [counters.packets, counters.bytes, counters.flows] {
        out.extend_from_slice(&counter.to_be_bytes());
    }
    out.push(counters.tcp_flags);
}

fn unpack(octets: &[u8]) -> Counters {
    let eight = |at: usize| u64::from_be_bytes(octets[at..at + 8].try_into().unwrap_or_default());
    Counters { packets: eight(0), bytes: eight(8), flows: eight(16), tcp_flags: octets[24] }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_row_in_bytes() {
        let mut out = Vec::new();
        pack(b"k", &Counters { packets: 1, bytes: 0x0203, flows: 4, tcp_flags: 5 }, &mut out);
        assert_eq!(out, b"k\0\0\0\0\0\0\0\x01\0\0\0\0\0\0\x02\x03\0\0\0\0\0\0\0\x04\x05");
    }

    #[test]
    fn half_a_row_is_an_error() {
        assert!(PackedRows::new(1, vec![0; 27]).is_err());
        assert!(PackedRows::new(1, Vec::new()).unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_are_rows_or_an_error(key_len in 0usize..40, bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(rows) = PackedRows::new(key_len, bytes) {
                prop_assert_eq!(rows.iter().count(), rows.len());
            }
        }

        #[test]
        fn rows_survive_the_way(rows in prop::collection::vec((any::<[u8; 17]>(), any::<(u64, u64, u64, u8)>()), 0..9)) {
            let rows: Vec<_> = rows
                .into_iter()
                .map(|(key, (packets, bytes, flows, tcp_flags))| (key, Counters { packets, bytes, flows, tcp_flags }))
                .collect();
            let mut octets = Vec::new();
            for (key, counters) in &rows {
                pack(key, counters, &mut octets);
            }
            let packed = PackedRows::new(17, octets).unwrap();
            prop_assert!(packed.iter().eq(rows.iter().map(|(key, counters)| (&key[..], *counters))));
        }
    }
}
