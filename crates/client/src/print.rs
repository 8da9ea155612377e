//! Answers as the lines that users and their scripts read. Each function returns the exit code.

use std::collections::BTreeMap;
use std::io::Write;

use rpmacct_ledger::Balance;
use rpmacct_packet::Timestamp;
use rpmacct_primitives::{Counters, Layout, Rows, Style};
use rpmacct_query::{Answer, Context, Counter, Increments, Other, OwnPrimitive, Status, Sum};

use crate::error::ClientError;
use crate::options::Shown;
use crate::talk::Reply;
use crate::token;

/// Bytes of lines that are written at once.
const CHUNK: usize = 64 * 1024;

type Printed = Result<u8, ClientError>;

/// `-s` and `-M`. Returns what the answer is about.
pub(crate) fn rows(reply: Reply, style: Style, out: &mut dyn Write) -> Result<Context, ClientError> {
    let (answer, mut frames) = reply.read_ahead();
    let Answer::Table(shape, context) = answer else { return Err(Reply::unexpected(&frames.socket)) };
    let schema = shape.schema().map_err(|error| ClientError::Query(frames.socket.clone(), error))?;
    let has_footer = matches!(style.layout, Layout::Formatted | Layout::EventFormatted);
    let closing = style.clone();
    let rows = Rows::new(&schema, style);
    let mut lines = Vec::with_capacity(2 * CHUNK);
    rows.header(&mut lines);
    for frame in &mut frames {
        for (key, counters) in frame?.iter() {
            rows.row(key, &counters, &mut lines);
            if lines.len() >= CHUNK {
                out.write_all(&lines).map_err(ClientError::Output)?;
                lines.clear();
            }
        }
    }
    let mut entries = frames.count;
    if let Some(other) = other_row(&context) {
        rows.other(&other, &mut lines);
        entries += 1;
    }
    if has_footer {
        let _ = write!(lines, "\nFor a total of: {entries} entries\n");
    }
    if let Some(increments) = context.increments.as_ref().filter(|_| closing.layout == Layout::Json) {
        closing_object(increments, entries, &closing, &mut lines);
    }
    write(out, &lines)?;
    Ok(context)
}

/// The sum of all keys that found the table full, if it is a row of the answer.
pub(crate) fn other_row(context: &Context) -> Option<Counters> {
    let other = context.other.filter(|other| other.is_row)?;
    let Other { packets, bytes, flows, tcp_flags, .. } = other;
    Some(Counters { packets, bytes, flows, tcp_flags })
}

/// The object that ends increments in JSON.
pub(crate) fn closing_object(increments: &Increments, entries: u64, style: &Style, lines: &mut Vec<u8>) {
    let Increments { token, basis, .. } = increments;
    lines.push(b'{');
    interval(increments, style, lines);
    let _ = write!(lines, "\"entries\": {entries}, \"token\": \"{}\"", plain(token));
    if let Some(word) = token::word(*basis) {
        let _ = write!(lines, ", \"token_unknown\": \"{word}\"");
    }
    lines.extend_from_slice(b"}\n");
}

/// The first members of objects that are about an interval.
pub(crate) fn interval(increments: &Increments, style: &Style, lines: &mut Vec<u8>) {
    for (name, at) in [("interval_start", increments.from), ("interval_end", increments.to)] {
        let _ = write!(lines, "\"{name}\": \"");
        time(at, style, lines);
        lines.extend_from_slice(b"\", ");
    }
}

/// A time in nanoseconds since the epoch, in the style of all other times.
pub(crate) fn time(at: i64, style: &Style, lines: &mut Vec<u8>) {
    style.time.write(Some(Timestamp::from_nanos(at)), &style.zone, lines);
}

/// A token without what would break a line of JSON: it came over a socket.
fn plain(token: &str) -> String {
    token.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').collect()
}

