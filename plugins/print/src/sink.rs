//! Purges into a file, or onto standard output.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::Instant;

use rpmacct_plugin::{Outcome, Purge, Reason, Schema, SinkError, Sums};
use rpmacct_primitives::{Layout, Rows, Style};
use tracing::{info, warn};

use crate::claim::Claim;
use crate::draft::{self, Draft};
use crate::file_name::FileName;

/// Lines are written in pieces of about this many bytes, each with whole lines.
const CHUNK: usize = 256 * 1024;

/// The destination of one print plugin.
pub(crate) struct Printer {
    pub(crate) text: Text,
    pub(crate) target: Target,
}

/// Where the lines go.
pub(crate) enum Target {
    File(Files),
    Stdout(Stdout),
}

impl Purge for Printer {
    fn purge(&mut self, sums: Sums) -> Outcome {
        let sums = &sums;
        if sums.reason == Reason::Full {
            info!("Finished cache entries (ie. print_cache_entries). Purging.");
        }
        let pid = std::process::id();
        info!("*** Purging cache - START (PID: {pid}) ***");
        let begin = Instant::now();
        let result = match &mut self.target {
            Target::File(files) => files.purge(&self.text, sums),
            Target::Stdout(stdout) => stdout.purge(&self.text, sums),
        };
        // Monitoring reads these numbers.
        let end = match &result {
            Ok(0) => "QN: 0/0, ET: X".to_owned(),
            Ok(rows) => format!("QN: {rows}/{rows}, ET: {}", begin.elapsed().as_secs()),
            Err(_) => format!("QN: 0/{}, ET: {}", sums.rows().count(), begin.elapsed().as_secs()),
        };
        info!("*** Purging cache - END (PID: {pid}, {end}) ***");
        match result {
            Ok(_) => Outcome::written(sums.packets()),
            Err(error) => Outcome::lost(sums.packets(), error),
        }
    }

    /// Empty intervals have their two lines in the log, and sometimes a file.
    fn wants_empty(&self) -> bool {
        true
    }
}

/// Turns sums into lines.
pub(crate) struct Text {
    rows: Rows,
    json: bool,
    /// The plugin's name, if the beginning and the end are marked.
    markers: Option<String>,
}

impl Text {
    /// Lines for keys of `schema`; `markers` is the plugin's name if the beginning and the end are marked.
    pub(crate) fn new(schema: &Schema, style: Style, markers: Option<String>) -> Self {
        Self { json: style.layout == Layout::Json, rows: Rows::new(schema, style), markers }
    }

