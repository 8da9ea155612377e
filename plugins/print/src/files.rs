//! Files: which rows go into which one, and what is tried again.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rpmacct_plugin::{BinSums, Bins, Outcome, Reason, SinkError, Sums, Timestamp};
use rpmacct_primitives::{Field, Rows};
use tracing::{info, warn};

use crate::claim::Claim;
use crate::draft::{self, Draft, Owner};
use crate::file_name::FileName;
use crate::format::Format;
use crate::preprocess::Preprocess;
use crate::share::Share;

/// What can't be written is tried again after this time, if no purge comes before.
const RETRY: Duration = Duration::from_secs(10);

/// Names of files that are remembered, so that what is late continues them.
const REMEMBERED: usize = 100_000;

/// What files are written, and how.
pub(crate) struct Options {
    pub(crate) name: FileName,
    pub(crate) append: bool,
    /// Whether an interval without traffic makes a file, too.
    pub(crate) write_empty: bool,
    /// Symbolic link to the newest file.
    pub(crate) latest: Option<FileName>,
    pub(crate) owner: Owner,
    /// Bins of time, whose beginning is then the time in names.
    pub(crate) bins: Option<Bins>,
    /// Between purges.
    pub(crate) refresh: Duration,
    /// Rows that are kept for another try, at most.
    pub(crate) limit: usize,
}

/// A file for each purge, bin and value, as the name says.
pub(crate) struct Files {
    options: Options,
    /// Writes the values in names.
    values: Rows,
    key_len: usize,
    /// The number of the interval, or the beginning of the bin, that was written to a file last. A purge replaces
    /// what others wrote, and continues what belongs to the same.
    written: HashMap<PathBuf, i64>,
    /// Number of this interval. What is purged early because the table is full belongs to it, too.
    interval: i64,
    /// What could not be written, the oldest first.
    held: Vec<Work>,
    retry_at: Option<Timestamp>,
    /// Whether it has been said that something can't be written.
    is_said: bool,
    /// Keeps others from the name.
    _claim: Option<Claim>,
}

/// One file and what is to be written to it.
#[derive(Debug)]
struct Work {
    path: PathBuf,
    /// See [`Files::written`].
    turn: i64,
    latest: Option<PathBuf>,
    shares: Vec<Share>,
}

/// What was written.
#[derive(Default)]
pub(crate) struct Report {
    pub(crate) rows: u64,
    pub(crate) files: usize,
    /// The last one.
    pub(crate) file: Option<PathBuf>,
    pub(crate) outcome: Outcome,
}

impl Files {
    pub(crate) fn new(options: Options, values: Rows, key_len: usize, claim: Option<Claim>) -> Self {
        Self {
            options,
            values,
            key_len,
            written: HashMap::new(),
            interval: 0,
            held: Vec::new(),
            retry_at: None,
            is_said: false,
            _claim: claim,
        }
    }

    /// Writes the sums of a purge and what is held.
    pub(crate) fn purge(&mut self, format: &mut Format, preprocess: &Preprocess, sums: Sums) -> Report {
        let (now, reason) = (sums.now, sums.reason);
        let mut works = Works::new(std::mem::take(&mut self.held));
        let mut report = Report::default();
        for sums in sums.bins {
            report.outcome.erased += self.sort(sums, preprocess, now, &mut works);
        }
        if works.list.is_empty() && self.options.write_empty && !self.options.name.has_values() {
            let (path, turn) = self.place(self.empty_bin(now), now);
            works.list.push(Work { latest: self.latest(now, |_, _| ()), path, turn, shares: Vec::new() });
        }
        self.write_all(format, works.list, now, reason, &mut report);
        if reason == Reason::Due {
            self.interval += 1;
            self.forget_names();
        }
        report
    }

    /// Writes what is held.
    pub(crate) fn retry(&mut self, format: &mut Format, now: Timestamp) -> Report {
        let mut report = Report::default();
        let works = std::mem::take(&mut self.held);
        self.write_all(format, works, now, Reason::Full, &mut report);
        report
    }

    pub(crate) fn retry_at(&self) -> Option<Timestamp> {
        self.retry_at
    }

