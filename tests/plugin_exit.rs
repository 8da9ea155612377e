//! A plugin that fails: what becomes of the daemon and of the other plugins.

mod support;

use std::ffi::OsString;
use std::fs;
use std::process::ExitCode;
use std::sync::LazyLock;
use std::time::Duration;

use nix::sys::signal::Signal;
use rpmacct_plugin::{Batch, Context, Key, OpenError, Plugin, Sink, SinkError, Timestamp};
use rpmacct_plugins::CATALOGUE;
use support::{ETHERNET, Launch, PcapFile};

/// Where [`a_daemon_with_a_fragile_plugin`] finds its command line; without it, it does nothing.
const COMMAND_LINE: &str = "RPMACCT_TEST_COMMAND_LINE";

/// A plugin that ends when the first packet comes.
struct Fragile;

impl Plugin for Fragile {
    fn kind(&self) -> &'static str {
        "fragile"
    }

    fn doc(&self) -> &'static str {
        "Ends when the first packet comes"
    }

    fn keys(&self) -> &'static [&'static Key] {
        &[]
    }

    fn open(&self, _: Context<'_>) -> Result<Box<dyn Sink>, OpenError> {
        Ok(Box::new(Self))
    }
}

impl Sink for Fragile {
    fn absorb(&mut self, _: &Batch<'_>) -> Result<(), SinkError> {
        panic!("the fragile plugin ends");
    }

    fn tick(&mut self, _: Timestamp) -> Result<(), SinkError> {
        Ok(())
    }

    fn finish(self: Box<Self>, _: Timestamp) -> Result<(), SinkError> {
        Ok(())
    }
}

/// Not a test: the daemon that the tests start, with a plugin more than the real one has.
#[test]
fn a_daemon_with_a_fragile_plugin() {
    static PLUGINS: LazyLock<Vec<&'static dyn Plugin>> = LazyLock::new(|| {
        let fragile: &'static dyn Plugin = &Fragile;
        CATALOGUE.iter().copied().chain([fragile]).collect()
    });
    let Some(arguments) = std::env::var_os(COMMAND_LINE) else { return };
    let arguments = arguments.to_string_lossy().split(' ').map(OsString::from).collect::<Vec<_>>();
    let code = rpmacct_daemon::run(&PLUGINS, arguments);
    std::process::exit(i32::from(code != ExitCode::SUCCESS));
}

/// Starts it with a capture of one packet and the memory and the print plugin beside the fragile one.
fn launch(lines: &str) -> Launch<'static> {
    let conf = format!(
        "plugins: fragile, memory, print\npcap_savefile_wait: true\nimt_path: {{folder}}/sock\n\
         print_output: csv\nprint_output_file: {{folder}}/flows\n{lines}\n"
    );
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 8, 0];
    frame.extend([
        0x45, 0, 0, 28, 0, 1, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 1, 1, 4, 0, 0, 53, 0, 8, 0, 0,
    ]);
    let capture = PcapFile::new(ETHERNET).frame(Duration::from_secs(1_700_000_000), &frame);
    let launch = Launch::command_line()
        .program(std::env::current_exe().unwrap())
        .arguments(["--exact", "a_daemon_with_a_fragile_plugin", "--nocapture"])
        .file("in.pcap", capture.bytes());
    let folder = launch.folder().display().to_string();
    let conf = format!("{conf}pcap_savefile: {{folder}}/in.pcap\n").replace("{folder}", &folder);
    launch
        .file("rpmacctd.conf", conf.as_bytes())
        .environment(COMMAND_LINE, &format!("rpmacctd -f {folder}/rpmacctd.conf"))
}

#[test]
fn the_others_go_on() {
    let mut daemon = launch("plugin_exit_any: false").start();
    daemon.wait_for_log("default_fragile/fragile has failed");
    assert_eq!(daemon.query(&["-s", "-O", "csv"]), "SRC_IP,PACKETS,BYTES\n10.0.0.1,1,28\n");
    let finished = daemon.stop(Signal::SIGTERM);
    assert_eq!(finished.status.code(), Some(1), "{}", finished.stderr);
    let flows = fs::read_to_string(finished.folder.path().join("flows")).unwrap();
    assert_eq!(flows, "SRC_IP,PACKETS,BYTES\n10.0.0.1,1,28\n");
}

#[test]
fn the_daemon_ends_with_any_if_it_shall() {
    let finished = launch("plugin_exit_any: true").finish();
    let log = &finished.stderr;
    assert_eq!(finished.status.code(), Some(1), "{log}");
    assert!(log.contains("default_fragile/fragile has failed"), "{log}");
    assert!(log.contains("Shutting down."), "{log}");
    let flows = fs::read_to_string(finished.folder.path().join("flows")).unwrap();
    assert_eq!(flows, "SRC_IP,PACKETS,BYTES\n10.0.0.1,1,28\n", "the others write what they have");
}
