//! A view over the records of a batch.

use rpmacct_packet::Timestamp;
use rpmacct_primitives::{Record, RecordLayout, Schema};

/// Records in the order of capture.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    layout: RecordLayout,
    records: &'a [u8],
    arrival: Timestamp,
}

impl<'a> Batch<'a> {
    /// Records of `schema`, one after the other.
    pub fn new(schema: &Schema, records: &'a [u8]) -> Self {
        Self { layout: schema.layout(), records, arrival: Timestamp::ZERO }
    }

    /// The same records, arrived now.
    #[must_use]
    pub fn arrived(self, now: Timestamp) -> Self {
        Self { arrival: now, ..self }
    }

    /// When the batch reached the plugin.
    pub fn arrival(&self) -> Timestamp {
        self.arrival
    }

    /// The records.
    #[inline]
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Record<'a>> + use<'a> {
        let layout = self.layout;
        self.records.chunks_exact(layout.stride()).map(move |slot| layout.read(slot))
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len() / self.layout.stride()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
