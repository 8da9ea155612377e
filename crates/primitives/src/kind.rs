//! What a value is: its octets in a key, and back.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rpmacct_packet::{MacAddr, Timestamp};

use crate::protocol::protocol_number;
use crate::text;

/// The kind of a primitive's value. It decides the octets in the key, the text and the JSON type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// An IP address: one octet of family (0 absent, 4, 6), then 16 octets, IPv4 padded with zeros.
    Ip,
    /// A link-layer address, 6 octets.
    Mac,
    /// An unsigned number of 1, 2, 4 or 8 octets.
    Number(u8),
    /// An EtherType, 2 octets, written in hexadecimal.
    EtherType,
    /// An IP protocol, 1 octet, written by name.
    Protocol,
    /// A time in microseconds since the Unix epoch, 8 octets, the sign bit turned; all zero is absent.
    Time,
    /// A number that is a text in JSON.
    NumberAsText(u8),
    /// An unsigned number of so many octets, written in hexadecimal, a text in JSON.
    Hex(u8),
    /// Octets, written in hexadecimal with dashes between them; all zero is absent.
    Raw(u8),
    /// A text of at most so many octets, filled up with zeros.
    Text(u8),
    /// One of these words: its number in one octet.
    Choice(&'static [&'static str]),
    /// A stack of MPLS labels: one octet with their number, then three octets for each of [`LABELS`].
    LabelStack,
    /// The route distinguisher of a VPN (RFC 4364), 8 octets.
    RouteDistinguisher,
    /// Degrees of latitude or longitude: millionths of a degree in 4 octets, two's complement.
    Degrees,
}

/// Labels that a [`Kind::LabelStack`] holds: as many as are decoded at most.
pub const LABELS: usize = rpmacct_packet::limits::MAX_LABELS;

/// The labels of a packet, top first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Labels {
    len: u8,
    labels: [u32; LABELS],
}

/// The value of a primitive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value<'a> {
    /// An IP address; `None` where the frame had none.
    Ip(Option<IpAddr>),
    /// A link-layer address.
    Mac(MacAddr),
    /// A number.
    Number(u64),
    /// An EtherType.
    EtherType(u16),
    /// An IP protocol.
    Protocol(u8),
    /// A time; `None` where nothing sets it.
    Time(Option<Timestamp>),
    /// A number that people read in hexadecimal.
    Hex(u64),
    /// Octets.
    Raw(&'a [u8]),
    /// A text, most often UTF-8, without the zeros that fill it up.
    Text(&'a [u8]),
    /// One of the words of its kind.
    Word(&'static str),
    /// MPLS labels.
    Labels(Labels),
    /// A route distinguisher.
    RouteDistinguisher(u64),
    /// Millionths of a degree.
    Degrees(i32),
}

/// Why a text is not a value of the kind that was asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseValueError {
    /// Not an IPv4 or IPv6 address.
    #[error("Invalid IP address: '{0}'")]
    Ip(String),
    /// Not six octets in hexadecimal, separated by colons.
    #[error("Invalid MAC address: '{0}'")]
    Mac(String),
    /// Not a number, or too large for its field.
    #[error("Invalid number: '{0}' (expected 0 to {1})")]
    Number(String, u64),
    /// Not a hexadecimal EtherType.
    #[error("Invalid EtherType: '{0}' (expected hexadecimal, such as 800 or 86dd)")]
    EtherType(String),
    /// Neither the name nor the number of a protocol.
    #[error("invalid protocol: '{0}'")]
    Protocol(String),
    /// Not a time.
    #[error("Invalid time: '{0}' (expected YYYY-MM-DDTHH:MM:SS[.ffffff])")]
    Time(String),
    /// Not a hexadecimal number, or too large for its field.
    #[error("Invalid hexadecimal number: '{0}' (expected 0 to {1:x})")]
    Hex(String, u64),
    /// Raw octets are not looked for.
    #[error("'{0}': raw octets can't be looked for")]
    Raw(String),
    /// A text that is too long.
    #[error("Invalid text: '{0}' (expected at most {1} bytes)")]
    Text(String, u8),
    /// None of the words.
    #[error("Invalid word: '{0}' (expected one of {words})", words = .1.join(", "))]
    Choice(String, &'static [&'static str]),
    /// Not label numbers.
    #[error("Invalid labels: '{0}' (expected at most {LABELS} of them, such as 1001_2002)")]
    Labels(String),
    /// Not a route distinguisher.
    #[error("Invalid route distinguisher: '{0}' (expected TYPE:NUMBER:NUMBER)")]
    RouteDistinguisher(String),
    /// Not degrees.
    #[error("Invalid degrees: '{0}' (expected -180 to 180)")]
    Degrees(String),
}

const SIGN: u64 = 1 << 63;

