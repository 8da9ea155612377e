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
mod flows;
mod fragments;
mod pipeline;
mod repeats;
mod run;
mod seen;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub use control::Control;
pub use counts::{FrameCounts, PipelineCounts, Report, SourceCounts};
pub use flows::FlowOptions;
use flows::Flows;
pub use fragments::FragmentOptions;
use fragments::{Fate, Fragments};
pub use pipeline::Pipeline;
use rpmacct_capture::{Filter, Frame};
use rpmacct_ledger::Tally;
use rpmacct_packet::{Packet, Skip, Timestamp, TunnelRule};
use rpmacct_primitives::{Needs, Observation};
pub use run::{Clock, SavefileOptions, run_idle, run_live, run_savefile};
use seen::Seen;

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
    /// How flows are told apart.
    pub flows: FlowOptions,
    /// Tunnels whose packets are accounted in place of the packets around them.
    pub tunnels: Vec<TunnelRule>,
    /// Account frames that carry no IP, too.
    pub unknown_etype: bool,
}

/// Frames in, records out.
pub struct Core {
    pipelines: Vec<Pipeline>,
    options: Options,
    fragments: Fragments,
    flows: Flows,
    /// What the schemas of all pipelines need.
    needs: Needs,
    /// Whether any pipeline needs ports, so that fragments are linked to their first one.
    links_fragments: bool,
    /// Whether more than the outermost IP packet may be wanted of a frame.
    looks_within: bool,
    counts: FrameCounts,
    /// What the kernel dropped, for others to watch.
    drops: Arc<Tally>,
    /// Time of the latest frame; the earliest of all times before there was one.
    latest: Timestamp,
}

impl Core {
    /// A core that feeds `pipelines`.
    pub fn new(pipelines: Vec<Pipeline>, options: Options) -> Self {
        let needs = pipelines.iter().map(Pipeline::needs).fold(Needs::default(), Needs::or);
        let links_fragments = options.fragments.always || needs.ports;
        let looks_within = needs.tunnel || options.unknown_etype || !options.tunnels.is_empty();
        let fragments = Fragments::new(&options.fragments);
        let flows = Flows::new(options.flows);
        Self {
            pipelines,
            options,
            fragments,
            flows,
            needs,
            links_fragments,
            looks_within,
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

    /// Flows that were forgotten because there was no more room, though they might have gone on: those that did
    /// count twice.
    pub fn forgotten_flows(&self) -> Arc<Tally> {
        self.flows.forgotten()
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
        if self.looks_within {
            match Seen::of(frame, &self.options, self.needs) {
                Ok(seen) => self.account(frame, seen.observation(frame, &self.options)),
                Err(skip) => self.skip(skip),
            }
            return;
        }
        // Mostly nobody wants to know more than the outermost packet; it is accounted where it is decoded.
        match Packet::decode(frame.link, frame.data, frame.wire_len) {
            Ok(packet) => {
                let Options { in_iface, out_iface, .. } = self.options;
                let observation =
                    Observation { in_iface, out_iface, ..Observation::new(&packet, frame.time) };
                self.account(frame, observation);
            }
            Err(skip) => self.skip(skip),
        }
    }

    /// Counts a frame that is not accounted.
    #[cold]
    fn skip(&mut self, skip: Skip) {
        match skip {
            Skip::NotIp => self.counts.not_ip += 1,
            Skip::Undecodable(reason) => self.counts.undecodable[reason.index()] += 1,
        }
    }

    /// Offers a packet, whose ports are still missing, to the pipelines.
    #[inline(always)]
    #[allow(clippy::inline_always, reason = "what was decoded is then used where it lies")]
    fn account(&mut self, frame: &Frame<'_>, mut observation: Observation<'_>) {
        self.counts.accounted += 1;
        // Ports are looked at only for keys that need them.
        if self.links_fragments {
            let packet = observation.packet;
            self.counts.cut += u64::from(packet.is_cut());
            if packet.fragment().is_some() {
                return self.fragment(frame, observation);
            }
            observation.ports = packet.ports();
            if self.needs.flows {
                observation.new_flow = self.flows.begins(&observation);
            }
        }
        for pipeline in &mut self.pipelines {
            pipeline.offer(frame, &observation);
        }
    }

    /// A fragment: pipelines that look at the transport header wait for the datagram's first fragment.
    fn fragment(&mut self, frame: &Frame<'_>, mut observation: Observation<'_>) {
        self.expire_fragments(frame.time);
        let Self { fragments, options, needs, .. } = self;
        let still_shows = |kept: &Frame<'_>| {
            Seen::of(kept, options, *needs).is_ok_and(|seen| seen.packet().fragment().is_some())
        };
        let fate = fragments.meet(frame, observation.packet, still_shows);
        if let Fate::Known(ports) = fate {
            observation.ports = ports;
            if self.needs.flows {
                observation.new_flow = self.flows.begins(&observation);
            }
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
            self.release(&released.frame(), released.ports);
        }
    }

    /// Accounts the fragments whose first one has not come in time, without ports.
    pub fn expire_fragments(&mut self, now: Timestamp) {
        while let Some(expired) = self.fragments.expired(now) {
            self.release(&expired.frame(), None);
        }
    }

    /// Accounts all fragments that wait: the first ones that they wait for will not come.
    pub fn release_fragments(&mut self) {
        self.expire_fragments(Timestamp::MAX);
    }

    /// The capture file is read again, from its first frame on: what it said of flows and fragments is over.
    pub fn rewind(&mut self) {
        self.release_fragments();
        self.flows.clear();
    }

    /// Accounts a fragment that was withheld, for the pipelines that waited for it.
    fn release(&mut self, frame: &Frame<'_>, ports: Option<(u16, u16)>) {
        // What was understood before is understood again: the octets kept hold all the headers.
        let Ok(seen) = Seen::of(frame, &self.options, self.needs) else { return };
        let mut observation = Observation { ports, ..seen.observation(frame, &self.options) };
        if self.needs.flows {
            observation.new_flow = self.flows.begins(&observation);
        }
        for pipeline in self.pipelines.iter_mut().filter(|pipeline| pipeline.needs_ports()) {
            pipeline.release(frame, &observation);
        }
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
