//! Names of series: a prefix, a template, and values in which nothing is left that carbon, its file system or
//! render would mishandle.
//!
//! # Guarantees
//!
//! - Two keys never have the same name. Values that could fold (`::ffff:10.0.0.1` and `::ffff:10:0:0:1`) are
//!   written in a form in which they do not, and a template that would glue two values together is refused.
//! - A name holds only ASCII letters, digits, `_`, `-` and the dots between its parts; a tag's value may hold
//!   `.`, `:` and `/`, too. No part is empty or longer than a file's name may be.

use std::io::Write as _;
use std::net::IpAddr;

use rpmacct_plugin::Schema;
use rpmacct_primitives::{Field, Kind, Value};

/// The longest part of a name: a file's name has 255 octets at most, four of them for `.wsp`.
const LONGEST_PART: usize = 251;

/// The longest name, prefix and all: what whisper's paths and carbon's lines (16384 octets) bear easily.
const LONGEST_NAME: usize = 1024;

/// Longest value of a kind that may be any text; longer ones are cut and marked.
const LONGEST_TEXT: usize = 80;

/// What stands for a value that is absent, and for all values outside the budget.
const NONE: &str = "none";
const OTHER: &str = "other";

/// The word of the template that stands for the counter.
const COUNTER: &str = "counter";

/// Writes names.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    parts: Vec<Part>,
    /// Fields that are tags, in the order of their names, as carbon sorts them.
    tags: Vec<Field>,
    escape: u8,
}

#[derive(Debug, Clone)]
enum Part {
    Text(String),
    Key(Field),
    Counter,
}

/// How names are written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Style<'a> {
    pub(crate) prefix: &'a str,
    /// `None`: all keys and the counter.
    pub(crate) template: Option<&'a str>,
    pub(crate) escape: u8,
    /// Whether keys are tags.
    pub(crate) tags: bool,
    /// Whether a key has several series, so that names must tell the counter.
    pub(crate) many: bool,
}

/// Why a template makes no names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TemplateError {
    /// A word that is not in `aggregate`.
    Unknown(String),
    /// Anything else: what was expected.
    Expected(String),
}

impl Names {
    /// Checks that every key has a name of its own.
    pub(crate) fn new(style: Style<'_>, schema: &Schema) -> Result<Self, TemplateError> {
        let default = if style.tags { format!("${COUNTER}") } else { default_template(schema) };
        let template = format!("{}.{}", style.prefix, style.template.unwrap_or(&default));
        let parts = parse(&template, schema)?;
        let mut tags = Vec::new();
        if style.tags {
            if parts.iter().any(|part| matches!(part, Part::Key(_))) {
                return Err(expected("only $counter: with carbon_tags the keys are tags"));
            }
            tags = schema.fields().to_vec();
            tags.sort_by_key(|field| field.primitive.word);
        } else {
            all_keys(&parts, schema)?;
        }
        if style.many && !parts.iter().any(|part| matches!(part, Part::Counter)) {
            return Err(expected("$counter, as a key has several series"));
        }
        let names = Self { parts, tags, escape: style.escape };
        names.check_characters()?;
        names.check_neighbours()?;
        names.check_lengths()?;
        Ok(names)
    }

    /// Appends the name of a key's series.
    pub(crate) fn write(&self, key: &[u8], counter: &str, out: &mut Vec<u8>) {
        self.write_with(counter, out, |field, is_tag, out| {
            write_value(field, key, (!is_tag).then_some(self.escape), out);
        });
    }

    /// Appends the name of the series that has what is outside the budget.
    pub(crate) fn write_other(&self, counter: &str, out: &mut Vec<u8>) {
        self.write_with(counter, out, |_, _, out| out.extend_from_slice(OTHER.as_bytes()));
    }

    /// A name with the keys' words, in capitals, in place of their values.
    pub(crate) fn example(&self, counter: &str) -> String {
        let mut out = Vec::new();
        self.write_with(counter, &mut out, |field, _, out| {
            out.extend_from_slice(field.primitive.word.to_ascii_uppercase().as_bytes());
        });
        String::from_utf8_lossy(&out).into_owned()
    }

