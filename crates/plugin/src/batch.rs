//! A view over the records of a batch.

use rpmacct_packet::Timestamp;
use rpmacct_primitives::record::packets;
use rpmacct_primitives::{Record, RecordLayout, Schema, Word};

/// Records in the order of capture.
#[derive(Debug, Clone, Copy)]
pub struct Batch<'a> {
    layout: RecordLayout,
    records: &'a [Word],
    arrival: Timestamp,
}

impl<'a> Batch<'a> {
    /// Records of `schema`, one after the other.
    pub fn new(schema: &Schema, records: &'a [u8]) -> Self {
        Self { layout: schema.layout(), records: records.as_chunks().0, arrival: Timestamp::ZERO }
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
        self.records.chunks_exact(layout.words()).map(move |slot| layout.read(slot))
    }

    /// The words of the records, in groups of so many.
    #[inline]
    pub(crate) fn groups(&self, records: usize) -> impl Iterator<Item = &'a [Word]> + use<'a> {
        self.records.chunks(records * self.layout.words())
    }

    /// The packets of all records.
    pub fn packets(&self) -> u64 {
        self.records.chunks_exact(self.layout.words()).map(packets).sum()
    }

    /// How many records there are.
    pub fn len(&self) -> usize {
        self.records.len() / self.layout.words()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
