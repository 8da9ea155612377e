//! Carbons that fail.

use std::time::{Duration, Instant};

use super::bench::{Bench, Carbon, MINUTE, Manner, wait_for};

/// No limit of new series: these tests are of what comes after it.
const OPEN: &str = "carbon_new_series_per_minute: 0\ncarbon_max_series: 0\n";

#[test]
fn points_come_as_they_were_counted() {
    let carbon = Carbon::start(Manner::Read);
    let mut bench = Bench::open(&(carbon.host() + OPEN));
    (0..5).for_each(|_| bench.second(3));
    bench.finish();
    assert_eq!(carbon.points(), bench.expected);
    assert_eq!(bench.points(), [15, 15, 0, 0]);
    assert_eq!(bench.tallies.written.count(), 45);
    assert_eq!(carbon.lines()[3], format!("mpls.3.bytes 1003 {}", MINUTE + 1));
}

#[test]
fn a_closed_connection_is_seen_before_anything_is_written_into_it() {
    let first = format!("mpls.1.bytes 1 {MINUTE}\n");
    let carbon = Carbon::start(Manner::Close(first.len()));
    let mut bench = Bench::open(&(carbon.host() + OPEN));
    (0..3).for_each(|_| bench.second(1));
    bench.tick_until("the first points are sent", |tallies| tallies.written.count() >= 3);
    wait_for("carbon has the first line", || carbon.lines().len() == 1);
    std::thread::sleep(Duration::from_millis(100)); // and closes
    carbon.behave(Manner::Read);
    (0..3).for_each(|_| bench.second(1));
    bench.finish();
    assert_eq!(carbon.points(), bench.expected);
    assert!(carbon.connections() >= 2);
}

