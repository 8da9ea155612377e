//! An `aggregate` list, compiled.

use std::sync::Arc;

use rpmacct_packet::Timestamp;

use crate::custom::{Custom, CustomField};
use crate::kind::{Kind, Value};
use crate::observation::Observation;
use crate::primitive::{Needs, Primitive, Read, Role, Unfilled};
use crate::record::RecordLayout;
use crate::steps::Step;
use crate::table::{TABLE, primitive, words};

/// Which octets of a key belong to which primitive, and how they are filled from a packet.
#[derive(Debug, Clone)]
pub struct Schema {
    fields: Vec<Field>,
    /// How the key of each end is written.
    source: Vec<Step>,
    destination: Vec<Step>,
    columns: Vec<Column>,
    key_len: usize,
    counts_twice: bool,
    has_tcp_flags: bool,
    has_flows: bool,
    needs: Needs,
    options: SchemaOptions,
    /// The users' own primitives: behind all others, in the order of their file.
    customs: Vec<CustomField>,
}

/// One primitive's part of the key.
#[derive(Debug, Clone, Copy)]
pub struct Field {
    /// The primitive.
    pub primitive: &'static Primitive,
    /// Where its octets begin in the key.
    pub offset: usize,
    source: Read,
    destination: Read,
}

/// A column of the output, in order.
#[derive(Debug, Clone)]
pub enum Column {
    /// A part of the key.
    Key(Field),
    /// The OR-ed TCP flags.
    TcpFlags(&'static Primitive),
    /// A primitive that is not in the key: nothing fills it, or it is not aggregated and all columns are wanted.
    Absent(&'static Primitive),
    /// A primitive that the user defined.
    Custom(CustomField),
}

/// How a column looks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Face<'a> {
    pub(crate) heading: &'a str,
    pub(crate) json: &'a str,
    /// As [`Primitive::value_width`].
    pub(crate) value_width: usize,
    /// As [`Primitive::column_width`].
    pub(crate) column_width: usize,
    pub(crate) kind: Kind,
}

/// What changes keys besides the words of `aggregate`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SchemaOptions {
    /// `timestamps_secs`: times in keys are cut to whole seconds.
    pub whole_seconds: bool,
    /// `pmacctd_stitching`: each packet's time counts, for those of the first and the last of a row.
    pub stitching: bool,
}

/// Which end of a packet a record is for. Only `sum_*` makes a record for each end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The source, or both where nothing is summed.
    Source,
    /// The destination.
    Destination,
}

/// Why a list of primitives is no schema.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SchemaError {
    /// A word that is not in the table.
    #[error("unknown primitive '{word}'")]
    Unknown {
        /// The word as it was written.
        word: String,
    },
    /// Two primitives that would fill the same column.
    #[error("'{0}' and '{1}' fill the same column; use one of them")]
    SameColumn(&'static str, &'static str),
}

impl Schema {
    /// Compiles a comma-separated list of primitives. Case and blanks do not matter, and neither does the
    /// order; repeating a word is harmless. An empty list is `src_host`, the peer's default.
    pub fn parse(aggregate: &str, options: SchemaOptions) -> Result<Self, SchemaError> {
        Self::parse_with(aggregate, options, &[])
    }

    /// As [`Self::parse`], where the list may also name primitives of the user's own.
    pub fn parse_with(
        aggregate: &str,
        options: SchemaOptions,
        customs: &[Arc<Custom>],
    ) -> Result<Self, SchemaError> {
        let text: String =
            aggregate.chars().filter(|c| !c.is_whitespace()).collect::<String>().to_lowercase();
        let mut chosen = Vec::new();
        let mut own = vec![false; customs.len()];
        for word in text.split(',').filter(|word| !word.is_empty()) {
            if let Some(row) = primitive(word) {
                chosen.push(row.word);
            } else if let Some(i) = customs.iter().position(|custom| custom.name.eq_ignore_ascii_case(word)) {
                own[i] = true;
            } else {
                return Err(SchemaError::Unknown { word: word.to_owned() });
            }
        }
        if chosen.is_empty() && !own.contains(&true) {
            chosen.push("src_host");
        }
        // A word may have two rows.
        let mut schema = Self::of_rows(TABLE.iter().filter(|row| chosen.contains(&row.word)), options)?;
        for (custom, _) in customs.iter().zip(own).filter(|(_, is_chosen)| *is_chosen) {
            schema.append(custom);
        }
        Ok(schema)
    }

    fn append(&mut self, custom: &Arc<Custom>) {
        let field = CustomField { custom: Arc::clone(custom), offset: self.key_len };
        self.key_len += custom.kind().width();
        self.columns.push(Column::Custom(field.clone()));
        self.customs.push(field);
    }

