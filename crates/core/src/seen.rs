//! What a frame holds: the packet that is accounted, the one around it, and the one within.

use rpmacct_capture::Frame;
use rpmacct_packet::{Packet, Skip, Tunnel, TunnelRule};
use rpmacct_primitives::{Needs, Observation};

use crate::Options;

/// A frame, understood.
#[derive(Debug)]
pub(crate) struct Seen<'a> {
    /// The outermost packet.
    outer: Packet<'a>,
    /// The one that is accounted in its place.
    within: Option<Within<'a>>,
    /// What the accounted packet carries for others, if anybody wants to know.
    tunnel: Option<Tunnel<'a>>,
}

/// A packet within tunnels.
#[derive(Debug)]
struct Within<'a> {
    packet: Packet<'a>,
    /// The innermost packet that came with a link header of its own.
    link: Option<Packet<'a>>,
}

impl<'a> Seen<'a> {
    /// Finds the packet in a frame, as the options say, and what the schemas need of it.
    #[inline]
    pub(crate) fn of(frame: &Frame<'a>, options: &Options, needs: Needs) -> Result<Self, Skip> {
        let outer = match Packet::decode(frame.link, frame.data, frame.wire_len) {
            Err(Skip::NotIp) if options.unknown_etype => {
                Packet::decode_any(frame.link, frame.data, frame.wire_len).map_err(Skip::Undecodable)?
            }
            decoded => decoded?,
        };
        let mut seen = Self { outer, within: None, tunnel: None };
        if !options.tunnels.is_empty() {
            seen.within = Within::find(&seen.outer, &options.tunnels);
        }
        if needs.tunnel {
            seen.tunnel = seen.packet().tunnel();
        }
        Ok(seen)
    }

    /// The packet that is accounted.
    #[inline]
    pub(crate) fn packet(&self) -> &Packet<'a> {
        self.within.as_ref().map_or(&self.outer, |within| &within.packet)
    }

    /// The packet as primitives are read from it. Ports are still missing.
    #[inline]
    pub(crate) fn observation<'o>(&'o self, frame: &Frame<'_>, options: &Options) -> Observation<'o> {
        let link = self.within.as_ref().and_then(|within| within.link.as_ref()).unwrap_or(&self.outer);
        Observation {
            packet: self.packet(),
            link,
            tunnel: self.tunnel.as_ref(),
            time: frame.time,
            ports: None,
            in_iface: options.in_iface,
            out_iface: options.out_iface,
            new_flow: false,
        }
    }
}

impl<'a> Within<'a> {
    /// Follows the rules inwards. `None` if none of them fits, or what the tunnel carries can't be read.
    fn find(outer: &Packet<'a>, rules: &[TunnelRule]) -> Option<Self> {
        outer.through(rules).fold(None, |around: Option<Self>, packet| {
            let link = packet.src_mac().map(|_| packet).or(around.and_then(|around| around.link));
            Some(Self { packet, link })
        })
    }
}
