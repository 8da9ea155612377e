//! `-c` and the data of `-N` and `-M`: which entries are meant.

use std::fs;
use std::io;

use rpmacct_primitives::{Kind, ParseValueError, Primitive, Role, Value, primitive, words};
use rpmacct_query::{MAX_QUERIES, Octets, Selection};

use crate::error::ClientError;

/// How values are read.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Reading {
    /// Protocols are numbers only.
    pub(crate) numeric: bool,
    /// As the peer reads them: values that are missing are zero, those that are too many are ignored, and numbers
    /// are what C's `atoi` makes of them.
    pub(crate) classic: bool,
}

/// Reads the list of primitives and the queries.
pub(crate) fn selection(list: &str, data: &str, reading: Reading) -> Result<Selection, ClientError> {
    let primitives = list.split(',').map(row_of).collect::<Result<Vec<_>, _>>()?;
    let file;
    let lines: Vec<&str> = match data.strip_prefix("file:") {
        Some(path) => {
            file = read(path)?;
            file.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('!')).collect()
        }
        None => data.split(';').map(str::trim).filter(|query| !query.is_empty()).collect(),
    };
    if lines.len() > MAX_QUERIES {
        return Err(ClientError::TooManyQueries(lines.len()));
    }
    let queries = lines.iter().map(|line| query(&primitives, line, reading)).collect::<Result<_, _>>()?;
    Ok(Selection { primitives: primitives.iter().map(|row| row.word.to_owned()).collect(), queries })
}

/// The primitive of a word. Those that are no part of a key can't be looked for.
fn row_of(word: &str) -> Result<&'static Primitive, ClientError> {
    let word = word.trim().to_lowercase();
    let row = primitive(&word).filter(|row| is_in_keys(row));
    row.ok_or_else(|| ClientError::UnknownPrimitive { nearest: nearest(&word), word })
}

fn is_in_keys(row: &Primitive) -> bool {
    matches!(row.role, Role::Key(_) | Role::Sum(..) | Role::Unfilled(_))
}

/// The word that was perhaps meant.
fn nearest(word: &str) -> Option<&'static str> {
    words()
        .filter(|candidate| primitive(candidate).is_some_and(is_in_keys))
        .map(|candidate| (strsim::osa_distance(candidate, word), candidate))
        .filter(|(distance, candidate)| *distance <= candidate.len() / 3)
        .min()
        .map(|(_, candidate)| candidate)
}

fn read(path: &str) -> Result<String, ClientError> {
    fs::read_to_string(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => ClientError::FileNotFound(path.to_owned()),
        _ => ClientError::FileNotRead(path.to_owned(), error),
    })
}

/// One query: a value for each primitive.
fn query(
    primitives: &[&'static Primitive],
    text: &str,
    reading: Reading,
) -> Result<Vec<Option<Octets>>, ClientError> {
    let mut values: Vec<&str> = text.split(',').map(str::trim).collect();
    if reading.classic {
        values.resize(primitives.len(), "");
    }
    if values.len() != primitives.len() {
        let (query, values, primitives) = (text.to_owned(), values.len(), primitives.len());
        return Err(ClientError::WrongNumberOfValues { query, values, primitives });
    }
    let pairs = primitives.iter().zip(values);
    pairs
        .map(|(row, text)| if text == "*" { Ok(None) } else { octets(row, text, reading).map(Some) })
        .collect()
}

/// A value as it stands in keys.
fn octets(row: &'static Primitive, text: &str, reading: Reading) -> Result<Octets, ClientError> {
    if reading.classic && text.is_empty() {
        return Ok(Octets(vec![0; row.kind.width()]));
    }
    let value = match row.kind {
        Kind::Number(width) if reading.classic => Ok(Value::Number(atoi(text, width))),
        Kind::Protocol if reading.numeric => {
            text.parse().map(Value::Protocol).map_err(|_| ParseValueError::Protocol(text.to_owned()))
        }
        kind => kind.parse(text),
    };
    let value = value.map_err(|error| match error {
        ParseValueError::Protocol(_) => ClientError::BadProtocol(error),
        _ => ClientError::BadValue { word: row.word, error },
    })?;
    let mut octets = vec![0; row.kind.width()];
    row.kind.write(value, &mut octets);
    Ok(Octets(octets))
}

/// The number that a text begins with, cut to `width` octets.
fn atoi(text: &str, width: u8) -> u64 {
    let digits = text.find(|c: char| !c.is_ascii_digit()).map_or(text, |end| &text[..end]);
    let number =
        digits.bytes().fold(0u64, |n, digit| n.wrapping_mul(10).wrapping_add(u64::from(digit - b'0')));
    number & (u64::MAX >> (64 - 8 * u32::from(width)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strictly(list: &str, data: &str) -> Result<Selection, ClientError> {
        selection(list, data, Reading::default())
    }

    #[test]
    fn queries_and_their_values() {
        let chosen = strictly("src_host, PROTO", "10.0.0.1,tcp; *,6 ;").unwrap();
        assert_eq!(chosen.primitives, ["src_host", "proto"]);
        let mut ip = vec![4, 10, 0, 0, 1];
        ip.resize(17, 0);
        let tcp = Some(Octets(vec![6]));
        assert_eq!(chosen.queries, [vec![Some(Octets(ip)), tcp.clone()], vec![None, tcp]]);
    }

    #[test]
    fn addresses_and_times_hold_colons() {
        for (word, value) in [
            ("dst_host", "2001:db8::1"),
            ("src_mac", "02:00:00:00:00:0a"),
            ("timestamp_start", "2023-11-14T22:13:20.1"),
        ] {
            assert!(strictly(word, value).is_ok(), "{word}");
        }
    }

    #[test]
    fn queries_from_a_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("q.txt");
        fs::write(&path, "! hosts\n10.0.0.1\n\n  10.0.0.2\n").unwrap();
        let data = format!("file:{}", path.display());
        assert_eq!(strictly("src_host", &data).unwrap().queries.len(), 2);
    }

    #[test]
    fn what_can_not_be_looked_for() {
        let error = |list, data: &str| strictly(list, data).unwrap_err().to_string();
        assert_eq!(error("src_host,proto", "10.0.0.1"), "'10.0.0.1' has 1 values for 2 primitives");
        assert!(strictly("src_host", "").unwrap().queries.is_empty());
        assert_eq!(error("none", "1"), "unknown primitive 'none'");
        assert_eq!(error("proto", &"6;".repeat(5000)), "5000 queries, at most 4096 at once");
    }

    #[test]
    fn the_peer_takes_whatever_comes() {
        let classic = Reading { classic: true, numeric: false };
        let values = |list: &str, data: &str| selection(list, data, classic).unwrap().queries.remove(0);
        let number = |n: u16| Some(Octets(n.to_be_bytes().to_vec()));
        for (text, expected) in [("80", 80), ("80abc", 80), ("abc", 0), ("65616", 80), ("", 0)] {
            assert_eq!(values("proto,dst_port", &format!("tcp,{text}"))[1], number(expected), "{text}");
        }
        assert_eq!(values("proto,dst_port", "tcp")[1], number(0));
        assert_eq!(values("dst_port", "80,tcp"), [number(80)]);
        assert!(selection("src_host", "nonsense", classic).is_err());
    }

    #[test]
    fn every_primitive_of_a_key_can_be_looked_for() {
        for word in words().filter(|word| primitive(word).is_some_and(is_in_keys)) {
            assert!(strictly(word, "*").is_ok(), "{word}");
        }
    }
}
