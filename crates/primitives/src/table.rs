//! THE table: one row a primitive, in the order of print's columns.
//!
//! Adding a primitive is adding a row, in the place of its column; [`Primitive`] says what its parts mean.

use rpmacct_packet::{Packet, TunnelKind};

use crate::kind::{Kind, write_ip, write_labels, write_time};
use crate::observation::Observation;
use crate::primitive::{Group, Needs, Primitive, Role, Unfilled};

use Kind::{
    Choice, Degrees, EtherType, Ip, LabelStack, Mac, Number, NumberAsText, Protocol, RouteDistinguisher,
    Text, Time,
};
use Role::{Flows, Key, Nothing, Sum, TcpFlags};

/// A part of the table: `word (other words), "HEADING" value_width/column_width, "json_name": kind, role; group,
/// needs; "doc"`.
macro_rules! rows {
    ($(
        $word:ident $(($($alias:ident),+))?
        $heading:literal $value:literal/$column:literal $json:literal $kind:expr => $role:expr; $group:ident
        $(needs $needs:ident)?; $doc:literal
    )*) => {
        &[$(Primitive {
            word: stringify!($word),
            aliases: &[$($(stringify!($alias)),+)?],
            heading: $heading,
            json: $json,
            value_width: $value,
            column_width: $column,
            kind: $kind,
            role: $role,
            needs: rows!(@needs $($needs)?),
            group: Group::$group,
            doc: $doc,
        }),*]
    };
    (@needs) => { Needs::NOTHING };
    (@needs $needs:ident) => { Needs::$needs };
}

const ROUTING: Role = Role::Unfilled(Unfilled::Routing);
const EXPORTER: Role = Role::Unfilled(Unfilled::Exporter);
const UNKNOWABLE: Role = Role::Unfilled(Unfilled::Unknowable);
const TAGS: Role = Role::Unfilled(Unfilled::NotYet("pre_tag_map, post_tag"));
const CLASSES: Role = Role::Unfilled(Unfilled::NotYet("classification"));
const NETWORKS: Role = Role::Unfilled(Unfilled::NotYet("networks_file, networks_mask"));
const PLACES: Role = Role::Unfilled(Unfilled::NotYet("geoipv2_file"));

/// Octets of a number in the key.
const N1: Kind = Number(1);
const N2: Kind = Number(2);
const N4: Kind = Number(4);
const N8: Kind = Number(8);

/// The one value of what is never known.
const UNKNOWN_CLASS: Kind = Choice(&["unknown"]);
const UNKNOWN: Kind = Choice(&["u"]);