    /// Sorts the rows of a bin into files. Returns the packets of those that are not wanted.
    fn sort(&self, sums: BinSums, preprocess: &Preprocess, now: Timestamp, works: &mut Works) -> u64 {
        let time = sums.bin.as_ref().map(|bin| Timestamp::from_secs_nanos(bin.start, 0));
        if self.options.name.has_values() {
            return self.sort_by_value(&sums, preprocess, time, now, works);
        }
        let (path, turn) = self.place(time, now);
        let latest = self.latest(time.unwrap_or(now), |_, _| ());
        let (share, erased) = Share::judged(sums, preprocess, now);
        works.add(path, turn, latest).push(share);
        erased
    }

    /// The same where the name holds values of the rows.
    fn sort_by_value(
        &self,
        sums: &BinSums,
        preprocess: &Preprocess,
        time: Option<Timestamp>,
        now: Timestamp,
        works: &mut Works,
    ) -> u64 {
        let judge = preprocess.judge(sums);
        let (turn, at) = (self.turn(time), time.unwrap_or(now));
        let mut erased = 0;
        let mut value = Vec::new();
        let mut shares: Vec<(&[u8], Share)> = Vec::new();
        let mut by_value: HashMap<Box<[u8]>, usize> = HashMap::new();
        for (row, (key, counters)) in sums.rows().enumerate() {
            let shown = judge.as_ref().map_or(Some(counters), |judge| judge.judge(key, counters));
            let Some(shown) = shown else {
                erased += counters.packets;
                continue;
            };
            value.clear();
            for field in self.options.name.values() {
                value.extend_from_slice(&key[field.range()]);
            }
            let number = by_value.get(&value[..]).copied().unwrap_or_else(|| {
                shares.push((key, Share::none(sums, self.key_len, now)));
                by_value.insert(value.as_slice().into(), shares.len() - 1);
                shares.len() - 1
            });
            shares[number].1.push(key, shown, sums.spans().get(row).copied(), counters.packets);
        }
        for (key, share) in shares {
            let text = |field: &Field, out: &mut Vec<u8>| self.values.value_of(field, key, out);
            let path = self.options.name.at(at, text);
            works.add(path, turn, self.latest(at, text)).push(share);
        }
        erased
    }

    /// The path for a bin (of which `time` is the beginning) or a purge, and whose turn it is.
    fn place(&self, time: Option<Timestamp>, now: Timestamp) -> (PathBuf, i64) {
        (self.options.name.at_time(time.unwrap_or(now)), self.turn(time))
    }

    fn turn(&self, time: Option<Timestamp>) -> i64 {
        match time {
            Some(time) if self.options.name.has_time() => time.secs(),
            _ => self.interval,
        }
    }

    /// The beginning of the bin that is over, if bins are wanted.
    fn empty_bin(&self, now: Timestamp) -> Option<Timestamp> {
        let begin = now.saturating_sub(self.options.refresh);
        self.options.bins.as_ref().map(|bins| Timestamp::from_secs_nanos(bins.of(begin).start, 0))
    }

    fn latest(&self, at: Timestamp, value: impl FnMut(&Field, &mut Vec<u8>)) -> Option<PathBuf> {
        Some(self.options.latest.as_ref()?.at(at, value))
    }

    /// Writes files; those that can't be written are held.
    fn write_all(
        &mut self,
        format: &mut Format,
        works: Vec<Work>,
        now: Timestamp,
        reason: Reason,
        report: &mut Report,
    ) {
        let mut failed = 0;
        for work in works {
            match self.write(format, &work, reason) {
                Ok(rows) => {
                    report.rows += rows;
                    report.files += 1;
                    report.outcome.written += work.packets();
                    report.file = Some(work.path);
                }
                Err(error) => {
                    failed += 1;
                    let doing = format!("writing {}", work.path.display());
                    report.outcome.error.get_or_insert(SinkError::io(doing, error));
                    self.held.push(work);
                }
            }
        }
        self.say(failed, reason, &mut report.outcome);
        self.retry_at = (!self.held.is_empty()).then(|| now.saturating_add(RETRY));
        report.outcome.lost += self.let_go();
    }

