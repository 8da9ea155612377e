//! Rows as the daemon and its plugins declare them.

use rpmacct_config::{Config, Key, Registry, Scope, View};

pub const DAEMONIZE: Key = Key::flag("daemonize").scope(Scope::Global).default("false").switch('D', "true");
pub const CORE_PROC_NAME: Key = Key::text("core_proc_name").scope(Scope::Global).default("default");
pub const INTERFACE: Key = Key::text("pcap_interface").alias(&["interface"]).scope(Scope::Global).option('i');
pub const SAVEFILE: Key = Key::path("pcap_savefile").scope(Scope::Global).option('I');
pub const FILTER: Key = Key::text("pcap_filter").scope(Scope::Global).counts();
pub const SNAPLEN: Key = Key::integer("snaplen", 128, 262_144).scope(Scope::Global).default("256");
pub const UMASK: Key = Key::text("files_umask").default("077").checked(umask);
pub const SYSLOG: Key = Key::word("syslog", &["daemon", "user"]).option('S');
pub const AGGREGATE: Key = Key::text("aggregate").default("src_host").option('c').counts();
pub const AGGREGATE_FILTER: Key = Key::text("aggregate_filter").scope(Scope::PluginOnly).counts();
pub const PIPE_SIZE: Key = Key::size("plugin_pipe_size", 1, 1 << 40).default("16777216");
pub const BUFFER_SIZE: Key = Key::size("plugin_buffer_size", 1, 1 << 40).default("32768");
pub const REFRESH: Key = Key::seconds("print_refresh_time", 1, 86_400).default("60").option('r');
pub const IMT_PATH: Key = Key::path("imt_path").default("/tmp/collect.pipe").option('p');
pub const OUTPUT: Key =
    Key::word("print_output", &["formatted", "csv", "json"]).default("formatted").option('O');
pub const SEPARATOR: Key = Key::character("print_output_separator").default(",").option('E');

pub fn registry() -> Registry {
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

/// The meaning of a configuration: its plugins, what the core reads, and what each plugin reads.
pub fn dump(config: &Config) -> String {
    let mut text = String::new();
    for plugin in config.plugins() {
        text += &format!("plugin {}[{}]\n", plugin.kind, plugin.name);
    }
    text += &dump_view("core", config.core(), |scope| scope == Scope::Global);
    for plugin in config.plugins() {
        text += &dump_view(&plugin.name, config.plugin(&plugin.name), |scope| scope != Scope::Global);
    }
    text
}

fn dump_view(name: &str, view: View<'_>, of: impl Fn(Scope) -> bool) -> String {
    let settings = view.settings().into_iter().filter(|(key, _)| of(key.scope) && key.name != "plugins");
    settings.map(|(key, value)| format!("{name}: {}: {}\n", key.name, value.replace(", ", ","))).collect()
}