    /// Writes the lines of one purge and returns the number of its rows.
    fn write(&self, sums: &Sums, with_header: bool, out: &mut dyn Write) -> io::Result<u64> {
        let begin = Instant::now();
        let mut lines = Vec::with_capacity(2 * CHUNK);
        self.start(&mut lines);
        if with_header {
            self.rows.header(&mut lines);
        }
        let mut count = 0;
        for (key, counters) in sums.rows() {
            self.rows.row(key, &counters, &mut lines);
            count += 1;
            if lines.len() >= CHUNK {
                out.write_all(&lines)?;
                lines.clear();
            }
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

/// A file for each purge; which one, its name and the time say.
pub(crate) struct Files {
    name: FileName,
    append: bool,
    /// Whether an interval without traffic makes a file, too.
    write_empty: bool,
    /// Symbolic link to the newest file.
    latest: Option<PathBuf>,
    /// The file of the last purge that wrote one.
    last: Option<PathBuf>,
    /// Whether that purge was made before its time, so that more of its interval is to come.
    is_unfinished: bool,
    /// Keeps others from the name.
    _claim: Option<Claim>,
}

impl Files {
    pub(crate) fn new(
        name: FileName,
        append: bool,
        write_empty: bool,
        latest: Option<PathBuf>,
        claim: Option<Claim>,
    ) -> Self {
        Self { name, append, write_empty, latest, last: None, is_unfinished: false, _claim: claim }
    }

    fn purge(&mut self, text: &Text, sums: &Sums) -> Result<u64, SinkError> {
        let result = if sums.is_empty() && !self.write_empty { Ok(0) } else { self.write(text, sums) };
        self.is_unfinished = sums.reason == Reason::Full && (self.is_unfinished || result.is_ok());
        result
    }

    fn write(&mut self, text: &Text, sums: &Sums) -> Result<u64, SinkError> {
        let path = self.name.at(sums.now);
        let open = if self.continues(&path, sums.reason) { Draft::append } else { Draft::replace };
        let count = open(&path)
            .and_then(|mut draft| {
                let count = text.write(sums, draft.is_new(), &mut draft)?;
                draft.commit()?;
                Ok(count)
            })
            .map_err(|e| SinkError::io(format!("writing {}", path.display()), e))?;
        if let Some(latest) = &self.latest
            && let Err(error) = draft::link(&path, latest)
        {
            warn!("print_latest_file: linking {} to {}: {error}", latest.display(), path.display());
        }
        self.last = Some(path);
        Ok(count)
    }

    /// Whether the file goes on. A purge replaces what the last one wrote under the same name only when an
    /// interval has passed between them: what was purged because the table was full, and what is left at the
    /// end, belongs with what came before it.
    fn continues(&self, path: &Path, reason: Reason) -> bool {
        let out_of_turn = self.is_unfinished || self.name.is_dynamic() && reason != Reason::Due;
        self.append || out_of_turn && self.last.as_deref() == Some(path)
    }
}

/// Standard output.
pub(crate) struct Stdout {
    out: Box<dyn Write + Send>,
    /// File that is locked while lines are written.
    lock: Option<PathBuf>,
    header_is_due: bool,
    is_closed: bool,
}

impl Stdout {
    pub(crate) fn new(out: Box<dyn Write + Send>, lock: Option<PathBuf>) -> Self {
        Self { out, lock, header_is_due: true, is_closed: false }
    }

    fn purge(&mut self, text: &Text, sums: &Sums) -> Result<u64, SinkError> {
        if sums.is_empty() {
            return Ok(0);
        }
        let _lock = self.lock.as_deref().map(lock).transpose()?;
        let result = text.write(sums, self.header_is_due, &mut self.out);
        let was_closed = self.is_closed;
        self.is_closed = matches!(&result, Err(e) if e.kind() == ErrorKind::BrokenPipe);
        let count = match result {
            // Whoever read it has gone and won't come back.
            Err(_) if self.is_closed && was_closed => return Err(SinkError::Known),
            result => result.map_err(|e| SinkError::io("writing to standard output", e))?,
        };
        self.header_is_due = false;
        Ok(count)
    }
}

/// Locks a file, which is made if there is none, until the answer is dropped.
fn lock(path: &Path) -> Result<File, SinkError> {
    let open = || {
        let file = OpenOptions::new().append(true).create(true).open(path)?;
        file.lock()?;
        Ok(file)
    };
    open().map_err(|e| SinkError::io(format!("locking {}", path.display()), e))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use rpmacct_plugin::{Batch, Counters, Purger, Record, Schedule, Sink, Tallies, Timestamp};
    use rpmacct_primitives::{Dialect, SchemaOptions};

    use super::*;

    /// A standard output that can be read, and closed.
    #[derive(Clone, Default)]
    struct Pipe(Arc<Mutex<(Vec<u8>, bool)>>);

    impl Pipe {
        fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().0.clone()).unwrap()
        }

        fn close(&self, closed: bool) {
            self.0.lock().unwrap().1 = closed;
        }
    }

    impl Write for Pipe {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut pipe = self.0.lock().unwrap();
            if pipe.1 {
                return Err(ErrorKind::BrokenPipe.into());
            }
            pipe.0.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A plugin that counts ports and is due every second.
    struct Bench {
        schema: Schema,
        sink: Purger<Printer>,
        tallies: Arc<Tallies>,
        now: i64,
    }

    impl Bench {
        fn new(pipe: &Pipe, layout: Layout, markers: Option<&str>, lock: Option<PathBuf>) -> Self {
            let schema = Schema::parse("src_port", SchemaOptions::default()).unwrap();
            let style = Style { layout, ..Style::new(Dialect::Print) };
            let text = Text::new(&schema, style, markers.map(str::to_owned));
            let target = Target::Stdout(Stdout::new(Box::new(pipe.clone()), lock));
            let tallies = Arc::<Tallies>::default();
            let schedule = Schedule::new(Timestamp::ZERO, Duration::from_secs(1), Duration::ZERO);
            let printer = Printer { text, target };
            let sink = Purger::new(printer, schema.key_len(), schedule, 100, Arc::clone(&tallies));
            Self { schema, sink, tallies, now: 1 }
        }

        fn packet(&mut self, port: u16) {
            let layout = self.schema.layout();
            let mut slot = vec![0; layout.stride()];
            let counters = Counters { packets: 1, bytes: 40, flows: 0, tcp_flags: 0 };
            let record = Record { key: &port.to_be_bytes(), time: Timestamp::ZERO, counters };
            layout.put(&mut slot, &record);
            self.sink.absorb(&Batch::new(&self.schema, &slot)).unwrap();
        }

        fn purge(&mut self) -> Result<(), SinkError> {
            self.now += 1;
            self.sink.tick(Timestamp::from_secs_nanos(self.now, 0))
        }
    }

    #[test]
    fn standard_output_has_one_header_before_the_first_rows() {
        let pipe = Pipe::default();
        let mut bench = Bench::new(&pipe, Layout::Csv, None, None);
        bench.purge().unwrap();
        assert_eq!(pipe.text(), "");
        for port in [80, 443] {
            bench.packet(port);
            bench.purge().unwrap();
        }
        assert_eq!(pipe.text(), "SRC_PORT,PACKETS,BYTES\n80,1,40\n443,1,40\n");
    }

    #[test]
    fn a_closed_pipe_is_said_once_and_counted_always() {
        let pipe = Pipe::default();
        let mut bench = Bench::new(&pipe, Layout::Csv, None, None);
        pipe.close(true);
        for purge in 0..3 {
            bench.packet(80);
            let error = bench.purge().unwrap_err();
            assert_eq!(matches!(error, SinkError::Known), purge > 0, "{error}");
        }
        assert_eq!((bench.tallies.written.count(), bench.tallies.lost.count()), (0, 3));
        pipe.close(false);
        bench.packet(443);
        bench.purge().unwrap();
        assert_eq!(pipe.text(), "SRC_PORT,PACKETS,BYTES\n443,1,40\n");
    }

    #[test]
    fn writers_on_one_terminal_wait_for_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let pipe = Pipe::default();
        let mut bench = Bench::new(&pipe, Layout::Csv, None, Some(path.clone()));
        bench.packet(80);
        let held = lock(&path).unwrap();
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| bench.purge());
            std::thread::sleep(Duration::from_millis(50));
            assert_eq!(pipe.text(), "");
            drop(held);
            writer.join().unwrap().unwrap();
        });
        assert!(!pipe.text().is_empty());
        drop(lock(&path).unwrap()); // it is free again
    }

    #[test]
    fn a_name_is_quoted_for_json() {
        let pipe = Pipe::default();
        let mut bench = Bench::new(&pipe, Layout::Json, Some("a\"b"), None);
        bench.packet(80);
        bench.purge().unwrap();
        for line in pipe.text().lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            assert!(value["event_type"].as_str().unwrap().starts_with("purge"));
        }
        assert!(pipe.text().contains(r#""writer_id": "a\"b/"#));
    }
}
