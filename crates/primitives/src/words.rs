//! Words: what records and tables are made of, because a processor reads and compares them at once.
#![allow(clippy::inline_always, reason = "it is a handful of instructions, less than a call")]

use std::ops::{Deref, DerefMut};

use memmap2::MmapMut;

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

/// From this many octets on, memory is asked of the system directly. What is freed then goes back to it at once;
/// the allocator would keep it for later.
const LARGE: usize = 32 * 1024;

/// A fixed number of words, the first of which lies at the start of a cache line: what is 64 octets long and
/// lies at a multiple of 64 octets is fetched at once. In memory that is not aligned, it takes two lines.
#[derive(Debug)]
pub struct Words {
    memory: Memory,
    /// Where the first line begins. Invariant: `start + len` is at most the words of `memory`.
    start: usize,
    len: usize,
}

#[derive(Debug)]
enum Memory {
    /// Up to seven words more than are shown.
    Allocated(Box<[Word]>),
    /// Whole pages.
    Mapped(MmapMut),
}

impl Words {
    /// So many words, all zero.
    pub fn zeros(len: usize) -> Self {
        let octets = len * size_of::<Word>();
        // The system may allow a process only so many mappings; there is the allocator then.
        let mapped = if octets >= LARGE { MmapMut::map_anon(octets).ok() } else { None };
        if let Some(mapped) = mapped {
            return Self { memory: Memory::Mapped(mapped), start: 0, len };
        }
        let memory = vec![[0; 8]; len + LINE / size_of::<Word>() - 1].into_boxed_slice();
        // An offset that cannot be computed costs time, nothing else.
        let start = memory.as_ptr().align_offset(LINE).min(memory.len() - len);
        Self { memory: Memory::Allocated(memory), start, len }
    }
}

impl Default for Words {
    /// No words.
    fn default() -> Self {
        Self { memory: Memory::Allocated(Box::default()), start: 0, len: 0 }
    }
}

impl Deref for Words {
    type Target = [Word];

    #[inline]
    fn deref(&self) -> &[Word] {
        let memory = match &self.memory {
            Memory::Allocated(words) => words,
            Memory::Mapped(octets) => octets.as_chunks().0,
        };
        &memory[self.start..self.start + self.len]
    }
}

impl DerefMut for Words {
    #[inline]
    fn deref_mut(&mut self) -> &mut [Word] {
        let memory = match &mut self.memory {
            Memory::Allocated(words) => words,
            Memory::Mapped(octets) => octets.as_chunks_mut().0,
        };
        &mut memory[self.start..self.start + self.len]
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
        for len in [0, 1, 8, 1000, 8192] {
            let mut words = Words::zeros(len);
            words.fill([7; 8]);
            let copy = words.clone();
            assert_eq!((words.len(), &*copy), (len, &*words));
            assert!(words.as_ptr().addr().is_multiple_of(LINE) && copy.as_ptr().addr().is_multiple_of(LINE));
        }
    }
}