    fn of_rows(
        rows: impl Iterator<Item = &'static Primitive>,
        options: SchemaOptions,
    ) -> Result<Self, SchemaError> {
        let mut schema = Self {
            fields: Vec::new(),
            source: Vec::new(),
            destination: Vec::new(),
            columns: Vec::new(),
            key_len: 0,
            counts_twice: false,
            has_tcp_flags: false,
            has_flows: false,
            needs: Needs::default(),
            options,
            customs: Vec::new(),
        };
        for row in rows {
            let twin = schema.columns.iter().filter_map(Column::primitive).find(|c| c.heading == row.heading);
            if let Some(twin) = twin {
                return Err(SchemaError::SameColumn(twin.word, row.word));
            }
            schema.needs = schema.needs.or(row.needs);
            let (source, destination) = match row.role {
                Role::Key(read) => (read, read),
                Role::Sum(source, destination) => {
                    schema.counts_twice = true;
                    (source, destination)
                }
                Role::TcpFlags => {
                    schema.has_tcp_flags = true;
                    schema.columns.push(Column::TcpFlags(row));
                    continue;
                }
                Role::Flows => {
                    schema.has_flows = true;
                    continue;
                }
                Role::Unfilled(_) => {
                    schema.columns.push(Column::Absent(row));
                    continue;
                }
                Role::Nothing => continue,
            };
            let field = Field { primitive: row, offset: schema.key_len, source, destination };
            schema.key_len += row.kind.width();
            schema.fields.push(field);
            schema.columns.push(Column::Key(field));
        }
        schema.source = Step::plan(&schema.fields, End::Source);
        schema.destination = Step::plan(&schema.fields, End::Destination);
        Ok(schema)
    }

    /// The parts of the key, in the order of their octets.
    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// The field of a primitive, by its word or one of its aliases.
    pub fn field(&self, word: &str) -> Option<&Field> {
        let row = primitive(word)?;
        self.fields.iter().find(|field| std::ptr::eq(field.primitive, row))
    }

    /// The columns before the counters, in the order of print's output.
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// A column for every primitive there is, those that are not aggregated included.
    pub fn all_columns(&self) -> Vec<Column> {
        let is_of = |heading| move |column: &&Column| column.face().heading == heading;
        let mut columns = Vec::<Column>::new();
        for row in TABLE.iter().filter(|row| !matches!(row.role, Role::Nothing | Role::Flows)) {
            if !columns.iter().any(|column| is_of(row.heading)(&column)) {
                let own = self.columns.iter().find(is_of(row.heading));
                columns.push(own.cloned().unwrap_or(Column::Absent(row)));
            }
        }
        columns.extend(self.customs.iter().cloned().map(Column::Custom));
        columns
    }

    /// Octets of a key.
    pub fn key_len(&self) -> usize {
        self.key_len
    }

    /// The layout of this schema's records.
    pub fn layout(&self) -> RecordLayout {
        RecordLayout::new(self.key_len)
    }

    /// Whether every packet makes two records (`sum_host` and its like).
    pub fn counts_twice(&self) -> bool {
        self.counts_twice
    }

    /// Whether the TCP flags are wanted.
    pub fn has_tcp_flags(&self) -> bool {
        self.has_tcp_flags
    }

    /// Whether flows are counted.
    pub fn has_flows(&self) -> bool {
        self.has_flows
    }

    /// The primitives of the user's own, in the order of their octets, which are behind all other fields.
    pub fn customs(&self) -> &[CustomField] {
        &self.customs
    }

    /// The primitives whose columns nothing fills, each once, and why.
    pub fn unfilled(&self) -> impl Iterator<Item = (&'static str, Unfilled)> {
        let mut last = "";
        self.columns.iter().filter_map(Column::primitive).filter_map(move |row| match row.role {
            Role::Unfilled(why) if std::mem::replace(&mut last, row.word) != row.word => {
                Some((row.word, why))
            }
            _ => None,
        })
    }

    /// The options that it was compiled with.
    pub fn options(&self) -> SchemaOptions {
        self.options
    }

    /// Whether a record must be of one packet: its time would be lost, or hardly any key comes twice.
    pub fn is_by_packet(&self) -> bool {
        self.options.stitching || self.has_times()
    }

    /// Whether keys hold times, so that hardly any key comes twice.
    pub fn has_times(&self) -> bool {
        self.fields.iter().any(|field| field.primitive.kind == Kind::Time)
    }

    /// What the core must find out for this schema.
    pub fn needs(&self) -> Needs {
        self.needs
    }

    /// The list of primitives that compiles to this schema again.
    pub fn aggregate(&self) -> String {
        let mut words: Vec<&str> = self.columns.iter().map(Column::word).collect();
        words.dedup();
        if self.has_flows {
            words.push("flows");
        }
        if words.is_empty() { "none".to_owned() } else { words.join(",") }
    }