/// All primitives.
#[rustfmt::skip]
pub static TABLE: &[Primitive] = rows! {
//  word              heading            value/column  JSON name    kind => how it is filled; group
    tag               "TAG"                   10/12 "tag"              N8 => TAGS; Tag;
        "Number from pre_tag_map"
    tag2              "TAG2"                  10/12 "tag2"             N8 => TAGS; Tag;
        "Second number from pre_tag_map"
    label             "LABEL"                 20/22 "label"            Text(0) => TAGS; Tag;
        "Text from pre_tag_map"
    class             "CLASS"                 16/18 "class"            UNKNOWN_CLASS => CLASSES; Tag;
        "Application, as traffic classification finds it"

    src_mac           "SRC_MAC"               17/19 "mac_src"          Mac => Key(src_mac); Layer2;
        "Source MAC address"
    sum_mac           "SRC_MAC"               17/19 "mac_src"          Mac => Sum(src_mac, dst_mac); Special;
        "Each MAC address, counted as source and as destination"
    dst_mac           "DST_MAC"               17/19 "mac_dst"          Mac => Key(dst_mac); Layer2;
        "Destination MAC address"
    vlan              "VLAN"                  5/7   "vlan"             N2 => Key(vlan); Layer2;
        "VLAN of the outermost tag, 0 if untagged"
    in_vlan           "IN_VLAN"               7/9   "vlan_in"          N2 => Key(vlan); Layer2;
        "VLAN of the outermost tag on the way in, 0 if untagged"
    out_vlan          "OUT_VLAN"              8/10  "vlan_out"         N2 => UNKNOWABLE; Layer2;
        "VLAN of the outermost tag on the way out"
    in_cvlan          "IN_CVLAN"              8/10  "cvlan_in"         N2 => Key(inner_vlan); Layer2;
        "VLAN of the second tag (QinQ), 0 if there is none"
    out_cvlan         "OUT_CVLAN"             9/11  "cvlan_out"        N2 => UNKNOWABLE; Layer2;
        "VLAN of the second tag on the way out"
    cos               "COS"                   2/4   "cos"              N1 => Key(cos); Layer2;
        "Class of service of the outermost VLAN tag, 0 if untagged"
    etype             "ETYPE"                 5/7   "etype"            EtherType => Key(etype); Layer2;
        "EtherType of the network layer, behind VLAN tags and labels"

    src_as            "SRC_AS"                10/12 "as_src"           N4 => NETWORKS; Routing;
        "Source autonomous system"
    sum_as            "SRC_AS"                10/12 "as_src"           N4 => NETWORKS; Special;
        "Each autonomous system, counted as source and as destination"
    dst_as            "DST_AS"                10/12 "as_dst"           N4 => NETWORKS; Routing;
        "Destination autonomous system"
    std_comm          "COMMS"                 22/25 "comms"            Text(0) => ROUTING; Routing;
        "BGP communities"
    ext_comm          "ECOMMS"                22/25 "ecomms"           Text(0) => ROUTING; Routing;
        "BGP extended communities"
    lrg_comm          "LCOMMS"                22/25 "lcomms"           Text(0) => ROUTING; Routing;
        "BGP large communities"
    src_std_comm      "SRC_COMMS"             22/25 "comms_src"        Text(0) => ROUTING; Routing;
        "BGP communities of the source"
    src_ext_comm      "SRC_ECOMMS"            22/25 "ecomms_src"       Text(0) => ROUTING; Routing;
        "BGP extended communities of the source"
    src_lrg_comm      "SRC_LCOMMS"            22/25 "lcomms_src"       Text(0) => ROUTING; Routing;
        "BGP large communities of the source"
    as_path           "AS_PATH"               22/25 "as_path"          Text(0) => ROUTING; Routing;
        "BGP AS path"
    src_as_path       "SRC_AS_PATH"           22/25 "as_path_src"      Text(0) => ROUTING; Routing;
        "BGP AS path of the source"
    local_pref        "PREF"                  7/9   "local_pref"       N4 => ROUTING; Routing;
        "BGP local preference"
    src_local_pref    "SRC_PREF"              7/9   "local_pref_src"   N4 => ROUTING; Routing;
        "BGP local preference of the source"
    med               "MED"                   6/8   "med"              N4 => ROUTING; Routing;
        "BGP multi-exit discriminator"
    src_med           "SRC_MED"               6/8   "med_src"          N4 => ROUTING; Routing;
        "BGP multi-exit discriminator of the source"
    src_roa           "SRC_ROA"               6/8   "roa_src"          UNKNOWN => ROUTING; Routing;
        "RPKI status of the source prefix"
    dst_roa           "DST_ROA"               6/8   "roa_dst"          UNKNOWN => ROUTING; Routing;
        "RPKI status of the destination prefix"
    peer_src_as       "PEER_SRC_AS"           10/12 "peer_as_src"      N4 => ROUTING; Routing;
        "Autonomous system of the peer that the packet comes from"
    peer_dst_as       "PEER_DST_AS"           10/12 "peer_as_dst"      N4 => ROUTING; Routing;
        "Autonomous system of the peer that the packet goes to"
    peer_src_ip       "PEER_SRC_IP"           45/47 "peer_ip_src"      Ip => EXPORTER; Routing;
        "Address of the router that exports the flow"
    peer_dst_ip       "PEER_DST_IP"           45/47 "peer_ip_dst"      Ip => NETWORKS; Routing;
        "BGP next hop"

    in_iface          "IN_IFACE"              10/12 "iface_in"         N4 => Key(in_iface); Interface;
        "Number of the input interface (pcap_ifindex)"
    out_iface         "OUT_IFACE"             10/12 "iface_out"        N4 => Key(out_iface); Interface;
        "Number of the output interface (pcap_ifindex)"
    mpls_vpn_rd       "MPLS_VPN_RD"           18/20 "mpls_vpn_rd"      RouteDistinguisher => ROUTING; Routing;
        "Route distinguisher of the MPLS VPN"
    mpls_pw_id        "MPLS_PW_ID"            10/12 "mpls_pw_id"       N4 => EXPORTER; Routing;
        "Identifier of the MPLS pseudowire"
    vrf_name          "VRF_NAME"              22/24 "vrf_name"         Text(0) => EXPORTER; Routing;
        "Name of the VRF"

    src_host          "SRC_IP"                45/47 "ip_src"           Ip => Key(src_host); Layer3;
        "Source IP address"
    sum_host (sum)    "SRC_IP"                45/47 "ip_src"           Ip => Sum(src_host, dst_host); Special;
        "Each IP address, counted as source and as destination"
    src_net           "SRC_NET"               45/47 "net_src"          Ip => NETWORKS; Layer3;
        "Source network"
    sum_net           "SRC_NET"               45/47 "net_src"          Ip => NETWORKS; Special;
        "Each network, counted as source and as destination"
    dst_host          "DST_IP"                45/47 "ip_dst"           Ip => Key(dst_host); Layer3;
        "Destination IP address"
    dst_net           "DST_NET"               45/47 "net_dst"          Ip => NETWORKS; Layer3;
        "Destination network"
    src_mask          "SRC_MASK"              3/10  "mask_src"         N1 => NETWORKS; Layer3;
        "Prefix length of the source network"
    dst_mask          "DST_MASK"              3/10  "mask_dst"         N1 => NETWORKS; Layer3;
        "Prefix length of the destination network"
    src_port          "SRC_PORT"              5/10  "port_src"         N2 => Key(src_port); Layer4 needs PORTS;
        "Source port of TCP and UDP, 0 if there is none"
    sum_port          "SRC_PORT"              5/10  "port_src"  N2 => Sum(src_port, dst_port); Special needs PORTS;
        "Each port, counted as source and as destination"
    dst_port          "DST_PORT"              5/10  "port_dst"         N2 => Key(dst_port); Layer4 needs PORTS;
        "Destination port of TCP and UDP, 0 if there is none"
    tcpflags          "TCP_FLAGS"             3/11  "tcp_flags"        N1 => TcpFlags; Layer4;
        "TCP flags of all packets, OR-ed; not a part of the key"
    proto             "PROTOCOL"              10/12 "ip_proto"         Protocol => Key(proto); Layer3;
        "IP protocol, for IPv6 the last next header"
    tos               "TOS"                   3/7   "tos"              N1 => Key(tos); Layer3;
        "IPv4 type of service or IPv6 traffic class, all eight bits"
    flow_label        "FLOW_LABEL"            10/11 "flow_label"       N4 => Key(flow_label); Layer3;
        "IPv6 flow label, 0 for IPv4"

    src_host_country  "SH_COUNTRY"            5/12  "country_ip_src"   Text(0) => PLACES; Misc;
        "Country of the source address"
    dst_host_country  "DH_COUNTRY"            5/12  "country_ip_dst"   Text(0) => PLACES; Misc;
        "Country of the destination address"
    src_host_pocode   "SH_POCODE"             12/14 "pocode_ip_src"    Text(0) => PLACES; Misc;
        "Postal code of the source address"
    dst_host_pocode   "DH_POCODE"             12/14 "pocode_ip_dst"    Text(0) => PLACES; Misc;
        "Postal code of the destination address"
    src_host_coords   "SH_LAT"                12/14 "lat_ip_src"       Degrees => PLACES; Misc;
        "Latitude and longitude of the source address, in two columns"
    src_host_coords   "SH_LON"                12/14 "lon_ip_src"       Degrees => PLACES; Misc;
        "Longitude of the source address"
    dst_host_coords   "DH_LAT"                12/14 "lat_ip_dst"       Degrees => PLACES; Misc;
        "Latitude and longitude of the destination address, in two columns"
    dst_host_coords   "DH_LON"                12/14 "lon_ip_dst"       Degrees => PLACES; Misc;
        "Longitude of the destination address"
    sampling_rate     "SAMPLING_RATE"         7/14  "sampling_rate"    N4 => Key(sampling_rate); Misc;
        "One packet in so many is accounted; 1, for all are"
    sampling_direction "SAMPLING_DIRECTION"   17/19 "sampling_direction" UNKNOWN => EXPORTER; Misc;
        "Whether packets were sampled on the way in or out"

    post_nat_src_host "POST_NAT_SRC_IP"       45/47 "post_nat_ip_src"  Ip => EXPORTER; Nat;
        "Source address after translation"
    post_nat_dst_host "POST_NAT_DST_IP"       45/47 "post_nat_ip_dst"  Ip => EXPORTER; Nat;
        "Destination address after translation"
    post_nat_src_port "POST_NAT_SRC_PORT"     5/19  "post_nat_port_src" N2 => EXPORTER; Nat;
        "Source port after translation"
    post_nat_dst_port "POST_NAT_DST_PORT"     5/19  "post_nat_port_dst" N2 => EXPORTER; Nat;
        "Destination port after translation"
    nat_event         "NAT_EVENT"             3/10  "nat_event"        N1 => EXPORTER; Nat;
        "What a translator did"
    fw_event          "FW_EVENT"              3/9   "fw_event"         N1 => EXPORTER; Nat;
        "What a firewall did"
    fwd_status        "FWD_STATUS"            3/11  "fwd_status"       NumberAsText(1) => EXPORTER; Nat;
        "Whether a router forwarded the packet"

    mpls_label_top    "MPLS_LABEL_TOP"        7/16  "mpls_label_top"   N4 => Key(label_top); Mpls;
        "First MPLS label, 0 if there is none"
    mpls_label_bottom "MPLS_LABEL_BOTTOM"     7/19  "mpls_label_bottom" N4 => Key(label_bottom); Mpls;
        "Last MPLS label, 0 if there is none"
    mpls_stack_depth  "MPLS_STACK_DEPTH"      16/18 "mpls_stack_depth" N1 => Key(label_depth); Mpls;
        "Number of MPLS labels"
    mpls_label_stack  "MPLS_LABEL_STACK"      16/18 "mpls_label_stack" LabelStack => Key(labels); Mpls;
        "All MPLS labels, at most 16, joined by _; empty if there are none"

    tunnel_src_mac    "TUNNEL_SRC_MAC"        17/19 "tunnel_mac_src"   Mac => Key(inner_src_mac); Tunnel needs TUNNEL;
        "Source MAC address within the tunnel"
    tunnel_dst_mac    "TUNNEL_DST_MAC"        17/19 "tunnel_mac_dst"   Mac => Key(inner_dst_mac); Tunnel needs TUNNEL;
        "Destination MAC address within the tunnel"
    tunnel_src_host   "TUNNEL_SRC_IP"         45/47 "tunnel_ip_src"    Ip => Key(inner_src_host); Tunnel needs TUNNEL;
        "Source IP address within the tunnel"
    tunnel_dst_host   "TUNNEL_DST_IP"         45/47 "tunnel_ip_dst"    Ip => Key(inner_dst_host); Tunnel needs TUNNEL;
        "Destination IP address within the tunnel"
    tunnel_proto      "TUNNEL_PROTOCOL"       10/17 "tunnel_ip_proto"  Protocol => Key(inner_proto); Tunnel needs TUNNEL;
        "IP protocol within the tunnel"
    tunnel_tos        "TUNNEL_TOS"            3/12  "tunnel_tos"       N1 => Key(inner_tos); Tunnel needs TUNNEL;
        "Type of service or traffic class within the tunnel"
    tunnel_flow_label "TUNNEL_FLOW_LABEL"     16/18 "tunnel_flow_label" N4 => Key(inner_label); Tunnel needs TUNNEL;
        "IPv6 flow label within the tunnel, 0 for IPv4"
    tunnel_src_port   "TUNNEL_SRC_PORT"       5/17  "tunnel_port_src"  N2 => Key(inner_src_port); Tunnel needs TUNNEL;
        "Source port within the tunnel"
    tunnel_dst_port   "TUNNEL_DST_PORT"       5/17  "tunnel_port_dst"  N2 => Key(inner_dst_port); Tunnel needs TUNNEL;
        "Destination port within the tunnel"
    tunnel_tcpflags   "TUNNEL_TCP_FLAGS"      3/18  "tunnel_tcp_flags" NumberAsText(1) => Key(inner_flags); Tunnel needs TUNNEL;
        "TCP flags within the tunnel, as a part of the key"
    vxlan             "VXLAN"                 8/10  "vxlan"            N4 => Key(vni); Tunnel needs TUNNEL;
        "Network number (VNI) of VXLAN or Geneve, 0 if it is neither"
    nvgre             "NVGRE"                 8/10  "nvgre"            N4 => Key(vsid); Tunnel needs TUNNEL;
        "Network number (VSID) of NVGRE, 0 if it is none"

    timestamp_start   "TIMESTAMP_START"       30/31 "timestamp_start"  Time => Key(time); Time;
        "Time of the packet"
    timestamp_end     "TIMESTAMP_END"         30/31 "timestamp_end"    Time => EXPORTER; Time;
        "Time of the flow's last packet"
    timestamp_arrival "TIMESTAMP_ARRIVAL"     30/31 "timestamp_arrival" Time => Key(time); Time;
        "Time of the packet's arrival at this machine"
    timestamp_export  "TIMESTAMP_EXPORT"      30/31 "timestamp_export" Time => EXPORTER; Time;
        "Time when a router exported the flow"
    export_proto_seqno   "EXPORT_PROTO_SEQNO" 18/20 "export_proto_seqno" N4 => EXPORTER; Export;
        "Sequence number of the export packet"
    export_proto_version "EXPORT_PROTO_VERSION" 20/22 "export_proto_version" N1 => EXPORTER; Export;
        "Version of the export protocol"
    export_proto_sysid   "EXPORT_PROTO_SYSID" 18/20 "export_proto_sysid" N4 => EXPORTER; Export;
        "Identifier of the exporting system"
    path_delay_avg_usec "PATH_DELAY_AVG_USEC" 19/21 "path_delay_avg_usec" N4 => EXPORTER; Export;
        "Average delay on the path, in microseconds"
    path_delay_min_usec "PATH_DELAY_MIN_USEC" 19/21 "path_delay_min_usec" N4 => EXPORTER; Export;
        "Least delay on the path, in microseconds"
    path_delay_max_usec "PATH_DELAY_MAX_USEC" 19/21 "path_delay_max_usec" N4 => EXPORTER; Export;
        "Greatest delay on the path, in microseconds"

    flows             "FLOWS"                 20/22 "flows"            N8 => Flows; Special needs FLOWS;
        "Flows that began: a counter beside packets and bytes"
    none              ""                      0/0   ""                 N1 => Nothing; Special;
        "No key: one record with the totals"
};

