//! Later fragments get the ports of their datagram's first fragment, whichever comes first.
//!
//! Only the first fragment of a datagram (RFC 791, RFC 8200 section 4.5) carries the transport header. Where
//! a key needs it, later fragments wait for the first one: the octets of their headers are kept, and
//! accounted when it comes. What waits longer than [`LIFETIME`] of packet time is accounted without ports;
//! so is what finds no room. Nothing is lost and memory is bounded.

use std::collections::VecDeque;
use std::time::Duration;

use foldhash::fast::RandomState;
use hashbrown::HashMap;
use rpmacct_capture::Frame;
use rpmacct_packet::{LinkType, Packet, Timestamp};

/// How long a datagram is remembered, from its first fragment seen. The peer's lifetime, and that of
/// RFC 791 section 3.2.
pub(crate) const LIFETIME: Duration = Duration::from_secs(60);

/// Octets of headers that are kept of a withheld fragment.
const KEPT: usize = 160;

/// How fragments are held together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FragmentOptions {
    /// Bytes of memory for all datagrams and withheld fragments.
    pub memory: usize,
    /// Link fragments even if no key needs it.
    pub always: bool,
}

impl Default for FragmentOptions {
    fn default() -> Self {
        Self { memory: 4_096_000, always: false }
    }
}

/// A datagram: RFC 791's and RFC 8200's identification.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Datagram {
    src: [u8; 16],
    dst: [u8; 16],
    id: u32,
    proto: u8,
    v6: bool,
}

#[derive(Debug)]
struct Entry {
    /// The first fragment, once it came.
    first: Option<First>,
    /// Fragments that wait for it, as a list through `Withheld::next`.
    waiting: Option<Waiting>,
}

/// The ends of a list of withheld fragments.
#[derive(Debug, Clone, Copy)]
struct Waiting {
    first: u32,
    last: u32,
}

/// What a first fragment says of the others.
#[derive(Debug, Clone, Copy)]
struct First {
    ports: Option<(u16, u16)>,
}

/// The octets of a fragment that waits.
#[derive(Debug, Clone)]
struct Withheld {
    next: Option<u32>,
    len: u16,
    link: LinkType,
    wire_len: u32,
    interface: u32,
    time: Timestamp,
    data: [u8; KEPT],
}

/// A fragment that waits no longer.
#[derive(Debug)]
pub(crate) struct Released {
    withheld: Withheld,
    /// The ports of its datagram, if the first fragment came and had some.
    pub(crate) ports: Option<(u16, u16)>,
}

impl Released {
    pub(crate) fn frame(&self) -> Frame<'_> {
        let Withheld { time, link, wire_len, interface, ref data, len, .. } = self.withheld;
        Frame { time, link, wire_len, interface, data: &data[..usize::from(len)] }
    }
}

/// What becomes of a fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is accounted now, with these ports.
    Known(Option<(u16, u16)>),
    /// It waits for the first one.
    Withheld,
}

/// Datagrams of which fragments were seen.
#[derive(Debug)]
pub(crate) struct Fragments {
    datagrams: HashMap<Datagram, Entry, RandomState>,
    /// When each was made, in that order.
    by_age: VecDeque<(Timestamp, Datagram)>,
    /// Slots of withheld fragments; those in `free` are not in use.
    withheld: Vec<Withheld>,
    free: Vec<u32>,
    /// Fragments that may go, and their ports.
    releasing: Option<u32>,
    releasing_ports: Option<(u16, u16)>,
    max_datagrams: usize,
    max_withheld: usize,
}

impl Fragments {
    pub(crate) fn new(options: &FragmentOptions) -> Self {
        // A quarter for the datagrams, the rest for what waits.
        let datagram = size_of::<(Datagram, Entry)>() + size_of::<(Timestamp, Datagram)>();
        Self {
            datagrams: HashMap::with_hasher(RandomState::default()),
            by_age: VecDeque::new(),
            withheld: Vec::new(),
            free: Vec::new(),
            releasing: None,
            releasing_ports: None,
            max_datagrams: (options.memory / 4 / datagram).max(1),
            max_withheld: (options.memory / 4 * 3 / size_of::<Withheld>()).max(1),
        }
    }

