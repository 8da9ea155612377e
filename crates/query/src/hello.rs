//! The first frame of each side. Its layout is the same in all versions, so that they can name each other.
//!
//! ```text
//! "rpmacct\n" │ version of the protocol u16 │ version of the program, text
//! ```

use std::io::{Read, Write};

use crate::error::QueryError;
use crate::frame::{Frame, FrameKind};

/// The version of the protocol. It changes with every change of requests, answers or rows.
pub const VERSION: u16 = 3;

const MAGIC: &[u8; 8] = b"rpmacct\n";
const MAX_HELLO: usize = 64;

/// Who is speaking.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hello {
    /// The version of its protocol.
    pub version: u16,
    /// Its own version, for people.
    pub program: String,
}

impl Hello {
    /// This side.
    pub fn ours() -> Self {
        Self { version: VERSION, program: env!("CARGO_PKG_VERSION").to_owned() }
    }

    /// Writes the frame.
    pub fn write(&self, out: &mut impl Write) -> Result<(), QueryError> {
        let payload = [MAGIC.as_slice(), &self.version.to_be_bytes(), self.program.as_bytes()].concat();
        Frame::write(out, FrameKind::Hello, &payload)
    }

    /// Reads the frame of the other side, which must be of the same version.
    pub fn expect(input: &mut impl Read) -> Result<Self, QueryError> {
        let hello = Self::read(input)?;
        if hello.version == VERSION {
            Ok(hello)
        } else {
            Err(QueryError::Version { version: hello.version, program: hello.program })
        }
    }

    fn read(input: &mut impl Read) -> Result<Self, QueryError> {
        let frame = match Frame::read(input, MAX_HELLO) {
            Err(QueryError::TooLong { .. } | QueryError::Cut) => return Err(QueryError::NotOurs),
            other => other?,
        };
        let body = frame.payload.strip_prefix(MAGIC).filter(|_| frame.kind == FrameKind::Hello);
        let (version, program) = body.and_then(<[u8]>::split_first_chunk::<2>).ok_or(QueryError::NotOurs)?;
        // It may end up on a terminal.
        let is_text = |c: &char| c.is_ascii_graphic() || *c == ' ';
        let program = String::from_utf8_lossy(program).chars().filter(is_text).collect();
        Ok(Self { version: u16::from_be_bytes(*version), program })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn another_version_is_named() {
        let mut bytes = Vec::new();
        Hello { version: 7, program: "9.9\x1b".to_owned() }.write(&mut bytes).unwrap();
        let error = Hello::expect(&mut &bytes[..]).unwrap_err().to_string();
        assert!(error.starts_with("the other side (9.9) speaks version 7"), "{error}");
    }

    #[test]
    fn another_protocol_is_not_ours() {
        for bytes in [b"".as_slice(), b"HTTP/1.1 400 Bad Request\r\n", b"\0\0\0\x02Hno", b"\0\0\0\0Q"] {
            assert!(matches!(Hello::expect(&mut &bytes[..]), Err(QueryError::NotOurs)), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_hello_or_an_error(mut bytes in prop::collection::vec(any::<u8>(), 5..64)) {
            let len = bytes.len() - 5;
            bytes[..5].copy_from_slice(&[0, 0, 0, len as u8, b'H']);
            let _ = Hello::read(&mut &bytes[..]);
            bytes.splice(5..5, *MAGIC);
            bytes[3] += MAGIC.len() as u8;
            let _ = Hello::read(&mut &bytes[..]);
        }
    }
}
