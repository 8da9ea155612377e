//! File names that hold times and values, such as `/var/lib/flows/%Y%m%d-%H%M-$proto.csv`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use nix::unistd::{AccessFlags, access};
use rpmacct_config::nearest;
use rpmacct_plugin::{OpenError, Timestamp};
use rpmacct_primitives::{Field, Role, Schema, primitive, words};

/// The letters after `%` that the peer understands, as in strftime(3).
const TIME_VARIABLES: &[char] = &['d', 'H', 'm', 'M', 's', 'S', 'w', 'W', 'Y', 'z'];

/// Bytes of a value in a name: the file system allows 255 for all of it.
const LONGEST_VALUE: usize = 128;

/// What `$ref` and `$hst` stand for.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Intervals {
    /// Between purges.
    pub(crate) refresh: Duration,
    /// Of a bin, zero if there are none.
    pub(crate) history: Duration,
}

/// A checked `print_output_file`: turns a time and the values of a key into a path.
#[derive(Debug, Clone)]
pub(crate) struct FileName {
    /// What a relative name is relative to: a daemon does not stay in the directory it was started in.
    base: PathBuf,
    pieces: Vec<Piece>,
    zone: TimeZone,
}

#[derive(Debug, Clone)]
enum Piece {
    Text(String),
    /// Invariant: `%` and one of [`TIME_VARIABLES`], so that strftime can't fail.
    Time(String),
    /// The value of a primitive. Invariant: once bound to a schema, the field is there.
    Value {
        word: &'static str,
        field: Option<Field>,
    },
}

impl FileName {
    /// Reads a name. On an error: what is wrong with it.
    pub(crate) fn parse(text: &str, intervals: Intervals, zone: TimeZone) -> Result<Self, String> {
        if text.is_empty() || text.ends_with('/') {
            return Err("no file name".to_owned());
        }
        let base = std::env::current_dir().map_err(|e| format!("finding the current directory: {e}"))?;
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(['%', '$']) {
            push_text(&mut pieces, &rest[..at]);
            let (sign, after) = rest[at..].split_at(1);
            rest = if sign == "%" {
                time_variable(after, &mut pieces)?
            } else {
                value_variable(after, intervals, &mut pieces)?
            };
        }
        push_text(&mut pieces, rest);
        Ok(Self { base, pieces, zone })
    }

    /// Finds the values in the keys of a schema. On an error: the variable that has none.
    pub(crate) fn bind(mut self, schema: &Schema) -> Result<Self, String> {
        for piece in &mut self.pieces {
            if let Piece::Value { word, field } = piece {
                *field = schema.field(word).copied();
                if field.is_none() {
                    let words: Vec<_> = schema.fields().iter().map(|field| field.primitive.word).collect();
                    return Err(format!("${word} is not in aggregate ({})", words.join(", ")));
                }
            }
        }
        Ok(self)
    }

    /// Whether the name changes with time.
    pub(crate) fn has_time(&self) -> bool {
        self.pieces.iter().any(|piece| matches!(piece, Piece::Time(_)))
    }

    /// Whether there is one name for each value.
    pub(crate) fn has_values(&self) -> bool {
        self.values().next().is_some()
    }

    /// The parts of the key that the name holds.
    pub(crate) fn values(&self) -> impl Iterator<Item = &Field> {
        self.pieces.iter().filter_map(|piece| match piece {
            Piece::Value { field, .. } => field.as_ref(),
            _ => None,
        })
    }

