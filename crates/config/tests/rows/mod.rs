//! Rows as the daemon and its plugins declare them.

use rpmacct_config::{Key, Registry, Scope};

pub(crate) const DAEMONIZE: Key =
    Key::flag("daemonize").scope(Scope::Global).default("false").switch('D', "true");
pub(crate) const CORE_PROC_NAME: Key = Key::text("core_proc_name").scope(Scope::Global).default("default");
pub(crate) const INTERFACE: Key =
    Key::text("pcap_interface").alias(&["interface"]).scope(Scope::Global).option('i');
pub(crate) const SAVEFILE: Key = Key::path("pcap_savefile").scope(Scope::Global).option('I');
pub(crate) const FILTER: Key = Key::text("pcap_filter").scope(Scope::Global).counts();
pub(crate) const SNAPLEN: Key = Key::integer("snaplen", 128, 262_144).scope(Scope::Global).default("256");
pub(crate) const UMASK: Key = Key::text("files_umask").default("077").checked(umask);
pub(crate) const SYSLOG: Key = Key::word("syslog", &["daemon", "user"]).option('S');
pub(crate) const AGGREGATE: Key = Key::text("aggregate").default("src_host").option('c').counts();
pub(crate) const AGGREGATE_FILTER: Key = Key::text("aggregate_filter").scope(Scope::PluginOnly).counts();
pub(crate) const PIPE_SIZE: Key = Key::size("plugin_pipe_size", 1, 1 << 40).default("16777216");
pub(crate) const BUFFER_SIZE: Key = Key::size("plugin_buffer_size", 1, 1 << 40).default("32768");
pub(crate) const REFRESH: Key = Key::seconds("print_refresh_time", 1, 86_400).default("60").option('r');
pub(crate) const IMT_PATH: Key = Key::path("imt_path").default("/tmp/collect.pipe").option('p');
pub(crate) const OUTPUT: Key =
    Key::word("print_output", &["formatted", "csv", "json"]).default("formatted").option('O');
pub(crate) const SEPARATOR: Key = Key::character("print_output_separator").default(",").option('E');

pub(crate) fn registry() -> Registry {
    Registry::new([
        &DAEMONIZE,
        &CORE_PROC_NAME,
        &INTERFACE,
        &SAVEFILE,
        &FILTER,
        &SNAPLEN,
        &UMASK,
        &SYSLOG,
        &AGGREGATE,
        &AGGREGATE_FILTER,
        &PIPE_SIZE,
        &BUFFER_SIZE,
        &REFRESH,
        &IMT_PATH,
        &OUTPUT,
        &SEPARATOR,
    ])
}

fn umask(text: &str) -> Result<(), String> {
    u32::from_str_radix(text, 8).map(drop).map_err(|_| "an octal number".to_owned())
}
