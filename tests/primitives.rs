//! Primitives as users meet them: the listing, columns that stay empty, primitives of their own, tunnels.

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use support::{Finished, Launch, bin, run, shared};

fn of_capture(capture: &Path, lines: &str) -> Finished {
    Launch::conf(&format!(
        "pcap_savefile: {}\nplugins: print\nprint_output: csv\n{lines}\n",
        capture.display()
    ))
    .finish()
}

fn refused(lines: &str) -> String {
    let finished = Launch::conf(&format!("pcap_savefile: /nonexistent\nplugins: print\n{lines}\n")).finish();
    assert!(!finished.status.success(), "{lines}");
    finished.stderr
}

#[test]
fn all_primitives_are_listed_in_groups() {
    let list = run(Command::new(bin("rpmacctd")).arg("-a"));
    assert!(list.starts_with("L2\nsrc_mac                          : Source MAC address  "), "{list}");
    for word in ["tunnel_src_host", "as_path", "mpls_label_stack", "flows", "src_host_coords"] {
        assert_eq!(list.lines().filter(|line| line.split(' ').next() == Some(word)).count(), 1, "{word}");
    }
}

#[test]
fn one_warning_names_the_columns_that_stay_empty() {
    let Some(shared) = shared() else { return };
    let capture = shared.join("spec/samples/basic.pcap");
    let finished = of_capture(&capture, "aggregate: proto, tag, as_path, med, post_nat_src_host");
    let warnings: Vec<_> = finished.stderr.lines().filter(|line| line.contains("stay empty")).collect();
    assert_eq!(warnings.len(), 1, "{}", finished.stderr);
    for part in [
        "as_path, med (known to routing daemons only)",
        "post_nat_src_host (a field of",
        "tag (pre_tag_map, post_tag: not implemented yet)",
    ] {
        assert!(warnings[0].contains(part), "{}", warnings[0]);
    }
    assert!(
        finished.stdout.starts_with("TAG,AS_PATH,MED,PROTOCOL,POST_NAT_SRC_IP,PACKETS,BYTES\n0,,0,tcp,,")
    );
    let quiet = of_capture(&capture, "aggregate: proto, sampling_rate, flows");
    assert!(!quiet.stderr.contains("stay empty"), "{}", quiet.stderr);
}

/// As pmacctd's own samples, in all three forms; and the client needs no file for it.
#[test]
fn primitives_of_ones_own_are_those_of_the_peer() {
    let Some(shared) = shared() else { return };
    let samples = shared.join("spec/samples");
    for form in ["csv", "formatted", "json"] {
        let finished = Launch::command_line()
            .arguments(["-f", &format!("custom_{form}.conf"), "-I", "basic.pcap"])
            .directory(&samples)
            .finish();
        let expected = fs::read_to_string(samples.join(format!("custom_{form}.out"))).expect("the sample");
        assert_eq!(finished.stdout, expected, "{form}: {}", finished.stderr);
    }
    let mut daemon = Launch::conf(&format!(
        "pcap_savefile: {0}/basic.pcap\npcap_savefile_wait: true\nplugins: memory\nimt_path: {{folder}}/sock\n\
         aggregate: ttl, hx, proto\naggregate_primitives: {0}/primitives.lst\n",
        samples.display()
    ))
    .start();
    daemon.wait_for_file("sock");
    daemon.wait_for("the file is not read", |daemon| {
        daemon.query(&["-s", "-O", "csv"]).contains("tcp,64,410,1,1040\n")
    });
    assert!(daemon.query(&["-s", "-O", "csv"]).starts_with("PROTOCOL,ttl,hx,PACKETS,BYTES\n"));
    let list = daemon.query(&["-U"]);
    assert!(list.contains("\nttl                               1      1\n"), "{list}");
}

