//! Network headers over bytes: link layer to transport and tunnels, no allocation, no panic.
//!
//! [`Packet::decode`] walks a captured frame once, checks every header on the way, and gives views over
//! the bytes of the capture. What is not asked for is not read: the accessors fetch their fields when they
//! are called.
//!
//! What the packet carries for others is looked for when it is asked for: [`Packet::tunnel`] gives the packet
//! within, and so on inwards.
//!
//! Guarantees:
//!
//! - If `decode` returns a packet, no accessor panics or reads outside the capture, whatever the bytes are.
//! - No length from the wire is trusted: each is checked against the slice, or only reported.
//! - Chains of tags, labels, extension headers and tunnels are followed to a [fixed depth](limits).
//! - What cannot be decoded has a [`Reason`] that can be counted. Nothing is guessed, nothing is logged.
//! - Nothing allocates, nothing reads a clock, nothing is unsafe.
//!
//! Headers are big-endian on the wire; every accessor answers in the host's order.
//!
//! ```
//! use rpmacct_packet::{LinkType, Packet};
//!
//! let frame = [
//!     0x02, 0, 0, 0, 0, 0x0b, 0x02, 0, 0, 0, 0, 0x0a, 0x08, 0x00, // Ethernet: to, from, IPv4
//!     0x45, 0x10, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 8, 8, 8, 8, // IPv4: 28 bytes, UDP
//!     0x14, 0xe9, 0, 53, 0, 8, 0, 0, // UDP: from 5353 to 53
//! ];
//! let packet = Packet::decode(LinkType::ETHERNET, &frame, 42).unwrap();
//! assert_eq!(packet.src_ip().unwrap().to_string(), "10.0.0.1");
//! assert_eq!(packet.ports(), Some((5353, 53)));
//! assert_eq!(packet.ip_len(), 28);
//! assert_eq!(packet.src_mac().unwrap().to_string(), "02:00:00:00:00:0a");
//! ```
#![forbid(unsafe_code)]
#![allow(clippy::doc_markdown, reason = "EtherType, PPPoE and their like are names, not code")]

mod encapsulation;
mod ip;
mod layer;
mod link;
mod llc;
mod mac;
mod mpls;
mod packet;
mod ppp;
mod pseudowire;
mod skip;
mod span;
mod time;
mod transport;
mod tunnel;
mod vlan;

/// How deep chains of headers are followed.
///
/// Real traffic stays far below these; a frame made to waste our time does not.
pub mod limits {
    pub use crate::encapsulation::MAX_ENCAPSULATIONS;
    pub use crate::ip::MAX_EXTENSION_HEADERS;
    pub use crate::mpls::MAX_LABELS;
    pub use crate::tunnel::MAX_TUNNELS;
}

pub use ip::{Fragment, protocol};
pub use layer::Layer;
pub use link::LinkType;
pub use mac::{MacAddr, ParseMacError};
pub use mpls::{MplsEntry, MplsStack};
pub use packet::Packet;
pub use skip::{Class, Reason, Skip};
pub use time::Timestamp;
pub use tunnel::{ParseTunnelError, Tunnel, TunnelKind, TunnelRule};
pub use vlan::VlanTag;

/// The packets that the tests of this crate read.
#[cfg(test)]
mod testing {
    /// Bytes from hexadecimal text; blanks are free, and a line's text after `|` is a remark.
    pub(crate) fn hex(text: &str) -> Vec<u8> {
        let digits: String = text.lines().map(|line| line.split('|').next().unwrap_or_default()).collect();
        let digits: Vec<u32> = digits.chars().filter_map(|c| c.to_digit(16)).collect();
        assert!(digits.len().is_multiple_of(2), "half an octet in {text}");
        digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
    }
}
