//! Flows: which packet begins one.
//!
//! A flow is what goes one way between two ends: the packets of the same addresses, protocol and ports (zero where
//! the protocol has none). It begins with its first packet, and anew with the first one after a silence, by the
//! packets' own time. A TCP connection that has only begun, or is ending, may be silent for a shorter time than
//! one under way.

use std::sync::Arc;
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use rpmacct_ledger::Tally;
use rpmacct_packet::{Timestamp, protocol};
use rpmacct_primitives::Observation;

/// How flows are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FlowOptions {
    /// Silence that ends a flow.
    pub lifetime: Duration,
    /// Silence that ends a TCP flow under way.
    pub tcp_lifetime: Duration,
    /// Bytes of memory for all flows. When it is full those that were silent longest are forgotten: they count
    /// again if they go on.
    pub memory: usize,
}

impl Default for FlowOptions {
    fn default() -> Self {
        Self { lifetime: Duration::from_secs(60), tcp_lifetime: Duration::from_secs(60), memory: 16_384_000 }
    }
}

/// Silence that ends a TCP flow of which only a SYN was seen.
const SYN_LIFETIME: Duration = Duration::from_secs(60);
/// After a FIN.
const FIN_LIFETIME: Duration = Duration::from_secs(30);
/// After a RST.
const RST_LIFETIME: Duration = Duration::from_secs(10);

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;

/// Source and destination address, ports, protocol, version of IP.
type Key = [u8; 38];

#[derive(Debug, Clone, Copy)]
struct Flow {
    last: Timestamp,
    state: State,
}

/// What decides how long a flow may be silent. In the order in which a connection goes through them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum State {
    /// No TCP.
    Plain,
    Begun,
    UnderWay,
    Ending,
    Broken,
}

/// The flows that go on.
#[derive(Debug)]
pub(crate) struct Flows {
    table: HashMap<Key, Flow, RandomState>,
    options: FlowOptions,
    max: usize,
    /// How many were forgotten that might have gone on.
    forgotten: Arc<Tally>,
}

impl Flows {
    pub(crate) fn new(options: FlowOptions) -> Self {
        // The table doubles: so many places fit, and seven eighths of them are used at most.
        let places = options.memory / (size_of::<(Key, Flow)>() + 1);
        let max = places.checked_ilog2().map_or(1, |doublings| ((1 << doublings) * 7 / 8).max(1));
        Self { table: HashMap::with_hasher(RandomState::default()), options, max, forgotten: Arc::default() }
    }

    /// How many flows were forgotten for want of room, though they might have gone on.
    pub(crate) fn forgotten(&self) -> Arc<Tally> {
        Arc::clone(&self.forgotten)
    }

    /// Whether a flow begins with this packet.
    pub(crate) fn begins(&mut self, observation: &Observation<'_>) -> bool {
        let Observation { packet, time, .. } = *observation;
        if !packet.is_ip() {
            return false;
        }
        let key = key(observation);
        let now = state(packet.proto(), packet.tcp_flags());
        if let Some(flow) = self.table.get_mut(&key) {
            let is_over = flow.last.saturating_add(self.options.silence(flow.state)) < time;
            flow.state = if is_over { now } else { flow.state.max(now) };
            // Where frames are not in order, time goes on all the same.
            flow.last = flow.last.max(time);
            return is_over;
        }
        if self.table.len() >= self.max {
            self.forget(time);
        }
        self.table.insert(key, Flow { last: time, state: now });
        true
    }

    /// Forgets all flows: time begins anew.
    pub(crate) fn clear(&mut self) {
        self.table.clear();
    }

    /// Makes room for an eighth of the table: flows that are over go, then those that were silent longest.
    #[cold]
    fn forget(&mut self, now: Timestamp) {
        let Self { table, options, max, forgotten } = self;
        table.retain(|_, flow| flow.last.saturating_add(options.silence(flow.state)) >= now);
        let wanted = *max - max.div_ceil(8);
        if table.len() <= wanted {
            return;
        }
        let mut times: Vec<Timestamp> = table.values().map(|flow| flow.last).collect();
        let surplus = times.len() - wanted;
        forgotten.add(surplus as u64);
        let (_, oldest_kept, _) = times.select_nth_unstable(surplus - 1);
        let mut surplus = surplus;
        table.retain(|_, flow| {
            let goes = surplus > 0 && flow.last <= *oldest_kept;
            surplus -= usize::from(goes);
            !goes
        });
    }
}

impl FlowOptions {
    fn silence(&self, state: State) -> Duration {
        match state {
            State::Plain => self.lifetime,
            State::Begun => SYN_LIFETIME,
            State::UnderWay => self.tcp_lifetime,
            State::Ending => FIN_LIFETIME,
            State::Broken => RST_LIFETIME,
        }
    }
}