/// The row of a word or of one of its aliases: the first one, if there are two.
pub fn primitive(word: &str) -> Option<&'static Primitive> {
    TABLE.iter().find(|row| row.word == word || row.aliases.contains(&word))
}

/// All words that `aggregate` knows, aliases included, each once.
pub fn words() -> impl Iterator<Item = &'static str> {
    listed().flat_map(|row| std::iter::once(row.word).chain(row.aliases.iter().copied()))
}

/// The table without the second rows of primitives that have two columns.
pub fn listed() -> impl Iterator<Item = &'static Primitive> {
    TABLE.iter().filter(|row| primitive(row.word).is_some_and(|first| std::ptr::eq(first, *row)))
}

fn src_mac(o: &Observation<'_>, to: &mut [u8]) {
    to.copy_from_slice(&o.link.src_mac().unwrap_or_default().0);
}

fn dst_mac(o: &Observation<'_>, to: &mut [u8]) {
    to.copy_from_slice(&o.link.dst_mac().unwrap_or_default().0);
}

fn vlan(o: &Observation<'_>, to: &mut [u8]) {
    put16(to, o.link.vlan().map_or(0, |tag| tag.id));
}

fn inner_vlan(o: &Observation<'_>, to: &mut [u8]) {
    put16(to, o.link.inner_vlan().map_or(0, |tag| tag.id));
}

