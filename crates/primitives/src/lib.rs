//! THE table of aggregation primitives, and all that follows from it.
//!
//! A user names primitives (`aggregate: src_host, dst_host`). Each is one row of [`TABLE`]: its word, its
//! column heading and width, its JSON name, the kind of its value, and how it is read from a packet. The
//! configuration parser, the outputs, the client, `-a` and the tests walk that table; there is no second
//! list anywhere.
//!
//! - [`Schema`] is an `aggregate` list, compiled: which octets of a key belong to which primitive.
//! - [`Observation`] is a decoded packet with what only the core can add; a schema writes its key from it.
//! - [`Record`] is a key with its counters, as it travels through a pipe.
//! - [`Rows`] turns keys and counters into the lines that users and their scripts read.
//!
//! # Guarantees
//!
//! Keys have a fixed length for a schema and are big-endian: equality, hashing and sorting may work on the
//! octets alone. An absent value is not a zero: "no address" and 0.0.0.0 are different keys.
//!
//! ```
//! use rpmacct_primitives::{Schema, SchemaOptions};
//!
//! let schema = Schema::parse("src_host, dst_host", SchemaOptions::default()).unwrap();
//! assert_eq!(schema.key_len(), 34);
//! let error = Schema::parse("src_hst", SchemaOptions::default()).unwrap_err();
//! assert_eq!(error.to_string(), "unknown primitive 'src_hst'");
//! ```
#![forbid(unsafe_code)]

mod custom;
mod kind;
mod observation;
mod primitive;
mod protocol;
pub mod record;
mod rows;
mod schema;
mod steps;
mod table;
mod text;
mod words;

pub use custom::{Custom, CustomError, CustomField, Len, MAX_POINTERS, Pointer, Semantics, VLEN};
pub use kind::{Kind, LABELS, Labels, ParseValueError, Value};
pub use observation::Observation;
pub use primitive::{Group, Needs, Primitive, Role, Unfilled};
pub use protocol::{protocol_name, protocol_number};
pub use record::{Counters, Record, RecordLayout};
pub use rows::{Dialect, Layout, Moments, Rows, Style, StyleError};
pub use schema::{Column, End, Field, Schema, SchemaError, SchemaOptions};
pub use table::{TABLE, listed, primitive, words};
pub use text::{TimeStyle, Zone};
pub use words::{Word, Words, are_equal, number, word};
