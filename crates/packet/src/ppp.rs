//! The point-to-point protocol (RFC 1661), and PPP over Ethernet (RFC 2516).

use crate::encapsulation::etype;
use crate::link::Split;
use crate::skip::{Reason, Skip};

const CUT: Skip = Skip::Undecodable(Reason::LinkCut);

/// What a PPP frame carries.
pub(crate) fn split(bytes: &[u8]) -> Split<'_> {
    let (protocol, rest) = protocol(bytes)?;
    match protocol {
        0x0021 => Ok((etype::IPV4, rest)),
        0x0057 => Ok((etype::IPV6, rest)),
        0x0281 => Ok((etype::MPLS, rest)),
        0x0283 => Ok((etype::MPLS_MULTICAST, rest)),
        _ => Err(Skip::NotIp),
    }
}

/// Reads the protocol of a PPP frame, after the address and control octets if they are there. A protocol is
/// one octet, if that is odd, or two.
pub(crate) fn protocol(bytes: &[u8]) -> Split<'_> {
    match bytes.strip_prefix(&[0xff, 0x03]).unwrap_or(bytes) {
        // Of address and control, one octet.
        [0xff] => Err(CUT),
        [short, rest @ ..] if short & 1 == 1 => Ok((u16::from(*short), rest)),
        [high, low, rest @ ..] => Ok((u16::from_be_bytes([*high, *low]), rest)),
        _ => Err(CUT),
    }
}

/// What a PPPoE frame carries.
pub(crate) fn over_ethernet(bytes: &[u8]) -> Split<'_> {
    split(session(bytes)?)
}

/// The PPP frame behind a PPPoE header: version and type, code, session, length.
pub(crate) fn session(bytes: &[u8]) -> Result<&[u8], Skip> {
    let (header, rest) = bytes.split_first_chunk::<6>().ok_or(CUT)?;
    // Version 1, type 1, code 0: session data.
    if header[..2] == [0x11, 0] { Ok(rest) } else { Err(Skip::NotIp) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::hex;

    #[test]
    fn protocols_of_one_octet_or_two() {
        assert_eq!(split(&hex("ff03 0021 45")), Ok((etype::IPV4, &[0x45][..])));
        assert_eq!(split(&hex("ff03 21 45")), Ok((etype::IPV4, &[0x45][..])), "compressed protocol");
        assert_eq!(split(&hex("57 60")), Ok((etype::IPV6, &[0x60][..])));
        assert_eq!(split(&hex("0281 003e9140")), Ok((etype::MPLS, &hex("003e9140")[..])));
        assert_eq!(split(&hex("c021 0100")), Err(Skip::NotIp), "LCP");
        for cut in ["", "00", "ff", "ff03", "ff03 00"] {
            assert_eq!(split(&hex(cut)), Err(CUT), "{cut}");
        }
    }

    #[test]
    fn sessions_over_ethernet() {
        assert_eq!(over_ethernet(&hex("11 00 0007 0066 0021 45")), Ok((etype::IPV4, &[0x45][..])));
        assert_eq!(over_ethernet(&hex("11 00 0007 000a c021 0100")), Err(Skip::NotIp), "LCP");
        assert_eq!(over_ethernet(&hex("11 a7 0007 0066 0021 45")), Err(Skip::NotIp), "end of the session");
        assert_eq!(over_ethernet(&hex("11 00 0007 0066 00")), Err(CUT));
    }
}