    /// Writes the key of a packet. `key` must be [`Self::key_len`] octets long.
    #[inline]
    pub fn write_key(&self, observation: &Observation<'_>, end: End, key: &mut [u8]) {
        let cut;
        let observation = if self.options.whole_seconds {
            let time = Timestamp::from_secs_nanos(observation.time.secs(), 0);
            cut = Observation { time, ..*observation };
            &cut
        } else {
            observation
        };
        let steps = if end == End::Source { &self.source } else { &self.destination };
        for step in steps {
            step.write(observation, key);
        }
        for field in &self.customs {
            field.custom.read(observation, &mut key[field.range()]);
        }
    }
}

impl Field {
    /// The octets of this field in a key.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.primitive.kind.width()
    }

    /// What reads it from a packet.
    pub(crate) fn read(&self, end: End) -> Read {
        if end == End::Source { self.source } else { self.destination }
    }

    /// The value of this field in `key`.
    pub fn value<'a>(&self, key: &'a [u8]) -> Value<'a> {
        self.primitive.kind.value(&key[self.range()])
    }
}

impl CustomField {
    /// The octets of this field in a key.
    pub fn range(&self) -> std::ops::Range<usize> {
        self.offset..self.offset + self.custom.kind().width()
    }

    /// The value of this field in `key`.
    pub fn value<'a>(&self, key: &'a [u8]) -> Value<'a> {
        self.custom.kind().value(&key[self.range()])
    }
}

impl Column {
    /// The primitive that the column shows; `None` if it is one of the user's own.
    pub fn primitive(&self) -> Option<&'static Primitive> {
        match self {
            Self::Key(field) => Some(field.primitive),
            Self::TcpFlags(row) | Self::Absent(row) => Some(row),
            Self::Custom(_) => None,
        }
    }

    /// Its word in `aggregate`.
    pub fn word(&self) -> &str {
        match self {
            Self::Key(field) => field.primitive.word,
            Self::TcpFlags(row) | Self::Absent(row) => row.word,
            Self::Custom(field) => &field.custom.name,
        }
    }

    /// Its name in print's JSON.
    pub fn json(&self) -> &str {
        self.face().json
    }

    /// What its values are.
    pub fn kind(&self) -> Kind {
        self.face().kind
    }

    pub(crate) fn face(&self) -> Face<'_> {
        match self {
            Self::Key(field) => Face::of(field.primitive),
            Self::TcpFlags(row) | Self::Absent(row) => Face::of(row),
            Self::Custom(CustomField { custom, .. }) => Face {
                heading: &custom.name,
                json: &custom.name,
                value_width: custom.width(),
                column_width: custom.width() + 2,
                kind: custom.kind(),
            },
        }
    }
}

impl Face<'static> {
    fn of(row: &'static Primitive) -> Self {
        let Primitive { heading, json, value_width, column_width, kind, .. } = *row;
        Self { heading, json, value_width, column_width, kind }
    }
}

impl SchemaError {
    /// The word that is wrong, and the words that could have been meant.
    pub fn unknown_word(&self) -> Option<(&str, impl Iterator<Item = &'static str> + use<>)> {
        match self {
            Self::Unknown { word } => Some((word, words())),
            Self::SameColumn(..) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(aggregate: &str) -> Result<Schema, SchemaError> {
        Schema::parse(aggregate, SchemaOptions::default())
    }

    #[test]
    fn order_case_and_blanks_do_not_matter() {
        let a = parse("dst_host, SRC_host,src_ host").unwrap();
        assert_eq!(a.aggregate(), "src_host,dst_host");
        assert_eq!(a.field("dst_host").unwrap().range(), 17..34);
    }

    #[test]
    fn every_word_compiles_and_round_trips() {
        for word in words() {
            let schema = parse(word).unwrap();
            assert_eq!(parse(&schema.aggregate()).unwrap().aggregate(), schema.aggregate(), "{word}");
        }
    }

    #[test]
    fn nothing_and_the_default() {
        assert_eq!(parse("none").unwrap().key_len(), 0);
        assert_eq!(parse("none").unwrap().aggregate(), "none");
        assert_eq!(parse(" ").unwrap().aggregate(), "src_host");
    }

    #[test]
    fn sums_keep_their_neighbours() {
        let schema = parse("sum_host, proto").unwrap();
        assert!(schema.counts_twice());
        assert_eq!(schema.aggregate(), "sum_host,proto");
        assert_eq!(parse("sum_host, src_host").unwrap_err(), SchemaError::SameColumn("src_host", "sum_host"));
    }

    #[test]
    fn only_ports_make_fragments_wait() {
        assert!(!parse("src_host, proto, vlan, tcpflags").unwrap().needs().ports);
        for word in ["src_port", "dst_port", "sum_port"] {
            assert!(parse(word).unwrap().needs().ports, "{word}");
        }
    }
}
