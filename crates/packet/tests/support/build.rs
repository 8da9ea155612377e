//! Builds frames from the inside out, and remembers what they were built from.

#![allow(clippy::match_same_arms, reason = "each of them has its own row")]

use std::net::IpAddr;

use rpmacct_packet::{Fragment, LinkType, MacAddr, TunnelKind, VlanTag};

pub(crate) const DST_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x0b];
pub(crate) const SRC_MAC: [u8; 6] = [2, 0, 0, 0, 0, 0x0a];

/// What an IP packet was built from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    pub(crate) len: u32,
    pub(crate) tos: u8,
    pub(crate) proto: u8,
    pub(crate) ports: Option<(u16, u16)>,
    pub(crate) flags: Option<u8>,
    pub(crate) fragment: Option<Fragment>,
    /// Octets from the end of the IP headers to the end of the frame.
    pub(crate) behind_headers: usize,
    /// Octets of the transport header that hold what is accounted.
    pub(crate) needed: usize,
}

/// A frame in the making.
#[derive(Debug, Clone)]
pub(crate) struct Build {
    pub(crate) bytes: Vec<u8>,
    /// What the bytes are.
    pub(crate) etype: u16,
    /// The packets within each other, outermost first.
    pub(crate) packets: Vec<Facts>,
    /// The tunnels between them.
    pub(crate) tunnels: Vec<(TunnelKind, Option<u32>)>,
    /// Of the outermost frame so far.
    pub(crate) vlans: Vec<VlanTag>,
    pub(crate) labels: Vec<u32>,
}

/// What an IP packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Carried {
    Tcp,
    Udp,
    Icmp,
    FirstFragment,
    LaterFragment,
}

pub(crate) const CARRIED: [Carried; 5] =
    [Carried::Tcp, Carried::Udp, Carried::Icmp, Carried::FirstFragment, Carried::LaterFragment];

/// Bytes from hexadecimal text; blanks are free.
pub(crate) fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
    assert!(digits.len().is_multiple_of(2), "half an octet in {text}");
    digits.chunks_exact(2).map(|pair| (pair[0] << 4 | pair[1]) as u8).collect()
}

/// An IP packet; `host` makes its addresses.
pub(crate) fn packet(is_v6: bool, carried: Carried, host: u8) -> Build {
    let tcp = hex("9c40 0050 00000001 00000002 50 d2 2000 0000 0000 7878");
    let udp = hex("03e8 07d0 000c 0000 78787878");
    let (proto, bytes, ports, flags, fragment) = match carried {
        Carried::Tcp => (6, tcp, Some((40_000, 80)), Some(0xd2), None),
        Carried::Udp => (17, udp, Some((1000, 2000)), None, None),
        Carried::Icmp => (if is_v6 { 58 } else { 1 }, hex("0800 0000 0001 0001"), None, None, None),
        Carried::FirstFragment => (17, udp, Some((1000, 2000)), None, Some((0, true))),
        Carried::LaterFragment => (17, hex("7878787878787878"), None, None, Some((1400, false))),
    };
    let needed = match (ports, flags) {
        (_, Some(_)) => 14,
        (Some(_), None) => 4,
        _ => 0,
    };
    let empty = Build { bytes, etype: 0, packets: vec![], tunnels: vec![], vlans: vec![], labels: vec![] };
    let mut build = empty.in_ip(is_v6, proto, host, fragment);
    let facts = &mut build.packets[0];
    (facts.ports, facts.flags, facts.needed) = (ports, flags, needed);
    build
}

impl Build {
    fn prepend(&mut self, header: &[u8]) {
        self.bytes.splice(..0, header.iter().copied());
    }

    /// The same behind `header`, as `etype`.
    fn behind(mut self, header: &[u8], etype: u16) -> Self {
        self.prepend(header);
        self.etype = etype;
        self
    }

    fn len(&self) -> u16 {
        self.bytes.len() as u16
    }

