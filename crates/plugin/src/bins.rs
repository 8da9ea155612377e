//! Bins of time: which interval a packet belongs to, by the calendar.
//!
//! A bin is N seconds, minutes, hours, days, weeks or months. Bins are counted from the beginning of a longer
//! period, the round-off, and cut at its end, so that they are the same whenever the daemon was started:
//!
//! ```text
//! 5m:       22:10 22:15 22:20 …                    counted from the full hour
//! 7m:       22:00 22:07 … 22:56 23:00 …            the last bin of the hour is shorter
//! 6h:       00:00 06:00 12:00 18:00                counted from midnight, in the local zone
//! 1w:       Mondays
//! ```
//!
//! Bins of up to an hour have their length whatever the clocks do. Longer ones go by the clock on the wall: on
//! the day on which it is put forward, one bin is an hour shorter.

use std::fmt;
use std::ops::Range;
use std::str::FromStr;
use std::time::Duration;

use jiff::ToSpan as _;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use rpmacct_packet::Timestamp;

/// A unit of bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Unit {
    /// `s`
    Second,
    /// `m`
    Minute,
    /// `h`
    Hour,
    /// `d`
    Day,
    /// `w`
    Week,
    /// `M`
    Month,
}

/// The length of a bin, such as `5m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BinLength {
    /// Invariant: positive, and at most [`BinLength::MAX_COUNT`].
    count: u32,
    unit: Unit,
}

/// Where bins are counted from. The peer's letters name what is set to its beginning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum RoundOff {
    /// The full minute, if nothing is said for bins of seconds.
    Minute,
    /// `m`: the full hour.
    Hour,
    /// `h`: midnight.
    Day,
    /// `w`: Monday.
    Week,
    /// `d`: the first of the month.
    Month,
    /// `M`: the first of January.
    Year,
}

/// Why a text is no length or no round-off.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub struct BinError(&'static str);

/// Sorts times into bins.
#[derive(Debug, Clone)]
pub struct Bins {
    length: BinLength,
    round_off: RoundOff,
    /// How much earlier each bin begins.
    offset: Duration,
    zone: TimeZone,
}

/// Seconds since the epoch: from the first of the bin to the first after it.
pub type Bin = Range<i64>;

/// The bin that holds all times there are.
pub(crate) const ALL_TIMES: Bin = i64::MIN..i64::MAX;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Days, weeks and months that are longer than their round-off are counted from here, a Monday.
const EPOCH: Date = Date::constant(1970, 1, 5);

impl Bins {
    /// Bins of a length, counted from the round-off (or from what is next above their unit), each beginning
    /// `offset` earlier.
    pub fn new(length: BinLength, round_off: Option<RoundOff>, offset: Duration, zone: TimeZone) -> Self {
        let round_off = round_off.unwrap_or_else(|| length.unit.period());
        Self { length, round_off, offset, zone }
    }

    /// The bin of a time.
    pub fn of(&self, time: Timestamp) -> Bin {
        let offset = self.offset.as_secs().cast_signed();
        let at = time.secs().saturating_add(offset);
        let bin = match self.length.seconds_below_an_hour() {
            Some(length) => self.by_seconds(at, length),
            None => self.by_calendar(at),
        };
        // At the ends of the calendar, which no packet comes near, a bin of a second.
        let Range { start, end } = bin.unwrap_or(at..at.saturating_add(1));
        start - offset..end - offset
    }

    /// The beginning of the round-off that `time` lies in: purges are due at multiples of their interval from
    /// here.
    pub fn base(&self, time: Timestamp) -> Timestamp {
        let base = || {
            let local = self.local(time.secs())?;
            self.instant(self.round_off.begin(local))
        };
        Timestamp::from_secs_nanos(base().unwrap_or(time.secs()), 0)
    }

    /// How long a bin is, in seconds; of a month, thirty days.
    pub fn nominal_secs(&self) -> i64 {
        i64::from(self.length.count) * self.length.unit.nominal_secs()
    }

    /// Bins of up to an hour, counted from midnight at the farthest. Wherever they begin, no change of the
    /// clocks makes them longer or shorter.
    fn by_seconds(&self, at: i64, length: i64) -> Option<Bin> {
        let instant = jiff::Timestamp::from_second(at).ok()?;
        let local = at + i64::from(self.zone.to_offset(instant).seconds());
        let period = match self.round_off {
            RoundOff::Minute if length <= MINUTE => MINUTE,
            RoundOff::Minute | RoundOff::Hour => HOUR,
            RoundOff::Day | RoundOff::Week | RoundOff::Month | RoundOff::Year => DAY,
        };
        let elapsed = local.rem_euclid(period);
        let start = at - elapsed % length;
        Some(start..(start + length).min(at - elapsed + period))
    }

