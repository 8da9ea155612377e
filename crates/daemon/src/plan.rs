//! What the configuration means: everything is known and checked before anything is opened.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rpmacct_capture::{Direction, LiveOptions, check_filter, interfaces};
use rpmacct_config::{Config, ConfigError, PluginEntry, View};
use rpmacct_core::{FragmentOptions, SavefileOptions};
use rpmacct_plugin::Plugin;
use rpmacct_primitives::{Schema, SchemaOptions};

use crate::keys;
use crate::log::LogOptions;

/// Types of plugins that pmacctd has and we have not.
const PEER_PLUGINS: &[&str] =
    &["amqp", "kafka", "mongodb", "mysql", "nfprobe", "pgsql", "sfprobe", "sqlite3", "tee"];

/// Primitives that pmacctd has and we have not.
const PEER_PRIMITIVES: &[&str] = &[
    "as_path",
    "class",
    "class_frame",
    "dst_as",
    "dst_host_coords",
    "dst_host_country",
    "dst_host_pocode",
    "dst_mask",
    "dst_net",
    "dst_roa",
    "export_proto_seqno",
    "export_proto_sysid",
    "export_proto_version",
    "ext_comm",
    "flow_label",
    "flows",
    "fw_event",
    "fwd_status",
    "label",
    "local_pref",
    "lrg_comm",
    "med",
    "mpls_label_stack",
    "mpls_pw_id",
    "mpls_stack_depth",
    "mpls_vpn_rd",
    "nat_event",
    "nvgre",
    "out_cvlan",
    "out_vlan",
    "path_delay_avg_usec",
    "path_delay_max_usec",
    "path_delay_min_usec",
    "peer_dst_as",
    "peer_dst_ip",
    "peer_src_as",
    "peer_src_ip",
    "post_nat_dst_host",
    "post_nat_dst_port",
    "post_nat_src_host",
    "post_nat_src_port",
    "sampling_direction",
    "sampling_rate",
    "src_as",
    "src_as_path",
    "src_ext_comm",
    "src_host_coords",
    "src_host_country",
    "src_host_pocode",
    "src_local_pref",
    "src_lrg_comm",
    "src_mask",
    "src_med",
    "src_net",
    "src_roa",
    "src_std_comm",
    "std_comm",
    "sum_as",
    "sum_net",
    "tag",
    "tag2",
    "timestamp_end",
    "timestamp_export",
    "tunnel_dst_host",
    "tunnel_dst_mac",
    "tunnel_dst_port",
    "tunnel_flow_label",
    "tunnel_proto",
    "tunnel_src_host",
    "tunnel_src_mac",
    "tunnel_src_port",
    "tunnel_tcpflags",
    "tunnel_tos",
    "vrf_name",
    "vxlan",
];

/// Bytes of the smallest ring that the kernel can hand over in blocks.
const SMALLEST_RING: u64 = 65_536;

/// What the daemon shall do.
pub(crate) struct Plan {
    pub(crate) daemonize: bool,
    pub(crate) pidfile: Option<PathBuf>,
    pub(crate) umask: u32,
    pub(crate) exit_any: bool,
    pub(crate) log: LogOptions,
    pub(crate) source: Source,
    pub(crate) fragments: FragmentOptions,
    pub(crate) plugins: Vec<PluginPlan>,
}

/// Where frames come from.
pub(crate) enum Source {
    /// An interface.
    Live {
        options: LiveOptions,
        /// Whether a missing interface is waited for.
        wait: bool,
        index: IndexKind,
    },
    /// A capture file.
    Savefile { path: PathBuf, options: SavefileOptions, filter: Option<String> },
}

/// How the number of the interface is chosen.
#[derive(Clone, Copy)]
pub(crate) enum IndexKind {
    None,
    System,
    Hash,
}

/// A plugin and what it shall do.
pub(crate) struct PluginPlan {
    pub(crate) plugin: &'static dyn Plugin,
    pub(crate) name: String,
    pub(crate) schema: Arc<Schema>,
    pub(crate) filter: Option<String>,
    pub(crate) pipe_size: usize,
    pub(crate) buffer_size: usize,
}

impl PluginPlan {
    /// `name/type`, as in log lines.
    pub(crate) fn speaker(&self) -> String {
        format!("{}/{}", self.name, self.plugin.kind())
    }
}

