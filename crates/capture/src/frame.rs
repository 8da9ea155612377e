//! What a capture gives.

use rpmacct_packet::{LinkType, Timestamp};

/// A captured frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame<'a> {
    /// When the frame was captured.
    pub time: Timestamp,
    /// What `data` begins with.
    pub link: LinkType,
    /// Length on the wire, in bytes. Invariant: `wire_len >= data.len()`.
    pub wire_len: u32,
    /// The captured bytes.
    pub data: &'a [u8],
    /// Number of the interface in its pcapng section; 0 where there is only one.
    pub interface: u32,
}
