//! A decoded packet, and what only the core can say of it.

use rpmacct_packet::{Packet, Timestamp, Tunnel, TunnelKind};

/// One packet as the core saw it: what primitives are read from.
#[derive(Debug, Clone, Copy)]
pub struct Observation<'a> {
    /// The headers.
    pub packet: &'a Packet<'a>,
    /// The packet whose link header counts: `packet` itself, or the one around it where packets within tunnels
    /// are accounted and the tunnel carries no frames.
    pub link: &'a Packet<'a>,
    /// What the packet carries for others. Looked for only if a schema needs it.
    pub tunnel: Option<&'a Tunnel<'a>>,
    /// When the frame was captured.
    pub time: Timestamp,
    /// Source and destination port. For a later fragment: those of the datagram's first fragment. `None`
    /// when the protocol has no ports, or they are not known.
    pub ports: Option<(u16, u16)>,
    /// Number of the interface that the frame came in by, 0 when it is not known.
    pub in_iface: u32,
    /// Number of the interface that the frame went out by, 0 when it is not known.
    pub out_iface: u32,
    /// Whether a flow begins with this packet.
    pub new_flow: bool,
}

impl<'a> Observation<'a> {
    /// A packet with nothing added: no ports, interfaces unknown.
    pub fn new(packet: &'a Packet<'a>, time: Timestamp) -> Self {
        Self {
            packet,
            link: packet,
            tunnel: None,
            time,
            ports: None,
            in_iface: 0,
            out_iface: 0,
            new_flow: false,
        }
    }

    /// The packet within the tunnel, if there is one and it can be read.
    pub(crate) fn inner(&self) -> Option<&'a Packet<'a>> {
        self.tunnel?.inner.as_ref().ok()
    }

    /// The number of the tunnel if it is one of these kinds, else 0.
    pub(crate) fn tunnel_id(&self, kinds: &[TunnelKind]) -> u32 {
        self.tunnel.filter(|tunnel| kinds.contains(&tunnel.kind)).and_then(|tunnel| tunnel.id).unwrap_or(0)
    }
}
