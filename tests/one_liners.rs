//! What people have in their scripts and crontabs, run by a shell, with the client under its old name.

mod support;

use std::os::unix::fs::symlink;
use std::process::Command;

use support::{bin, conversations};

/// The scripts as they are: none of them names a socket.
const PROLOGUE: &str = "pmacct() { command pmacct -p \"$SOCKET\" \"$@\"; }\n";

/// Scripts that only read, and what they print.
const READERS: &[(&str, &str)] = &[
    (
        "pmacct -s | grep -v SRC_IP | awk '{print $1,$NF}'",
        "10.0.0.1 528\n10.0.0.2 1080\n10.0.0.3 84\n \nFor entries\n",
    ),
    (
        "pmacct -s -O csv -T bytes,10",
        "SRC_IP,DST_IP,SRC_PORT,DST_PORT,PROTOCOL,PACKETS,BYTES\n\
         10.0.0.2,10.0.0.1,80,40000,tcp,2,1080\n10.0.0.1,10.0.0.2,40000,80,tcp,6,528\n10.0.0.3,10.0.0.1,5353,53,udp,1,84\n",
    ),
    ("pmacct -s -O csv -T packets,1 | tail -1 | cut -d, -f1,6", "10.0.0.1,6\n"),
    ("pmacct -s | tail -n +2 | head -n -2 | awk '{s+=$NF} END {print s}'", "1692\n"),
    ("pmacct -s | grep -c '^10\\.'", "3\n"),
    ("pmacct -s | awk '/^For a total/ {print $5}'", "3\n"),
    (
        "pmacct -s | awk '/^[0-9]/ {b[$1]+=$NF} END {for (i in b) print i, b[i]}' | sort",
        "10.0.0.1 528\n10.0.0.2 1080\n10.0.0.3 84\n",
    ),
    ("pmacct -s -T bytes,1 | sed -n 2p | cut -c1-15", "10.0.0.2       \n"),
    ("pmacct -s -O csv | sed 1d | sort -t, -k7 -rn | head -1 | cut -d, -f7", "1080\n"),
    ("pmacct -s -O csv -E ';' | cut -d';' -f1 | paste -s -d' '", "SRC_IP 10.0.0.1 10.0.0.2 10.0.0.3\n"),
    ("pmacct -s -O csv -E '\\t' | cut -f5 | sort -u | paste -s -d' '", "PROTOCOL tcp udp\n"),
    ("pmacct -s -O json | grep -o '\"bytes\": [0-9]*' | awk '{s+=$2} END {print s}'", "1692\n"),
    ("pmacct -c src_host -N 10.0.0.1", "528\n"),
    ("pmacct -c src_host -N '10.0.0.1;10.0.0.2' -n packets", "6\n2\n"),
    ("pmacct -c src_host -N '10.0.0.1;10.0.0.2' -S -n all", "8 1608 0 2\n"),
    ("pmacct -c src_host,dst_host -N '*,10.0.0.1'", "1164\n"),
    ("pmacct -c dst_port -N '80;53;443' -n bytes", "528\n84\n0\n"),
    ("pmacct -c proto -M udp -O csv | wc -l | tr -d ' '", "2\n"),
    ("pmacct -u -c proto -N 6", "1608\n"),
    (
        "for h in 10.0.0.1 10.0.0.2; do echo \"$h $(pmacct -c src_host -N $h -n packets)\"; done",
        "10.0.0.1 6\n10.0.0.2 2\n",
    ),
    ("echo 10.0.0.3 > hosts; pmacct -c src_host -N file:hosts", "84\n"),
    ("if pmacct -s > /dev/null; then echo up; else echo down; fi", "up\n"),
    ("pmacct -p /nonexistent -s | grep ^ERROR || echo up", "ERROR: Unable to connect to '/nonexistent'\n"),
    ("pmacct -p /nonexistent -s > /dev/null || echo down", "down\n"),
    ("pmacct -i", "never\n"),
    // Cacti and others: name:value pairs.
    (
        "pmacct -s -O csv | awk -F, 'NR>1 {printf \"%s%s:%s\", s, $1, $NF; s=\" \"} END {print \"\"}'",
        "10.0.0.1:528 10.0.0.2:1080 10.0.0.3:84\n",
    ),
];

/// Scripts that change the table, in this order.
const WRITERS: &[(&str, &str)] = &[
    ("pmacct -c src_host -N 10.0.0.1 -r", "528\n"),
    ("pmacct -c src_host -N 10.0.0.1 -r", "0\n"),
    // MRTG wants four lines.
    (
        "IN=`pmacct -c src_host -N 10.0.0.2 -r`; OUT=`pmacct -c dst_host -N 10.0.0.2 -r`\n\
         echo $IN; echo $OUT; echo 0; echo 0",
        "1080\n0\n0\n0\n",
    ),
    (
        "pmacct -s -O json -e",
        "{\"ip_src\": \"10.0.0.3\", \"ip_dst\": \"10.0.0.1\", \"port_src\": 5353, \"port_dst\": 53, \
         \"ip_proto\": \"udp\", \"packets\": 1, \"bytes\": 84}\n",
    ),
    ("pmacct -s -O json -e", ""),
    ("pmacct -e", "OK: Clearing stats.\n"),
    ("pmacct -i", "0\n"),
    ("pmacct -s | tail -1", "For a total of: 0 entries\n"),
];

#[test]
fn scripts_of_ten_years_work() {
    let daemon = conversations();
    symlink(bin("rpmacct"), daemon.path("pmacct")).unwrap();
    for (script, expected) in READERS.iter().chain(WRITERS) {
        let path = format!("{}:{}", daemon.path("").display(), std::env::var("PATH").unwrap());
        let output = Command::new("/bin/sh")
            .args(["-c", &format!("{PROLOGUE}{script}")])
            .env("PATH", path)
            .env("SOCKET", daemon.path("sock"))
            .current_dir(daemon.path(""))
            .output()
            .unwrap();
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!((stdout.as_ref(), stderr.as_ref()), (*expected, ""), "{script}");
    }
}
