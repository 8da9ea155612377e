//! The whole way: packets on eth2, rpmacctd, carbon, graphite-web. What render answers is what was sent.
#![allow(
    clippy::cast_precision_loss,
    clippy::cast_sign_loss,
    reason = "render's numbers are doubles, of whole bytes"
)]
#![allow(clippy::float_cmp, reason = "sums of whole bytes are exact")]

mod support;

use std::collections::BTreeMap;
use std::env;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use support::{
    Daemon, ETHERNET, Graphite, Launch, Namespace, PATIENCE, PcapFile, Port, Series, need_graphite,
    need_program, need_root, unix_now, wait_until,
};

/// IPv4 and UDP headers: what is counted besides the payload.
const HEADERS: usize = 28;

/// Tests that keep the machine busy do so one after the other.
fn alone() -> MutexGuard<'static, ()> {
    static BUSY: Mutex<()> = Mutex::new(());
    BUSY.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A router with eth2, and those who send to it.
fn network() -> (Namespace, Namespace) {
    let eth2 = Port {
        interface: "eth2",
        addresses: &["10.9.1.21/16", "10.9.1.22/16", "10.9.1.23/16", "10.9.1.24/16"],
    };
    let far = Port {
        interface: "up2",
        addresses: &[
            "10.9.0.11/16",
            "10.9.0.12/16",
            "10.9.0.13/16",
            "10.9.0.14/16",
            "10.9.0.15/16",
            "10.9.0.17/16",
        ],
    };
    Namespace::pair(eth2, far)
}

/// A flow of UDP datagrams.
#[derive(Clone, Copy)]
struct Flow {
    /// Last octet of 10.9.0.x, and of 10.9.1.x.
    from: u8,
    to: u8,
    /// Bits a second, IP headers included.
    rate: f64,
    /// Bytes of a datagram, IP header included.
    size: usize,
    /// Seconds of traffic and of the whole period.
    burst: Option<(f64, f64)>,
}

/// What was sent: for each second the bytes that surely belong to it, and those of datagrams that were sent
/// while the second changed.
#[derive(Default)]
struct Sent {
    total: usize,
    seconds: BTreeMap<i64, (usize, usize)>,
}

impl Flow {
    const fn new(from: u8, to: u8, rate: f64) -> Self {
        Self { from, to, rate, size: if rate > 2e5 { 1400 } else { 400 }, burst: None }
    }

    const fn in_bursts(self, on: f64, period: f64) -> Self {
        Self { burst: Some((on, period)), ..self }
    }

    fn name(&self) -> String {
        format!("mpls.10_9_0_{}.10_9_1_{}.bytes", self.from, self.to)
    }

    fn is_on(&self, at: Duration) -> bool {
        self.burst.is_none_or(|(on, period)| at.as_secs_f64() % period < on)
    }
}

/// Sends flows until told to stop.
fn send(flows: &[Flow], stop: &AtomicBool) -> Vec<Sent> {
    let sockets: Vec<_> = flows
        .iter()
        .map(|flow| {
            let socket = UdpSocket::bind(SocketAddr::from(([10, 9, 0, flow.from], 0))).unwrap();
            socket.connect(SocketAddr::from(([10, 9, 1, flow.to], 9999))).unwrap();
            socket
        })
        .collect();
    let payload = [b'.'; 1500];
    let mut due = vec![0.0; flows.len()];
    let mut sent: Vec<Sent> = flows.iter().map(|_| Sent::default()).collect();
    let (begin, mut last) = (Instant::now(), Instant::now());
    while !stop.load(Ordering::Relaxed) {
        let now = Instant::now();
        let passed = (now - last).as_secs_f64();
        last = now;
        for (((flow, socket), due), sent) in flows.iter().zip(&sockets).zip(&mut due).zip(&mut sent) {
            if !flow.is_on(now - begin) {
                continue;
            }
            // A sender that was kept from sending does not make up for it: no second has more than its rate.
            *due = (*due + flow.rate / 8.0 * passed).min(flow.rate / 8.0 * 0.05 + flow.size as f64);
            while *due >= flow.size as f64 {
                *due -= flow.size as f64;
                let before = unix_now();
                socket.send(&payload[..flow.size - HEADERS]).unwrap();
                let after = unix_now();
                sent.total += flow.size;
                if before == after {
                    sent.seconds.entry(before).or_default().0 += flow.size;
                } else {
                    sent.seconds.entry(before).or_default().1 += flow.size;
                    sent.seconds.entry(after).or_default().1 += flow.size;
                }
            }
        }
        thread::sleep(Duration::from_millis(5));
    }
    sent
}

/// Programs that keep all cores busy, until this is dropped.
struct Busy(Vec<Child>);