    /// The name without times and values: what tells it from the names of other plugins.
    pub(crate) fn pattern(&self) -> PathBuf {
        let mut name = String::new();
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) | Piece::Time(text) => name.push_str(text),
                Piece::Value { word, .. } => {
                    name.push('$');
                    name.push_str(word);
                }
            }
        }
        self.base.join(name)
    }

    /// Makes the directory, where its name is known, and checks that files can be written there, so that
    /// whoever starts the daemon learns it rather than the log.
    pub(crate) fn check_writable(&self) -> Result<(), OpenError> {
        let is_fixed = self.pieces.iter().all(|piece| matches!(piece, Piece::Text(_)));
        let path = self.pattern();
        let Some(directory) = path.parent().filter(|directory| is_fixed || self.is_fixed(directory)) else {
            return Ok(());
        };
        let failed = |doing, path: &Path, source| OpenError::Io {
            doing: format!("{doing} {}", path.display()),
            source,
        };
        std::fs::create_dir_all(directory).map_err(|error| failed("making", directory, error))?;
        // An existing file may be writable where its directory is not.
        let target = if is_fixed && path.exists() { &*path } else { directory };
        access(target, AccessFlags::W_OK).map_err(|errno| failed("writing to", target, errno.into()))
    }

    /// Whether a directory of the pattern has no variables in it.
    fn is_fixed(&self, directory: &Path) -> bool {
        let fixed = match self.pieces.first() {
            Some(Piece::Text(text)) => self.base.join(text),
            _ => self.base.clone(),
        };
        // Compared as text: a directory that ends within the text is known.
        fixed.as_os_str().as_encoded_bytes().starts_with(directory.as_os_str().as_encoded_bytes())
            && fixed.as_os_str().len() > directory.as_os_str().len()
    }

    /// The path at `time`. Directories may hold variables, too. `value` appends a value of the row's key as text.
    pub(crate) fn at(&self, time: Timestamp, mut value: impl FnMut(&Field, &mut Vec<u8>)) -> PathBuf {
        let mut name = String::new();
        let local = self.has_time().then(|| {
            let instant = jiff::Timestamp::from_second(time.secs()).unwrap_or(jiff::Timestamp::MAX);
            instant.to_zoned(self.zone.clone())
        });
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => name.push_str(text),
                Piece::Time(format) => {
                    let time = local.as_ref().and_then(|local| strtime::format(format, local).ok());
                    name.push_str(&time.unwrap_or_default());
                }
                Piece::Value { field, .. } => {
                    let mut text = Vec::new();
                    if let Some(field) = field {
                        value(field, &mut text);
                    }
                    push_value(&mut name, &text);
                }
            }
        }
        self.base.join(name)
    }

    /// The path where there are no values.
    pub(crate) fn at_time(&self, time: Timestamp) -> PathBuf {
        self.at(time, |_, _| ())
    }
}

fn push_text(pieces: &mut Vec<Piece>, text: &str) {
    match pieces.last_mut() {
        _ if text.is_empty() => {}
        Some(Piece::Text(before)) => before.push_str(text),
        _ => pieces.push(Piece::Text(text.to_owned())),
    }
}

/// Reads what comes after a `%` and returns the rest.
fn time_variable<'a>(after: &'a str, pieces: &mut Vec<Piece>) -> Result<&'a str, String> {
    match after.chars().next() {
        Some(letter) if TIME_VARIABLES.contains(&letter) => {
            pieces.push(Piece::Time(format!("%{letter}")));
            Ok(&after[1..])
        }
        letter => Err(format!("%{} not supported", letter.map_or(String::new(), String::from))),
    }
}

/// Reads what comes after a `$` and returns the rest. Before anything but a letter it stands for itself; an
/// unknown variable is an error, because nobody wants a file named `$tag.csv`.
fn value_variable<'a>(
    after: &'a str,
    intervals: Intervals,
    pieces: &mut Vec<Piece>,
) -> Result<&'a str, String> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = after.find(|c| !is_word(c)).unwrap_or(after.len());
    if !after.starts_with(|c: char| c.is_ascii_alphabetic()) {
        push_text(pieces, "$");
        return Ok(after);
    }
    let all = &after[..end];
    // `$ref_x` is `$ref` and `_x`: the longest word counts that no letter or number follows.
    let mut word = all;
    loop {
        let row = primitive(word).filter(|row| matches!(row.role, Role::Key(_) | Role::Sum(..)));
        match word {
            "ref" => push_text(pieces, &intervals.refresh.as_secs().to_string()),
            "hst" => push_text(pieces, &intervals.history.as_secs().to_string()),
            _ if row.is_some() => {
                pieces.extend(row.map(|row| Piece::Value { word: row.word, field: None }));
            }
            _ => match word.rfind('_') {
                Some(at) => {
                    word = &word[..at];
                    continue;
                }
                None => return Err(unknown_variable(all)),
            },
        }
        return Ok(&after[word.len()..]);
    }
}

fn unknown_variable(word: &str) -> String {
    if primitive(word).is_some() {
        return format!("${word} is not a part of the key");
    }
    match nearest(word, words().chain(["ref", "hst"])) {
        Some(meant) => format!("${word} not supported; did you mean ${meant}?"),
        None => format!("${word} not supported"),
    }
}

/// Appends a value so that it stays one part of a path, whatever is in it.
fn push_value(name: &mut String, value: &[u8]) {
    if value.is_empty() {
        name.push_str("none");
    }
    for (i, octet) in value.iter().take(LONGEST_VALUE).enumerate() {
        let is_safe = octet.is_ascii_alphanumeric() || b"-_:+@=,".contains(octet) || *octet == b'.' && i > 0;
        name.push(if is_safe { char::from(*octet) } else { '_' });
    }
}

#[cfg(test)]
mod tests {
    use rpmacct_primitives::{Dialect, Rows, SchemaOptions, Style};

    use super::*;

