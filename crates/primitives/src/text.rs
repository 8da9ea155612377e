//! Values as text, written without allocation.

use std::io::Write as _;
use std::net::{IpAddr, Ipv6Addr};

use jiff::tz::TimeZone;
use rpmacct_packet::{MacAddr, Timestamp};

use crate::kind::Value;
use crate::protocol::protocol_name;

/// How times are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TimeStyle {
    /// `2023-11-14 22:13:20.100000`, print's default.
    #[default]
    Plain,
    /// `2023-11-14T22:13:20.100000+00:00` (RFC 9557, `timestamps_rfc3339`).
    Rfc3339,
    /// `2023-11-14T22:13:20.100000Z`, or with the zone's offset: the client's default.
    Zulu,
    /// `1700000000.100000` (`timestamps_since_epoch`, the client's `-I`).
    Epoch,
}

/// The zone that times are written in.
#[derive(Debug, Clone)]
pub struct Zone(TimeZone);

impl Zone {
    /// UTC.
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// The machine's own zone.
    pub fn local() -> Self {
        Self(TimeZone::system())
    }

    /// The zone itself, for calendars.
    pub fn time_zone(&self) -> &TimeZone {
        &self.0
    }
}

impl TimeStyle {
    /// Appends a time to `out`, with microseconds.
    pub fn write(self, time: Option<Timestamp>, zone: &Zone, out: &mut Vec<u8>) {
        if time.is_none() && self == Self::Plain {
            out.extend_from_slice(b"0000-00-00 00:00:00.000000");
            return;
        }
        let (secs, nanos) = time.map_or((0, 0), |t| (t.secs(), t.subsec_nanos()));
        self.write_parts(secs, Some(nanos / 1_000), zone, out);
    }

    /// Appends a time to `out`, in whole seconds.
    pub fn write_seconds(self, time: Timestamp, zone: &Zone, out: &mut Vec<u8>) {
        self.write_parts(time.secs(), None, zone, out);
    }

    fn write_parts(self, secs: i64, micros: Option<u32>, zone: &Zone, out: &mut Vec<u8>) {
        let fraction = |out: &mut Vec<u8>| {
            let _ = micros.map(|micros| write!(out, ".{micros:06}"));
        };
        if self == Self::Epoch {
            let _ = write!(out, "{secs}");
            return fraction(out);
        }
        let instant = jiff::Timestamp::from_second(secs).unwrap_or(jiff::Timestamp::MAX);
        let offset = zone.0.to_offset(instant);
        let t = offset.to_datetime(instant);
        let separator = if self == Self::Plain { ' ' } else { 'T' };
        let _ = write!(
            out,
            "{:04}-{:02}-{:02}{separator}{:02}:{:02}:{:02}",
            t.year(),
            t.month(),
            t.day(),
            t.hour(),
            t.minute(),
            t.second()
        );
        fraction(out);
        let minutes = offset.seconds() / 60;
        match self {
            Self::Zulu if minutes == 0 => out.push(b'Z'),
            Self::Zulu | Self::Rfc3339 => {
                let sign = if minutes < 0 { '-' } else { '+' };
                let _ = write!(out, "{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60);
            }
            Self::Plain | Self::Epoch => {}
        }
    }
}

/// Reads `YYYY-MM-DDTHH:MM:SS[.ffffff]` (or with a blank) in the machine's own zone, or with `Z` in UTC.
pub(crate) fn parse_time(text: &str) -> Option<Timestamp> {
    let (civil, zone) = match text.strip_suffix('Z') {
        Some(civil) => (civil, Zone::utc()),
        None => (text, Zone::local()),
    };
    let time: jiff::civil::DateTime = civil.replacen(' ', "T", 1).parse().ok()?;
    let instant = zone.0.to_ambiguous_timestamp(time).compatible().ok()?;
    i64::try_from(instant.as_nanosecond()).ok().map(Timestamp::from_nanos)
}

impl Value<'_> {
    /// Appends the value as text that depends on no setting: protocols by name, times as seconds since the
    /// epoch, nothing for an address that is absent.
    pub fn write_text(self, out: &mut Vec<u8>) {
        let zone = &Zone::utc();
        let style = ValueStyle { absent_ip: "", numeric_protocols: false, time: TimeStyle::Epoch, zone };
        write_value(self, style, out);
    }
}