impl Busy {
    fn start() -> Self {
        let cores = thread::available_parallelism().map_or(2, usize::from);
        let spin = || Command::new("sh").args(["-c", "while :; do :; done"]).spawn().expect("sh");
        Self((0..cores).map(|_| spin()).collect())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Each second of a series is what was sent in it, within five per cent, and the sum is exact.
#[track_caller]
fn assert_is_what_was_sent(flow: &Flow, series: &Series, sent: &Sent) {
    let name = flow.name();
    assert_eq!(series.target, name);
    assert_eq!(
        series.sum(),
        sent.total as f64,
        "{name}: the sum of {:?}\nsent {:?}",
        series.points,
        sent.seconds
    );
    let points: BTreeMap<i64, f64> = series.points.iter().copied().collect();
    for (second, (bytes, unsure)) in &sent.seconds {
        let point = points.get(second).copied().unwrap_or(0.0);
        let (least, most) = (*bytes as f64 * 0.95, (bytes + unsure) as f64 * 1.05);
        assert!(
            (least..=most).contains(&point),
            "{name}: {second} has {point}, sent were {bytes} and {unsure}"
        );
    }
}

/// The series of the flows, as soon as they are complete.
fn complete(graphite: &Graphite<'_>, flows: &[Flow], sent: &[Sent], from: i64) -> Vec<Series> {
    let mut all = Vec::new();
    let _ = wait_until(PATIENCE, || {
        all = flows.iter().filter_map(|flow| graphite.render(&flow.name(), from, unix_now()).pop()).collect();
        all.len() == flows.len()
            && all.iter().zip(sent).all(|(series, sent)| series.sum() >= sent.total as f64)
    });
    all
}

fn seconds(default: u64) -> Duration {
    let given = env::var("RPMACCT_GRAPHITE_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(given.unwrap_or(default))
}

/// The story, with a flow just below the megabit and both cores busy.
#[test]
fn flows_above_a_megabit_are_those_that_were() {
    if !need_root() || !need_program("ip") || !need_graphite() {
        return;
    }
    let _alone = alone();
    let (router, far) = network();
    let graphite = Graphite::start(&router);
    let _ears: Vec<_> = (21..=24).map(|to| router.listen(SocketAddr::from(([10, 9, 1, to], 9999)))).collect();
    let flows = [
        Flow::new(11, 21, 5e6),
        Flow::new(12, 22, 2.5e6),
        Flow::new(13, 23, 1.2e6),
        Flow::new(14, 24, 0.8e6),
        Flow::new(15, 21, 0.05e6),
        Flow::new(17, 23, 3e6).in_bursts(2.0, 7.0),
    ];
    let conf = "interface: eth2\npcap_filter: udp\nplugins: carbon\naggregate: src_host, dst_host\n";
    let mut daemon = Launch::conf(conf).inside(&router).start();
    daemon.wait_for_log("link type is");
    let busy = Busy::start();
    let (from, stop) = (unix_now() - 1, AtomicBool::new(false));
    let sent = thread::scope(|scope| {
        let sender = scope.spawn(|| far.inside(|| send(&flows, &stop)));
        thread::sleep(seconds(20));
        stop.store(true, Ordering::Relaxed);
        sender.join().expect("the sender")
    });
    drop(busy);
    let finished = daemon.stop(Signal::SIGTERM);
    assert!(finished.status.success() && !finished.stderr.contains("!="), "{}", finished.stderr);
    assert!(finished.stderr.contains("points lost 0"), "{}", finished.stderr);

    for (flow, (series, sent)) in flows.iter().zip(complete(&graphite, &flows, &sent, from).iter().zip(&sent))
    {
        assert_is_what_was_sent(flow, series, sent);
    }
    let above = "maximumAbove(scale(mpls.*.*.bytes,8),1000000)";
    let mut found: Vec<_> =
        graphite.render(above, from, unix_now()).into_iter().map(|series| series.target).collect();
    found.sort();
    let is_above = |flow: &Flow| flow.rate > 1e6;
    let expected: Vec<_> =
        flows.iter().filter(|flow| is_above(flow)).map(|f| format!("scale({},8)", f.name())).collect();
    assert_eq!(found, expected);
    let picture = Path::new(env!("CARGO_TARGET_TMPDIR")).join("graphite.png");
    graphite.picture(&format!("aliasByNode({above},1,2)"), from, unix_now(), &picture);
}

/// carbon is stopped, killed in the middle, frozen, made slow, and started again: no second is missing.
#[test]
fn what_carbon_goes_through_is_not_seen_in_the_graph() {
    if !need_root() || !need_program("ip") || !need_graphite() {
        return;
    }
    let _alone = alone();
    let (router, far) = network();
    let mut graphite = Graphite::start(&router);
    let _ears: Vec<_> = (21..=24).map(|to| router.listen(SocketAddr::from(([10, 9, 1, to], 9999)))).collect();
    let froms = [11, 12, 13, 14, 15, 17];
    let flows: Vec<_> =
        froms.into_iter().flat_map(|from| (21..=24).map(move |to| Flow::new(from, to, 2e5))).collect();
    let conf = "interface: eth2\npcap_filter: udp\nplugins: carbon\naggregate: src_host, dst_host\n\
                carbon_new_series_per_minute: 0\ncarbon_resend: 60\ncarbon_spool: {folder}/spool\n";
    let mut daemon = Launch::conf(conf).inside(&router).start();
    daemon.wait_for_log("link type is");
    let (from, stop) = (unix_now() - 1, AtomicBool::new(false));
    let connected = |daemon: &mut Daemon, times: usize| {
        daemon.wait_for("no connection", |daemon| daemon.stderr().matches("connected to").count() == times);
        thread::sleep(Duration::from_secs(2));
    };
    let sent = thread::scope(|scope| {
        let sender = scope.spawn(|| far.inside(|| send(&flows, &stop)));
        connected(&mut daemon, 1);
        graphite.end_carbon(Signal::SIGTERM);
        thread::sleep(seconds(5));
        graphite.start_carbon("");
        connected(&mut daemon, 2);
        graphite.end_carbon(Signal::SIGKILL);
        graphite.start_carbon("");
        connected(&mut daemon, 3);
        graphite.signal_carbon(Signal::SIGSTOP);
        thread::sleep(Duration::from_secs(3));
        graphite.signal_carbon(Signal::SIGCONT);
        // A cache that is full at once, written out slowly: carbon pauses its clients, drops what it has read
        // already, and is killed with what it has.
        graphite.end_carbon(Signal::SIGKILL);
        graphite.start_carbon("MAX_CACHE_SIZE = 60\nMAX_UPDATES_PER_SECOND = 4\n");
        connected(&mut daemon, 4);
        thread::sleep(Duration::from_secs(4));
        graphite.end_carbon(Signal::SIGKILL);
        graphite.start_carbon("");
        connected(&mut daemon, 5);
        stop.store(true, Ordering::Relaxed);
        sender.join().expect("the sender")
    });
    let finished = daemon.stop(Signal::SIGTERM);
    assert!(finished.status.success() && !finished.stderr.contains("!="), "{}", finished.stderr);
    assert!(finished.stderr.contains("points lost 0"), "{}", finished.stderr);
    assert!(graphite.carbon_log().contains("MetricCache is full"), "{}", graphite.carbon_log());
    let all = complete(&graphite, &flows, &sent, from);
    assert_eq!(all.len(), flows.len(), "{}\n{}", finished.stderr, graphite.carbon_log());
    for (flow, (series, sent)) in flows.iter().zip(all.iter().zip(&sent)) {
        assert_is_what_was_sent(flow, series, sent);
    }
}

/// The daemon is killed while carbon is away: what had been counted is sent at the next start.
#[test]
fn points_survive_a_daemon_that_is_killed() {
    if !need_root() || !need_program("ip") {
        return;
    }
    let (router, far) = network();
    let _ear = router.listen("10.9.1.21:9999".parse().unwrap());
    let spool = tempfile::tempdir().unwrap();
    let conf = format!(
        "interface: eth2\npcap_filter: udp\nplugins: carbon\naggregate: src_host, dst_host\n\
         carbon_health: false\ncarbon_spool: {}\n",
        spool.path().display()
    );
    let flows = [Flow::new(11, 21, 1e6)];
    let start = || -> Daemon {
        let mut daemon = Launch::conf(&conf).inside(&router).start();
        daemon.wait_for_log("link type is");
        daemon
    };
    let daemon = start();
    let stop = AtomicBool::new(false);
    let (sent, killed) = thread::scope(|scope| {
        let sender = scope.spawn(|| far.inside(|| send(&flows, &stop)));
        thread::sleep(Duration::from_secs(6));
        let killed = unix_now();
        daemon.signal(Signal::SIGKILL);
        stop.store(true, Ordering::Relaxed);
        (sender.join().expect("the sender"), killed)
    });
    let listener = router.inside(|| TcpListener::bind("127.0.0.1:2003").unwrap());
    let again = start();
    let lines = thread::spawn(move || {
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        text
    });
    let finished = again.stop(Signal::SIGTERM);
    assert!(finished.stderr.contains("points of an earlier run are sent first"), "{}", finished.stderr);
    let lines = lines.join().unwrap();
    let points: Vec<_> = lines
        .lines()
        .filter_map(|line| {
            let [_, value, time] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
            let point = (time.parse::<i64>().ok()?, value.parse().ok()?);
            (point.0 < killed).then_some(point)
        })
        .collect();
    // What was still being counted is lost: the last second, and the one that waited for late packets.
    let (last, _) = *points.last().expect("points");
    assert!(last >= killed - 3, "{points:?}, killed at {killed}");
    let mut sent = sent.into_iter().next().unwrap();
    sent.seconds.retain(|second, _| *second <= last);
    sent.total = points.iter().map(|point: &(i64, f64)| point.1 as usize).sum();
    assert!(sent.seconds.len() >= 4, "{points:?}");
    assert_is_what_was_sent(&flows[0], &Series { target: flows[0].name(), points }, &sent);
}

/// A capture in which every key has something to be escaped, in dotted names and as tags.
#[test]
fn keys_of_all_kinds_have_names_that_render_finds() {
    if !need_root() || !need_program("ip") || !need_graphite() {
        return;
    }
    let _alone = alone();
    let router = Namespace::new("router");
    let graphite = Graphite::start(&router);
    let time = unix_now() - 30;
    let file = frames().into_iter().fold(PcapFile::new(ETHERNET), |file, frame| {
        file.frame(Duration::from_secs(time.unsigned_abs()), &frame)
    });
    let conf = "pcap_savefile: {folder}/frames.pcap\nplugins: carbon[names], carbon[tags]\n\
                aggregate: src_mac, vlan, mpls_label_top, src_host, dst_host, proto, etype, timestamp_start\n\
                timestamps_secs: true\ncarbon_health: false\n\
                carbon_tags[tags]: true\ncarbon_prefix[tags]: mpls.tagged\ncarbon_protocol[tags]: pickle\n";
    let launch = Launch::conf(conf).inside(&router).file("frames.pcap", file.bytes());
    let finished = launch.finish();
    assert!(finished.status.success() && !finished.stderr.contains("!="), "{}", finished.stderr);
    assert!(finished.stderr.contains("points 4 = points sent 4"), "{}", finished.stderr);

    let mut series = Vec::new();
    let _ = wait_until(PATIENCE, || {
        series = graphite.render("mpls.*.*.*.*.*.*.*.*.bytes", time - 5, time + 5);
        series.len() == 4 && series.iter().all(|series| !series.points.is_empty())
    });
    let mut found: Vec<_> = series.iter().map(|series| (series.target.as_str(), series.sum())).collect();
    found.sort_by(|a, b| a.0.cmp(b.0));
    let name = |keys: &str| format!("mpls.02_00_00_00_00_01.{keys}.{time}_000000.bytes");
    let [v6, mapped, tagged, labelled] = [
        name("0.86dd.2001_db8__1.ff02__1_ff00_42.ipv6-icmp.0"),
        name("0.86dd.__ffff_a00_1.__.udp.0"),
        name("4094.800.10_0_0_1.10_0_0_2.udp.0"),
        name("0.800.10_0_0_1.10_0_0_2.udp.1048575"),
    ];
    let mut expected = [(v6.as_str(), 48.0), (&mapped, 48.0), (&tagged, 28.0), (&labelled, 28.0)];
    expected.sort_by(|a, b| a.0.cmp(b.0));
    assert_eq!(found, expected);

    let by_tags = "seriesByTag('name=mpls.tagged.bytes','src_host=2001:db8::1','proto=ipv6-icmp')";
    let is_found =
        || graphite.render(by_tags, time - 5, time + 5).first().is_some_and(|series| series.sum() == 48.0);
    assert!(wait_until(PATIENCE, is_found), "{}", graphite.carbon_log());
    assert_eq!(graphite.render("seriesByTag('name=mpls.tagged.bytes')", time - 5, time + 5).len(), 4);
    assert!(!graphite.carbon_log().contains("invalid line"), "{}", graphite.carbon_log());
}

/// A neighbour solicitation; IPv4-mapped addresses; a VLAN tag; an MPLS label. Each payload is 8 octets of header.
fn frames() -> Vec<Vec<u8>> {
    let ethernet = |behind: &[u8]| [&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1], behind].concat();
    let udp = [0, 53, 0, 54, 0, 8, 0, 0];
    let v4 = [&[0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2][..], &udp].concat();
    let v6 = |next: u8, from: &str, to: &str| {
        let address = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().octets();
        let payload = if next == 58 { [135, 0, 0, 0, 0, 0, 0, 0] } else { udp };
        [&[0x60, 0, 0, 0, 0, 8, next, 255][..], &address(from), &address(to), &payload].concat()
    };
    vec![
        ethernet(&[&[0x86, 0xdd][..], &v6(58, "2001:db8::1", "ff02::1:ff00:42")].concat()),
        ethernet(&[&[0x86, 0xdd][..], &v6(17, "::ffff:10.0.0.1", "::")].concat()),
        ethernet(&[&[0x81, 0, 0x0f, 0xfe, 0x08, 0][..], &v4].concat()),
        ethernet(&[&[0x88, 0x47, 0xff, 0xff, 0xf1, 64][..], &v4].concat()),
    ]
}