    /// The bytes in an IP packet of protocol `proto`.
    pub(crate) fn in_ip(mut self, is_v6: bool, proto: u8, host: u8, fragment: Option<(u16, bool)>) -> Self {
        let behind_headers = self.bytes.len();
        let tos = 0x10 | host;
        let (src, dst): (IpAddr, IpAddr);
        let (header, id) = if is_v6 {
            let (a, b) = ([0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::from(host)], [0x2001, 0xdb8, 1, 0, 0, 0, 0, 1]);
            (src, dst) = (a.into(), b.into());
            let mut next = proto;
            if let Some((offset, more)) = fragment {
                self.prepend(&hex("00 00 0000 00000063"));
                (self.bytes[0], next) = (proto, 44);
                self.bytes[2..4].copy_from_slice(&(offset | u16::from(more)).to_be_bytes());
            }
            let mut header = hex("60000000 0000 00 40");
            header[..2].copy_from_slice(&(0x6000 | (u16::from(tos) << 4)).to_be_bytes());
            header[4..6].copy_from_slice(&self.len().to_be_bytes());
            header[6] = next;
            header.extend(a.into_iter().chain(b).flat_map(u16::to_be_bytes));
            (header, 0x63)
        } else {
            let (a, b) = ([10, 0, 0, host], [192, 0, 2, 1]);
            (src, dst) = (a.into(), b.into());
            let mut header = hex("45 00 0000 0063 0000 40 00 0000");
            header[1] = tos;
            header[2..4].copy_from_slice(&(self.len() + 20).to_be_bytes());
            let (offset, more) = fragment.unwrap_or_default();
            header[6..8].copy_from_slice(&((offset / 8) | (u16::from(more) << 13)).to_be_bytes());
            header[9] = proto;
            header.extend(a.into_iter().chain(b));
            let words = header.chunks_exact(2).map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])));
            let sum: u32 = words.sum();
            let checksum = !((sum & 0xffff) + (sum >> 16)) as u16;
            header[10..12].copy_from_slice(&checksum.to_be_bytes());
            (header, 0x63)
        };
        self.prepend(&header);
        let facts = Facts {
            src,
            dst,
            len: self.bytes.len() as u32,
            tos,
            proto,
            ports: None,
            flags: None,
            fragment: fragment.map(|(offset, more)| Fragment { id, offset, more }),
            behind_headers,
            needed: 0,
        };
        self.packets.insert(0, facts);
        self.etype = if is_v6 { 0x86dd } else { 0x0800 };
        (self.vlans, self.labels) = (vec![], vec![]);
        self
    }

    fn in_udp(mut self, is_v6: bool, to: u16, host: u8) -> Self {
        let mut header = hex("c000 0000 0000 0000");
        header[2..4].copy_from_slice(&to.to_be_bytes());
        header[4..6].copy_from_slice(&(self.len() + 8).to_be_bytes());
        self.prepend(&header);
        self = self.in_ip(is_v6, 17, host, None);
        (self.packets[0].ports, self.packets[0].needed) = (Some((0xc000, to)), 4);
        self
    }

    fn in_ethernet(self) -> Self {
        let header = [&DST_MAC[..], &SRC_MAC, &self.etype.to_be_bytes()].concat();
        self.behind(&header, 0x6558)
    }

    fn in_ppp(self) -> Option<Self> {
        let protocol = match self.etype {
            0x0800 => "ff03 0021",
            0x86dd => "ff03 0057",
            0x8847 => "ff03 0281",
            _ => return None,
        };
        Some(self.behind(&hex(protocol), 0x880b))
    }

    fn is_v6(&self) -> bool {
        self.etype == 0x86dd
    }

    /// The same behind something that stands between link and IP. `None` if that cannot be.
    pub(crate) fn around(mut self, around: Around) -> Option<Self> {
        let tag = |build: Self, kind: u16, id: u16, cos: u8| {
            let header = [(u16::from(cos) << 13) | id, build.etype].map(u16::to_be_bytes).concat();
            let mut build = build.behind(&header, kind);
            build.vlans.insert(0, VlanTag { id, cos });
            build
        };
        let label = |build: Self, label: u32| {
            let bottom = u32::from(build.labels.is_empty()) << 8;
            let mut build = build.behind(&((label << 12) | bottom | 64).to_be_bytes(), 0x8847);
            build.labels.insert(0, label);
            build
        };
        Some(match around {
            Around::Nothing => self,
            Around::Vlan => tag(self, 0x8100, 100, 5),
            Around::Qinq => tag(tag(self, 0x8100, 300, 1), 0x88a8, 200, 3),
            Around::ThreeTags => tag(tag(tag(self, 0x8100, 1, 0), 0x9200, 2, 0), 0x9100, 3, 7),
            Around::Label => label(self, 1001),
            Around::Labels => (0..20).fold(self, |build, n| label(build, 16 + n)),
            Around::VlanAndLabels => tag(label(label(self, 2002), 1001), 0x8100, 100, 0),
            Around::Null => {
                let null = if self.is_v6() { 2 } else { 0 };
                label(self, null)
            }
            Around::Pseudowire => {
                self = self.in_ethernet();
                self.prepend(&[0; 4]);
                label(self, 3003)
            }
            Around::TaggedPseudowire => {
                let build = tag(self, 0x8100, 7, 0).in_ethernet();
                label(build, 3003)
            }
            Around::Pppoe => {
                self = self.in_ppp()?;
                // PPPoE comes without address and control.
                self.bytes.drain(..2);
                let len = self.len().to_be_bytes();
                self.behind(&[&hex("1100 0007")[..], &len].concat(), 0x8864)
            }
            Around::FabricPath => self.in_ethernet().behind(&hex("0060"), 0x8903),
            Around::VnTag => self.shim("80050001", 0x8926),
            Around::ETag => self.shim("000000010000", 0x893f),
            Around::TrustSec => self.shim("010100010005", 0x8909),
            Around::ITag => self.in_ethernet().behind(&hex("00000064"), 0x88e7),
            Around::Nsh => self.in_ethernet().behind(&hex("0fc2 02 03 000001ff"), 0x894f),
            Around::Snap => {
                let len = self.len() + 8;
                self.shim("aaaa03 000000", len)
            }
        })
    }

    /// The same behind a header that ends with an EtherType.
    fn shim(self, header: &str, etype: u16) -> Self {
        let header = [hex(header), self.etype.to_be_bytes().to_vec()].concat();
        self.behind(&header, etype)
    }

    /// The same in a tunnel, whose packet is IPv6 or not. `None` if that tunnel cannot carry it.
    pub(crate) fn through(self, way: Way, is_v6: bool, host: u8) -> Option<Self> {
        let inner_is_v6 = match self.etype {
            0x0800 => Some(false),
            0x86dd => Some(true),
            _ => None,
        };
        let (etype, inner_etype) = (self.etype, self.etype.to_be_bytes());
        let gre = |header: &str, build: Self| {
            let mut build = build;
            build.prepend(&hex(header));
            build.in_ip(is_v6, 47, host, None)
        };
        let udp = |header: &[u8], build: Self, port| {
            let mut build = build;
            build.prepend(header);
            build.in_udp(is_v6, port, host)
        };
        let (kind, id, mut build) = match way {
            // They have room for an EtherType, not for a length.
            Way::Gre | Way::GreWithAll | Way::GeneveWithOptions if etype < 0x0600 => return None,
            Way::Ip => {
                let (kind, proto) = match (is_v6, inner_is_v6?) {
                    (false, false) => (TunnelKind::IpIp, 4),
                    (false, true) => (TunnelKind::SixInFour, 41),
                    (true, false) => (TunnelKind::FourInSix, 4),
                    (true, true) => (TunnelKind::SixInSix, 41),
                };
                (kind, None, self.in_ip(is_v6, proto, host, None))
            }
            Way::Gre => (TunnelKind::Gre, None, gre(&format!("0000 {etype:04x}"), self)),
            Way::GreWithAll => {
                (TunnelKind::Gre, Some(7), gre(&format!("b000 {etype:04x} 12340000 00000007 00000001"), self))
            }
            Way::GreEthernet => (TunnelKind::Gre, None, gre("0000 6558", self.in_ethernet())),
            Way::Nvgre => (TunnelKind::Nvgre, Some(0x1234), gre("2000 6558 00123456", self.in_ethernet())),
            Way::Erspan1 => (TunnelKind::Erspan, None, gre("0000 88be", self.in_ethernet())),
            Way::Erspan2 => {
                let header = "1000 88be 00000001 1005 1064 00000000";
                (TunnelKind::Erspan, Some(100), gre(header, self.in_ethernet()))
            }
            Way::Erspan3 => {
                let header = "1000 22eb 00000001 2005 0064 00000000 0000 0001 0000000000000000";
                (TunnelKind::Erspan, Some(100), gre(header, self.in_ethernet()))
            }
            Way::Pptp => {
                let build = self.in_ppp()?;
                let header = format!("3081 880b {:04x} 0007 00000001 00000002", build.len());
                (TunnelKind::Pptp, Some(7), gre(&header, build))
            }
            Way::EtherIp => {
                let mut build = self.in_ethernet();
                build.prepend(&hex("3000"));
                (TunnelKind::EtherIp, None, build.in_ip(is_v6, 97, host, None))
            }
            Way::MplsInIp if etype == 0x8847 => {
                (TunnelKind::MplsInIp, None, self.in_ip(is_v6, 137, host, None))
            }
            Way::MplsInUdp if etype == 0x8847 => (TunnelKind::MplsInIp, None, udp(&[], self, 6635)),
            Way::MplsInIp | Way::MplsInUdp => return None,
            Way::Vxlan => {
                let build = udp(&hex("08000000 00007b00"), self.in_ethernet(), 4789);
                (TunnelKind::Vxlan, Some(123), build)
            }
            Way::VxlanGpe => {
                let next = if inner_is_v6? { 2 } else { 1 };
                let header = hex(&format!("0c0000{next:02x} 00007b00"));
                (TunnelKind::VxlanGpe, Some(123), udp(&header, self, 4790))
            }
            Way::Geneve => {
                let build = udp(&hex("0000 6558 00007b00"), self.in_ethernet(), 6081);
                (TunnelKind::Geneve, Some(123), build)
            }
            Way::GeneveWithOptions => {
                let header = [&[2, 0x40][..], &inner_etype, &hex("00007b00 0102 80 01 00000000")].concat();
                (TunnelKind::Geneve, Some(123), udp(&header, self, 6081))
            }
            Way::Gtp => {
                inner_is_v6?;
                let header = format!("30 ff {:04x} 00000007", self.len());
                (TunnelKind::Gtp, Some(7), udp(&hex(&header), self, 2152))
            }
            Way::GtpWithExtensions => {
                inner_is_v6?;
                let header = format!(
                    "34 ff {:04x} 00000007  0000 00 85  01 1009 c0  02 00000000 0000 00",
                    self.len() + 16
                );
                (TunnelKind::Gtp, Some(7), udp(&hex(&header), self, 2152))
            }
            Way::Gtp0 => {
                inner_is_v6?;
                let header = format!("1e ff {:04x} 0000 0000 00 ffffff 2143658709214365", self.len());
                (TunnelKind::Gtp, None, udp(&hex(&header), self, 3386))
            }
            Way::Teredo if inner_is_v6 == Some(true) => (TunnelKind::Teredo, None, udp(&[], self, 3544)),
            Way::TeredoWithHeaders if inner_is_v6 == Some(true) => {
                let header = hex("0001 02 03 6162 010203 0102030405060708 00 0000 bc93 f5fffffe");
                (TunnelKind::Teredo, None, udp(&header, self, 3544))
            }
            Way::Teredo | Way::TeredoWithHeaders => return None,
            Way::L2tp => {
                (TunnelKind::L2tp, Some(0x0007_0009), udp(&hex("0002 0007 0009"), self.in_ppp()?, 1701))
            }
            Way::L2tpWithAll => {
                let build = self.in_ppp()?;
                let len = build.len() + 16;
                let header = format!("4a02 {len:04x} 0007 0009 0001 0000 0002 ffff");
                (TunnelKind::L2tp, Some(0x0007_0009), udp(&hex(&header), build, 1701))
            }
            // A frame must be right down to the IP header to be found.
            Way::L2tp3 => {
                inner_is_v6?;
                let mut build = self.in_ethernet();
                build.prepend(&hex("00000005 00000000"));
                (TunnelKind::L2tpV3, Some(5), build.in_ip(is_v6, 115, host, None))
            }
            Way::L2tp3InUdp => {
                inner_is_v6?;
                let header = hex("0003 0000 00000005 1122334455667788 00000000");
                (TunnelKind::L2tpV3, Some(5), udp(&header, self.in_ethernet(), 1701))
            }
        };
        build.tunnels.insert(0, (kind, id));
        Some(build)
    }

    /// The frame of a link. `None` if that cannot carry it.
    pub(crate) fn on(&self, link: LinkType) -> Option<Vec<u8>> {
        let etype = self.etype.to_be_bytes();
        let is_v6 = match self.etype {
            0x0800 => Some(false),
            0x86dd => Some(true),
            _ => None,
        };
        let has_type = self.etype >= 0x0600;
        let ppp = || self.clone().in_ppp().map(|build| build.bytes[..4].to_vec());
        let snap = || has_type.then(|| [&hex("aaaa03 000000")[..], &etype].concat());
        let ethernet = || [&DST_MAC[..], &SRC_MAC, &etype].concat();
        let wireless = || {
            Some(
                [
                    hex("8802 0000"),
                    DST_MAC.to_vec(),
                    hex("020000000001"),
                    SRC_MAC.to_vec(),
                    hex("1000 0000"),
                    snap()?,
                ]
                .concat(),
            )
        };
        let family = |v6: u8| Some(if is_v6? { v6 } else { 2 });
        let directed = |header: Vec<u8>| [vec![1], header].concat();
        let header = match link.0 {
            1 => ethernet(),
            113 => [hex("0000 0001 0006"), SRC_MAC.to_vec(), hex("0000"), etype.to_vec()].concat(),
            276 => [etype.to_vec(), hex("0000 00000002 0001 00 06"), SRC_MAC.to_vec(), hex("0000")].concat(),
            12 | 14 | 101 if is_v6.is_some() => vec![],
            228 if is_v6 == Some(false) => vec![],
            229 if is_v6 == Some(true) => vec![],
            0 => vec![family(30)?, 0, 0, 0],
            108 => vec![0, 0, 0, family(24)?],
            109 => [vec![family(24)?, 0, 0, 0], hex("00001234 00000001")].concat(),
            117 => [vec![61, family(24)?], vec![0; 62]].concat(),
            239 => {
                let len = (self.bytes.len() + 4) as u16;
                [
                    vec![family(10)?],
                    hex("00 0005 0800 0100 0800 0100"),
                    len.to_le_bytes().to_vec(),
                    hex("0900"),
                ]
                .concat()
            }
            9 | 50 => ppp()?,
            166 => ppp().map(|header| [vec![1, 3], header[2..].to_vec()].concat())?,
            204 => directed(ppp()?),
            51 => {
                let build = self.clone().around(Around::Pppoe)?;
                build.bytes[..8].to_vec()
            }
            104 => [hex("0f00"), etype.to_vec()].concat(),
            205 => directed([hex("0f00"), etype.to_vec()].concat()),
            107 => hex(if is_v6? { "1841 03 8e" } else { "1841 03 cc" }),
            206 => directed([hex("18400041 03 00 80 000000"), has_type.then_some(etype.to_vec())?].concat()),
            219 if self.etype == 0x8847 => vec![],
            8 if is_v6.is_some() => [hex("01 40"), vec![0; 14]].concat(),
            11 | 100 => snap()?,
            123 => [hex("82 00 0064"), snap()?].concat(),
            105 => wireless()?,
            127 => [hex("00 00 0900 02000000 10"), wireless()?].concat(),
            119 => [vec![0x44], vec![0; 143], wireless()?].concat(),
            163 => [hex("80211001 0000000c 00000000"), wireless()?].concat(),
            192 => [hex("00 00 0c00 69000000 00000000"), wireless()?].concat(),
            258 => [hex("6c000000 01000000 01000000"), vec![0; 96], ethernet()].concat(),
            10 => [vec![0x50], DST_MAC.to_vec(), SRC_MAC.to_vec(), snap()?].concat(),
            6 => [hex("10 40"), DST_MAC.to_vec(), hex("82000000000a 0630 0011 0020"), snap()?].concat(),
            7 => hex(if is_v6? { "01 02 c4 00 0001" } else { "01 02 f0" }),
            129 => hex(if is_v6? { "01 02 0000 c4 00 0001" } else { "01 02 0000 d4 00 0001" }),
            122 => [hex("1000"), DST_MAC.to_vec(), hex("1000"), SRC_MAC.to_vec(), snap()?].concat(),
            138 => [vec![0; 16], etype.to_vec()].concat(),
            281 => [DST_MAC.to_vec(), SRC_MAC.to_vec(), hex("20000004"), etype.to_vec()].concat(),
            282 => [hex("20000004"), ethernet()].concat(),
            284 => [DST_MAC.to_vec(), SRC_MAC.to_vec(), hex("c0180000"), etype.to_vec()].concat(),
            285 => [DST_MAC.to_vec(), SRC_MAC.to_vec(), hex("dada0000 c0180000"), etype.to_vec()].concat(),
            _ => return None,
        };
        Some([&header[..], &self.bytes].concat())
    }

    /// The addresses that frames of a link have here.
    pub(crate) fn macs(link: LinkType) -> (Option<MacAddr>, Option<MacAddr>) {
        let has_receiver = link.has_mac() && ![113, 276].contains(&link.0);
        (link.has_mac().then_some(MacAddr(SRC_MAC)), has_receiver.then_some(MacAddr(DST_MAC)))
    }
}

