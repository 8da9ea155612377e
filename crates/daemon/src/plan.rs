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
    &["amqp", "kafka", "mongodb", "mysql", "nfprobe", "pgsql", "sfprobe", "sqlite3", "tee", "core"];

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
        check_filter(filter).map_err(|error| core.error(&keys::PCAP_FILTER, error))?;
    }
    let interface = core.text(&keys::PCAP_INTERFACE).filter(|name| !name.is_empty());
    match (core.path(&keys::PCAP_SAVEFILE), interface) {
        (Some(_), Some(_)) => {
            Err(core.error(&keys::PCAP_INTERFACE, "no interface where pcap_savefile is set: use one of them"))
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
            ring: core.size(&keys::KERNEL_RING).unwrap_or(0) as u32,
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
    let options = SchemaOptions { whole_seconds: view.flag(&keys::TIMESTAMPS_SECS) };
    let aggregate = view.text(&keys::AGGREGATE).unwrap_or_default();
    let schema = Schema::parse(aggregate, options).map_err(|error| match error.unknown_word() {
        Some((word, words)) => {
            view.error_nearest(&keys::AGGREGATE, word, "a primitive (rpmacctd -a lists them)", words)
        }
        None => view.error(&keys::AGGREGATE, error),
    })?;
    let filter = view.text(&keys::AGGREGATE_FILTER).map(str::to_owned).filter(|text| !text.is_empty());
    if let Some(filter) = &filter {
        check_filter(filter).map_err(|error| view.error(&keys::AGGREGATE_FILTER, error))?;
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