    /// Longer bins go by the clock on the wall.
    fn by_calendar(&self, at: i64) -> Option<Bin> {
        let local = self.local(at)?;
        let (begin, end) = self.period(local)?;
        let count = i64::from(self.length.count);
        let elapsed = self.length.unit.between(begin, local);
        let start = self.length.unit.after(begin, elapsed - elapsed.rem_euclid(count))?;
        let next = self.length.unit.after(start, count)?.min(end);
        Some(self.instant(start)?..self.instant(next)?)
    }

    /// The period that bins are counted in.
    fn period(&self, local: DateTime) -> Option<(DateTime, DateTime)> {
        let (begin, end) = (self.round_off.begin(local), self.round_off.end(local)?);
        if self.length.unit.after(begin, self.length.count.into())? <= end {
            return Some((begin, end));
        }
        let begin = if self.length.unit == Unit::Month { Date::constant(1970, 1, 1) } else { EPOCH };
        Some((begin.into(), DateTime::MAX))
    }

    fn local(&self, at: i64) -> Option<DateTime> {
        let instant = jiff::Timestamp::from_second(at).ok()?;
        Some(self.zone.to_offset(instant).to_datetime(instant))
    }

    /// A time on the wall that comes twice is the first of the two; one that never comes is the moment at which
    /// the clocks are put forward.
    fn instant(&self, local: DateTime) -> Option<i64> {
        Some(self.zone.to_ambiguous_timestamp(local).compatible().ok()?.as_second())
    }
}

impl BinError {
    /// What was expected.
    pub fn expected(&self) -> &'static str {
        self.0
    }
}

impl BinLength {
    /// The greatest number of units.
    pub const MAX_COUNT: u32 = 100_000;

    fn seconds_below_an_hour(self) -> Option<i64> {
        let seconds = i64::from(self.count) * self.unit.nominal_secs();
        (seconds <= HOUR).then_some(seconds)
    }
}

impl FromStr for BinLength {
    type Err = BinError;

    fn from_str(text: &str) -> Result<Self, BinError> {
        const EXPECTED: BinError =
            BinError("a number and a unit, one of s, m, h, d, w and M, such as 5m (minutes) or 1M (months)");
        let text = text.trim();
        let (at, letter) = text.char_indices().next_back().ok_or(EXPECTED)?;
        let unit = match letter {
            's' => Unit::Second,
            'm' => Unit::Minute,
            'h' => Unit::Hour,
            'd' => Unit::Day,
            'w' => Unit::Week,
            'M' => Unit::Month,
            _ => return Err(EXPECTED),
        };
        let count = text[..at].trim_end().parse().map_err(|_| EXPECTED)?;
        if !(1..=Self::MAX_COUNT).contains(&count) {
            return Err(EXPECTED);
        }
        Ok(Self { count, unit })
    }
}

impl fmt::Display for BinLength {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let letter = match self.unit {
            Unit::Second => 's',
            Unit::Minute => 'm',
            Unit::Hour => 'h',
            Unit::Day => 'd',
            Unit::Week => 'w',
            Unit::Month => 'M',
        };
        write!(f, "{}{letter}", self.count)
    }
}

impl Unit {
    /// What bins of this unit are counted from if nothing is said.
    fn period(self) -> RoundOff {
        match self {
            Self::Second => RoundOff::Minute,
            Self::Minute => RoundOff::Hour,
            Self::Hour => RoundOff::Day,
            Self::Day => RoundOff::Month,
            Self::Week => RoundOff::Week,
            Self::Month => RoundOff::Year,
        }
    }

    fn nominal_secs(self) -> i64 {
        match self {
            Self::Second => 1,
            Self::Minute => MINUTE,
            Self::Hour => HOUR,
            Self::Day => DAY,
            Self::Week => 7 * DAY,
            Self::Month => 30 * DAY,
        }
    }

    /// Whole units from `begin` to `local`, which is not earlier or, for what is counted from 1970, may be.
    fn between(self, begin: DateTime, local: DateTime) -> i64 {
        if self == Self::Month {
            let months = |t: DateTime| i64::from(t.year()) * 12 + i64::from(t.month());
            return months(local) - months(begin);
        }
        let seconds = local.duration_since(begin).as_secs();
        seconds.div_euclid(self.nominal_secs())
    }

