//! Clients that come together, stall, die, or talk nonsense.

mod support;

use std::env;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rpmacct_query::{Context, Hello, Request, RowsRequest, Shape, VERSION, ask};
use support::{Collected, Daemon, TCP, UDP, client, pkt};

/// A table of so many hosts.
fn hosts(daemon: &Daemon, count: u32) {
    let numbers: Vec<u32> = (0..count).collect();
    for chunk in numbers.chunks(1000) {
        let packet = |n: &u32| {
            pkt(&format!("10.{}.{}.{}", n >> 16, n >> 8 & 255, n & 255), "10.0.0.2", UDP, (1, 2), 0, 60)
        };
        daemon.feed(&chunk.iter().map(packet).collect::<Vec<_>>());
    }
}

#[test]
fn many_clients_at_once() {
    let daemon = Daemon::start("src_host");
    hosts(&daemon, 20_000);
    let results = Collected::default();
    thread::scope(|scope| {
        for n in 0..16 {
            let (daemon, results) = (&daemon, &results);
            let line = if n % 2 == 0 { "-s -O csv" } else { "-s -O csv -T bytes" };
            scope.spawn(move || results.push(daemon.answer(line).lines().count()));
        }
    });
    assert_eq!(results.take(), [20_001; 16]);
}

#[test]
fn what_is_erased_is_what_was_shown() {
    let daemon = Daemon::start("src_host");
    let feeding = AtomicBool::new(true);
    let (mut fed, shown) = (0, Collected::default());
    let packets = |line: &str| -> u64 {
        let rows = daemon.answer(line);
        rows.lines().skip(1).map(|row| row.split(',').nth(1).unwrap().parse::<u64>().unwrap()).sum()
    };
    thread::scope(|scope| {
        let eraser = scope.spawn(|| {
            while feeding.load(Ordering::Relaxed) {
                shown.push(packets("-s -e -O csv"));
            }
        });
        let resetter = scope.spawn(|| {
            while feeding.load(Ordering::Relaxed) {
                shown.push(packets("-c src_host -M 10.0.0.3;10.0.0.5 -r -O csv"));
                shown.push(packets("-c src_host,proto -M 10.0.0.4,0 -r -O csv"));
                shown.push(daemon.answer("-c src_host -N 10.0.0.6 -r -n packets").trim().parse().unwrap());
            }
        });
        let end = Instant::now() + Duration::from_millis(500);
        while Instant::now() < end {
            let batch: Vec<_> =
                (0..8).map(|n| pkt(&format!("10.0.0.{n}"), "10.0.0.9", UDP, (1, 2), 0, 60)).collect();
            daemon.feed(&batch);
            fed += batch.len() as u64;
            thread::sleep(Duration::from_micros(200));
        }
        feeding.store(false, Ordering::Relaxed);
        eraser.join().unwrap();
        resetter.join().unwrap();
    });
    shown.push(packets("-s -e -O csv"));
    assert_eq!(shown.take().iter().sum::<u64>(), fed);
    assert_eq!(daemon.tallies.erased.count(), fed);
    assert_eq!(daemon.tallies.in_table.count(), 0);
    assert_eq!(daemon.ask("--ledger").0, 0);
}

#[test]
fn an_answer_is_about_all_that_came_before_the_question() {
    let daemon = Daemon::start("src_host");
    for n in 1..=50 {
        daemon.feed(&[pkt("10.0.0.1", "10.0.0.2", TCP, (1, 2), 2, 40)]);
        assert_eq!(daemon.answer("-c src_host -N 10.0.0.1 -n packets"), format!("{n}\n"));
    }
}

#[test]
fn who_stalls_holds_up_nobody() {
    let daemon = Daemon::start("src_host");
    hosts(&daemon, 20_000);
    // One that asks nothing, and one that does not read the answer.
    let silent = UnixStream::connect(daemon.socket()).unwrap();
    let reply =
        ask(UnixStream::connect(daemon.socket()).unwrap(), &Request::Rows(RowsRequest::default())).unwrap();
    thread::sleep(Duration::from_millis(50));
    let start = Instant::now();
    assert_eq!(daemon.answer("-e"), "OK: Clearing stats.\n");
    assert_eq!(daemon.answer("-s -O csv").lines().count(), 1);
    assert!(start.elapsed() < Duration::from_secs(5));
    // Its answer is still that of its moment.
    let rows: usize = reply.rows.map(|rows| rows.unwrap().len()).sum();
    assert_eq!(rows, 20_000);
    drop(silent);
}

