//! Savefiles: pcap (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng).
//!
//! The file is mapped into memory and frames are slices of it: nothing is copied, nothing is allocated per
//! frame. `pcap-parser` reads the rare blocks: file and section headers, interface descriptions. Packet
//! records are walked here, because it collects the options of each packet block in a `Vec` (14 ns a frame
//! where this takes 8, even without options), and knows neither the obsolete packet block, nor byte-swapped
//! "modified" files, nor the order of lengths in pcap files before version 2.4.

use std::fmt;
use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use pcap_parser::parse_pcap_header;
use pcap_parser::pcapng::{
    InterfaceDescriptionBlock, OptionCode, parse_interfacedescriptionblock_be,
    parse_interfacedescriptionblock_le, parse_sectionheaderblock,
};
use rpmacct_packet::{LinkType, Timestamp};

use crate::frame::Frame;
use crate::map::FileBytes;
use crate::prefetch::prefetch;

/// A capture file, read frame by frame.
///
/// ```no_run
/// # fn main() -> Result<(), rpmacct_capture::SavefileError> {
/// let mut savefile = rpmacct_capture::Savefile::open("traffic.pcap".as_ref())?;
/// while let Some(frame) = savefile.next() {
///     let frame = frame?;
///     println!("{} bytes", frame.wire_len);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Savefile {
    path: PathBuf,
    bytes: FileBytes,
    walk: Walk,
    /// The walk at the first packet.
    start: Walk,
}

impl Savefile {
    /// Opens the file at `path`; `-` is standard input. What is not a regular file is read to its end at
    /// once.
    ///
    /// It is an error if no frame of the file could be decoded: the link type of a pcap file is not
    /// supported, or that of no interface that a pcapng file describes before its first packet. Other
    /// interfaces come to light later; their frames are given as they are.
    pub fn open(path: &Path) -> Result<Self, SavefileError> {
        let bytes = FileBytes::open(path).map_err(|source| {
            let path = path.to_owned();
            SavefileError::Open { path, source }
        })?;
        Self::new(path, bytes)
    }

    fn new(path: &Path, bytes: FileBytes) -> Result<Self, SavefileError> {
        let walk = Walk::open(&bytes).map_err(|fault| fault.at(path))?;
        Ok(Self { path: path.to_owned(), bytes, start: walk.clone(), walk })
    }

    /// The next frame, `None` at the end of the file and after an error.
    ///
    /// A lending iterator: the frame is borrowed until the next call.
    #[expect(clippy::should_implement_trait, reason = "Iterator cannot lend")]
    #[inline]
    pub fn next(&mut self) -> Option<Result<Frame<'_>, SavefileError>> {
        match self.walk.next(&self.bytes)? {
            Ok(record) => Some(Ok(record.frame(&self.bytes))),
            Err(fault) => Some(Err(fault.at(&self.path))),
        }
    }

    /// Reads up to `most` frames, and calls `each` for each of them. Returns how many there were: 0 at the end of
    /// the file and after an error.
    ///
    /// It gives what [`Self::next`] gives; but it finds some frames of a pcap file before it gives them, so that
    /// the processor fetches several of them from memory at once.
    #[inline]
    pub fn read(&mut self, most: usize, mut each: impl FnMut(&Frame<'_>)) -> Result<usize, SavefileError> {
        let Self { path, bytes, walk, .. } = self;
        let mut frames = [Record::NONE.frame(bytes); BURST];
        let mut read = 0;
        while read < most {
            let wanted = BURST.min(most - read);
            let mut found = walk.burst(bytes, &mut frames[..wanted]);
            if found == 0 {
                match walk.next(bytes) {
                    Some(Ok(record)) => (frames[0], found) = (record.frame(bytes), 1),
                    Some(Err(fault)) => return Err(fault.at(path)),
                    None => break,
                }
            }
            frames[..found].iter().for_each(&mut each);
            read += found;
        }
        Ok(read)
    }

    /// Goes back to the first frame.
    pub fn rewind(&mut self) {
        self.walk.clone_from(&self.start);
    }

    /// The link types that are known by now: that of a pcap file, or those of the interfaces that the current
    /// section of a pcapng file has described so far.
    pub fn links(&self) -> impl Iterator<Item = LinkType> + '_ {
        self.walk.interfaces.iter().map(|interface| interface.link)
    }

    /// Where the file is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// What went wrong with a capture file.
#[derive(Debug, thiserror::Error)]
pub enum SavefileError {
    /// The file cannot be opened or read.
    #[error("cannot open {}: {}", path.display(), Cause(source))]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file begins neither like a pcap file nor like a pcapng file.
    #[error("cannot read {}: neither a pcap nor a pcapng file", path.display())]
    NotACapture {
        /// The file.
        path: PathBuf,
    },
    /// None of the file's frames could be decoded.
    #[error("cannot read {}: unsupported link type {link}; supported are {}", path.display(), LinkType::supported_names())]
    LinkType {
        /// The file.
        path: PathBuf,
        /// The link type of its (first) interface.
        link: LinkType,
    },
    /// The file ends within a record. All records before were whole.
    #[error("{} is cut off at byte {end}, within the record that begins at byte {offset}", path.display())]
    Cut {
        /// The file.
        path: PathBuf,
        /// Where the record begins, in bytes from the start of the file.
        offset: u64,
        /// Length of the file, in bytes.
        end: u64,
    },
    /// A record contradicts itself, so that the records behind it cannot be found.
    #[error("{} is damaged at byte {offset}: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where the record begins, in bytes from the start of the file.
        offset: u64,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// An error of the system without `(os error 2)`, as programs have always written it.
struct Cause<'a>(&'a io::Error);

