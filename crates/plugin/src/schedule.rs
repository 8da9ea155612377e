//! When purges are due.
//!
//! As the peer does it, because file names and graphs depend on it: deadlines lie on multiples of the
//! interval, counted from the full minute in which the daemon was started (or from where bins of time are
//! counted from), and a purge happens one second *after* its deadline. With an interval of 10 s, purges are at
//! :01, :11, :21 …

use std::time::Duration;

use rpmacct_packet::Timestamp;

const MINUTE: i64 = 60;

/// Deadlines at regular intervals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    /// Seconds since the epoch. Invariant: not due at the time of the last `advance`.
    deadline: i64,
    /// Seconds. Invariant: positive.
    every: i64,
    /// Seconds that each deadline is late.
    delay: i64,
}

impl Schedule {
    /// The deadlines after `now`, `every` apart, each `delay` later than it would be.
    pub fn new(now: Timestamp, every: Duration, delay: Duration) -> Self {
        let minute = now.secs() - now.secs().rem_euclid(MINUTE);
        Self::counted_from(Timestamp::from_secs_nanos(minute, 0), now, every, delay)
    }

    /// The deadlines after `now`, counted from `base`, which is not later.
    pub fn counted_from(base: Timestamp, now: Timestamp, every: Duration, delay: Duration) -> Self {
        let every = every.as_secs().cast_signed().max(1);
        let delay = delay.as_secs().cast_signed();
        let mut schedule = Self { deadline: base.secs(), every, delay };
        schedule.skip_to(now);
        schedule.deadline += delay;
        schedule
    }

    /// When the next purge is due: the first moment at which [`Self::is_due`].
    pub fn due(&self) -> Timestamp {
        Timestamp::from_secs_nanos(self.deadline + 1, 0)
    }

    /// Whether the purge is due.
    pub fn is_due(&self, now: Timestamp) -> bool {
        now >= self.due()
    }

    /// Sets the next deadline, once a purge is made. Deadlines that were slept through are left out. Returns
    /// the end of the interval that is over: the last deadline, as it would be without the delay.
    pub fn advance(&mut self, now: Timestamp) -> Timestamp {
        if self.is_due(now) {
            self.deadline += self.every;
        }
        if self.is_due(now) {
            self.skip_to(now);
        }
        Timestamp::from_secs_nanos(self.deadline - self.every - self.delay, 0)
    }

    /// Sets the first deadline after `now`, unless it is there already.
    fn skip_to(&mut self, now: Timestamp) {
        if self.deadline <= now.secs() {
            let missed = (now.secs() - self.deadline) / self.every + 1;
            self.deadline += missed * self.every;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs_nanos(1_700_000_040 + secs, 0) // 1 700 000 040 is a full minute
    }

    /// Seconds of the purges in the first minutes, when somebody looks every second.
    fn purges(start: i64, every: u64, delay: u64) -> Vec<i64> {
        let mut schedule = Schedule::new(at(start), Duration::from_secs(every), Duration::from_secs(delay));
        let mut purges = Vec::new();
        for second in start..140 {
            if schedule.is_due(at(second)) {
                schedule.advance(at(second));
                purges.push(second);
            }
        }
        purges
    }

    #[test]
    fn purges_are_aligned_and_one_second_late() {
        assert_eq!(purges(13, 10, 0)[..3], [21, 31, 41]);
        assert_eq!(purges(13, 60, 0), [61, 121]);
        assert_eq!(purges(0, 60, 0), [61, 121]);
        assert_eq!(purges(13, 60, 5), [66, 126]);
        assert_eq!(purges(0, 60, 5), [66, 126]);
        assert_eq!(purges(13, 10, 30)[..2], [51, 61]);
    }

    #[test]
    fn an_interval_of_a_second_purges_every_second() {
        assert_eq!(purges(13, 1, 0)[..4], [15, 16, 17, 18]);
    }

    #[test]
    fn a_long_sleep_makes_one_purge_not_many() {
        let mut schedule = Schedule::new(at(0), Duration::from_secs(10), Duration::ZERO);
        assert!(schedule.is_due(at(1000)));
        schedule.advance(at(1000));
        assert!(!schedule.is_due(at(1010)));
        assert!(schedule.is_due(at(1011)));
    }
}
