//! `print_preprocess`: which rows are written, and how their counters are adjusted.
//!
//! Checks say which rows are worth writing; a row needs one of them (`print_preprocess_type: any`) or all. Two of
//! them sample, so that what is written stays an unbiased estimate of all bytes:
//!
//! - `fss`: a row of at least so many bytes is always kept; a smaller one with a chance of bytes / fss, and then
//!   with fss bytes (threshold sampling: N. Duffield, C. Lund, M. Thorup, "Learn more, sample less", 2005).
//! - `fsrc`: so many rows are kept, large ones rather than small ones (priority sampling: "Priority sampling for
//!   estimation of arbitrary subset sums", by the same, 2007).
//!
//! The dice are the hash of the key: the same rows give the same output.

use std::str::FromStr;

use rpmacct_plugin::{BinSums, Counters};

/// What `print_preprocess` says.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Preprocess {
    /// Fewer rows than this in a purge are all written, unchecked.
    least_rows: u64,
    checks: Vec<Check>,
    /// Whether a row must pass all checks, and not one of them.
    all: bool,
    /// Counters are multiplied by this.
    factor: Option<u64>,
    /// Bytes added for each packet.
    extra_bytes: i64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Check {
    /// At least, of a count.
    Min(Count, u64),
    /// At most.
    Max(Count, u64),
    /// `fss`, in bytes.
    Threshold(u64),
    /// `fsrc`, in rows.
    Keep(u64),
}

/// What is counted of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Count {
    Packets,
    Bytes,
    Flows,
    BytesPerPacket,
    PacketsPerFlow,
}

/// Makes a check of a number.
type ToCheck = fn(u64) -> Check;

/// The checks by their words; the words of [`Preprocess`]'s other fields are in its parser.
const CHECKS: &[(&str, ToCheck)] = &[
    ("minp", |n| Check::Min(Count::Packets, n)),
    ("minb", |n| Check::Min(Count::Bytes, n)),
    ("minf", |n| Check::Min(Count::Flows, n)),
    ("minbpp", |n| Check::Min(Count::BytesPerPacket, n)),
    ("minppf", |n| Check::Min(Count::PacketsPerFlow, n)),
    ("maxp", |n| Check::Max(Count::Packets, n)),
    ("maxb", |n| Check::Max(Count::Bytes, n)),
    ("maxf", |n| Check::Max(Count::Flows, n)),
    ("maxbpp", |n| Check::Max(Count::BytesPerPacket, n)),
    ("maxppf", |n| Check::Max(Count::PacketsPerFlow, n)),
    ("fss", Check::Threshold),
    ("fsrc", Check::Keep),
];

impl FromStr for Preprocess {
    /// What is wrong.
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut preprocess = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (word, value) = part.split_once('=').ok_or_else(|| format!("{part}: no value"))?;
            let (word, value) = (word.trim().to_ascii_lowercase(), value.trim());
            if word == "adjb" {
                let Ok(bytes) = value.parse::<i32>() else {
                    return Err(format!("adjb={value}: not a number of bytes"));
                };
                preprocess.extra_bytes = bytes.into();
                continue;
            }
            let Some(number) = value.parse().ok().filter(|n| *n > 0) else {
                return Err(format!("{word}={value}: not a number above 0"));
            };
            match (word.as_str(), CHECKS.iter().find(|(name, _)| *name == word)) {
                ("qnum", _) => preprocess.least_rows = number,
                ("usrf", _) => preprocess.factor = Some(number),
                ("recover", _) => {
                    return Err("recover is for databases: print has nowhere else to write to".to_owned());
                }
                (_, Some((_, check))) => preprocess.checks.push(check(number)),
                _ => return Err(format!("{word} is unknown")),
            }
        }
        Ok(preprocess)
    }
}

impl Preprocess {
    /// The words, for messages.
    pub(crate) fn words() -> String {
        let checks: Vec<_> = CHECKS.iter().map(|(word, _)| *word).collect();
        format!("qnum, {}, usrf, adjb", checks.join(", "))
    }

    /// A row must pass all checks, or one of them.
    #[must_use]
    pub(crate) fn all(self, all: bool) -> Self {
        Self { all, ..self }
    }

