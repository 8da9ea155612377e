//! Primitives that users define: octets of a packet, by their place.
//!
//! A file has a line for each (`aggregate_primitives`); lines that begin with `!` or `#` are comments:
//!
//! ```text
//! name=ttl packet_ptr=l3:0x800+8 packet_ptr=l3:0x86dd+7 len=1 semantics=u_int
//! ```
//!
//! Of several places the first one counts that the packet has. Where it has none of them the value is zero.

use std::str::FromStr;
use std::sync::Arc;

use rpmacct_packet::Layer;

use crate::kind::{Kind, write_ip};
use crate::observation::Observation;
use crate::table::primitive;

/// Places that a primitive may have.
pub const MAX_POINTERS: usize = 8;

/// Octets that are kept of a value of variable length (`len=vlen`). Keys have a fixed length.
pub const VLEN: u8 = 128;

/// A primitive that a user defined.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Custom {
    /// Its name: the word in `aggregate`, the heading and the name in JSON, as it was written.
    pub name: String,
    /// How its octets are shown.
    pub semantics: Semantics,
    /// How many octets it has.
    pub len: Len,
    /// Where they are; a client does not know that.
    pub pointers: Vec<Pointer>,
}

/// How many octets a value has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Len {
    /// So many.
    Fixed(u8),
    /// As many as the packet has from there on, [`VLEN`] at most.
    Variable,
}

/// How octets are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Semantics {
    /// A number.
    UInt,
    /// A number in hexadecimal.
    Hex,
    /// An IP address.
    Ip,
    /// A link-layer address.
    Mac,
    /// A text, up to its first zero.
    Str,
    /// Octets in hexadecimal, with dashes between them.
    Raw,
}

/// A place in a packet: `layer:[protocol][+offset]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pointer {
    /// The layer.
    pub layer: Layer,
    /// The EtherType (l3) or IP protocol (l4, payload) that the layer must have.
    pub protocol: Option<u16>,
    /// Octets from the begin of the layer.
    pub offset: usize,
}

/// A custom primitive's part of a key.
#[derive(Debug, Clone)]
pub struct CustomField {
    /// The primitive.
    pub custom: Arc<Custom>,
    /// Where its octets begin in the key.
    pub offset: usize,
}

/// What is wrong with a file of primitives.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}: {written}: {expected}")]
pub struct CustomError {
    /// The line, counted from 1.
    pub line: usize,
    /// What was written there.
    pub written: String,
    /// What was expected instead.
    pub expected: String,
}

const LAYERS: &[(&str, Layer)] = &[
    ("packet", Layer::Packet),
    ("mac", Layer::Mac),
    ("vlan", Layer::Vlan),
    ("mpls", Layer::Mpls),
    ("l3", Layer::L3),
    ("l4", Layer::L4),
    ("payload", Layer::Payload),
];

const SEMANTICS: &[(&str, Semantics)] = &[
    ("u_int", Semantics::UInt),
    ("hex", Semantics::Hex),
    ("ip", Semantics::Ip),
    ("mac", Semantics::Mac),
    ("str", Semantics::Str),
    ("raw", Semantics::Raw),
];

