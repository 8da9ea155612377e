//! What the configuration means: everything is known and checked before anything is opened.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rpmacct_capture::{Direction, LiveOptions, check_filter, interfaces};
use rpmacct_config::{Config, ConfigError, PluginEntry, View};
use rpmacct_core::{FlowOptions, FragmentOptions, SavefileOptions};
use rpmacct_packet::{ParseTunnelError, TunnelKind, TunnelRule};
use rpmacct_plugin::Plugin;
use rpmacct_primitives::{Custom, Schema, SchemaOptions};

use crate::keys;
use crate::log::LogOptions;

/// Types of plugins that pmacctd has and we have not.
const PEER_PLUGINS: &[&str] =
    &["amqp", "kafka", "mongodb", "mysql", "nfprobe", "pgsql", "sfprobe", "sqlite3", "tee"];

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
    pub(crate) flows: FlowOptions,
    pub(crate) tunnels: Vec<TunnelRule>,
    pub(crate) unknown_etype: bool,
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
    /// A sentence about the columns that stay empty, if there are any: which, and why.
    pub(crate) fn empty_columns(&self) -> Option<String> {
        let mut words_by_why = BTreeMap::<String, BTreeSet<&str>>::new();
        for (word, why) in self.plugins.iter().flat_map(|plugin| plugin.schema.unfilled()) {
            words_by_why.entry(why.to_string()).or_default().insert(word);
        }
        let parts = words_by_why
            .into_iter()
            .map(|(why, words)| format!("{} ({why})", words.into_iter().collect::<Vec<_>>().join(", ")));
        let parts: Vec<_> = parts.collect();
        (!parts.is_empty()).then(|| format!("columns that stay empty: {}", parts.join("; ")))
    }

    /// Reads the plan out of a configuration; all its errors are found.
    pub(crate) fn new(config: &Config, catalogue: &[&'static dyn Plugin]) -> Result<Self, Vec<ConfigError>> {
        let mut errors = Vec::new();
        let core = config.core();
        let source = source(&core).map_err(|error| errors.push(error)).ok();
        let customs = customs(&core).unwrap_or_else(|problems| {
            errors.extend(problems);
            Vec::new()
        });
        let tunnels = tunnels(&core).unwrap_or_else(|problems| {
            errors.extend(problems);
            Vec::new()
        });
        if !errors.is_empty() {
            // Without its own primitives every list that names one would be an error, too.
            return Err(errors);
        }
        let mut plugins = Vec::new();
        for entry in config.plugins() {
            match plugin(config, entry, catalogue, &customs) {
                Ok(plugin) => plugins.push(plugin),
                Err(error) => errors.push(error),
            }
        }
        match source {
            Some(source) if errors.is_empty() => Ok(Self::assemble(&core, source, tunnels, plugins)),
            _ => Err(errors),
        }
    }

    fn assemble(core: &View<'_>, source: Source, tunnels: Vec<TunnelRule>, plugins: Vec<PluginPlan>) -> Self {
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
            flows: flows(core),
            tunnels,
            unknown_etype: core.flag(&keys::UNKNOWN_ETYPE),
            plugins,
        }
    }
}

fn flows(core: &View<'_>) -> FlowOptions {
    let seconds = |key| core.seconds(key).map(Duration::from_secs);
    let lifetime = seconds(&keys::FLOW_LIFETIME).unwrap_or_default();
    FlowOptions {
        lifetime,
        tcp_lifetime: seconds(&keys::FLOW_TCP_LIFETIME).unwrap_or(lifetime),
        memory: size(core.size(&keys::FLOW_MEMORY)),
    }
}

/// The primitives of the user's own.
fn customs(core: &View<'_>) -> Result<Vec<Arc<Custom>>, Vec<ConfigError>> {
    let key = &keys::AGGREGATE_PRIMITIVES;
    let Some(path) = core.path(key).filter(|path| !path.as_os_str().is_empty()) else {
        return Ok(Vec::new());
    };
    let text = fs::read_to_string(path).map_err(|error| vec![core.problem(key, error)])?;
    let customs = Custom::parse_file(&text).map_err(|errors| {
        let problem = |error| core.problem(key, format!("{}:{error}", path.display()));
        errors.into_iter().map(problem).collect::<Vec<_>>()
    })?;
    Ok(customs.into_iter().map(Arc::new).collect())
}

/// The tunnels of all `tunnel_N`, each `NAME[,PORT]`, several separated by semicolons.
fn tunnels(core: &View<'_>) -> Result<Vec<TunnelRule>, Vec<ConfigError>> {
    let (mut rules, mut errors) = (Vec::new(), Vec::new());
    for key in &keys::TUNNELS {
        let texts = core.text(key).unwrap_or_default().split(';').map(str::trim);
        for text in texts.filter(|text| !text.is_empty()) {
            match text.parse() {
                Ok(rule) if rules.contains(&rule) => {}
                Ok(rule) => rules.push(rule),
                Err(ParseTunnelError::Name(name)) => {
                    let names = || TunnelKind::ALL.iter().map(|kind| kind.name());
                    let expected = format!("one of {}", names().collect::<Vec<_>>().join(", "));
                    errors.push(core.error_nearest(key, &name, expected, names()));
                }
                Err(error) => errors.push(core.problem(key, error)),
            }
        }
    }
    if errors.is_empty() { Ok(rules) } else { Err(errors) }
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
    customs: &[Arc<Custom>],
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
    let schema =
        Schema::parse_with(aggregate, options, customs).map_err(|error| match error.unknown_word() {
            Some((word, words)) => {
                let own = customs.iter().map(|custom| custom.name.as_str());
                let words = own.chain(words.map(|word| -> &str { word }));
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