    /// How the rows of one purge are judged; `None` if they are all written as they are.
    pub(crate) fn judge(&self, sums: &BinSums) -> Option<Judge> {
        let is_checked = !self.checks.is_empty() && sums.len() as u64 >= self.least_rows;
        if !is_checked && self.factor.is_none() && self.extra_bytes == 0 {
            return None;
        }
        let keep = self.checks.iter().find_map(|check| match check {
            Check::Keep(rows) if is_checked => Some(*rows),
            _ => None,
        });
        let priority = keep.map_or(0, |rows| priority_of_the_first_left_out(sums, rows));
        Some(Judge {
            rules: Self { checks: if is_checked { self.checks.clone() } else { Vec::new() }, ..self.clone() },
            priority,
        })
    }
}

/// Judges rows.
#[derive(Debug)]
pub(crate) struct Judge {
    rules: Preprocess,
    /// The priority that a row must be above to be among those that `fsrc` keeps.
    priority: u128,
}

impl Judge {
    /// The counters that are written for a row; `None` if it is not.
    pub(crate) fn judge(&self, key: &[u8], counters: Counters) -> Option<Counters> {
        let rules = &self.rules;
        // Sampling says how many bytes the row stands for.
        let mut bytes = counters.bytes;
        let mut passes = |check: &Check| match *check {
            Check::Min(count, n) => count.is_at_least(&counters, n),
            Check::Max(count, n) => count.is_at_most(&counters, n),
            Check::Threshold(threshold) => {
                let kept = priority(key, &counters) >> FRACTION >= threshold.into();
                bytes = bytes.max(if kept { threshold } else { 0 });
                kept
            }
            Check::Keep(_) => {
                let kept = priority(key, &counters) > self.priority;
                let least = u64::try_from(self.priority >> FRACTION).unwrap_or(u64::MAX);
                bytes = bytes.max(if kept { least } else { 0 });
                kept
            }
        };
        let valid = match (&rules.checks[..], rules.all) {
            ([], _) => true,
            (checks, true) => checks.iter().all(&mut passes),
            (checks, false) => checks.iter().any(&mut passes),
        };
        if !valid {
            return None;
        }
        let factor = rules.factor.unwrap_or(1);
        let packets = counters.packets.saturating_mul(factor);
        let extra = i128::from(rules.extra_bytes) * i128::from(packets);
        let bytes = i128::from(bytes.saturating_mul(factor)) + extra;
        Some(Counters {
            packets,
            bytes: u64::try_from(bytes.max(0)).unwrap_or(u64::MAX),
            flows: counters.flows.saturating_mul(factor),
            ..counters
        })
    }
}

impl Count {
    /// What is counted, as a fraction; of nothing it is zero.
    fn of(self, counters: &Counters) -> (u64, u64) {
        match self {
            Self::Packets => (counters.packets, 1),
            Self::Bytes => (counters.bytes, 1),
            Self::Flows => (counters.flows, 1),
            Self::BytesPerPacket => (counters.bytes, counters.packets),
            Self::PacketsPerFlow => (counters.packets, counters.flows),
        }
    }

    fn is_at_least(self, counters: &Counters, n: u64) -> bool {
        let (count, of) = self.of(counters);
        of > 0 && u128::from(count) >= u128::from(n) * u128::from(of)
    }

    fn is_at_most(self, counters: &Counters, n: u64) -> bool {
        let (count, of) = self.of(counters);
        of == 0 || u128::from(count) <= u128::from(n) * u128::from(of)
    }
}

/// With it, exactly `rows` rows have a priority above; 0 if there are no more than that.
fn priority_of_the_first_left_out(sums: &BinSums, rows: u64) -> u128 {
    let mut priorities: Vec<u128> = sums.rows().map(|(key, counters)| priority(key, &counters)).collect();
    match usize::try_from(rows) {
        Ok(index) if index < priorities.len() => *priorities.select_nth_unstable_by(index, |a, b| b.cmp(a)).1,
        _ => 0,
    }
}

/// Bits of a priority behind its point.
const FRACTION: u32 = 16;

/// A row's bytes divided by a number between 0 and 1 that looks random, and is always the same for a key: the
/// chance that it is at least n is bytes / n.
fn priority(key: &[u8], counters: &Counters) -> u128 {
    (u128::from(counters.bytes) << 63) / (u128::from(hash(key) >> (1 + FRACTION)) + 1)
}

/// FNV-1a, then mixed as in `SplitMix64`, so that all bits depend on all octets.
fn hash(key: &[u8]) -> u64 {
    let hash = key.iter().fold(0xcbf2_9ce4_8422_2325u64, |hash, octet| {
        (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3)
    });
    let mixed = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ mixed >> 31
}