    fn after(self, begin: DateTime, count: i64) -> Option<DateTime> {
        let span = match self {
            Self::Month => jiff::Span::new().try_months(count).ok()?,
            _ => jiff::Span::new().try_seconds(count.checked_mul(self.nominal_secs())?).ok()?,
        };
        begin.checked_add(span).ok()
    }
}

impl RoundOff {
    /// Reads the peer's letters: the longest period counts.
    pub fn parse(letters: &str) -> Result<Option<Self>, BinError> {
        let mut longest = None;
        for letter in letters.chars().filter(|c| !c.is_whitespace() && *c != ',') {
            let period = match letter {
                'm' => Self::Hour,
                'h' => Self::Day,
                'w' => Self::Week,
                'd' => Self::Month,
                'M' => Self::Year,
                _ => return Err(BinError("some of the letters m, h, d, w and M")),
            };
            longest = longest.max(Some(period));
        }
        Ok(longest)
    }

    fn begin(self, local: DateTime) -> DateTime {
        let (date, time) = (local.date(), local.time());
        match self {
            Self::Minute => date.at(time.hour(), time.minute(), 0, 0),
            Self::Hour => date.at(time.hour(), 0, 0, 0),
            Self::Day => date.into(),
            Self::Week => {
                let days = local.weekday().to_monday_zero_offset();
                date.checked_sub(i64::from(days).days()).unwrap_or(date).into()
            }
            Self::Month => date.first_of_month().into(),
            Self::Year => date.first_of_year().into(),
        }
    }

