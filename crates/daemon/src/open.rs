//! Opening everything: the capture, the pipes, the plugins. Nothing runs yet.

use std::sync::{Arc, OnceLock};
use std::thread;

use crossbeam_channel::{Receiver, bounded};
use rpmacct_capture::{
    Doorbell, Filter, FilterError, Live, LiveError, LiveOptions, Savefile, interface_index,
};
use rpmacct_config::{Config, ConfigError};
use rpmacct_core::{Control, Core, Options, Pipeline, SavefileOptions};
use rpmacct_packet::LinkType;
use rpmacct_pipe::{Overflow, pipe};
use rpmacct_plugin::{Context, OpenError, Tallies};

use crate::host::{CoreLine, PluginHost, PluginLine, Switchboard};
use crate::keys;
use crate::plan::{IndexKind, Plan, PluginPlan, Source};
use crate::runner::{Runner, SinkClock, wall};

/// Requests that may wait for a thread that is busy.
const QUEUE: usize = 1024;

/// Everything that is needed to run.
pub(crate) struct Opened {
    pub(crate) core: Core,
    pub(crate) source: OpenSource,
    pub(crate) control: Receiver<Control>,
    pub(crate) doorbell: Doorbell,
    pub(crate) clock: SinkClock,
    pub(crate) runners: Vec<Runner>,
    pub(crate) switchboard: Arc<OnceLock<Switchboard>>,
}

/// A source that is open, or waits for its interface.
pub(crate) enum OpenSource {
    Live(Interface),
    Savefile { savefile: Savefile, options: SavefileOptions },
}

/// An interface that may come and go.
pub(crate) struct Interface {
    pub(crate) live: Option<Live>,
    pub(crate) options: LiveOptions,
    /// Whether it is waited for.
    pub(crate) wait: bool,
    index: IndexKind,
}

/// Why something can't be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    #[error("{0}")]
    Config(#[from] ConfigError),
    #[error("{0}")]
    Live(#[from] LiveError),
    #[error("{0}")]
    Savefile(#[from] rpmacct_capture::SavefileError),
    #[error("{speaker}: {error}")]
    Plugin { speaker: String, error: OpenError },
    #[error("{0}")]
    Io(#[from] std::io::Error),
}

impl Opened {
    /// Opens what the plan names.
    pub(crate) fn new(plan: &Plan, config: &Config) -> Result<Self, StartError> {
        let (source, filter) = open_source(plan, config)?;
        let now = wall();
        let (overflow, clock) = match source {
            OpenSource::Live(_) => (Overflow::Lose, SinkClock::running()),
            OpenSource::Savefile { .. } => (Overflow::Wait, SinkClock::stopped(now)),
        };
        let link = source.link();
        let doorbell = Doorbell::new()?;
        let (control_in, control) = bounded(QUEUE);
        let switchboard = Arc::new(OnceLock::new());

        let (mut pipelines, mut runners, mut lines) = (Vec::new(), Vec::new(), Vec::new());
        for (number, plugin) in plan.plugins.iter().enumerate() {
            let options = rpmacct_pipe::Options {
                stride: plugin.schema.layout().stride(),
                buffer_size: plugin.buffer_size,
                pipe_size: plugin.pipe_size,
                overflow,
            };
            let (writer, reader) = pipe(options);
            let filter = plugin_filter(plugin, config, link)?;
            pipelines.push(Pipeline::new(Arc::clone(&plugin.schema), filter, writer));

            let (commands_in, commands) = bounded(QUEUE);
            let line = PluginLine {
                speaker: plugin.speaker(),
                commands: commands_in,
                waker: reader.waker(),
                pipe: reader.counts(),
            };
            let host =
                PluginHost { plugin: number, waker: reader.waker(), switchboard: Arc::clone(&switchboard) };
            let tallies = Arc::new(Tallies::default());
            let context = Context {
                name: &plugin.name,
                settings: config.plugin(&plugin.name),
                schema: Arc::clone(&plugin.schema),
                host: Arc::new(host),
                tallies: Arc::clone(&tallies),
                now,
                foreground: !plan.daemonize,
                live: overflow == Overflow::Lose,
            };
            let speaker = line.speaker.clone();
            let sink = plugin
                .plugin
                .open(context)
                .map_err(|error| StartError::Plugin { speaker: speaker.clone(), error })?;
            let (schema, clock) = (Arc::clone(&plugin.schema), clock.clone());
            runners.push(Runner { speaker, schema, sink, reader, commands, clock, tallies });
            lines.push(line);
        }

        let options = Options {
            filter,
            fragments: plan.fragments,
            flows: plan.flows,
            tunnels: plan.tunnels.clone(),
            unknown_etype: plan.unknown_etype,
            ..Options::default()
        };
        let core = Core::new(pipelines, options);
        let core_line = CoreLine {
            source: source.name(),
            received: source.received(),
            control: control_in,
            doorbell: doorbell.clone(),
            drops: core.drops(),
            forgotten_flows: core.forgotten_flows(),
        };
        let _ = switchboard.set(Switchboard { core: core_line, plugins: lines });
        Ok(Self { core, source, control, doorbell, clock, runners, switchboard })
    }
}

impl OpenSource {
    fn link(&self) -> LinkType {
        match self {
            Self::Live(interface) => interface.live.as_ref().map_or(LinkType::ETHERNET, Live::link),
            Self::Savefile { savefile, .. } => savefile.links().next().unwrap_or(LinkType::ETHERNET),
        }
    }

    /// How the ledger calls it.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Live(interface) => interface.options.interface.clone(),
            Self::Savefile { savefile, .. } => savefile.path().display().to_string(),
        }
    }

    /// How the ledger calls what came from it.
    fn received(&self) -> &'static str {
        match self {
            Self::Live(_) => "received by the kernel",
            Self::Savefile { .. } => "read from the file",
        }
    }
}