impl fmt::Display for Cause<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        f.write_str(text.rsplit_once(" (os error ").map_or(&text, |(text, _)| text))
    }
}

/// An error that does not know its file yet.
#[derive(Debug, PartialEq, Eq)]
enum Fault {
    NotACapture,
    LinkType(LinkType),
    Cut { offset: usize, end: usize },
    Damaged { offset: usize, what: &'static str },
}

impl Fault {
    #[cold]
    fn at(self, path: &Path) -> SavefileError {
        let path = path.to_owned();
        match self {
            Self::NotACapture => SavefileError::NotACapture { path },
            Self::LinkType(link) => SavefileError::LinkType { path, link },
            Self::Cut { offset, end } => SavefileError::Cut { path, offset: offset as u64, end: end as u64 },
            Self::Damaged { offset, what } => SavefileError::Damaged { path, offset: offset as u64, what },
        }
    }
}

/// The order of bytes in a file or section.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    Little,
    Big,
}

impl Order {
    /// The number at the offset `at` of `bytes`; `None` if they end before.
    #[inline]
    fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let octets = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(octets),
            Self::Big => u32::from_be_bytes(octets),
        })
    }

    #[inline]
    fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let octets = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Little => u16::from_le_bytes(octets),
            Self::Big => u16::from_be_bytes(octets),
        })
    }
}

/// A packet record, found but not lent yet.
#[derive(Debug, PartialEq, Eq)]
struct Record {
    time: Timestamp,
    link: LinkType,
    wire_len: u32,
    interface: u32,
    /// Invariant: within the file.
    data: Range<usize>,
}

impl Record {
    const NONE: Self =
        Self { time: Timestamp::ZERO, link: LinkType::ETHERNET, wire_len: 0, interface: 0, data: 0..0 };

    #[inline]
    fn frame(self, file: &[u8]) -> Frame<'_> {
        let Self { time, link, wire_len, interface, data } = self;
        Frame { time, link, wire_len, data: &file[data], interface }
    }
}

/// A place in a file, and what the blocks before it said.
#[derive(Debug, Clone)]
struct Walk {
    format: Format,
    /// The next record or block, in bytes from the start of the file. Invariant: within the file or at its
    /// end.
    at: usize,
    /// Those of the current section; a pcap file has one.
    interfaces: Vec<Interface>,
}

#[derive(Debug, Clone, Copy)]
enum Format {
    Pcap(Pcap),
    Pcapng(Order),
}

/// How the records of a pcap file are laid out.
#[derive(Debug, Clone, Copy)]
struct Pcap {
    order: Order,
    /// Whether the fractions of the seconds are nanoseconds, else microseconds.
    nanos: bool,
    /// Octets of a record's header: four numbers, and in "modified" files eight octets of interface, protocol
    /// and packet type.
    record_header: usize,
    /// The longest record that is believed, in bytes.
    max_captured: u32,
    lengths: Lengths,
}

/// The order of a record's two lengths; it changed between versions 2.2 and 2.4.
#[derive(Debug, Clone, Copy)]
enum Lengths {
    CapturedFirst,
    CapturedSecond,
    /// Programs disagreed, but the captured length is not the greater one.
    SmallerIsCaptured,
}

/// What an interface description block says.
#[derive(Debug, Clone, Copy)]
struct Interface {
    link: LinkType,
    /// The longest capture of a frame, in bytes; 0 for no limit.
    snaplen: u32,
    clock: Clock,
}

/// How an interface of a pcapng file counts time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Clock {
    /// What one tick lasts.
    tick: Tick,
    /// Seconds to add.
    offset: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tick {
    /// So many nanoseconds.
    Nanos(u64),
    /// A nanosecond by this. (`u64::MAX` for clocks so fast that no capture can be on them.)
    OfNano(u64),
    /// A second by two to the power of this.
    Binary(u8),
}

/// `LINKTYPE_` values have 16 bits; pcap files have the length of the frame check sequence above them.
const LINK_MASK: u32 = 0xffff;

/// The longest snapshot length that libpcap uses itself, in bytes; headers with less are often wrong.
const USUAL_SNAPLEN: u32 = 262_144;
/// Beyond this, in bytes, a record is damaged rather than long, whatever the file header says. (libpcap
/// allows it for USB.)
const MAX_SNAPLEN: u32 = 128 << 20;

const PCAP_HEADER: usize = 24;
/// Octets before the frame in a record of a pcap file that is not "modified".
const USUAL_RECORD_HEADER: usize = 16;

/// How far ahead of the walk memory is asked for, in bytes.
const AHEAD: usize = 2048;

/// Frames that are found before they are given.
const BURST: usize = 16;

mod block {
    pub(super) const SECTION: u32 = 0x0a0d_0d0a;
    pub(super) const INTERFACE: u32 = 1;
    pub(super) const OBSOLETE_PACKET: u32 = 2;
    pub(super) const SIMPLE_PACKET: u32 = 3;
    pub(super) const ENHANCED_PACKET: u32 = 6;
    /// Type, length, and length again at the end.
    pub(super) const MIN_LEN: usize = 12;
    /// Where the body begins.
    pub(super) const BODY: usize = 8;
}

impl Walk {
    fn open(file: &[u8]) -> Result<Self, Fault> {
        if file.starts_with(&block::SECTION.to_le_bytes()) {
            Self::open_pcapng(file)
        } else {
            Self::open_pcap(file)
        }
    }

