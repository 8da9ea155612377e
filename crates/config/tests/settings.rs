//! What configurations mean to those who read them.

mod rows;

use std::fs;
use std::io::Write as _;
use std::path::Path;

use rpmacct_config::{Action, CommandLine, Config, ConfigError, Origin, Source, Warning};

use rows::*;

fn load(text: &str) -> Result<(Config, Vec<Warning>), Vec<ConfigError>> {
    Config::load(&registry(), Source::text("a.conf", text))
}

#[track_caller]
fn config(text: &str) -> Config {
    load(text).unwrap().0
}

#[track_caller]
fn warnings(text: &str) -> Vec<String> {
    load(text).unwrap().1.iter().map(ToString::to_string).collect()
}

#[track_caller]
fn errors(text: &str) -> Vec<String> {
    load(text).unwrap_err().iter().map(ToString::to_string).collect()
}

fn with_options(text: &str, options: &[&str]) -> Result<Config, Vec<ConfigError>> {
    let line = CommandLine::parse(options, &registry()).unwrap();
    Config::load(&registry(), Source::text("a.conf", text).with_lines(&line.lines)).map(|(config, _)| config)
}

#[test]
fn the_story() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/same/story.conf");
    let (config, warnings) = Config::load(&registry(), Source::file(&path)).unwrap();
    assert!(warnings.is_empty(), "{warnings:?}");
    let plugin = &config.plugins()[0];
    assert_eq!((plugin.kind.as_str(), plugin.name.as_str()), ("memory", "default_memory"));
    assert!(config.read_from().ends_with("tests/data/same/story.conf'."));

    let core = config.core();
    assert!(core.flag(&DAEMONIZE));
    assert_eq!(core.text(&INTERFACE), Some("eth2"));
    assert_eq!(core.word(&SYSLOG), Some("daemon"));
    let memory = config.plugin(&plugin.name);
    assert_eq!(memory.list(&AGGREGATE), ["src_host", "dst_host"]);
    assert_eq!(memory.size(&PIPE_SIZE), Some(10_485_760));
    assert_eq!(memory.size(&BUFFER_SIZE), Some(10_240));
    assert_eq!(memory.path(&IMT_PATH), Some(Path::new("/tmp/collect.pipe")));
}

#[test]
fn each_kind_has_its_accessor() {
    let config =
        config("snaplen: 300\nprint_refresh_time: 5\nprint_output: CSV\nprint_output_separator: \\t");
    let view = config.plugin("default_memory");
    assert_eq!(view.integer(&SNAPLEN), Some(300));
    assert_eq!(view.seconds(&REFRESH), Some(5));
    assert_eq!(view.word(&OUTPUT), Some("csv"));
    assert_eq!(view.character(&SEPARATOR), Some('\t'));
    assert!(!view.flag(&DAEMONIZE));
    assert_eq!(view.text(&INTERFACE), None);
}

#[test]
fn plugins_see_their_own_and_what_is_for_all() {
    let config = config("plugins: memory[a], memory[b]\naggregate: x\naggregate[a]: y\nimt_path[b]: /b");
    let (core, a, b) = (config.core(), config.plugin("a"), config.plugin("b"));
    assert_eq!([core, a, b].map(|view| view.text(&AGGREGATE)), [Some("x"), Some("y"), Some("x")]);
    assert_eq!([core, a, b].map(|view| view.is_set(&IMT_PATH)), [false, false, true]);
    assert_eq!(b.path(&IMT_PATH), Some(Path::new("/b")));
    assert_eq!(a.origin(&AGGREGATE).to_string(), "a.conf:3");
    assert_eq!(a.origin(&IMT_PATH), Origin::Default);
}

#[test]
fn the_later_line_wins() {
    let text = "plugins: memory[a]\naggregate[a]: x\naggregate: y\ninterface: eth0\npcap_interface: eth1";
    assert_eq!(config(text).plugin("a").text(&AGGREGATE), Some("y"));
    assert_eq!(config(text).core().text(&INTERFACE), Some("eth1"));
    let config = with_options(text, &["-i", "lo", "-c", "z", "--aggregate[a]=w"]).unwrap();
    assert_eq!(config.core().text(&INTERFACE), Some("lo"));
    assert_eq!(config.core().text(&AGGREGATE), Some("z"));
    assert_eq!(config.plugin("a").text(&AGGREGATE), Some("w"));
    assert_eq!(config.core().origin(&INTERFACE), Origin::CommandLine);
}

#[test]
fn an_empty_text_is_the_default_again() {
    let config = config("aggregate: x\naggregate:\nimt_path: /a\n");
    let view = config.plugin("default_memory");
    assert_eq!(view.text(&AGGREGATE), Some("src_host"));
    assert!(!view.is_set(&AGGREGATE));
}

#[test]
fn brackets_may_name_the_core() {
    for (name, text) in [("default", ""), ("Border", "core_proc_name: Border\n")] {
        let config = config(&format!("{text}syslog[{name}]: user"));
        assert_eq!(config.core().word(&SYSLOG), Some("user"));
        assert_eq!(config.plugin("default_memory").word(&SYSLOG), None);
    }
}

