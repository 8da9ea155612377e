//! What was captured is never lost at the end.

mod support;

use std::fs;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use support::{Datagrams, Launch, Namespace, Port, need_program, need_root};

const CONF: &str = "
    interface: eth2
    plugins: print[p], memory[m]
    aggregate: src_host, dst_host
    print_output[p]: csv
    print_output_file[p]: {folder}/out.csv
    print_refresh_time[p]: 86400
    imt_path[m]: {folder}/sock
";

/// Packets sent 10 ms before SIGTERM are in the final purge, ten times out of ten.
#[test]
fn packets_just_before_sigterm_are_in_the_final_purge() {
    if !need_root() || !need_program("ip") {
        return;
    }
    let eth2 = Port { interface: "eth2", addresses: &["10.9.0.1/24"] };
    let (machine, mirror) = Namespace::pair(eth2, Port { interface: "up2", addresses: &["10.9.0.2/24"] });
    let _ears = machine.listen("10.9.0.1:9".parse().unwrap());
    for round in 0..10 {
        let mut daemon = Launch::conf(CONF).inside(&machine).start();
        daemon.wait_for_file("sock");
        mirror.send(Datagrams {
            from: "10.9.0.2:0".parse().unwrap(),
            to: "10.9.0.1:9".parse().unwrap(),
            payload: 10 * (round + 1),
            count: 11,
            pace: Duration::ZERO,
        });
        thread::sleep(Duration::from_millis(10));
        let finished = daemon.stop(if round % 2 == 0 { Signal::SIGTERM } else { Signal::SIGINT });
        assert!(finished.status.success(), "{}", finished.stderr);
        let output = fs::read_to_string(finished.folder.path().join("out.csv")).unwrap();
        let bytes = 11 * (28 + 10 * (round + 1));
        assert_eq!(
            output,
            format!("SRC_IP,DST_IP,PACKETS,BYTES\n10.9.0.2,10.9.0.1,11,{bytes}\n"),
            "round {round}"
        );
        assert!(!finished.stderr.contains("!="), "{}", finished.stderr);
        assert!(finished.stderr.contains("p/print: purged 11 = written 11"), "{}", finished.stderr);
    }
}