impl Kind {
    /// Octets that a value takes in a key.
    pub const fn width(self) -> usize {
        match self {
            Self::Ip => 17,
            Self::Mac => 6,
            Self::Number(width)
            | Self::NumberAsText(width)
            | Self::Hex(width)
            | Self::Raw(width)
            | Self::Text(width) => width as usize,
            Self::EtherType => 2,
            Self::Protocol | Self::Choice(_) => 1,
            Self::Time | Self::RouteDistinguisher => 8,
            Self::LabelStack => 1 + 3 * LABELS,
            Self::Degrees => 4,
        }
    }

    /// Whether the value is a number in JSON rather than a string.
    pub const fn is_json_number(self) -> bool {
        matches!(self, Self::Number(_) | Self::Degrees)
    }

    /// The value of what is not there: all octets zero.
    pub fn zero(self) -> Value<'static> {
        static ZEROS: [u8; 256] = [0; 256];
        self.value(&ZEROS[..self.width()])
    }

    /// Reads a value from its octets. `octets` must be [`Self::width`] long.
    pub fn value(self, octets: &[u8]) -> Value<'_> {
        match self {
            Self::Ip => Value::Ip(match octets[0] {
                4 => Some(Ipv4Addr::new(octets[1], octets[2], octets[3], octets[4]).into()),
                6 => <[u8; 16]>::try_from(&octets[1..17]).ok().map(|o| Ipv6Addr::from(o).into()),
                _ => None,
            }),
            Self::Mac => {
                let mut mac = [0; 6];
                mac.copy_from_slice(octets);
                Value::Mac(MacAddr(mac))
            }
            Self::Number(_) | Self::NumberAsText(_) => Value::Number(number(octets)),
            Self::EtherType => Value::EtherType(number(octets) as u16),
            Self::Protocol => Value::Protocol(octets[0]),
            Self::Time => Value::Time(match number(octets) {
                0 => None,
                micros => Some(from_micros((micros ^ SIGN).cast_signed())),
            }),
            Self::Hex(_) => Value::Hex(number(octets)),
            Self::Raw(_) if octets.iter().all(|octet| *octet == 0) => Value::Raw(&[]),
            Self::Raw(_) => Value::Raw(octets),
            Self::Text(_) => Value::Text(octets.split(|octet| *octet == 0).next().unwrap_or_default()),
            Self::Choice(words) => {
                Value::Word(words.get(usize::from(octets[0])).copied().unwrap_or_default())
            }
            Self::LabelStack => Value::Labels(Labels::read(octets)),
            Self::RouteDistinguisher => Value::RouteDistinguisher(number(octets)),
            Self::Degrees => Value::Degrees((number(octets) as u32).cast_signed()),
        }
    }

    /// Writes a value into `octets`, which must be [`Self::width`] long. A value of another kind writes
    /// zeros.
    pub fn write(self, value: Value<'_>, octets: &mut [u8]) {
        octets.fill(0);
        match (self, value) {
            (Self::Ip, Value::Ip(Some(IpAddr::V4(ip)))) => write_ip(&ip.octets(), octets),
            (Self::Ip, Value::Ip(Some(IpAddr::V6(ip)))) => write_ip(&ip.octets(), octets),
            (Self::Mac, Value::Mac(mac)) => octets.copy_from_slice(&mac.0),
            (Self::Number(width) | Self::NumberAsText(width), Value::Number(n))
            | (Self::Hex(width), Value::Hex(n)) => {
                octets.copy_from_slice(&n.to_be_bytes()[8 - width as usize..]);
            }
            (Self::EtherType, Value::EtherType(n)) => octets.copy_from_slice(&n.to_be_bytes()),
            (Self::Protocol, Value::Protocol(n)) => octets[0] = n,
            (Self::Time, Value::Time(Some(time))) => write_time(time, octets),
            (Self::Raw(_), Value::Raw(from)) | (Self::Text(_), Value::Text(from)) => {
                let len = from.len().min(octets.len());
                octets[..len].copy_from_slice(&from[..len]);
            }
            (Self::Choice(words), Value::Word(word)) => {
                octets[0] = words.iter().position(|w| *w == word).unwrap_or(0) as u8;
            }
            (Self::LabelStack, Value::Labels(labels)) => write_labels(labels.iter(), octets),
            (Self::RouteDistinguisher, Value::RouteDistinguisher(n)) => {
                octets.copy_from_slice(&n.to_be_bytes());
            }
            (Self::Degrees, Value::Degrees(n)) => octets.copy_from_slice(&n.to_be_bytes()),
            _ => {}
        }
    }

    /// Reads a value that a person wrote, such as the data of the client's `-N`.
    pub fn parse(self, text: &str) -> Result<Value<'_>, ParseValueError> {
        let owned = || text.to_owned();
        match self {
            Self::Ip => text.parse().map(|ip| Value::Ip(Some(ip))).map_err(|_| ParseValueError::Ip(owned())),
            Self::Mac => text.parse().map(Value::Mac).map_err(|_| ParseValueError::Mac(owned())),
            Self::Number(width) | Self::NumberAsText(width) => {
                let max = greatest(width);
                let parsed = text.parse().ok().filter(|n| *n <= max);
                parsed.map(Value::Number).ok_or_else(|| ParseValueError::Number(owned(), max))
            }
            Self::Hex(width) => {
                let max = greatest(width);
                let parsed = u64::from_str_radix(hexadecimal(text), 16).ok().filter(|n| *n <= max);
                parsed.map(Value::Hex).ok_or_else(|| ParseValueError::Hex(owned(), max))
            }
            Self::Raw(_) => Err(ParseValueError::Raw(owned())),
            Self::Text(width) => {
                let fits = text.len() <= usize::from(width) && !text.contains('\0');
                fits.then_some(Value::Text(text.as_bytes()))
                    .ok_or_else(|| ParseValueError::Text(owned(), width))
            }
            Self::Choice(words) => {
                let word = words.iter().find(|word| **word == text);
                word.map(|word| Value::Word(word)).ok_or_else(|| ParseValueError::Choice(owned(), words))
            }
            Self::LabelStack => {
                Labels::parse(text).map(Value::Labels).ok_or_else(|| ParseValueError::Labels(owned()))
            }
            Self::RouteDistinguisher => text::parse_distinguisher(text)
                .map(Value::RouteDistinguisher)
                .ok_or_else(|| ParseValueError::RouteDistinguisher(owned())),
            Self::Degrees => {
                let parsed = text.parse().ok().filter(|degrees| (-180.0..=180.0).contains(degrees));
                let millionths = parsed.map(|degrees: f64| (degrees * 1e6).round() as i32);
                millionths.map(Value::Degrees).ok_or_else(|| ParseValueError::Degrees(owned()))
            }
            Self::EtherType => {
                let parsed = u16::from_str_radix(hexadecimal(text), 16);
                parsed.map(Value::EtherType).map_err(|_| ParseValueError::EtherType(owned()))
            }
            Self::Protocol => {
                protocol_number(text).map(Value::Protocol).ok_or_else(|| ParseValueError::Protocol(owned()))
            }
            Self::Time => text::parse_time(text)
                .map(|time| Value::Time(Some(time)))
                .ok_or_else(|| ParseValueError::Time(owned())),
        }
    }
}