#[test]
fn options_choose_the_plugins() {
    let text = "plugins: print[out]\nprint_output[out]: csv";
    let config = with_options(text, &["-P", "memory[m], print"]).unwrap();
    let names: Vec<_> = config.plugins().iter().map(|plugin| plugin.name.as_str()).collect();
    assert_eq!(names, ["m", "default_print"]);
    assert_eq!(config.plugins()[0].origin, Origin::CommandLine);
}

#[test]
fn a_command_line_is_enough() {
    let line = CommandLine::parse(["-i", "eth0", "-P", "print", "-c", "proto", "tcp"], &registry()).unwrap();
    assert_eq!(line.action, Action::Run);
    let (config, _) = Config::load(&registry(), Source::from(&line)).unwrap();
    assert_eq!(config.read_from(), "Reading configuration from cmdline.");
    assert_eq!(config.core().text(&FILTER), Some("tcp"));
    assert_eq!(config.plugin("default_print").text(&AGGREGATE), Some("proto"));

    let line = CommandLine::parse(["-O", "xml"], &registry()).unwrap();
    let errors = Config::load(&registry(), Source::from(&line)).unwrap_err();
    let text = "command line: print_output: xml: expected one of formatted, csv, json";
    assert_eq!(errors[0].to_string(), text);
}

#[test]
fn the_peers_warnings() {
    assert_eq!(warnings("foobar: 1"), ["[a.conf:1] Unknown key: foobar. Ignored."]);
    assert_eq!(
        warnings("plugins: memory\nplugins: print"),
        ["[a.conf:2] Unable to handle key: plugins. Ignored."]
    );
    let text = "daemonize[default_memory]: true";
    let (config, warnings) = load(text).unwrap();
    assert!(config.core().flag(&DAEMONIZE));
    let expected = "[a.conf:1] plugin name not supported for key 'daemonize'. Globalized.";
    assert_eq!(warnings[0].to_string(), expected);
}

#[test]
fn keys_that_only_tune_are_in_one_warning() {
    let text =
        "sql_max_writers: 3\nprint_cache_entries[default_memory]: 10\nmaps_index: false\nnfacctd_ip: ::";
    let expected = "Keys without effect in rpmacct: sql_max_writers (a.conf:1), \
                    print_cache_entries[default_memory] (a.conf:2), maps_index (a.conf:3).";
    assert_eq!(warnings(text), [expected]);
}

#[test]
fn keys_that_count_must_not_differ_from_their_default() {
    for text in ["bgp_daemon: FALSE", "networks_file:", "print_history_offset: 0", "promisc: TRUE"] {
        assert!(warnings(text).is_empty(), "{text}");
    }
    for text in ["bgp_daemon: true", "networks_file: /x", "sampling_rate: 10", "nfacctd_renormalize: true"] {
        assert_eq!(errors(text), [format!("a.conf:1: {text}: not implemented by rpmacct yet")]);
    }
}

#[test]
fn later_checks_report_in_the_same_form() {
    let config = config("plugins: print[p]\naggregate[p]: src_host, dst_hst ! x\npcap_filter: tpc");
    let view = config.plugin("p");
    let words = ["src_host", "dst_host"];
    let text = "a.conf:2: aggregate[p]: dst_hst: a comment must stand on a line of its own; \
                expected a primitive; did you mean dst_host?";
    assert_eq!(view.error_nearest(&AGGREGATE, "dst_hst", "a primitive", words).to_string(), text);
    let error = config.core().error(&FILTER, "a filter");
    assert_eq!(error.to_string(), "a.conf:3: pcap_filter: tpc: expected a filter");
    let error = config.core().error(&INTERFACE, "the name of an interface");
    let text = "a.conf: pcap_interface: not set; expected the name of an interface";
    assert_eq!(error.to_string(), text);
    let error = config.core().error(&IMT_PATH, "something else");
    assert_eq!(error.to_string(), "default: imt_path: /tmp/collect.pipe: expected something else");
    let error = config.plugins()[0].error("one of memory, carbon", ["prnt", "memory"]);
    assert_eq!(
        error.to_string(),
        "a.conf:1: plugins: print: expected one of memory, carbon; did you mean prnt?"
    );
}

#[test]
fn files_that_are_none() {
    let folder = tempfile::tempdir().unwrap();
    let load = |path: &Path| {
        Config::load(&registry(), Source::file(path)).unwrap_err().iter().map(ToString::to_string).collect()
    };
    let missing = folder.path().join("none.conf");
    let said: Vec<String> = load(&missing);
    assert_eq!(said, [format!("[{}] file not found.", missing.display())]);
    let said: Vec<String> = load(folder.path());
    assert_eq!(said, [format!("[{}] path is not a regular file.", folder.path().display())]);
}

#[test]
fn a_pipe_is_a_file() {
    let (reader, mut writer) = std::io::pipe().unwrap();
    writer.write_all(b"aggregate: proto\n").unwrap();
    drop(writer);
    let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
    let (config, _) = Config::load(&registry(), Source::file(Path::new(&path))).unwrap();
    assert_eq!(config.core().text(&AGGREGATE), Some("proto"));
}

#[test]
fn the_name_tells_the_form() {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("a.conf", "aggregate: [proto]"), ("a.YML", "aggregate: [proto]")] {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let (config, _) = Config::load(&registry(), Source::file(&path)).unwrap();
        let expected = if name == "a.YML" { "proto" } else { "[proto]" };
        assert_eq!(config.core().text(&AGGREGATE), Some(expected));
    }
}
