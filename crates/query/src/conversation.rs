//! One question and its answer, from both sides.

use std::io::{self, Read, Write};

use rpmacct_primitives::Counters;

use crate::answer::{Answer, Envelope};
use crate::error::QueryError;
use crate::frame::{Frame, FrameKind, HEADER, MAX_FRAME, header};
use crate::hello::Hello;
use crate::request::Request;
use crate::rows::{PackedRows, pack, row_len};

/// Bytes of rows that go into a frame.
const ROWS_FRAME: usize = 64 * 1024;

// The plugin's side.

/// Says who the plugin is, before anything is read.
pub fn greet(stream: &mut impl Write) -> Result<(), QueryError> {
    Hello::ours().write(stream)
}

/// Reads what the client asks.
pub fn listen(stream: &mut impl Read) -> Result<Request, QueryError> {
    Hello::expect(stream)?;
    let frame = Frame::read(stream, MAX_FRAME)?;
    if frame.kind == FrameKind::Request { Request::of_json(&frame.payload) } else { Err(QueryError::NotOurs) }
}

/// Says why there is no answer.
pub fn refuse(stream: &mut impl Write, why: &str) -> Result<(), QueryError> {
    Frame::write(stream, FrameKind::Refusal, why.as_bytes())
}

/// Writes an answer: what it is, its rows, the end.
///
/// An answer that is dropped before [`Self::end`] is seen as cut by the client.
#[derive(Debug)]
pub struct AnswerWriter<W> {
    out: W,
    /// Room for the frame's header, then rows.
    frame: Vec<u8>,
    rows: u64,
}

impl<W: Write> AnswerWriter<W> {
    /// Begins an answer. `complete` says that it is about everything that was captured before it was asked.
    pub fn new(mut out: W, answer: &Answer, complete: bool) -> Result<Self, QueryError> {
        Frame::write(&mut out, FrameKind::Answer, &Envelope { complete, answer }.to_json()?)?;
        Ok(Self { out, frame: vec![0; HEADER], rows: 0 })
    }

    /// Appends a row. The key must be as long as the table's shape says.
    pub fn row(&mut self, key: &[u8], counters: &Counters) -> Result<(), QueryError> {
        if self.frame.len() + row_len(key.len()) > ROWS_FRAME {
            self.flush()?;
        }
        pack(key, counters, &mut self.frame);
        self.rows += 1;
        Ok(())
    }

    /// The answer is complete.
    pub fn end(mut self) -> Result<(), QueryError> {
        self.flush()?;
        Frame::write(&mut self.out, FrameKind::End, &self.rows.to_be_bytes())
    }

    fn flush(&mut self) -> Result<(), QueryError> {
        if self.frame.len() > HEADER {
            let header = header(FrameKind::Rows, self.frame.len() - HEADER)?;
            self.frame[..HEADER].copy_from_slice(&header);
            self.out.write_all(&self.frame).map_err(QueryError::io("writing rows"))?;
            self.frame.truncate(HEADER);
        }
        Ok(())
    }
}

// The client's side.

/// Asks, and reads the answer up to its rows.
pub fn ask<S: Read + Write>(mut stream: S, request: &Request) -> Result<Reply<S>, QueryError> {
    let question = question(request)?;
    Hello::expect(&mut stream)?;
    match stream.write_all(&question) {
        // A plugin that has refused may have closed already: its reason is there to be read.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {}
        sent => sent.map_err(QueryError::io("sending the request"))?,
    }
    let frame = Frame::read(&mut stream, MAX_FRAME)?;
    match frame.kind {
        FrameKind::Answer => {
            let Envelope { complete, answer } = Envelope::of_json(&frame.payload)?;
            let key_len =
                if let Answer::Table(shape, _) = &answer { Some(shape.schema()?.key_len()) } else { None };
            Ok(Reply { answer, complete, rows: RowStream { stream, key_len, rows: 0, ended: false } })
        }
        FrameKind::Refusal => Err(refusal(&frame)),
        _ => Err(QueryError::NotOurs),
    }
}

/// The plugin's words, without what would move a terminal.
fn refusal(frame: &Frame) -> QueryError {
    let text = String::from_utf8_lossy(&frame.payload);
    QueryError::Refused(text.chars().filter(|c| !c.is_control()).collect())
}

/// Hello and request in one piece.
fn question(request: &Request) -> Result<Vec<u8>, QueryError> {
    let mut question = Vec::new();
    Hello::ours().write(&mut question)?;
    Frame::write(&mut question, FrameKind::Request, &request.to_json()?)?;
    Ok(question)
}

/// An answer whose rows are still to be read.
#[derive(Debug)]
pub struct Reply<S> {
    /// The answer.
    pub answer: Answer,
    /// Whether it is about everything that was captured before it was asked.
    pub complete: bool,
    /// Its rows.
    pub rows: RowStream<S>,
}

/// Reads rows, frame by frame. It ends without an error only if all rows came.
#[derive(Debug)]
pub struct RowStream<S> {
    stream: S,
    /// `None` if the answer has no rows.
    key_len: Option<usize>,
    rows: u64,
    ended: bool,
}

