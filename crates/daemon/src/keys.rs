//! The configuration keys of the daemon, the core and the capture. Plugins declare their own.
//!
//! One row a key. The retired names of ten years are aliases; so are the spellings of pmacct's other daemons
//! that pmacctd obeys.

use rpmacct_config::{Key, Scope};

/// All rows of this file.
pub static KEYS: &[&Key] = &[
    &DAEMONIZE,
    &PIDFILE,
    &CORE_PROC_NAME,
    &FILES_UMASK,
    &NONROOT,
    &PROPAGATE_SIGNALS,
    &PLUGIN_EXIT_ANY,
    &SYSLOG,
    &LOGFILE,
    &LOG_STDERR_TSTAMP,
    &DEBUG,
    &PCAP_INTERFACE,
    &PCAP_INTERFACE_WAIT,
    &PCAP_SAVEFILE,
    &PCAP_SAVEFILE_WAIT,
    &PCAP_SAVEFILE_DELAY,
    &PCAP_SAVEFILE_REPLAY,
    &PCAP_FILTER,
    &PCAP_DIRECTION,
    &PCAP_IFINDEX,
    &PROMISC,
    &SNAPLEN,
    &KERNEL_RING,
    &FORCE_FRAGMENTS,
    &FRAGMENT_MEMORY,
    &FLOW_LIFETIME,
    &FLOW_TCP_LIFETIME,
    &FLOW_MEMORY,
    &FLOW_BUCKETS,
    &UNKNOWN_ETYPE,
    &TUNNELS[0],
    &TUNNELS[1],
    &TUNNELS[2],
    &TUNNELS[3],
    &TUNNELS[4],
    &TUNNELS[5],
    &TUNNELS[6],
    &TUNNELS[7],
    &TUNNELS[8],
    &AGGREGATE_PRIMITIVES,
    &AGGREGATE,
    &AGGREGATE_FILTER,
    &STITCHING,
    &TIMESTAMPS_SECS,
    &PLUGIN_PIPE_SIZE,
    &PLUGIN_BUFFER_SIZE,
];

// The daemon.

/// `daemonize`
pub const DAEMONIZE: Key = Key::flag("daemonize")
    .scope(Scope::Global)
    .default("false")
    .switch('D', "true")
    .doc("Go to the background once the capture and all plugins are open");

/// `pidfile`
pub const PIDFILE: Key = Key::path("pidfile")
    .scope(Scope::Global)
    .option('F')
    .doc("File for the process id; each plugin writes another, <pidfile>-<type>-<name>");

/// `core_proc_name`
pub const CORE_PROC_NAME: Key = Key::text("core_proc_name")
    .alias(&["pmacctd_proc_name", "uacctd_proc_name", "nfacctd_proc_name", "sfacctd_proc_name"])
    .scope(Scope::Global)
    .default("default")
    .doc("Name of the core in log lines");

/// `files_umask`
pub const FILES_UMASK: Key = Key::text("files_umask")
    .default("077")
    .checked(|text| umask(text).map(drop))
    .doc("Permissions that files and directories made by the daemon do not get, octal, at least 002");

/// `pmacctd_nonroot`
pub const NONROOT: Key = Key::flag("pmacctd_nonroot")
    .alias(&["uacctd_nonroot", "nfacctd_nonroot", "sfacctd_nonroot"])
    .scope(Scope::Global)
    .default("false")
    .switch('z', "true")
    .doc("Needless here: whoever may capture may run rpmacctd");

/// `propagate_signals`
pub const PROPAGATE_SIGNALS: Key = Key::flag("propagate_signals")
    .alias(&["propagate_sigs"])
    .scope(Scope::Global)
    .default("false")
    .doc("Needless here: signals reach all plugins, which are threads of one process");

/// `plugin_exit_any`
pub const PLUGIN_EXIT_ANY: Key = Key::flag("plugin_exit_any")
    .scope(Scope::Global)
    .default("false")
    .doc("End the daemon as soon as any plugin ends, not only when all have");

// Logging.

/// `syslog`
pub const SYSLOG: Key = Key::word(
    "syslog",
    &[
        "auth", "mail", "daemon", "kern", "user", "local0", "local1", "local2", "local3", "local4", "local5",
        "local6", "local7",
    ],
)
.option('S')
.doc("Log through syslog, with this facility");

/// `logfile`
pub const LOGFILE: Key =
    Key::path("logfile").scope(Scope::Global).doc("Append the log to this file, each line with its time");

/// `log_stderr_tstamp`
pub const LOG_STDERR_TSTAMP: Key = Key::flag("log_stderr_tstamp")
    .scope(Scope::Global)
    .default("false")
    .doc("Begin log lines on standard error with the time, too");

