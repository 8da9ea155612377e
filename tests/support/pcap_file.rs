//! Captures of literal frames, in the classic pcap format.

use std::time::Duration;

/// `LINKTYPE_ETHERNET`.
pub(crate) const ETHERNET: u32 = 1;

/// A capture in the making: little-endian, microseconds.
pub(crate) struct PcapFile {
    bytes: Vec<u8>,
}

impl PcapFile {
    /// An empty capture of a link type (`LINKTYPE_*`).
    pub(crate) fn new(link_type: u32) -> PcapFile {
        let mut bytes = Vec::new();
        bytes.extend(0xa1b2_c3d4_u32.to_le_bytes());
        bytes.extend([2, 0, 4, 0]); // version 2.4
        bytes.extend([0; 8]); // time zone, accuracy
        bytes.extend(262_144_u32.to_le_bytes()); // longest frame
        bytes.extend(link_type.to_le_bytes());
        PcapFile { bytes }
    }

    /// Adds a whole frame; `time` counts from 1970.
    pub(crate) fn frame(self, time: Duration, frame: &[u8]) -> PcapFile {
        let wire_len = frame.len();
        self.cut_frame(time, frame, wire_len)
    }

    /// Adds the captured part of a frame that had `wire_len` bytes.
    pub(crate) fn cut_frame(mut self, time: Duration, frame: &[u8], wire_len: usize) -> PcapFile {
        for field in [time.as_secs() as u32, time.subsec_micros(), frame.len() as u32, wire_len as u32] {
            self.bytes.extend(field.to_le_bytes());
        }
        self.bytes.extend(frame);
        self
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}
