//! The options, one row each: the parser and the usage walk the table.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use rpmacct_primitives::{Dialect, Layout, Style, TimeStyle, Zone};
use rpmacct_query::{Counter, Since, Top};

use crate::error::ClientError;

/// What was written on the command line.
#[derive(Debug)]
pub(crate) struct Options {
    /// Where the memory plugin listens.
    pub(crate) socket: PathBuf,
    /// The things that were asked for, in their order.
    pub(crate) asks: Vec<Ask>,
    /// `-e`.
    pub(crate) erase: bool,
    /// `-r`.
    pub(crate) reset: bool,
    /// `-c`.
    pub(crate) primitives: Option<String>,
    /// `-n`.
    pub(crate) counter: Option<Shown>,
    /// `-S`.
    pub(crate) sum: bool,
    /// `-T`.
    pub(crate) top: Option<Top>,
    /// `--since`.
    pub(crate) since: Option<Since>,
    /// `--token-file`.
    pub(crate) token_file: Option<PathBuf>,
    /// `--follow`: the length of an interval.
    pub(crate) follow: Option<Duration>,
    /// `-O`, if it was given.
    pub(crate) layout: Option<Layout>,
    /// How rows are written, but for the layout.
    pub(crate) style: Style,
    /// Words that belong to no option.
    pub(crate) strays: Vec<String>,
    /// Started under the peer's name: what the peer takes is taken.
    pub(crate) classic: bool,
    /// What was ignored.
    pub(crate) warnings: Vec<String>,
}

/// What a client can be asked to do; one of them at a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    /// `-s`.
    Table,
    /// `-N`.
    Counts(String),
    /// `-M`.
    Matches(String),
    /// `-i`.
    Age,
    /// `-t`.
    Buckets,
    /// `-C`.
    Classifiers,
    /// `-U`.
    CustomPrimitives,
    /// `--ledger`.
    Ledger,
    /// `-h`.
    Help,
    /// `-V`.
    Version,
}

/// What `-N` prints of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    One(Counter),
    /// Packets, bytes, flows, entries.
    All,
}

/// One option.
struct Row {
    short: Option<char>,
    long: Option<&'static str>,
    /// The name of its argument; in brackets if it may be left out.
    argument: Option<&'static str>,
    help: &'static str,
    /// What it does; the value is empty if it has no argument.
    set: fn(&mut Options, OsString) -> Result<(), ClientError>,
}

/// The default of `-p`, and of the plugin's `imt_path`.
const DEFAULT_SOCKET: &str = "/tmp/collect.pipe";

const fn flag(
    short: char,
    help: &'static str,
    set: fn(&mut Options, OsString) -> Result<(), ClientError>,
) -> Row {
    Row { short: Some(short), long: None, argument: None, help, set }
}

const fn long(
    name: &'static str,
    argument: Option<&'static str>,
    help: &'static str,
    set: fn(&mut Options, OsString) -> Result<(), ClientError>,
) -> Row {
    Row { short: None, long: Some(name), argument, help, set }
}

const fn with(
    short: char,
    argument: &'static str,
    help: &'static str,
    set: fn(&mut Options, OsString) -> Result<(), ClientError>,
) -> Row {
    Row { short: Some(short), long: None, argument: Some(argument), help, set }
}

