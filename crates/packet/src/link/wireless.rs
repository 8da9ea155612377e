//! Wireless LAN (IEEE 802.11), and what captures put before it.

use super::{CUT, Split};
use crate::llc::{self, Bridged};
use crate::mac::MacAddr;
use crate::skip::{Reason, Skip};

/// Bits of the first octet: the type, of which data is one; this data frame has no data; it has quality of
/// service.
const TYPE: u8 = 0x0c;
const DATA: u8 = 0x08;
const NULL: u8 = 0x40;
const QOS: u8 = 0x80;

/// Bits of the second octet: to and from the distribution system; encrypted; with further control octets.
const TO_DS: u8 = 0x01;
const FROM_DS: u8 = 0x02;
const PROTECTED: u8 = 0x40;
const ORDER: u8 = 0x80;

/// Quality of service, first octet: several packets in this frame (A-MSDU).
const AGGREGATE: u8 = 0x80;

/// Frame control, duration, three addresses, sequence control.
const LEN: usize = 24;

/// Data frames: up to four addresses, control of quality, further control; then LLC. `is_padded` if the
/// header is filled up to a multiple of four octets, as some cards do.
pub(super) fn data(frame: &[u8], is_padded: bool) -> Split<'_> {
    let &[kind, flags, ..] = frame else { return Err(CUT) };
    if kind & (TYPE | NULL) != DATA {
        return Err(Skip::NotIp);
    }
    let header = frame.first_chunk::<LEN>().ok_or(CUT)?;
    let addresses = if flags & (TO_DS | FROM_DS) == TO_DS | FROM_DS { LEN + 6 } else { LEN };
    let len = match (kind & QOS != 0, flags & ORDER != 0) {
        (false, _) => addresses,
        (true, false) => addresses + 2,
        (true, true) => addresses + 6,
    };
    if flags & PROTECTED != 0 {
        return Err(Skip::Undecodable(Reason::Encrypted));
    }
    // The low bits of sequence control number the parts of a frame; later ones have no LLC header.
    if header[22] & 0x0f != 0 {
        return Err(Skip::NotIp);
    }
    let is_aggregate = kind & QOS != 0 && frame.get(addresses).ok_or(CUT)? & AGGREGATE != 0;
    let body = frame.get(if is_padded { len.next_multiple_of(4) } else { len }..).ok_or(CUT)?;
    llc::split(if is_aggregate { only_subframe(body)? } else { body }, Bridged::Padded)
}

/// Of an A-MSDU: two addresses, length, and so many octets; padding to a multiple of four, and the next one.
fn only_subframe(body: &[u8]) -> Result<&[u8], Skip> {
    let (header, rest) = body.split_first_chunk::<14>().ok_or(CUT)?;
    let len = usize::from(u16::from_be_bytes([header[12], header[13]]));
    // Behind the last one there is at most the frame check sequence.
    let is_last = rest.len() < (len + 14).next_multiple_of(4);
    if is_last { Ok(rest.get(..len).unwrap_or(rest)) } else { Err(Skip::Undecodable(Reason::Aggregate)) }
}

/// Where the sender's address is depends on the way of the frame.
pub(super) fn src_mac(frame: &[u8]) -> Option<MacAddr> {
    let at = match frame.get(1)? & (TO_DS | FROM_DS) {
        FROM_DS => 16,
        0 | TO_DS => 10,
        _ => 24,
    };
    frame.get(at..)?.first_chunk().copied().map(MacAddr)
}

/// Where the receiver's address is depends on the way of the frame.
pub(super) fn dst_mac(frame: &[u8]) -> Option<MacAddr> {
    let at = if frame.get(1)? & TO_DS == 0 { 4 } else { 16 };
    frame.get(at..)?.first_chunk().copied().map(MacAddr)
}

/// The header of radiotap.org: version 0, its own length, words of flags that say which values follow, the
/// values. Gives the frame, and whether its header is padded.
pub(super) fn radiotap(frame: &[u8]) -> Result<(&[u8], bool), Skip> {
    /// The value that counts time, in eight octets at a multiple of eight.
    const TIME: u8 = 0x01;
    /// The value that has flags, and the flag for padding.
    const FLAGS: u8 = 0x02;
    const PADDED: u8 = 0x20;
    /// Another word of flags follows.
    const MORE: u8 = 0x80;
    let (&[version, _, l0, l1], words) = frame.split_first_chunk::<4>().ok_or(CUT)?;
    let len = usize::from(u16::from_le_bytes([l0, l1]));
    if version != 0 || len < 8 {
        return Err(Skip::Undecodable(Reason::LinkHeader));
    }
    let (header, rest) = frame.split_at_checked(len).ok_or(CUT)?;
    let (words, _) = words.as_chunks::<4>();
    let last = words.iter().position(|word| word[3] & MORE == 0).ok_or(CUT)?;
    let (mut at, present) = (4 + (last + 1) * 4, words[0][0]);
    if present & TIME != 0 {
        at = at.next_multiple_of(8) + 8;
    }
    let is_padded = present & FLAGS != 0 && header.get(at).is_some_and(|flags| flags & PADDED != 0);
    Ok((rest, is_padded))
}