    fn open_pcap(file: &[u8]) -> Result<Self, Fault> {
        const MODIFIED: [u8; 4] = 0xa1b2_cd34_u32.to_be_bytes();
        let (header, modified) = match file.first_chunk::<4>() {
            // pcap-parser reads modified files only in little-endian order.
            Some(&MODIFIED) => {
                (&[&0xa1b2_c3d4_u32.to_be_bytes(), &file[4..file.len().min(PCAP_HEADER)]].concat()[..], true)
            }
            _ => (file, false),
        };
        let (_, header) = parse_pcap_header(header).map_err(|error| match error {
            // The magic was right, or there is too little to tell.
            pcap_parser::nom::Err::Incomplete(_) if file.len() >= 4 => {
                Fault::Cut { offset: 0, end: file.len() }
            }
            _ => Fault::NotACapture,
        })?;
        let link = LinkType(header.network.0.cast_unsigned() & LINK_MASK);
        if !link.is_supported() {
            return Err(Fault::LinkType(link));
        }
        let format = Format::Pcap(Pcap {
            order: if header.is_bigendian() { Order::Big } else { Order::Little },
            nanos: header.is_nanosecond_precision(),
            record_header: if modified || header.is_modified_format() { 24 } else { USUAL_RECORD_HEADER },
            max_captured: header.snaplen.clamp(USUAL_SNAPLEN, MAX_SNAPLEN),
            lengths: match (header.version_major, header.version_minor) {
                (2, ..=2) => Lengths::CapturedSecond,
                (2, 3) => Lengths::SmallerIsCaptured,
                _ => Lengths::CapturedFirst,
            },
        });
        let interface = Interface { link, snaplen: header.snaplen, clock: Clock::default() };
        Ok(Self { format, at: PCAP_HEADER, interfaces: vec![interface] })
    }

    /// Reads on to the first packet, so that bad files and link types are known at once.
    fn open_pcapng(file: &[u8]) -> Result<Self, Fault> {
        let format = Format::Pcapng(Order::Little);
        let mut walk = Self { format, at: 0, interfaces: Vec::new() };
        loop {
            let at = walk.at;
            match walk.next_block(file) {
                Some(Ok(None)) => {}
                Some(Err(fault)) if walk.interfaces.is_empty() => return Err(fault),
                // A packet, or an error that will be met again when the frames are asked for.
                Some(_) | None => {
                    walk.at = at;
                    break;
                }
            }
        }
        if !walk.interfaces.is_empty() && !walk.interfaces.iter().any(|known| known.link.is_supported()) {
            return Err(Fault::LinkType(walk.interfaces[0].link));
        }
        Ok(walk)
    }

    /// The next packet record of `file`, which is the same at every call.
    #[inline]
    fn next(&mut self, file: &[u8]) -> Option<Result<Record, Fault>> {
        match self.format {
            Format::Pcap(pcap) => self.next_record(file, pcap),
            Format::Pcapng(_) => loop {
                match self.next_block(file)? {
                    Ok(Some(record)) => return Some(Ok(record)),
                    Ok(None) => {}
                    Err(fault) => {
                        self.at = file.len();
                        return Some(Err(fault));
                    }
                }
            },
        }
    }

    /// Finds the next frames of a pcap file of the usual layout. Returns how many: fewer than there is room for
    /// before whatever is not a whole record, and none in other files.
    #[inline]
    fn burst<'a>(&mut self, file: &'a [u8], frames: &mut [Frame<'a>]) -> usize {
        let (
            Format::Pcap(Pcap {
                order: Order::Little,
                lengths: Lengths::CapturedFirst,
                record_header: USUAL_RECORD_HEADER,
                nanos,
                max_captured,
            }),
            [Interface { link, .. }, ..],
        ) = (self.format, &*self.interfaces)
        else {
            return 0;
        };
        let nanos_each = if nanos { 1 } else { 1000 };
        let mut found = 0;
        for frame in frames {
            let Some((header, rest)) = file[self.at..].split_first_chunk::<USUAL_RECORD_HEADER>() else {
                break;
            };
            let number =
                |at| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
            let (captured, wire_len) = (number(8), number(12));
            let Some(data) = rest.get(..captured as usize).filter(|_| captured <= max_captured) else {
                break;
            };
            // As `Timestamp::from_secs_micros`: 2³² seconds and as many microseconds are far from the end of time.
            let nanos = i64::from(number(0)) * 1_000_000_000 + i64::from(number(4)) * nanos_each;
            let time = Timestamp::from_nanos(nanos);
            prefetch(file, self.at + AHEAD);
            *frame = Frame { time, link: *link, wire_len: wire_len.max(captured), data, interface: 0 };
            self.at += USUAL_RECORD_HEADER + data.len();
            found += 1;
        }
        found
    }

    /// The next record of a pcap file.
    #[inline]
    fn next_record(&mut self, file: &[u8], pcap: Pcap) -> Option<Result<Record, Fault>> {
        let offset = self.at;
        let rest = file.get(offset..)?;
        if rest.is_empty() {
            return None;
        }
        // Whatever goes wrong, there is nothing behind it.
        self.at = file.len();
        let cut = Fault::Cut { offset, end: file.len() };
        let Some((header, rest)) = rest.split_at_checked(pcap.record_header) else { return Some(Err(cut)) };
        let number = |at| pcap.order.u32(header, at).unwrap_or_default();
        let (captured, wire_len) = match (pcap.lengths, number(8), number(12)) {
            (Lengths::CapturedFirst, captured, wire_len) | (Lengths::CapturedSecond, wire_len, captured) => {
                (captured, wire_len)
            }
            (Lengths::SmallerIsCaptured, a, b) => (a.min(b), a.max(b)),
        };
        if captured > pcap.max_captured {
            return Some(Err(Fault::Damaged { offset, what: "the record is longer than any frame" }));
        }
        if rest.len() < captured as usize {
            return Some(Err(cut));
        }
        let start = offset + pcap.record_header;
        self.at = start + captured as usize;
        let (secs, fraction) = (i64::from(number(0)), number(4));
        Some(Ok(Record {
            time: if pcap.nanos {
                Timestamp::from_secs_nanos(secs, fraction)
            } else {
                Timestamp::from_secs_micros(secs, fraction)
            },
            link: self.interfaces[0].link,
            wire_len: wire_len.max(captured),
            interface: 0,
            data: start..self.at,
        }))
    }

