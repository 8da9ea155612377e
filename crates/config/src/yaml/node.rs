//! A YAML document with its lines, where each scalar is the text that was written.
//!
//! A plain `0644` or `1e3` must reach the rows as it is, not as the number that YAML takes it for. So where the
//! parser reports a number or a truth value, its text is cut out of the document.

use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_yaml::{DuplicateKeyPolicy, Location, NonFiniteFloatPolicy, Spanned, Tagged};

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Node {
    /// A text, or nothing, which is an empty text.
    Scalar(String),
    List(Vec<Item>),
    Mapping(Vec<Entry>),
}

/// An element of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Item {
    pub(super) line: usize,
    pub(super) value: Node,
}

/// An element of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) key: String,
    /// The line of the key.
    pub(super) line: usize,
    pub(super) value: Node,
}

impl Node {
    /// The elements of a mapping; nothing has none.
    pub(super) fn entries(&self) -> Option<&[Entry]> {
        match self {
            Self::Mapping(entries) => Some(entries),
            Self::Scalar(text) if text.is_empty() => Some(&[]),
            _ => None,
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Scalar(_) => 1,
            Self::List(items) => items.len(),
            Self::Mapping(entries) => entries.len(),
        }
    }
}

impl Item {
    /// The text of a scalar.
    pub(super) fn text(&self) -> Option<&str> {
        match &self.value {
            Node::Scalar(text) => Some(text),
            _ => None,
        }
    }
}

/// Why a document cannot be read.
#[derive(Debug)]
pub(super) struct BadYaml {
    /// The line, from 1; 0 if it is not known.
    pub(super) line: usize,
    pub(super) problem: String,
}

/// Reads a document: a mapping, or nothing.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Entry>, BadYaml> {
    let text = std::str::from_utf8(bytes).map_err(|error| BadYaml {
        line: bytes[..error.valid_up_to()].split(|&byte| byte == b'\n').count(),
        problem: "not UTF-8 text".to_owned(),
    })?;
    let options = serde_yaml::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        with_snippet: false,
    };
    let raw: Place = serde_yaml::from_str_with_options(text, options).map_err(|error| BadYaml {
        line: error.location().map_or(0, |place| line(&place)),
        problem: format!("not YAML: {}", error.to_string().replace('\n', " ")),
    })?;
    match raw.node(text)? {
        Node::Mapping(entries) => Ok(entries),
        Node::Scalar(text) if text.is_empty() => Ok(Vec::new()),
        _ => Err(BadYaml { line: 1, problem: "expected a mapping from keys to values".to_owned() }),
    }
}

/// What the parser reports.
enum Raw {
    Nothing,
    /// A number or a truth value, whose text only the document has.
    Plain,
    Text(String),
    List(Vec<Place>),
    Mapping(Vec<(Spanned<Tagged<Key>>, Place)>),
}

type Place = Spanned<Tagged<Raw>>;

/// A key. Where a text is asked for, the parser gives what was written.
struct Key(String);

trait Resolve {
    /// Looks its texts up in the document.
    fn node(self, document: &str) -> Result<Node, BadYaml>;
}

impl Resolve for Place {
    fn node(self, document: &str) -> Result<Node, BadYaml> {
        let Tagged(raw, tag) = self.value;
        if tag.is_some() {
            return Err(tagged(&self.referenced));
        }
        Ok(match raw {
            Raw::Nothing => Node::Scalar(String::new()),
            Raw::Text(text) => Node::Scalar(text),
            Raw::Plain => Node::Scalar(cut(document, &self.defined)?),
            Raw::List(items) => {
                Node::List(items.into_iter().map(|it| item(it, document)).collect::<Result<_, _>>()?)
            }
            Raw::Mapping(entries) => {
                Node::Mapping(entries.into_iter().map(|it| entry(it, document)).collect::<Result<_, _>>()?)
            }
        })
    }
}

fn item(place: Place, document: &str) -> Result<Item, BadYaml> {
    Ok(Item { line: line(&place.referenced), value: place.node(document)? })
}

fn entry((key, value): (Spanned<Tagged<Key>>, Place), document: &str) -> Result<Entry, BadYaml> {
    let Tagged(Key(text), tag) = key.value;
    if tag.is_some() {
        return Err(tagged(&key.referenced));
    }
    Ok(Entry { key: text, line: line(&key.referenced), value: value.node(document)? })
}

