//! Two network namespaces with a pair of interfaces between them, for one run.

use std::path::Path;
use std::process::{self, Command};

use crate::shell;

/// The receiving interface's name in [`Wire::receiver`].
pub(crate) const RECEIVER: &str = "eth2";
/// The sending interface's name in [`Wire::sender`].
pub(crate) const SENDER: &str = "eth1";

/// A pair of interfaces. Namespaces and interfaces vanish with this value.
#[derive(Debug)]
pub(crate) struct Wire {
    pub(crate) sender: String,
    pub(crate) receiver: String,
}

impl Wire {
    pub(crate) fn new() -> Result<Wire, String> {
        let name = |end: &str| format!("rpmacct-bench-{}-{end}", process::id());
        let wire = Wire { sender: name("tx"), receiver: name("rx") };
        for namespace in [&wire.sender, &wire.receiver] {
            ip(&["netns", "add", namespace])?;
            // Nobody but the sender may speak: no neighbour discovery, no multicast reports.
            let quiet = "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6";
            ip(&["netns", "exec", namespace, "sh", "-c", quiet])?;
        }
        let (tx, rx) = (&wire.sender, &wire.receiver);
        ip(&["link", "add", SENDER, "netns", tx, "type", "veth", "peer", "name", RECEIVER, "netns", rx])?;
        ip(&["-n", tx, "link", "set", SENDER, "up"])?;
        ip(&["-n", rx, "link", "set", RECEIVER, "up"])?;
        Ok(wire)
    }

    /// The packets that came to the receiving interface so far, whoever saw them.
    pub(crate) fn arrived(&self) -> Result<u64, String> {
        let file = format!("/sys/class/net/{RECEIVER}/statistics/rx_packets");
        let text = ip(&["netns", "exec", &self.receiver, "cat", &file])?;
        text.trim().parse().map_err(|_| format!("{file}: {text}"))
    }
}

/// The words before a command that make it run in a namespace.
pub(crate) fn inside(namespace: &str) -> [&str; 4] {
    ["ip", "netns", "exec", namespace]
}

impl Drop for Wire {
    fn drop(&mut self) {
        for namespace in [&self.sender, &self.receiver] {
            let _ = ip(&["netns", "delete", namespace]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<String, String> {
    let program = shell::find_program("ip").ok_or("there is no `ip`")?;
    shell::output(Command::new(Path::new(&program)).args(arguments))
}