/// `-N`. Returns what the answer is about.
pub(crate) fn sums(
    reply: Reply,
    shown: Shown,
    add: bool,
    out: &mut dyn Write,
) -> Result<Context, ClientError> {
    let socket = reply.socket().to_owned();
    let Answer::Sums(mut sums, context) = reply.answer()? else { return Err(Reply::unexpected(&socket)) };
    if add {
        sums = vec![sums.into_iter().fold(Sum::default(), plus)];
    }
    let mut lines = Vec::new();
    for sum in sums {
        let Sum { packets, bytes, flows, entries } = sum;
        let _ = match shown {
            Shown::One(Counter::Packets) => writeln!(lines, "{packets}"),
            Shown::One(Counter::Bytes) => writeln!(lines, "{bytes}"),
            Shown::One(Counter::Flows) => writeln!(lines, "{flows}"),
            Shown::All => writeln!(lines, "{packets} {bytes} {flows} {entries}"),
        };
    }
    write(out, &lines)?;
    Ok(context)
}

fn plus(a: Sum, b: Sum) -> Sum {
    Sum {
        packets: a.packets.wrapping_add(b.packets),
        bytes: a.bytes.wrapping_add(b.bytes),
        flows: a.flows.wrapping_add(b.flows),
        entries: a.entries.wrapping_add(b.entries),
    }
}

/// `-i`.
pub(crate) fn age(reply: Reply, out: &mut dyn Write) -> Printed {
    let age = status(reply)?.erased_before;
    write(out, age.map_or("never\n".to_owned(), |seconds| format!("{seconds}\n")).as_bytes())
}

/// `-t`: how the keys would spread over as many buckets as the configuration names. The table has none.
pub(crate) fn buckets(status: Reply, rows: Reply, out: &mut dyn Write) -> Printed {
    let buckets = self::status(status)?.buckets.max(1);
    let (_, frames) = rows.read_ahead();
    let mut filled = BTreeMap::<u64, usize>::new();
    for frame in frames {
        for (key, _) in frame?.iter() {
            *filled.entry(fnv1a(key) % buckets).or_default() += 1;
        }
    }
    write(out, b"* = element\n\nBUCKET\tCHAIN_STATUS\n")?;
    for bucket in 0..buckets {
        let elements = filled.get(&bucket).copied().unwrap_or_default();
        writeln!(out, "{bucket}\t{}", "*".repeat(elements)).map_err(ClientError::Output)?;
    }
    Ok(0)
}

/// The hash of Fowler, Noll and Vo: short, and the same everywhere.
fn fnv1a(octets: &[u8]) -> u64 {
    octets
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, octet| (hash ^ u64::from(*octet)).wrapping_mul(0x0100_0000_01b3))
}

/// `-C`: there are no classifiers.
pub(crate) fn classifiers(reply: Reply, out: &mut dyn Write) -> Printed {
    status(reply)?;
    write(out, b"CLASS_ID\tCLASS_NAME\n\nFor a total of: 0 classifiers\n")
}

/// `-U`: the primitives of the user's own, with their octets in keys. The peer ends with 1 whatever it shows.
pub(crate) fn custom_primitives(reply: Reply, classic: bool, out: &mut dyn Write) -> Printed {
    let mut lines = b"NAME                              LEN    OFF\n".to_vec();
    for OwnPrimitive { name, len, offset, .. } in status(reply)?.customs {
        let len = len.map_or("vlen".to_owned(), |len| len.to_string());
        let _ = writeln!(lines, "{name:<33} {len:<6} {offset}");
    }
    write(out, &lines)?;
    Ok(u8::from(classic))
}

/// `--ledger`.
pub(crate) fn ledger(reply: Reply, out: &mut dyn Write) -> Printed {
    let socket = reply.socket().to_owned();
    let Answer::Ledger(balances) = reply.answer()? else { return Err(Reply::unexpected(&socket)) };
    if balances.is_empty() {
        return Err(ClientError::NoLedger);
    }
    for balance in &balances {
        writeln!(out, "{balance}").map_err(ClientError::Output)?;
    }
    Ok(u8::from(!balances.iter().all(Balance::holds)))
}

/// `-V`.
pub(crate) fn version(protocol: u16, out: &mut dyn Write) -> Printed {
    write(out, format!("rpmacct {} (query protocol {protocol})\n", env!("CARGO_PKG_VERSION")).as_bytes())
}

fn status(reply: Reply) -> Result<Status, ClientError> {
    let socket = reply.socket().to_owned();
    if let Answer::Status(status) = reply.answer()? { Ok(status) } else { Err(Reply::unexpected(&socket)) }
}

fn write(out: &mut dyn Write, lines: &[u8]) -> Printed {
    out.write_all(lines).map_err(ClientError::Output)?;
    Ok(0)
}
