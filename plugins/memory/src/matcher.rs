//! A selection, compiled for the keys of a table.
//!
//! Queries that fix the same fields are one group: the octets of these fields are looked up in a map, so that
//! four thousand addresses cost an entry of the table as much as one.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use rpmacct_plugin::Schema;
use rpmacct_primitives::{Field, Kind, primitive};
use rpmacct_query::{MAX_QUERIES, Octets, Selection};

/// Says which queries a key matches.
#[derive(Debug)]
pub(crate) struct Matcher {
    groups: Vec<Group>,
    /// How many queries there are, those that can't match included.
    queries: usize,
    key_len: usize,
}

#[derive(Debug)]
struct Group {
    /// The fields that are fixed, by their place in the key.
    ranges: Vec<Range<usize>>,
    /// Octets of the fields, one behind the other, and the numbers of the queries that want them.
    wanted: HashMap<Vec<u8>, Vec<usize>>,
}

/// What a query says of a key: the octets that must stand at an offset.
type Wanted<'a> = BTreeMap<usize, &'a [u8]>;

impl Matcher {
    /// Compiles a selection. On an error: what is wrong with it.
    pub(crate) fn new(selection: &Selection, schema: &Schema) -> Result<Self, String> {
        if selection.queries.len() > MAX_QUERIES {
            return Err(format!("{} queries, at most {MAX_QUERIES} at once", selection.queries.len()));
        }
        let columns =
            selection.primitives.iter().map(|word| Place::of(word, schema)).collect::<Result<Vec<_>, _>>()?;
        let mut matcher =
            Self { groups: Vec::new(), queries: selection.queries.len(), key_len: schema.key_len() };
        let mut by_ranges = HashMap::new();
        for (number, query) in selection.queries.iter().enumerate() {
            if query.len() != columns.len() {
                return Err(format!("{} values for {} primitives", query.len(), columns.len()));
            }
            if let Some(wanted) = wanted(&columns, query)? {
                matcher.add(number, &wanted, &mut by_ranges);
            }
        }
        Ok(matcher)
    }

    fn add(&mut self, number: usize, wanted: &Wanted<'_>, by_ranges: &mut HashMap<Vec<Range<usize>>, usize>) {
        let ranges: Vec<_> = wanted.iter().map(|(&start, octets)| start..start + octets.len()).collect();
        let group = *by_ranges.entry(ranges).or_insert_with_key(|ranges| {
            self.groups.push(Group { ranges: ranges.clone(), wanted: HashMap::new() });
            self.groups.len() - 1
        });
        let octets = wanted.values().copied().flatten().copied().collect();
        self.groups[group].wanted.entry(octets).or_default().push(number);
    }

    /// How many queries there are.
    pub(crate) fn queries(&self) -> usize {
        self.queries
    }

    /// The keys that are wanted, in the order of the queries, if every query fixes the whole key.
    pub(crate) fn exact_keys(&self) -> Option<impl Iterator<Item = &[u8]>> {
        let is_exact =
            |group: &Group| group.ranges.iter().map(ExactSizeIterator::len).sum::<usize>() == self.key_len;
        self.groups.iter().all(is_exact).then(|| {
            let mut keys: Vec<_> = self.groups.iter().flat_map(|group| &group.wanted).collect();
            keys.sort_unstable_by_key(|(_, queries)| queries.first());
            keys.into_iter().map(|(key, _)| key.as_slice())
        })
    }

    /// The numbers of the queries that match every key.
    pub(crate) fn match_all(&self) -> impl Iterator<Item = usize> {
        let all = self.groups.iter().filter(|group| group.ranges.is_empty());
        all.flat_map(|group| group.wanted.values().flatten().copied())
    }

    /// Whether the key matches one of the queries. `scratch` is room to work in.
    pub(crate) fn matches(&self, key: &[u8], scratch: &mut Vec<u8>) -> bool {
        self.groups.iter().any(|group| group.queries(key, scratch).is_some())
    }

    /// Calls `found` with the number of each query that the key matches.
    pub(crate) fn each_query(&self, key: &[u8], scratch: &mut Vec<u8>, mut found: impl FnMut(usize)) {
        for group in &self.groups {
            group.queries(key, scratch).into_iter().flatten().for_each(|number| found(*number));
        }
    }
}

impl Group {
    fn queries(&self, key: &[u8], scratch: &mut Vec<u8>) -> Option<&Vec<usize>> {
        scratch.clear();
        for range in &self.ranges {
            scratch.extend_from_slice(&key[range.clone()]);
        }
        self.wanted.get(scratch.as_slice())
    }
}

/// Where the values of a primitive stand in keys.
struct Place {
    word: String,
    kind: Kind,
    /// `None` if the table is not aggregated by it.
    field: Option<Field>,
}

impl Place {
    fn of(word: &str, schema: &Schema) -> Result<Self, String> {
        let row = primitive(word).ok_or_else(|| format!("unknown primitive '{word}'"))?;
        // Not by the word: `sum_host` fills the column of `src_host`.
        let field = schema.fields().iter().find(|field| field.primitive.heading == row.heading).copied();
        Ok(Self { word: word.to_owned(), kind: row.kind, field })
    }
}

