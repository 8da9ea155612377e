//! Names with values in them, owners, and disks that are full.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::unistd::Uid;

use rpmacct_plugin::{Batch, Counters, Record, Schema, Tally};
use rpmacct_primitives::SchemaOptions;

use crate::bench::{Bench, at, log_of};

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

const RECORDS: &str = "10.0.0.1 80 tcp / 1 40 0
    10.0.0.2 53 udp / 2 90 0
    10.0.0.3 80 tcp / 3 120 0
    2001:db8::1 53 udp / 4 160 0";

#[test]
fn each_value_is_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let latest = dir.path().join("latest-$proto");
    let lines = format!("print_output: csv\nprint_latest_file: {}", latest.display());
    let mut bench =
        Bench::file("src_host, dst_port, proto", &dir.path().join("$proto/$dst_port-%H.csv"), &lines);
    bench.feed(RECORDS);
    bench.tick(61).unwrap();
    assert_eq!(names(dir.path()), ["latest-tcp", "latest-udp", "tcp", "udp"]);
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
    let header = "SRC_IP,DST_PORT,PROTOCOL,PACKETS,BYTES\n";
    let tcp = format!("{header}10.0.0.1,80,tcp,1,40\n10.0.0.3,80,tcp,3,120\n");
    assert_eq!(read("tcp/80-22.csv"), tcp);
    assert_eq!(read("latest-tcp"), tcp);
    assert_eq!(read("udp/53-22.csv"), format!("{header}10.0.0.2,53,udp,2,90\n2001:db8::1,53,udp,4,160\n"));
    assert_eq!([&bench.tallies.written, &bench.tallies.in_table].map(Tally::count), [10, 0]);
}

#[test]
fn a_value_that_cannot_be_written_waits_alone() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench =
        Bench::file("src_host, dst_port, proto", &dir.path().join("$proto/flows"), "print_output: csv");
    fs::write(dir.path().join("udp"), "in the way").unwrap();
    bench.feed(RECORDS);
    bench.tick(61).unwrap_err();
    assert_eq!([&bench.tallies.written, &bench.tallies.in_table].map(Tally::count), [4, 6]);
    fs::remove_file(dir.path().join("udp")).unwrap();
    bench.tick(71).unwrap();
    assert_eq!([&bench.tallies.written, &bench.tallies.in_table].map(Tally::count), [10, 0]);
    assert_eq!(fs::read_to_string(dir.path().join("udp/flows")).unwrap().lines().count(), 3);
}

#[test]
fn an_absent_address_has_a_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut bench = Bench::file("src_host", &dir.path().join("$src_host"), "print_output: csv");
    let schema = Schema::parse("src_host", SchemaOptions::default()).unwrap();
    let layout = schema.layout();
    let mut slot = vec![0; layout.stride()];
    let counters = Counters { packets: 1, bytes: 40, flows: 0, tcp_flags: 0 };
    let key = vec![0; schema.key_len()];
    layout.put(&mut slot, &Record { key: &key, time: at(0), counters });
    bench.sink.absorb(&Batch::new(&schema, &slot)).unwrap();
    bench.finish(61).unwrap();
    assert_eq!(names(dir.path()), ["none"]);
}

#[test]
fn new_files_and_directories_have_their_owner() {
    if !Uid::effective().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    for (name, lines) in [("new/a/b", ""), ("append/c", "print_output_file_append: true")] {
        let path = dir.path().join(name);
        let lines = format!("files_uid: 1\nfiles_gid: 2\n{lines}");
        let mut bench = Bench::file("src_port", &path, &lines);
        fs::remove_dir(path.parent().unwrap()).unwrap(); // made at the start, as root
        bench.feed("80 / 1 40 0");
        bench.finish(61).unwrap();
        for path in [&*path, path.parent().unwrap()] {
            let metadata = fs::metadata(path).unwrap();
            assert_eq!((metadata.uid(), metadata.gid()), (1, 2), "{}", path.display());
        }
    }
}

/// A file system of 64 KiB, unmounted when it is dropped.
struct TinyDisk(tempfile::TempDir);

impl TinyDisk {
    fn mount() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let options = Some("size=64k");
        let mounted = mount(Some("tmpfs"), dir.path(), Some("tmpfs"), MsFlags::empty(), options);
        mounted.is_ok().then(|| Self(dir))
    }
}

impl Drop for TinyDisk {
    fn drop(&mut self) {
        let _ = umount2(self.0.path(), MntFlags::MNT_DETACH);
    }
}

#[test]
fn a_full_disk_loses_nothing_that_fits_in_memory() {
    let Some(disk) = TinyDisk::mount() else { return }; // only root may
    for (name, lines) in [("%H%M%S.csv", ""), ("all.csv", "print_output_file_append: true\n")] {
        let dir = disk.0.path();
        let ballast = dir.join("ballast");
        let lines = format!("print_output: csv\nprint_refresh_time: 1\n{lines}");
        let mut bench = Bench::file("src_host", &dir.join(name), &lines);
        let mut packets = 0;
        let mut interval = |bench: &mut Bench, secs: i64| {
            let hosts: String =
                (0..250).fold(String::new(), |all, n| all + &format!("10.{secs}.1.{n} / 1 40 0\n"));
            packets += hosts.lines().count() as u64;
            bench.feed(&hosts);
            bench.tick(secs).is_ok()
        };
        fs::write(&ballast, vec![0; 64 << 10]).unwrap();
        let log = log_of(|| {
            for secs in 2..5 {
                assert!(!interval(&mut bench, secs), "there was room");
            }
        });
        assert_eq!(log.iter().filter(|line| line.contains("are kept in memory")).count(), 1, "{log:?}");
        assert_eq!(bench.tallies.written.count(), 0);
        fs::remove_file(&ballast).unwrap();
        assert!(interval(&mut bench, 6));
        let tallies = Arc::clone(&bench.tallies);
        bench.finish(7).unwrap();
        assert_eq!([&tallies.written, &tallies.lost, &tallies.in_table].map(Tally::count), [packets, 0, 0]);
        let rows = |name: &String| fs::read_to_string(dir.join(name)).unwrap().lines().skip(1).count();
        assert_eq!(names(dir).iter().map(rows).sum::<usize>() as u64, packets);
        for name in names(dir) {
            fs::remove_file(dir.join(name)).unwrap();
        }
    }
}