    /// Reads the next block of a pcapng file and gives its packet, if it has one.
    #[inline]
    fn next_block(&mut self, file: &[u8]) -> Option<Result<Option<Record>, Fault>> {
        let offset = self.at;
        let rest = file.get(offset..)?;
        if rest.is_empty() { None } else { Some(self.read_block(file, offset)) }
    }

    #[inline]
    fn read_block(&mut self, file: &[u8], offset: usize) -> Result<Option<Record>, Fault> {
        let rest = &file[offset..];
        let cut = Fault::Cut { offset, end: file.len() };
        let damaged = |what| Fault::Damaged { offset, what };
        // The section header says in which order its own length is.
        let is_section = rest.starts_with(&block::SECTION.to_le_bytes());
        if is_section {
            let magic = rest.get(block::BODY..block::BODY + 4).ok_or(cut)?;
            self.format = Format::Pcapng(match magic {
                [0x4d, 0x3c, 0x2b, 0x1a] => Order::Little,
                [0x1a, 0x2b, 0x3c, 0x4d] => Order::Big,
                _ => return Err(damaged("the section header has no byte order")),
            });
        }
        let Format::Pcapng(order) = self.format else { return Err(Fault::NotACapture) };
        let cut = Fault::Cut { offset, end: file.len() };
        let (Some(kind), Some(len)) = (order.u32(rest, 0), order.u32(rest, 4)) else { return Err(cut) };
        let len = len as usize;
        if len < block::MIN_LEN || !len.is_multiple_of(4) {
            return Err(damaged("the block has an impossible length"));
        }
        let whole = rest.get(..len).ok_or(cut)?;
        if order.u32(whole, len - 4) != Some(len as u32) {
            return Err(damaged("the two lengths of the block differ"));
        }
        self.at = offset + len;
        match kind {
            block::SECTION => {
                parse_sectionheaderblock(whole).map_err(|_| damaged("the section header cannot be read"))?;
                self.interfaces.clear();
                Ok(None)
            }
            block::INTERFACE => {
                let interface = Interface::read(order, whole);
                self.interfaces.push(interface.ok_or(damaged("the interface description cannot be read"))?);
                Ok(None)
            }
            block::ENHANCED_PACKET | block::OBSOLETE_PACKET | block::SIMPLE_PACKET => {
                let body = offset + block::BODY..offset + len - 4;
                self.read_packet(file, kind, order, body).map(Some).map_err(damaged)
            }
            // Statistics, names, secrets, and what is yet to be invented.
            _ => Ok(None),
        }
    }

    /// The packet of a block whose body has the range `body` of `file`.
    #[inline]
    fn read_packet(
        &self,
        file: &[u8],
        kind: u32,
        order: Order,
        body: Range<usize>,
    ) -> Result<Record, &'static str> {
        const SHORT: &str = "the packet block is too short";
        let bytes = &file[body.clone()];
        let number = |at| order.u32(bytes, at).ok_or(SHORT);
        let simple = kind == block::SIMPLE_PACKET;
        let (interface, header) = match kind {
            block::SIMPLE_PACKET => (0, 4),
            // A 16-bit number here, then a count of drops.
            block::OBSOLETE_PACKET => (u32::from(order.u16(bytes, 0).ok_or(SHORT)?), 20),
            _ => (number(0)?, 20),
        };
        let description =
            self.interfaces.get(interface as usize).ok_or("no block describes the packet's interface")?;
        let room = bytes.len().checked_sub(header).ok_or(SHORT)?;
        let (ticks, captured, wire_len) = if simple {
            // Neither time nor captured length: the frame, as far as the interface was to capture it.
            let wire_len = number(0)?;
            let limit = if description.snaplen == 0 { u32::MAX } else { description.snaplen };
            (0, wire_len.min(limit) as usize, wire_len)
        } else {
            let ticks = u64::from(number(4)?) << 32 | u64::from(number(8)?);
            (ticks, number(12)? as usize, number(16)?)
        };
        if captured > room {
            return Err("the packet is longer than its block");
        }
        let start = body.start + header;
        Ok(Record {
            time: if simple { Timestamp::ZERO } else { description.clock.time(ticks) },
            link: description.link,
            wire_len: wire_len.max(captured as u32),
            interface,
            data: start..start + captured,
        })
    }
}

impl Interface {
    fn read(order: Order, whole: &[u8]) -> Option<Self> {
        let parsed = match order {
            Order::Little => parse_interfacedescriptionblock_le(whole),
            Order::Big => parse_interfacedescriptionblock_be(whole),
        };
        let (_, description) = parsed.ok()?;
        Some(Self {
            link: LinkType(description.linktype.0.cast_unsigned() & LINK_MASK),
            snaplen: description.snaplen,
            clock: Clock::new(description.if_tsresol, time_offset(order, &description)),
        })
    }
}

