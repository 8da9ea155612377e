//! Names of IP protocols, as the scripts of ten years know them.
//!
//! Not `/etc/protocols` and not IANA's registry: the names (and the gaps) are those that pmacctd prints,
//! found by giving it one packet of each protocol. The same on every machine.

/// Protocol numbers with their names, by number.
const NAMES: &[(u8, &str)] = &[
    (1, "icmp"),
    (2, "igmp"),
    (3, "ggp"),
    (4, "ipencap"),
    (6, "tcp"),
    (8, "egp"),
    (9, "igp"),
    (17, "udp"),
    (18, "mux"),
    (41, "ipv6"),
    (43, "ipv6-route"),
    (44, "ipv6-frag"),
    (46, "rsvp"),
    (47, "gre"),
    (50, "esp"),
    (51, "ah"),
    (55, "mobile"),
    (56, "tlsp"),
    (58, "ipv6-icmp"),
    (59, "ipv6-nonxt"),
    (60, "ipv6-opts"),
    (80, "iso-ip"),
    (83, "vines"),
    (88, "eigrp"),
    (89, "ospf"),
    (91, "larp"),
    (93, "ax.25"),
    (94, "ipip"),
    (98, "encap"),
    (102, "pnni"),
    (103, "pim"),
    (108, "IPcomp"),
    (111, "ipx-in-ip"),
    (112, "vrrp"),
    (115, "l2tp"),
    (124, "isis"),
    (132, "sctp"),
    (133, "fc"),
    (255, "others"),
];

/// The names by protocol number: one load for each value printed.
static BY_NUMBER: [Option<&str>; 256] = {
    let mut table = [None; 256];
    let mut i = 0;
    while i < NAMES.len() {
        table[NAMES[i].0 as usize] = Some(NAMES[i].1);
        i += 1;
    }
    table
};

/// The name of a protocol, if it has one.
pub fn protocol_name(number: u8) -> Option<&'static str> {
    BY_NUMBER[usize::from(number)]
}

/// The number of a protocol given by name (any case) or by number.
pub fn protocol_number(text: &str) -> Option<u8> {
    let named = NAMES.iter().find(|(_, name)| name.eq_ignore_ascii_case(text));
    named.map(|&(number, _)| number).or_else(|| text.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_unique_and_in_order() {
        assert!(NAMES.windows(2).all(|w| w[0].0 < w[1].0));
        for (number, name) in NAMES {
            assert_eq!(protocol_name(*number), Some(*name));
            assert_eq!(protocol_number(name), Some(*number));
        }
        assert_eq!(protocol_name(0), None);
        assert_eq!(protocol_number("253"), Some(253));
        assert_eq!(protocol_number("256"), None);
    }
}