/// All options, in the order of the usage.
static TABLE: &[(&str, &[Row])] = &[
    (
        "What to ask, one of:",
        &[
            flag('s', "show the table", |o, _| o.ask(Ask::Table)),
            with('N', "DATA", "sum up what matches DATA, one number a query", |o, v| {
                let data = text("-N", v)?;
                o.ask(Ask::Counts(data))
            }),
            with('M', "DATA", "show the rows that match DATA", |o, v| {
                let data = text("-M", v)?;
                o.ask(Ask::Matches(data))
            }),
            flag('e', "erase the table, in the moment of the answer if anything else is asked", |o, _| {
                o.erase = true;
                Ok(())
            }),
            flag('i', "seconds since the table was erased, or never", |o, _| o.ask(Ask::Age)),
            flag('t', "show how the keys would spread over imt_buckets", |o, _| o.ask(Ask::Buckets)),
            flag('C', "show the traffic classifiers", |o, _| o.ask(Ask::Classifiers)),
            flag('U', "show the custom primitives", |o, _| o.ask(Ask::CustomPrimitives)),
            long("ledger", None, "show that every packet is accounted for; fails if one is not", |o, _| {
                o.ask(Ask::Ledger)
            }),
            Row {
                short: Some('h'),
                long: Some("help"),
                argument: None,
                help: "show this",
                set: |o, _| o.ask(Ask::Help),
            },
            Row {
                short: Some('V'),
                long: Some("version"),
                argument: None,
                help: "show the version",
                set: |o, _| o.ask(Ask::Version),
            },
        ],
    ),
    (
        "Whom to ask:",
        &[with('p', "SOCKET", "the memory plugin's imt_path (default: /tmp/collect.pipe)", |o, v| {
            o.socket = v.into();
            Ok(())
        })],
    ),
    (
        "Which entries:",
        &[
            with('c', "PRIMITIVES", "what DATA gives values for, such as src_host,proto", |o, v| {
                o.primitives = Some(text("-c", v)?);
                Ok(())
            }),
            with('n', "COUNTER", "what -N prints: bytes (default), packets, flows or all", |o, v| {
                let word = text("-n", v)?;
                o.set_counter(&word);
                Ok(())
            }),
            flag('S', "one line with the sum of all queries of -N", |o, _| {
                o.sum = true;
                Ok(())
            }),
            flag('r', "reset what -N or -M matched, in the moment of the answer", |o, _| {
                o.reset = true;
                Ok(())
            }),
            with('T', "COUNTER[,N]", "largest first by bytes, packets or flows; only the first N", |o, v| {
                let argument = text("-T", v)?;
                o.set_top(&argument)
            }),
            flag('l', "lock the table; every answer is of one moment without it", |_, _| Ok(())),
        ],
    ),
    (
        "Only what was added, without a reset:",
        &[
            long(
                "since",
                Some("TOKEN"),
                "what was added since the answer that gave TOKEN; 0 or now to begin",
                |o, v| {
                    let token = text("--since", v)?;
                    o.since = Some(match token.as_str() {
                        "0" => Since::Start,
                        "now" => Since::Now,
                        _ => Since::Token(token),
                    });
                    Ok(())
                },
            ),
            long(
                "token-file",
                Some("FILE"),
                "read TOKEN from FILE (0 if it is missing), and put the next one there",
                |o, v| {
                    o.token_file = Some(v.into());
                    Ok(())
                },
            ),
            long(
                "follow",
                Some("[=SECONDS]"),
                "go on with what is added in each interval (default: 1), as json or csv",
                |o, v| {
                    o.follow = Some(interval(&v)?);
                    Ok(())
                },
            ),
        ],
    ),
    (
        "How to show them:",
        &[
            with('O', "FORMAT", "formatted (default), csv, json, event_formatted or event_csv", |o, v| {
                let word = text("-O", v)?;
                o.set_layout(&word);
                Ok(())
            }),
            with('E', "SEPARATOR", "separator of csv: one character, \\t or \\s", |o, v| {
                let separator = Style::parse_separator(&text("-E", v)?);
                o.style.separator = separator.map_err(|_| ClientError::Separator)?;
                Ok(())
            }),
            flag('u', "protocols as numbers, in DATA too", |o, _| {
                o.style.numeric_protocols = true;
                Ok(())
            }),
            flag('I', "times in seconds since 1970", |o, _| {
                o.style.time = TimeStyle::Epoch;
                Ok(())
            }),
            flag('0', "times in UTC", |o, _| {
                o.style.zone = Zone::utc();
                Ok(())
            }),
            flag('a', "all columns, also those that are not aggregated", |o, _| {
                o.style.all_columns = true;
                Ok(())
            }),
        ],
    ),
];

const DATA: &str =
    "DATA is value[,value…][;value…]: a value for each of -c, queries separated by semicolons. * matches
everything. file:PATH reads one query a line; empty lines and those that begin with ! are skipped.
rpmacctd -a lists the primitives.

Exit codes: 0 answered, 1 not answered, 3 the token was not known and this is the whole table.

Examples:
  rpmacct -s -T bytes,10                                 the ten largest
  rpmacct -c src_host,proto -N '10.0.0.1,tcp;10.0.0.1,*'  bytes of a host, over TCP and in all
  rpmacct -s -O json --token-file /var/lib/rpmacct.token  what is new since it was called before
  rpmacct --follow=10 -O csv                              what is added, every ten seconds";