/// What may stand between the link header and the IP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Around {
    Nothing,
    Vlan,
    Qinq,
    ThreeTags,
    Label,
    Labels,
    VlanAndLabels,
    Null,
    Pseudowire,
    TaggedPseudowire,
    Pppoe,
    FabricPath,
    VnTag,
    ETag,
    TrustSec,
    ITag,
    Nsh,
    Snap,
}

pub(crate) const AROUND: [Around; 18] = [
    Around::Nothing,
    Around::Vlan,
    Around::Qinq,
    Around::ThreeTags,
    Around::Label,
    Around::Labels,
    Around::VlanAndLabels,
    Around::Null,
    Around::Pseudowire,
    Around::TaggedPseudowire,
    Around::Pppoe,
    Around::FabricPath,
    Around::VnTag,
    Around::ETag,
    Around::TrustSec,
    Around::ITag,
    Around::Nsh,
    Around::Snap,
];

/// Tunnels, with and without what is optional in them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Ip,
    Gre,
    GreWithAll,
    GreEthernet,
    Nvgre,
    Erspan1,
    Erspan2,
    Erspan3,
    Pptp,
    EtherIp,
    MplsInIp,
    MplsInUdp,
    Vxlan,
    VxlanGpe,
    Geneve,
    GeneveWithOptions,
    Gtp,
    GtpWithExtensions,
    Gtp0,
    Teredo,
    TeredoWithHeaders,
    L2tp,
    L2tpWithAll,
    L2tp3,
    L2tp3InUdp,
}

pub(crate) const WAYS: [Way; 25] = [
    Way::Ip,
    Way::Gre,
    Way::GreWithAll,
    Way::GreEthernet,
    Way::Nvgre,
    Way::Erspan1,
    Way::Erspan2,
    Way::Erspan3,
    Way::Pptp,
    Way::EtherIp,
    Way::MplsInIp,
    Way::MplsInUdp,
    Way::Vxlan,
    Way::VxlanGpe,
    Way::Geneve,
    Way::GeneveWithOptions,
    Way::Gtp,
    Way::GtpWithExtensions,
    Way::Gtp0,
    Way::Teredo,
    Way::TeredoWithHeaders,
    Way::L2tp,
    Way::L2tpWithAll,
    Way::L2tp3,
    Way::L2tp3InUdp,
];
