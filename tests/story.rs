//! The story that the project was asked for with: seven lines, verbatim, on a mirror port called eth2.

mod support;

use std::fs;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use support::{Datagrams, Launch, Namespace, Port, bin, need_program, need_root, run, wait_until};

/// The socket that the configuration does not name.
const SOCKET: &str = "/tmp/collect.pipe";

#[test]
fn the_seven_lines_count_what_is_on_eth2() {
    if !need_root() || !need_program("ip") {
        return;
    }
    assert!(UnixStream::connect(SOCKET).is_err(), "another daemon has {SOCKET}");
    let (machine, mirror) = (Namespace::new("machine"), Namespace::new("mirror"));
    let eth0 = Port { interface: "eth0", addresses: &["10.8.0.1/24"] };
    machine.link(eth0, &mirror, Port { interface: "up0", addresses: &["10.8.0.2/24"] });
    let eth2 = Port { interface: "eth2", addresses: &["10.9.0.1/24"] };
    machine.link(eth2, &mirror, Port { interface: "up2", addresses: &["10.9.0.2/24"] });

    let story = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/story.conf")).unwrap();
    let launch = Launch::conf(&story).inside(&machine).arguments(["-F", "{folder}/pid"]);
    let mut daemon = launch.start();
    daemon.follow("pid");
    assert!(Path::new(SOCKET).exists(), "the parent returns when the socket is there");

    let _ears =
        [machine.listen("10.9.0.1:9".parse().unwrap()), machine.listen("10.8.0.1:9".parse().unwrap())];
    let hundred = |from: &str, to: &str, count| Datagrams {
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
        payload: 100,
        count,
        pace: Duration::from_micros(100),
    };
    mirror.send(hundred("10.8.0.2:0", "10.8.0.1:9", 50)); // eth0 is not ours
    mirror.send(hundred("10.9.0.2:0", "10.9.0.1:9", 1000));
    let last_packet = Instant::now();

    let expected = format!("{:<45}  {:<45}  {:<20}  {}", "10.9.0.2", "10.9.0.1", 1000, 128_000);
    let mut answer = String::new();
    let came = wait_until(Duration::from_secs(5), || {
        answer = run(Command::new(bin("rpmacct")).arg("-s"));
        answer.contains(&expected)
    });
    let waited = last_packet.elapsed();
    assert!(came, "{answer}");
    assert!(answer.ends_with("\n\nFor a total of: 1 entries\n"), "{answer}");
    assert!(waited < Duration::from_millis(200), "{waited:?}");

    let ledger = run(Command::new(bin("rpmacct")).arg("--ledger"));
    assert!(ledger.contains("eth2: received by the kernel 1000 = kernel drops 0"), "{ledger}");
    assert!(!ledger.contains("!="), "{ledger}");

    daemon.stop(Signal::SIGTERM);
    assert!(wait_until(Duration::from_secs(5), || !Path::new(SOCKET).exists()), "the socket is gone");
}
