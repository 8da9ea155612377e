//! What client and memory plugin say to each other.
//!
//! A conversation over a Unix stream socket is one question and its answer, in length-prefixed [frames](Frame):
//!
//! ```text
//! client                              plugin
//!        ◀───────────────── hello ───
//!    ─── hello, request ─▶
//!        ◀─ answer, rows …, end ─────        or: refusal
//! ```
//!
//! Both sides name the version of the protocol first, so that another version is told in a sentence and never
//! read as garbage. Requests and answers are JSON, rows are packed octets. The end carries the number of rows:
//! an answer that was cut is always noticed.
//!
//! # Guarantees
//!
//! Whatever bytes come, nothing here panics, and no more than 64 KiB are allocated for a length that the other
//! side only claims. Both sides bring their own time-outs, as part of the stream.
//!
//! ```
//! use std::os::unix::net::UnixStream;
//! use rpmacct_primitives::{Counters, Schema, SchemaOptions};
//! use rpmacct_query::{Answer, AnswerWriter, Context, Request, RowsRequest, Shape, ask, greet, listen};
//!
//! let (mut plugin, client) = UnixStream::pair().unwrap();
//! let schema = Schema::parse("proto", SchemaOptions::default()).unwrap();
//! let shape = Shape::of(&schema);
//! let server = std::thread::spawn(move || {
//!     greet(&mut plugin).unwrap();
//!     assert_eq!(listen(&mut plugin).unwrap(), Request::Rows(RowsRequest::default()));
//!     let mut answer = AnswerWriter::new(&mut plugin, &Answer::Table(shape, Context::default()), true).unwrap();
//!     answer.row(&[6], &Counters { packets: 4, bytes: 260, flows: 0, tcp_flags: 27 }).unwrap();
//!     answer.end().unwrap();
//! });
//! let reply = ask(client, &Request::Rows(RowsRequest::default())).unwrap();
//! let Answer::Table(shape, _) = reply.answer else { panic!() };
//! assert_eq!(shape.schema().unwrap().aggregate(), "proto");
//! let rows = reply.rows.collect::<Result<Vec<_>, _>>().unwrap();
//! assert_eq!(rows[0].iter().next().unwrap().0, [6]);
//! # server.join().unwrap();
//! ```
#![forbid(unsafe_code)]

mod answer;
mod conversation;
mod error;
mod frame;
mod hello;
mod request;
mod rows;

pub use answer::{Answer, Basis, Context, Increments, Other, OwnPrimitive, Shape, Status, Sum};
pub use conversation::{AnswerWriter, Reply, RowStream, ask, greet, listen, refuse};
pub use error::QueryError;
pub use frame::{Frame, FrameKind, MAX_FRAME};
pub use hello::{Hello, VERSION};
pub use request::Request;
pub use request::{Counter, CountsRequest, MAX_QUERIES, Octets, RowsRequest, Selection, Since, Then, Top};
pub use rows::{PackedRows, row_len};