    fn end(self, local: DateTime) -> Option<DateTime> {
        let span = match self {
            Self::Minute => 1.minute(),
            Self::Hour => 1.hour(),
            Self::Day => 1.day(),
            Self::Week => 1.week(),
            Self::Month => 1.month(),
            Self::Year => 1.year(),
        };
        self.begin(local).checked_add(span).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn bins(length: &str, round_off: &str, offset: u64, zone: TimeZone) -> Bins {
        let round_off = RoundOff::parse(round_off).unwrap();
        Bins::new(length.parse().unwrap(), round_off, Duration::from_secs(offset), zone)
    }

    /// The bin of a time written with its offset, in UTC, and its length in seconds.
    fn bin(bins: &Bins, time: &str) -> (String, i64) {
        let at: jiff::Timestamp = time.parse().unwrap();
        let bin = bins.of(Timestamp::from_secs_nanos(at.as_second(), 999_999_999));
        assert!(bin.contains(&at.as_second()), "{time} is not in {bin:?}");
        assert_eq!(bins.of(Timestamp::from_secs_nanos(bin.start, 0)), bin, "{time}");
        assert_eq!(bins.of(Timestamp::from_secs_nanos(bin.end - 1, 0)), bin, "{time}");
        (jiff::Timestamp::from_second(bin.start).unwrap().to_string(), bin.end - bin.start)
    }

    fn start(length: &str, round_off: &str, offset: u64) -> String {
        bin(&bins(length, round_off, offset, TimeZone::UTC), "2023-11-14T22:13:20Z").0
    }

    #[test]
    fn as_the_peer_aligns_them() {
        assert_eq!(start("5m", "m", 0), "2023-11-14T22:10:00Z");
        assert_eq!(start("5m", "m", 30), "2023-11-14T22:09:30Z");
        assert_eq!(start("1h", "m", 0), "2023-11-14T22:00:00Z");
        assert_eq!(start("1h", "h", 0), "2023-11-14T22:00:00Z");
        assert_eq!(start("3h", "h", 0), "2023-11-14T21:00:00Z");
        assert_eq!(start("1d", "d", 0), "2023-11-14T00:00:00Z");
        assert_eq!(start("2d", "d", 0), "2023-11-13T00:00:00Z");
        assert_eq!(start("1w", "w", 0), "2023-11-13T00:00:00Z");
    }

    #[test]
    fn every_unit_and_what_does_not_divide_its_period() {
        assert_eq!(start("1s", "", 0), "2023-11-14T22:13:20Z");
        assert_eq!(start("90s", "", 0), "2023-11-14T22:12:00Z");
        assert_eq!(start("7m", "", 0), "2023-11-14T22:07:00Z");
        assert_eq!(start("7m", "h", 0), "2023-11-14T22:10:00Z");
        assert_eq!(start("1M", "", 0), "2023-11-01T00:00:00Z");
        assert_eq!(start("3M", "M", 0), "2023-10-01T00:00:00Z");
        assert_eq!(start("2w", "w", 0), "2023-11-13T00:00:00Z");
        assert_eq!(start("10d", "", 0), "2023-11-11T00:00:00Z");
        assert_eq!(start("24M", "", 0), "2022-01-01T00:00:00Z");
        let utc = |length| bins(length, "", 0, TimeZone::UTC);
        assert_eq!(bin(&utc("7m"), "2023-11-14T22:58:00Z"), ("2023-11-14T22:56:00Z".to_owned(), 240));
        assert_eq!(bin(&utc("10d"), "2023-11-30T01:00:00Z"), ("2023-11-21T00:00:00Z".to_owned(), 10 * DAY));
        assert_eq!(bin(&utc("10d"), "2023-12-31T01:00:00Z"), ("2023-12-31T00:00:00Z".to_owned(), DAY));
        assert_eq!(bin(&utc("1M"), "2024-02-29T23:59:59Z"), ("2024-02-01T00:00:00Z".to_owned(), 29 * DAY));
        assert_eq!(bin(&utc("1h"), "1969-12-31T23:59:59Z"), ("1969-12-31T23:00:00Z".to_owned(), HOUR));
    }

    /// In Berlin the clocks go from 02:00 to 03:00 on 2024-03-31, and from 03:00 to 02:00 on 2024-10-27.
    #[test]
    fn days_on_which_the_clocks_change() {
        let berlin = |length| bins(length, "", 0, zone("Europe/Berlin"));
        let is = |length, time, start: &str, hours| {
            assert_eq!(bin(&berlin(length), time), (start.to_owned(), hours * HOUR), "{length} {time}");
        };
        is("1d", "2024-03-31T12:00:00+02:00", "2024-03-30T23:00:00Z", 23);
        is("1d", "2024-10-27T12:00:00+01:00", "2024-10-26T22:00:00Z", 25);
        is("1M", "2024-03-10T12:00:00+01:00", "2024-02-29T23:00:00Z", 31 * 24 - 1);
        is("1w", "2024-03-31T23:59:59+02:00", "2024-03-24T23:00:00Z", 7 * 24 - 1);
        is("6h", "2024-03-31T03:10:00+02:00", "2024-03-30T23:00:00Z", 5);
        is("6h", "2024-03-31T06:00:00+02:00", "2024-03-31T04:00:00Z", 6);
        is("2h", "2024-03-31T03:10:00+02:00", "2024-03-31T01:00:00Z", 1);
        // The hour that comes twice is two bins of an hour, and one of several.
        is("1h", "2024-10-27T02:30:00+02:00", "2024-10-27T00:00:00Z", 1);
        is("1h", "2024-10-27T02:30:00+01:00", "2024-10-27T01:00:00Z", 1);
        is("2h", "2024-10-27T02:30:00+02:00", "2024-10-27T00:00:00Z", 3);
        is("2h", "2024-10-27T02:30:00+01:00", "2024-10-27T00:00:00Z", 3);
    }

    #[test]
    fn zones_that_are_not_whole_hours() {
        let nepal = bins("1h", "", 0, zone("Asia/Kathmandu"));
        assert_eq!(bin(&nepal, "2023-11-14T22:13:20Z"), ("2023-11-14T21:15:00Z".to_owned(), HOUR));
    }

    #[test]
    fn the_base_of_deadlines() {
        let at = Timestamp::from_secs_nanos(1_700_000_000, 5); // 2023-11-14 22:13:20 UTC
        let base = |length, round_off| {
            let secs = bins(length, round_off, 0, TimeZone::UTC).base(at).secs();
            jiff::Timestamp::from_second(secs).unwrap().to_string()
        };
        assert_eq!(base("5m", ""), "2023-11-14T22:00:00Z");
        assert_eq!(base("10s", ""), "2023-11-14T22:13:00Z");
        assert_eq!(base("5m", "mh"), "2023-11-14T00:00:00Z");
        assert_eq!(base("1h", "w"), "2023-11-13T00:00:00Z");
        assert_eq!(base("1d", ""), "2023-11-01T00:00:00Z");
        assert_eq!(base("1d", "M"), "2023-01-01T00:00:00Z");
    }

    #[test]
    fn lengths_and_letters() {
        for text in ["5m", "90s", "1M", "2w", "3d", "12h"] {
            assert_eq!(text.parse::<BinLength>().unwrap().to_string(), text);
        }
        for text in ["", "5", "m", "0m", "5x", "-1m", "5mm", "100001s", "1.5h"] {
            assert!(text.parse::<BinLength>().is_err(), "{text}");
        }
        assert_eq!(RoundOff::parse("m, h").unwrap(), Some(RoundOff::Day));
        assert!(RoundOff::parse("x").is_err());
    }
}