/// Writes an address of 4 or 16 octets with its family before it. `to` is 17 octets long.
#[inline]
pub(crate) fn write_ip(ip: &[u8], to: &mut [u8]) {
    let mut octets = [0; 17];
    if let Ok(v4) = <&[u8; 4]>::try_from(ip) {
        octets[0] = 4;
        octets[1..5].copy_from_slice(v4);
    } else if let Ok(v6) = <&[u8; 16]>::try_from(ip) {
        octets[0] = 6;
        octets[1..17].copy_from_slice(v6);
    }
    to.copy_from_slice(&octets);
}

/// Writes a time with the resolution of its text, a microsecond, so that two rows never look the same.
#[inline]
pub(crate) fn write_time(time: Timestamp, to: &mut [u8]) {
    let micros = time.as_nanos().div_euclid(1_000);
    to.copy_from_slice(&(micros.cast_unsigned() ^ SIGN).to_be_bytes());
}

/// Writes labels, top first: their number, then three octets each. What they do not fill is zero.
pub(crate) fn write_labels(labels: impl ExactSizeIterator<Item = u32>, to: &mut [u8]) {
    to.fill(0);
    let Some((len, places)) = to.split_first_mut() else { return };
    *len = labels.len().min(LABELS) as u8;
    for (label, place) in labels.zip(places.as_chunks_mut::<3>().0) {
        place.copy_from_slice(&label.to_be_bytes()[1..]);
    }
}

impl Labels {
    /// The labels, top first, 20 bits each.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = u32> + '_ {
        self.labels[..usize::from(self.len)].iter().copied()
    }

    fn read(octets: &[u8]) -> Self {
        let mut labels = Self::default();
        let Some((len, places)) = octets.split_first() else { return labels };
        labels.len = (*len).min(LABELS as u8);
        let places = places.as_chunks::<3>().0.iter().take(labels.len.into());
        for (label, place) in labels.labels.iter_mut().zip(places) {
            *label = number(place) as u32;
        }
        labels
    }

    fn parse(text: &str) -> Option<Self> {
        let mut labels = Self::default();
        for word in text.split('_').filter(|word| !word.is_empty()) {
            let label = word.parse().ok().filter(|label| *label < 1 << 20)?;
            *labels.labels.get_mut(usize::from(labels.len))? = label;
            labels.len += 1;
        }
        Some(labels)
    }
}

