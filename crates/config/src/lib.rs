//! pmacctd.conf and its YAML form, as typed settings.
//!
//! Each key is one declared row, a [`Key`], that stands where it belongs: with the daemon, the core, or its
//! plugin. A [`Registry`] holds them all; reading, checks, the command line and its usage text walk the rows.
//! This crate declares one row itself, [`PLUGINS`].
//!
//! # Guarantees
//!
//! * What a file of pmacctd means there it means here, with a line of its own for each exception in
//!   `docs/differences.md`.
//! * Nothing that changes what is counted is ignored: what is wrong is an error, and so is a key of pmacctd
//!   that rpmacct does not have, unless its value changes nothing.
//! * All errors are found, not only the first, and each says where it is, what was written there, and what
//!   was expected: `pmacctd.conf:7: print_output: jsn: expected one of formatted, csv, json; did you mean json?`
//! * A value that a [`View`] gives is of its key's kind and has passed its check.
//!
//! # Example
//!
//! ```
//! use rpmacct_config::{Config, Key, Registry, Source};
//!
//! const AGGREGATE: Key = Key::text("aggregate").default("src_host").doc("What packets are summed by");
//! const OUTPUT: Key = Key::word("print_output", &["formatted", "csv", "json"]).default("formatted");
//!
//! let registry = Registry::new([&AGGREGATE, &OUTPUT]);
//! let text = "
//! ! who talks to whom, and how much
//! plugins: memory, print[out]
//! aggregate: src_host, dst_host
//! print_output[out]: JSON
//! ";
//! let (config, warnings) = Config::load(&registry, Source::text("pmacctd.conf", text)).unwrap();
//! assert!(warnings.is_empty());
//! assert_eq!(config.plugins()[1].kind, "print");
//!
//! let out = config.plugin("out");
//! assert_eq!(out.text(&AGGREGATE), Some("src_host, dst_host"));
//! assert_eq!(out.word(&OUTPUT), Some("json"));
//! assert_eq!(out.origin(&OUTPUT).to_string(), "pmacctd.conf:5");
//!
//! let memory = config.plugin("default_memory");
//! assert_eq!(memory.word(&OUTPUT), Some("formatted"));
//!
//! let errors = Config::load(&registry, Source::text("a.conf", "print_output: jsn")).unwrap_err();
//! assert_eq!(
//!     errors[0].to_string(),
//!     "a.conf:1: print_output: jsn: expected one of formatted, csv, json; did you mean json?"
//! );
//! ```
//!
//! # The file
//!
//! One `key: value` a line; `key[name]: value` sets it for the plugin of this name alone. The first colon
//! separates. A line that begins with `!` or `#` is a comment; behind a value there are none. Keys lose their
//! blanks and their case, values the blanks around them; names of plugins keep both. Later lines win over
//! earlier ones, for all plugins over for one as well; the command line comes last. Of two `plugins` lines in a
//! file the first one counts, as it always did.
//!
//! # The YAML form
//!
//! A file whose name ends in `.yaml` or `.yml`:
//!
//! ```
//! # use rpmacct_config::{Config, Key, Registry, Source};
//! # const AGGREGATE: Key = Key::text("aggregate");
//! # const INTERFACE: Key = Key::text("pcap_interface").alias(&["interface"]);
//! # const IMT_PATH: Key = Key::path("imt_path");
//! # const OUTPUT: Key = Key::word("print_output", &["formatted", "csv", "json"]);
//! # let registry = Registry::new([&AGGREGATE, &INTERFACE, &IMT_PATH, &OUTPUT]);
//! let text = "
//! interface: eth2
//! aggregate: [src_host, dst_host]     # a list, or a text with commas
//! plugins:
//!   memory:                           # without a name: default_memory
//!     imt_path: /run/rpmacct.sock
//!   print[out]:                       # what is set here is for this plugin alone
//!     aggregate: [src_host]
//!     print_output: csv
//! ";
//! let (config, _) = Config::load(&registry, Source::text("rpmacctd.yaml", text)).unwrap();
//! assert_eq!(config.plugin("default_memory").text(&AGGREGATE), Some("src_host,dst_host"));
//! assert_eq!(config.plugin("out").text(&AGGREGATE), Some("src_host"));
//! ```
//!
//! The keys, their values and all checks are the same. `plugins` may also be a text or a list, and keys may
//! have brackets. The order of keys has no meaning, so what is set for one plugin wins over what is set for
//! all, and the same key twice is an error. Numbers and truth values are taken as they are written: `yes` is
//! not `true`, and `files_umask: 007` needs no quotes. A value that begins with `!` does.
#![forbid(unsafe_code)]

mod cli;
mod config;
mod error;
mod file;
mod key;
mod kind;
mod nearest;
mod peer;
mod plugins;
mod registry;
mod resolve;
mod source;
mod statement;
mod yaml;

pub use cli::{Action, CommandLine, RESERVED, UsageError};
pub use config::{Config, View};
pub use error::{ConfigError, Origin, Warning};
pub use key::{Check, Key, Opt, Scope};
pub use kind::Kind;
pub use nearest::nearest;
pub use plugins::{PLUGINS, PluginEntry};
pub use registry::Registry;
pub use source::Source;