/// `debug`
pub const DEBUG: Key = Key::flag("debug").default("false").switch('d', "true").doc("Log in detail");

// Where frames come from.

/// `pcap_interface`
pub const PCAP_INTERFACE: Key = Key::text("pcap_interface")
    .alias(&["interface"])
    .scope(Scope::Global)
    .option('i')
    .doc("Capture on this interface");

/// `pcap_interface_wait`
pub const PCAP_INTERFACE_WAIT: Key = Key::flag("pcap_interface_wait")
    .alias(&["interface_wait"])
    .scope(Scope::Global)
    .default("false")
    .switch('w', "true")
    .doc("Wait for the interface where it is missing, at the start and later");

/// `pcap_savefile`
pub const PCAP_SAVEFILE: Key = Key::path("pcap_savefile")
    .alias(&["savefile", "pcap_sf"])
    .scope(Scope::Global)
    .option('I')
    .doc("Read frames from this capture file (pcap or pcapng) instead of an interface");

/// `pcap_savefile_wait`
pub const PCAP_SAVEFILE_WAIT: Key = Key::flag("pcap_savefile_wait")
    .alias(&["savefile_wait", "pcap_sf_wait"])
    .scope(Scope::Global)
    .default("false")
    .switch('W', "true")
    .doc("Stay when the capture file ends, so that tables can be queried");

/// `pcap_savefile_delay`
pub const PCAP_SAVEFILE_DELAY: Key = Key::seconds("pcap_savefile_delay", 0, 1_000_000)
    .alias(&["savefile_delay", "pcap_sf_delay"])
    .scope(Scope::Global)
    .default("0")
    .option('Z')
    .doc("Seconds to wait before each reading of the capture file");

/// `pcap_savefile_replay`
pub const PCAP_SAVEFILE_REPLAY: Key = Key::integer("pcap_savefile_replay", 0, i64::MAX)
    .alias(&["savefile_replay", "pcap_sf_replay"])
    .scope(Scope::Global)
    .default("1")
    .option('Y')
    .doc("How many times the capture file is read; counters multiply");

/// `pcap_filter`
pub const PCAP_FILTER: Key = Key::text("pcap_filter")
    .scope(Scope::Global)
    .counts()
    .doc("Account only frames that pass this filter (pcap-filter(7)); on the command line: the last words");

/// `pcap_direction`
pub const PCAP_DIRECTION: Key = Key::word("pcap_direction", &["in", "out"])
    .alias(&["uacctd_direction"])
    .scope(Scope::Global)
    .doc("Account only frames that come in, or go out; both if not set");

/// `pcap_ifindex`
pub const PCAP_IFINDEX: Key = Key::word("pcap_ifindex", &["none", "sys", "hash"])
    .scope(Scope::Global)
    .default("none")
    .doc("Number of the interface in in_iface and out_iface: the system's, a hash of its name, or 0");

/// `promisc`
pub const PROMISC: Key = Key::flag("promisc")
    .scope(Scope::Global)
    .default("true")
    .switch('N', "false")
    .doc("Capture frames for other machines too (-N: do not)");

/// `snaplen`
pub const SNAPLEN: Key = Key::size("snaplen", 128, 262_144)
    .scope(Scope::Global)
    .default("256")
    .option('L')
    .doc("Bytes captured of each frame; enough for the headers");

/// `pmacctd_pipe_size`
pub const KERNEL_RING: Key = Key::size("pmacctd_pipe_size", 1, 0x7fff_ffff)
    .alias(&["uacctd_pipe_size", "nfacctd_pipe_size", "sfacctd_pipe_size"])
    .scope(Scope::Global)
    .default("67108864")
    .doc("Bytes of the kernel's ring of captured frames, at least 65536");

// How packets are understood.

/// `pmacctd_force_frag_handling`
pub const FORCE_FRAGMENTS: Key = Key::flag("pmacctd_force_frag_handling")
    .alias(&["uacctd_force_frag_handling", "force_frag_handling"])
    .scope(Scope::Global)
    .default("false")
    .doc("Link fragments to the first one of their datagram even if no key needs it");

/// `pmacctd_frag_buffer_size`
pub const FRAGMENT_MEMORY: Key = Key::size("pmacctd_frag_buffer_size", 1, 1 << 40)
    .alias(&["uacctd_frag_buffer_size", "fragment_buffer_size", "frag_buffer_size"])
    .scope(Scope::Global)
    .default("4096000")
    .doc("Bytes for fragments that wait for the first one of their datagram");

