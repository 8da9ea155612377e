//! Words: what records and tables are made of, because a processor reads and compares them at once.
#![allow(clippy::inline_always, reason = "it is a handful of instructions, less than a call")]

use std::ops::{Deref, DerefMut};

/// Eight octets. A number in them is in the machine's byte order.
pub type Word = [u8; 8];

/// The number in a word.
#[inline]
pub const fn number(word: Word) -> u64 {
    u64::from_ne_bytes(word)
}

/// The word of a number.
#[inline]
pub const fn word(number: u64) -> Word {
    number.to_ne_bytes()
}

/// Whether two runs of words of the same length are equal. Without a branch for each word, and without a call:
/// these are few words.
#[inline(always)]
pub fn are_equal(a: &[Word], b: &[Word]) -> bool {
    a.iter().zip(b).fold(0, |differing, (a, b)| differing | number(*a) ^ number(*b)) == 0
}

/// Octets of a cache line.
const LINE: usize = 64;

/// A fixed number of words, the first of which lies at the start of a cache line: what is 64 octets long and
/// lies at a multiple of 64 octets is fetched at once. In memory that is not aligned, it takes two lines.
#[derive(Debug, Default)]
pub struct Words {
    /// Up to seven words more than are shown.
    memory: Box<[Word]>,
    /// Where the first line begins. Invariant: `start + len` is at most `memory.len()`.
    start: usize,
    len: usize,
}

impl Words {
    /// So many words, all zero.
    pub fn zeros(len: usize) -> Self {
        let memory = vec![[0; 8]; len + LINE / size_of::<Word>() - 1].into_boxed_slice();
        // An offset that cannot be computed costs time, nothing else.
        let start = memory.as_ptr().align_offset(LINE).min(memory.len() - len);
        Self { memory, start, len }
    }
}

impl Deref for Words {
    type Target = [Word];

    #[inline]
    fn deref(&self) -> &[Word] {
        &self.memory[self.start..self.start + self.len]
    }
}

impl DerefMut for Words {
    #[inline]
    fn deref_mut(&mut self) -> &mut [Word] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

impl Clone for Words {
    fn clone(&self) -> Self {
        let mut copy = Self::zeros(self.len);
        copy.copy_from_slice(self);
        copy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_begin_with_a_line_and_copies_do_too() {
        for len in [0, 1, 8, 1000] {
            let mut words = Words::zeros(len);
            words.fill([7; 8]);
            let copy = words.clone();
            assert_eq!((words.len(), &*copy), (len, &*words));
            assert!(words.as_ptr().addr().is_multiple_of(LINE) && copy.as_ptr().addr().is_multiple_of(LINE));
        }
    }
}
