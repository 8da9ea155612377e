//! The loop from frame to record.
//!
//! ```text
//! frame ─▶ decode ─▶ observe ─▶ key ─▶ batch ─▶ pipe
//! ```
//!
//! [`Core`] takes frames one by one and writes records into the pipes of its [`Pipeline`]s; [`run_live`] and
//! [`run_savefile`] feed it until they are told to stop. It knows no plugin: a pipeline ends at its pipe.
//!
//! # Guarantees
//!
//! - Every frame is counted exactly once in [`FrameCounts`], every record in its pipe's counts.
//! - No allocation, lock or system call for a frame, once tables have grown.
//! - It reads no clock: time comes with the frames, and as [`Clock`] where the link is silent.
#![forbid(unsafe_code)]

mod control;
mod counts;
mod fragments;
mod pipeline;
mod repeats;
mod run;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use control::Control;
pub use counts::{FrameCounts, PipelineCounts, Report, SourceCounts};
pub use fragments::FragmentOptions;
use fragments::{Fate, Fragments};
pub use pipeline::Pipeline;
use rpmacct_capture::{Filter, Frame};
use rpmacct_ledger::Tally;
use rpmacct_packet::{Packet, Skip, Timestamp};
use rpmacct_primitives::Observation;
pub use run::{Clock, SavefileOptions, run_idle, run_live, run_savefile};

/// The longest time that a record waits for its batch to fill.
pub const BATCH_AGE: Duration = Duration::from_millis(100);

/// What the core does besides feeding its pipelines.
#[derive(Debug, Default)]
pub struct Options {
    /// Number written into `in_iface`, 0 if it is not known.
    pub in_iface: u32,
    /// Number written into `out_iface`, 0 if it is not known.
    pub out_iface: u32,
    /// Applied to each frame, where the kernel can't (savefiles).
    pub filter: Option<Filter>,
    /// How fragments are held together.
    pub fragments: FragmentOptions,
}

/// Frames in, records out.
pub struct Core {
    pipelines: Vec<Pipeline>,
    options: Options,
    fragments: Fragments,
    /// Whether any pipeline needs ports, so that fragments are linked to their first one.
    links_fragments: bool,
    counts: FrameCounts,
    /// What the kernel dropped, for others to watch.
    drops: Arc<Tally>,
    /// Time of the latest frame; the earliest of all times before there was one.
    latest: Timestamp,
}

impl Core {
    /// A core that feeds `pipelines`.
    pub fn new(pipelines: Vec<Pipeline>, options: Options) -> Self {
        let links_fragments = options.fragments.always || pipelines.iter().any(Pipeline::needs_ports);
        let fragments = Fragments::new(&options.fragments);
        Self {
            pipelines,
            options,
            fragments,
            links_fragments,
            counts: FrameCounts::default(),
            drops: Arc::default(),
            latest: Timestamp::MIN,
        }
    }

    /// All counts now.
    pub fn report(&self, source: SourceCounts) -> Report {
        let pipelines = self.pipelines.iter().map(Pipeline::counts).collect();
        Report { source, frames: self.counts.clone(), pipelines }
    }

    /// What the kernel has dropped so far, as far as it was looked at: every ten seconds under traffic.
    pub fn drops(&self) -> Arc<Tally> {
        Arc::clone(&self.drops)
    }

    /// Frames that came so far.
    pub fn seen(&self) -> u64 {
        self.counts.seen
    }

    /// Time of the latest frame, if there was one.
    pub fn latest(&self) -> Option<Timestamp> {
        (self.counts.seen > 0).then_some(self.latest)
    }