    /// Decides what becomes of a fragment. After a first fragment, [`Self::released`] has those that waited.
    ///
    /// Of a fragment that waits only so many octets are kept; `still_shows` says whether they still show it.
    pub(crate) fn meet(
        &mut self,
        frame: &Frame<'_>,
        packet: &Packet<'_>,
        still_shows: impl FnOnce(&Frame<'_>) -> bool,
    ) -> Fate {
        let Some(fragment) = packet.fragment() else { return Fate::Known(packet.ports()) };
        let ports = packet.ports();
        let key = Datagram {
            src: padded(packet.src_octets()),
            dst: padded(packet.dst_octets()),
            id: fragment.id,
            proto: packet.proto(),
            v6: packet.is_ipv6(),
        };
        let known = self.datagrams.contains_key(&key);
        if !known && self.datagrams.len() >= self.max_datagrams {
            return Fate::Known(ports);
        }
        if !known {
            self.by_age.push_back((frame.time, key));
        }
        let entry = self.datagrams.entry(key).or_insert(Entry { first: None, waiting: None });
        if fragment.is_first() {
            entry.first = Some(First { ports });
            self.releasing = entry.waiting.take().map(|waiting| waiting.first);
            self.releasing_ports = ports;
            return Fate::Known(ports);
        }
        if let Some(first) = entry.first {
            return Fate::Known(first.ports);
        }
        self.withhold(frame, &key, still_shows)
    }

    /// The next fragment that a first fragment has set free, oldest first.
    pub(crate) fn released(&mut self) -> Option<Released> {
        let slot = self.releasing?;
        let withheld = self.withheld[slot as usize].clone();
        self.releasing = withheld.next;
        self.free.push(slot);
        Some(Released { withheld, ports: self.releasing_ports })
    }

    /// The next fragment that has waited too long at `now`.
    pub(crate) fn expired(&mut self, now: Timestamp) -> Option<Released> {
        loop {
            if let Some(released) = self.released() {
                return Some(released);
            }
            let (created, datagram) = *self.by_age.front()?;
            if created.saturating_add(LIFETIME) > now && now != Timestamp::MAX {
                return None;
            }
            self.by_age.pop_front();
            if let Some(entry) = self.datagrams.remove(&datagram) {
                self.releasing = entry.waiting.map(|waiting| waiting.first);
                self.releasing_ports = None;
            }
        }
    }

    /// When the oldest datagram expires.
    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        self.by_age.front().map(|(created, _)| created.saturating_add(LIFETIME))
    }

