//! What a plugin answers.

use std::sync::Arc;

use rpmacct_ledger::Balance;
use rpmacct_primitives::{Custom, CustomField, Len, Schema, SchemaOptions};
use serde::{Deserialize, Serialize};

use crate::error::QueryError;

/// The answer to a request. After [`Self::Table`], rows follow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Answer {
    /// To [`Request::Rows`](crate::Request::Rows): what the rows are.
    Table(Shape, Context),
    /// To [`Request::Counts`](crate::Request::Counts): a sum for each query.
    Sums(Vec<Sum>, Context),
    /// To [`Request::Erase`](crate::Request::Erase).
    Erased {
        /// Packets that were in the table.
        packets: u64,
    },
    /// To [`Request::Status`](crate::Request::Status).
    Status(Status),
    /// To [`Request::Ledger`](crate::Request::Ledger).
    Ledger(Vec<Balance>),
}

/// What an answer is about, besides its rows or sums.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Context {
    /// There if the table was full and could not give every key a row of its own.
    pub other: Option<Other>,
    /// There if increments were asked for.
    pub increments: Option<Increments>,
}

/// The sum of all keys that found the table full: no packet is missing from the totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Other {
    /// Packets, of the same time as the rows.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// Flows.
    pub flows: u64,
    /// TCP flags of all of them, OR-ed.
    pub tcp_flags: u8,
    /// Whether the sum is a row of the answer: it is none where only some keys were asked for.
    pub is_row: bool,
}

/// What increments are of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Increments {
    /// Names the end of the interval; opaque.
    pub token: String,
    /// Begin of the interval, in nanoseconds since the epoch.
    pub from: i64,
    /// Its end.
    pub to: i64,
    /// Whether they are what was asked for.
    pub basis: Basis,
}

/// What an answer to a question for increments holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Basis {
    /// What was added since the moment that was named.
    Asked,
    /// The whole table: the token is of another daemon, or of the one before it was restarted.
    Restarted,
    /// The whole table: it was erased after the token was given.
    Erased,
    /// The whole table: the token is too old, and what it stood for is not kept any more.
    Forgotten,
}

/// What is needed to read the rows of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shape {
    /// The list of primitives.
    pub aggregate: String,
    /// [`SchemaOptions::whole_seconds`].
    pub whole_seconds: bool,
    /// The primitives of the user's own that the list names.
    pub customs: Vec<OwnPrimitive>,
    /// Octets of a key, by which two builds notice that they are different.
    pub key_len: usize,
}

/// A primitive that the daemon's user defined, as far as a client must know it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnPrimitive {
    /// Its name: word, heading and name in JSON.
    pub name: String,
    /// How its octets are shown, as in the file that defines it.
    pub semantics: String,
    /// How many octets it has; `None` if it varies.
    pub len: Option<u8>,
    /// Where it begins in a key.
    pub offset: usize,
}

impl OwnPrimitive {
    fn of(field: &CustomField) -> Self {
        let Custom { name, semantics, len, .. } = &*field.custom;
        let len = match len {
            Len::Fixed(n) => Some(*n),
            Len::Variable => None,
        };
        Self { name: name.clone(), semantics: semantics.word().to_owned(), len, offset: field.offset }
    }

    fn custom(&self) -> Result<Arc<Custom>, QueryError> {
        let semantics = self.semantics.parse();
        let semantics =
            semantics.map_err(|why: String| QueryError::malformed("the shape of the table", &why))?;
        let len = self.len.map_or(Len::Variable, Len::Fixed);
        Ok(Arc::new(Custom { name: self.name.clone(), semantics, len, pointers: Vec::new() }))
    }
}

impl Shape {
    /// The shape of a table that is aggregated by `schema`.
    pub fn of(schema: &Schema) -> Self {
        Self {
            aggregate: schema.aggregate(),
            whole_seconds: schema.options().whole_seconds,
            customs: schema.customs().iter().map(OwnPrimitive::of).collect(),
            key_len: schema.key_len(),
        }
    }

    /// The schema.
    pub fn schema(&self) -> Result<Schema, QueryError> {
        let options = SchemaOptions { whole_seconds: self.whole_seconds, ..SchemaOptions::default() };
        let customs = self.customs.iter().map(OwnPrimitive::custom).collect::<Result<Vec<_>, _>>()?;
        let schema = Schema::parse_with(&self.aggregate, options, &customs);
        let schema = schema.map_err(|error| QueryError::malformed("the shape of the table", &error))?;
        if schema.key_len() == self.key_len {
            Ok(schema)
        } else {
            let why = format!(
                "keys of '{}' have {} octets here and {} there",
                self.aggregate,
                schema.key_len(),
                self.key_len
            );
            Err(QueryError::malformed("the shape of the table", &why))
        }
    }
}