    /// Accounts one frame.
    #[inline]
    pub fn frame(&mut self, frame: &Frame<'_>) {
        self.counts.seen += 1;
        self.latest = self.latest.max(frame.time);
        if let Some(filter) = &mut self.options.filter
            && !filter.passes(frame)
        {
            self.counts.filtered += 1;
            return;
        }
        let packet = match Packet::decode(frame.link, frame.data, frame.wire_len) {
            Ok(packet) => packet,
            Err(Skip::NotIp) => {
                self.counts.not_ip += 1;
                return;
            }
            Err(Skip::Undecodable(reason)) => {
                self.counts.undecodable[reason.index()] += 1;
                return;
            }
        };
        self.counts.accounted += 1;
        let Options { in_iface, out_iface, .. } = self.options;
        let mut observation =
            Observation { packet: &packet, time: frame.time, ports: None, in_iface, out_iface };
        // Ports are looked at only for keys that need them.
        if self.links_fragments {
            self.counts.cut += u64::from(packet.is_cut());
            if packet.fragment().is_some() {
                return self.fragment(frame, observation);
            }
            observation.ports = packet.ports();
        }
        for pipeline in &mut self.pipelines {
            pipeline.offer(frame, &observation);
        }
    }

    /// A fragment: pipelines that look at the transport header wait for the datagram's first fragment.
    fn fragment(&mut self, frame: &Frame<'_>, mut observation: Observation<'_>) {
        self.expire_fragments(frame.time);
        let fate = self.fragments.meet(frame, observation.packet);
        if let Fate::Known(ports) = fate {
            observation.ports = ports;
        }
        for pipeline in &mut self.pipelines {
            if matches!(fate, Fate::Withheld) && pipeline.needs_ports() {
                pipeline.withhold();
            } else {
                pipeline.offer(frame, &observation);
            }
        }
        // A first fragment releases those that came before it.
        while let Some(released) = self.fragments.released() {
            release(&mut self.pipelines, &self.options, &released.frame(), released.ports);
        }
    }

    /// Accounts the fragments whose first one has not come in time, without ports.
    pub fn expire_fragments(&mut self, now: Timestamp) {
        while let Some(expired) = self.fragments.expired(now) {
            release(&mut self.pipelines, &self.options, &expired.frame(), None);
        }
    }

    /// Accounts all fragments that wait: the first ones that they wait for will not come.
    pub fn release_fragments(&mut self) {
        self.expire_fragments(Timestamp::MAX);
    }

    /// Sets the numbers of the interfaces, 0 where they are not known.
    pub fn set_interfaces(&mut self, in_iface: u32, out_iface: u32) {
        (self.options.in_iface, self.options.out_iface) = (in_iface, out_iface);
    }

    /// When the oldest withheld fragment expires.
    pub fn next_expiry(&self) -> Option<Timestamp> {
        self.fragments.next_expiry()
    }

    /// Publishes batches that are older than [`BATCH_AGE`]. Returns how long the next one still has.
    pub fn publish_old(&mut self, now: Instant) -> Option<Duration> {
        self.pipelines.iter_mut().filter_map(|pipeline| pipeline.publish_old(now)).min()
    }

    /// Publishes everything and returns the number of batches that the pipeline has published.
    pub fn publish(&mut self, pipeline: usize) -> Option<u64> {
        self.pipelines.get_mut(pipeline).map(Pipeline::publish)
    }

    /// Publishes everything, whatever its age.
    pub fn publish_all(&mut self) {
        for pipeline in &mut self.pipelines {
            pipeline.publish();
        }
    }

    /// The end: nothing is withheld any longer, everything is published, the pipes are closed. Returns the
    /// final counts.
    pub fn finish(mut self, source: SourceCounts) -> Report {
        self.release_fragments();
        self.publish_all();
        self.report(source)
        // Dropping the writers tells the readers that this was all.
    }
}

/// Accounts a fragment that was withheld, for the pipelines that waited for it.
fn release(pipelines: &mut [Pipeline], options: &Options, frame: &Frame<'_>, ports: Option<(u16, u16)>) {
    // What was decoded before decodes again: the octets kept hold all the headers.
    let Ok(packet) = Packet::decode(frame.link, frame.data, frame.wire_len) else { return };
    let Options { in_iface, out_iface, .. } = *options;
    let observation = Observation { packet: &packet, time: frame.time, ports, in_iface, out_iface };
    for pipeline in pipelines.iter_mut().filter(|pipeline| pipeline.needs_ports()) {
        pipeline.release(frame, &observation);
    }
}
