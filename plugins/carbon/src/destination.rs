//! Where points go: destinations as carbon-relay names them, and its ring.

use std::fmt;

use md5::{Digest, Md5};

/// One carbon: `HOST`, `HOST:PORT` or `HOST:PORT:INSTANCE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Destination {
    /// A name or an address, without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    /// carbon's name for one of several caches of a machine: a part of its place in the ring.
    pub(crate) instance: Option<String>,
}

impl Destination {
    /// On an error: what was expected.
    fn parse(text: &str, port: u16) -> Result<Self, String> {
        let expected =
            || format!("HOST, HOST:PORT or HOST:PORT:INSTANCE, an IPv6 address in brackets, not {text:?}");
        let (host, rest) = match text.strip_prefix('[') {
            Some(bracketed) => bracketed.split_once(']').ok_or_else(expected)?,
            None if text.parse::<std::net::Ipv6Addr>().is_ok() => (text, ""),
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let mut words = rest.split(':');
        let is_host = |c: char| c.is_ascii_alphanumeric() || "-_.:%".contains(c);
        if words.next() != Some("") || host.is_empty() || !host.chars().all(is_host) {
            return Err(expected());
        }
        let port = match words.next() {
            None => port,
            Some(word) => word.parse().ok().filter(|port| *port > 0).ok_or_else(expected)?,
        };
        let instance = words.next().filter(|word| *word != "None").map(str::to_owned);
        if words.next().is_some()
            || instance.as_ref().is_some_and(|i| !i.chars().all(|c| c.is_ascii_alphanumeric()))
        {
            return Err(expected());
        }
        Ok(Self { host: host.to_owned(), port, instance })
    }

    /// A text that no other destination has.
    pub(crate) fn id(&self) -> String {
        match &self.instance {
            Some(instance) => format!("{self}:{instance}"),
            None => self.to_string(),
        }
    }

    /// The text that its places in the ring are found by: a Python tuple, as carbon prints it.
    fn node(&self) -> String {
        match &self.instance {
            Some(instance) => format!("('{}', '{instance}')", self.host),
            None => format!("('{}', None)", self.host),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port, .. } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// Reads destinations, separated by commas. On an error: what was expected.
pub(crate) fn parse_list(text: &str, port: u16) -> Result<Vec<Destination>, String> {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let list = words.map(|word| Destination::parse(word, port)).collect::<Result<Vec<_>, _>>()?;
    if list.is_empty() {
        return Err("at least one destination".to_owned());
    }
    for (i, one) in list.iter().enumerate() {
        if list[..i].contains(one) {
            return Err(format!("each destination once; {one} is there twice"));
        }
    }
    Ok(list)
}

/// Places on the ring for each destination.
const REPLICAS: usize = 100;

/// carbon's consistent hash ring (`carbon_ch`): a series goes to the destination whose place comes next.
#[derive(Debug, Clone)]
pub(crate) struct Ring {
    /// Place and number of the destination. Invariant: sorted, each place once.
    places: Vec<(u32, u16)>,
}

impl Ring {
    /// On an error: what was expected. Two destinations of the same host must be told apart by instances.
    pub(crate) fn new(destinations: &[Destination]) -> Result<Self, String> {
        let mut places: Vec<(u32, u16)> = Vec::new();
        for (number, destination) in destinations.iter().enumerate() {
            let node = destination.node();
            if destinations[..number].iter().any(|other| other.node() == node) {
                return Err(format!("an instance for each of several carbons on {}", destination.host));
            }
            for replica in 0..REPLICAS {
                let mut place = position(format!("{node}:{replica}").as_bytes());
                while places.iter().any(|(taken, _)| *taken == place) {
                    place += 1;
                }
                places.push((place, number as u16));
            }
        }
        places.sort_unstable();
        Ok(Self { places })
    }

    /// The number of the destination that a series goes to.
    pub(crate) fn destination(&self, name: &[u8]) -> u16 {
        let place = position(name);
        let next = self.places.partition_point(|(taken, _)| *taken < place);
        self.places[next % self.places.len()].1
    }
}

/// The first 16 bits of the MD5 digest.
fn position(text: &[u8]) -> u32 {
    let digest = Md5::digest(text);
    u32::from(digest[0]) << 8 | u32::from(digest[1])
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    use super::*;

    fn list(text: &str) -> Vec<Destination> {
        parse_list(text, 2003).unwrap()
    }

    #[test]
    fn destinations_are_read_as_carbon_relay_names_them() {
        let texts = |text| list(text).iter().map(Destination::id).collect::<Vec<_>>().join(" ");
        assert_eq!(
            texts("10.0.0.1, graphite.example:2103:a,10.0.0.1:2004"),
            "10.0.0.1:2003 graphite.example:2103:a 10.0.0.1:2004"
        );
        assert_eq!(texts("::1,[2001:db8::1]:2103:b,[::2]"), "[::1]:2003 [2001:db8::1]:2103:b [::2]:2003");
        for bad in
            ["", ",", "a:b", "a:0", "a:70000", "a:1:b:c", "[::1", "[::1]x", "a b", "a,a", ":2003", "a:1:'"]
        {
            assert!(parse_list(bad, 2003).is_err(), "{bad}");
        }
    }

    #[test]
    fn carbons_on_one_host_need_instances() {
        assert!(Ring::new(&list("10.0.0.1:2003, 10.0.0.1:2103")).is_err());
        assert!(Ring::new(&list("10.0.0.1:2003:a, 10.0.0.1:2103:b")).is_ok());
    }

    /// carbon's own code says where each series goes.
    #[test]
    fn shares_are_carbons_own() {
        let script = "
import sys
from carbon.hashing import ConsistentHashRing
nodes = eval(sys.argv[1])
ring = ConsistentHashRing(nodes)
for name in sys.stdin.read().split():
    print(nodes.index(ring.get_node(name)))
";
        let python = || {
            let mut python = Command::new("/usr/bin/python3"); // Debian's, which has carbon
            python.stderr(Stdio::null());
            python
        };
        if !python().args(["-c", "import carbon.hashing"]).status().is_ok_and(|status| status.success()) {
            assert!(std::env::var_os("CI").is_none(), "needs carbon, and in CI no test may be skipped");
            eprintln!("skipped: needs carbon");
            return;
        }
        for (hosts, nodes) in [
            (
                "10.0.0.1, 10.0.0.2, graphite.example",
                "[('10.0.0.1', None), ('10.0.0.2', None), ('graphite.example', None)]",
            ),
            (
                "10.0.0.1:1:a, 10.0.0.1:2:b, 10.0.0.1:3:c",
                "[('10.0.0.1', 'a'), ('10.0.0.1', 'b'), ('10.0.0.1', 'c')]",
            ),
            ("::1, ::2", "[('::1', None), ('::2', None)]"),
        ] {
            let ring = Ring::new(&list(hosts)).unwrap();
            let names: Vec<_> =
                (0..2000).map(|n| format!("mpls.10_9_{}_{}.bytes", n / 250, n % 250)).collect();
            let mut asked = python()
                .args(["-c", script, nodes])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap();
            asked.stdin.take().unwrap().write_all(names.join("\n").as_bytes()).unwrap();
            let answer = String::from_utf8(asked.wait_with_output().unwrap().stdout).unwrap();
            let expected: Vec<u16> = answer.lines().map(|line| line.parse().unwrap()).collect();
            assert_eq!(
                names.iter().map(|name| ring.destination(name.as_bytes())).collect::<Vec<_>>(),
                expected,
                "{hosts}"
            );
        }
    }

    #[test]
    fn shares_are_fair_and_stable() {
        let three = Ring::new(&list("10.0.0.1, 10.0.0.2, 10.0.0.3")).unwrap();
        let four = Ring::new(&list("10.0.0.1, 10.0.0.2, 10.0.0.3, 10.0.0.4")).unwrap();
        let names: Vec<_> =
            (0..3000).map(|n| format!("mpls.10_9_{}_{}.bytes", n / 250, n % 250).into_bytes()).collect();
        let mut shares = [0; 3];
        for name in &names {
            shares[three.destination(name) as usize] += 1;
        }
        assert!(shares.iter().all(|share| (600..1400).contains(share)), "{shares:?}");
        let moved = names
            .iter()
            .filter(|name| !matches!(four.destination(name), n if n == three.destination(name)))
            .count();
        assert!(moved < 1200, "{moved}");
    }
}
