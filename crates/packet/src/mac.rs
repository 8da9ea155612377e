//! Link-layer addresses.

use std::fmt;
use std::str::FromStr;

/// An IEEE 802 address, written `02:00:00:00:00:0a`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct MacAddr(pub [u8; 6]);

impl MacAddr {
    /// The octets in the order of the wire.
    #[inline]
    pub const fn octets(self) -> [u8; 6] {
        self.0
    }
}

impl fmt::Display for MacAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, octet) in self.0.iter().enumerate() {
            write!(f, "{}{octet:02x}", if i == 0 { "" } else { ":" })?;
        }
        Ok(())
    }
}

/// A text is no link-layer address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseMacError;

impl fmt::Display for ParseMacError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected six hexadecimal octets, like 02:00:00:00:00:0a")
    }
}

impl std::error::Error for ParseMacError {}

impl FromStr for MacAddr {
    type Err = ParseMacError;

    /// Reads six groups of one or two hexadecimal digits with `:` or `-` between them.
    fn from_str(text: &str) -> Result<Self, ParseMacError> {
        let mut groups = text.split([':', '-']);
        let mut octets = [0; 6];
        for octet in &mut octets {
            let digits = groups.next().ok_or(ParseMacError)?;
            // from_str_radix would take a sign.
            if digits.len() > 2 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
                return Err(ParseMacError);
            }
            *octet = u8::from_str_radix(digits, 16).map_err(|_| ParseMacError)?;
        }
        if groups.next().is_some() { Err(ParseMacError) } else { Ok(Self(octets)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_round_trips() {
        let mac = MacAddr([0x02, 0, 0, 0, 0, 0x0a]);
        assert_eq!(mac.to_string(), "02:00:00:00:00:0a");
        for text in ["02:00:00:00:00:0a", "02-00-00-00-00-0A", "2:0:0:0:0:a"] {
            assert_eq!(text.parse(), Ok(mac), "{text}");
        }
    }

    #[test]
    fn other_text_is_refused() {
        for text in
            ["", "02:00:00:00:00", "02:00:00:00:00:0a:0b", "02:00:00:00:00:+a", "02:00:00::00:0a", "é"]
        {
            assert_eq!(text.parse::<MacAddr>(), Err(ParseMacError), "{text}");
        }
    }
}
