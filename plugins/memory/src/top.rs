//! The largest entries.

use std::cmp::Ordering;

use rpmacct_plugin::Counters;
use rpmacct_query::{Counter, Top};

type Row<'a> = (&'a [u8], Counters);

/// The rows in the order that `top` asks for: largest first, equal ones by their keys; or the first ones. Holds
/// at most twice as many rows as are wanted.
pub(crate) fn select<'a>(rows: impl Iterator<Item = Row<'a>>, top: Top) -> Vec<Row<'a>> {
    let wanted = top.rows.map_or(usize::MAX, |n| usize::try_from(n).unwrap_or(usize::MAX));
    let Some(by) = top.by else { return rows.take(wanted).collect() };
    let compare = |a: &Row<'_>, b: &Row<'_>| compare(a, b, by);
    let limit = wanted.saturating_mul(2).max(1024);
    let mut best = Vec::new();
    for row in rows {
        if best.len() == limit {
            keep_best(&mut best, wanted, compare);
        }
        best.push(row);
    }
    keep_best(&mut best, wanted, compare);
    best.sort_unstable_by(compare);
    best
}

fn keep_best<T>(rows: &mut Vec<T>, wanted: usize, compare: impl FnMut(&T, &T) -> Ordering) {
    if wanted < rows.len() {
        rows.select_nth_unstable_by(wanted, compare);
        rows.truncate(wanted);
    }
}

fn compare(a: &Row<'_>, b: &Row<'_>, by: Counter) -> Ordering {
    let value = |counters: &Counters| match by {
        Counter::Packets => counters.packets,
        Counter::Bytes => counters.bytes,
        Counter::Flows => counters.flows,
    };
    value(&b.1).cmp(&value(&a.1)).then_with(|| a.0.cmp(b.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(rows: &[Row<'_>]) -> Vec<u64> {
        rows.iter().map(|(_, counters)| counters.bytes).collect()
    }

    #[test]
    fn the_first_of_many_are_the_same_as_of_all() {
        let keys: Vec<[u8; 8]> = (0..5_000u64).map(u64::to_be_bytes).collect();
        let rows = || {
            keys.iter().enumerate().map(|(n, key)| {
                let bytes = (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) % 700;
                (&key[..], Counters { bytes, ..Counters::default() })
            })
        };
        let all = select(rows(), Top { by: Some(Counter::Bytes), rows: None });
        assert!(all.is_sorted_by(|a, b| compare(a, b, Counter::Bytes) == Ordering::Less));
        assert_eq!(all.len(), 5_000);
        for n in [0, 1, 3, 600, 4_999, 5_000, 9_999] {
            let some = select(rows(), Top { by: Some(Counter::Bytes), rows: Some(n) });
            assert_eq!(some, all[..some.len()]);
            assert_eq!(some.len() as u64, n.min(5_000));
        }
    }

    #[test]
    fn equal_ones_stand_by_their_keys() {
        let rows = [(&b"b"[..], 1), (b"a", 1), (b"c", 2)];
        let rows = rows.map(|(key, bytes)| (key, Counters { bytes, ..Counters::default() }));
        let sorted = select(rows.into_iter(), Top { by: Some(Counter::Bytes), rows: None });
        assert_eq!(sorted.iter().map(|(key, _)| *key).collect::<Vec<_>>(), [b"c", b"a", b"b"]);
        assert_eq!(bytes_of(&sorted), [2, 1, 1]);
    }
}
