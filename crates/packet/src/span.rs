//! Bytes of which the capture may have less than the wire had.

use crate::skip::{Reason, Skip};

/// A part of a packet: what was captured of it, and how long it was.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span<'a> {
    pub(crate) data: &'a [u8],
    /// Length on the wire, in bytes. Invariant: not less than that of `data`.
    len: u32,
}

const CUT: Skip = Skip::Undecodable(Reason::LinkCut);

impl<'a> Span<'a> {
    /// A length that is less than what was captured is taken for this.
    pub(crate) fn new(data: &'a [u8], len: u32) -> Self {
        Self { data, len: len.max(data.len() as u32) }
    }

    /// What the wire had behind the captured end, in bytes.
    pub(crate) fn behind(self) -> u32 {
        self.len - self.data.len() as u32
    }

    /// The first `N` bytes, and what follows them.
    pub(crate) fn split<const N: usize>(self) -> Result<(&'a [u8; N], Self), Skip> {
        let (header, data) = self.data.split_first_chunk().ok_or(CUT)?;
        Ok((header, Self { data, len: self.len - N as u32 }))
    }

    /// What follows the first `count` bytes.
    pub(crate) fn skip(self, count: usize) -> Result<Self, Skip> {
        let data = self.data.get(count..).ok_or(CUT)?;
        Ok(Self { data, len: self.len - count as u32 })
    }

    /// Not more than the first `len` bytes.
    pub(crate) fn upto(self, len: u32) -> Self {
        let data = self.data.get(..len as usize).unwrap_or(self.data);
        Self { data, len: self.len.min(len) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_follow() {
        let span = Span::new(&[1, 2, 3, 4, 5, 6], 10);
        assert_eq!(span.behind(), 4);
        let (header, rest) = span.split::<2>().unwrap();
        assert_eq!((header, rest.data, rest.len), (&[1, 2], &[3, 4, 5, 6][..], 8));
        let rest = rest.skip(3).unwrap();
        assert_eq!((rest.data, rest.len, rest.behind()), (&[6][..], 5, 4));
        assert_eq!(rest.skip(2).unwrap_err(), CUT);
        assert_eq!(rest.upto(3).behind(), 2);
        assert_eq!((span.upto(2).data, span.upto(2).behind()), (&[1, 2][..], 0));
        assert_eq!(Span::new(&[1, 2], 0).behind(), 0);
    }
}
