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
}

/// The value of a primitive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Value {
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
}

const SIGN: u64 = 1 << 63;

impl Kind {
    /// Octets that a value takes in a key.
    pub const fn width(self) -> usize {
        match self {
            Self::Ip => 17,
            Self::Mac => 6,
            Self::Number(width) => width as usize,
            Self::EtherType => 2,
            Self::Protocol => 1,
            Self::Time => 8,
        }
    }

    /// Whether the value is a number in JSON rather than a string.
    pub const fn is_json_number(self) -> bool {
        matches!(self, Self::Number(_))
    }

    /// The value of what is not there: all octets zero.
    pub fn zero(self) -> Value {
        static ZEROS: [u8; 64] = [0; 64];
        self.value(&ZEROS[..self.width()])
    }

    /// Reads a value from its octets. `octets` must be [`Self::width`] long.
    pub fn value(self, octets: &[u8]) -> Value {
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
            Self::Number(_) => Value::Number(number(octets)),
            Self::EtherType => Value::EtherType(number(octets) as u16),
            Self::Protocol => Value::Protocol(octets[0]),
            Self::Time => Value::Time(match number(octets) {
                0 => None,
                micros => Some(from_micros((micros ^ SIGN).cast_signed())),
            }),
        }
    }

    /// Writes a value into `octets`, which must be [`Self::width`] long. A value of another kind writes
    /// zeros.
    pub fn write(self, value: Value, octets: &mut [u8]) {
        octets.fill(0);
        match (self, value) {
            (Self::Ip, Value::Ip(Some(IpAddr::V4(ip)))) => write_ip(&ip.octets(), octets),
            (Self::Ip, Value::Ip(Some(IpAddr::V6(ip)))) => write_ip(&ip.octets(), octets),
            (Self::Mac, Value::Mac(mac)) => octets.copy_from_slice(&mac.0),
            (Self::Number(width), Value::Number(n)) => {
                octets.copy_from_slice(&n.to_be_bytes()[8 - width as usize..]);
            }
            (Self::EtherType, Value::EtherType(n)) => octets.copy_from_slice(&n.to_be_bytes()),
            (Self::Protocol, Value::Protocol(n)) => octets[0] = n,
            (Self::Time, Value::Time(Some(time))) => write_time(time, octets),
            _ => {}
        }
    }

    /// Reads a value that a person wrote, such as the data of the client's `-N`.
    pub fn parse(self, text: &str) -> Result<Value, ParseValueError> {
        let owned = || text.to_owned();
        match self {
            Self::Ip => text.parse().map(|ip| Value::Ip(Some(ip))).map_err(|_| ParseValueError::Ip(owned())),
            Self::Mac => text.parse().map(Value::Mac).map_err(|_| ParseValueError::Mac(owned())),
            Self::Number(width) => {
                let max = u64::MAX >> (64 - 8 * u32::from(width));
                let parsed = text.parse().ok().filter(|n| *n <= max);
                parsed.map(Value::Number).ok_or_else(|| ParseValueError::Number(owned(), max))
            }
            Self::EtherType => {
                let digits = text.strip_prefix("0x").unwrap_or(text);
                let parsed = u16::from_str_radix(digits, 16);
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

fn from_micros(micros: i64) -> Timestamp {
    Timestamp::from_nanos(micros.saturating_mul(1_000))
}

fn number(octets: &[u8]) -> u64 {
    octets.iter().fold(0, |n, octet| n << 8 | u64::from(*octet))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(kind: Kind, text: &str) -> Value {
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
    fn bad_values_say_what_was_expected() {
        let error = |kind: Kind, text| kind.parse(text).unwrap_err().to_string();
        assert_eq!(error(Kind::Ip, "10.0.0"), "Invalid IP address: '10.0.0'");
        assert_eq!(error(Kind::Number(2), "70000"), "Invalid number: '70000' (expected 0 to 65535)");
        assert_eq!(error(Kind::Protocol, "foo"), "invalid protocol: 'foo'");
    }
}
