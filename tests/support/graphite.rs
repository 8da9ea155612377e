//! A real Graphite: carbon-cache and graphite-web, in a network namespace, with a storage of their own.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

use super::namespace::Namespace;
use super::{need_program, wait_until};

/// Starting Python programs on a busy machine takes its time.
const PATIENCE: Duration = Duration::from_secs(60);

const CARBON: &str = "127.0.0.1:2003";
const WEB: &str = "127.0.0.1:8080";

/// A carbon and a graphite-web. Both are killed when this is dropped.
pub(crate) struct Graphite<'a> {
    namespace: &'a Namespace,
    folder: TempDir,
    carbon: Option<Child>,
    web: Option<Child>,
}

/// A series as render answers it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    pub(crate) target: String,
    /// Time and value of the points that are there.
    pub(crate) points: Vec<(i64, f64)>,
}

impl Series {
    pub(crate) fn sum(&self) -> f64 {
        self.points.iter().map(|point| point.1).sum()
    }
}

/// Whether a Graphite can be started.
#[track_caller]
pub(crate) fn need_graphite() -> bool {
    ["carbon-cache", "graphite-manage", "gunicorn"].into_iter().all(need_program)
}

impl<'a> Graphite<'a> {
    /// Starts both in a namespace, with our own rules and without limits.
    pub(crate) fn start(namespace: &'a Namespace) -> Self {
        let folder = tempfile::Builder::new().prefix("graphite-").tempdir().expect("a folder");
        let mut graphite = Self { namespace, folder, carbon: None, web: None };
        for name in ["conf", "storage/whisper", "storage/log/webapp", "log"] {
            fs::create_dir_all(graphite.path(name)).expect("a folder");
        }
        let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("conf/graphite");
        for name in ["storage-schemas.conf", "storage-aggregation.conf"] {
            fs::copy(rules.join(name), graphite.path("conf").join(name)).expect("carbon's rules");
        }
        fs::write(graphite.path("conf/rpmacct_settings.py"), graphite.filled_in(WEB_SETTINGS)).unwrap();
        let migrate = graphite.python(&["-m", "django", "migrate", "--run-syncdb", "-v0"]).output().unwrap();
        assert!(migrate.status.success(), "{}", String::from_utf8_lossy(&migrate.stderr));
        let serve = ["-m", "gunicorn", "--bind", WEB, "--workers", "1", "graphite.wsgi:application"];
        let log = graphite.log("web");
        graphite.web = Some(graphite.python(&serve).stdout(log.0).stderr(log.1).spawn().expect("gunicorn"));
        graphite.start_carbon("");
        let answers = || graphite.get("/metrics/find?query=*").is_some();
        assert!(wait_until(PATIENCE, answers), "graphite-web does not answer: {}", graphite.said("web"));
        graphite
    }

    /// Starts carbon, with some settings more.
    pub(crate) fn start_carbon(&mut self, settings: &str) {
        let conf = self.path("conf/carbon.conf");
        fs::write(&conf, self.filled_in(CARBON_SETTINGS) + settings).unwrap();
        let _ = fs::remove_file(self.path("carbon.pid"));
        let log = self.log("carbon");
        let carbon = self
            .namespace
            .command("/usr/bin/carbon-cache")
            .arg(format!("--config={}", conf.display()))
            .arg(format!("--logdir={}", self.path("log").display()))
            .arg(format!("--pidfile={}", self.path("carbon.pid").display()))
            .args(["--nodaemon", "start"])
            .stdin(Stdio::null())
            .stdout(log.0)
            .stderr(log.1)
            .spawn();
        self.carbon = Some(carbon.expect("carbon-cache"));
        let listens = || self.connects(CARBON);
        assert!(wait_until(PATIENCE, listens), "carbon does not listen: {}", self.said("carbon"));
    }

    /// Signals carbon.
    pub(crate) fn signal_carbon(&self, signal: Signal) {
        let carbon = self.carbon.as_ref().expect("carbon runs");
        kill(Pid::from_raw(carbon.id().cast_signed()), signal).expect("carbon is there");
    }

    /// Ends carbon by a signal and waits for its end.
    pub(crate) fn end_carbon(&mut self, signal: Signal) {
        self.signal_carbon(signal);
        if let Some(mut carbon) = self.carbon.take() {
            carbon.wait().expect("carbon's end");
        }
    }

    /// What render has for a target between two times.
    pub(crate) fn render(&self, target: &str, from: i64, until: i64) -> Vec<Series> {
        let path =
            format!("/render?target={}&from={from}&until={until}&format=json&noCache=1", encoded(target));
        let body = self.get(&path).unwrap_or_else(|| panic!("{path}: {}", self.said("web")));
        let answer: Value = serde_json::from_slice(&body).expect("JSON");
        let series = |series: &Value| Series {
            target: series["target"].as_str().unwrap_or_default().to_owned(),
            points: series["datapoints"]
                .as_array()
                .into_iter()
                .flatten()
                .filter_map(|point| Some((point[1].as_i64()?, point[0].as_f64()?)))
                .collect(),
        };
        answer.as_array().expect("an array").iter().map(series).collect()
    }

    /// The same as a picture, in a file.
    pub(crate) fn picture(&self, target: &str, from: i64, until: i64, file: &Path) {
        let target = encoded(target);
        let size = "width=1000&height=500&hideLegend=false&noCache=1";
        let path = format!("/render?target={target}&from={from}&until={until}&format=png&{size}");
        let body = self.get(&path).unwrap_or_else(|| panic!("{path}: {}", self.said("web")));
        assert!(body.starts_with(b"\x89PNG"));
        fs::write(file, body).expect("the picture's file");
    }

