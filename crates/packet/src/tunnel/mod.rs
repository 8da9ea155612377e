//! Packets within packets.
//!
//! A tunnel is looked for in one layer at a time, and only when it is asked for: [`Packet::tunnel`] gives a
//! [`Packet`] again, whose own tunnel can be asked for in turn.

mod gre;
mod gtp;
mod ip;
mod l2tp;
mod overlay;
mod teredo;

use std::fmt;
use std::iter;
use std::str::FromStr;

use crate::encapsulation::etype;
use crate::ip::protocol;
use crate::link::Framing;
use crate::packet::{Packet, blame};
use crate::skip::{Reason, Skip};
use crate::span::Span;
use crate::transport;

/// The tunnels within each other that [`Packet::tunnels`] and [`Packet::within`] follow.
pub const MAX_TUNNELS: usize = 4;

/// What a packet carries for others.
#[derive(Debug, Clone, Copy)]
pub struct Tunnel<'a> {
    /// How it is carried.
    pub kind: TunnelKind,
    /// Which of several tunnels between the same ends this is: the VNI of VXLAN and Geneve, the VSID of
    /// NVGRE, the key of GRE, the call of PPTP, the session of ERSPAN and L2TPv3, the TEID of GTP, the SPI of
    /// ESP; for L2TPv2 the tunnel in the higher 16 bits and the session in the lower ones. `None` if the
    /// header has none.
    pub id: Option<u32>,
    /// The packet within: with link-layer addresses, tags and labels if the tunnel carries frames. Its lengths
    /// on the wire follow from those of the packet around it.
    pub inner: Result<Packet<'a>, Skip>,
}

/// How packets are carried within packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TunnelKind {
    /// IPv4 in IPv4.
    IpIp,
    /// IPv6 in IPv4.
    SixInFour,
    /// IPv4 in IPv6.
    FourInSix,
    /// IPv6 in IPv6.
    SixInSix,
    /// Generic routing encapsulation of IP, Ethernet, MPLS or PPP.
    Gre,
    /// Ethernet in GRE, whose key is the number of a virtual network.
    Nvgre,
    /// Mirrored Ethernet frames in GRE: types I, II and III.
    Erspan,
    /// PPP in the GRE of PPTP.
    Pptp,
    /// Ethernet in IP.
    EtherIp,
    /// MPLS in IP or UDP.
    MplsInIp,
    /// Ethernet in UDP.
    Vxlan,
    /// IP or Ethernet in UDP: VXLAN with a protocol field.
    VxlanGpe,
    /// Ethernet or IP in UDP, with options.
    Geneve,
    /// Subscribers' packets in mobile networks: versions 0 and 1.
    Gtp,
    /// IPv6 in UDP over IPv4, through address translation.
    Teredo,
    /// PPP in UDP.
    L2tp,
    /// Ethernet in IP or UDP: layer two tunnelling, version 3.
    L2tpV3,
    /// Encrypted packets in UDP. What is within cannot be seen.
    EspUdp,
    /// The key exchange that shares its port with ESP in UDP. It carries no packets.
    Ike,
}

/// What carries a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Carrier {
    /// IP itself; the protocol number tells.
    Ip,
    /// UDP to this port.
    UdpTo(u16),
    /// UDP to or from this port: answers go to the port that was asked from.
    Udp(u16),
}

/// What was found behind an IP or UDP header: `None` if it is no tunnel after all, an error if the tunnel's
/// header cannot be read to its end.
type Found<'a> = Result<Option<Tunnel<'a>>, Skip>;

/// What reads a tunnel's header.
type Read = for<'a> fn(Span<'a>) -> Found<'a>;

struct Row {
    kind: TunnelKind,
    /// The name in configurations.
    name: &'static str,
    carrier: Carrier,
    /// For kinds that UDP carries.
    read: Option<Read>,
}

const fn ip(kind: TunnelKind, name: &'static str) -> Row {
    Row { kind, name, carrier: Carrier::Ip, read: None }
}

