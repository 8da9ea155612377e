//! The command line: options are rows, too.

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::PathBuf;

use lexopt::{Arg, Parser};

use crate::key::Key;
use crate::kind::Kind;
use crate::nearest::nearest;
use crate::registry::Registry;
use crate::source::Source;
use crate::statement::split_key;

/// Options that are not rows.
pub const RESERVED: &[char] = &['f', 'h', 'V', 'a', 'T'];

/// The key that the words after the options set.
const FILTER: &str = "pcap_filter";

/// Options of the peer whose keys have no row yet: letter, key, and the value where the option has no argument.
/// What becomes of the keys is what becomes of them in a file.
const PEER_OPTIONS: &[(char, &str, Option<&str>)] =
    &[('R', "pmacctd_renormalize", Some("true")), ('n', "networks_file", None), ('t', "ports_file", None)];

/// What a command line says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommandLine {
    /// The file to read (`-f`).
    pub file: Option<PathBuf>,
    /// Keys (perhaps with a plugin in brackets) and values, as lines to be appended to the file. The filter
    /// is among them.
    pub lines: Vec<(String, String)>,
    /// The words after the options: a filter, for pcap.
    pub filter: Option<String>,
    /// What to do.
    pub action: Action,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Run as configured.
    Run,
    /// Read the configuration and check it, no more (`check`, or `-T config`).
    Check,
    /// Open everything as if to run, then end (`-T setup`).
    Setup,
    /// Print the usage (`-h`).
    Help,
    /// Print the version (`-V`).
    Version,
    /// Print the list of primitives (`-a`).
    List,
}

/// What is wrong with a command line.
#[derive(Debug, thiserror::Error)]
pub enum UsageError {
    /// There is no such option.
    #[error("unknown option {option}{}", hint(.nearest.as_deref()))]
    Unknown {
        /// As it was written, with its dashes.
        option: String,
        /// The one that was probably meant.
        nearest: Option<String>,
    },
    /// Words that no option takes, beside a file.
    #[error("{0}: with -f, the filter belongs into the file, or into --pcap_filter")]
    Words(String),
    /// The brackets of a long option are wrong.
    #[error("{0}: {1}")]
    Brackets(String, String),
    /// `-T` takes one of two words.
    #[error("-T {0}: expected config or setup")]
    DryRun(String),
    /// An argument is not text.
    #[error("{} is not UTF-8 text", .0.display())]
    NotText(OsString),
    /// An argument is missing, or there is one too much.
    #[error(transparent)]
    Shape(#[from] lexopt::Error),
}

fn hint(nearest: Option<&str>) -> String {
    nearest.map(|option| format!("; did you mean --{option}?")).unwrap_or_default()
}

impl CommandLine {
    /// Reads a command line without the program's name. Options may stand in any order, also after words.
    pub fn parse(
        args: impl IntoIterator<Item = impl Into<OsString>>,
        registry: &Registry,
    ) -> Result<Self, UsageError> {
        let mut parser = Parser::from_args(args);
        let mut read =
            Reading { registry, file: None, lines: Vec::new(), words: Vec::new(), action: Action::Run };
        if let Some(mut rest) = parser.try_raw_args()
            && rest.next_if(|word| word == "check").is_some()
        {
            read.action = Action::Check;
        }
        while let Some(arg) = parser.next()? {
            match arg {
                Arg::Short(letter) => read.short(letter, &mut parser)?,
                Arg::Long(name) => {
                    let name = name.to_owned();
                    read.long(&name, &mut parser)?;
                }
                Arg::Value(word) => read.words.push(text(word)?),
            }
        }
        read.finish()
    }
}

impl<'a> From<&'a CommandLine> for Source<'a> {
    fn from(line: &'a CommandLine) -> Self {
        let source = line.file.as_deref().map(Source::file).unwrap_or_default();
        source.with_lines(&line.lines)
    }
}

struct Reading<'a> {
    registry: &'a Registry,
    file: Option<PathBuf>,
    lines: Vec<(String, String)>,
    words: Vec<String>,
    action: Action,
}