/// Seconds to add to an interface's times. pcap-parser takes them for little-endian in every file.
fn time_offset(order: Order, description: &InterfaceDescriptionBlock<'_>) -> i64 {
    let option = description.options.iter().find(|option| option.code == OptionCode::IfTsoffset);
    let octets = option.and_then(|option| option.as_bytes().ok()?.try_into().ok());
    match (octets, order) {
        (None, _) => 0,
        (Some(octets), Order::Little) => i64::from_le_bytes(octets),
        (Some(octets), Order::Big) => i64::from_be_bytes(octets),
    }
}

impl Default for Clock {
    /// Microseconds, as where nothing is said.
    fn default() -> Self {
        Self::new(6, 0)
    }
}

impl Clock {
    /// The clock whose resolution is 10 to the power of minus `resolution`; with the highest bit set, 2 to
    /// the power of minus the rest.
    fn new(resolution: u8, offset: i64) -> Self {
        let exponent = u32::from(resolution & 0x7f);
        let tick = if resolution & 0x80 != 0 {
            Tick::Binary(resolution & 0x7f)
        } else if exponent <= 9 {
            Tick::Nanos(10_u64.pow(9 - exponent))
        } else {
            Tick::OfNano(10_u64.checked_pow(exponent - 9).unwrap_or(u64::MAX))
        };
        Self { tick, offset }
    }