fn cos(o: &Observation<'_>, to: &mut [u8]) {
    to[0] = o.link.vlan().map_or(0, |tag| tag.cos);
}

fn etype(o: &Observation<'_>, to: &mut [u8]) {
    put16(to, o.packet.etype());
}

fn in_iface(o: &Observation<'_>, to: &mut [u8]) {
    put32(to, o.in_iface);
}

fn out_iface(o: &Observation<'_>, to: &mut [u8]) {
    put32(to, o.out_iface);
}

fn src_host(o: &Observation<'_>, to: &mut [u8]) {
    write_ip(o.packet.src_octets(), to);
}

fn dst_host(o: &Observation<'_>, to: &mut [u8]) {
    write_ip(o.packet.dst_octets(), to);
}

fn src_port(o: &Observation<'_>, to: &mut [u8]) {
    put16(to, o.ports.map_or(0, |(src, _)| src));
}

fn dst_port(o: &Observation<'_>, to: &mut [u8]) {
    put16(to, o.ports.map_or(0, |(_, dst)| dst));
}

fn proto(o: &Observation<'_>, to: &mut [u8]) {
    to[0] = o.packet.proto();
}

fn tos(o: &Observation<'_>, to: &mut [u8]) {
    to[0] = o.packet.tos();
}

fn flow_label(o: &Observation<'_>, to: &mut [u8]) {
    put32(to, o.packet.flow_label().unwrap_or(0));
}