impl<S: Read> RowStream<S> {
    fn read(&mut self) -> Result<Option<PackedRows>, QueryError> {
        let frame = Frame::read(&mut self.stream, MAX_FRAME)?;
        match (frame.kind, self.key_len) {
            (FrameKind::Rows, Some(key_len)) => {
                let rows = PackedRows::new(key_len, frame.payload)?;
                self.rows += rows.len() as u64;
                Ok(Some(rows))
            }
            (FrameKind::End, _) => {
                let rows = frame.payload.try_into().map(u64::from_be_bytes).ok();
                if rows == Some(self.rows) { Ok(None) } else { Err(QueryError::Cut) }
            }
            (FrameKind::Refusal, _) => Err(refusal(&frame)),
            _ => Err(QueryError::NotOurs),
        }
    }
}

impl<S: Read> Iterator for RowStream<S> {
    type Item = Result<PackedRows, QueryError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.ended {
            return None;
        }
        let rows = self.read();
        self.ended = !matches!(rows, Ok(Some(_)));
        rows.transpose()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::thread;

    use proptest::prelude::*;
    use rpmacct_primitives::{Schema, SchemaOptions};

    use super::*;
    use crate::answer::{Context, Shape, Sum};
    use crate::request::RowsRequest;

    fn table() -> Answer {
        let schema = Schema::parse("src_host", SchemaOptions::default()).unwrap();
        Answer::Table(Shape::of(&schema), Context::default())
    }

    /// A stream that gives what was prepared and forgets what is written.
    struct Prepared(io::Cursor<Vec<u8>>);

    impl Read for Prepared {
        fn read(&mut self, to: &mut [u8]) -> io::Result<usize> {
            self.0.read(to)
        }
    }

    impl Write for Prepared {
        fn write(&mut self, from: &[u8]) -> io::Result<usize> {
            Ok(from.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// All rows of an answer that came as these bytes.
    fn read(bytes: Vec<u8>) -> Result<usize, QueryError> {
        let reply = ask(Prepared(io::Cursor::new(bytes)), &Request::Status)?;
        reply.rows.map(|rows| rows.map(|rows| rows.len())).sum()
    }

    /// An answer of `rows` rows in bytes.
    fn answer(rows: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        greet(&mut bytes).unwrap();
        let mut writer = AnswerWriter::new(&mut bytes, &table(), true).unwrap();
        for n in 0..rows {
            let mut key = [4; 17];
            key[..8].copy_from_slice(&n.to_be_bytes());
            writer.row(&key, &Counters { packets: n, ..Counters::default() }).unwrap();
        }
        writer.end().unwrap();
        bytes
    }

    #[test]
    fn many_rows_go_in_frames_of_64_kib() {
        let bytes = answer(10_000);
        assert_eq!(read(bytes).unwrap(), 10_000);
    }

    #[test]
    fn a_cut_is_noticed_wherever_it_is() {
        let bytes = answer(3);
        assert_eq!(read(bytes.clone()).unwrap(), 3);
        for len in 0..bytes.len() {
            assert!(read(bytes[..len].to_vec()).is_err(), "{len} of {}", bytes.len());
        }
    }

    #[test]
    fn rows_that_were_left_out_are_noticed() {
        let mut bytes = Vec::new();
        greet(&mut bytes).unwrap();
        let mut writer = AnswerWriter::new(&mut bytes, &table(), true).unwrap();
        writer.rows = 1;
        writer.end().unwrap();
        assert!(matches!(read(bytes), Err(QueryError::Cut)));
    }

    #[test]
    fn a_refusal_reaches_a_client_that_could_not_even_ask() {
        let (mut plugin, client) = UnixStream::pair().unwrap();
        greet(&mut plugin).unwrap();
        refuse(&mut plugin, "too many \x1bclients\n").unwrap();
        drop(plugin);
        let error = ask(client, &Request::Status).unwrap_err();
        assert_eq!(error.to_string(), "too many clients");
    }

    #[test]
    fn an_answer_without_rows() {
        let (mut plugin, client) = UnixStream::pair().unwrap();
        let server = thread::spawn(move || {
            greet(&mut plugin).unwrap();
            let request = listen(&mut plugin).unwrap();
            let answer = Answer::Sums(vec![Sum::default()], Context::default());
            AnswerWriter::new(&mut plugin, &answer, false).unwrap().end().unwrap();
            request
        });
        let mut reply = ask(client, &Request::Ledger).unwrap();
        assert_eq!(reply.answer, Answer::Sums(vec![Sum::default()], Context::default()));
        assert!(!reply.complete);
        assert!(reply.rows.next().is_none());
        assert_eq!(server.join().unwrap(), Request::Ledger);
    }

    #[test]
    fn a_request_that_is_too_long_is_not_sent() {
        let primitives = vec!["src_host".to_owned(); 200_000];
        let selection = Some(crate::request::Selection { primitives, queries: Vec::new() });
        let request = Request::Rows(RowsRequest { selection, ..RowsRequest::default() });
        let stream = Prepared(io::Cursor::new(Vec::new()));
        assert!(matches!(ask(stream, &request), Err(QueryError::TooLong { .. })));
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_answer_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut stream = Vec::new();
            greet(&mut stream).unwrap();
            stream.extend_from_slice(&bytes);
            let _ = read(stream);
            let _ = read(bytes);
        }

        #[test]
        fn any_damage_to_an_answer_is_harmless(at in 0usize..300, byte: u8) {
            let mut bytes = answer(3);
            let at = at % bytes.len();
            bytes[at] = byte;
            let _ = read(bytes);
        }

        #[test]
        fn any_bytes_are_a_question_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
            let mut stream = Vec::new();
            Hello::ours().write(&mut stream).unwrap();
            stream.extend_from_slice(&bytes);
            let _ = listen(&mut &stream[..]);
        }
    }
}