const fn udp(kind: TunnelKind, name: &'static str, carrier: Carrier, read: Read) -> Row {
    Row { kind, name, carrier, read: Some(read) }
}

/// One row for each kind, and a second one where it has a second port. Where several kinds share a port the
/// reader of the first one tells them apart.
const TABLE: &[Row] = &[
    ip(TunnelKind::IpIp, "ipip"),       // RFC 2003
    ip(TunnelKind::SixInFour, "6in4"),  // RFC 4213
    ip(TunnelKind::FourInSix, "4in6"),  // RFC 2473
    ip(TunnelKind::SixInSix, "6in6"),   // RFC 2473
    ip(TunnelKind::Gre, "gre"),         // RFC 2784, RFC 2890
    ip(TunnelKind::Nvgre, "nvgre"),     // RFC 7637
    ip(TunnelKind::Erspan, "erspan"),   // draft-foschiano-erspan
    ip(TunnelKind::Pptp, "pptp"),       // RFC 2637
    ip(TunnelKind::EtherIp, "etherip"), // RFC 3378
    udp(TunnelKind::MplsInIp, "mpls-in-ip", Carrier::UdpTo(6635), ip::mpls), // RFC 4023, RFC 7510
    udp(TunnelKind::Vxlan, "vxlan", Carrier::UdpTo(4789), overlay::vxlan), // RFC 7348
    udp(TunnelKind::VxlanGpe, "vxlan-gpe", Carrier::UdpTo(4790), overlay::vxlan_gpe), // draft-ietf-nvo3-vxlan-gpe
    udp(TunnelKind::Geneve, "geneve", Carrier::UdpTo(6081), overlay::geneve),         // RFC 8926
    udp(TunnelKind::Gtp, "gtp", Carrier::UdpTo(2152), gtp::read),                     // 3GPP TS 29.281
    udp(TunnelKind::Gtp, "gtp", Carrier::UdpTo(3386), gtp::read), // 3GPP TS 29.060 of 1999
    udp(TunnelKind::Teredo, "teredo", Carrier::Udp(3544), teredo::read), // RFC 4380
    udp(TunnelKind::L2tp, "l2tp", Carrier::Udp(1701), l2tp::read_udp), // RFC 2661
    udp(TunnelKind::L2tpV3, "l2tpv3", Carrier::Udp(1701), l2tp::read_udp), // RFC 3931
    udp(TunnelKind::EspUdp, "esp-udp", Carrier::Udp(4500), ip::esp_udp), // RFC 3948
    udp(TunnelKind::Ike, "ike", Carrier::Udp(4500), ip::esp_udp), // RFC 3947
];

impl TunnelKind {
    /// All kinds.
    pub const ALL: &'static [Self] = &[
        Self::IpIp,
        Self::SixInFour,
        Self::FourInSix,
        Self::SixInSix,
        Self::Gre,
        Self::Nvgre,
        Self::Erspan,
        Self::Pptp,
        Self::EtherIp,
        Self::MplsInIp,
        Self::Vxlan,
        Self::VxlanGpe,
        Self::Geneve,
        Self::Gtp,
        Self::Teredo,
        Self::L2tp,
        Self::L2tpV3,
        Self::EspUdp,
        Self::Ike,
    ];

    /// The name in configurations, such as `vxlan`.
    pub fn name(self) -> &'static str {
        self.rows().next().map_or("", |row| row.name)
    }

    /// The UDP ports that the kind is known by; none if IP carries it and its protocol number tells.
    pub fn ports(self) -> impl Iterator<Item = u16> {
        self.rows().filter_map(|row| match row.carrier {
            Carrier::Ip => None,
            Carrier::Udp(port) | Carrier::UdpTo(port) => Some(port),
        })
    }

    /// Whether this is `kind`, or a special case of it: NVGRE, ERSPAN and PPTP are GRE.
    pub fn is(self, kind: Self) -> bool {
        self == kind || (kind == Self::Gre && matches!(self, Self::Nvgre | Self::Erspan | Self::Pptp))
    }

    fn rows(self) -> impl Iterator<Item = &'static Row> {
        TABLE.iter().filter(move |row| row.kind == self)
    }
}