fn sampling_rate(_: &Observation<'_>, to: &mut [u8]) {
    put32(to, 1);
}

fn label_top(o: &Observation<'_>, to: &mut [u8]) {
    put32(to, o.link.mpls().top().unwrap_or(0));
}

fn label_bottom(o: &Observation<'_>, to: &mut [u8]) {
    put32(to, o.link.mpls().bottom().unwrap_or(0));
}

fn label_depth(o: &Observation<'_>, to: &mut [u8]) {
    to[0] = o.link.mpls().len() as u8;
}

fn labels(o: &Observation<'_>, to: &mut [u8]) {
    write_labels(o.link.mpls().iter(), to);
}

fn time(o: &Observation<'_>, to: &mut [u8]) {
    write_time(o.time, to);
}

fn inner_src_mac(o: &Observation<'_>, to: &mut [u8]) {
    to.copy_from_slice(&o.inner().and_then(Packet::src_mac).unwrap_or_default().0);
}

fn inner_dst_mac(o: &Observation<'_>, to: &mut [u8]) {
    to.copy_from_slice(&o.inner().and_then(Packet::dst_mac).unwrap_or_default().0);
}

fn inner_src_host(o: &Observation<'_>, to: &mut [u8]) {
    write_ip(o.inner().map_or(&[], Packet::src_octets), to);
}

