//! Lines, as carbon's other receivers want them: datagrams and pickles.

/// Octets of a datagram's payload: with all headers, they pass wherever IPv6 does (1280).
pub(crate) const DATAGRAM: usize = 1200;

/// Points in a pickle. carbon takes a mebibyte; carbon-relay sends five hundred.
const POINTS_PER_PICKLE: usize = 500;

/// Pieces of whole lines, each of [`DATAGRAM`] octets at most; a longer line is a piece of its own.
pub(crate) fn datagrams(lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = lines;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let fits = &rest[..rest.len().min(DATAGRAM)];
        let end = match fits.iter().rposition(|octet| *octet == b'\n') {
            Some(last) => last + 1,
            None => rest.iter().position(|octet| *octet == b'\n').map_or(rest.len(), |at| at + 1),
        };
        let (piece, behind) = rest.split_at(end);
        rest = behind;
        Some(piece)
    })
}

/// The lines as pickles (protocol 2) of `[(name, (time, value)), …]`, each behind its length.
pub(crate) fn pickles(lines: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(lines.len() * 2);
    let points: Vec<_> = lines.split(|octet| *octet == b'\n').filter_map(point).collect();
    for points in points.chunks(POINTS_PER_PICKLE) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]); // the length, when it is known
        out.extend_from_slice(b"\x80\x02](");
        for (name, value, time) in points {
            out.push(b'X'); // BINUNICODE
            out.extend_from_slice(&(name.len() as u32).to_le_bytes());
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(&[0x8a, 8]); // LONG1
            out.extend_from_slice(&time.to_le_bytes());
            out.push(b'G'); // BINFLOAT
            out.extend_from_slice(&value.to_be_bytes());
            out.extend_from_slice(b"\x86\x86"); // TUPLE2, twice
        }
        out.extend_from_slice(b"e."); // APPENDS, STOP
        let length = (out.len() - start - 4) as u32;
        out[start..start + 4].copy_from_slice(&length.to_be_bytes());
    }
    out
}

fn point(line: &[u8]) -> Option<(&str, f64, i64)> {
    let mut words = std::str::from_utf8(line).ok()?.split(' ');
    Some((words.next()?, words.next()?.parse().ok()?, words.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn datagrams_hold_whole_lines() {
        let line = |n: usize| format!("mpls.{} {n} 1700000000\n", "x".repeat(n % 300));
        let mut lines: String = (0..500).map(line).collect();
        lines.push_str(&line(299).repeat(2));
        lines.push_str(&("y".repeat(2 * DATAGRAM) + " 1 2\n"));
        lines.push_str(&line(1));
        let pieces: Vec<_> = datagrams(lines.as_bytes()).collect();
        assert_eq!(pieces.concat(), lines.as_bytes());
        assert!(pieces.iter().all(|piece| piece.ends_with(b"\n")));
        let long = pieces.iter().filter(|piece| piece.len() > DATAGRAM).count();
        assert_eq!(long, 1);
        // None could have taken the first line of the next.
        assert!(pieces.len() < lines.len() / (DATAGRAM - 330));
    }

    #[test]
    fn python_reads_the_pickles() {
        let line = |n: u32| format!("mpls.a{n}.bytes {n}.5 {}\n", 1_700_000_000 + n);
        let pickles = pickles((0..1234).map(line).collect::<Vec<_>>().concat().as_bytes());
        let script = "
import pickle, struct, sys
data, points, messages = sys.stdin.buffer.read(), [], 0
while data:
    size, = struct.unpack('!I', data[:4])
    points += pickle.loads(data[4:4 + size])
    data, messages = data[4 + size:], messages + 1
assert messages == 3 and len(points) == 1234, (messages, len(points))
for n, (name, (time, value)) in enumerate(points):
    assert (name, time, value) == ('mpls.a%d.bytes' % n, 1700000000 + n, n + 0.5), (name, time, value)
";
        let python = Command::new("python3").args(["-c", script]).stdin(Stdio::piped()).spawn();
        let Ok(mut python) = python else {
            eprintln!("skipped: needs python3");
            return;
        };
        python.stdin.take().unwrap().write_all(&pickles).unwrap();
        assert!(python.wait().unwrap().success());
    }
}