    const INTERVALS: Intervals =
        Intervals { refresh: Duration::from_secs(300), history: Duration::from_secs(600) };

    fn parse(text: &str) -> Result<FileName, String> {
        FileName::parse(text, INTERVALS, TimeZone::UTC)
    }

    /// The name at 2023-11-14 22:13:20 UTC, a Tuesday.
    fn name(text: &str) -> String {
        parse(text)
            .unwrap()
            .at_time(Timestamp::from_secs_nanos(1_700_000_000, 999_999_999))
            .display()
            .to_string()
    }

    #[test]
    fn every_variable_as_strftime_writes_it() {
        assert_eq!(
            name("/x/%Y/%m/%d/%H%M%S-%s-%w-%W%z.csv"),
            "/x/2023/11/14/221320-1700000000-2-46+0000.csv"
        );
    }

    #[test]
    fn the_zone_counts() {
        let zone = TimeZone::fixed(jiff::tz::offset(-2));
        let name = FileName::parse("/%d-%H%z", INTERVALS, zone).unwrap();
        assert_eq!(name.at_time(Timestamp::from_secs_nanos(1_700_000_000, 0)), PathBuf::from("/14-20-0200"));
    }

    #[test]
    fn other_variables_are_errors() {
        for (text, error) in [
            ("/x/%Z", "%Z not supported"),
            ("/x/%-d", "%- not supported"),
            ("/x/%%d", "%% not supported"),
            ("/x/%", "% not supported"),
            ("/x/$nothing.csv", "$nothing not supported"),
            ("/x/$post_tag-1", "$post_tag not supported"),
            ("/x/$refresh", "$refresh not supported"),
            ("/x/$tcpflags", "$tcpflags is not a part of the key"),
            ("/x/$src_hst", "$src_hst not supported; did you mean $src_host?"),
            ("/x/", "no file name"),
            ("", "no file name"),
        ] {
            assert_eq!(parse(text).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn the_intervals_and_dollars_that_are_none() {
        assert_eq!(name("/x/every-$ref-%M"), "/x/every-300-13");
        assert_eq!(name("/x/$ref$ref_x"), "/x/300300_x");
        assert_eq!(name("/x/$hst"), "/x/600");
        assert_eq!(name("/x/5$-$1$"), "/x/5$-$1$");
        assert!(!parse("/x/$ref").unwrap().has_time());
        assert!(parse("/x/%s").unwrap().has_time());
    }

    #[test]
    fn values_are_those_of_the_key() {
        let schema = Schema::parse("src_host, proto, dst_port", SchemaOptions::default()).unwrap();
        let mut key = vec![0; schema.key_len()];
        let values = [("src_host", "2001:db8::1"), ("proto", "tcp"), ("dst_port", "443")];
        for (word, text) in values {
            let field = schema.field(word).unwrap();
            field.primitive.kind.write(field.primitive.kind.parse(text).unwrap(), &mut key[field.range()]);
        }
        let rows = Rows::new(&schema, Style::new(Dialect::Print));
        let name = |text| {
            let name = parse(text).unwrap().bind(&schema).unwrap();
            assert!(name.has_values());
            name.at(Timestamp::ZERO, |field, out| rows.value_of(field, &key, out)).display().to_string()
        };
        assert_eq!(name("/x/$proto/$dst_port_of_$src_host.csv"), "/x/tcp/443_of_2001:db8::1.csv");
        assert_eq!(
            parse("/x/$dst_host").unwrap().bind(&schema).unwrap_err(),
            "$dst_host is not in aggregate (src_host, dst_port, proto)"
        );
    }

    #[test]
    fn a_value_is_one_part_of_a_path() {
        let safe = |value: &[u8]| {
            let mut name = String::new();
            push_value(&mut name, value);
            name
        };
        assert_eq!(safe(b"../../etc/passwd"), "_._.._etc_passwd");
        assert_eq!(safe(b".."), "_.");
        assert_eq!(safe(b""), "none");
        assert_eq!(safe(b"a b\n\xff%d$"), "a_b___d_");
        assert_eq!(safe(&[b'x'; 1000]).len(), LONGEST_VALUE);
    }

    #[test]
    fn relative_names_are_made_absolute() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(PathBuf::from(name("flows.csv")), here.join("flows.csv"));
    }

    #[test]
    fn a_directory_is_known_up_to_the_first_variable() {
        let is_fixed = |text: &str| {
            let name = parse(text).unwrap();
            name.is_fixed(name.pattern().parent().unwrap())
        };
        assert!(is_fixed("/a/b/%H.csv"));
        assert!(is_fixed("/a/b/x-$proto.csv"));
        assert!(!is_fixed("/a/%d/x.csv"));
        assert!(!is_fixed("/a/b%d/x.csv"));
    }
}
