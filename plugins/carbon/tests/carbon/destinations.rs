//! Several destinations, other protocols.

use std::net::UdpSocket;
use std::time::Duration;

use super::bench::{Bench, Carbon, Manner, datagrams, points, wait_for};

const OPEN: &str = "carbon_new_series_per_minute: 0\ncarbon_max_series: 0\n";

#[test]
fn failover_uses_the_first_that_answers() {
    let (a, b) = (Carbon::start(Manner::Read), Carbon::start(Manner::Read));
    let lines = format!("carbon_host: {}, {}\n{OPEN}", a.address, b.address);
    let mut bench = Bench::open(&lines);
    (0..4).for_each(|_| bench.second(5));
    bench.tick_until("points are sent", |tallies| tallies.written.count() == 45);
    wait_for("the first has all", || (a.lines().len(), b.lines().len()) == (15, 0));
    drop(a);
    (0..4).for_each(|_| bench.second(5));
    bench.finish();
    // With what the first one may have lost.
    assert_eq!(b.points(), bench.expected);
}

#[test]
fn each_destination_has_its_share() {
    let carbons: Vec<_> =
        (1..4).map(|n| Carbon::start_at(format!("127.0.0.{n}:0").parse().unwrap(), Manner::Read)).collect();
    let hosts: Vec<_> = carbons.iter().map(|carbon| carbon.address.to_string()).collect();
    let lines = format!("carbon_host: {}\ncarbon_method: consistent-hashing\n{OPEN}", hosts.join(","));
    let mut bench = Bench::open(&lines);
    (0..3).for_each(|_| bench.second(300));
    bench.finish();
    let all: Vec<_> = carbons.iter().flat_map(Carbon::lines).collect();
    assert_eq!(all.len(), 900);
    assert_eq!(points(&all), bench.expected);
    for carbon in &carbons {
        assert!(carbon.lines().len() > 150, "{}", carbon.lines().len());
    }
    assert_eq!(bench.points(), [900, 900, 0, 0]);
}

#[test]
fn a_dead_share_holds_the_others_up_for_nothing() {
    let a = Carbon::start_at("127.0.0.1:0".parse().unwrap(), Manner::Read);
    let lines = format!("carbon_host: {}, 127.0.0.2:1\ncarbon_method: consistent-hashing\n{OPEN}", a.address);
    let mut bench = Bench::open(&lines);
    (0..10).for_each(|_| bench.second(50));
    wait_for("the share of the living", || {
        bench.tick();
        let [points, sent, waiting, _] = bench.points();
        sent + waiting == points && sent > 100 && a.lines().len() as u64 == sent
    });
    bench.finish();
    let [points, sent, waiting, lost] = bench.points();
    assert_eq!((points, waiting, sent + lost), (500, 0, 500));
}

#[test]
fn udp_has_whole_lines_in_each_datagram() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let lines = format!("carbon_host: {}\ncarbon_protocol: udp\n{OPEN}", socket.local_addr().unwrap());
    let mut bench = Bench::open(&lines);
    (0..4).for_each(|_| bench.second(100));
    bench.finish();
    let all = datagrams(&socket);
    assert!(all.iter().all(|one| one.len() <= 1200 && one.ends_with(b"\n")));
    assert!(all.len() < 20, "{}", all.len());
    let text = String::from_utf8(all.concat()).unwrap();
    assert_eq!(points(&text.lines().map(str::to_owned).collect::<Vec<_>>()), bench.expected);
}

#[test]
fn udp_notices_that_nobody_listens() {
    // An address of its own: on 127.0.0.1 another test may get the port while nobody listens.
    let address = UdpSocket::bind("127.0.0.82:0").unwrap().local_addr().unwrap();
    let mut bench = Bench::open(&format!("carbon_host: {address}\ncarbon_protocol: udp\n{OPEN}"));
    for _ in 0..5 {
        bench.second(10);
        bench.tick();
        std::thread::sleep(Duration::from_millis(30));
    }
    let socket = UdpSocket::bind(address).unwrap();
    bench.finish();
    let text = String::from_utf8(datagrams(&socket).concat()).unwrap();
    assert_eq!(points(&text.lines().map(str::to_owned).collect::<Vec<_>>()), bench.expected);
}

#[test]
fn ipv6_and_names_are_destinations() {
    let carbon = Carbon::start_at("[::1]:0".parse().unwrap(), Manner::Read);
    let mut bench = Bench::open(&(carbon.host() + OPEN));
    bench.second(1);
    bench.finish();
    assert_eq!(carbon.points(), bench.expected);
    let carbon = Carbon::start(Manner::Read);
    let mut bench =
        Bench::open(&format!("carbon_host: localhost\ncarbon_port: {}\n{OPEN}", carbon.address.port()));
    bench.second(1);
    bench.finish();
    assert_eq!(carbon.points(), bench.expected);
}
