//! Answers as the lines that users and their scripts read. Each function returns the exit code.

use std::io::Write;

use rpmacct_ledger::Balance;
use rpmacct_primitives::{Layout, Rows, Style};
use rpmacct_query::{Answer, Counter, Status, Sum};

use crate::error::ClientError;
use crate::options::Shown;
use crate::talk::Reply;

/// Bytes of lines that are written at once.
const CHUNK: usize = 64 * 1024;

type Printed = Result<u8, ClientError>;

/// `-s` and `-M`.
pub(crate) fn rows(reply: Reply, style: Style, out: &mut dyn Write) -> Printed {
    let (answer, mut frames) = reply.read_ahead();
    let Answer::Table(shape) = answer else { return Err(Reply::unexpected(&frames.socket)) };
    let schema = shape.schema().map_err(|error| ClientError::Query(frames.socket.clone(), error))?;
    let has_footer = matches!(style.layout, Layout::Formatted | Layout::EventFormatted);
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
    if has_footer {
        let _ = write!(lines, "\nFor a total of: {} entries\n", frames.count);
    }
    write(out, &lines)
}

/// `-N`.
pub(crate) fn sums(reply: Reply, shown: Shown, add: bool, out: &mut dyn Write) -> Printed {
    let socket = reply.socket().to_owned();
    let Answer::Sums(mut sums) = reply.answer()? else { return Err(Reply::unexpected(&socket)) };
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
    write(out, &lines)
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

/// `-C`: there are no classifiers.
pub(crate) fn classifiers(reply: Reply, out: &mut dyn Write) -> Printed {
    status(reply)?;
    write(out, b"CLASS_ID\tCLASS_NAME\n\nFor a total of: 0 classifiers\n")
}

/// `-U`: there are no custom primitives.
pub(crate) fn custom_primitives(reply: Reply, out: &mut dyn Write) -> Printed {
    status(reply)?;
    write(out, b"NAME                              LEN    OFF\n")
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
