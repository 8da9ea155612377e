//! Headers that captures put before the link header.

use super::{CUT, Framing, LinkType, wireless};
use crate::skip::{Reason, Skip};

/// What a frame is without what the capture put before it.
type Unwrapped<'a> = Result<(Framing, &'a [u8]), Skip>;

impl Framing {
    /// The frame without what the capture put before the link header, and how that is laid out.
    #[inline]
    pub(super) fn unwrap(self, frame: &[u8]) -> Unwrapped<'_> {
        match self {
            Self::Radiotap => {
                let (frame, is_padded) = wireless::radiotap(frame)?;
                Ok((if is_padded { Self::PaddedWireless } else { Self::Wireless }, frame))
            }
            Self::Prism => Ok((Self::Wireless, wireless::prism(frame)?)),
            Self::Avs => Ok((Self::Wireless, wireless::avs(frame)?)),
            Self::Ppi => ppi(frame),
            Self::Pktap => pktap(frame),
            Self::TaggedEthernet => Ok((Self::Ethernet, frame.get(4..).ok_or(CUT)?)),
            Self::DirectedPpp => Ok((Self::Ppp, frame.get(1..).ok_or(CUT)?)),
            Self::DirectedCiscoHdlc => Ok((Self::CiscoHdlc, frame.get(1..).ok_or(CUT)?)),
            Self::DirectedFrameRelay => Ok((Self::FrameRelay, frame.get(1..).ok_or(CUT)?)),
            plain => Ok((plain, frame)),
        }
    }
}

/// Per-packet information: version, flags, length of all, link type of the frame, values; little-endian.
fn ppi(frame: &[u8]) -> Unwrapped<'_> {
    let (&[_, _, l0, l1, t0, t1, t2, t3], _) = frame.split_first_chunk::<8>().ok_or(CUT)?;
    within(frame, u16::from_le_bytes([l0, l1]).into(), 8, u32::from_le_bytes([t0, t1, t2, t3]))
}

/// Apple's: length of all, what follows, link type of the frame, more values; little-endian.
fn pktap(frame: &[u8]) -> Unwrapped<'_> {
    let (&[l0, l1, l2, l3, _, _, _, _, t0, t1, t2, t3], _) = frame.split_first_chunk::<12>().ok_or(CUT)?;
    within(frame, u32::from_le_bytes([l0, l1, l2, l3]), 12, u32::from_le_bytes([t0, t1, t2, t3]))
}

/// The frame of type `link` behind a header of `len` octets, which can't be less than `min`.
fn within(frame: &[u8], len: u32, min: u32, link: u32) -> Unwrapped<'_> {
    if len < min {
        return Err(Skip::Undecodable(Reason::LinkHeader));
    }
    let framing = LinkType(link).framing().ok_or(Skip::Undecodable(Reason::LinkType))?;
    let rest = frame.get(len as usize..).ok_or(CUT)?;
    // Radiotap within PPI makes sense; one of these within another would be a way to make us go round.
    match framing {
        Framing::Ppi | Framing::Pktap => Err(Skip::Undecodable(Reason::LinkHeader)),
        framing => framing.unwrap(rest),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    #[test]
    fn headers_that_name_a_link_type() {
        let wireless = hex("00 00 0c00 69000000 00000000 08");
        assert_eq!(Framing::Ppi.unwrap(&wireless), Ok((Framing::Wireless, &[0x08][..])));
        let radiotap = hex("00 00 0800 7f000000 00 00 0800 00000000 08");
        assert_eq!(Framing::Ppi.unwrap(&radiotap), Ok((Framing::Wireless, &[0x08][..])));
        let itself = hex("00 00 0800 c0000000 00 00 0800 69000000 08");
        assert_eq!(Framing::Ppi.unwrap(&itself), Err(Skip::Undecodable(Reason::LinkHeader)));
        assert_eq!(
            Framing::Ppi.unwrap(&hex("00 00 0800 0f270000")),
            Err(Skip::Undecodable(Reason::LinkType))
        );
        let ethernet = hex("10000000 01000000 01000000 00000000 02");
        assert_eq!(Framing::Pktap.unwrap(&ethernet), Ok((Framing::Ethernet, &[0x02][..])));
    }

    #[test]
    fn short_headers() {
        assert_eq!(Framing::DirectedPpp.unwrap(&[1, 0xff]), Ok((Framing::Ppp, &[0xff][..])));
        assert_eq!(Framing::TaggedEthernet.unwrap(&[0, 0, 0, 1, 2]), Ok((Framing::Ethernet, &[2][..])));
        assert_eq!(Framing::DirectedPpp.unwrap(&[]), Err(CUT));
    }
}