impl Custom {
    /// Reads a file of primitives. All its errors are found.
    pub fn parse_file(text: &str) -> Result<Vec<Self>, Vec<CustomError>> {
        let (mut customs, mut errors) = (Vec::<Self>::new(), Vec::new());
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with(['!', '#']) {
                continue;
            }
            let wrong = |(written, expected)| CustomError { line: number + 1, written, expected };
            match Self::parse(line) {
                Ok(new) if customs.iter().any(|custom| custom.name.eq_ignore_ascii_case(&new.name)) => {
                    errors
                        .push(wrong((format!("name={}", new.name), "expected a name of its own".to_owned())));
                }
                Ok(new) => customs.push(new),
                Err(error) => errors.push(wrong(error)),
            }
        }
        if errors.is_empty() { Ok(customs) } else { Err(errors) }
    }

    /// Reads a line. On an error: what was written, and what was expected.
    fn parse(line: &str) -> Result<Self, (String, String)> {
        let (mut name, mut semantics, mut len) = (None, None, None);
        let mut pointers = Vec::new();
        for word in line.split_whitespace() {
            let wrong = |expected: String| (word.to_owned(), format!("expected {expected}"));
            match word.split_once('=') {
                Some(("name", text)) => name = Some(parse_name(text).map_err(wrong)?),
                Some(("packet_ptr", text)) => pointers.push(text.parse().map_err(wrong)?),
                Some(("len", text)) => len = Some(parse_len(text).map_err(wrong)?),
                Some(("semantics", text)) => {
                    semantics = Some(one_of(SEMANTICS, text).map_err(wrong)?);
                }
                // For flows that routers export.
                Some(("field_type", _)) => {}
                _ => return Err(wrong("name=, packet_ptr=, len= or semantics=, without blanks".to_owned())),
            }
        }
        let missing = |what: &str| (line.to_owned(), format!("expected {what}"));
        let name = name.ok_or_else(|| missing("name=NAME"))?;
        let len = len.ok_or_else(|| missing("len=BYTES or len=vlen"))?;
        let semantics = semantics.ok_or_else(|| missing(&format!("semantics={}", words(SEMANTICS))))?;
        match pointers.len() {
            0 => return Err(missing("packet_ptr=LAYER:[PROTOCOL][+OFFSET]")),
            1..=MAX_POINTERS => {}
            _ => return Err(missing(&format!("at most {MAX_POINTERS} packet_ptr"))),
        }
        let custom = Self { name, semantics, len, pointers };
        custom.check_len().map_err(|expected| (line.to_owned(), format!("expected {expected}")))?;
        Ok(custom)
    }

    /// Whether the length goes with the semantics. On an error: what was expected.
    fn check_len(&self) -> Result<(), &'static str> {
        let (fits, expected) = match (self.semantics, self.len) {
            (Semantics::UInt | Semantics::Hex, Len::Fixed(n)) => {
                (matches!(n, 1 | 2 | 4 | 8), "len=1, 2, 4 or 8 for a number")
            }
            (Semantics::Ip, Len::Fixed(n)) => (matches!(n, 4 | 16), "len=4 or 16 for an address"),
            (Semantics::Mac, Len::Fixed(n)) => (n == 6, "len=6 for a MAC address"),
            (Semantics::Str | Semantics::Raw, _) => return Ok(()),
            (_, Len::Variable) => (false, "a number: only str and raw may be vlen"),
        };
        if fits { Ok(()) } else { Err(expected) }
    }

    /// What its values are.
    pub fn kind(&self) -> Kind {
        let octets = self.octets();
        match self.semantics {
            Semantics::UInt => Kind::NumberAsText(octets),
            Semantics::Hex => Kind::Hex(octets),
            Semantics::Ip => Kind::Ip,
            Semantics::Mac => Kind::Mac,
            Semantics::Str => Kind::Text(octets),
            Semantics::Raw => Kind::Raw(octets),
        }
    }

    /// Octets that are read of the packet, at most.
    pub fn octets(&self) -> u8 {
        match self.len {
            Len::Fixed(n) => n,
            Len::Variable => VLEN,
        }
    }

    /// How no address is written: as one of its length.
    pub(crate) fn absent_ip(&self) -> &'static str {
        if self.octets() == 4 { "0.0.0.0" } else { "::" }
    }

    /// Characters that a value is padded to in formatted output; two blanks follow.
    pub fn width(&self) -> usize {
        let octets = usize::from(self.octets());
        let natural = match self.semantics {
            Semantics::UInt | Semantics::Hex => match octets {
                1 => 3,
                2 => 5,
                4 => 10,
                _ => 20,
            },
            Semantics::Ip => 46,
            Semantics::Mac => 18,
            Semantics::Str => octets,
            Semantics::Raw => 3 * octets - 1,
        };
        natural.max(self.name.len())
    }

    /// Reads the value of a packet into octets of its kind's width, all of which it writes.
    pub(crate) fn read(&self, o: &Observation<'_>, to: &mut [u8]) {
        let Some(octets) = self.pointers.iter().find_map(|pointer| pointer.octets(o, self)) else {
            return to.fill(0);
        };
        if self.semantics == Semantics::Ip {
            write_ip(octets, to);
        } else {
            to.fill(0);
            to[..octets.len()].copy_from_slice(octets);
        }
    }
}

impl Pointer {
    /// The octets of `custom` here. `None` if the packet has no such layer, or the capture ends before.
    fn octets<'a>(&self, o: &Observation<'a>, custom: &Custom) -> Option<&'a [u8]> {
        let packet = match self.layer {
            Layer::Packet | Layer::Mac | Layer::Vlan | Layer::Mpls => o.link,
            Layer::L3 | Layer::L4 | Layer::Payload => o.packet,
        };
        let protocol = match self.layer {
            Layer::Payload => packet.layer_protocol(Layer::L4),
            layer => packet.layer_protocol(layer),
        };
        if self.protocol.is_some() && self.protocol != protocol {
            return None;
        }
        let octets = packet.layer(self.layer)?.get(self.offset..)?;
        let wanted = usize::from(custom.octets());
        match (custom.len, custom.semantics) {
            (Len::Variable, _) | (_, Semantics::Str) => Some(&octets[..octets.len().min(wanted)]),
            _ => octets.get(..wanted),
        }
    }
}

impl FromStr for Pointer {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (layer, place) = text.split_once(':').unwrap_or((text, ""));
        let layer = one_of(LAYERS, layer)?;
        let (protocol, offset) = match place.split_once('+') {
            Some((protocol, offset)) => {
                (protocol, offset.parse().map_err(|_| "an offset in bytes behind the +".to_owned())?)
            }
            None => (place, 0),
        };
        let number = match protocol.strip_prefix("0x") {
            Some(hex) => u16::from_str_radix(hex, 16).ok(),
            None if protocol.is_empty() => Some(0),
            None => protocol.parse().ok(),
        };
        let number = number.ok_or("a protocol in decimal, or in hexadecimal with 0x")?;
        let has_protocol = matches!(layer, Layer::L3 | Layer::L4 | Layer::Payload);
        if number != 0 && !has_protocol {
            return Err("no protocol: only l3, l4 and payload have one".to_owned());
        }
        // Zero stands for any, as in the peer.
        Ok(Self { layer, protocol: Some(number).filter(|number| *number != 0), offset })
    }
}