fn rows() -> impl Iterator<Item = &'static Row> {
    TABLE.iter().flat_map(|(_, rows)| rows.iter())
}

/// How the client is used.
pub(crate) fn usage() -> String {
    let mut usage = "Usage: rpmacct [-p SOCKET] -s | -N DATA | -M DATA | -e | … [options]\n".to_owned();
    for (title, rows) in TABLE {
        let _ = writeln!(usage, "\n{title}");
        for row in *rows {
            let _ = writeln!(usage, "  {:<20}  {}", row.synopsis(), row.help);
        }
    }
    let _ = write!(usage, "\n{DATA}");
    usage
}

impl Row {
    /// Such as `-T COUNTER[,N]` or `-h, --help`.
    fn synopsis(&self) -> String {
        let short = self.short.map(|c| format!("-{c}"));
        let long = self.long.map(|word| format!("--{word}"));
        let names: Vec<String> = short.into_iter().chain(long).collect();
        let argument = match self.argument {
            Some(optional) if optional.starts_with('[') => optional.to_owned(),
            Some(argument) => format!(" {argument}"),
            None => String::new(),
        };
        format!("{}{argument}", names.join(", "))
    }
}

impl Options {
    /// Reads a command line, its first argument being the program. As getopt does it: short options in
    /// clusters, arguments behind their letter or in the next word.
    /// `classic` is for the peer's name.
    pub(crate) fn parse(
        args: impl IntoIterator<Item = OsString>,
        classic: bool,
    ) -> Result<Self, ClientError> {
        let mut options = Self {
            socket: DEFAULT_SOCKET.into(),
            asks: Vec::new(),
            erase: false,
            reset: false,
            primitives: None,
            counter: None,
            sum: false,
            top: None,
            since: None,
            token_file: None,
            follow: None,
            layout: None,
            style: Style::new(Dialect::Client),
            strays: Vec::new(),
            classic,
            warnings: Vec::new(),
        };
        let mut parser = lexopt::Parser::from_iter(args);
        parser.set_short_equals(false);
        loop {
            let row = match parser.next().map_err(|error| bad_option(&error))? {
                None => return Ok(options),
                Some(lexopt::Arg::Value(word)) => {
                    options.strays.push(word.to_string_lossy().into_owned());
                    continue;
                }
                Some(lexopt::Arg::Short(letter)) => rows()
                    .find(|row| row.short == Some(letter))
                    .ok_or_else(|| ClientError::BadOption(format!("invalid option -- '{letter}'")))?,
                Some(lexopt::Arg::Long(word)) => rows()
                    .find(|row| row.long == Some(word))
                    .ok_or_else(|| ClientError::BadOption(format!("unrecognized option '--{word}'")))?,
            };
            let value = match row.argument {
                Some(argument) if argument.starts_with('[') => parser.optional_value().unwrap_or_default(),
                Some(_) => parser.value().map_err(|error| bad_option(&error))?,
                None => OsString::new(),
            };
            (row.set)(&mut options, value)?;
        }
    }

    #[expect(clippy::unnecessary_wraps, reason = "the shape of a row's `set`")]
    fn ask(&mut self, ask: Ask) -> Result<(), ClientError> {
        self.asks.push(ask);
        Ok(())
    }

    fn set_counter(&mut self, word: &str) {
        let word = word.to_ascii_lowercase();
        let shown = if word == "all" { Some(Shown::All) } else { counter(&word).map(Shown::One) };
        if shown.is_none() {
            self.warnings.push(format!("-n, ignoring unknown counter type: {word}."));
        }
        self.counter = shown.or(Some(Shown::One(Counter::Bytes)));
    }

    fn set_top(&mut self, argument: &str) -> Result<(), ClientError> {
        self.top = Some(match top(argument) {
            Err(ClientError::UnknownCounter(word)) if self.classic => {
                self.warnings.push(format!("-T, ignoring unknown counter type: {word}."));
                Top { by: None, rows: top(&argument.replacen(&word, "bytes", 1))?.rows }
            }
            // What is no number is 0, and that is all.
            Err(ClientError::NotANumber(_)) if self.classic => {
                top(argument.split(',').next().unwrap_or_default())?
            }
            top => top?,
        });
        Ok(())
    }