fn key(observation: &Observation<'_>) -> Key {
    let Observation { packet, ports, .. } = observation;
    let (src_port, dst_port) = ports.unwrap_or_default();
    let (src, dst) = (packet.src_octets(), packet.dst_octets());
    let mut key = [0; 38];
    key[..src.len()].copy_from_slice(src);
    key[16..16 + dst.len()].copy_from_slice(dst);
    key[32..34].copy_from_slice(&src_port.to_be_bytes());
    key[34..36].copy_from_slice(&dst_port.to_be_bytes());
    key[36] = packet.proto();
    key[37] = u8::from(packet.is_ipv6());
    key
}

fn state(proto: u8, tcp_flags: Option<u8>) -> State {
    match tcp_flags {
        _ if proto != protocol::TCP => State::Plain,
        Some(flags) if flags & RST != 0 => State::Broken,
        Some(flags) if flags & FIN != 0 => State::Ending,
        Some(flags) if flags & SYN != 0 => State::Begun,
        _ => State::UnderWay,
    }
}

#[cfg(test)]
mod tests {
    use rpmacct_packet::{LinkType, Packet};

    use super::*;

    const ICMP: u8 = protocol::ICMP;

    /// Whether a raw IPv4 packet of this sender, protocol and TCP flags begins a flow at that second.
    fn begins(flows: &mut Flows, sec: i64, src: u8, proto: u8, flags: u8) -> bool {
        let mut data = vec![0x45, 0, 0, 40, 0, 0, 0, 0, 64, proto, 0, 0, 10, 0, 0, src, 10, 0, 0, 99];
        data.extend_from_slice(&[0, 80, 0, 81, 0, 0, 0, 0, 0, 0, 0, 0, 0x50, flags, 0, 0, 0, 0, 0, 0]);
        let packet = Packet::decode(LinkType::RAW, &data, 40).unwrap();
        let time = Timestamp::from_secs_nanos(sec, 0);
        flows.begins(&Observation { ports: packet.ports(), ..Observation::new(&packet, time) })
    }

    #[test]
    fn a_flow_begins_anew_after_silence() {
        let options = FlowOptions { tcp_lifetime: Duration::from_secs(100), ..FlowOptions::default() };
        let mut flows = Flows::new(options);
        let mut at = |sec, src, proto, flags| begins(&mut flows, sec, src, proto, flags);
        assert!(at(0, 1, 17, 0) && at(0, 2, 17, 0) && at(0, 1, ICMP, 0), "each is its own");
        assert!(!at(60, 1, 17, 0));
        assert!(at(121, 1, 17, 0));
        assert!(!at(121, 1, 17, 0) && !at(90, 1, 17, 0), "time that goes back begins nothing");
        assert!(at(61, 1, ICMP, 0));
    }

    #[test]
    fn connections_end_sooner_than_they_go_on() {
        let options = FlowOptions { tcp_lifetime: Duration::from_secs(100), ..FlowOptions::default() };
        for (flags, silence) in [(SYN, 60), (0x10, 100), (0x10 | FIN, 30), (RST, 10)] {
            let mut flows = Flows::new(options);
            assert!(begins(&mut flows, 0, 1, 6, flags));
            assert!(!begins(&mut flows, silence, 1, 6, flags), "{flags}");
            assert!(begins(&mut flows, 2 * silence + 1, 1, 6, flags), "{flags}");
        }
        let mut flows = Flows::new(options);
        assert!(begins(&mut flows, 0, 1, 6, SYN));
        assert!(!begins(&mut flows, 1, 1, 6, 0x10) && !begins(&mut flows, 100, 1, 6, 0x10), "under way");
        assert!(!begins(&mut flows, 101, 1, 6, FIN) && !begins(&mut flows, 102, 1, 6, 0x10), "the last ACK");
        assert!(begins(&mut flows, 140, 1, 6, SYN), "the next connection");
    }

    #[test]
    fn memory_is_bounded_and_the_most_silent_are_forgotten() {
        let mut flows = Flows::new(FlowOptions { memory: 64 * 57, ..FlowOptions::default() });
        let max = flows.max;
        for src in 0..200 {
            assert!(begins(&mut flows, i64::from(src) / 10, src, 17, 0));
            assert!(flows.table.len() <= max);
        }
        assert_eq!(flows.forgotten.count() as usize + flows.table.len(), 200, "none was over");
        assert!(!begins(&mut flows, 20, 199, 17, 0), "it came last");
        assert!(begins(&mut flows, 20, 0, 17, 0), "it came first, and is forgotten");
    }

    #[test]
    fn flows_that_are_over_are_not_counted_as_forgotten() {
        let mut flows = Flows::new(FlowOptions { memory: 64 * 57, ..FlowOptions::default() });
        for src in 0..200 {
            // Two live at any time.
            assert!(begins(&mut flows, i64::from(src) * 31, src, 17, 0));
        }
        assert_eq!(flows.forgotten.count(), 0);
    }
}
