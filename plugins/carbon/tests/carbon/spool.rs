//! What waits on disk.

use std::path::Path;

use super::bench::{Bench, Carbon, MINUTE, Manner};

fn conf(address: std::net::SocketAddr, spool: &Path, more: &str) -> String {
    let spool = spool.display();
    format!(
        "carbon_host: {address}\ncarbon_spool: {spool}\ncarbon_new_series_per_minute: 0\ncarbon_max_series: 0\n{more}"
    )
}

#[test]
fn points_survive_the_daemon() {
    let dir = tempfile::tempdir().unwrap();
    let address = Carbon::nobody();
    let conf = conf(address, &dir.path().join("spool"), "");
    let mut first = Bench::open(&conf);
    for _ in 0..20 {
        first.second(50);
        first.tick();
    }
    first.finish();
    // They wait: neither written nor lost, as far as this run knows.
    assert_eq!(first.points(), [1000, 0, 1000, 0]);
    assert_eq!(first.tallies.in_table.count(), 3000);

    let carbon = Carbon::start_at(address, Manner::Read);
    let mut second = Bench::open(&conf);
    second.now = 100;
    (0..3).for_each(|_| second.second(50));
    second.finish();
    let mut expected = first.expected.clone();
    expected.extend(second.expected.clone());
    assert_eq!(carbon.points(), expected);
    assert_eq!(second.points(), [1150, 1150, 0, 0]);
    assert_eq!(second.tallies.written.count(), 450);

    // carbon has read it all: nothing is left to send again.
    let mut third = Bench::open(&conf);
    third.finish();
    assert_eq!(third.points(), [0, 0, 0, 0]);
}

#[test]
fn the_bound_is_kept_on_disk_and_the_loss_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let address = Carbon::nobody();
    let conf = conf(address, dir.path(), "carbon_spool_size: 65536\n");
    let mut bench = Bench::open(&conf);
    for _ in 0..60 {
        bench.second(100);
        bench.tick();
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    bench.finish();
    let [points, sent, waiting, lost] = bench.points();
    assert_eq!((points, sent, waiting + lost), (6000, 0, 6000));
    assert!(waiting > 1000 && lost > 1000, "{waiting} {lost}");
    let on_disk: u64 = walk(dir.path()).iter().map(|path| path.metadata().unwrap().len()).sum();
    assert!(on_disk < 65_536 * 5 / 4, "{on_disk}");

    let carbon = Carbon::start_at(address, Manner::Read);
    let mut next = Bench::open(&conf);
    next.finish();
    assert!(carbon.lines().len() as u64 >= waiting);
    // What was lost is the oldest; what was kept is right.
    let kept = carbon.points();
    let newest = bench.expected.iter().filter(|((_, time), _)| *time >= MINUTE + (lost / 100).cast_signed());
    assert!(newest.clone().count() as u64 >= waiting);
    newest.for_each(|(point, value)| assert_eq!(kept.get(point), Some(value), "{point:?}"));
}

#[test]
fn two_daemons_do_not_share_a_spool() {
    let dir = tempfile::tempdir().unwrap();
    let conf = conf(Carbon::nobody(), dir.path(), "");
    let mut first = Bench::open(&conf);
    let error = Bench::try_open(&conf, true).err().unwrap().to_string();
    assert!(error.contains("another daemon uses it"), "{error}");
    first.finish();
    Bench::open(&conf).finish();
}

fn walk(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { all.extend(walk(&path)) } else { all.push(path) }
    }
    all
}
