//! Frames: what a stream is cut into.
//!
//! ```text
//! ┌──────────────┬──────┬─────────────── … ──┐
//! │ length  u32  │ kind │ payload            │   big-endian; the length is the payload's
//! └──────────────┴──────┴─────────────── … ──┘
//! ```

use std::io::{Read, Write};

use crate::error::QueryError;

/// The longest payload of any frame, in bytes. A request with 4096 queries for a five-tuple takes 400 KB.
pub const MAX_FRAME: usize = 1 << 20;

/// What a length may claim before anything has come, in bytes: as much as a frame of rows has.
const TRUSTED: usize = 64 * 1024;

/// Bytes before the payload.
pub(crate) const HEADER: usize = 5;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FrameKind {
    /// Magic, version of the protocol, version of the program. The first frame of each side.
    Hello,
    /// What the client asks, in JSON.
    Request,
    /// What the plugin answers, in JSON. Rows may follow.
    Answer,
    /// Packed rows.
    Rows,
    /// The number of rows: the answer is complete.
    End,
    /// A sentence: why there is no answer.
    Refusal,
}

impl FrameKind {
    const CODES: [(Self, u8); 6] = [
        (Self::Hello, b'H'),
        (Self::Request, b'Q'),
        (Self::Answer, b'A'),
        (Self::Rows, b'R'),
        (Self::End, b'E'),
        (Self::Refusal, b'X'),
    ];

    fn of_code(code: u8) -> Option<Self> {
        Self::CODES.iter().find(|(_, c)| *c == code).map(|&(kind, _)| kind)
    }

    fn code(self) -> u8 {
        Self::CODES.iter().find(|(kind, _)| *kind == self).map_or(0, |&(_, code)| code)
    }
}

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What it holds.
    pub kind: FrameKind,
    /// The payload.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Reads a frame whose payload has at most `max` bytes.
    ///
    /// Beyond 64 KiB memory grows with what has come, not with what the length claims.
    pub fn read(input: &mut impl Read, max: usize) -> Result<Self, QueryError> {
        let doing = "reading a frame";
        let mut header = [0; HEADER];
        input.read_exact(&mut header).map_err(QueryError::io(doing))?;
        let [a, b, c, d, code] = header;
        let len = u32::from_be_bytes([a, b, c, d]) as usize;
        let kind = FrameKind::of_code(code).ok_or(QueryError::NotOurs)?;
        if len > max {
            return Err(QueryError::TooLong { len, max });
        }
        let mut payload = Vec::with_capacity(len.min(TRUSTED));
        input.take(len as u64).read_to_end(&mut payload).map_err(QueryError::io(doing))?;
        if payload.len() == len { Ok(Self { kind, payload }) } else { Err(QueryError::Cut) }
    }

    /// Writes a frame in one piece.
    pub fn write(out: &mut impl Write, kind: FrameKind, payload: &[u8]) -> Result<(), QueryError> {
        let mut bytes = Vec::with_capacity(HEADER + payload.len());
        bytes.extend_from_slice(&header(kind, payload.len())?);
        bytes.extend_from_slice(payload);
        out.write_all(&bytes).map_err(QueryError::io("writing a frame"))
    }
}

/// The bytes before a payload of `len` bytes.
pub(crate) fn header(kind: FrameKind, len: usize) -> Result<[u8; HEADER], QueryError> {
    if len > MAX_FRAME {
        return Err(QueryError::TooLong { len, max: MAX_FRAME });
    }
    let [a, b, c, d] = (len as u32).to_be_bytes();
    Ok([a, b, c, d, kind.code()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_in_bytes() {
        let mut bytes = Vec::new();
        Frame::write(&mut bytes, FrameKind::Refusal, b"no").unwrap();
        assert_eq!(bytes, b"\0\0\0\x02Xno");
    }

    #[test]
    fn a_length_that_is_only_claimed_takes_no_memory() {
        let claimed = [0x7f, 0xff, 0xff, 0xff, b'Q'];
        assert!(matches!(Frame::read(&mut &claimed[..], MAX_FRAME), Err(QueryError::TooLong { .. })));
        let cut = [0, 0x0f, 0xff, 0xff, b'Q', 1, 2, 3];
        assert!(matches!(Frame::read(&mut &cut[..], MAX_FRAME), Err(QueryError::Cut)));
    }

    #[test]
    fn what_is_too_long_is_not_sent() {
        let payload = vec![0; MAX_FRAME + 1];
        assert!(matches!(
            Frame::write(&mut std::io::sink(), FrameKind::Request, &payload),
            Err(QueryError::TooLong { .. })
        ));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_frame_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Frame::read(&mut &bytes[..], 32);
        }

        #[test]
        fn frames_survive_the_way(payload in prop::collection::vec(any::<u8>(), 0..200), code in 0usize..6) {
            let kind = FrameKind::CODES[code].0;
            let mut bytes = Vec::new();
            Frame::write(&mut bytes, kind, &payload).unwrap();
            let mut input = &bytes[..];
            prop_assert_eq!(Frame::read(&mut input, MAX_FRAME).unwrap(), Frame { kind, payload });
            prop_assert!(input.is_empty());
        }
    }
}