impl fmt::Display for TunnelKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Which tunnels to look into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TunnelRule {
    /// How packets are carried.
    pub kind: TunnelKind,
    /// The UDP port instead of the well-known ones. Invariant: `None` for kinds that have none.
    pub port: Option<u16>,
}

/// Why a text is no [`TunnelRule`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParseTunnelError {
    /// There is no kind of this name.
    Name(String),
    /// This is no port.
    Port(String),
    /// The kind is not carried by UDP: it has no port.
    NoPort(TunnelKind),
}

impl fmt::Display for ParseTunnelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => {
                write!(f, "`{name}`: expected a tunnel:")?;
                for (i, kind) in TunnelKind::ALL.iter().enumerate() {
                    write!(f, "{} {kind}", if i == 0 { "" } else { "," })?;
                }
                Ok(())
            }
            Self::Port(port) => write!(f, "`{port}`: expected a UDP port, 1 to 65535"),
            Self::NoPort(kind) => write!(f, "{kind} has no port: expected `{kind}` alone"),
        }
    }
}

impl std::error::Error for ParseTunnelError {}

/// Reads `NAME` or `NAME, PORT`.
impl FromStr for TunnelRule {
    type Err = ParseTunnelError;

    fn from_str(text: &str) -> Result<Self, ParseTunnelError> {
        let (name, port) = match text.split_once(',') {
            Some((name, port)) => (name.trim(), Some(port.trim())),
            None => (text.trim(), None),
        };
        let kind = TunnelKind::ALL
            .iter()
            .copied()
            .find(|kind| kind.name().eq_ignore_ascii_case(name))
            .ok_or_else(|| ParseTunnelError::Name(name.to_owned()))?;
        let port = port.map(|port| match port.parse() {
            Ok(1..) if kind.ports().next().is_none() => Err(ParseTunnelError::NoPort(kind)),
            Ok(port @ 1..) => Ok(port),
            _ => Err(ParseTunnelError::Port(port.to_owned())),
        });
        Ok(Self { kind, port: port.transpose()? })
    }
}

impl<'a> Packet<'a> {
    /// The tunnel that this packet is part of, known by its IP protocol or its well-known UDP port.
    ///
    /// Later fragments have none: what they carry begins in the first one.
    pub fn tunnel(&self) -> Option<Tunnel<'a>> {
        match self.carried()? {
            (protocol::UDP, udp) => {
                let (ports, payload) = split_udp(udp)?;
                TABLE.iter().find(|row| row.carrier.fits(ports))?.read(payload)
            }
            (proto, payload) => ip::read(self.is_ipv6(), proto, payload),
        }
    }

    /// The tunnel that this packet is part of, if it is one that `rule` is about.
    pub fn tunnel_at(&self, rule: &TunnelRule) -> Option<Tunnel<'a>> {
        let tunnel = match rule.port {
            None => self.tunnel()?,
            Some(port) => {
                let (protocol::UDP, udp) = self.carried()? else { return None };
                let (ports, payload) = split_udp(udp)?;
                let row = rule.kind.rows().next().filter(|row| row.carrier.at(port).fits(ports))?;
                row.read(payload)?
            }
        };
        tunnel.kind.is(rule.kind).then_some(tunnel)
    }

    /// The tunnels within each other, from the outermost inwards, [`MAX_TUNNELS`] at most.
    pub fn tunnels(&self) -> impl Iterator<Item = Tunnel<'a>> + use<'a> {
        iter::successors(self.tunnel(), |tunnel| tunnel.inner.ok()?.tunnel()).take(MAX_TUNNELS)
    }

    /// The packets that `rules` lead to, inwards, through [`MAX_TUNNELS`] tunnels at most. None if none of them fits
    /// this packet, or if what its tunnel carries cannot be read.
    pub fn through<'r>(&self, rules: &'r [TunnelRule]) -> impl Iterator<Item = Self> + use<'a, 'r> {
        let inner = move |packet: &Self| rules.iter().find_map(|rule| packet.tunnel_at(rule)?.inner.ok());
        iter::successors(inner(self), inner).take(MAX_TUNNELS)
    }

    /// The innermost packet that `rules` lead [through](Self::through) tunnels to.
    pub fn within(&self, rules: &[TunnelRule]) -> Option<Self> {
        self.through(rules).last()
    }

    /// The protocol that the packet carries, behind an authentication header too, and what it carries.
    fn carried(&self) -> Option<(u8, Span<'a>)> {
        let payload = self.payload()?;
        // The chain of IPv6 headers has been followed through it.
        if self.proto() != protocol::AH || self.is_ipv6() {
            return Some((self.proto(), payload));
        }
        let [next, units, ..] = *payload.data else { return None };
        Some((next, payload.skip((usize::from(units) + 2) * 4).ok()?))
    }
}

