//! Why a frame is not a packet.

use std::fmt;

/// Why [`Packet::decode`](crate::Packet::decode) gives no packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Skip {
    /// The frame is whole as far as it was read, and carries something that is not IP, such as ARP.
    NotIp,
    /// The frame says that it carries IP, or may carry it, but this cannot be read.
    Undecodable(Reason),
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotIp => f.write_str("not IP"),
            Self::Undecodable(reason) => write!(f, "undecodable: {reason}"),
        }
    }
}

impl std::error::Error for Skip {}

/// What makes a frame undecodable; one counter each in the ledger.
///
/// Where a header can be incomplete there are two reasons: the capture has less than the frame had, or the
/// frame itself ends there. For the packet in a tunnel, "link header" is the tunnel's header too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The link type of the frame's interface is not one of
    /// [`LinkType::supported`](crate::LinkType::supported).
    LinkType,
    /// The capture ends within a link-layer header, a VLAN tag or a PPPoE header.
    LinkCut,
    /// The frame ends within a link-layer header, a VLAN tag or a PPPoE header.
    LinkShort,
    /// A link-layer header contradicts itself: a length in it is too small for what it must hold.
    LinkHeader,
    /// More encapsulations than [`MAX_ENCAPSULATIONS`](crate::limits::MAX_ENCAPSULATIONS).
    LinkDepth,
    /// The payload is encrypted.
    Encrypted,
    /// The frame holds several packets; only frames of one are read.
    Aggregate,
    /// The capture ends before the bottom of the label stack.
    MplsCut,
    /// The frame ends before the bottom of the label stack.
    MplsShort,
    /// The capture ends before it can be told whether labels, or the session of a tunnel, carry Ethernet.
    PseudowireCut,
    /// More labels than [`MAX_LABELS`](crate::limits::MAX_LABELS).
    MplsDepth,
    /// The capture ends within the fixed part of the IP header: 20 bytes of IPv4, 40 bytes of IPv6.
    IpCut,
    /// The frame ends within the fixed part of the IP header.
    IpShort,
    /// The version in the IP header is not the one that the layer below announces.
    IpVersion,
    /// The IPv4 header says that it is shorter than 20 bytes.
    IpHeaderLength,
    /// The IPv4 packet says that it is shorter than its header.
    IpLength,
}

/// Whose fault it is that a frame cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// Ours: the capture has less than the frame had. A longer snapshot length helps.
    Cut,
    /// The sender's: the frame is wrong, or somebody else's bytes.
    Malformed,
    /// Nobody's: it may be right, but it is more than is read here.
    Unsupported,
}

impl Class {
    /// The class's name in the ledger.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cut => "cut",
            Self::Malformed => "malformed",
            Self::Unsupported => "unsupported",
        }
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Reason {
    /// All reasons, in the order of [`index`](Self::index).
    pub const ALL: &'static [Self] = &[
        Self::LinkType,
        Self::LinkCut,
        Self::LinkShort,
        Self::LinkHeader,
        Self::LinkDepth,
        Self::Encrypted,
        Self::Aggregate,
        Self::MplsCut,
        Self::MplsShort,
        Self::PseudowireCut,
        Self::MplsDepth,
        Self::IpCut,
        Self::IpShort,
        Self::IpVersion,
        Self::IpHeaderLength,
        Self::IpLength,
    ];

    const fn row(self) -> (Class, &'static str) {
        match self {
            Self::LinkType => (Class::Unsupported, "unsupported link type"),
            Self::LinkCut => (Class::Cut, "link header cut off"),
            Self::LinkShort => (Class::Malformed, "frame too short"),
            Self::LinkHeader => (Class::Malformed, "bad link header"),
            Self::LinkDepth => (Class::Unsupported, "too many encapsulations"),
            Self::Encrypted => (Class::Unsupported, "encrypted"),
            Self::Aggregate => (Class::Unsupported, "several packets in one frame"),
            Self::MplsCut => (Class::Cut, "label stack cut off"),
            Self::MplsShort => (Class::Malformed, "label stack without end"),
            Self::PseudowireCut => (Class::Cut, "pseudowire cut off"),
            Self::MplsDepth => (Class::Unsupported, "too many labels"),
            Self::IpCut => (Class::Cut, "IP header cut off"),
            Self::IpShort => (Class::Malformed, "IP header too short"),
            Self::IpVersion => (Class::Malformed, "wrong IP version"),
            Self::IpHeaderLength => (Class::Malformed, "bad IP header length"),
            Self::IpLength => (Class::Malformed, "bad IP length"),
        }
    }

    /// The reason's name in the ledger.
    pub const fn name(self) -> &'static str {
        self.row().1
    }

    /// Whose fault it is.
    pub const fn class(self) -> Class {
        self.row().0
    }

    /// What it is when the bytes that are missing were not in the frame either.
    pub(crate) const fn in_whole_frame(self) -> Skip {
        Skip::Undecodable(match self {
            Self::LinkCut => Self::LinkShort,
            Self::MplsCut => Self::MplsShort,
            Self::IpCut => Self::IpShort,
            // It is too short for a frame that carries IP.
            Self::PseudowireCut => return Skip::NotIp,
            other => other,
        })
    }

    /// The reason's place in [`ALL`](Self::ALL), for an array of counters.
    #[inline]
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn reasons_have_their_own_names_and_places() {
        for (i, reason) in Reason::ALL.iter().enumerate() {
            assert_eq!(reason.index(), i);
        }
        // The last variant by its number: fails when one is added and not listed.
        assert_eq!(Reason::ALL.len(), Reason::IpLength as usize + 1);
        for reason in Reason::ALL {
            let is_cut = reason.class() == Class::Cut;
            match reason.in_whole_frame() {
                Skip::NotIp => assert!(is_cut, "{reason}"),
                Skip::Undecodable(whole) => {
                    assert_ne!(whole.class(), Class::Cut, "{reason}");
                    assert_eq!(whole != *reason, is_cut, "{reason}");
                }
            }
        }
        let names: HashSet<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
    }
}