    /// The time of so many ticks.
    #[inline]
    fn time(self, ticks: u64) -> Timestamp {
        let nanos = match self.tick {
            Tick::Nanos(each) => i128::from(ticks) * i128::from(each),
            Tick::OfNano(parts) => i128::from(ticks / parts),
            Tick::Binary(exponent) => (i128::from(ticks) * 1_000_000_000) >> exponent,
        };
        let nanos = nanos + i128::from(self.offset) * 1_000_000_000;
        Timestamp::from_nanos(nanos.clamp(i64::MIN.into(), i64::MAX.into()) as i64)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ORDERS: [Order; 2] = [Order::Little, Order::Big];
    /// The frames of the tests; the second one fills no 32-bit words.
    const FIRST: &[u8] = b"AAAAAAAA";
    const SECOND: &[u8] = b"BBBBB";

    /// Bytes of a file in one order.
    #[derive(Clone)]
    struct Writer(Order, Vec<u8>);

    impl Writer {
        fn u16(mut self, number: u16) -> Self {
            self.1.extend(match self.0 {
                Order::Little => number.to_le_bytes(),
                Order::Big => number.to_be_bytes(),
            });
            self
        }

        fn u32(mut self, number: u32) -> Self {
            self.1.extend(match self.0 {
                Order::Little => number.to_le_bytes(),
                Order::Big => number.to_be_bytes(),
            });
            self
        }

        fn bytes(mut self, bytes: &[u8]) -> Self {
            self.1.extend(bytes);
            self
        }

        fn pad(mut self) -> Self {
            self.1.resize(self.1.len().next_multiple_of(4), 0);
            self
        }

        /// A pcap header.
        fn pcap(order: Order, magic: u32, link: u32) -> Self {
            Self(order, Vec::new()).u32(magic).u16(2).u16(4).u32(0).u32(0).u32(65535).u32(link)
        }

        /// A pcap record.
        fn record(self, secs: u32, fraction: u32, data: &[u8], wire_len: u32) -> Self {
            self.u32(secs).u32(fraction).u32(data.len() as u32).u32(wire_len).bytes(data)
        }

        fn pcapng(order: Order) -> Self {
            Self(order, Vec::new()).section(order)
        }

        /// Begins a section, of unknown length and version 1.0.
        fn section(mut self, order: Order) -> Self {
            self.0 = order;
            self.block(block::SECTION, |w| w.u32(0x1a2b_3c4d).u16(1).u16(0).u32(u32::MAX).u32(u32::MAX))
        }

        fn block(mut self, kind: u32, body: impl FnOnce(Self) -> Self) -> Self {
            let body = body(Self(self.0, Vec::new())).pad().1;
            let len = (body.len() + block::MIN_LEN) as u32;
            self = self.u32(kind).u32(len).bytes(&body).u32(len);
            self
        }

        fn interface(self, link: u16, snaplen: u32, options: impl FnOnce(Self) -> Self) -> Self {
            self.block(block::INTERFACE, |w| options(w.u16(link).u16(0).u32(snaplen)))
        }

        fn ethernet(self) -> Self {
            self.interface(1, 0, |w| w)
        }

        /// An enhanced packet block with a comment behind the packet.
        fn enhanced(self, interface: u32, ticks: u64, data: &[u8], wire_len: u32) -> Self {
            self.block(block::ENHANCED_PACKET, |w| {
                let w = w.u32(interface).u32((ticks >> 32) as u32).u32(ticks as u32);
                w.u32(data.len() as u32)
                    .u32(wire_len)
                    .bytes(data)
                    .pad()
                    .u16(1)
                    .u16(3)
                    .bytes(b"odd")
                    .pad()
                    .u32(0)
            })
        }
    }

    fn open(file: &[u8]) -> Result<Savefile, SavefileError> {
        Savefile::new("test.pcap".as_ref(), FileBytes::Read(file.to_vec()))
    }

    /// All frames as time in nanoseconds, link type, interface, length on the wire and bytes; then the error.
    type Read = (Vec<(i64, u32, u32, u32, Vec<u8>)>, Option<String>);

    fn read(savefile: &mut Savefile) -> Read {
        let mut frames = Vec::new();
        while let Some(frame) = savefile.next() {
            match frame {
                Ok(Frame { time, link, wire_len, data, interface }) => {
                    frames.push((time.as_nanos(), link.0, interface, wire_len, data.to_vec()));
                }
                Err(error) => {
                    let error = error.to_string();
                    assert!(savefile.next().is_none(), "nothing comes behind an error");
                    return (frames, Some(error));
                }
            }
        }
        (frames, None)
    }

    fn frames(file: &Writer) -> Read {
        read(&mut open(&file.1).unwrap())
    }

    fn error(file: &[u8]) -> String {
        open(file).err().map_or_else(String::new, |error| error.to_string())
    }

    #[test]
    fn pcap_in_both_orders_and_resolutions() {
        for order in ORDERS {
            for (magic, nanos) in [(0xa1b2_c3d4, 250_000_000), (0xa1b2_3c4d, 250_000)] {
                let file =
                    Writer::pcap(order, magic, 1).record(7, 250_000, FIRST, 1500).record(8, 0, SECOND, 5);
                let expected = vec![
                    (7_000_000_000 + nanos, 1, 0, 1500, FIRST.to_vec()),
                    (8_000_000_000, 1, 0, 5, SECOND.to_vec()),
                ];
                assert_eq!(frames(&file), (expected, None), "{order:?} {magic:x}");
            }
        }
    }

    #[test]
    fn modified_pcap_has_longer_records() {
        for order in ORDERS {
            let mut file = Writer::pcap(order, 0xa1b2_cd34, 1);
            for (data, secs) in [(FIRST, 7), (SECOND, 8)] {
                // Behind the four usual numbers: interface, protocol, packet type, padding.
                let head = file.u32(secs).u32(1).u32(data.len() as u32).u32(1500);
                file = head.u32(2).u16(0x0800).bytes(&[0, 0]).bytes(data);
            }
            let expected = vec![
                (7_000_001_000, 1, 0, 1500, FIRST.to_vec()),
                (8_000_001_000, 1, 0, 1500, SECOND.to_vec()),
            ];
            assert_eq!(frames(&file), (expected, None), "{order:?}");
        }
    }

    #[test]
    fn old_pcap_has_the_lengths_in_another_order() {
        for (minor, lengths) in [(2, [1500, 8]), (3, [1500, 8]), (3, [8, 1500]), (4, [8, 1500])] {
            let mut file = Writer::pcap(Order::Little, 0xa1b2_c3d4, 1);
            file.1[6] = minor;
            let file = file.u32(7).u32(0).u32(lengths[0]).u32(lengths[1]).bytes(FIRST);
            let expected = vec![(7_000_000_000, 1, 0, 1500, FIRST.to_vec())];
            assert_eq!(frames(&file), (expected, None), "2.{minor}");
        }
    }

    #[test]
    fn times_beyond_2038_are_not_negative() {
        let file = Writer::pcap(Order::Little, 0xa1b2_c3d4, 1).record(u32::MAX, 0, FIRST, 8);
        assert_eq!(frames(&file).0[0].0, 4_294_967_295_000_000_000);
    }

    #[test]
    fn the_link_type_is_without_the_frame_check_length() {
        // 0x04000000: the length is known; 0x20000000: two 16-bit units.
        let file = Writer::pcap(Order::Little, 0xa1b2_c3d4, 0x2400_0001).record(7, 0, FIRST, 8);
        assert_eq!(frames(&file).0[0].1, 1);
    }

    #[test]
    fn less_on_the_wire_than_captured_is_corrected() {
        let file = Writer::pcap(Order::Little, 0xa1b2_c3d4, 1).record(7, 0, FIRST, 3);
        assert_eq!(frames(&file).0[0].3, 8);
    }

    /// Cuts a file at every byte. `parts` are the file up to the end of each record, the last one the whole.
    fn cut_everywhere(parts: &[Writer], packets: usize) {
        let file = &parts[parts.len() - 1].1;
        for end in 4..=file.len() {
            let whole = parts.iter().filter(|part| part.1.len() <= end).count();
            let offset = if whole == 0 { 0 } else { parts[whole - 1].1.len() };
            let text =
                format!("test.pcap is cut off at byte {end}, within the record that begins at byte {offset}");
            let (got, error) = match open(&file[..end]) {
                Ok(mut savefile) => read(&mut savefile),
                Err(error) => (vec![], Some(error.to_string())),
            };
            assert_eq!(error, (end != offset).then_some(text), "{end}");
            assert_eq!(got.len(), (whole + packets).saturating_sub(parts.len()), "{end}");
        }
    }

    #[test]
    fn a_cut_file_gives_its_whole_records() {
        let header = Writer::pcap(Order::Little, 0xa1b2_c3d4, 1);
        let first = header.clone().record(7, 0, FIRST, 8);
        let second = first.clone().record(8, 0, SECOND, 5);
        cut_everywhere(&[header, first, second], 2);

        let section = Writer::pcapng(Order::Big);
        let interface = section.clone().ethernet();
        let first = interface.clone().enhanced(0, 7, FIRST, 8);
        let second = first.clone().enhanced(0, 8, SECOND, 5);
        cut_everywhere(&[section, interface, first, second], 2);
    }

    #[test]
    fn a_cut_header() {
        let file = Writer::pcap(Order::Little, 0xa1b2_c3d4, 1).1;
        assert_eq!(
            error(&file[..23]),
            "test.pcap is cut off at byte 23, within the record that begins at byte 0"
        );
        assert_eq!(error(&file), "");
    }

    #[test]
    fn other_files() {
        let neither = "cannot read test.pcap: neither a pcap nor a pcapng file";
        assert_eq!(error(b""), neither);
        assert_eq!(error(b"SRC_IP  DST_IP  PACKETS\n"), neither);
        assert_eq!(error(&[0x1f, 0x8b, 8, 0]), neither);
    }

    #[test]
    fn an_unsupported_link_type_is_named() {
        let start = "cannot read test.pcap: unsupported link type NETLINK (253); supported are ETHERNET, ";
        let message = error(&Writer::pcap(Order::Big, 0xa1b2_c3d4, 253).1);
        assert!(message.starts_with(start), "{message}");
        let message = error(&Writer::pcapng(Order::Big).interface(253, 0, |w| w).1);
        assert!(message.starts_with(start), "{message}");
    }

    #[test]
    fn an_unsupported_interface_among_others_does_not_matter() {
        let file = Writer::pcapng(Order::Big).interface(253, 0, |w| w).ethernet();
        let file = file.enhanced(1, 7, FIRST, 8).enhanced(0, 8, SECOND, 5);
        let expected = vec![(7000, 1, 1, 8, FIRST.to_vec()), (8000, 253, 0, 5, SECOND.to_vec())];
        assert_eq!(frames(&file), (expected, None));
        // It may also come late.
        let file = Writer::pcapng(Order::Big).ethernet().enhanced(0, 7, FIRST, 8).interface(253, 0, |w| w);
        assert_eq!(frames(&file.enhanced(1, 8, SECOND, 5)).0[1].1, 253);
    }

    #[test]
    fn pcapng_packet_blocks() {
        for order in ORDERS {
            let file = Writer::pcapng(order)
                .ethernet()
                .interface(113, 0, |w| w)
                .block(5, |w| w.u32(0).u32(0).u32(0)) // statistics
                .enhanced(1, 0x1_0000_0001, FIRST, 1500)
                .block(block::OBSOLETE_PACKET, |w| {
                    w.u16(1).u16(9).u32(0).u32(8).u32(5).u32(1500).bytes(SECOND) // 9 drops before it
                })
                .block(block::SIMPLE_PACKET, |w| w.u32(5).bytes(SECOND))
                .block(0x8000_0001, |w| w.bytes(b"of the future"));
            let expected = vec![
                (4_294_967_297_000, 113, 1, 1500, FIRST.to_vec()),
                (8000, 113, 1, 1500, SECOND.to_vec()),
                (0, 1, 0, 5, SECOND.to_vec()),
            ];
            assert_eq!(frames(&file), (expected, None), "{order:?}");
        }
    }

    #[test]
    fn simple_packets_are_as_long_as_the_interface_captures() {
        let file = Writer::pcapng(Order::Little).interface(1, 5, |w| w);
        let file = file.block(block::SIMPLE_PACKET, |w| w.u32(1500).bytes(SECOND));
        assert_eq!(frames(&file).0, [(0, 1, 0, 1500, SECOND.to_vec())]);
    }

    #[test]
    fn sections_have_their_own_order_and_interfaces() {
        let file = Writer::pcapng(Order::Little).ethernet().enhanced(0, 7, FIRST, 8).section(Order::Big);
        let file = file.interface(113, 0, |w| w).enhanced(0, 8, SECOND, 5);
        let expected = vec![(7000, 1, 0, 8, FIRST.to_vec()), (8000, 113, 0, 5, SECOND.to_vec())];
        assert_eq!(frames(&file), (expected, None));
        let file = file.section(Order::Little).enhanced(0, 9, FIRST, 8);
        let message = frames(&file).1.unwrap();
        assert!(message.ends_with(": no block describes the packet's interface"), "{message}");
    }

    #[test]
    fn clocks() {
        for order in ORDERS {
            let offset = |w: Writer, secs: i64| {
                let halves = [(secs.cast_unsigned() >> 32) as u32, secs.cast_unsigned() as u32];
                let [first, second] = if order == Order::Big { halves } else { [halves[1], halves[0]] };
                w.u16(14).u16(8).u32(first).u32(second)
            };
            let nanos = |w: Writer| w.u16(9).u16(1).bytes(&[9]).pad();
            let binary = |w: Writer| w.u16(9).u16(1).bytes(&[0x8a]).pad(); // 1/1024 s
            let file = Writer::pcapng(order)
                .interface(1, 0, nanos)
                .interface(1, 0, |w| offset(nanos(w), 1_700_000_000))
                .interface(1, 0, |w| offset(binary(w), -1))
                .enhanced(0, 1234, FIRST, 8)
                .enhanced(1, 1234, FIRST, 8)
                .enhanced(2, 512, FIRST, 8);
            let times: Vec<i64> = frames(&file).0.into_iter().map(|frame| frame.0).collect();
            assert_eq!(times, [1234, 1_700_000_000_000_001_234, -500_000_000], "{order:?}");
        }
    }

    #[test]
    fn clock_resolutions() {
        let time = |resolution, ticks| Clock::new(resolution, 0).time(ticks).as_nanos();
        assert_eq!(time(0, 3), 3_000_000_000);
        assert_eq!(time(6, 3), 3000);
        assert_eq!(time(9, 3), 3);
        assert_eq!(time(12, 3999), 3);
        assert_eq!(time(0x7f, u64::MAX), 1);
        assert_eq!(time(0x80, 3), 3_000_000_000);
        assert_eq!(time(0xa0, 3 << 31), 1_500_000_000);
        assert_eq!(time(0xff, u64::MAX), 0);
        assert_eq!(time(0, u64::MAX), i64::MAX);
        assert_eq!(Clock::new(9, i64::MIN).time(0), Timestamp::MIN);
    }

    #[test]
    fn damage_is_said_with_its_place() {
        let good = Writer::pcapng(Order::Little).ethernet().enhanced(0, 7, FIRST, 8);
        let at = good.1.len();
        let bad = |block: &[u32], what: &str| {
            let file = block.iter().fold(good.clone(), |file, number| file.u32(*number));
            let (got, error) = frames(&file);
            assert_eq!(got.len(), 1);
            assert_eq!(error.unwrap(), format!("test.pcap is damaged at byte {at}: {what}"));
        };
        bad(&[6, 0, 0], "the block has an impossible length");
        bad(&[6, 11, 0], "the block has an impossible length");
        bad(&[6, 13, 0, 0], "the block has an impossible length");
        bad(&[6, 12, 16], "the two lengths of the block differ");
        bad(&[6, 12, 12], "the packet block is too short");
        bad(&[6, 32, 0, 0, 0, 4, 4, 32], "the packet is longer than its block");
        bad(&[6, 32, 1, 0, 0, 0, 0, 32], "no block describes the packet's interface");
        bad(&[1, 12, 12], "the interface description cannot be read");
        bad(&[block::SECTION, 28, 0, 0, 0, 0, 28], "the section header has no byte order");

        let file = Writer::pcap(Order::Little, 0xa1b2_c3d4, 1).record(7, 0, FIRST, 8);
        let file = file.u32(0x2020_2020).u32(0x2020_2020).u32(0x2020_2020).u32(0x2020_2020);
        let message = "test.pcap is damaged at byte 48: the record is longer than any frame";
        assert_eq!(frames(&file).1.unwrap(), message);
    }

    #[test]
    fn rewinding_gives_the_same_again() {
        for file in [
            Writer::pcap(Order::Big, 0xa1b2_c3d4, 1).record(7, 0, FIRST, 8).u32(0),
            Writer::pcapng(Order::Little).ethernet().enhanced(0, 7, FIRST, 8).section(Order::Big).u32(0),
        ] {
            let mut savefile = open(&file.1).unwrap();
            let once = read(&mut savefile);
            assert!(once.1.is_some());
            assert!(savefile.next().is_none());
            savefile.rewind();
            assert_eq!(read(&mut savefile), once);
        }
    }

    #[test]
    fn links_are_known_at_once() {
        let file = Writer::pcapng(Order::Little).ethernet().interface(113, 0, |w| w).enhanced(1, 7, FIRST, 8);
        let savefile = open(&file.1).unwrap();
        assert_eq!(savefile.links().collect::<Vec<_>>(), [LinkType::ETHERNET, LinkType::LINUX_SLL]);
    }

    #[test]
    fn a_file_is_mapped_and_a_pipe_is_read() {
        let bytes = Writer::pcap(Order::Little, 0xa1b2_c3d4, 1).record(7, 0, FIRST, 8).1;
        let dir = tempfile::tempdir().unwrap();

        let path = dir.path().join("regular");
        std::fs::write(&path, &bytes).unwrap();
        let mut savefile = Savefile::open(&path).unwrap();
        assert!(matches!(savefile.bytes, FileBytes::Mapped(_)));
        assert_eq!(savefile.path(), path);
        assert_eq!(savefile.next().unwrap().unwrap().data, FIRST);
        assert!(savefile.next().is_none());

        let path = dir.path().join("fifo");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).unwrap();
        let writer = std::thread::spawn({
            let path = path.clone();
            move || std::fs::write(path, bytes).unwrap()
        });
        let mut savefile = Savefile::open(&path).unwrap();
        writer.join().unwrap();
        assert_eq!(savefile.next().unwrap().unwrap().data, FIRST);
    }

