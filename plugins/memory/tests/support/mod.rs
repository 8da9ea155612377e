//! A memory plugin in a thread, as the daemon runs it, and packets to feed it with.
#![allow(dead_code, reason = "every test program uses its own part of this")]

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use rpmacct_config::{Config, Registry, Source};
use rpmacct_memory::Memory;
use rpmacct_packet::{LinkType, Packet};
use rpmacct_plugin::{
    Balance, Batch, Context, Host, OpenError, Plugin, Schema, Sink, Tallies, Tally, Timestamp,
};
use rpmacct_primitives::{End, Observation, SchemaOptions};
use tempfile::TempDir;

/// What happens on the plugin's thread.
enum Event {
    Records(Vec<u8>),
    Wake,
    Settle(Sender<()>),
    Stop,
}

/// A plugin that runs.
pub(crate) struct Daemon {
    pub(crate) folder: TempDir,
    pub(crate) tallies: Arc<Tallies>,
    schema: Arc<Schema>,
    events: Sender<Event>,
    thread: Option<JoinHandle<()>>,
}

struct Desk {
    events: Sender<Event>,
    tallies: Arc<Tallies>,
    absorbed: Arc<Tally>,
}

impl Host for Desk {
    fn settle(&self, timeout: Duration) -> bool {
        let (reply, settled) = bounded(1);
        self.events.send(Event::Settle(reply)).is_ok() && settled.recv_timeout(timeout).is_ok()
    }

    fn wake(&self) {
        let _ = self.events.send(Event::Wake);
    }

    fn ledger(&self) -> Vec<Balance> {
        let Tallies { in_table, purged, erased, .. } = &*self.tallies;
        vec![
            Balance::new("test/memory", "absorbed", self.absorbed.count())
                .part("in the table", in_table.count())
                .part("purged", purged.count()),
            Balance::new("test/memory", "purged", purged.count()).part("erased", erased.count()),
        ]
    }
}

impl Daemon {
    pub(crate) fn start(aggregate: &str) -> Self {
        Self::configured(aggregate, "").unwrap_or_else(|error| panic!("{error}"))
    }

