//! A carbon plugin without a daemon, and carbons without Python.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use rpmacct_config::{Config, ConfigError, Registry, Source};
use rpmacct_plugin::{
    Balance, Batch, Context, Counters, Host, Key, OpenError, Plugin as _, Record, Schema, Sink, Tallies,
    Timestamp,
};
use rpmacct_primitives::SchemaOptions;

/// A full minute: 2023-11-14 22:14:00 UTC.
pub(crate) const MINUTE: i64 = 1_700_000_040;

pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A sink of source ports, with what it needs.
pub(crate) struct Bench {
    sink: Option<Box<dyn Sink>>,
    pub(crate) tallies: Arc<Tallies>,
    schema: Arc<Schema>,
    /// What was sent into it: bytes of each point, by name and second.
    pub(crate) expected: BTreeMap<(String, i64), u64>,
    packets: u64,
    /// Seconds since [`MINUTE`].
    pub(crate) now: i64,
}

impl Bench {
    /// Opens the plugin at [`MINUTE`] with the lines of a configuration. Health has a test of its own.
    pub(crate) fn open(lines: &str) -> Self {
        Self::try_open(lines, true).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn savefile(lines: &str) -> Self {
        Self::try_open(lines, false).unwrap_or_else(|error| panic!("{error}"))
    }

    pub(crate) fn try_open(lines: &str, live: bool) -> Result<Self, OpenError> {
        let config = config(&format!("carbon_health: false\n{lines}"))?;
        let schema = Arc::new(schema("src_port"));
        let tallies = Arc::<Tallies>::default();
        let sink = rpmacct_carbon::Carbon.open(Context {
            name: "default_carbon",
            settings: config.plugin("default_carbon"),
            schema: Arc::clone(&schema),
            host: Arc::new(Quick),
            tallies: Arc::clone(&tallies),
            now: at(0),
            foreground: true,
            live,
        })?;
        Ok(Self { sink: Some(sink), tallies, schema, expected: BTreeMap::new(), packets: 0, now: 0 })
    }

    /// A second of traffic of this many flows, each with other bytes in each second.
    pub(crate) fn second(&mut self, flows: u16) {
        let layout = self.schema.layout();
        let mut octets = vec![0; layout.stride() * usize::from(flows)];
        for (slot, port) in octets.chunks_exact_mut(layout.stride()).zip(1u16..) {
            let bytes = 1000 * self.now.unsigned_abs() + u64::from(port);
            let counters = Counters { packets: 3, bytes, flows: 0, tcp_flags: 0 };
            layout.put(slot, &Record { key: &port.to_be_bytes(), time: at(self.now), counters });
            self.expected.insert((format!("mpls.{port}.bytes"), MINUTE + self.now), bytes);
        }
        self.packets += 3 * u64::from(flows);
        self.now += 1;
        let schema = Arc::clone(&self.schema);
        self.sink().absorb(&Batch::new(&schema, &octets)).unwrap();
        self.check_ledger();
    }

    /// Lets the sink do what is due; the clock stands at the end of the last second.
    pub(crate) fn tick(&mut self) {
        let now = at(self.now);
        self.sink().tick(now).unwrap();
        self.check_ledger();
    }

    pub(crate) fn sink(&mut self) -> &mut dyn Sink {
        self.sink.as_deref_mut().unwrap()
    }

    /// Ticks until it is so.
    #[track_caller]
    pub(crate) fn tick_until(&mut self, what: &str, mut is_so: impl FnMut(&Tallies) -> bool) {
        wait_for(what, || {
            self.tick();
            is_so(&self.tallies)
        });
    }

    pub(crate) fn finish(&mut self) {
        self.sink.take().unwrap().finish(at(self.now)).unwrap();
        self.check_ledger();
    }

    /// `points`, `points sent`, `points waiting`, `points lost`.
    pub(crate) fn points(&self) -> [u64; 4] {
        let balances = self.tallies.more();
        let Balance { whole, parts, .. } = &balances[0];
        [whole.1, parts[0].1, parts[1].1, parts[2].1]
    }

    fn check_ledger(&self) {
        let Tallies { in_table, refused, purged, written, lost, erased, .. } = &*self.tallies;
        assert_eq!(self.packets, in_table.count() + purged.count() + refused.count());
        assert_eq!(purged.count(), written.count() + lost.count() + erased.count());
        assert!(self.tallies.more().iter().all(Balance::holds), "{:?}", self.tallies.more());
    }
}

pub(crate) fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs_nanos(MINUTE + secs, 0)
}

pub(crate) fn schema(aggregate: &str) -> Schema {
    Schema::parse(aggregate, SchemaOptions::default()).unwrap()
}

pub(crate) fn config(lines: &str) -> Result<Config, ConfigError> {
    let registry = Registry::new(rpmacct_carbon::Carbon.keys().iter().copied().chain([&AGGREGATE]));
    let text = format!("plugins: carbon\n{lines}");
    let loaded = Config::load(&registry, Source::text("test.conf", &text));
    loaded.map(|(config, _)| config).map_err(|mut errors| errors.remove(0))
}

const AGGREGATE: Key = Key::text("aggregate");