    fn set_layout(&mut self, word: &str) {
        match word.to_ascii_lowercase().parse() {
            Ok(layout) => self.layout = Some(layout),
            Err(_) => self.warnings.push(format!("-O, ignoring unknown output value: '{word}'.")),
        }
    }
}

fn text(option: &'static str, value: OsString) -> Result<String, ClientError> {
    value.into_string().map_err(|value| ClientError::NotText(option, value.to_string_lossy().into_owned()))
}

fn counter(word: &str) -> Option<Counter> {
    Some(match word {
        "bytes" => Counter::Bytes,
        "packets" => Counter::Packets,
        "flows" => Counter::Flows,
        _ => return None,
    })
}

/// `counter[,N]`.
fn top(argument: &str) -> Result<Top, ClientError> {
    let (word, rows) = match argument.split_once(',') {
        Some((word, rows)) => (word, Some(rows)),
        None => (argument, None),
    };
    let by =
        counter(&word.to_ascii_lowercase()).ok_or_else(|| ClientError::UnknownCounter(word.to_owned()))?;
    let number = |text: &str| text.parse().map_err(|_| ClientError::NotANumber(text.to_owned()));
    // 0 means all, as in the peer.
    Ok(Top { by: Some(by), rows: rows.map(number).transpose()?.filter(|rows| *rows > 0) })
}

/// The argument of `--follow`. An interval shorter than the daemon's own 100 ms would show nothing more.
fn interval(value: &OsString) -> Result<Duration, ClientError> {
    let text = value.to_string_lossy();
    if text.is_empty() {
        return Ok(Duration::from_secs(1));
    }
    let seconds = text.parse().ok().filter(|seconds| (0.1..=1e6).contains(seconds));
    seconds.map(Duration::from_secs_f64).ok_or_else(|| ClientError::NotAnInterval(text.into_owned()))
}

fn bad_option(error: &lexopt::Error) -> ClientError {
    ClientError::BadOption(match error {
        lexopt::Error::MissingValue { option: Some(option) } => {
            format!("option requires an argument -- '{}'", option.trim_start_matches('-'))
        }
        other => other.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use rpmacct_primitives::Layout;

    use super::*;

    fn parse(line: &str) -> Result<Options, ClientError> {
        Options::parse(std::iter::once("rpmacct").chain(line.split_whitespace()).map(Into::into), false)
    }

    #[test]
    fn names_are_unique_and_documented() {
        let mut seen = HashSet::new();
        for row in rows() {
            let synopsis = row.synopsis();
            assert!(seen.insert(row.short.map_or(synopsis.clone(), |c| c.to_string())), "{synopsis}");
            assert!(!row.help.is_empty(), "{synopsis}");
            assert!(usage().contains(&synopsis), "{synopsis}");
        }
        assert!(usage().contains(DEFAULT_SOCKET));
        assert!(usage().lines().all(|line| line.chars().count() <= 110), "{}", usage());
    }

    #[test]
    fn letters_cluster_and_arguments_may_touch() {
        let options = parse("-sueOcsv -E; -p/run/x").unwrap();
        assert_eq!(options.asks, [Ask::Table]);
        assert!(options.erase && options.style.numeric_protocols);
        assert_eq!((options.layout, options.style.separator), (Some(Layout::Csv), ';'));
        assert_eq!(options.socket, PathBuf::from("/run/x"));
        assert_eq!(parse("-s -E=").unwrap().style.separator, '=');
    }

    #[test]
    fn the_interval_may_be_left_out() {
        let seconds = |line| parse(line).unwrap().follow.unwrap().as_secs_f64();
        assert_eq!(
            (seconds("--follow"), seconds("--follow=10"), seconds("-s --follow=0.5")),
            (1.0, 10.0, 0.5)
        );
        for wrong in ["0", "-1", "x", "1e9", "NaN", "0.01"] {
            assert!(parse(&format!("--follow={wrong}")).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_top() {
        assert_eq!(parse("-s -T packets").unwrap().top, Some(Top { by: Some(Counter::Packets), rows: None }));
        assert_eq!(
            parse("-s -T bytes,5").unwrap().top,
            Some(Top { by: Some(Counter::Bytes), rows: Some(5) })
        );
    }
}