/// The header of prism cards, 144 octets, or the one that came after it and gives its length.
pub(super) fn prism(frame: &[u8]) -> Result<&[u8], Skip> {
    match frame {
        [0x80, 0x21, 0x10, ..] => avs(frame),
        _ => frame.get(144..).ok_or(CUT),
    }
}

/// The header of the AVS project: version, length, values.
pub(super) fn avs(frame: &[u8]) -> Result<&[u8], Skip> {
    let (&[_, _, _, _, l0, l1, l2, l3], _) = frame.split_first_chunk::<8>().ok_or(CUT)?;
    let len = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
    if len < 8 { Err(Skip::Undecodable(Reason::LinkHeader)) } else { frame.get(len..).ok_or(CUT) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encapsulation::etype;
    use crate::testing::hex;

    /// Receiver, sender and distribution system, as the addresses of a frame from the latter.
    const FROM: &str = "0000 02000000000b 020000000001 02000000000a 1000";
    const SNAP: &str = "aaaa03 000000 0800 45";

    fn of(text: &str) -> Result<(u16, usize), Skip> {
        data(&hex(text), false).map(|(etype, rest)| (etype, rest.len()))
    }

    #[test]
    fn data_frames() {
        let ip = Ok((etype::IPV4, 1));
        assert_eq!(of(&format!("08 02 {FROM} {SNAP}")), ip);
        assert_eq!(of(&format!("88 02 {FROM} 0000 {SNAP}")), ip, "quality of service");
        assert_eq!(of(&format!("88 82 {FROM} 0000 00000000 {SNAP}")), ip, "further control");
        assert_eq!(of(&format!("08 03 {FROM} 02000000000a {SNAP}")), ip, "four addresses");
        assert_eq!(of(&format!("08 02 {FROM} aaaa03 0000f8 0800 45")), ip, "bridge-tunnel");
        assert_eq!(of("48 01 0000"), Err(Skip::NotIp), "no data");
        assert_eq!(of("80 00 0000"), Err(Skip::NotIp), "beacon");
        assert_eq!(of(&format!("08 42 {FROM} 00112233")), Err(Skip::Undecodable(Reason::Encrypted)));
        assert_eq!(
            of(&format!("08 02 {} {SNAP}", FROM.replace("1000", "1100"))),
            Err(Skip::NotIp),
            "a later part"
        );
        assert_eq!(of("08 02 0000"), Err(CUT));
        let padded = hex(&format!("88 02 {FROM} 0000 0000 {SNAP}"));
        assert_eq!(data(&padded, true).map(|(etype, rest)| (etype, rest.len())), ip);
    }

    #[test]
    fn one_packet_of_an_aggregate_is_read_and_several_are_not() {
        let subframe = format!("02000000000b 02000000000a 0009 {SNAP}");
        assert_eq!(of(&format!("88 02 {FROM} 8000 {subframe}")), Ok((etype::IPV4, 1)));
        let two = format!("88 02 {FROM} 8000 {subframe} 00 {subframe}");
        assert_eq!(of(&two), Err(Skip::Undecodable(Reason::Aggregate)));
    }

    #[test]
    fn addresses_by_the_way_of_the_frame() {
        let mac = |last| Some(MacAddr([2, 0, 0, 0, 0, last]));
        let frame = |flags: &str| {
            hex(&format!("08 {flags} 0000 020000000001 020000000002 020000000003 1000 020000000004"))
        };
        for (flags, src, dst) in [("00", 2, 1), ("01", 2, 3), ("02", 3, 1), ("03", 4, 3)] {
            assert_eq!((src_mac(&frame(flags)), dst_mac(&frame(flags))), (mac(src), mac(dst)), "{flags}");
        }
    }

    #[test]
    fn headers_of_captures() {
        assert_eq!(radiotap(&hex("00 00 0800 00000000 08")), Ok((&[0x08][..], false)));
        assert_eq!(radiotap(&hex("00 00 0900 02000000 20 08")), Ok((&[0x08][..], true)));
        let time = "00 00 1900 03000080 00000000 00000000 0102030405060708 20 08";
        assert_eq!(radiotap(&hex(time)), Ok((&[0x08][..], true)), "two words, padding, time, flags");
        assert_eq!(radiotap(&hex("00 00 0700 00000000 08")), Err(Skip::Undecodable(Reason::LinkHeader)));
        assert_eq!(radiotap(&hex("00 00 0c00 00000000 08")), Err(CUT));
        assert_eq!(prism(&[vec![0x44], vec![0; 143], vec![0x08]].concat()), Ok(&[0x08][..]));
        assert_eq!(prism(&hex("80211001 0000000c 00000000 08")), Ok(&[0x08][..]));
        assert_eq!(avs(&hex("80211001 00000004 08")), Err(Skip::Undecodable(Reason::LinkHeader)));
    }
}
