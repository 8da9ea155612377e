//! Lines: PPP, Cisco HDLC, frame relay, ATM, SLIP.

use super::{CUT, Split, lan, raw};
use crate::llc::{self, Bridged};
use crate::ppp;
use crate::skip::Skip;

/// Cisco HDLC: address, control, EtherType.
pub(super) fn cisco_hdlc(frame: &[u8]) -> Split<'_> {
    let (header, rest) = frame.split_first_chunk::<4>().ok_or(CUT)?;
    Ok((u16::from_be_bytes([header[2], header[3]]), rest))
}

/// PPP in frames like those of HDLC (RFC 1662), which share their line with those of Cisco.
pub(super) fn ppp_hdlc(frame: &[u8]) -> Split<'_> {
    if frame.starts_with(&[0xff]) { ppp::split(frame) } else { cisco_hdlc(frame) }
}

/// PPP of Linux, whose first octet is the direction instead of the address.
pub(super) fn pppd(frame: &[u8]) -> Split<'_> {
    let (_, rest) = frame.split_first().ok_or(CUT)?;
    ppp::split(rest.strip_prefix(&[0x03]).unwrap_or(rest))
}

/// Frame relay (RFC 2427): an address of two to four octets, the last one with the lowest bit set; control;
/// perhaps padding; the protocol. Cisco's own form has an EtherType in place of all after the address.
pub(super) fn frame_relay(frame: &[u8]) -> Split<'_> {
    const MAX_ADDRESS: usize = 4;
    let last = frame.iter().take(MAX_ADDRESS).position(|octet| octet & 1 == 1);
    let address = match last {
        Some(0) => return Err(Skip::NotIp),
        Some(last) => last + 1,
        None if frame.len() < MAX_ADDRESS => return Err(CUT),
        None => return Err(Skip::NotIp),
    };
    match frame[address..] {
        [0x03, 0x00, ref rest @ ..] | [0x03, ref rest @ ..] => llc::network_protocol(rest, Bridged::Bare),
        [high, low, ref rest @ ..] => Ok((u16::from_be_bytes([high, low]), rest)),
        _ => Err(CUT),
    }
}

/// ATM with LLC (RFC 2684).
pub(super) fn atm(frame: &[u8]) -> Split<'_> {
    llc::split(frame, Bridged::Padded)
}

/// ATM as SunATM captures it: what it is, path, circuit.
pub(super) fn sun_atm(frame: &[u8]) -> Split<'_> {
    const LAN_EMULATION: u8 = 1;
    const LLC: u8 = 2;
    let (&[kind, ..], rest) = frame.split_first_chunk::<4>().ok_or(CUT)?;
    match kind & 0x0f {
        // The emulated network's client has two octets before the frame.
        LAN_EMULATION => lan::ethernet(rest.get(2..).ok_or(CUT)?),
        LLC => atm(rest),
        _ => Err(Skip::NotIp),
    }
}

/// SLIP (RFC 1055): direction, and the header as it was compressed, in 16 octets; then the packet, whole.
pub(super) fn slip(frame: &[u8]) -> Split<'_> {
    raw(frame.get(16..).ok_or(CUT)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encapsulation::etype;
    use crate::testing::hex;

    fn etype(split: Split<'_>) -> Result<(u16, usize), Skip> {
        split.map(|(etype, rest)| (etype, rest.len()))
    }

    #[test]
    fn hdlc() {
        assert_eq!(etype(cisco_hdlc(&hex("0f00 0800 45"))), Ok((etype::IPV4, 1)));
        assert_eq!(etype(ppp_hdlc(&hex("0f00 86dd 60"))), Ok((etype::IPV6, 1)));
        assert_eq!(etype(ppp_hdlc(&hex("ff03 0021 45"))), Ok((etype::IPV4, 1)));
        assert_eq!(etype(pppd(&hex("00 03 0021 45"))), Ok((etype::IPV4, 1)));
        assert_eq!(etype(pppd(&hex("01 0057 60"))), Ok((etype::IPV6, 1)));
    }

    #[test]
    fn frame_relay_has_many_forms() {
        let of = |text: &str| etype(frame_relay(&hex(text)));
        assert_eq!(of("1841 03 cc 45"), Ok((etype::IPV4, 1)));
        assert_eq!(of("1841 03 8e 60"), Ok((etype::IPV6, 1)));
        assert_eq!(of("18400041 03 cc 45"), Ok((etype::IPV4, 1)), "four octets of address");
        assert_eq!(of("1841 03 00 80 000000 0800 45"), Ok((etype::IPV4, 1)), "SNAP");
        let frame = "02000000000b 02000000000a 0800 45";
        assert_eq!(of(&format!("1841 03 00 80 0080c2 0007 {frame}")), Ok((etype::IPV4, 1)), "bridged");
        assert_eq!(of("1841 0800 45"), Ok((etype::IPV4, 1)), "Cisco");
        assert_eq!(of("1841 03 08 0000"), Err(Skip::NotIp), "Q.933");
        assert_eq!(of("1840 4042 03"), Err(Skip::NotIp));
        assert_eq!(of("1840"), Err(CUT));
        assert_eq!(of("1841 03"), Err(CUT));
    }

    #[test]
    fn cells() {
        let snap = "aaaa03 000000 0800 45";
        let frame = "02000000000b 02000000000a 0800 45";
        assert_eq!(etype(atm(&hex(snap))), Ok((etype::IPV4, 1)));
        assert_eq!(etype(atm(&hex(&format!("aaaa03 0080c2 0007 0000 {frame}")))), Ok((etype::IPV4, 1)));
        assert_eq!(etype(atm(&hex("fefe03 cc 45"))), Ok((etype::IPV4, 1)));
        assert_eq!(etype(sun_atm(&hex(&format!("82 00 0064 {snap}")))), Ok((etype::IPV4, 1)));
        assert_eq!(etype(sun_atm(&hex(&format!("81 00 0064 0003 {frame}")))), Ok((etype::IPV4, 1)));
        assert_eq!(etype(sun_atm(&hex("86 00 0005 09"))), Err(Skip::NotIp), "signalling");
    }

    #[test]
    fn serial_line() {
        let header = "01 40 0000000000000000000000000000";
        assert_eq!(etype(slip(&hex(&format!("{header} 45")))), Ok((etype::IPV4, 1)));
        assert_eq!(etype(slip(&hex(&format!("{header} 60")))), Ok((etype::IPV6, 1)));
        assert_eq!(etype(slip(&hex("01 40"))), Err(CUT));
    }
}