fn inner_dst_host(o: &Observation<'_>, to: &mut [u8]) {
    write_ip(o.inner().map_or(&[], Packet::dst_octets), to);
}

fn inner_proto(o: &Observation<'_>, to: &mut [u8]) {
    to[0] = o.inner().map_or(0, Packet::proto);
}

fn inner_tos(o: &Observation<'_>, to: &mut [u8]) {
    to[0] = o.inner().map_or(0, Packet::tos);
}

fn inner_label(o: &Observation<'_>, to: &mut [u8]) {
    put32(to, o.inner().and_then(Packet::flow_label).unwrap_or(0));
}

fn inner_src_port(o: &Observation<'_>, to: &mut [u8]) {
    put16(to, o.inner().and_then(Packet::ports).map_or(0, |(src, _)| src));
}

fn inner_dst_port(o: &Observation<'_>, to: &mut [u8]) {
    put16(to, o.inner().and_then(Packet::ports).map_or(0, |(_, dst)| dst));
}

fn inner_flags(o: &Observation<'_>, to: &mut [u8]) {
    to[0] = o.inner().and_then(Packet::tcp_flags).unwrap_or(0);
}

fn vni(o: &Observation<'_>, to: &mut [u8]) {
    put32(to, o.tunnel_id(&[TunnelKind::Vxlan, TunnelKind::VxlanGpe, TunnelKind::Geneve]));
}

fn vsid(o: &Observation<'_>, to: &mut [u8]) {
    put32(to, o.tunnel_id(&[TunnelKind::Nvgre]));
}

fn put16(to: &mut [u8], n: u16) {
    to.copy_from_slice(&n.to_be_bytes());
}

fn put32(to: &mut [u8], n: u32) {
    to.copy_from_slice(&n.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn words_are_unique_and_lower_case() {
        let mut seen = HashSet::new();
        for word in words() {
            assert!(seen.insert(word), "{word} stands twice");
            assert!(
                word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit()),
                "{word}"
            );
            assert!(primitive(word).is_some());
        }
    }

    #[test]
    fn every_row_is_documented_and_fits_its_column() {
        for row in TABLE {
            assert!(!row.doc.is_empty(), "{}", row.word);
            assert!(row.heading.len() <= row.column_width, "{}", row.word);
            assert!(row.value_width <= row.column_width, "{}", row.word);
            assert!(Group::ALL.contains(&row.group));
        }
    }

    #[test]
    fn rows_of_one_word_follow_each_other() {
        for (i, row) in TABLE.iter().enumerate() {
            let first = TABLE.iter().position(|other| other.word == row.word);
            assert!(first == Some(i) || first == Some(i - 1), "{}", row.word);
        }
    }

    #[test]
    fn rows_that_share_a_heading_share_their_output() {
        for a in TABLE {
            for b in TABLE.iter().filter(|b| b.heading == a.heading) {
                assert_eq!((a.json, a.kind, a.column_width), (b.json, b.kind, b.column_width), "{}", a.word);
            }
        }
    }
}