/// What a query wants; `None` if no key can match.
fn wanted<'a>(places: &[Place], query: &'a [Option<Octets>]) -> Result<Option<Wanted<'a>>, String> {
    let mut wanted = Wanted::new();
    for (place, value) in places.iter().zip(query) {
        let Some(Octets(octets)) = value else { continue };
        if octets.len() != place.kind.width() {
            return Err(format!(
                "a value of '{}' has {} octets, not {}",
                place.word,
                place.kind.width(),
                octets.len()
            ));
        }
        match &place.field {
            Some(field) => {
                if wanted.insert(field.offset, octets).is_some_and(|other| other != octets) {
                    return Ok(None);
                }
            }
            // What is not aggregated is zero everywhere, in the eyes of the scripts.
            None if is_zero(place.kind, octets) => {}
            None => return Ok(None),
        }
    }
    Ok(Some(wanted))
}

fn is_zero(kind: Kind, octets: &[u8]) -> bool {
    // The first octet of an address is its family.
    let value = if kind == Kind::Ip { &octets[1..] } else { octets };
    value.iter().all(|octet| *octet == 0)
}

#[cfg(test)]
mod tests {
    use rpmacct_primitives::SchemaOptions;

    use super::*;

    fn octets(word: &str, text: &str) -> Option<Octets> {
        let kind = primitive(word).unwrap().kind;
        let mut octets = vec![0; kind.width()];
        kind.write(kind.parse(text).ok()?, &mut octets);
        Some(Octets(octets))
    }

    /// `*` is not a value of anything.
    fn matcher(aggregate: &str, words: &str, queries: &str) -> Matcher {
        let schema = Schema::parse(aggregate, SchemaOptions::default()).unwrap();
        let primitives: Vec<String> = words.split(',').map(str::to_owned).collect();
        let query =
            |text: &str| primitives.iter().zip(text.split(',')).map(|(word, v)| octets(word, v)).collect();
        let queries = queries.split(';').map(query).collect();
        Matcher::new(&Selection { primitives, queries }, &schema).unwrap()
    }

    fn key(words: &str, values: &str) -> Vec<u8> {
        words
            .split(',')
            .zip(values.split(','))
            .flat_map(|(word, value)| octets(word, value).unwrap().0)
            .collect()
    }

    fn found(matcher: &Matcher, key: &[u8]) -> Vec<usize> {
        let (mut found, mut scratch) = (Vec::new(), Vec::new());
        matcher.each_query(key, &mut scratch, |number| found.push(number));
        assert_eq!(matcher.matches(key, &mut scratch), !found.is_empty());
        found.sort_unstable();
        found
    }

    const FIVE: &str = "src_host,dst_host,src_port,dst_port,proto";

    #[test]
    fn values_wildcards_and_twice_the_same() {
        let matcher = matcher(FIVE, "proto,src_host", "6,10.0.0.1;*,10.0.0.1;17,*;*,*;6,10.0.0.1");
        let tcp = key(FIVE, "10.0.0.1,10.0.0.2,40000,80,6");
        let udp = key(FIVE, "10.0.0.9,10.0.0.2,40000,80,17");
        assert_eq!(found(&matcher, &tcp), [0, 1, 3, 4]);
        assert_eq!(found(&matcher, &udp), [2, 3]);
        assert_eq!(matcher.match_all().collect::<Vec<_>>(), [3]);
        assert!(matcher.exact_keys().is_none());
    }

    #[test]
    fn whole_keys_are_known() {
        let matcher = matcher("src_host,proto", "proto,src_host", "6,10.0.0.1;17,10.0.0.1");
        let keys: Vec<_> = matcher.exact_keys().unwrap().collect();
        assert_eq!(keys, [key("src_host,proto", "10.0.0.1,6"), key("src_host,proto", "10.0.0.1,17")]);
    }

    #[test]
    fn what_is_not_aggregated_matches_zero_only() {
        let host = key("src_host", "10.0.0.1");
        assert_eq!(found(&matcher("src_host", "vlan", "1;0"), &host), [1]);
        assert_eq!(found(&matcher("src_host", "dst_host", "10.0.0.1;0.0.0.0;::"), &host), [1, 2]);
    }

    #[test]
    fn sums_are_looked_for_by_their_column() {
        let host = key("src_host", "10.0.0.1");
        assert_eq!(found(&matcher("sum_host", "src_host", "10.0.0.1"), &host), [0]);
    }

    #[test]
    fn contradictions_match_nothing() {
        let host = key("src_host", "10.0.0.1");
        assert_eq!(
            found(&matcher("src_host", "src_host,src_host", "10.0.0.1,10.0.0.2;10.0.0.1,10.0.0.1"), &host),
            [1]
        );
    }

    #[test]
    fn nonsense_is_an_error() {
        let schema = Schema::parse("src_host", SchemaOptions::default()).unwrap();
        let error = |primitives: &[&str], queries: Vec<Vec<Option<Octets>>>| {
            let primitives = primitives.iter().map(|&word| word.to_owned()).collect();
            Matcher::new(&Selection { primitives, queries }, &schema).unwrap_err()
        };
        assert_eq!(error(&["martian"], Vec::new()), "unknown primitive 'martian'");
        assert_eq!(error(&["src_host"], vec![vec![]]), "0 values for 1 primitives");
        assert_eq!(
            error(&["src_host"], vec![vec![Some(Octets(vec![4]))]]),
            "a value of 'src_host' has 17 octets, not 1"
        );
        assert_eq!(error(&[], vec![Vec::new(); 4097]), "4097 queries, at most 4096 at once");
    }
}
