//! Rows as lines: columns, CSV, JSON.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::time::Instant;

use rpmacct_primitives::Rows;

use crate::share::Share;

/// Lines are written in pieces of about this many bytes, each with whole lines.
const CHUNK: usize = 256 * 1024;

/// Turns rows into lines.
pub(crate) struct Text {
    rows: Rows,
    json: bool,
    /// The plugin's name, if the beginning and the end are marked.
    markers: Option<String>,
}

impl Text {
    /// Lines as `rows` writes them; `markers` is the plugin's name if the beginning and the end are marked.
    pub(crate) fn new(rows: Rows, json: bool, markers: Option<String>) -> Self {
        Self { rows, json, markers }
    }

    /// Writes lines and returns the number of rows.
    pub(crate) fn write(
        &mut self,
        shares: &[Share],
        with_header: bool,
        out: &mut dyn Write,
    ) -> io::Result<u64> {
        let begin = Instant::now();
        let mut lines = Vec::with_capacity(2 * CHUNK);
        self.start(&mut lines);
        if with_header {
            self.rows.header(&mut lines);
        }
        let mut count = 0;
        for share in shares {
            let rows = &mut self.rows;
            rows.set_moments(&share.moments(None));
            share.each(|key, counters, span| {
                if span.is_some() {
                    rows.set_moments(&share.moments(span));
                }
                rows.row(key, counters, &mut lines);
                count += 1;
                if lines.len() >= CHUNK {
                    out.write_all(&lines)?;
                    lines.clear();
                }
                Ok(())
            })?;
        }
        self.end(count, begin, &mut lines);
        out.write_all(&lines)?;
        out.flush()?;
        Ok(count)
    }

    fn start(&self, lines: &mut Vec<u8>) {
        let Some(name) = &self.markers else { return };
        let mut line = String::new();
        let _ = if self.json {
            writeln!(line, r#"{{"event_type": "purge_init", "writer_id": {}}}"#, writer_id(name))
        } else {
            writeln!(line, "--START ({})--", std::process::id())
        };
        lines.extend_from_slice(line.as_bytes());
    }

    fn end(&self, count: u64, begin: Instant, lines: &mut Vec<u8>) {
        let Some(name) = &self.markers else { return };
        let mut line = String::new();
        let _ = if self.json {
            let (id, duration) = (writer_id(name), begin.elapsed().as_secs());
            writeln!(
                line,
                r#"{{"event_type": "purge_close", "writer_id": {id}, "purged_entries": {count}, "total_entries": {count}, "duration": {duration}}}"#
            )
        } else {
            writeln!(line, "--END ({})--", std::process::id())
        };
        lines.extend_from_slice(line.as_bytes());
    }
}

/// `"NAME/PID"`, quoted for JSON: a plugin's name may be anything.
fn writer_id(name: &str) -> String {
    serde_json::Value::String(format!("{name}/{}", std::process::id())).to_string()
}