impl Reading<'_> {
    fn short(&mut self, letter: char, parser: &mut Parser) -> Result<(), UsageError> {
        match letter {
            'f' => self.file = Some(parser.value()?.into()),
            'h' => self.action = Action::Help,
            'V' => self.action = Action::Version,
            'a' => self.action = Action::List,
            'T' => self.action = dry_run(&text(parser.value()?)?)?,
            _ => return self.row(letter, parser),
        }
        Ok(())
    }

    fn row(&mut self, letter: char, parser: &mut Parser) -> Result<(), UsageError> {
        let Some((key, option)) = self.registry.by_letter(letter).and_then(|key| Some((key, key.option?)))
        else {
            if let Some((_, key, value)) = PEER_OPTIONS.iter().find(|(peer, ..)| *peer == letter) {
                let value = value.map_or_else(|| text(parser.value()?), |value| Ok(value.to_owned()))?;
                self.lines.push(((*key).to_owned(), value));
                return Ok(());
            }
            return Err(UsageError::Unknown { option: format!("-{letter}"), nearest: None });
        };
        let value = match option.value {
            Some(value) => value.to_owned(),
            None => text(parser.value()?)?,
        };
        self.lines.push((key.name.to_owned(), value));
        Ok(())
    }

    fn long(&mut self, name: &str, parser: &mut Parser) -> Result<(), UsageError> {
        match name {
            "help" => self.action = Action::Help,
            "version" => self.action = Action::Version,
            _ => {
                let (key, written) = self.long_key(name)?;
                let value = if key.kind == Kind::Flag { flag(parser)? } else { text(parser.value()?)? };
                self.lines.push((written, value));
            }
        }
        Ok(())
    }

    /// The row of `--key` or `--key[name]`, and the key as a line has it. Dashes stand for underscores.
    fn long_key(&self, name: &str) -> Result<(&'static Key, String), UsageError> {
        let option = format!("--{name}");
        let (key, symbol) = match split_key(name) {
            Ok(parts) => parts,
            Err(bad) => return Err(UsageError::Brackets(option, bad.to_string())),
        };
        let key = key.to_lowercase().replace('-', "_");
        let Some(row) = self.registry.key(&key) else {
            let nearest = nearest(&key, self.registry.names()).map(str::to_owned);
            return Err(UsageError::Unknown { option, nearest });
        };
        Ok((row, symbol.map_or(key.clone(), |symbol| format!("{key}[{symbol}]"))))
    }

    fn finish(mut self) -> Result<CommandLine, UsageError> {
        let filter = Some(self.words.join(" ")).filter(|words| !words.is_empty());
        if let Some(words) = &filter {
            if self.file.is_some() || self.registry.key(FILTER).is_none() {
                return Err(UsageError::Words(words.clone()));
            }
            self.lines.push((FILTER.to_owned(), words.clone()));
        }
        Ok(CommandLine { file: self.file, lines: self.lines, filter, action: self.action })
    }
}

fn dry_run(word: &str) -> Result<Action, UsageError> {
    match word {
        "config" => Ok(Action::Check),
        "setup" => Ok(Action::Setup),
        _ => Err(UsageError::DryRun(word.to_owned())),
    }
}

/// The value of `--flag`, `--flag=false` or `--flag false`.
fn flag(parser: &mut Parser) -> Result<String, UsageError> {
    if let Some(value) = parser.optional_value() {
        return text(value);
    }
    let is_flag = |word: &OsStr| word == "true" || word == "false";
    let next = parser.try_raw_args().and_then(|mut rest| rest.next_if(is_flag));
    next.map_or(Ok("true".to_owned()), text)
}

fn text(word: OsString) -> Result<String, UsageError> {
    word.into_string().map_err(UsageError::NotText)
}

impl Registry {
    /// The usage text: one line an option.
    pub fn usage(&self) -> String {
        let mut text = USAGE.to_owned();
        for row in self.rows() {
            if let Some(option) = row.option {
                let form = match option.value {
                    None => format!("-{} {}", option.letter, row.kind.placeholder()),
                    Some(_) => format!("-{}", option.letter),
                };
                let sets = option.value.map(|value| format!("={value}")).unwrap_or_default();
                let long = format!("--{}{sets}", row.name);
                let _ = writeln!(text, "  {form:<13} {long:<30} {}", row.doc);
            }
        }
        text.push_str(KEYS_TITLE);
        for row in self.rows().iter().filter(|row| row.option.is_none()) {
            let long = format!("--{} {}", row.name, row.kind.placeholder());
            let _ = writeln!(text, "  {long:<44} {}", row.doc);
        }
        text
    }
}

const USAGE: &str = "\
Usage: rpmacctd [check] [OPTION]... [FILTER]
       rpmacctd [check] -f FILE [OPTION]...

  check         first word: read the configuration and check it, no more
  -f FILE       read this configuration; options win over its lines
  -T WORD       config: the same as check; setup: open everything, then end
  -a            list the primitives that packets can be summed by
  -h, --help    print this
  -V, --version print the version and the plugins
  FILTER        account only frames that pass it (pcap-filter(7))

Options that set keys of the configuration:
";