#[test]
fn who_dies_in_the_middle_holds_up_nobody() {
    let daemon = Daemon::start("src_host");
    hosts(&daemon, 20_000);
    for _ in 0..200 {
        let stream = UnixStream::connect(daemon.socket()).unwrap();
        drop(ask(stream, &Request::Rows(RowsRequest::default())).unwrap());
    }
    assert_eq!(daemon.answer("-s -O csv").lines().count(), 20_001);
}

#[test]
fn nonsense_is_answered_or_ignored() {
    let daemon = Daemon::start("src_host");
    let hello = hello();
    let after_hello = |bytes: &[u8]| [&hello, bytes].concat();
    let nonsense = [
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0; 4096],
        vec![0xff; 4096],
        after_hello(b"\xff\xff\xff\xffQ"),
        after_hello(b"\0\0\0\x02Q{}"),
        after_hello(b"\0\0\0\x09Q\"Martian\""),
        after_hello(b"\0\0\0\x05Zabcde"),
        hello.clone(),
    ];
    for bytes in nonsense {
        let mut stream = UnixStream::connect(daemon.socket()).unwrap();
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.starts_with(&hello), "{bytes:?}");
    }
    let mut stream = UnixStream::connect(daemon.socket()).unwrap();
    stream.write_all(&after_hello(b"\0\0\0\x02Q{}")).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    assert!(String::from_utf8_lossy(&answer).contains("the request can't be read"), "{answer:?}");
    assert_eq!(daemon.answer("-c src_host -N 10.0.0.1"), "0\n");
}

#[test]
fn a_client_of_another_version_is_told_ours() {
    let daemon = Daemon::start("src_host");
    let mut stream = UnixStream::connect(daemon.socket()).unwrap();
    Hello { version: VERSION + 1, program: "9.9".into() }.write(&mut stream).unwrap();
    let hello = Hello::expect(&mut stream).unwrap();
    assert_eq!(hello, Hello::ours());
    assert_eq!(stream.read(&mut [0]).unwrap_or(0), 0);
}

/// A socket on which somebody answers these bytes; what the client says of it.
fn answered_with(bytes: Vec<u8>) -> String {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.write_all(&bytes);
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let (code, out, err) = client(["rpmacct", "-p", path.to_str().unwrap(), "-s", "-Ojson"]);
    server.join().unwrap();
    assert_eq!((code, out.as_str()), (1, ""));
    err.replace(path.to_str().unwrap(), "SOCK")
}

#[test]
fn a_daemon_that_is_not_ours_or_breaks_off() {
    let mut other = Vec::new();
    Hello { version: 99, program: "9.9".into() }.write(&mut other).unwrap();
    let err = answered_with(other);
    assert!(err.starts_with("ERROR: 'SOCK': the other side (9.9) speaks version 99"), "{err}");
    let not_ours = "ERROR: 'SOCK': the other side does not speak rpmacct's query protocol\n";
    assert_eq!(answered_with(vec![0; 100]), not_ours);
    assert_eq!(answered_with(Vec::new()), not_ours);
    let mut ours = Vec::new();
    Hello::ours().write(&mut ours).unwrap();
    assert_eq!(answered_with(ours), "ERROR: missing EOF from server (0)\n");
}