    /// With more lines of configuration. `{folder}` is the daemon's own folder; its socket is `sock` in it.
    pub(crate) fn configured(aggregate: &str, lines: &str) -> Result<Self, OpenError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().to_str().unwrap();
        let lines = format!("plugins: memory\nimt_path: {path}/sock\n{}", lines.replace("{folder}", path));
        let registry = Registry::new(Memory.keys().iter().copied());
        let (config, _) = Config::load(&registry, Source::text("test.conf", &lines))
            .map_err(|errors| OpenError::Config(errors[0].clone()))?;
        let schema = Arc::new(Schema::parse(aggregate, SchemaOptions::default()).unwrap());
        let (events, queue) = unbounded();
        let (tallies, absorbed) = (Arc::<Tallies>::default(), Arc::<Tally>::default());
        let sink = Memory.open(Context {
            name: "default_memory",
            settings: config.plugin("default_memory"),
            schema: Arc::clone(&schema),
            host: Arc::new(Desk {
                events: events.clone(),
                tallies: Arc::clone(&tallies),
                absorbed: Arc::clone(&absorbed),
            }),
            tallies: Arc::clone(&tallies),
            now: Timestamp::ZERO,
            foreground: true,
            live: true,
        })?;
        let thread = {
            let schema = Arc::clone(&schema);
            std::thread::spawn(move || run(sink, &schema, &queue, &absorbed))
        };
        Ok(Self { folder, tallies, schema, events, thread: Some(thread) })
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.folder.path().join("sock")
    }

    /// Hands packets to the plugin, as one batch.
    pub(crate) fn feed(&self, packets: &[Pkt]) {
        let layout = self.schema.layout();
        let mut batch = Vec::new();
        for packet in packets {
            let frame = packet.frame();
            let decoded = Packet::decode(LinkType::ETHERNET, &frame, 14 + packet.len).unwrap();
            let ports = decoded.ports();
            let observation = Observation { ports, ..Observation::new(&decoded, Timestamp::ZERO) };
            let at = batch.len();
            batch.resize(at + layout.stride(), 0);
            layout.write(&mut batch[at..], &self.schema, &observation, End::Source);
        }
        self.events.send(Event::Records(batch)).unwrap();
    }

    /// Asks under the name `rpmacct`: exit code, standard output, standard error.
    pub(crate) fn ask(&self, line: &str) -> (u8, String, String) {
        let socket = self.socket();
        let args = ["rpmacct", "-p", socket.to_str().unwrap()].into_iter().chain(line.split_whitespace());
        client(args)
    }

    /// Asks for what must be answered, and gives what was printed.
    #[track_caller]
    pub(crate) fn answer(&self, line: &str) -> String {
        let (code, out, err) = self.ask(line);
        assert_eq!((code, err.as_str()), (0, ""), "{line}: {out}");
        out
    }

    pub(crate) fn stop(&mut self) {
        if let Some(thread) = self.thread.take() {
            let _ = self.events.send(Event::Stop);
            thread.join().unwrap();
        }
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The plugin's thread.
fn run(mut sink: Box<dyn Sink>, schema: &Schema, events: &Receiver<Event>, absorbed: &Tally) {
    for event in events {
        match event {
            Event::Records(records) => {
                let batch = Batch::new(schema, &records);
                absorbed.add(batch.iter().map(|record| record.counters.packets).sum());
                sink.absorb(&batch).unwrap();
            }
            Event::Wake => sink.tick(Timestamp::ZERO).unwrap(),
            Event::Settle(reply) => reply.send(()).unwrap_or_default(),
            Event::Stop => break,
        }
    }
    sink.finish(Timestamp::ZERO).unwrap();
}

/// Runs the client: exit code, standard output, standard error.
pub(crate) fn client<'a>(args: impl IntoIterator<Item = &'a str>) -> (u8, String, String) {
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let code = rpmacct_client::run_with(args.into_iter().map(Into::into), &mut out, &mut err);
    (code, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
}

/// A packet, in short.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pkt {
    src: IpAddr,
    dst: IpAddr,
    proto: u8,
    ports: (u16, u16),
    flags: u8,
    /// Of the IP packet, in bytes.
    len: u32,
}

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
pub(crate) const ICMPV6: u8 = 58;

pub(crate) fn pkt(src: &str, dst: &str, proto: u8, ports: (u16, u16), flags: u8, len: u32) -> Pkt {
    Pkt { src: src.parse().unwrap(), dst: dst.parse().unwrap(), proto, ports, flags, len }
}

impl Pkt {
    /// Ethernet, IP and the transport header; the rest was not captured.
    fn frame(&self) -> Vec<u8> {
        let len = (self.len as u16).to_be_bytes();
        let mut frame = vec![2, 0, 0, 0, 0, 0x0b, 2, 0, 0, 0, 0, 0x0a];
        match (self.src, self.dst) {
            (IpAddr::V4(src), IpAddr::V4(dst)) => {
                frame.extend([8, 0, 0x45, 0, len[0], len[1], 0, 1, 0, 0, 64, self.proto, 0, 0]);
                frame.extend(src.octets());
                frame.extend(dst.octets());
            }
            (IpAddr::V6(src), IpAddr::V6(dst)) => {
                let payload = (self.len as u16 - 40).to_be_bytes();
                frame.extend([0x86, 0xdd, 0x60, 0, 0, 0, payload[0], payload[1], self.proto, 64]);
                frame.extend(src.octets());
                frame.extend(dst.octets());
            }
            _ => panic!("{} and {} are of two families", self.src, self.dst),
        }
        frame.extend(self.ports.0.to_be_bytes());
        frame.extend(self.ports.1.to_be_bytes());
        match self.proto {
            TCP => frame.extend([0, 0, 0, 0, 0, 0, 0, 0, 0x50, self.flags, 0, 0, 0, 0, 0, 0]),
            _ => frame.extend([0, 8, 0, 0]),
        }
        frame
    }
}

/// Results of several threads, in the order of their completion.
#[derive(Debug, Default)]
pub(crate) struct Collected<T>(Mutex<Vec<T>>);

impl<T> Collected<T> {
    pub(crate) fn push(&self, result: T) {
        self.0.lock().unwrap().push(result);
    }

    pub(crate) fn take(&self) -> Vec<T> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}