/// A tag would be lost silently: `pcap_filter: ! tcp` must not become `tcp`.
fn tagged(place: &Location) -> BadYaml {
    let problem = "a value that begins with '!' is a tag in YAML: put it in quotes";
    BadYaml { line: line(place), problem: problem.to_owned() }
}

fn cut(document: &str, place: &Location) -> Result<String, BadYaml> {
    let span = place.span();
    let range =
        span.byte_offset().zip(span.byte_len()).map(|(from, len)| from as usize..(from + len) as usize);
    let text = range.and_then(|range| document.get(range));
    let text =
        text.ok_or_else(|| BadYaml { line: line(place), problem: "this value must be quoted".to_owned() })?;
    Ok(text.trim_ascii().to_owned())
}

fn line(place: &Location) -> usize {
    place.line() as usize
}

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, a list, or a mapping")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Nothing)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Raw, E> {
        Ok(Raw::Plain)
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw::Text(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(key) = map.next_key()? {
            entries.push((key, map.next_value()?));
        }
        Ok(Raw::Mapping(entries))
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, Node, parse};

    fn show(node: &Node) -> String {
        match node {
            Node::Scalar(text) => format!("{text:?}"),
            Node::List(items) => {
                let shown: Vec<_> =
                    items.iter().map(|item| format!("{}:{}", item.line, show(&item.value))).collect();
                format!("[{}]", shown.join(" "))
            }
            Node::Mapping(entries) => format!("{{{}}}", show_all(entries)),
        }
    }

    fn show_all(entries: &[Entry]) -> String {
        let shown = entries.iter().map(|it| format!("{}:{}={}", it.line, it.key, show(&it.value)));
        shown.collect::<Vec<_>>().join(" ")
    }

    #[track_caller]
    fn reads(text: &str, shown: &str) {
        assert_eq!(show_all(&parse(text.as_bytes()).unwrap()), shown, "{text}");
    }

    #[test]
    fn scalars_are_what_was_written() {
        for value in
            ["0644", "0x1F", "1e999", ".nan", "1_000", "TRUE", "yes", "-7", "1.50", "10.0.0.1", "12:30"]
        {
            reads(&format!("k: {value} # c"), &format!("1:k={value:?}"));
            reads(&format!("ä: {{k: [ {value} , x]}}"), &format!("1:ä={{1:k=[1:{value:?} 1:\"x\"]}}"));
        }
        reads("k: '007'\nl: \"a: b\"\nm: a b  c", "1:k=\"007\" 2:l=\"a: b\" 3:m=\"a b  c\"");
        reads("a:\nb: ~\nc: null\nd: ''", "1:a=\"\" 2:b=\"\" 3:c=\"\" 4:d=\"\"");
    }

    #[test]
    fn lines_are_those_of_the_keys() {
        reads("\n# c\na:\n  - 1\n  - x\nb:\n  c[d]: 2\n", "3:a=[4:\"1\" 5:\"x\"] 6:b={7:c[d]=\"2\"}");
    }

    #[test]
    fn nothing_is_an_empty_mapping() {
        for text in ["", "# only a comment\n", "---\n"] {
            reads(text, "");
        }
    }

    #[test]
    fn anchors_and_merges_work() {
        reads("a: &x 010\nb: *x\n", "1:a=\"010\" 2:b=\"010\"");
        reads("a: &x {k: 1}\nb:\n  <<: *x\n  l: 2\n", "1:a={1:k=\"1\"} 2:b={4:l=\"2\" 3:k=\"1\"}");
    }

    #[test]
    fn duplicates_are_passed_on() {
        reads("a: 1\na: 2", "1:a=\"1\" 2:a=\"2\"");
    }

    #[test]
    fn errors_have_a_line() {
        for (text, line, problem) in [
            (&b"a: 1\nb: [1\nc: 2\n"[..], 3, "not YAML"),
            (b"a: 1\nb: \xff\n", 2, "not UTF-8 text"),
            (b"a: 1\nb: ! tcp\n", 2, "is a tag in YAML"),
            (b"a: !port 80\n", 1, "is a tag in YAML"),
            (b"a: *x\n", 1, "not YAML"),
            (b"- a\n", 1, "expected a mapping"),
            (b"just text\n", 1, "expected a mapping"),
        ] {
            let error = parse(text).unwrap_err();
            assert_eq!(error.line, line, "{error:?}");
            assert!(error.problem.contains(problem), "{error:?}");
        }
    }
}