/// The greatest number of so many octets.
const fn greatest(octets: u8) -> u64 {
    if octets == 0 { 0 } else { u64::MAX >> (64 - 8 * octets as u32) }
}

fn hexadecimal(text: &str) -> &str {
    text.strip_prefix("0x").unwrap_or(text)
}

fn from_micros(micros: i64) -> Timestamp {
    Timestamp::from_nanos(micros.saturating_mul(1_000))
}

fn number(octets: &[u8]) -> u64 {
    octets.iter().fold(0, |n, octet| n << 8 | u64::from(*octet))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(kind: Kind, text: &str) -> Value<'_> {
        let value = kind.parse(text).unwrap();
        let mut octets = vec![0xaa; kind.width()];
        kind.write(value, &mut octets);
        assert_eq!(kind.value(&octets), value);
        value
    }

    #[test]
    fn each_kind_survives_its_octets() {
        round_trip(Kind::Ip, "10.0.0.1");
        round_trip(Kind::Ip, "0.0.0.0");
        round_trip(Kind::Ip, "2001:db8::1");
        round_trip(Kind::Ip, "::ffff:10.0.0.1");
        round_trip(Kind::Mac, "02:00:00:00:00:0a");
        round_trip(Kind::Number(2), "65535");
        round_trip(Kind::Number(8), "18446744073709551615");
        assert_eq!(round_trip(Kind::EtherType, "86dd"), Value::EtherType(0x86dd));
        assert_eq!(round_trip(Kind::Protocol, "tcp"), Value::Protocol(6));
        round_trip(Kind::Time, "2023-11-14T22:13:20.100000");
        round_trip(Kind::Time, "1969-12-31T00:00:00");
        assert_eq!(round_trip(Kind::Hex(2), "410"), Value::Hex(0x410));
        assert_eq!(round_trip(Kind::NumberAsText(1), "7"), Value::Number(7));
        round_trip(Kind::Text(5), "abcde");
        round_trip(Kind::Text(5), "");
        round_trip(Kind::Choice(&["u", "v"]), "v");
        round_trip(Kind::LabelStack, "1001_2002");
        round_trip(Kind::LabelStack, "0");
        round_trip(Kind::RouteDistinguisher, "0:65000:4294967295");
        round_trip(Kind::RouteDistinguisher, "1:167772161:100");
        assert_eq!(round_trip(Kind::Degrees, "-179.123456"), Value::Degrees(-179_123_456));
    }

    #[test]
    fn no_address_is_not_the_address_zero() {
        let mut none = [0xff; 17];
        Kind::Ip.write(Value::Ip(None), &mut none);
        let mut zero = [0xff; 17];
        Kind::Ip.write(Value::Ip(Some([0, 0, 0, 0].into())), &mut zero);
        assert_ne!(none, zero);
        assert_eq!(Kind::Ip.value(&none), Value::Ip(None));
    }

    #[test]
    fn an_ipv4_address_is_not_its_mapped_ipv6_address() {
        let (mut v4, mut v6) = ([0; 17], [0; 17]);
        Kind::Ip.write(Kind::Ip.parse("10.0.0.1").unwrap(), &mut v4);
        Kind::Ip.write(Kind::Ip.parse("::ffff:10.0.0.1").unwrap(), &mut v6);
        assert_ne!(v4, v6);
    }

    #[test]
    fn every_kind_has_an_empty_value() {
        assert_eq!(Kind::Text(0).zero(), Value::Text(b""));
        assert_eq!(Kind::Raw(4).zero(), Value::Raw(b""));
        assert_eq!(Kind::Choice(&["u"]).zero(), Value::Word("u"));
        assert_eq!(Kind::LabelStack.zero(), Value::Labels(Labels::default()));
        assert_eq!(Kind::Text(255).zero(), Value::Text(b""));
    }

    #[test]
    fn as_many_labels_as_are_decoded_fit() {
        let all = vec!["1048575"; LABELS].join("_");
        round_trip(Kind::LabelStack, &all);
        assert!(Kind::LabelStack.parse(&(all + "_1")).is_err());
        assert!(Kind::LabelStack.parse("1048576").is_err());
    }

    #[test]
    fn bad_values_say_what_was_expected() {
        let error = |kind: Kind, text| kind.parse(text).unwrap_err().to_string();
        assert_eq!(error(Kind::Ip, "10.0.0"), "Invalid IP address: '10.0.0'");
        assert_eq!(error(Kind::Number(2), "70000"), "Invalid number: '70000' (expected 0 to 65535)");
        assert_eq!(error(Kind::Protocol, "foo"), "invalid protocol: 'foo'");
    }
}