    fn write_with(&self, counter: &str, out: &mut Vec<u8>, value: impl Fn(&Field, bool, &mut Vec<u8>)) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Key(field) => value(field, false, out),
                Part::Counter => out.extend_from_slice(counter.as_bytes()),
            }
        }
        for field in &self.tags {
            out.push(b';');
            out.extend_from_slice(field.primitive.word.as_bytes());
            out.push(b'=');
            value(field, true, out);
        }
    }

    fn check_characters(&self) -> Result<(), TemplateError> {
        let texts = self.parts.iter().filter_map(|part| match part {
            Part::Text(text) => Some(text),
            _ => None,
        });
        for c in texts.flat_map(|text| text.chars()) {
            if !(c.is_ascii_alphanumeric() || "_-.".contains(c)) {
                return Err(expected(&format!(
                    "letters, digits, '_', '-' and dots besides variables, not {c:?}"
                )));
            }
        }
        // Values are never empty: what stands for them here stands for all.
        let skeleton: String = self.parts.iter().map(Part::skeleton).collect();
        if skeleton.split('.').any(str::is_empty) {
            return Err(expected("something before, between and behind the dots"));
        }
        Ok(())
    }

    /// Between two values there must be something that is in neither of them, or 1.11 and 11.1 are the same.
    fn check_neighbours(&self) -> Result<(), TemplateError> {
        let variables: Vec<_> =
            self.parts.iter().enumerate().filter(|(_, part)| !matches!(part, Part::Text(_))).collect();
        for pair in variables.windows(2) {
            let [(from, left), (to, right)] = pair else { continue };
            let between: String = self.parts[from + 1..*to].iter().map(Part::skeleton).collect();
            let separates = |c: char| !left.may_hold(c, self.escape) && !right.may_hold(c, self.escape);
            if !between.chars().any(separates) {
                let (left, right) = (left.word(), right.word());
                return Err(expected(&format!(
                    "a dot between ${left} and ${right}, so that no two keys fold into one name"
                )));
            }
        }
        Ok(())
    }

    fn check_lengths(&self) -> Result<(), TemplateError> {
        let (mut part, mut whole) = (0, 0);
        for piece in &self.parts {
            match piece {
                Part::Text(text) => {
                    for c in text.chars() {
                        part = if c == '.' { 0 } else { part + 1 };
                        whole += 1;
                        if part > LONGEST_PART {
                            return Err(too_long(LONGEST_PART));
                        }
                    }
                }
                Part::Key(_) | Part::Counter => {
                    part += piece.longest();
                    whole += piece.longest();
                }
            }
            if part > LONGEST_PART {
                return Err(too_long(LONGEST_PART));
            }
            if whole > LONGEST_NAME {
                return Err(too_long(LONGEST_NAME));
            }
        }
        Ok(())
    }
}

impl Part {
    fn word(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Key(field) => field.primitive.word,
            Self::Counter => COUNTER,
        }
    }

    fn skeleton(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Key(_) | Self::Counter => "x",
        }
    }

    /// Whether a value may hold the character.
    fn may_hold(&self, c: char, escape: u8) -> bool {
        let is_escape = c == char::from(escape);
        match self {
            Self::Text(_) => false,
            Self::Counter => c.is_ascii_alphanumeric() || c == '_',
            Self::Key(field) => {
                let is_number = matches!(field.primitive.kind, Kind::Number(_) | Kind::EtherType);
                let is_address = matches!(field.primitive.kind, Kind::Ip | Kind::Mac | Kind::Time);
                let has_more = !is_number && (is_escape || !is_address && "_-".contains(c));
                c.is_ascii_alphanumeric() || has_more
            }
        }
    }

    /// The longest value, in octets.
    fn longest(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Counter => "packets_p95".len(),
            Self::Key(field) => match field.primitive.kind {
                Kind::Ip => "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff".len(),
                Kind::Mac => "ff:ff:ff:ff:ff:ff".len(),
                Kind::Number(_) | Kind::EtherType => "18446744073709551615".len(),
                Kind::Time => "-9223372036854.775808".len(),
                Kind::Protocol => "ipv6-nonxt".len(),
                #[allow(unreachable_patterns)] // kinds that may be any text
                _ => LONGEST_TEXT + MARK,
            },
        }
    }
}

fn expected(what: &str) -> TemplateError {
    TemplateError::Expected(what.to_owned())
}

fn too_long(limit: usize) -> TemplateError {
    let what = if limit == LONGEST_PART { "parts between dots" } else { "names" };
    expected(&format!("{what} that are never longer than {limit} characters"))
}

