//! What the table says of a primitive.

use crate::kind::Kind;
use crate::observation::Observation;

/// One aggregation primitive: one row of [`TABLE`](crate::TABLE).
///
/// A primitive of two columns (the coordinates of a place) has two rows of the same word.
#[derive(Debug)]
pub struct Primitive {
    /// The word in `aggregate` and in the client's `-c`.
    pub word: &'static str,
    /// Other words for the same primitive.
    pub aliases: &'static [&'static str],
    /// Column heading in formatted and CSV output.
    pub heading: &'static str,
    /// Name in JSON.
    pub json: &'static str,
    /// Characters that a value is padded to in formatted output.
    pub value_width: usize,
    /// Characters of the whole column, heading and blanks included.
    pub column_width: usize,
    /// What a value is.
    pub kind: Kind,
    /// What the primitive does to a record.
    pub role: Role,
    /// What the core must find out for it.
    pub needs: Needs,
    /// Where `-a` lists it.
    pub group: Group,
    /// One sentence for people.
    pub doc: &'static str,
}

/// What a primitive does to a record.
#[derive(Debug, Clone, Copy)]
pub enum Role {
    /// It is a part of the key, read from a packet into octets as wide as the kind.
    Key(Read),
    /// Every packet makes two records: the primitive is read in two ways, as source and as destination.
    Sum(Read, Read),
    /// It is not a part of the key: the flags of all packets of a record are OR-ed.
    TcpFlags,
    /// It is a counter: flows that began.
    Flows,
    /// A column that nothing fills: it has no octets in the key, and shows the kind's empty value.
    Unfilled(Unfilled),
    /// No key at all: one record with all packets.
    Nothing,
}

/// Reads a primitive into octets of its kind's width, all of which it writes.
pub(crate) type Read = fn(&Observation<'_>, &mut [u8]);

/// What a schema, or a primitive, needs of the core.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// The transport header: later fragments must be given the ports of their first one.
    pub ports: bool,
    /// Whether a flow begins with the packet. It needs the ports, too.
    pub flows: bool,
    /// The packet that the packet carries, if it is a tunnel's.
    pub tunnel: bool,
}

impl Needs {
    /// Nothing that is not in the packet's own headers.
    pub(crate) const NOTHING: Self = Self { ports: false, flows: false, tunnel: false };
    pub(crate) const PORTS: Self = Self { ports: true, ..Self::NOTHING };
    pub(crate) const FLOWS: Self = Self { ports: true, flows: true, ..Self::NOTHING };
    pub(crate) const TUNNEL: Self = Self { tunnel: true, ..Self::NOTHING };

    /// What either of two needs.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self {
            ports: self.ports || other.ports,
            flows: self.flows || other.flows,
            tunnel: self.tunnel || other.tunnel,
        }
    }
}

/// Why a column stays empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unfilled {
    /// It comes from a routing daemon (BGP, BMP, RPKI).
    Routing,
    /// It is a field of flows that a router exports (NetFlow, IPFIX, sFlow); packets have none.
    Exporter,
    /// Frames do not say it.
    Unknowable,
    /// The keys that fill it are not implemented yet.
    NotYet(&'static str),
}

impl std::fmt::Display for Unfilled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Routing => f.write_str("known to routing daemons only"),
            Self::Exporter => f.write_str("a field of NetFlow, IPFIX or sFlow"),
            Self::Unknowable => f.write_str("nothing in a frame says it"),
            Self::NotYet(keys) => write!(f, "{keys}: not implemented yet"),
        }
    }
}

/// Groups of primitives in `rpmacctd -a`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Group {
    /// Tags, labels and classes. They are the first columns.
    Tag,
    /// Link layer.
    Layer2,
    /// Interfaces. The client shows them before the link layer.
    Interface,
    /// Network layer.
    Layer3,
    /// Transport layer.
    Layer4,
    /// What routing daemons know.
    Routing,
    /// Network address translation.
    Nat,
    /// MPLS labels.
    Mpls,
    /// What is within a tunnel.
    Tunnel,
    /// Places of addresses, sampling.
    Misc,
    /// Times of packets.
    Time,
    /// What routers say when they export flows.
    Export,
    /// Words that change how records are made.
    Special,
}

impl Group {
    /// All groups, in the order of the listing.
    pub const ALL: &[Self] = &[
        Self::Layer2,
        Self::Layer3,
        Self::Layer4,
        Self::Interface,
        Self::Routing,
        Self::Nat,
        Self::Tunnel,
        Self::Mpls,
        Self::Tag,
        Self::Misc,
        Self::Time,
        Self::Export,
        Self::Special,
    ];

    /// The title in the listing.
    pub const fn title(self) -> &'static str {
        match self {
            Self::Tag => "TAG",
            Self::Layer2 => "L2",
            Self::Interface => "INTERFACE",
            Self::Layer3 => "L3",
            Self::Layer4 => "L4",
            Self::Routing => "BGP",
            Self::Nat => "NAT",
            Self::Mpls => "MPLS",
            Self::Tunnel => "TUNNEL",
            Self::Misc => "MISC",
            Self::Time => "TIME",
            Self::Export => "EXPORT",
            Self::Special => "SPECIAL",
        }
    }
}
