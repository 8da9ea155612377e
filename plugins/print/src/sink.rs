//! Purges into files, or onto standard output.

use std::time::Instant;

use rpmacct_plugin::{Outcome, Purge, Reason, Sums, Timestamp};
use tracing::info;

use crate::files::{Files, Report};
use crate::format::Format;
use crate::preprocess::Preprocess;
use crate::share::Share;
use crate::stdout::Stdout;
use crate::trigger::{Purged, Trigger};

/// One print plugin.
pub(crate) struct Printer {
    pub(crate) format: Format,
    pub(crate) preprocess: Preprocess,
    pub(crate) target: Target,
    pub(crate) trigger: Option<Trigger>,
}

/// Where the rows go.
pub(crate) enum Target {
    Files(Box<Files>),
    Stdout(Stdout),
}

impl Purge for Printer {
    fn purge(&mut self, sums: Sums) -> Outcome {
        let (reason, total) = (sums.reason, sums.len());
        if reason == Reason::Full {
            info!("Finished cache entries (ie. print_cache_entries). Purging.");
        }
        let pid = std::process::id();
        info!("*** Purging cache - START (PID: {pid}) ***");
        let begin = Instant::now();
        let report = match &mut self.target {
            Target::Files(files) => files.purge(&mut self.format, &self.preprocess, sums),
            Target::Stdout(stdout) => to_stdout(stdout, &mut self.format, &self.preprocess, sums),
        };
        // Monitoring reads these numbers.
        let (rows, seconds) = (report.rows, begin.elapsed().as_secs());
        let end = match total {
            0 if rows == 0 => "QN: 0/0, ET: X".to_owned(),
            _ => format!("QN: {rows}/{}, ET: {seconds}", rows.max(total as u64)),
        };
        info!("*** Purging cache - END (PID: {pid}, {end}) ***");
        // As in the peer, not for the parts of an interval, nor for one that had nothing in it.
        if reason != Reason::Full && rows > 0 {
            self.pull_trigger(&report);
        }
        report.outcome
    }

    fn retry_at(&self) -> Option<Timestamp> {
        match &self.target {
            Target::Files(files) => files.retry_at(),
            Target::Stdout(_) => None,
        }
    }

    fn retry(&mut self, now: Timestamp) -> Outcome {
        let Target::Files(files) = &mut self.target else { return Outcome::default() };
        let report = files.retry(&mut self.format, now);
        if report.rows > 0 {
            self.pull_trigger(&report);
        }
        report.outcome
    }

    /// Empty intervals have their two lines in the log, and sometimes a file.
    fn wants_empty(&self) -> bool {
        true
    }
}

impl Printer {
    fn pull_trigger(&mut self, report: &Report) {
        if let Some(trigger) = &mut self.trigger {
            let Report { rows, files, ref file, .. } = *report;
            trigger.pull(Purged { file: file.clone(), files, rows });
        }
    }
}

fn to_stdout(stdout: &mut Stdout, format: &mut Format, preprocess: &Preprocess, sums: Sums) -> Report {
    let mut report = Report::default();
    let now = sums.now;
    let shares: Vec<_> = sums
        .bins
        .into_iter()
        .map(|sums| {
            let (share, erased) = Share::judged(sums, preprocess, now);
            report.outcome.erased += erased;
            share
        })
        .collect();
    let (rows, outcome) = stdout.purge(format, &shares);
    report.rows = rows;
    report.outcome.add(outcome);
    report
}

#[cfg(test)]
mod tests {
    use std::io::{self, ErrorKind, Write};
    use std::path::PathBuf;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use rpmacct_plugin::{
        Batch, Counters, Purger, Record, Schedule, Schema, Sink, SinkError, Tallies, Timestamp,
    };
    use rpmacct_primitives::{Dialect, Layout, Rows, SchemaOptions, Style};

    use super::*;
    use crate::stdout::lock;
    use crate::text::Text;

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
            let text =
                Text::new(Rows::new(&schema, style), layout == Layout::Json, markers.map(str::to_owned));
            let target = Target::Stdout(Stdout::new(Box::new(pipe.clone()), lock));
            let tallies = Arc::<Tallies>::default();
            let schedule = Schedule::new(Timestamp::ZERO, Duration::from_secs(1), Duration::ZERO);
            let (format, preprocess) = (Format::Text(text), Preprocess::default());
            let printer = Printer { format, preprocess, target, trigger: None };
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
