//! The fields of TCP and UDP that are accounted.
//!
//! Captures are often cut behind the first octets of these headers. pnet's views want the whole header (20
//! octets of TCP, 8 of UDP); these here are content with the octets that hold the field.

use crate::ip::protocol;

/// Octets that hold both ports.
pub(crate) const PORTS_LEN: usize = 4;

/// Where TCP has its flags.
const TCP_FLAGS: usize = 13;

/// Whether the first four octets of the protocol's header are ports as far as accounting goes. (SCTP, DCCP
/// and UDP-Lite have them at the same place, but pmacctd reports them without.)
#[inline]
pub(crate) const fn has_ports(proto: u8) -> bool {
    matches!(proto, protocol::TCP | protocol::UDP)
}

/// Source and destination port.
#[inline]
pub(crate) fn ports(proto: u8, transport: &[u8]) -> Option<(u16, u16)> {
    let [a, b, c, d] = *transport.first_chunk::<PORTS_LEN>()?;
    has_ports(proto).then(|| (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d])))
}

/// All eight flags of TCP: CWR, ECE, URG, ACK, PSH, RST, SYN, FIN from the highest bit on.
#[inline]
pub(crate) fn tcp_flags(proto: u8, transport: &[u8]) -> Option<u8> {
    if proto == protocol::TCP { transport.get(TCP_FLAGS).copied() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    #[test]
    fn tcp() {
        let header = hex("9c40 0050 00000001 00000002 50 d2 2000 0000 0000 | 40000 to 80, CWR ECE ACK SYN");
        assert_eq!(ports(protocol::TCP, &header), Some((40000, 80)));
        assert_eq!(tcp_flags(protocol::TCP, &header), Some(0xd2));
        assert_eq!(tcp_flags(protocol::TCP, &header[..14]), Some(0xd2));
        assert_eq!(tcp_flags(protocol::TCP, &header[..13]), None);
        assert_eq!(ports(protocol::TCP, &header[..4]), Some((40000, 80)));
        assert_eq!(ports(protocol::TCP, &header[..3]), None);
    }

    #[test]
    fn other_protocols_have_no_flags_and_few_have_ports() {
        let header = hex("14e9 0035 0008 0000 0000 0000 0000");
        assert_eq!(ports(protocol::UDP, &header), Some((5353, 53)));
        assert_eq!(tcp_flags(protocol::UDP, &header), None);
        for proto in [protocol::ICMP, protocol::ICMPV6, 47, 50, 132, 136] {
            assert_eq!(ports(proto, &header), None, "{proto}");
        }
    }
}
