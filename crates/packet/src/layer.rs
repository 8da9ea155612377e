//! The octets of a packet's layers, for keys that name them.

use crate::ip::protocol;
use crate::packet::Packet;

/// Where something begins in a frame. What is given of it reaches to the end of what was captured of the
/// packet; for the layers of the link, to the end of the frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Layer {
    /// The frame.
    Packet,
    /// The link header. (The frame begins with it, except for what a capture puts before that.)
    Mac,
    /// The control information of the outermost VLAN tag, behind the EtherType that announces it.
    Vlan,
    /// The outermost MPLS label.
    Mpls,
    /// The IP header, or what is there instead.
    L3,
    /// What follows the IP headers. Later fragments have none.
    L4,
    /// What follows the header of TCP, UDP, SCTP or ICMP; for other protocols what follows the IP headers.
    Payload,
}

impl<'a> Packet<'a> {
    /// What was captured from the beginning of `layer` on. `None` if the packet has no such layer or the
    /// capture ends before.
    pub fn layer(&self, layer: Layer) -> Option<&'a [u8]> {
        match layer {
            Layer::Packet => Some(self.frame()),
            Layer::Mac => self.link_frame(),
            Layer::Vlan => self.from(self.raw_vlan()?),
            Layer::Mpls => self.from(self.mpls().octets()?),
            Layer::L3 => Some(self.network()),
            Layer::L4 => self.transport(),
            Layer::Payload => {
                let transport = self.transport()?;
                transport.get(header_len(self.proto(), transport)?..)
            }
        }
    }

    /// The number of the protocol that `layer` is in: the EtherType of layer 3, the IP protocol of layer 4.
    pub fn layer_protocol(&self, layer: Layer) -> Option<u16> {
        match layer {
            Layer::L3 => Some(self.etype()),
            Layer::L4 if self.is_ip() => Some(self.proto().into()),
            _ => None,
        }
    }

    /// The frame from `part` of it on.
    fn from(&self, part: &'a [u8]) -> Option<&'a [u8]> {
        let offset = part.as_ptr().addr().checked_sub(self.frame().as_ptr().addr())?;
        self.frame().get(offset..)
    }
}

/// Octets of the header of a transport protocol. `None` if the capture has not the octet that says it.
fn header_len(proto: u8, transport: &[u8]) -> Option<usize> {
    match proto {
        protocol::TCP => Some(usize::from(transport.get(12)? >> 4) * 4),
        protocol::UDP | protocol::ICMP | protocol::ICMPV6 => Some(8),
        protocol::SCTP => Some(12),
        _ => Some(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::LinkType;
    use crate::testing::hex;

    #[test]
    fn each_layer_begins_where_it_should() {
        let frame = hex("02000000000b 02000000000a 8100 0064 8847 003e9140
            45 00 0022 0001 0000 40 11 0000 0a000001 0a000002  0035 14e9 000e 0000 616263646566 ffff");
        let packet = Packet::decode(LinkType::ETHERNET, &frame, frame.len() as u32).unwrap();
        let all = [Layer::Packet, Layer::Mac, Layer::Vlan, Layer::Mpls, Layer::L3, Layer::L4, Layer::Payload];
        let begin = all.map(|layer| packet.layer(layer).unwrap());
        let expected = [0, 0, 14, 18].map(|at| &frame[at..]);
        assert_eq!(begin[..4], expected);
        assert_eq!(begin[4..], [22, 42, 50].map(|at| &frame[at..56]));
        let protocols = all.map(|layer| packet.layer_protocol(layer));
        assert_eq!(protocols, [None, None, None, None, Some(0x0800), Some(17), None]);
    }

    #[test]
    fn layers_that_are_not_there() {
        let frame = hex("02000000000b 02000000000a 0806 0001 0800");
        let packet = Packet::decode_any(LinkType::ETHERNET, &frame, frame.len() as u32).unwrap();
        for layer in [Layer::Vlan, Layer::Mpls, Layer::L4, Layer::Payload] {
            assert_eq!((packet.layer(layer), packet.layer_protocol(layer)), (None, None), "{layer:?}");
        }
        assert_eq!(
            (packet.layer(Layer::L3), packet.layer_protocol(Layer::L3)),
            (Some(&frame[14..]), Some(0x0806))
        );
        let raw = hex("45 00 0018 0001 0000 40 06 0000 0a000001 0a000002 0035 14e9");
        let packet = Packet::decode(LinkType::RAW, &raw, 100).unwrap();
        assert_eq!(packet.layer(Layer::Mac), None, "raw IP has no link header");
        assert_eq!(packet.layer(Layer::Payload), None, "the octet with TCP's header length is not there");
    }
}