#[test]
fn nothing_is_missing_when_connections_are_reset_in_the_middle() {
    for limit in [1, 100, 5000, 70_000] {
        let carbon = Carbon::start(Manner::Reset(limit));
        let mut bench = Bench::open(&(carbon.host() + OPEN));
        for second in 0..8 {
            bench.second(500);
            bench.tick();
            if second == 5 {
                carbon.behave(Manner::Read);
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        bench.finish();
        assert_eq!(carbon.points(), bench.expected, "reset after {limit} octets");
        assert_eq!(bench.points()[3], 0);
        assert_eq!(bench.tallies.lost.count(), 0);
    }
}

#[test]
fn what_died_with_carbon_is_sent_again() {
    let address = Carbon::nobody();
    let first = Carbon::start_at(address, Manner::Read);
    let mut bench = Bench::open(&(first.host() + OPEN));
    (0..6).for_each(|_| bench.second(10));
    bench.tick_until("points are sent", |tallies| tallies.written.count() == 150);
    drop(first);
    (0..4).for_each(|_| bench.second(10));
    let second = Carbon::start_at(address, Manner::Read);
    bench.finish();
    // All that the first one had, it had within the last seconds.
    assert_eq!(second.points(), bench.expected);
}

#[test]
fn without_resending_each_point_comes_once() {
    let address = Carbon::nobody();
    let first = Carbon::start_at(address, Manner::Read);
    let mut bench = Bench::open(&(first.host() + OPEN + "carbon_resend: 0\n"));
    (0..6).for_each(|_| bench.second(1));
    bench.tick_until("points are sent", |tallies| tallies.written.count() == 15);
    wait_for("the first has all", || first.lines().len() == 5);
    drop(first);
    (0..4).for_each(|_| bench.second(1));
    let second = Carbon::start_at(address, Manner::Read);
    bench.finish();
    assert_eq!(second.lines().len(), 5);
}

#[test]
fn a_carbon_that_comes_late_gets_all_in_order() {
    let address = Carbon::nobody();
    let mut bench = Bench::open(&format!("carbon_host: {address}\n{OPEN}"));
    for _ in 0..20 {
        bench.second(20);
        bench.tick();
    }
    assert_eq!(bench.points()[1], 0);
    let carbon = Carbon::start_at(address, Manner::Read);
    bench.finish();
    assert_eq!(carbon.points(), bench.expected);
    let times: Vec<i64> =
        carbon.lines().iter().map(|line| line.rsplit(' ').next().unwrap().parse().unwrap()).collect();
    assert!(times.is_sorted());
    assert_eq!(bench.points(), [400, 400, 0, 0]);
}

#[test]
fn what_exceeds_the_bound_is_lost_to_the_point_and_the_newest_stays() {
    let address = Carbon::nobody();
    let mut bench = Bench::open(&format!("carbon_host: {address}\ncarbon_spool_size: 65536\n{OPEN}"));
    for _ in 0..40 {
        bench.second(100);
        bench.tick();
    }
    let carbon = Carbon::start_at(address, Manner::Read);
    bench.finish();
    let [points, sent, waiting, lost] = bench.points();
    assert_eq!((points, waiting), (4000, 0));
    assert!(lost > 1000, "{lost}");
    assert_eq!(carbon.lines().len() as u64, sent);
    assert_eq!(sent + lost, 4000);
    assert_eq!((bench.tallies.written.count(), bench.tallies.lost.count()), (3 * sent, 3 * lost));
    // What came is right, and is the newest.
    let newest = bench.expected.iter().filter(|((_, time), _)| *time >= MINUTE + (lost / 100).cast_signed());
    assert_eq!(carbon.points(), newest.map(|(point, value)| (point.clone(), *value)).collect());
}

#[test]
fn a_carbon_that_stalls_holds_nobody_up() {
    let carbon = Carbon::start(Manner::Stall);
    let mut bench = Bench::open(&(carbon.host() + OPEN));
    let begin = Instant::now();
    for _ in 0..60 {
        bench.second(2000);
        bench.tick();
    }
    assert!(begin.elapsed() < Duration::from_secs(2), "{:?}", begin.elapsed());
    assert!(bench.points()[2] > 10_000, "{:?}", bench.points());
    // It wakes up again, and is slow: nothing is missing.
    carbon.behave(Manner::Read);
    bench.finish();
    assert_eq!(carbon.points(), bench.expected);
}

#[test]
fn a_carbon_that_never_takes_anything_does_not_hold_up_the_end() {
    let carbon = Carbon::start(Manner::Stall);
    let mut bench = Bench::open(&(carbon.host() + OPEN));
    // More than any socket buffers.
    (0..100).for_each(|_| bench.second(5000));
    let begin = Instant::now();
    bench.finish();
    assert!(begin.elapsed() < Duration::from_secs(15), "{:?}", begin.elapsed());
    let [points, sent, waiting, lost] = bench.points();
    assert_eq!((points, waiting), (500_000, 0));
    assert!(lost > 0 && sent + lost == points);
}

#[test]
fn a_slow_carbon_gets_all() {
    let carbon = Carbon::start(Manner::Slow);
    let mut bench = Bench::open(&(carbon.host() + OPEN));
    for _ in 0..10 {
        bench.second(1000);
        bench.tick();
    }
    bench.finish();
    assert_eq!(carbon.points(), bench.expected);
    assert_eq!(carbon.connections(), 1);
}

#[test]
fn a_dead_carbon_holds_the_end_up_for_seconds_at_most_and_the_loss_is_counted() {
    let mut bench = Bench::open(&format!("carbon_host: {}\n{OPEN}", Carbon::nobody()));
    (0..5).for_each(|_| bench.second(2));
    let begin = Instant::now();
    bench.finish();
    assert!(begin.elapsed() < Duration::from_secs(8));
    assert_eq!(bench.points(), [10, 0, 0, 10]);
    assert_eq!((bench.tallies.lost.count(), bench.tallies.in_table.count()), (30, 0));
}

#[test]
fn a_savefile_waits_for_carbon() {
    let carbon = Carbon::start(Manner::Slow);
    let mut bench = Bench::savefile(&(carbon.host() + OPEN + "carbon_spool_size: 65536\n"));
    // The clock stands still: ticks close nothing.
    let opened = super::bench::at(0);
    for _ in 0..30 {
        bench.second(500);
        bench.sink().tick(opened).unwrap();
    }
    bench.finish();
    assert_eq!(carbon.points(), bench.expected);
    assert_eq!(bench.points()[3], 0);
}

#[test]
fn a_silent_link_is_closed_by_the_clock() {
    let carbon = Carbon::start(Manner::Read);
    let mut bench = Bench::open(&(carbon.host() + OPEN + "carbon_idle_zeros: 2\n"));
    bench.second(1);
    assert_eq!(bench.sink().due(), Some(super::bench::at(2)));
    bench.tick();
    assert_eq!(carbon.lines().len(), 0);
    bench.now = 100;
    bench.tick_until("the series has ended", |_| carbon.lines().len() == 3);
    let times: Vec<_> =
        carbon.lines().iter().map(|line| line.replace(&MINUTE.to_string()[..8], "")).collect();
    assert_eq!(times, ["mpls.1.bytes 1 40", "mpls.1.bytes 0 41", "mpls.1.bytes 0 42"]);
    wait_for("nothing is due any more", || {
        bench.tick();
        bench.sink().due().is_none()
    });
}

#[test]
fn the_daemons_own_health_has_series() {
    let carbon = Carbon::start(Manner::Read);
    let mut bench = Bench::open(&(carbon.host() + OPEN + "carbon_health: true\n"));
    (0..9).for_each(|_| bench.second(1));
    bench.tick_until("there is a connection", |tallies| tallies.written.count() > 0);
    assert_eq!(carbon.lines().iter().filter(|line| line.starts_with("rpmacct.")).count(), 0);
    bench.now = 11;
    bench.tick();
    wait_for("points of health", || carbon.lines().iter().any(|line| line.contains(".eth2.")));
    let time = MINUTE + 10;
    let lines = carbon.lines();
    let has = |what: &str| {
        lines.iter().any(|line| line.starts_with("rpmacct.") && line.ends_with(&format!("{what} {time}")))
    };
    assert!(has(".eth2.received_by_the_kernel 7") && has(".eth2.accounted 7"), "{lines:?}");
    assert!(has(".default_carbon.series 1") && has(".default_carbon.connections 1"), "{lines:?}");
    // What has never been anything but zero has no series.
    assert!(!lines.iter().any(|line| line.contains("kernel_drops")), "{lines:?}");
    bench.finish();
}