/// `pmacctd_flow_lifetime`
pub const FLOW_LIFETIME: Key = Key::seconds("pmacctd_flow_lifetime", 1, 1 << 32)
    .alias(&["uacctd_flow_lifetime", "flow_lifetime"])
    .scope(Scope::Global)
    .default("60")
    .counts()
    .doc("Seconds of silence, by the packets' time, that end a flow");

/// `pmacctd_flow_tcp_lifetime`
pub const FLOW_TCP_LIFETIME: Key = Key::seconds("pmacctd_flow_tcp_lifetime", 1, 1 << 32)
    .alias(&["uacctd_flow_tcp_lifetime", "flow_tcp_lifetime"])
    .scope(Scope::Global)
    .counts()
    .doc("The same for TCP connections under way; pmacctd_flow_lifetime if not set. After a SYN it is 60, after a FIN 30, after a RST 10");

/// `pmacctd_flow_buffer_size`
pub const FLOW_MEMORY: Key = Key::size("pmacctd_flow_buffer_size", 1, 1 << 40)
    .alias(&["uacctd_flow_buffer_size", "flow_buffer_size"])
    .scope(Scope::Global)
    .default("16384000")
    .doc("Bytes for flows; when it is full those that were silent longest are forgotten, and count again if they go on; a warning says so");

/// `pmacctd_flow_buffer_buckets`
pub const FLOW_BUCKETS: Key = Key::size("pmacctd_flow_buffer_buckets", 1, 1 << 40)
    .alias(&["uacctd_flow_buffer_buckets", "flow_buffer_buckets"])
    .scope(Scope::Global)
    .default("256")
    .doc("Accepted and without effect: the table grows as needed");

/// `aggregate_unknown_etype`
pub const UNKNOWN_ETYPE: Key = Key::flag("aggregate_unknown_etype")
    .scope(Scope::Global)
    .default("false")
    .counts()
    .doc("Account frames that carry no IP, too: by EtherType and MAC addresses, with what follows the link header as bytes");

/// `tunnel_0` to `tunnel_8`
pub static TUNNELS: [Key; 9] = [
    tunnel("tunnel_0"),
    tunnel("tunnel_1"),
    tunnel("tunnel_2"),
    tunnel("tunnel_3"),
    tunnel("tunnel_4"),
    tunnel("tunnel_5"),
    tunnel("tunnel_6"),
    tunnel("tunnel_7"),
    tunnel("tunnel_8"),
];

const fn tunnel(name: &'static str) -> Key {
    Key::text(name).scope(Scope::Global).counts().doc(
        "NAME[,PORT]: account the packets within these tunnels, four deep at most; several with semicolons",
    )
}

/// `aggregate_primitives`
pub const AGGREGATE_PRIMITIVES: Key = Key::path("aggregate_primitives")
    .scope(Scope::Global)
    .counts()
    .doc("File that defines primitives of your own, octets of packets by their place");

// What is counted, for each plugin.

/// `aggregate`
pub const AGGREGATE: Key = Key::text("aggregate")
    .default("src_host")
    .option('c')
    .counts()
    .doc("Primitives that packets are summed by, separated by commas; rpmacctd -a lists them");

/// `aggregate_filter`
pub const AGGREGATE_FILTER: Key = Key::text("aggregate_filter")
    .scope(Scope::PluginOnly)
    .counts()
    .doc("The plugin sees only frames that pass this filter (pcap-filter(7))");

/// `pmacctd_stitching`
pub const STITCHING: Key = Key::flag("pmacctd_stitching")
    .alias(&["nfacctd_stitching", "sfacctd_stitching", "uacctd_stitching"])
    .default("false")
    .doc("Print shows the times of the first and the last packet of each row: timestamp_min, timestamp_max");
/// `timestamps_secs`
pub const TIMESTAMPS_SECS: Key =
    Key::flag("timestamps_secs").default("false").counts().doc("Times in keys are cut to whole seconds");

/// `plugin_pipe_size`
pub const PLUGIN_PIPE_SIZE: Key = Key::size("plugin_pipe_size", 1, 1 << 34)
    .default("16777216")
    .doc("Bytes of the pipe from the core to the plugin; what finds it full is lost, and counted");

/// `plugin_buffer_size`
pub const PLUGIN_BUFFER_SIZE: Key = Key::size("plugin_buffer_size", 1, 1 << 30)
    .default("32768")
    .doc("Bytes of a batch of records; it is handed over when it is full or 100 ms old");

/// Reads an umask: octal, at least 002.
pub fn umask(text: &str) -> Result<u32, String> {
    let parsed = u32::from_str_radix(text, 8).ok();
    parsed
        .filter(|mask| (0o002..=0o777).contains(mask))
        .ok_or_else(|| "an octal number from 002 to 777".to_owned())
}