/// Reads a route distinguisher as `TYPE:NUMBER:NUMBER` (RFC 4364, 4.2): type 0 has a number of two octets and one
/// of four, types 1 and 2 the other way round.
pub(crate) fn parse_distinguisher(text: &str) -> Option<u64> {
    let parts: Vec<u64> = text.split(':').map(str::parse).collect::<Result<_, _>>().ok()?;
    let [kind, first, second] = parts[..] else { return None };
    let bits = distinguisher_bits(kind)?;
    let fits = first < 1 << (48 - bits) && second < 1 << bits;
    fits.then_some(kind << 48 | first << bits | second)
}

fn write_distinguisher(n: u64, out: &mut Vec<u8>) {
    let kind = n >> 48;
    let bits = distinguisher_bits(kind).unwrap_or(32);
    let rest = n & ((1 << 48) - 1);
    let _ = write!(out, "{kind}:{}:{}", rest >> bits, rest & ((1 << bits) - 1));
}

/// Bits of the second number.
fn distinguisher_bits(kind: u64) -> Option<u32> {
    match kind {
        0 => Some(32),
        1 | 2 => Some(16),
        _ => None,
    }
}

/// How an absent address is written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ValueStyle<'a> {
    pub(crate) absent_ip: &'static str,
    pub(crate) numeric_protocols: bool,
    pub(crate) time: TimeStyle,
    pub(crate) zone: &'a Zone,
}

/// Appends a value as text.
#[inline]
pub(crate) fn write_value(value: Value<'_>, style: ValueStyle<'_>, out: &mut Vec<u8>) {
    match value {
        Value::Ip(Some(IpAddr::V4(ip))) => write_ipv4(ip.octets(), out),
        Value::Ip(Some(IpAddr::V6(ip))) => write_ipv6(ip, out),
        Value::Ip(None) => out.extend_from_slice(style.absent_ip.as_bytes()),
        Value::Mac(mac) => write_mac(mac, out),
        Value::Number(n) => write_number(n, out),
        Value::EtherType(n) => {
            let _ = write!(out, "{n:x}");
        }
        Value::Protocol(n) => match protocol_name(n).filter(|_| !style.numeric_protocols) {
            Some(name) => out.extend_from_slice(name.as_bytes()),
            None => write_number(n.into(), out),
        },
        Value::Time(time) => style.time.write(time, style.zone, out),
        Value::Hex(n) => {
            let _ = write!(out, "{n:x}");
        }
        Value::Raw(octets) => {
            for (i, octet) in octets.iter().enumerate() {
                let _ = write!(out, "{}{octet:02X}", if i > 0 { "-" } else { "" });
            }
        }
        Value::Text(text) => write_text(text, out),
        Value::Word(word) => out.extend_from_slice(word.as_bytes()),
        Value::Labels(labels) => {
            for (i, label) in labels.iter().enumerate() {
                if i > 0 {
                    out.push(b'_');
                }
                write_number(label.into(), out);
            }
        }
        Value::RouteDistinguisher(n) => write_distinguisher(n, out),
        Value::Degrees(millionths) => {
            let sign = if millionths < 0 { "-" } else { "" };
            let n = millionths.unsigned_abs();
            let _ = write!(out, "{sign}{}.{:06}", n / 1_000_000, n % 1_000_000);
        }
    }
}

/// Appends a text that came from a packet: what is no UTF-8, and control characters, which could break lines and
/// terminals, become `.`.
fn write_text(text: &[u8], out: &mut Vec<u8>) {
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            let c = if c.is_control() { '.' } else { c };
            out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
        }
        out.extend(chunk.invalid().iter().map(|_| b'.'));
    }
}

