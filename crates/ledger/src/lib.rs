//! Counts that must add up: nothing disappears silently.
//!
//! A [`Tally`] is a count with one writer and any number of readers. A [`Balance`] says that a whole
//! equals the sum of its parts; the daemon's ledger is a list of balances, logged on SIGUSR1 and at exit,
//! answered to the client, and checked by the tests.
//!
//! ```
//! use rpmacct_ledger::{Balance, Tally};
//!
//! let dropped = Tally::default();
//! dropped.add(3);
//! let balance = Balance::new("eth2", "received", 10).part("kernel drops", dropped.count()).part("accounted", 7);
//! assert!(balance.holds());
//! assert_eq!(balance.to_string(), "eth2: received 10 = kernel drops 3 + accounted 7");
//! ```
#![forbid(unsafe_code)]

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

/// A count that one thread writes and any thread reads.
///
/// Adding is a load and a store, not a locked instruction, so that it may be done for every packet. Two
/// writers would lose counts: the owner of a tally is the thread that writes it.
#[derive(Debug, Default)]
pub struct Tally(AtomicU64);

impl Tally {
    /// Adds `n`. Only the owning thread may call this.
    #[inline]
    pub fn add(&self, n: u64) {
        self.set(self.count().wrapping_add(n));
    }

    /// Takes `n` away again. Only the owning thread may call this.
    #[inline]
    pub fn take(&self, n: u64) {
        self.set(self.count().wrapping_sub(n));
    }

    /// Replaces the count. Only the owning thread may call this.
    #[inline]
    pub fn set(&self, n: u64) {
        // Release, so that a reader who sees the count also sees what was counted.
        self.0.store(n, Ordering::Release);
    }

    /// The count now.
    #[inline]
    pub fn count(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

/// A whole and the parts that it must be the sum of, in packets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    /// What is accounted for: an interface, a savefile, or a plugin as `name/type`.
    pub of: String,
    /// Name of the whole and its count.
    pub whole: (String, u64),
    /// Name and count of each part.
    pub parts: Vec<(String, u64)>,
}

impl Balance {
    /// A balance that has no parts yet.
    pub fn new(of: impl Into<String>, whole: impl Into<String>, count: u64) -> Self {
        Self { of: of.into(), whole: (whole.into(), count), parts: Vec::new() }
    }

    /// The same balance with one more part.
    #[must_use]
    pub fn part(mut self, name: impl Into<String>, count: u64) -> Self {
        self.parts.push((name.into(), count));
        self
    }

    /// Whether the whole is the sum of its parts.
    pub fn holds(&self) -> bool {
        self.whole.1 == self.sum()
    }

    /// The sum of the parts.
    pub fn sum(&self) -> u64 {
        self.parts.iter().map(|(_, n)| n).sum()
    }
}

impl fmt::Display for Balance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { of, whole: (name, count), parts } = self;
        write!(f, "{of}: {name} {count} ")?;
        f.write_str(if self.holds() { "=" } else { "!=" })?;
        for (i, (name, count)) in parts.iter().enumerate() {
            write!(f, "{} {name} {count}", if i == 0 { "" } else { " +" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_balance_that_does_not_hold_says_so() {
        let balance = Balance::new("m/memory", "absorbed", 5).part("in the table", 4);
        assert!(!balance.holds());
        assert_eq!(balance.to_string(), "m/memory: absorbed 5 != in the table 4");
    }

    #[test]
    fn a_tally_counts_up_and_down() {
        let tally = Tally::default();
        tally.add(5);
        tally.take(2);
        assert_eq!(tally.count(), 3);
        tally.set(9);
        assert_eq!(tally.count(), 9);
    }
}