#[test]
fn those_that_stall_give_way() {
    let daemon = Daemon::start("src_host");
    hosts(&daemon, 20_000);
    let connect = || UnixStream::connect(daemon.socket()).unwrap();
    // Some ask nothing, some do not read their answer.
    let silent: Vec<_> = (0..300).map(|_| connect()).collect();
    let stalled: Vec<_> =
        (0..300).map(|_| ask(connect(), &Request::Rows(RowsRequest::default())).unwrap()).collect();
    let start = Instant::now();
    for _ in 0..20 {
        assert_eq!(daemon.answer("-s -O csv").lines().count(), 20_001);
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    drop((silent, stalled));
}

#[test]
fn too_many_that_do_not_stall_are_told() {
    let daemon = Daemon::start("src_host");
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        // Questions that never end, an octet at a time.
        let mut dripping: Vec<_> = (0..530).map(|_| UnixStream::connect(daemon.socket()).unwrap()).collect();
        let over = &over;
        scope.spawn(move || {
            let request = [0, 0x0f, 0, 0, b'Q'].into_iter().chain(std::iter::repeat(b' '));
            for octet in hello().into_iter().chain(request) {
                for stream in &mut dripping {
                    let _ = stream.write_all(&[octet]);
                }
                if over.load(Ordering::Relaxed) {
                    return;
                }
                thread::sleep(Duration::from_millis(100));
            }
        });
        let (code, _, err) = daemon.ask("-s");
        over.store(true, Ordering::Relaxed);
        assert_eq!((code, err.as_str()), (1, "ERROR: too many clients at once\n"));
    });
    let end = Instant::now() + Duration::from_secs(5);
    while daemon.ask("-s").0 != 0 {
        assert!(Instant::now() < end, "their places are not free again");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The first frame of a client.
fn hello() -> Vec<u8> {
    let mut hello = Vec::new();
    Hello::ours().write(&mut hello).unwrap();
    hello
}

#[test]
fn the_socket_goes_with_the_daemon() {
    let mut daemon = Daemon::configured("src_host", "imt_mode: 0600\nimt_buckets: 13").unwrap();
    let socket = daemon.socket();
    assert_eq!(fs::metadata(&socket).unwrap().permissions().mode() & 0o7777, 0o600);
    let silent = UnixStream::connect(&socket).unwrap();
    let start = Instant::now();
    daemon.stop();
    assert!(start.elapsed() < Duration::from_secs(1), "a silent client held it up");
    assert!(!socket.exists());
    assert_eq!(daemon.ask("-s").2, format!("ERROR: Unable to connect to '{}'\n\n", socket.display()));
    drop(silent);
}

#[test]
fn the_end_waits_for_answers_that_are_under_way() {
    let mut daemon = Daemon::start("src_host");
    hosts(&daemon, 50_000);
    let stream = UnixStream::connect(daemon.socket()).unwrap();
    let reply = ask(stream, &Request::Rows(RowsRequest::default())).unwrap();
    let reader = thread::spawn(move || reply.rows.map(|rows| rows.unwrap().len()).sum::<usize>());
    daemon.stop();
    assert_eq!(reader.join().unwrap(), 50_000);
}

#[test]
fn wrong_settings_stop_the_start() {
    let error = |lines: &str| Daemon::configured("src_host", lines).err().unwrap().to_string();
    let group = error("imt_group: no-such-group");
    assert!(group.contains("imt_group: no-such-group: expected the name of a group"), "{group}");
    let mode = error("imt_mode: 0999");
    assert!(mode.contains("expected an octal file mode"), "{mode}");
    let path = error("imt_path: /nonexistent/sock");
    assert_eq!(path, "binding /nonexistent/sock: No such file or directory (os error 2)");
}

const ASK_AS_NOBODY: &str = "RPMACCT_TEST_SOCKET";

/// Not a test of its own: the part of [`only_some_may_erase`] that runs as another user.
#[test]
fn as_nobody() {
    let Ok(socket) = env::var(ASK_AS_NOBODY) else { return };
    let ask = |line: &str| client(["rpmacct", "-p", &socket].into_iter().chain(line.split_whitespace()));
    assert_eq!(ask("-c src_host -N 10.0.0.1").1, "40\n");
    for line in ["-e", "-s -e", "-c src_host -N 10.0.0.1 -r", "-c src_host -M 10.0.0.1 -r"] {
        let (code, out, err) = ask(line);
        assert_eq!((code, out.as_str()), (1, ""), "{line}");
        assert!(err.starts_with("ERROR: erasing and resetting is for root and the daemon's user"), "{err}");
    }
}

#[test]
fn only_some_may_erase() {
    if !nix::unistd::geteuid().is_root() {
        return println!("skipped: only root can become somebody else");
    }
    let daemon = Daemon::start("src_host");
    fs::set_permissions(daemon.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    daemon.feed(&[pkt("10.0.0.1", "10.0.0.2", TCP, (1, 2), 2, 40)]);
    let nobody = Command::new(env::current_exe().unwrap())
        .args(["--exact", "as_nobody"])
        .env(ASK_AS_NOBODY, daemon.socket())
        .current_dir("/")
        .uid(65_533)
        .gid(65_533)
        .output();
    match nobody {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
        Err(error) => return println!("skipped: {error}"),
    }
    assert_eq!(daemon.answer("-e"), "OK: Clearing stats.\n");
    assert_eq!(daemon.answer("-c src_host -N 10.0.0.1"), "0\n");
}

#[test]
fn the_table_tells_what_it_is() {
    let daemon = Daemon::start("dst_host, src_host, tcpflags");
    let stream = UnixStream::connect(daemon.socket()).unwrap();
    let reply = ask(stream, &Request::Rows(RowsRequest::default())).unwrap();
    let shape = Shape {
        aggregate: "src_host,dst_host,tcpflags".into(),
        whole_seconds: false,
        customs: Vec::new(),
        key_len: 34,
    };
    assert_eq!(reply.answer, rpmacct_query::Answer::Table(shape, Context::default()));
    assert!(reply.complete);
}