/// The sum of all entries that match a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Sum {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
    /// Flows.
    pub flows: u64,
    /// How many entries matched.
    pub entries: u64,
}

/// How the plugin is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// The plugin's name.
    pub name: String,
    /// The daemon's version.
    pub version: String,
    /// What the table is aggregated by.
    pub aggregate: String,
    /// Entries of the table, those that were reset included.
    pub entries: u64,
    /// Packets that are in the table.
    pub packets: u64,
    /// Bytes of memory that the table takes.
    pub memory: u64,
    /// The buckets that the configuration asks for, for `-t`.
    pub buckets: u64,
    /// The primitives of the user's own, for `-U`.
    pub customs: Vec<OwnPrimitive>,
    /// Seconds since the table was last erased; `None` if it never was.
    pub erased_before: Option<u64>,
}

/// The frame of an answer: with it goes whether it is about everything that was captured before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Envelope<A> {
    pub(crate) complete: bool,
    pub(crate) answer: A,
}

impl Envelope<&Answer> {
    pub(crate) fn to_json(&self) -> Result<Vec<u8>, QueryError> {
        serde_json::to_vec(self).map_err(|error| QueryError::malformed("the answer", &error))
    }
}

impl Envelope<Answer> {
    pub(crate) fn of_json(json: &[u8]) -> Result<Self, QueryError> {
        serde_json::from_slice(json).map_err(|error| QueryError::malformed("the answer", &error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shape_becomes_its_schema_again() {
        let options = SchemaOptions { whole_seconds: true, ..SchemaOptions::default() };
        let schema = Schema::parse("src_host, timestamp_start, tcpflags", options).unwrap();
        let again = Shape::of(&schema).schema().unwrap();
        assert_eq!(again.aggregate(), schema.aggregate());
        assert_eq!(again.options(), options);
    }

    #[test]
    fn a_client_needs_no_file_for_the_users_own_primitives() {
        let file = "name=Ttl packet_ptr=l3:+8 len=1 semantics=u_int\nname=s packet_ptr=payload: len=vlen semantics=str";
        let customs: Vec<_> = Custom::parse_file(file).unwrap().into_iter().map(Arc::new).collect();
        let schema = Schema::parse_with("s, proto, ttl", SchemaOptions::default(), &customs).unwrap();
        let shape = Shape::of(&schema);
        assert_eq!(shape.customs[0].name, "Ttl");
        assert_eq!((shape.customs[0].offset, shape.customs[1].offset, shape.customs[1].len), (1, 2, None));
        assert_eq!(shape.schema().unwrap().aggregate(), "proto,Ttl,s");
        let martian = OwnPrimitive { semantics: "martian".to_owned(), ..shape.customs[0].clone() };
        assert!(Shape { customs: vec![martian], ..shape }.schema().is_err());
    }

    #[test]
    fn a_shape_of_another_build_is_an_error() {
        let shape = |aggregate: &str, key_len| Shape {
            aggregate: aggregate.to_owned(),
            whole_seconds: false,
            customs: Vec::new(),
            key_len,
        };
        let error = |shape: Shape| shape.schema().unwrap_err().to_string();
        assert_eq!(
            error(shape("martian", 9)),
            "the shape of the table can't be read: unknown primitive 'martian'"
        );
        assert!(error(shape("proto", 2)).ends_with("keys of 'proto' have 1 octets here and 2 there"));
    }

    fn context() -> Context {
        let other = Other { packets: 1, bytes: 60, flows: 0, tcp_flags: 2, is_row: true };
        let token = "5f0c-1-17".to_owned();
        let increments = Increments { token, from: 1, to: i64::MAX, basis: Basis::Erased };
        Context { other: Some(other), increments: Some(increments) }
    }

    #[test]
    fn answers_survive_the_way() {
        let ledger = vec![Balance::new("eth0", "accounted", u64::MAX).part("absorbed", u64::MAX)];
        for answer in [
            Answer::Sums(vec![Sum { packets: u64::MAX, ..Sum::default() }], context()),
            Answer::Erased { packets: 3 },
            Answer::Ledger(ledger),
        ] {
            let json = Envelope { complete: false, answer: &answer }.to_json().unwrap();
            assert_eq!(Envelope::of_json(&json).unwrap(), Envelope { complete: false, answer });
        }
    }
}