    fn write(&mut self, format: &mut Format, work: &Work, reason: Reason) -> std::io::Result<u64> {
        let Work { path, turn, .. } = work;
        let open = if self.continues(path, *turn, reason) { Draft::append } else { Draft::replace };
        let mut draft = open(path, self.options.owner)?;
        format.check_continues(path, draft.is_new())?;
        let rows = format.write(&work.shares, draft.is_new(), &mut draft)?;
        draft.commit()?;
        self.written.insert(path.clone(), *turn);
        if let Some(latest) = &work.latest
            && let Err(error) = draft::link(path, latest, self.options.owner)
        {
            warn!("print_latest_file: linking {} to {}: {error}", latest.display(), path.display());
        }
        Ok(rows)
    }

    /// Whether the file goes on. What is left at the end belongs with the last purge under the same name if the
    /// name has the time in it.
    fn continues(&self, path: &Path, turn: i64, reason: Reason) -> bool {
        let at_the_end = reason == Reason::End && self.options.name.has_time();
        self.options.append || self.written.get(path).is_some_and(|last| *last == turn || at_the_end)
    }

    /// What fails is said once, until it works again.
    fn say(&mut self, failed: usize, reason: Reason, outcome: &mut Outcome) {
        if failed == 0 {
            if std::mem::take(&mut self.is_said) {
                info!("what could not be written is written now");
            }
            return;
        }
        if std::mem::replace(&mut self.is_said, true) && reason != Reason::End {
            outcome.error = Some(SinkError::Known);
        } else if reason != Reason::End {
            let rows = self.held_rows();
            warn!(
                "{rows} rows of {failed} files are kept in memory, and tried again every {} s",
                RETRY.as_secs()
            );
        }
    }

    fn held_rows(&self) -> usize {
        self.held.iter().map(Work::len).sum()
    }

    /// Lets the oldest go of what is held, if it is too much. Returns the packets that are lost.
    fn let_go(&mut self) -> u64 {
        let mut excess = self.held_rows().saturating_sub(self.options.limit);
        if excess == 0 {
            return 0;
        }
        let mut lost = 0;
        for work in &mut self.held {
            work.shares.retain(|share| {
                let goes = excess > 0;
                if goes {
                    excess = excess.saturating_sub(share.len());
                    lost += share.packets;
                }
                !goes
            });
        }
        self.held.retain(|work| !work.shares.is_empty());
        warn!("{lost} packets are lost: what can't be written no longer fits in memory");
        lost
    }

    /// Forgets the names of files that nothing continues any more.
    fn forget_names(&mut self) {
        if self.options.bins.is_none() || !self.options.name.has_time() {
            let last = self.interval - 1;
            self.written.retain(|_, turn| *turn >= last);
        } else if self.written.len() > REMEMBERED {
            let mut turns: Vec<i64> = self.written.values().copied().collect();
            let (_, middle, _) = turns.select_nth_unstable(REMEMBERED / 2);
            let middle = *middle;
            self.written.retain(|_, turn| *turn > middle);
        }
    }
}

impl Work {
    fn packets(&self) -> u64 {
        self.shares.iter().map(|share| share.packets).sum()
    }

    fn len(&self) -> usize {
        self.shares.iter().map(Share::len).sum()
    }
}

/// Files in the order in which they are to be written, each once.
struct Works {
    list: Vec<Work>,
    numbers: HashMap<PathBuf, usize>,
}

impl Works {
    fn new(held: Vec<Work>) -> Self {
        let numbers = held.iter().enumerate().map(|(number, work)| (work.path.clone(), number)).collect();
        Self { list: held, numbers }
    }

    /// Where the shares of a file go.
    fn add(&mut self, path: PathBuf, turn: i64, latest: Option<PathBuf>) -> &mut Vec<Share> {
        let number = match self.numbers.entry(path) {
            Entry::Occupied(entry) => *entry.get(),
            Entry::Vacant(entry) => {
                self.list.push(Work { path: entry.key().clone(), turn, latest, shares: Vec::new() });
                *entry.insert(self.list.len() - 1)
            }
        };
        let work = &mut self.list[number];
        work.turn = work.turn.max(turn);
        &mut work.shares
    }
}
