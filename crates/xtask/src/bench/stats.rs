//! Medians and ranges, and numbers as people read them.

use std::fmt;

/// What repeated measurements gave.
#[derive(Clone, Debug)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    /// `None` if nothing was measured.
    pub(crate) fn new(mut values: Vec<f64>) -> Option<Series> {
        values.sort_by(f64::total_cmp);
        (!values.is_empty()).then_some(Series(values))
    }

    pub(crate) fn median(&self) -> f64 {
        let Series(values) = self;
        let middle = values.len() / 2;
        if values.len().is_multiple_of(2) {
            f64::midpoint(values[middle - 1], values[middle])
        } else {
            values[middle]
        }
    }

    pub(crate) fn range(&self) -> (f64, f64) {
        (self.0[0], self.0[self.0.len() - 1])
    }

    /// The ratio of what was measured in pairs: the median of each pair's.
    pub(crate) fn ratio(of: &[f64], to: &[f64]) -> Option<Series> {
        Series::new(of.iter().zip(to).map(|(of, to)| of / to).collect())
    }
}

/// Median, then the range in brackets, if there is one.
impl fmt::Display for Series {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.range();
        match (short(low), short(high)) {
            (low, high) if low == high => write!(out, "{low}"),
            (low, high) => write!(out, "{} ({low}–{high})", short(self.median())),
        }
    }
}

/// Three digits that count.
pub(crate) fn short(value: f64) -> String {
    match value {
        0.0 => "0".to_owned(),
        size if size < 0.0995 => format!("{value:.3}"),
        size if size < 9.95 => format!("{value:.2}"),
        size if size < 99.5 => format!("{value:.1}"),
        _ => thousands(value.round() as u64),
    }
}

/// `1234567` as `1,234,567`.
pub(crate) fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[f64]) -> Series {
        Series::new(values.to_vec()).unwrap()
    }

    #[test]
    fn medians() {
        assert!((series(&[9.0, 1.0, 2.0]).median() - 2.0).abs() < 1e-9);
        assert!((series(&[4.0, 1.0, 2.0, 3.0]).median() - 2.5).abs() < 1e-9);
        assert!(Series::new(Vec::new()).is_none());
    }

    #[test]
    fn ratios_are_of_pairs() {
        let ratio = Series::ratio(&[10.0, 30.0, 20.0], &[1.0, 2.0, 4.0]).unwrap();
        assert_eq!(ratio.to_string(), "10.0 (5.00–15.0)");
    }

    #[test]
    fn numbers_are_short() {
        let written = [0.0, 0.0123, 0.5, 3.123_45, 42.07, 1234.4, 1_234_567.0].map(short);
        assert_eq!(written, ["0", "0.012", "0.50", "3.12", "42.1", "1,234", "1,234,567"]);
        assert_eq!(thousands(1000), "1,000");
        assert_eq!(series(&[2.0]).to_string(), "2.00");
    }
}
