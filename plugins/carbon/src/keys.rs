//! Keys and their numbers: what else is known of a flow is found by its number.

use std::hash::BuildHasher;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// Numbers for keys of one length. A number is a key's own until it is removed, and then another's.
#[derive(Debug)]
pub(crate) struct Keys {
    key_len: usize,
    /// The key with number n begins at n times `key_len`.
    octets: Vec<u8>,
    index: HashTable<u32>,
    hasher: RandomState,
    free: Vec<u32>,
    /// The next number that was never given.
    next: u32,
    /// How many there may be.
    limit: usize,
}

impl Keys {
    /// The number that no key has: it stands for all flows outside the budget.
    pub(crate) const OTHER: u32 = 0;

    pub(crate) fn new(key_len: usize, limit: usize) -> Self {
        Self {
            key_len,
            octets: vec![0; key_len],
            index: HashTable::new(),
            hasher: RandomState::default(),
            free: Vec::new(),
            next: Self::OTHER + 1,
            limit,
        }
    }

    /// The number of a key, which is given one if it has none: [`Self::OTHER`] when there are too many.
    #[inline]
    pub(crate) fn number(&mut self, key: &[u8]) -> u32 {
        let hash = self.hasher.hash_one(key);
        let (octets, key_len) = (&self.octets, self.key_len);
        let found = self.index.find(hash, |number| slice(octets, key_len, *number) == key);
        match found {
            Some(number) => *number,
            None => self.insert(hash, key),
        }
    }

    /// The key of a number that is given.
    pub(crate) fn key(&self, number: u32) -> &[u8] {
        slice(&self.octets, self.key_len, number)
    }

    /// Takes a number back from its key.
    pub(crate) fn remove(&mut self, number: u32) {
        let hash = self.hasher.hash_one(self.key(number));
        if let Ok(entry) = self.index.find_entry(hash, |other| *other == number) {
            entry.remove();
            self.free.push(number);
        }
    }

    fn insert(&mut self, hash: u64, key: &[u8]) -> u32 {
        if self.index.len() >= self.limit {
            return Self::OTHER;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.next += 1;
            self.octets.resize(self.next as usize * self.key_len, 0);
            self.next - 1
        });
        let at = number as usize * self.key_len;
        self.octets[at..at + self.key_len].copy_from_slice(key);
        let (octets, key_len, hasher) = (&self.octets, self.key_len, &self.hasher);
        self.index.insert_unique(hash, number, |number| hasher.hash_one(slice(octets, key_len, *number)));
        number
    }
}

#[inline]
fn slice(octets: &[u8], key_len: usize, number: u32) -> &[u8] {
    &octets[number as usize * key_len..][..key_len]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_numbers_until_they_are_removed() {
        let mut keys = Keys::new(2, 2);
        let (a, b) = (keys.number(b"aa"), keys.number(b"bb"));
        assert_eq!((a, b, keys.number(b"aa")), (1, 2, 1));
        assert_eq!(keys.number(b"cc"), Keys::OTHER);
        keys.remove(a);
        assert_eq!(keys.number(b"cc"), a);
        assert_eq!((keys.key(a), keys.key(b)), (&b"cc"[..], &b"bb"[..]));
        assert_eq!(keys.number(b"aa"), Keys::OTHER);
    }

    #[test]
    fn a_key_may_have_no_octets() {
        let mut keys = Keys::new(0, 10);
        assert_eq!((keys.number(b""), keys.number(b"")), (1, 1));
    }
}