#[track_caller]
pub(crate) fn wait_for(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A daemon that settles at once.
struct Quick;

impl Host for Quick {
    fn settle(&self, _: Duration) -> bool {
        true
    }

    fn wake(&self) {}

    fn ledger(&self) -> Vec<Balance> {
        vec![Balance::new("eth2", "received by the kernel", 7).part("kernel drops", 0).part("accounted", 7)]
    }
}

/// What a carbon does with those who connect.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Manner {
    /// Reads all.
    Read,
    /// Reads this many octets of a connection, then resets it.
    Reset(usize),
    /// Reads this many octets of a connection, then closes it in order.
    Close(usize),
    /// Reads nothing.
    Stall,
    /// Reads 4 KiB each 10 ms.
    Slow,
}

/// A carbon that takes lines over TCP.
pub(crate) struct Carbon {
    pub(crate) address: SocketAddr,
    shared: Arc<CarbonState>,
}

struct CarbonState {
    /// What each connection said.
    said: Mutex<Vec<Arc<Mutex<Vec<u8>>>>>,
    manner: Mutex<Manner>,
    is_over: AtomicBool,
}

impl Carbon {
    pub(crate) fn start(manner: Manner) -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap(), manner)
    }

    pub(crate) fn start_at(address: SocketAddr, manner: Manner) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let shared = Arc::new(CarbonState {
            said: Mutex::default(),
            manner: Mutex::new(manner),
            is_over: AtomicBool::new(false),
        });
        let carbon = Self { address: listener.local_addr().unwrap(), shared: Arc::clone(&shared) };
        listener.set_nonblocking(true).unwrap();
        thread::spawn(move || {
            while !shared.is_over.load(Ordering::Acquire) {
                match listener.accept() {
                    Ok((stream, _)) => {
                        let said = Arc::<Mutex<Vec<u8>>>::default();
                        shared.said.lock().unwrap().push(Arc::clone(&said));
                        let shared = Arc::clone(&shared);
                        thread::spawn(move || serve(stream, &said, &shared));
                    }
                    Err(_) => thread::sleep(Duration::from_millis(2)),
                }
            }
        });
        carbon
    }

    /// An address where nobody listens yet.
    pub(crate) fn nobody() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    pub(crate) fn behave(&self, manner: Manner) {
        *self.shared.manner.lock().unwrap() = manner;
    }

    pub(crate) fn host(&self) -> String {
        format!("carbon_host: {}\n", self.address)
    }

    /// Whole lines, as carbon sees them: what a connection said without a line's end is none.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for said in self.shared.said.lock().unwrap().iter() {
            let text = String::from_utf8(said.lock().unwrap().clone()).unwrap();
            let (whole, _) = text.rsplit_once('\n').unwrap_or_default();
            lines.extend(whole.lines().map(str::to_owned));
        }
        lines
    }

    /// The points that it has: of those that came twice the last one.
    pub(crate) fn points(&self) -> BTreeMap<(String, i64), u64> {
        points(&self.lines())
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.said.lock().unwrap().len()
    }
}

impl Drop for Carbon {
    /// Connections are reset: it has died.
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Release);
        // Whoever binds the address again must find it free.
        wait_for("the listener closes", || TcpListener::bind(self.address).is_ok());
    }
}

pub(crate) fn points(lines: &[String]) -> BTreeMap<(String, i64), u64> {
    let mut points = BTreeMap::new();
    for line in lines {
        let [name, value, time] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        points.insert((name.to_owned(), time.parse().unwrap()), value.parse().unwrap());
    }
    points
}

fn serve(mut stream: TcpStream, said: &Mutex<Vec<u8>>, shared: &CarbonState) {
    stream.set_nonblocking(true).unwrap();
    let reset = |stream: &TcpStream| {
        let linger = nix::libc::linger { l_onoff: 1, l_linger: 0 };
        setsockopt(stream, sockopt::Linger, &linger).unwrap();
    };
    let mut buffer = [0; 4096];
    let mut taken = 0;
    loop {
        if shared.is_over.load(Ordering::Acquire) {
            return reset(&stream);
        }
        let manner = *shared.manner.lock().unwrap();
        let room = match manner {
            Manner::Reset(limit) | Manner::Close(limit) => limit.saturating_sub(taken).min(buffer.len()),
            Manner::Stall => 0,
            Manner::Read | Manner::Slow => buffer.len(),
        };
        match manner {
            Manner::Reset(_) if room == 0 => return reset(&stream),
            Manner::Close(_) if room == 0 => return,
            Manner::Stall => {
                thread::sleep(Duration::from_millis(5));
                continue;
            }
            Manner::Slow => thread::sleep(Duration::from_millis(10)),
            _ => {}
        }
        match stream.read(&mut buffer[..room]) {
            Ok(0) => return,
            Ok(n) => {
                said.lock().unwrap().extend_from_slice(&buffer[..n]);
                taken += n;
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                thread::sleep(Duration::from_millis(1));
            }
            Err(_) => return,
        }
    }
}

/// Datagrams that come to a socket until nothing comes for a while.
pub(crate) fn datagrams(socket: &UdpSocket) -> Vec<Vec<u8>> {
    socket.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut all = Vec::new();
    let mut buffer = vec![0; 65_536];
    while let Ok(n) = socket.recv(&mut buffer) {
        all.push(buffer[..n].to_vec());
    }
    all
}
