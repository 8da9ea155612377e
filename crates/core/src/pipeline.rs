//! From an observation to a plugin's pipe.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rpmacct_capture::{Filter, Frame};
use rpmacct_pipe::Writer;
use rpmacct_primitives::{End, Needs, Observation, RecordLayout, Schema, Word};

use crate::BATCH_AGE;
use crate::counts::PipelineCounts;
use crate::repeats::{GROUP, Repeats, push};

/// Makes the records of one plugin.
pub struct Pipeline {
    schema: Arc<Schema>,
    layout: RecordLayout,
    filter: Option<Filter>,
    needs: Needs,
    writer: Writer,
    /// Sums keys that repeat, where keys do.
    repeats: Option<Repeats>,
    /// Records that were just made; they are summed or pushed together. Reading what was written just before, in
    /// pieces of other sizes, makes a processor wait for its own stores; some records later it does not.
    group: Box<[Word]>,
    /// Words of `group` that hold records.
    grouped: usize,
    filtered: u64,
    withheld: u64,
    /// When the oldest record of the pending batch was first noticed.
    pending_since: Option<Instant>,
}

impl Pipeline {
    /// A pipeline that writes records of `schema` into `writer`.
    pub fn new(schema: Arc<Schema>, filter: Option<Filter>, writer: Writer) -> Self {
        Self {
            layout: schema.layout(),
            repeats: (!schema.is_by_packet()).then(|| Repeats::new(schema.layout())),
            group: vec![[0; 8]; GROUP * schema.layout().words()].into_boxed_slice(),
            grouped: 0,
            needs: schema.needs(),
            schema,
            filter,
            writer,
            filtered: 0,
            withheld: 0,
            pending_since: None,
        }
    }

    /// What became of packets here.
    pub(crate) fn counts(&self) -> PipelineCounts {
        let pipe = self.writer.counts();
        PipelineCounts {
            filtered: self.filtered,
            withheld: self.withheld,
            multiplicity: if self.schema.counts_twice() { 2 } else { 1 },
            offered: pipe.offered(),
            lost: pipe.lost(),
        }
    }

    /// What its schema needs of the core.
    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// Whether its records tell of the transport header, so that fragments wait for their first one.
    pub fn needs_ports(&self) -> bool {
        self.needs.ports
    }

    /// Offers a packet: it is filtered out, becomes a record (or two), or finds the pipe full.
    #[inline]
    pub(crate) fn offer(&mut self, frame: &Frame<'_>, observation: &Observation<'_>) {
        if let Some(filter) = &mut self.filter
            && !filter.passes(frame)
        {
            self.filtered += 1;
            return;
        }
        self.record(observation, End::Source);
        if self.schema.counts_twice() {
            self.record(observation, End::Destination);
        }
    }

    #[inline]
    fn record(&mut self, observation: &Observation<'_>, end: End) {
        let Self { layout, schema, group, grouped, writer, .. } = self;
        let words = layout.words();
        let record = &mut group[*grouped..][..words];
        layout.write(record.as_flattened_mut(), schema, observation, end);
        writer.offer(1);
        *grouped += words;
        if *grouped == group.len() {
            self.pass_on();
        }
    }

    /// Sums or pushes the records that were just made.
    fn pass_on(&mut self) {
        let Self { layout, writer, repeats, group, grouped, .. } = self;
        let records = &group[..*grouped];
        *grouped = 0;
        match repeats {
            Some(repeats) => repeats.add_all(records, writer),
            None => records.chunks_exact(layout.words()).for_each(|record| push(record, writer)),
        }
    }

    /// A fragment has to wait.
    pub(crate) fn withhold(&mut self) {
        self.withheld += 1;
    }

    /// A fragment has waited long enough.
    pub(crate) fn release(&mut self, frame: &Frame<'_>, observation: &Observation<'_>) {
        self.withheld -= 1;
        self.offer(frame, observation);
    }

    fn is_pending(&self) -> bool {
        self.grouped > 0 || self.writer.is_pending() || self.repeats.as_ref().is_some_and(Repeats::is_holding)
    }

    pub(crate) fn publish_old(&mut self, now: Instant) -> Option<Duration> {
        if !self.is_pending() {
            self.pending_since = None;
            return None;
        }
        let since = *self.pending_since.get_or_insert(now);
        let left = BATCH_AGE.saturating_sub(now.saturating_duration_since(since));
        if left.is_zero() {
            self.publish();
        }
        Some(left).filter(|left| !left.is_zero())
    }

    pub(crate) fn publish(&mut self) -> u64 {
        self.pass_on();
        if let Some(repeats) = &mut self.repeats {
            repeats.flush(&mut self.writer);
        }
        self.writer.publish();
        self.pending_since = None;
        self.writer.batches_sent()
    }
}
