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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The link type of the frame's interface is not one of
    /// [`LinkType::supported`](crate::LinkType::supported).
    LinkType,
    /// The capture ends within a link-layer header, a VLAN tag or a PPPoE header.
    LinkCut,
    /// More encapsulations than [`MAX_ENCAPSULATIONS`](crate::limits::MAX_ENCAPSULATIONS).
    LinkDepth,
    /// The capture ends before the bottom of the label stack.
    MplsCut,
    /// More labels than [`MAX_LABELS`](crate::limits::MAX_LABELS).
    MplsDepth,
    /// The capture ends within the fixed part of the IP header: 20 bytes of IPv4, 40 bytes of IPv6.
    IpCut,
    /// The version in the IP header is not the one that the layer below announces.
    IpVersion,
    /// The IPv4 header says that it is shorter than 20 bytes.
    IpHeaderLength,
    /// The IPv4 packet says that it is shorter than its header.
    IpLength,
}

impl Reason {
    /// All reasons, in the order of [`index`](Self::index).
    pub const ALL: &'static [Self] = &[
        Self::LinkType,
        Self::LinkCut,
        Self::LinkDepth,
        Self::MplsCut,
        Self::MplsDepth,
        Self::IpCut,
        Self::IpVersion,
        Self::IpHeaderLength,
        Self::IpLength,
    ];

    /// The reason's name in the ledger.
    pub const fn name(self) -> &'static str {
        match self {
            Self::LinkType => "unsupported link type",
            Self::LinkCut => "link header cut off",
            Self::LinkDepth => "too many encapsulations",
            Self::MplsCut => "label stack cut off",
            Self::MplsDepth => "too many labels",
            Self::IpCut => "IP header cut off",
            Self::IpVersion => "wrong IP version",
            Self::IpHeaderLength => "bad IP header length",
            Self::IpLength => "bad IP length",
        }
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
        let names: HashSet<_> = Reason::ALL.iter().map(|reason| reason.name()).collect();
        assert_eq!(names.len(), Reason::ALL.len());
    }
}