/// Opens the source, and compiles the filter where the kernel does not apply it.
fn open_source(plan: &Plan, config: &Config) -> Result<(OpenSource, Option<Filter>), StartError> {
    match &plan.source {
        Source::Live { options, wait, index } => {
            let live = match Live::open(options) {
                Ok(live) => {
                    let (name, index) = (live.interface(), interface_index(live.interface()));
                    tracing::info!("[{name},{index}] link type is: {}", live.link().0);
                    Some(live)
                }
                Err(error @ (LiveError::NoInterface { .. } | LiveError::NotUp { .. })) if *wait => {
                    tracing::warn!("{error}; waiting for it");
                    None
                }
                Err(LiveError::Filter { message }) => {
                    return Err(config.core().problem(&keys::PCAP_FILTER, message).into());
                }
                Err(error @ (LiveError::NoInterface { .. } | LiveError::NotUp { .. })) => {
                    return Err(config.core().problem(&keys::PCAP_INTERFACE, error).into());
                }
                Err(error) => return Err(error.into()),
            };
            let interface = Interface { live, options: options.clone(), wait: *wait, index: *index };
            Ok((OpenSource::Live(interface), None))
        }
        Source::Savefile { path, options, filter } => {
            let savefile = Savefile::open(path)?;
            let source = OpenSource::Savefile { savefile, options: *options };
            let link = source.link();
            let compile = |expression: &String| {
                let wrong = |error: FilterError| config.core().problem(&keys::PCAP_FILTER, error);
                Filter::compile(expression, link).map_err(wrong)
            };
            let filter = filter.as_ref().map(compile).transpose()?;
            Ok((source, filter))
        }
    }
}

fn plugin_filter(
    plugin: &PluginPlan,
    config: &Config,
    link: LinkType,
) -> Result<Option<Filter>, ConfigError> {
    let compile = |expression: &String| {
        let wrong = |error: FilterError| config.plugin(&plugin.name).problem(&keys::AGGREGATE_FILTER, error);
        Filter::compile(expression, link).map_err(wrong)
    };
    plugin.filter.as_ref().map(compile).transpose()
}

impl Interface {
    /// The numbers for `in_iface` and `out_iface`. Where no direction is set, what an interface sees came in by
    /// it (a mirror port).
    pub(crate) fn numbers(&self) -> (u32, u32) {
        let number = match self.index {
            IndexKind::None => 0,
            IndexKind::System => interface_index(&self.options.interface),
            IndexKind::Hash => fnv1a(self.options.interface.as_bytes()),
        };
        match self.options.direction {
            Some(rpmacct_capture::Direction::Out) => (0, number),
            _ => (number, 0),
        }
    }
}

/// FNV-1a with 32 bits (RFC 9923): the same number for a name on every machine and after every reboot.
fn fnv1a(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |hash: u32, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// Starts a thread with a name that `top -H` and a debugger show.
pub(crate) fn named_thread<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<thread::JoinHandle<T>> {
    // The kernel keeps fifteen octets of a thread's name.
    let name: String = name.chars().filter(char::is_ascii).take(15).collect();
    thread::Builder::new().name(name).spawn(run)
}
