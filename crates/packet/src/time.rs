//! Points in time, as captures give them.

use std::time::{Duration, SystemTime};

const NANOS_PER_SEC: i64 = 1_000_000_000;

/// A point in time: nanoseconds since 1970-01-01T00:00:00Z, leap seconds not counted.
///
/// Negative before 1970. Reaches from the year 1677 to 2262; what lies beyond is cut to that range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const ZERO: Self = Self(0);
    /// The earliest time there is.
    pub const MIN: Self = Self(i64::MIN);
    /// The latest time there is.
    pub const MAX: Self = Self(i64::MAX);

    /// From nanoseconds since the epoch.
    #[inline]
    pub const fn from_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// From seconds since the epoch and microseconds after them. More than 999 999 of these carry over.
    #[inline]
    pub const fn from_secs_micros(secs: i64, micros: u32) -> Self {
        Self(secs.saturating_mul(NANOS_PER_SEC).saturating_add(micros as i64 * 1000))
    }

    /// From seconds since the epoch and nanoseconds after them. More than 999 999 999 of these carry over.
    #[inline]
    pub const fn from_secs_nanos(secs: i64, nanos: u32) -> Self {
        Self(secs.saturating_mul(NANOS_PER_SEC).saturating_add(nanos as i64))
    }

    /// Nanoseconds since the epoch.
    #[inline]
    pub const fn as_nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down: half a second before 1970 is in second -1.
    #[inline]
    pub const fn secs(self) -> i64 {
        self.0.div_euclid(NANOS_PER_SEC)
    }

    /// Nanoseconds after [`secs`](Self::secs). Invariant: less than 1 000 000 000.
    #[inline]
    pub const fn subsec_nanos(self) -> u32 {
        self.0.rem_euclid(NANOS_PER_SEC) as u32
    }

    /// This much later, [`MAX`](Self::MAX) at the latest.
    #[inline]
    #[must_use]
    pub fn saturating_add(self, later: Duration) -> Self {
        Self(self.0.saturating_add_unsigned(nanos(later)))
    }

    /// This much earlier, [`MIN`](Self::MIN) at the earliest.
    #[inline]
    #[must_use]
    pub fn saturating_sub(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub_unsigned(nanos(earlier)))
    }

    /// How long `earlier` is ago at this time; zero if it is not earlier.
    #[inline]
    pub fn saturating_since(self, earlier: Self) -> Duration {
        if self > earlier { Duration::from_nanos(self.0.abs_diff(earlier.0)) } else { Duration::ZERO }
    }
}

impl From<SystemTime> for Timestamp {
    fn from(time: SystemTime) -> Self {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => Self::ZERO.saturating_add(after),
            Err(before) => Self::ZERO.saturating_sub(before.duration()),
        }
    }
}

/// The nanoseconds of `duration`, at most `u64::MAX` of them, which are 584 years.
fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_rounded_down_on_both_sides_of_the_epoch() {
        let after = Timestamp::from_secs_micros(1_700_000_000, 250_000);
        assert_eq!((after.secs(), after.subsec_nanos()), (1_700_000_000, 250_000_000));
        let before = Timestamp::from_nanos(-1);
        assert_eq!((before.secs(), before.subsec_nanos()), (-1, 999_999_999));
    }

    #[test]
    fn a_fraction_of_more_than_a_second_carries_over() {
        assert_eq!(Timestamp::from_secs_micros(1, 2_500_000), Timestamp::from_secs_nanos(3, 500_000_000));
    }

    #[test]
    fn arithmetic_stops_at_the_ends() {
        let hour = Duration::from_secs(3600);
        assert_eq!(Timestamp::ZERO.saturating_add(hour).saturating_sub(hour), Timestamp::ZERO);
        assert_eq!(Timestamp::MAX.saturating_add(hour), Timestamp::MAX);
        assert_eq!(Timestamp::MIN.saturating_sub(Duration::MAX), Timestamp::MIN);
        assert_eq!(Timestamp::from_secs_nanos(i64::MAX, 0), Timestamp::MAX);
        assert_eq!(Timestamp::MAX.saturating_since(Timestamp::MIN), Duration::from_nanos(u64::MAX));
        assert_eq!(Timestamp::ZERO.saturating_since(Timestamp::MAX), Duration::ZERO);
    }

    #[test]
    fn the_system_clock_converts() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1500);
        assert_eq!(Timestamp::from(time), Timestamp::from_nanos(1_500_000_000));
        let time = SystemTime::UNIX_EPOCH - Duration::from_millis(1500);
        assert_eq!(Timestamp::from(time), Timestamp::from_nanos(-1_500_000_000));
    }
}