fn default_template(schema: &Schema) -> String {
    let keys = schema.fields().iter().map(|field| field.primitive.word);
    keys.chain([COUNTER]).map(|word| format!("${word}")).collect::<Vec<_>>().join(".")
}

/// Reads `$word` and `${word}` out of a template.
fn parse(template: &str, schema: &Schema) -> Result<Vec<Part>, TemplateError> {
    let mut parts = Vec::new();
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        if at > 0 {
            parts.push(Part::Text(rest[..at].to_owned()));
        }
        let behind = &rest[at + 1..];
        let word;
        (word, rest) = if let Some(braced) = behind.strip_prefix('{') {
            braced.split_once('}').ok_or_else(|| expected("a brace that closes ${"))?
        } else {
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            behind.split_at(behind.find(|c| !is_word(c)).unwrap_or(behind.len()))
        };
        parts.push(match word {
            COUNTER => Part::Counter,
            word => Part::Key(*schema.field(word).ok_or_else(|| TemplateError::Unknown(word.to_owned()))?),
        });
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

fn all_keys(parts: &[Part], schema: &Schema) -> Result<(), TemplateError> {
    let has =
        |field: &Field| parts.iter().any(|part| matches!(part, Part::Key(key) if key.offset == field.offset));
    let missing: Vec<_> =
        schema.fields().iter().filter(|f| !has(f)).map(|f| format!("${}", f.primitive.word)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let missing = missing.join(", ");
    Err(expected(&format!("all keys of aggregate, or several would share a series: {missing} is missing")))
}

/// Appends a field's value. In a path each character that a path can't have becomes `escape`; in a tag
/// (`None`) dots, colons and slashes stay.
fn write_value(field: &Field, key: &[u8], escape: Option<u8>, out: &mut Vec<u8>) {
    let start = out.len();
    let value = field.value(key);
    match value {
        Value::Ip(None) | Value::Time(None) => return out.extend_from_slice(NONE.as_bytes()),
        Value::Ip(Some(ip)) => write_ip(ip, out),
        _ => value.write_text(out),
    }
    // The texts of these kinds tell each other apart by letters, digits and the places of what is between.
    let is_distinct = matches!(
        field.primitive.kind,
        Kind::Ip | Kind::Mac | Kind::Number(_) | Kind::EtherType | Kind::Protocol | Kind::Time
    );
    if is_distinct {
        if let Some(escape) = escape {
            out[start..].iter_mut().filter(|octet| !is_plain(**octet)).for_each(|octet| *octet = escape);
        }
    } else {
        let text = out.split_off(start);
        write_free_text(&text, escape, out);
    }
}

/// RFC 5952, but never with an IPv4 address at the end: `::ffff:10.0.0.1` would have the name of
/// `::ffff:10:0:0:1`.
fn write_ip(ip: IpAddr, out: &mut Vec<u8>) {
    // Writing into memory can't fail.
    let _ = match ip {
        IpAddr::V4(ip) => write!(out, "{ip}"),
        IpAddr::V6(ip) if ip.to_ipv4_mapped().is_some() => {
            let [.., sixth, seventh] = ip.segments();
            write!(out, "::ffff:{sixth:x}:{seventh:x}")
        }
        IpAddr::V6(ip) => write!(out, "{ip}"),
    };
}

/// Octets that the mark of [`write_free_text`] takes: a separator and eight digits.
const MARK: usize = 9;

/// Appends a text that may be anything. One that had to be changed, or looks as if it had been, is marked
/// with its hash, so that it folds with no other.
fn write_free_text(text: &[u8], escape: Option<u8>, out: &mut Vec<u8>) {
    if text.is_empty() {
        return out.extend_from_slice(NONE.as_bytes());
    }
    let stays = |octet: u8| is_plain(octet) || escape.is_none() && matches!(octet, b'.' | b':' | b'/');
    let mark = escape.unwrap_or(b'_');
    let is_reserved = text == NONE.as_bytes() || text == OTHER.as_bytes();
    let is_same = text.len() <= LONGEST_TEXT && text.iter().all(|octet| stays(*octet));
    let cut = &text[..text.len().min(LONGEST_TEXT)];
    out.extend(cut.iter().map(|octet| if stays(*octet) { *octet } else { mark }));
    if !is_same || is_reserved || looks_marked(text, mark) {
        out.push(mark);
        out.extend_from_slice(format!("{:08x}", crc32fast::hash(text)).as_bytes());
    }
}

fn looks_marked(text: &[u8], mark: u8) -> bool {
    text.len() > MARK
        && text[text.len() - MARK] == mark
        && text[text.len() - MARK + 1..].iter().all(u8::is_ascii_hexdigit)
}

/// What no part of carbon or Graphite gives a meaning.
fn is_plain(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'-')
}

/// A name of anything (a host, an interface, a count) as one part of a path.
pub(crate) fn plain(text: &str) -> String {
    if text.is_empty() {
        return NONE.to_owned();
    }
    text.chars().take(LONGEST_TEXT).map(|c| if c.is_ascii() && is_plain(c as u8) { c } else { '_' }).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use proptest::prelude::*;
    use rpmacct_primitives::{Role, SchemaOptions, TABLE};

    use super::*;

    const PLAIN: Style<'_> = Style { prefix: "mpls", template: None, escape: b'_', tags: false, many: false };

    fn schema(aggregate: &str) -> Schema {
        Schema::parse(aggregate, SchemaOptions::default()).unwrap()
    }

    /// The name of the key that has these values, as `word=value …`.
    fn name(style: Style<'_>, aggregate: &str, values: &str) -> String {
        let schema = schema(aggregate);
        let mut key = vec![0; schema.key_len()];
        for (word, text) in values.split_whitespace().map(|pair| pair.split_once('=').unwrap()) {
            let field = schema.field(word).unwrap();
            let kind = field.primitive.kind;
            kind.write(kind.parse(text).unwrap(), &mut key[field.range()]);
        }
        let mut out = Vec::new();
        Names::new(style, &schema).unwrap().write(&key, "bytes", &mut out);
        String::from_utf8(out).unwrap()
    }

    fn refused(template: &str, aggregate: &str) -> String {
        let style = Style { template: Some(template), many: true, ..PLAIN };
        match Names::new(style, &schema(aggregate)) {
            Err(TemplateError::Expected(what)) => what,
            Err(TemplateError::Unknown(word)) => format!("unknown {word}"),
            Ok(_) => "nothing is wrong".to_owned(),
        }
    }

    #[test]
    fn the_story_is_called_as_it_should_be() {
        let values = "src_host=10.9.0.11 dst_host=10.9.1.21";
        assert_eq!(name(PLAIN, "src_host, dst_host", values), "mpls.10_9_0_11.10_9_1_21.bytes");
        let style = Style { tags: true, ..PLAIN };
        assert_eq!(
            name(style, "src_host, dst_host", values),
            "mpls.bytes;dst_host=10.9.1.21;src_host=10.9.0.11"
        );
        assert_eq!(name(PLAIN, "none", ""), "mpls.bytes");
        let style = Style { template: Some("to.$dst_host.from.${src_host}_x"), escape: b'-', ..PLAIN };
        assert_eq!(name(style, "src_host, dst_host", values), "mpls.to.10-9-1-21.from.10-9-0-11_x");
    }

    #[test]
    fn each_kind_has_its_form() {
        let is = |aggregate, value: &str, expected: &str| {
            let values = format!("{aggregate}={value}");
            let values = if value.is_empty() { "" } else { &values };
            assert_eq!(name(PLAIN, aggregate, values), format!("mpls.{expected}.bytes"));
        };
        is("src_host", "2001:db8::1", "2001_db8__1");
        is("src_host", "::", "__");
        is("src_host", "::ffff:10.0.0.1", "__ffff_a00_1");
        is("src_host", "::ffff:10:0:0:1", "__ffff_10_0_0_1");
        is("src_host", "::10.0.0.1", "__a00_1");
        is("src_host", "", "none");
        is("src_mac", "02:00:00:00:00:0a", "02_00_00_00_00_0a");
        is("vlan", "4095", "4095");
        is("mpls_label_top", "1048575", "1048575");
        is("etype", "86dd", "86dd");
        is("proto", "ax.25", "ax_25");
        is("proto", "ipv6-icmp", "ipv6-icmp");
        is("timestamp_start", "2023-11-14T22:13:20.100000Z", "1700000000_100000");
        is("timestamp_start", "", "none");
    }

    #[test]
    fn templates_that_would_mislead_are_refused() {
        let hosts = "src_host, dst_host";
        assert_eq!(refused("$src_host.$dst_host.$counter", hosts), "nothing is wrong");
        assert!(refused("$src_host.$counter", hosts).contains("$dst_host is missing"));
        assert!(refused("$src_host.$dst_host", hosts).contains("$counter"));
        assert_eq!(refused("$src_hst.$dst_host.$counter", hosts), "unknown src_hst");
        assert_eq!(refused("$src_host.$dst_host.$", hosts), "unknown ");
        assert!(
            refused("${src_host.$dst_host.$counter", hosts).contains("unknown")
                || refused("${src_host", hosts).contains("brace")
        );
        for glued in [
            "$src_host$dst_host.$counter",
            "${src_host}_$dst_host.$counter",
            "${src_host}x$dst_host.$counter",
        ] {
            assert!(refused(glued, hosts).contains("fold into one name"), "{glued}");
        }
        assert_eq!(refused("$src_host-$dst_host.$counter", hosts), "nothing is wrong");
        assert_eq!(refused("${src_port}_$dst_port.$counter", "src_port, dst_port"), "nothing is wrong");
        for bad in ["a b", "a/b", "a;b", "a~b", "ä", "a*", "{a}", "(a)", "a\tb", "a=b", "a\"b"] {
            let said = refused(&format!("{bad}.$src_host.$dst_host.$counter"), hosts);
            assert!(said.starts_with("letters, digits"), "{bad}: {said}");
        }
        for empty in [
            ".$src_host.$dst_host.$counter",
            "$src_host..$dst_host.$counter",
            "$src_host.$dst_host.$counter.",
        ] {
            assert!(refused(empty, hosts).contains("between and behind the dots"), "{empty}");
        }
        let long = format!("{}.$src_host.$dst_host.$counter", "x".repeat(252));
        assert!(refused(&long, hosts).contains("251"));
        let long = format!("{}$src_host.$dst_host.$counter", format!("{}.", "x".repeat(99)).repeat(11));
        assert!(refused(&long, hosts).contains("1024"));
        let style = Style { tags: true, template: Some("$src_host.$counter"), ..PLAIN };
        assert!(Names::new(style, &schema(hosts)).is_err());
    }

    #[test]
    fn free_text_never_folds() {
        let long = "y".repeat(300);
        let texts = [
            "a.b",
            "a:b",
            "a_b",
            "a b",
            "ä",
            "",
            "none",
            "other",
            "a\nb",
            "~x",
            "a;b=c",
            "../..",
            &long,
            &long[1..],
        ];
        for escape in [Some(b'_'), Some(b'-'), None] {
            let mut seen = HashSet::new();
            let mut add = |text: &[u8]| {
                let mut out = Vec::new();
                write_free_text(text, escape, &mut out);
                assert!(out.len() <= LONGEST_TEXT + MARK);
                assert!(out.iter().all(|c| c.is_ascii_alphanumeric() || b"_-.:/".contains(c)), "{out:?}");
                assert!(seen.insert(out.clone()), "{text:?} is {out:?} too");
                out
            };
            for text in texts {
                let marked = add(text.as_bytes());
                if marked != text.as_bytes() && !text.is_empty() {
                    add(&marked); // somebody may choose the very text that another became
                }
            }
        }
    }

    #[test]
    fn protocols_are_told_apart() {
        for escape in [b'_', b'-'] {
            let schema = schema("proto");
            let names = Names::new(Style { escape, ..PLAIN }, &schema).unwrap();
            let name = |n: u8| {
                let mut out = Vec::new();
                names.write(&[n], "bytes", &mut out);
                out
            };
            assert_eq!((0..=255).map(name).collect::<HashSet<_>>().len(), 256);
        }
    }

    /// What carbon 1.1 takes for a point, and stores under the name that was sent: its line receiver, its
    /// files, and graphite-web's find.
    fn carbon_takes(name: &[u8], tags: bool) -> Result<(), String> {
        let line = std::str::from_utf8(name).map_err(|_| "not UTF-8: the connection is closed")?;
        let check = |good: bool, what: &str| if good { Ok(()) } else { Err(what.to_owned()) };
        check(line.len() < 16_000, "a longer line closes the connection")?;
        check(line.bytes().all(|c| c.is_ascii_graphic()), "blanks and controls end the name")?;
        let (path, tail) = line.split_once(';').unwrap_or((line, ""));
        check(
            path.split('.').all(|part| !part.is_empty() && part.len() <= 251),
            "a file can't have the name",
        )?;
        check(
            !path.contains(['/', '*', '?', '[', ']', '{', '}', '(', ')', ',', '"', '\'', '~', '=', ':']),
            "render",
        )?;
        check(tags || tail.is_empty(), "tags")?;
        for tag in tail.split(';').filter(|tag| !tag.is_empty()) {
            let (key, value) = tag.split_once('=').ok_or("a tag without value")?;
            check(!key.is_empty() && !value.is_empty() && !value.starts_with('~'), "an invalid tag")?;
            check(!value.contains(['*', '{', '}', '(', ')', '"', '\'', ',', '\\']), "seriesByTag")?;
        }
        Ok(())
    }

    /// Every primitive that is a key: alone, and with others before and behind.
    fn schemas() -> Vec<Schema> {
        let words: Vec<_> =
            TABLE.iter().filter(|row| matches!(row.role, Role::Key(_))).map(|row| row.word).collect();
        let alone = words.iter().map(|word| schema(word));
        let pairs = words.windows(2).map(|pair| schema(&pair.join(",")));
        let sums = ["sum_host", "sum_mac", "sum_port, proto"].map(schema);
        alone.chain(pairs).chain(sums).chain([schema(&words.join(","))]).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

        /// Any octets at all as keys, in all schemas: carbon takes the names, and they differ where keys do.
        #[test]
        fn names_of_any_keys_are_safe_and_differ(
            seed in prop::collection::vec((any::<u8>(), 0u8..4), 600),
            other in prop::collection::vec((any::<u8>(), 0u8..4), 600),
            tags: bool,
            dash: bool,
        ) {
            let style = Style { tags, escape: if dash { b'-' } else { b'_' }, many: true, ..PLAIN };
            for schema in schemas() {
                let names = Names::new(style, &schema).unwrap();
                let mut seen: HashMap<Vec<u8>, Vec<String>> = HashMap::new();
                for octets in [&seed, &other] {
                    for shift in 0..4 {
                        let key = key(&schema, &octets[shift..]);
                        let mut name = Vec::new();
                        names.write(&key, "packets_p95", &mut name);
                        prop_assert_eq!(carbon_takes(&name, tags), Ok(()));
                        // Keys that mean the same need not differ: an address of no family has no more octets.
                        let values: Vec<_> = schema.fields().iter().map(|f| format!("{:?}", f.value(&key))).collect();
                        let twin = seen.insert(name.clone(), values.clone());
                        let name = String::from_utf8_lossy(&name);
                        prop_assert!(
                            twin.as_ref().is_none_or(|twin| *twin == values),
                            "{}: {name}: {values:?} and {twin:?}",
                            schema.aggregate()
                        );
                    }
                }
            }
        }

        /// Addresses that are nearly alike, in the notations that could be mixed up.
        #[test]
        fn addresses_never_fold(a in address(), b in address(), dash: bool) {
            let schema = schema("src_host");
            let names = Names::new(Style { escape: if dash { b'-' } else { b'_' }, ..PLAIN }, &schema).unwrap();
            let name = |value: Option<IpAddr>| {
                let (mut key, mut out) = (vec![0; schema.key_len()], Vec::new());
                Kind::Ip.write(Value::Ip(value), &mut key);
                names.write(&key, "bytes", &mut out);
                out
            };
            prop_assert_eq!(a == b, name(a) == name(b));
        }
    }

    /// A key out of octets, many of which are small: runs of zeros are where IPv6 addresses are written oddly.
    fn key(schema: &Schema, octets: &[(u8, u8)]) -> Vec<u8> {
        let octet = |(octet, how): &(u8, u8)| match how {
            0 => 0,
            1 => octet % 8,
            _ => *octet,
        };
        octets.iter().map(octet).take(schema.key_len()).collect()
    }

    fn address() -> impl Strategy<Value = Option<IpAddr>> {
        let group = prop_oneof![Just(0u16), Just(0xffff), Just(1), Just(0x10), 0u16..0x20, any::<u16>()];
        prop_oneof![
            1 => Just(None),
            2 => any::<[u8; 4]>().prop_map(|octets| Some(octets.into())),
            6 => prop::array::uniform8(group).prop_map(|groups| Some(groups.into())),
        ]
    }
}
