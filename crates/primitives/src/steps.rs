//! How keys are written: the fields of a schema as steps, the most usual ones without a call for each.
#![allow(clippy::inline_always, reason = "a step is a handful of instructions, less than a call")]

use crate::kind::{Kind, write_ip};
use crate::observation::Observation;
use crate::primitive::Read;
use crate::schema::{End, Field};

/// Writes a range of the key's octets.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    how: How,
    begin: usize,
    end: usize,
}

#[derive(Debug, Clone, Copy)]
enum How {
    /// `src_host, dst_host`.
    Hosts,
    /// `src_port, dst_port`.
    Ports,
    /// `proto`.
    Proto,
    /// Any primitive, as its row says.
    Row(Read),
}

/// Octets of two addresses.
const HOSTS: usize = 2 * Kind::Ip.width();

/// Runs of primitives that are written at once.
const FUSED: &[(&[&str], How)] = &[
    (&["src_host", "dst_host"], How::Hosts),
    (&["src_port", "dst_port"], How::Ports),
    (&["proto"], How::Proto),
];

impl Step {
    /// The steps that write the keys made of `fields`.
    pub(crate) fn plan(mut fields: &[Field], at: End) -> Vec<Self> {
        let mut steps = Vec::new();
        while let [first, ..] = fields {
            let begins = |words: &[&str]| {
                words.len() <= fields.len() && words.iter().zip(fields).all(|(w, f)| f.primitive.word == *w)
            };
            let fused = FUSED.iter().find(|(words, _)| begins(words));
            let (how, taken) =
                fused.map_or((How::Row(first.read(at)), 1), |(words, how)| (*how, words.len()));
            let (now, later) = fields.split_at(taken);
            steps.push(Self { how, begin: first.offset, end: now[taken - 1].range().end });
            fields = later;
        }
        steps
    }

    #[inline(always)]
    pub(crate) fn write(&self, observation: &Observation<'_>, key: &mut [u8]) {
        let to = &mut key[self.begin..self.end];
        match self.how {
            How::Hosts => write_hosts(observation, to),
            How::Ports => write_ports(observation, to),
            How::Proto => to[0] = observation.packet.proto(),
            How::Row(read) => read(observation, to),
        }
    }
}

/// Two addresses. Of two IPv4 addresses, whole words are written: the key is soon read in words, and a processor waits
/// when it reads back at once what it wrote in pieces.
#[inline(always)]
fn write_hosts(observation: &Observation<'_>, to: &mut [u8]) {
    let (src, dst) = (observation.packet.src_octets(), observation.packet.dst_octets());
    let (Ok(v4_src), Ok(v4_dst), Some(to)) =
        (<[u8; 4]>::try_from(src), <[u8; 4]>::try_from(dst), to.first_chunk_mut::<HOSTS>())
    else {
        let (first, second) = to.split_at_mut(to.len() / 2);
        write_ip(src, first);
        write_ip(dst, second);
        return;
    };
    let number = |ip| u64::from(u32::from_le_bytes(ip));
    // The family and the first address from octet 0 on, the second from octet 17 on.
    to[..8].copy_from_slice(&(4 | number(v4_src) << 8).to_le_bytes());
    to[8..16].fill(0);
    to[16..24].copy_from_slice(&(4 << 8 | number(v4_dst) << 16).to_le_bytes());
    to[24..].fill(0);
}

#[inline]
fn write_ports(observation: &Observation<'_>, to: &mut [u8]) {
    let (src, dst) = observation.ports.unwrap_or_default();
    let ports = u32::from(src) << 16 | u32::from(dst);
    to.copy_from_slice(&ports.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use rpmacct_packet::{LinkType, Packet, Timestamp};

    use super::*;
    use crate::{Schema, SchemaOptions, TABLE};

    const IPV4: [u8; 28] =
        [0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, 0x14, 0xe9, 0, 53, 0, 8, 0, 0];

    /// TCP without ports, which were not captured.
    fn ipv6() -> Vec<u8> {
        let addresses = (0x20..0x40).collect();
        [vec![0x60, 0, 0, 0, 0, 8, 6, 64], addresses].concat()
    }

    /// Whatever the steps, the octets are those that the rows write.
    #[test]
    fn steps_write_what_the_rows_write() {
        let frames = [IPV4.to_vec(), ipv6()];
        let aggregates = [
            "src_host, dst_host",
            "vlan, src_host, dst_host, src_port, dst_port, proto, tos",
            "src_host, src_port, proto",
            "dst_host, dst_port",
            "sum_host, proto",
        ];
        for (frame, aggregate) in frames.iter().flat_map(|frame| aggregates.map(|words| (frame, words))) {
            let packet = Packet::decode(LinkType::RAW, frame, frame.len() as u32).unwrap();
            let ports = packet.ports();
            let observation = Observation { ports, ..Observation::new(&packet, Timestamp::from_nanos(7)) };
            let schema = Schema::parse(aggregate, SchemaOptions::default()).unwrap();
            for end in [End::Source, End::Destination] {
                let mut key = vec![0xaa; schema.key_len()];
                schema.write_key(&observation, end, &mut key);
                for field in schema.fields() {
                    let mut alone = vec![0x55; field.range().len()];
                    field.read(end)(&observation, &mut alone);
                    assert_eq!(key[field.range()], alone, "{aggregate}: {}", field.primitive.word);
                }
            }
        }
    }

    #[test]
    fn fused_words_are_primitives_in_the_order_of_the_table() {
        for (words, _) in FUSED {
            let places: Vec<_> =
                words.iter().map(|word| TABLE.iter().position(|row| row.word == *word).unwrap()).collect();
            assert!(places.is_sorted(), "{words:?}");
        }
    }
}