impl Plan {
    /// Reads the plan out of a configuration; all its errors are found.
    pub(crate) fn new(config: &Config, catalogue: &[&'static dyn Plugin]) -> Result<Self, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let core = config.core();
        let source = source(&core).map_err(|error| errors.push(error)).ok();
        let mut plugins = Vec::new();
        for entry in config.plugins() {
            match plugin(config, entry, catalogue) {
                Ok(plugin) => plugins.push(plugin),
                Err(error) => errors.push(error),
            }
        }
        match source {
            Some(source) if errors.is_empty() => Ok(Self::assemble(&core, source, plugins)),
            _ => Err(errors),
        }
    }

    fn assemble(core: &View<'_>, source: Source, plugins: Vec<PluginPlan>) -> Self {
        let text = |key| core.text(key).map(str::to_owned);
        Self {
            daemonize: core.flag(&keys::DAEMONIZE),
            pidfile: core.path(&keys::PIDFILE).map(Into::into),
            umask: core.text(&keys::FILES_UMASK).and_then(|t| keys::umask(t).ok()).unwrap_or(0o077),
            exit_any: core.flag(&keys::PLUGIN_EXIT_ANY),
            log: LogOptions {
                core_name: text(&keys::CORE_PROC_NAME).unwrap_or_default(),
                debug: core.flag(&keys::DEBUG),
                stderr_time: core.flag(&keys::LOG_STDERR_TSTAMP),
                file: core.path(&keys::LOGFILE).map(Into::into),
                facility: core.word(&keys::SYSLOG).map(str::to_owned),
            },
            source,
            fragments: FragmentOptions {
                memory: size(core.size(&keys::FRAGMENT_MEMORY)),
                always: core.flag(&keys::FORCE_FRAGMENTS),
            },
            plugins,
        }
    }
}

fn source(core: &View<'_>) -> Result<Source, ConfigError> {
    let filter = core.text(&keys::PCAP_FILTER).map(str::to_owned).filter(|text| !text.is_empty());
    if let Some(filter) = &filter {
        check_filter(filter).map_err(|error| core.problem(&keys::PCAP_FILTER, error))?;
    }
    let interface = core.text(&keys::PCAP_INTERFACE).filter(|name| !name.is_empty());
    match (core.path(&keys::PCAP_SAVEFILE), interface) {
        (Some(_), Some(_)) => {
            Err(core
                .problem(&keys::PCAP_INTERFACE, "an interface and pcap_savefile are set; use one of them"))
        }
        (Some(path), None) => Ok(Source::Savefile {
            path: path.to_owned(),
            options: SavefileOptions {
                wait: core.flag(&keys::PCAP_SAVEFILE_WAIT),
                delay: Duration::from_secs(core.seconds(&keys::PCAP_SAVEFILE_DELAY).unwrap_or(0)),
                times: core.integer(&keys::PCAP_SAVEFILE_REPLAY).unwrap_or(1).unsigned_abs(),
            },
            filter,
        }),
        (None, Some(name)) => Ok(live(core, name, filter)),
        (None, None) => Err(core.error(
            &keys::PCAP_INTERFACE,
            format!("the name of an interface (there are: {}), or pcap_savefile", interfaces().join(", ")),
        )),
    }
}

fn live(core: &View<'_>, interface: &str, filter: Option<String>) -> Source {
    Source::Live {
        options: LiveOptions {
            interface: interface.to_owned(),
            promisc: core.flag(&keys::PROMISC),
            snaplen: core.size(&keys::SNAPLEN).unwrap_or(0) as u32,
            ring: core.size(&keys::KERNEL_RING).unwrap_or(0).max(SMALLEST_RING) as u32,
            direction: core.word(&keys::PCAP_DIRECTION).map(|word| match word {
                "out" => Direction::Out,
                _ => Direction::In,
            }),
            filter,
        },
        wait: core.flag(&keys::PCAP_INTERFACE_WAIT),
        index: match core.word(&keys::PCAP_IFINDEX) {
            Some("sys") => IndexKind::System,
            Some("hash") => IndexKind::Hash,
            _ => IndexKind::None,
        },
    }
}

fn plugin(
    config: &Config,
    entry: &PluginEntry,
    catalogue: &[&'static dyn Plugin],
) -> Result<PluginPlan, ConfigError> {
    let plugin = catalogue.iter().find(|plugin| plugin.kind() == entry.kind);
    let kinds = || catalogue.iter().map(|plugin| plugin.kind());
    let Some(plugin) = plugin else {
        let expected = if PEER_PLUGINS.contains(&entry.kind.as_str()) {
            format!("a plugin that rpmacctd has ({} is not implemented yet)", entry.kind)
        } else {
            format!("one of the plugins {}", kinds().collect::<Vec<_>>().join(", "))
        };
        return Err(entry.error(expected, kinds()));
    };
    let view = config.plugin(&entry.name);
    let options = SchemaOptions {
        whole_seconds: view.flag(&keys::TIMESTAMPS_SECS),
        // The table of the memory plugin has no times.
        stitching: view.flag(&keys::STITCHING) && plugin.kind() == "print",
    };
    let aggregate = view.text(&keys::AGGREGATE).unwrap_or_default();
    let schema = Schema::parse(aggregate, options).map_err(|error| match error.unknown_word() {
        Some((word, _)) if PEER_PRIMITIVES.contains(&word) => {
            view.problem(&keys::AGGREGATE, format!("{word} is not implemented by rpmacct yet"))
        }
        Some((word, words)) => {
            view.error_nearest(&keys::AGGREGATE, word, "a primitive (rpmacctd -a lists them)", words)
        }
        None => view.problem(&keys::AGGREGATE, error),
    })?;
    let filter = view.text(&keys::AGGREGATE_FILTER).map(str::to_owned).filter(|text| !text.is_empty());
    if let Some(filter) = &filter {
        check_filter(filter).map_err(|error| view.problem(&keys::AGGREGATE_FILTER, error))?;
    }
    Ok(PluginPlan {
        plugin: *plugin,
        name: entry.name.clone(),
        schema: Arc::new(schema),
        filter,
        pipe_size: size(view.size(&keys::PLUGIN_PIPE_SIZE)),
        buffer_size: size(view.size(&keys::PLUGIN_BUFFER_SIZE)),
    })
}

fn size(size: Option<u64>) -> usize {
    usize::try_from(size.unwrap_or(0)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_we_have_is_not_listed_as_missing() {
        for word in PEER_PRIMITIVES {
            assert!(rpmacct_primitives::primitive(word).is_none(), "{word} is here");
        }
    }
}
