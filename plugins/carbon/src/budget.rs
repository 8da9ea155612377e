//! Which flows get a series of their own. All others are summed in the series `other`, so that sums stay
//! exact.
//!
//! A series costs its carbon a file that is as large as the retention, and never goes away by itself. So what
//! is limited is how many series there ever were, not how many there are at a moment; a series that ended
//! keeps its place for [`Limits::forget`] seconds, and goes on at once when its flow comes back.

use std::cmp::Reverse;
use std::collections::HashMap;

use foldhash::fast::RandomState;

/// The limits; 0 is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Series.
    pub(crate) series: u64,
    /// New series in a minute.
    pub(crate) per_minute: u64,
    /// Series of each key. Positive.
    pub(crate) per_key: u64,
    /// Seconds after which a series that ended is forgotten.
    pub(crate) forget: i64,
    /// A flow begins a series when it has first more bytes in an interval.
    pub(crate) min_bytes: u64,
    /// A flow begins a series when it is first among so many largest ones of an interval.
    pub(crate) top: usize,
}

/// What is left of the limits.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Limits,
    /// The keys that have a series, or had one that is not forgotten: when it ended.
    known: HashMap<Box<[u8]>, Option<i64>, RandomState>,
    /// New series that may begin now, in sixtieths: so many of a minute's come in each second. There are those of
    /// a minute at most, as carbon does it.
    tokens: u64,
    /// When the tokens were counted last, in seconds since 1970.
    counted: Option<i64>,
}

/// A flow that has no series, in an interval.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Candidate<'a> {
    /// The flow's number.
    pub(crate) flow: u32,
    pub(crate) key: &'a [u8],
    /// Bytes in the interval.
    pub(crate) bytes: u64,
}

impl<'a> Candidate<'a> {
    /// The order in which flows begin their series: the largest first; where they are equal, the key decides.
    fn rank(&self) -> (Reverse<u64>, &'a [u8]) {
        (Reverse(self.bytes), self.key)
    }
}

/// Tokens that a series costs, and seconds that `per_minute` is for.
const MINUTE: u64 = 60;

/// Keys remembered where the number of series has no limit.
const MEMORY: usize = 1 << 20;

impl Budget {
    pub(crate) fn new(limits: &Limits) -> Self {
        let tokens = limits.per_minute.saturating_mul(MINUTE);
        Self { limits: *limits, known: HashMap::default(), tokens, counted: None }
    }

    /// Uses up new series for what is not a flow.
    pub(crate) fn spend(&mut self, series: u64) {
        self.tokens = self.tokens.saturating_sub(series.saturating_mul(MINUTE));
    }

    /// How many largest flows of an interval may begin a series; `None`: all of them.
    pub(crate) fn top(&self) -> Option<usize> {
        (self.limits.top > 0).then_some(self.limits.top)
    }

    /// The flows of an interval that begins at `time` which get a series, the largest first. `threshold` is
    /// what the last of the largest flows has, in bytes.
    pub(crate) fn admit(
        &mut self,
        mut candidates: Vec<Candidate<'_>>,
        threshold: u64,
        time: i64,
    ) -> Vec<u32> {
        self.refill(time);
        let mut admitted = Vec::new();
        // Those that had one go on; then the largest.
        candidates.retain(|candidate| {
            let returns = self.returns(candidate.key);
            if returns {
                admitted.push(candidate.flow);
            }
            !returns && candidate.bytes > self.limits.min_bytes && candidate.bytes >= threshold
        });
        let places = self.places(time, candidates.len());
        if places < candidates.len() && places > 0 {
            candidates.select_nth_unstable_by(places - 1, |a, b| a.rank().cmp(&b.rank()));
        }
        candidates.truncate(places);
        candidates.sort_unstable_by(|a, b| a.rank().cmp(&b.rank()));
        for candidate in &candidates {
            self.spend(self.limits.per_key);
            self.known.insert(candidate.key.into(), None);
            admitted.push(candidate.flow);
        }
        admitted
    }

    /// A series ended.
    pub(crate) fn end(&mut self, key: &[u8], time: i64) {
        if let Some(ended) = self.known.get_mut(key) {
            *ended = Some(time);
        }
    }

    /// Whether a key had a series, which goes on from now.
    fn returns(&mut self, key: &[u8]) -> bool {
        let Some(ended) = self.known.get_mut(key) else { return false };
        *ended = None;
        true
    }