    #[test]
    fn a_file_that_cannot_be_opened_is_named() {
        let error = Savefile::open("/nowhere/traffic.pcap".as_ref()).unwrap_err();
        assert_eq!(error.to_string(), "cannot open /nowhere/traffic.pcap: No such file or directory");
        let error = Savefile::open("/".as_ref()).unwrap_err();
        assert_eq!(error.to_string(), "cannot open /: Is a directory");
    }

    fn valid_files() -> Vec<Vec<u8>> {
        let mut files = Vec::new();
        for order in ORDERS {
            files.push(Writer::pcap(order, 0xa1b2_c3d4, 1).record(7, 0, FIRST, 8).record(8, 0, SECOND, 5).1);
            files.push(Writer::pcap(order, 0xa1b2_cd34, 1).record(7, 0, FIRST, 8).record(8, 0, SECOND, 5).1);
            let nanos = |w: Writer| w.u16(9).u16(1).bytes(&[9]).pad();
            let file = Writer::pcapng(order).interface(1, 0, nanos).enhanced(0, 7, FIRST, 8);
            files.push(
                file.section(order).ethernet().block(block::SIMPLE_PACKET, |w| w.u32(5).bytes(SECOND)).1,
            );
        }
        files
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2048))]

        /// Whatever is damaged: no panic, an end, and frames within the file.
        #[test]
        fn damaged_files(
            mut file in prop::sample::select(valid_files()),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            end: prop::sample::Index,
        ) {
            for (at, value) in damage {
                let at = at.index(file.len());
                file[at] = value;
            }
            for file in [&file[..], &file[..end.index(file.len())]] {
                let Ok(mut savefile) = open(file) else { continue };
                let (frames, _) = read(&mut savefile);
                prop_assert!(frames.len() <= file.len() / block::MIN_LEN);
                prop_assert!(frames.iter().all(|(.., wire_len, data)| *wire_len as usize >= data.len()));
            }
        }
    }
}