#[test]
fn wrong_files_and_tunnels_stop_the_start() {
    let finished = Launch::conf("pcap_savefile: x\nplugins: print\naggregate_primitives: {folder}/p.lst\n")
        .file("p.lst", b"! mine\nname=x packet_ptr=l9:0 len=1 semantics=u_int\n")
        .finish();
    assert!(finished.stderr.contains("rpmacctd.conf:3: "), "{}", finished.stderr);
    let expected = "p.lst:2: packet_ptr=l9:0: expected one of packet, mac, vlan, mpls, l3, l4, payload";
    assert!(finished.stderr.contains(expected), "{}", finished.stderr);

    let error = refused("tunnel_0: vxlam");
    assert!(
        error.contains("conf:3: tunnel_0: vxlam: expected one of ipip")
            && error.contains("did you mean vxlan?"),
        "{error}"
    );
    assert!(refused("tunnel_0: gtp,0").contains("expected a UDP port, 1 to 65535"));
    assert!(refused("tunnel_0: gre,47").contains("gre has no port"));
    let error = refused("aggregate: tunnel_src_hst");
    assert!(error.contains("did you mean tunnel_src_host?"), "{error}");
}

/// A flow table that is too small forgets flows that go on: they count again, which is said once; no packet is lost.
#[test]
fn forgotten_flows_are_said() {
    let Some(shared) = shared() else { return };
    let capture = shared.join("corpus/captures/ndpi-gnutella.pcap");
    let flows = |size: &str| {
        let finished =
            of_capture(&capture, &format!("aggregate: none, flows\npmacctd_flow_buffer_size: {size}\n"));
        assert!(finished.status.success() && !finished.stderr.contains("!="), "{}", finished.stderr);
        let row = finished.stdout.lines().nth(1).expect("a row").to_owned();
        let numbers: Vec<u64> = row.split(',').filter_map(|column| column.parse().ok()).collect();
        let warnings: Vec<String> = finished
            .stderr
            .lines()
            .filter(|line| line.contains("forgotten before their time"))
            .map(str::to_owned)
            .collect();
        (numbers, warnings)
    };
    let (whole, quiet) = flows("16384000");
    let (small, warned) = flows("1024");
    assert!(quiet.is_empty(), "{quiet:?}");
    assert!((1..=2).contains(&warned.len()), "{warned:?}");
    assert!(
        warned[0].starts_with("WARN") && warned[0].contains("increase pmacctd_flow_buffer_size"),
        "{warned:?}"
    );
    let ([packets, flows, bytes], [packets_too, more_flows, bytes_too]) = (&whole[..], &small[..]) else {
        panic!("{whole:?} {small:?}");
    };
    assert_eq!((packets, bytes), (packets_too, bytes_too));
    assert!(more_flows > flows, "{more_flows} {flows}");
}

/// The packet within takes the place of the one around it, and with it the MAC addresses if it has any.
#[test]
fn packets_within_tunnels_are_accounted() {
    let Some(shared) = shared() else { return };
    let capture = shared.join("corpus/captures/sv-vxlan.pcap");
    let rows = |lines: &str| {
        let finished = of_capture(&capture, lines);
        assert!(!finished.stderr.contains("!="), "{}", finished.stderr);
        let mut rows: Vec<String> = finished.stdout.lines().skip(1).map(str::to_owned).collect();
        rows.sort_unstable();
        rows
    };
    let within = rows("aggregate: src_mac, src_host, dst_host, proto\ntunnel_0: vxlan");
    let beside = rows("aggregate: tunnel_src_mac, tunnel_src_host, tunnel_dst_host, tunnel_proto");
    let keys = |rows: &[String]| -> Vec<String> {
        rows.iter().map(|row| row.rsplitn(3, ',').nth(2).unwrap_or_default().to_owned()).collect()
    };
    assert!(!within.is_empty());
    let (mut within, mut beside) = (keys(&within), keys(&beside));
    // The columns stand in another order: protocol and addresses are the same words.
    let sort = |keys: &mut Vec<String>| {
        for key in keys.iter_mut() {
            let mut words: Vec<&str> = key.split(',').collect();
            words.sort_unstable();
            *key = words.join(",");
        }
        keys.sort_unstable();
    };
    sort(&mut within);
    sort(&mut beside);
    assert_eq!(within, beside);
    assert!(
        rows("aggregate: vxlan").iter().all(|row| !row.starts_with("0,")),
        "each has its network's number"
    );
}