/// Appends a decimal number.
#[inline]
pub(crate) fn write_number(n: u64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

/// Each octet in decimal with a dot behind it, and how many characters that is.
const DOTTED: [([u8; 4], u8); 256] = {
    let mut all = [([b'.'; 4], 0); 256];
    let mut octet = 0;
    while octet < all.len() {
        let (text, len) = &mut all[octet];
        let mut power = if octet >= 100 {
            100
        } else if octet >= 10 {
            10
        } else {
            1
        };
        while power > 0 {
            text[*len as usize] = b'0' + (octet / power % 10) as u8;
            *len += 1;
            power /= 10;
        }
        *len += 1; // the dot
        octet += 1;
    }
    all
};

fn write_ipv4(octets: [u8; 4], out: &mut Vec<u8>) {
    let mut text = [0; 16];
    let mut end = 0;
    for octet in octets {
        let (dotted, len) = DOTTED[usize::from(octet)];
        text[end..end + 4].copy_from_slice(&dotted);
        end += usize::from(len);
    }
    out.extend_from_slice(&text[..end - 1]);
}

/// As `inet_ntop` writes it: RFC 5952, and the IPv4-compatible `::10.0.0.1` with a dotted end.
fn write_ipv6(ip: Ipv6Addr, out: &mut Vec<u8>) {
    let segments = ip.segments();
    if segments[..6] == [0; 6] && segments[6] != 0 {
        out.extend_from_slice(b"::");
        let mut dotted = [0; 4];
        dotted.copy_from_slice(&ip.octets()[12..]);
        write_ipv4(dotted, out);
    } else {
        let _ = write!(out, "{ip}");
    }
}

fn write_mac(mac: MacAddr, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for (i, octet) in mac.0.into_iter().enumerate() {
        if i > 0 {
            out.push(b':');
        }
        out.push(HEX[usize::from(octet >> 4)]);
        out.push(HEX[usize::from(octet & 15)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(f: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        f(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn times_in_every_style() {
        let at = Timestamp::from_secs_nanos(1_700_000_000, 100_000_999);
        let time = Some(at);
        let write = |style: TimeStyle, time| text(|out| style.write(time, &Zone::utc(), out));
        assert_eq!(write(TimeStyle::Plain, time), "2023-11-14 22:13:20.100000");
        assert_eq!(write(TimeStyle::Rfc3339, time), "2023-11-14T22:13:20.100000+00:00");
        assert_eq!(write(TimeStyle::Zulu, time), "2023-11-14T22:13:20.100000Z");
        assert_eq!(write(TimeStyle::Epoch, time), "1700000000.100000");
        assert_eq!(write(TimeStyle::Plain, None), "0000-00-00 00:00:00.000000");
        let seconds = |style: TimeStyle| text(|out| style.write_seconds(at, &Zone::utc(), out));
        assert_eq!(seconds(TimeStyle::Plain), "2023-11-14 22:13:20");
        assert_eq!(seconds(TimeStyle::Rfc3339), "2023-11-14T22:13:20+00:00");
        assert_eq!(seconds(TimeStyle::Epoch), "1700000000");
    }

    #[test]
    fn addresses_as_inet_ntop_writes_them() {
        let ip = |t: &str| text(|out| write_ipv6(t.parse().unwrap(), out));
        assert_eq!(ip("2001:db8:0:0:1:0:0:1"), "2001:db8::1:0:0:1");
        assert_eq!(ip("::ffff:10.0.0.1"), "::ffff:10.0.0.1");
        assert_eq!(ip("::10.0.0.1"), "::10.0.0.1");
        assert_eq!(ip("::1"), "::1");
        assert_eq!(text(|out| write_ipv4([10, 0, 255, 1], out)), "10.0.255.1");
        assert_eq!(text(|out| write_mac(MacAddr([2, 0, 0, 0, 0, 0xfe]), out)), "02:00:00:00:00:fe");
        assert_eq!(text(|out| write_number(u64::MAX, out)), "18446744073709551615");
        assert_eq!(text(|out| write_number(0, out)), "0");
    }

    #[test]
    fn texts_of_packets_break_no_line() {
        let write = |bytes: &[u8]| text(|out| write_text(bytes, out));
        assert_eq!(write("GET /ä".as_bytes()), "GET /ä");
        assert_eq!(write(b"a\r\n\x1b[2J\xff\xc3"), "a...[2J..");
    }

    #[test]
    fn distinguishers_of_all_types() {
        let write = |n| text(|out| write_distinguisher(n, out));
        assert_eq!(write(0), "0:0:0");
        for rd in ["0:65535:4294967295", "1:4294967295:65535", "2:65536:1"] {
            assert_eq!(write(parse_distinguisher(rd).unwrap()), rd);
        }
        assert_eq!(parse_distinguisher("0:65536:1"), None);
        assert_eq!(parse_distinguisher("3:1:1"), None);
    }
}