    /// What carbon has logged.
    pub(crate) fn carbon_log(&self) -> String {
        self.said("carbon") + &fs::read_to_string(self.path("log/console.log")).unwrap_or_default()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn filled_in(&self, text: &str) -> String {
        text.replace("{folder}", &self.folder.path().display().to_string())
    }

    fn said(&self, name: &str) -> String {
        fs::read_to_string(self.path("log").join(name)).unwrap_or_default()
    }

    fn log(&self, name: &str) -> (File, File) {
        let file = File::options().create(true).append(true).open(self.path("log").join(name)).unwrap();
        (file.try_clone().unwrap(), file)
    }

    /// Debian's Python, which has graphite-web: another one may be first on the path.
    fn python(&self, arguments: &[&str]) -> Command {
        let mut command = self.namespace.command("/usr/bin/python3");
        command
            .args(arguments)
            .env("GRAPHITE_SETTINGS_MODULE", "rpmacct_settings")
            .env("DJANGO_SETTINGS_MODULE", "graphite.settings")
            .env("PYTHONPATH", self.path("conf"))
            .env("PYTHONWARNINGS", "ignore")
            .env("HOME", self.folder.path())
            .stdin(Stdio::null());
        command
    }

    fn connects(&self, address: &str) -> bool {
        self.namespace.inside(|| TcpStream::connect(address).is_ok())
    }

    /// The body of a good answer.
    fn get(&self, path: &str) -> Option<Vec<u8>> {
        self.namespace.inside(|| {
            let mut stream = TcpStream::connect(WEB).ok()?;
            write!(stream, "GET {path} HTTP/1.0\r\nHost: graphite\r\n\r\n").ok()?;
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).ok()?;
            let head = answer.windows(4).position(|octets| octets == b"\r\n\r\n")?;
            let is_good = answer.starts_with(b"HTTP/1.0 200") || answer.starts_with(b"HTTP/1.1 200");
            is_good.then(|| answer.split_off(head + 4))
        })
    }
}

impl Drop for Graphite<'_> {
    fn drop(&mut self) {
        for mut child in [self.carbon.take(), self.web.take()].into_iter().flatten() {
            // gunicorn ends its worker when it is asked to.
            let _ = kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGTERM);
            if !wait_until(Duration::from_secs(5), || child.try_wait().is_ok_and(|status| status.is_some())) {
                let _ = child.kill();
            }
            let _ = child.wait();
        }
    }
}

/// Seconds since 1970.
pub(crate) fn unix_now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock").as_secs().cast_signed()
}

fn encoded(text: &str) -> String {
    let octet = |octet: u8| match octet {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'_' | b'-' => char::from(octet).to_string(),
        _ => format!("%{octet:02X}"),
    };
    text.bytes().map(octet).collect()
}

const CARBON_SETTINGS: &str = "[cache]
DATABASE = whisper
STORAGE_DIR = {folder}/storage/
LOCAL_DATA_DIR = {folder}/storage/whisper/
CONF_DIR = {folder}/conf/
LOG_DIR = {folder}/log/
PID_DIR = {folder}/
USER =
ENABLE_LOGROTATION = False
LOG_CACHE_HITS = False
LOG_UPDATES = False
MAX_CREATES_PER_MINUTE = inf
MIN_TIMESTAMP_RESOLUTION = 1
LINE_RECEIVER_INTERFACE = 127.0.0.1
LINE_RECEIVER_PORT = 2003
ENABLE_UDP_LISTENER = True
UDP_RECEIVER_INTERFACE = 127.0.0.1
UDP_RECEIVER_PORT = 2003
PICKLE_RECEIVER_INTERFACE = 127.0.0.1
PICKLE_RECEIVER_PORT = 2004
CACHE_QUERY_INTERFACE = 127.0.0.1
CACHE_QUERY_PORT = 7002
USE_FLOW_CONTROL = True
WHISPER_AUTOFLUSH = False
WHISPER_SPARSE_CREATE = True
WHISPER_FALLOCATE_CREATE = False
ENABLE_TAGS = True
TAG_UPDATE_INTERVAL = 1
GRAPHITE_URL = http://127.0.0.1:8080
CARBON_METRIC_INTERVAL = 0
";

const WEB_SETTINGS: &str = "
SECRET_KEY = 'on the loopback of a namespace'
TIME_ZONE = 'UTC'
CONF_DIR = '{folder}/conf'
STORAGE_DIR = '{folder}/storage'
LOG_DIR = '{folder}/storage/log/webapp'
WHISPER_DIR = '{folder}/storage/whisper/'
STANDARD_DIRS = ['{folder}/storage/whisper/']
STATIC_ROOT = '{folder}/static'
LOG_ROTATION = False
CARBONLINK_HOSTS = ['127.0.0.1:7002']
CARBONLINK_RETRY_DELAY = 1
DEFAULT_CACHE_DURATION = 0
FIND_CACHE_DURATION = 0
LEGEND_MAX_ITEMS = 50
DATABASES = {'default': {'ENGINE': 'django.db.backends.sqlite3', 'NAME': '{folder}/storage/graphite.db', 'OPTIONS': {'timeout': 20}}}
";
