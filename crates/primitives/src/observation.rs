//! A decoded packet, and what only the core can say of it.

use rpmacct_packet::{Packet, Timestamp};

/// One packet as the core saw it: what primitives are read from.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// The headers.
    pub packet: &'a Packet<'a>,
    /// When the frame was captured.
    pub time: Timestamp,
    /// Source and destination port. For a later fragment: those of the datagram's first fragment. `None`
    /// when the protocol has no ports, or they are not known.
    pub ports: Option<(u16, u16)>,
    /// Number of the interface that the frame came in by, 0 when it is not known.
    pub in_iface: u32,
    /// Number of the interface that the frame went out by, 0 when it is not known.
    pub out_iface: u32,
}

impl<'a> Observation<'a> {
    /// A packet with nothing added: no ports, interfaces unknown.
    pub fn new(packet: &'a Packet<'a>, time: Timestamp) -> Self {
        Self { packet, time, ports: None, in_iface: 0, out_iface: 0 }
    }
}