/// Reads a UDP header: source and destination port, and what follows. What lies behind the length that UDP
/// gives is padding of the IP packet.
fn split_udp(udp: Span<'_>) -> Option<((u16, u16), Span<'_>)> {
    let ports = transport::ports(protocol::UDP, udp.data)?;
    let (header, payload) = udp.split::<8>().ok()?;
    Some((
        ports,
        match u16::from_be_bytes([header[4], header[5]]) {
            // Zero: too long for the field. Less than the header has: wrong, and no reason to look away.
            ..8 => payload,
            len => payload.upto(u32::from(len) - 8),
        },
    ))
}

impl Carrier {
    /// The same with another port.
    fn at(self, port: u16) -> Self {
        match self {
            Self::Ip => Self::Ip,
            Self::Udp(_) => Self::Udp(port),
            Self::UdpTo(_) => Self::UdpTo(port),
        }
    }

    /// Whether UDP from and to these ports may be it.
    fn fits(self, (from, to): (u16, u16)) -> bool {
        match self {
            Self::Ip => false,
            Self::Udp(port) => port == from || port == to,
            Self::UdpTo(port) => port == to,
        }
    }
}

impl Row {
    fn read<'a>(&self, payload: Span<'a>) -> Option<Tunnel<'a>> {
        Tunnel::found(self.kind, payload, self.read?(payload))
    }
}

impl<'a> Tunnel<'a> {
    /// Some tunnel, whatever it holds.
    #[allow(clippy::unnecessary_wraps, reason = "readers end with it")]
    fn some(kind: TunnelKind, id: Option<u32>, inner: Result<Packet<'a>, Skip>) -> Found<'a> {
        Ok(Some(Self { kind, id, inner }))
    }

    /// A tunnel whose header could not be read is one nevertheless, of the `kind` that was expected.
    fn found(kind: TunnelKind, payload: Span<'a>, found: Found<'a>) -> Option<Self> {
        found.unwrap_or_else(|skip| {
            let inner = Err(blame(skip, payload.behind()));
            Some(Self { kind, id: None, inner })
        })
    }
}

/// The packet in a frame of an Ethernet that is carried.
fn ethernet(payload: Span<'_>) -> Result<Packet<'_>, Skip> {
    Packet::framed(Framing::Ethernet, payload.data, payload.behind())
}

/// The packet in what `etype` announces.
fn typed(etype: u16, payload: Span<'_>) -> Result<Packet<'_>, Skip> {
    Packet::typed(Framing::Raw, payload.data, payload.behind(), etype, payload.data)
}

/// The packet in a frame of PPP.
fn ppp(payload: Span<'_>) -> Result<Packet<'_>, Skip> {
    Packet::framed(Framing::Ppp, payload.data, payload.behind())
}

/// The packet whose first four bits say which IP it is, if they do.
fn ip_by_version(payload: Span<'_>) -> Result<Packet<'_>, Skip> {
    match payload.data.first().map(|octet| octet >> 4) {
        Some(4) => typed(etype::IPV4, payload),
        Some(6) => typed(etype::IPV6, payload),
        Some(_) => Err(Skip::NotIp),
        None => Err(blame(Skip::Undecodable(Reason::IpCut), payload.behind())),
    }
}