    fn withhold(
        &mut self,
        frame: &Frame<'_>,
        datagram: &Datagram,
        still_shows: impl FnOnce(&Frame<'_>) -> bool,
    ) -> Fate {
        let len = frame.data.len().min(KEPT);
        let mut data = [0; KEPT];
        data[..len].copy_from_slice(&frame.data[..len]);
        // Headers that are longer than what is kept can't wait.
        if !still_shows(&Frame { data: &data[..len], ..*frame })
            || (self.free.is_empty() && self.withheld.len() >= self.max_withheld)
        {
            return Fate::Known(None);
        }
        let Frame { time, link, wire_len, interface, .. } = *frame;
        let withheld = Withheld { next: None, len: len as u16, link, wire_len, interface, time, data };
        let slot = if let Some(slot) = self.free.pop() {
            self.withheld[slot as usize] = withheld;
            slot
        } else {
            self.withheld.push(withheld);
            self.withheld.len() as u32 - 1
        };
        let Some(entry) = self.datagrams.get_mut(datagram) else { return Fate::Known(None) };
        match &mut entry.waiting {
            None => entry.waiting = Some(Waiting { first: slot, last: slot }),
            Some(Waiting { last, .. }) => {
                self.withheld[*last as usize].next = Some(slot);
                *last = slot;
            }
        }
        Fate::Withheld
    }
}

fn padded(octets: &[u8]) -> [u8; 16] {
    let mut padded = [0; 16];
    let len = octets.len().min(16);
    padded[..len].copy_from_slice(&octets[..len]);
    padded
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A raw IPv4 packet: UDP 1000 → 2000 in the first fragment, `offset` in units of 8 octets.
    fn fragment(id: u8, offset: u8, more: bool) -> Vec<u8> {
        let flags = if more { 0x20 } else { 0 };
        let mut packet = vec![
            0x45, 0, 0, 36, 0, id, flags, offset, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2, //
        ];
        packet.extend_from_slice(&[0x03, 0xe8, 0x07, 0xd0, 0, 16, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8]);
        packet
    }

    const RAW: LinkType = LinkType(101);
    const PORTS: Option<(u16, u16)> = Some((1000, 2000));

    fn meet(fragments: &mut Fragments, secs: i64, data: &[u8]) -> Fate {
        let time = Timestamp::from_secs_nanos(secs, 0);
        let frame = Frame { time, link: RAW, wire_len: data.len() as u32, data, interface: 0 };
        fragments.meet(&frame, &Packet::decode(RAW, data, frame.wire_len).unwrap(), |_| true)
    }

    fn offsets(released: &[Released]) -> Vec<(u8, Option<(u16, u16)>)> {
        released.iter().map(|r| (r.frame().data[7], r.ports)).collect()
    }

    fn drain(mut next: impl FnMut() -> Option<Released>) -> Vec<(u8, Option<(u16, u16)>)> {
        let mut all = Vec::new();
        while let Some(one) = next() {
            all.push(one);
        }
        offsets(&all)
    }

    #[test]
    fn later_fragments_get_the_first_ones_ports() {
        let mut fragments = Fragments::new(&FragmentOptions::default());
        assert_eq!(meet(&mut fragments, 0, &fragment(1, 0, true)), Fate::Known(PORTS));
        assert_eq!(meet(&mut fragments, 0, &fragment(1, 2, true)), Fate::Known(PORTS));
        assert_eq!(meet(&mut fragments, 0, &fragment(2, 2, false)), Fate::Withheld, "another datagram");
    }

    #[test]
    fn order_does_not_matter() {
        let mut fragments = Fragments::new(&FragmentOptions::default());
        assert_eq!(meet(&mut fragments, 0, &fragment(1, 4, false)), Fate::Withheld);
        assert_eq!(meet(&mut fragments, 1, &fragment(1, 2, true)), Fate::Withheld);
        assert!(fragments.released().is_none());
        assert_eq!(meet(&mut fragments, 2, &fragment(1, 0, true)), Fate::Known(PORTS));
        assert_eq!(drain(|| fragments.released()), [(4, PORTS), (2, PORTS)]);
    }

    #[test]
    fn what_waits_in_vain_expires_by_packet_time() {
        let mut fragments = Fragments::new(&FragmentOptions::default());
        meet(&mut fragments, 100, &fragment(1, 2, true));
        meet(&mut fragments, 130, &fragment(1, 4, true));
        let at = |secs| Timestamp::from_secs_nanos(secs, 0);
        assert!(drain(|| fragments.expired(at(159))).is_empty());
        assert_eq!(drain(|| fragments.expired(at(160))), [(2, None), (4, None)]);
        assert_eq!(meet(&mut fragments, 161, &fragment(1, 0, true)), Fate::Known(PORTS));
        assert!(drain(|| fragments.released()).is_empty());
        assert!(drain(|| fragments.expired(Timestamp::MAX)).is_empty());
    }

    #[test]
    fn what_finds_no_room_goes_at_once() {
        let mut fragments = Fragments::new(&FragmentOptions { memory: 1, always: false });
        assert_eq!(meet(&mut fragments, 0, &fragment(1, 2, true)), Fate::Withheld);
        assert_eq!(meet(&mut fragments, 0, &fragment(1, 4, true)), Fate::Known(None), "one may wait");
        assert_eq!(meet(&mut fragments, 0, &fragment(2, 0, true)), Fate::Known(PORTS), "one datagram");
        assert_eq!(meet(&mut fragments, 0, &fragment(2, 2, true)), Fate::Known(None));
        assert_eq!(drain(|| fragments.expired(Timestamp::MAX)), [(2, None)]);
    }
}