impl Semantics {
    /// The word in the file.
    pub fn word(self) -> &'static str {
        SEMANTICS.iter().find(|(_, semantics)| *semantics == self).map_or("", |(word, _)| word)
    }
}

impl FromStr for Semantics {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        one_of(SEMANTICS, text)
    }
}

fn parse_name(text: &str) -> Result<String, String> {
    let is_word =
        !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if !is_word {
        Err("a name of letters, digits, - and _".to_owned())
    } else if primitive(&text.to_lowercase()).is_some() {
        Err("a name that is not a primitive's of rpmacctd".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

fn parse_len(text: &str) -> Result<Len, String> {
    match text {
        "vlen" => Ok(Len::Variable),
        _ => text.parse().ok().filter(|n| *n > 0).map(Len::Fixed).ok_or("1 to 255 bytes, or vlen".to_owned()),
    }
}

fn one_of<T: Copy>(table: &[(&str, T)], text: &str) -> Result<T, String> {
    let row = table.iter().find(|(word, _)| *word == text);
    row.map(|(_, value)| *value).ok_or_else(|| format!("one of {}", words(table)))
}

fn words<T>(table: &[(&str, T)]) -> String {
    table.iter().map(|(word, _)| *word).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line() {
        let customs = Custom::parse_file(
            "! comment\n\nname=ttl packet_ptr=l3:0x800+8 packet_ptr=l3:0x86dd+7 len=1 semantics=u_int\n\
             name=s packet_ptr=payload: len=vlen semantics=str\n",
        )
        .unwrap();
        let [ttl, s] = &customs[..] else { panic!("{customs:?}") };
        assert_eq!(ttl.kind(), Kind::NumberAsText(1));
        assert_eq!(ttl.pointers[1], Pointer { layer: Layer::L3, protocol: Some(0x86dd), offset: 7 });
        assert_eq!(s.pointers, [Pointer { layer: Layer::Payload, protocol: None, offset: 0 }]);
        assert_eq!((s.kind(), s.width()), (Kind::Text(VLEN), 128));
    }

    #[test]
    fn errors_name_line_and_word() {
        let error = |line: &str| {
            let errors = Custom::parse_file(&format!("# first\n{line}\n")).unwrap_err();
            assert_eq!(errors.len(), 1, "{errors:?}");
            errors[0].to_string()
        };
        let good = "name=x packet_ptr=l4:17+4 len=2 semantics=u_int";
        assert!(Custom::parse_file(good).is_ok());
        let bad = |from, to| error(&good.replace(from, to));
        assert_eq!(bad("name=x", "name=a,b"), "2: name=a,b: expected a name of letters, digits, - and _");
        assert_eq!(
            bad("name=x", "name=proto"),
            "2: name=proto: expected a name that is not a primitive's of rpmacctd"
        );
        assert_eq!(
            bad("l4", "l5"),
            "2: packet_ptr=l5:17+4: expected one of packet, mac, vlan, mpls, l3, l4, payload"
        );
        assert_eq!(
            bad("17+4", "0xzz"),
            "2: packet_ptr=l4:0xzz: expected a protocol in decimal, or in hexadecimal with 0x"
        );
        assert_eq!(bad("+4", "+x"), "2: packet_ptr=l4:17+x: expected an offset in bytes behind the +");
        assert_eq!(
            bad("l4", "mac"),
            "2: packet_ptr=mac:17+4: expected no protocol: only l3, l4 and payload have one"
        );
        assert_eq!(bad("len=2", "len=0"), "2: len=0: expected 1 to 255 bytes, or vlen");
        assert!(bad("len=2", "len=3").ends_with("expected len=1, 2, 4 or 8 for a number"));
        assert!(bad("len=2", "len=vlen").ends_with("expected a number: only str and raw may be vlen"));
        assert!(bad("semantics=u_int", "semantics=mac").ends_with("expected len=6 for a MAC address"));
        assert_eq!(bad("u_int", "int"), "2: semantics=int: expected one of u_int, hex, ip, mac, str, raw");
        assert_eq!(
            bad("len=2", "size=2"),
            "2: size=2: expected name=, packet_ptr=, len= or semantics=, without blanks"
        );
        assert!(bad("len=2", "").ends_with("expected len=BYTES or len=vlen"));
        assert!(bad("packet_ptr=l4:17+4", &"packet_ptr=l3: ".repeat(9)).ends_with("at most 8 packet_ptr"));
        assert_eq!(error(&format!("{good}\n{good}")), "3: name=x: expected a name of its own");
    }
}