const KEYS_TITLE: &str = "
More keys. For one plugin alone: --key[name]=value.
";

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{Action, CommandLine};
    use crate::{Key, Registry};

    const ROWS: &[&Key] = &[
        &Key::text("pcap_interface").alias(&["interface"]).option('i').doc("Capture on this interface"),
        &Key::text("pcap_filter"),
        &Key::flag("daemonize").switch('D', "true").doc("Go to the background"),
        &Key::flag("promisc").default("true").switch('N', "false"),
        &Key::text("aggregate").option('c'),
        &Key::character("print_output_separator").option('E'),
    ];

    fn parse(line: &[&str]) -> Result<CommandLine, String> {
        CommandLine::parse(line, &Registry::new(ROWS.iter().copied())).map_err(|error| error.to_string())
    }

    #[track_caller]
    fn lines(line: &[&str], expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(parse(line).unwrap().lines, expected, "{line:?}");
    }

    #[test]
    fn options_are_lines() {
        lines(&[], &[]);
        lines(
            &["-i", "eth0", "-DN"],
            &[("pcap_interface", "eth0"), ("daemonize", "true"), ("promisc", "false")],
        );
        lines(
            &["-Pmemory,print[a]", "-c", "src_host, dst_host"],
            &[("plugins", "memory,print[a]"), ("aggregate", "src_host, dst_host")],
        );
        lines(&["-E", ";"], &[("print_output_separator", ";")]);
        lines(&["-E", "-"], &[("print_output_separator", "-")]);
    }

    #[test]
    fn each_row_has_a_long_option() {
        lines(&["--pcap_interface", "eth0"], &[("pcap_interface", "eth0")]);
        lines(&["--pcap-interface=eth0"], &[("pcap_interface", "eth0")]);
        lines(&["--interface=eth0"], &[("interface", "eth0")]);
        lines(&["--aggregate[A b]=src_host"], &[("aggregate[A b]", "src_host")]);
        lines(&["--daemonize", "--promisc=false"], &[("daemonize", "true"), ("promisc", "false")]);
        lines(&["--daemonize", "false"], &[("daemonize", "false")]);
        lines(&["--daemonize", "-D"], &[("daemonize", "true"), ("daemonize", "true")]);
    }

    #[test]
    fn words_are_a_filter() {
        let line = parse(&["-i", "lo", "tcp", "and", "-D", "port 80"]).unwrap();
        assert_eq!(line.filter.as_deref(), Some("tcp and port 80"));
        assert_eq!(line.lines.last().unwrap().1, "tcp and port 80");
        let line = parse(&["--", "-x"]).unwrap();
        assert_eq!(line.filter.as_deref(), Some("-x"));
        let error = parse(&["-f", "a.conf", "tcp"]).unwrap_err();
        assert!(error.contains("pcap_filter"), "{error}");
    }

    #[test]
    fn actions() {
        for (line, action) in [
            (&[][..], Action::Run),
            (&["-f", "a.conf"], Action::Run),
            (&["check"], Action::Check),
            (&["check", "-f", "a.conf"], Action::Check),
            (&["-T", "config"], Action::Check),
            (&["-Tsetup"], Action::Setup),
            (&["-h"], Action::Help),
            (&["--help"], Action::Help),
            (&["-V"], Action::Version),
            (&["--version"], Action::Version),
            (&["-a"], Action::List),
        ] {
            assert_eq!(parse(line).unwrap().action, action, "{line:?}");
        }
        assert_eq!(parse(&["check", "-f", "a.conf"]).unwrap().file.as_deref(), Some(Path::new("a.conf")));
    }

    #[test]
    fn errors_say_what_was_meant() {
        for (line, error) in [
            (&["-x"][..], "unknown option -x"),
            (&["--agregate=a"], "unknown option --agregate; did you mean --aggregate?"),
            (&["--aggregate[a=b"], "--aggregate[a: not weighted brackets (1): '[' without ']'"),
            (&["-i"], "missing argument for option '-i'"),
            (&["--aggregate"], "missing argument for option '--aggregate'"),
            (&["--help=x"], "unexpected argument for option '--help': \"x\""),
            (&["-T", "x"], "-T x: expected config or setup"),
        ] {
            assert_eq!(parse(line).unwrap_err(), error, "{line:?}");
        }
    }

    #[test]
    fn usage_names_each_row() {
        let usage = Registry::new(ROWS.iter().copied()).usage();
        for row in ROWS {
            assert!(usage.contains(&format!("--{}", row.name)) && usage.contains(row.doc), "{}", row.name);
        }
        assert!(
            usage.contains("  -i TEXT       --pcap_interface               Capture on this interface\n"),
            "{usage}"
        );
        assert!(usage.contains("  -N            --promisc=false"), "{usage}");
    }
}