    /// How many keys may begin their series now, if so many want to.
    fn places(&mut self, time: i64, wanted: usize) -> usize {
        let Limits { series, per_minute, per_key, forget, .. } = self.limits;
        // Without a limit there is nothing to remember but that a flow's series is there already.
        let (most, forget) = match series {
            0 => (MEMORY, 0),
            _ => (usize::try_from(series / per_key).unwrap_or(usize::MAX), forget),
        };
        if self.known.len() + wanted > most {
            self.known.retain(|_, ended| ended.is_none_or(|ended| ended + forget > time));
        }
        let room = if series == 0 { usize::MAX } else { most.saturating_sub(self.known.len()) };
        let keys = usize::try_from(self.tokens / (per_key * MINUTE)).unwrap_or(usize::MAX);
        wanted.min(room).min(if per_minute == 0 { usize::MAX } else { keys })
    }

    fn refill(&mut self, time: i64) {
        let Limits { per_minute, per_key, .. } = self.limits;
        let seconds = self.counted.map_or(0, |counted| (time - counted).clamp(0, MINUTE.cast_signed()));
        self.counted = Some(time);
        // Less than the series of one key would never suffice.
        let most = per_minute.max(per_key).saturating_mul(MINUTE);
        let new = per_minute.saturating_mul(seconds.unsigned_abs());
        self.tokens = self.tokens.saturating_add(new).min(most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Limits = Limits { series: 0, per_minute: 0, per_key: 1, forget: 100, min_bytes: 0, top: 0 };

    /// The flows that get a series, of those with these bytes; a flow's key is its number.
    fn admit(budget: &mut Budget, flows: &[(u32, u64)], time: i64) -> Vec<u32> {
        let keys: Vec<_> = flows.iter().map(|(flow, _)| flow.to_be_bytes()).collect();
        let candidate = |((flow, bytes), key): (&(u32, u64), &'_ [u8; 4])| (*flow, *bytes, *key);
        let all: Vec<_> = flows.iter().zip(&keys).map(candidate).collect();
        let candidates =
            all.iter().map(|(flow, bytes, key)| Candidate { flow: *flow, bytes: *bytes, key }).collect();
        budget.admit(candidates, 0, time)
    }

    #[test]
    fn without_limits_all_get_a_series_the_largest_first() {
        let mut budget = Budget::new(&NONE);
        assert_eq!(admit(&mut budget, &[(1, 10), (2, 30), (3, 10), (4, 20)], 0), [2, 4, 1, 3]);
    }

    #[test]
    fn a_minute_has_so_many_new_series() {
        let mut budget = Budget::new(&Limits { per_minute: 6, per_key: 2, ..NONE });
        budget.spend(1);
        // Five are left: two keys' worth.
        assert_eq!(admit(&mut budget, &[(1, 10), (2, 30), (3, 20)], 0), [2, 3]);
        // One comes in each ten seconds.
        assert_eq!(admit(&mut budget, &[(1, 10)], 9), []);
        assert_eq!(admit(&mut budget, &[(1, 10)], 10), [1]);
        // An hour of silence brings no more than a minute.
        assert_eq!(admit(&mut budget, &[(4, 1), (5, 2), (6, 3), (7, 4)], 3600), [7, 6, 5]);
    }

    #[test]
    fn a_limit_below_one_key_is_one_key_at_a_time() {
        let mut budget = Budget::new(&Limits { per_minute: 1, per_key: 3, ..NONE });
        let begun: usize = (0..600u32).map(|n| admit(&mut budget, &[(n + 1, 1)], n.into()).len()).sum();
        assert_eq!(begun, 3);
    }

    #[test]
    fn places_are_kept_for_those_that_come_back() {
        let mut budget = Budget::new(&Limits { series: 2, per_minute: 2, min_bytes: 5, ..NONE });
        assert_eq!(admit(&mut budget, &[(1, 10), (2, 9), (3, 8), (4, 5)], 0), [1, 2]);
        budget.end(&1u32.to_be_bytes(), 10);
        assert_eq!(admit(&mut budget, &[(3, 100)], 70), []);
        // Small as it is: its series is there already.
        assert_eq!(admit(&mut budget, &[(1, 1)], 71), [1]);
        budget.end(&1u32.to_be_bytes(), 80);
        assert_eq!(admit(&mut budget, &[(3, 100)], 180), [3]);
        assert_eq!(admit(&mut budget, &[(1, 100)], 181), []);
    }

    #[test]
    fn only_flows_above_the_rate_begin() {
        let mut budget = Budget::new(&Limits { min_bytes: 125_000, ..NONE });
        assert_eq!(admit(&mut budget, &[(1, 125_000), (2, 125_001)], 0), [2]);
    }
}
