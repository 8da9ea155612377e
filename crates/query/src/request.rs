//! What a client asks.

use std::fmt::Write as _;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::QueryError;

/// The most queries that a request may have (`-N a;b;c` are three).
pub const MAX_QUERIES: usize = 4096;

/// One request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// The rows of the table, or those that match.
    Rows(RowsRequest),
    /// For each query the sum of what matches it.
    Counts(CountsRequest),
    /// Empty the table.
    Erase,
    /// How the plugin is.
    Status,
    /// The daemon's ledger.
    Ledger,
}

/// Rows are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RowsRequest {
    /// Which rows; all of them if there is none.
    pub selection: Option<Selection>,
    /// Sort, and perhaps only the first of them.
    pub top: Option<Top>,
    /// Only what was added since then.
    pub since: Option<Since>,
    /// What happens to the table in the same moment.
    pub then: Then,
}

/// Sums are wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountsRequest {
    /// What is summed, query by query.
    pub selection: Selection,
    /// Only what was added since then.
    pub since: Option<Since>,
    /// What happens to the table in the same moment.
    pub then: Then,
}

/// Which entries are meant: those that match one of the queries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// The primitives that the queries give values for.
    pub primitives: Vec<String>,
    /// For each query a value for each primitive, as it stands in a key; `None` matches everything.
    pub queries: Vec<Vec<Option<Octets>>>,
}

/// Since when increments are wanted. The answer names the moment that it was of by a new token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Since {
    /// All that is in the table.
    Start,
    /// Since this moment: nothing but a token.
    Now,
    /// Since the moment of the answer that gave this token.
    Token(String),
}

/// The order of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Top {
    /// Largest first, equal ones by their keys; `None` leaves the order of the table.
    pub by: Option<Counter>,
    /// How many; all of them if there is none.
    pub rows: Option<u64>,
}

/// A counter of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Counter {
    /// Packets.
    Packets,
    /// Bytes.
    Bytes,
    /// Flows.
    Flows,
}

/// What happens to the table in the moment of the answer: what was answered is gone, and nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Then {
    /// Nothing.
    #[default]
    Keep,
    /// What matched counts from zero again.
    Reset,
    /// The whole table is emptied.
    Erase,
}

/// A value as it stands in a key. Hexadecimal in JSON.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Octets(pub Vec<u8>);

impl Request {
    pub(crate) fn to_json(&self) -> Result<Vec<u8>, QueryError> {
        serde_json::to_vec(self).map_err(|error| QueryError::malformed("the request", &error))
    }

    pub(crate) fn of_json(json: &[u8]) -> Result<Self, QueryError> {
        serde_json::from_slice(json).map_err(|error| QueryError::malformed("the request", &error))
    }

    /// Whether it changes the table, which not everybody may.
    pub fn changes_table(&self) -> bool {
        match self {
            Self::Rows(RowsRequest { then, .. }) | Self::Counts(CountsRequest { then, .. }) => {
                *then != Then::Keep
            }
            Self::Erase => true,
            Self::Status | Self::Ledger => false,
        }
    }
}

impl Serialize for Octets {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut hex = String::with_capacity(2 * self.0.len());
        for octet in &self.0 {
            let _ = write!(hex, "{octet:02x}");
        }
        serializer.serialize_str(&hex)
    }
}

impl<'de> Deserialize<'de> for Octets {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let hex = <&str>::deserialize(deserializer)?.as_bytes();
        let digit =
            |c: u8| char::from(c).to_digit(16).ok_or_else(|| D::Error::custom("a digit is not hexadecimal"));
        if !hex.len().is_multiple_of(2) {
            return Err(D::Error::custom("half an octet"));
        }
        hex.chunks_exact(2)
            .map(|pair| Ok((digit(pair[0])? << 4 | digit(pair[1])?) as u8))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn example() -> Request {
        let octets = Octets(vec![4, 10, 0, 0, 1]);
        let selection = Selection {
            primitives: vec!["src_host".to_owned(), "proto".to_owned()],
            queries: vec![vec![Some(octets), None]],
        };
        Request::Counts(CountsRequest { selection, since: Some(Since::Now), then: Then::Reset })
    }

    #[test]
    fn a_request_in_json() {
        let json = String::from_utf8(example().to_json().unwrap()).unwrap();
        assert_eq!(
            json,
            r#"{"Counts":{"selection":{"primitives":["src_host","proto"],"queries":[["040a000001",null]]},"since":"Now","then":"Reset"}}"#
        );
        assert_eq!(Request::of_json(json.as_bytes()).unwrap(), example());
    }

    #[test]
    fn only_some_requests_change_the_table() {
        assert!(example().changes_table());
        assert!(Request::Erase.changes_table());
        assert!(!Request::Rows(RowsRequest::default()).changes_table());
        assert!(!Request::Status.changes_table());
    }

    #[test]
    fn wrong_octets_are_errors() {
        for text in ["\"0\"", "\"0g\"", "\"é\"", "7"] {
            assert!(serde_json::from_str::<Octets>(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_request_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Request::of_json(&bytes);
        }

        #[test]
        fn octets_survive_the_way(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let json = serde_json::to_string(&Octets(bytes.clone())).unwrap();
            prop_assert_eq!(serde_json::from_str::<Octets>(&json).unwrap().0, bytes);
        }
    }
}
