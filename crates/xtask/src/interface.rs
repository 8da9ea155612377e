//! Which interface to watch when none is named.

use std::fs;

/// The interface of the default route, else the first that is up and not a loopback.
pub(crate) fn default() -> Option<String> {
    let read = |file: &str| fs::read_to_string(file).unwrap_or_default();
    default_route_v4(&read("/proc/net/route"))
        .or_else(|| default_route_v6(&read("/proc/net/ipv6_route")))
        .or_else(|| all().into_iter().find(|name| is_up(&read(&format!("/sys/class/net/{name}/flags")))))
}

/// Every interface of this machine, by name.
pub(crate) fn all() -> Vec<String> {
    let entries = fs::read_dir("/sys/class/net").into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// A route that is up (`RTF_UP`), and one that refuses (`RTF_REJECT`): flags of linux/route.h.
const ROUTE_UP: u32 = 0x1;
const ROUTE_REJECT: u32 = 0x200;

fn leads_somewhere(flags: u32) -> bool {
    flags & (ROUTE_UP | ROUTE_REJECT) == ROUTE_UP
}

/// Reads `/proc/net/route`: interface, destination, gateway, flags, reference count, use, metric, mask, …
fn default_route_v4(table: &str) -> Option<String> {
    let routes = table.lines().skip(1).filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let [name, "00000000", _, flags, _, _, metric, "00000000", ..] = fields[..] else { return None };
        let metric: u32 = metric.parse().ok()?;
        leads_somewhere(u32::from_str_radix(flags, 16).ok()?).then(|| (metric, name.to_owned()))
    });
    routes.min_by_key(|(metric, _)| *metric).map(|(_, name)| name)
}

/// Reads `/proc/net/ipv6_route`: destination, its prefix, source, its prefix, gateway, metric, reference count, use,
/// flags, interface; all numbers in hexadecimal.
fn default_route_v6(table: &str) -> Option<String> {
    let routes = table.lines().filter_map(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        let ["00000000000000000000000000000000", "00", _, _, _, metric, _, _, flags, name] = fields[..]
        else {
            return None;
        };
        let metric = u32::from_str_radix(metric, 16).ok()?;
        let wanted = leads_somewhere(u32::from_str_radix(flags, 16).ok()?) && name != "lo";
        wanted.then(|| (metric, name.to_owned()))
    });
    routes.min_by_key(|(metric, _)| *metric).map(|(_, name)| name)
}

/// Reads `/sys/class/net/NAME/flags`: up (`IFF_UP`) and not a loopback (`IFF_LOOPBACK`).
fn is_up(flags: &str) -> bool {
    let digits = flags.trim().trim_start_matches("0x");
    u32::from_str_radix(digits, 16).is_ok_and(|flags| flags & 0x1 != 0 && flags & 0x8 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADING: &str =
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";

    #[test]
    fn the_default_route_of_least_metric_wins() {
        let table = format!(
            "{HEADING}\
             wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
             eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\t0\t0\n\
             eth1\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n"
        );
        assert_eq!(default_route_v4(&table).as_deref(), Some("eth0"));
    }

    #[test]
    fn routes_to_networks_and_refusing_routes_are_no_default() {
        let table = format!(
            "{HEADING}\
             eth1\t0000000A\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n\
             tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0\n\
             *\t00000000\t00000000\t0201\t0\t0\t0\t00000000\t0\t0\t0\n"
        );
        assert_eq!(default_route_v4(&table), None);
        assert_eq!(default_route_v4(""), None);
    }

    #[test]
    fn an_ipv6_default_route_is_read_too() {
        let none = "0".repeat(32);
        let table = format!(
            "fe800000000000000000000000000000 40 {none} 00 {none} 00000100 00000002 00000000 00000001     eth0\n\
             {none} 00 {none} 00 fd000000000000000000000000000001 00000400 00000002 00000000 00000003     eth2\n\
             {none} 00 {none} 00 {none} ffffffff 00000001 00000000 00200200       lo\n"
        );
        assert_eq!(default_route_v6(&table).as_deref(), Some("eth2"));
        let refused = format!("{none} 00 {none} 00 {none} ffffffff 00000001 00000000 00200200       lo\n");
        assert_eq!(default_route_v6(&refused), None);
    }

    #[test]
    fn flags_tell_up_and_loopback() {
        assert!(is_up("0x1003\n"));
        assert!(!is_up("0x1002\n"), "down");
        assert!(!is_up("0x9\n"), "loopback");
        assert!(!is_up(""));
    }
}
