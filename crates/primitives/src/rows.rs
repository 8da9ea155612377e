//! Keys and counters as the lines that users and their scripts read.

use std::io::Write as _;
use std::str::FromStr;

use rpmacct_packet::Timestamp;

use crate::kind::Kind;
use crate::primitive::Group;
use crate::record::Counters;
use crate::schema::{Column, Face, Field, Schema};
use crate::text::{TimeStyle, ValueStyle, Zone, write_number, write_value};

/// The shape of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Columns padded with blanks.
    Formatted,
    /// Values joined by a separator.
    Csv,
    /// One JSON object a line.
    Json,
    /// [`Self::Formatted`] without counters.
    EventFormatted,
    /// [`Self::Csv`] without counters.
    EventCsv,
}

impl Layout {
    /// The words that choose a layout, in the order of the documentation.
    pub const WORDS: &[&str] = &["formatted", "csv", "json", "event_formatted", "event_csv"];

    /// Whether the layout shows counters.
    pub const fn has_counters(self) -> bool {
        !matches!(self, Self::EventFormatted | Self::EventCsv)
    }
}

impl FromStr for Layout {
    type Err = StyleError;

    fn from_str(word: &str) -> Result<Self, StyleError> {
        Ok(match word {
            "formatted" => Self::Formatted,
            "csv" => Self::Csv,
            "json" => Self::Json,
            "event_formatted" => Self::EventFormatted,
            "event_csv" => Self::EventCsv,
            _ => return Err(StyleError::Layout(word.to_owned())),
        })
    }
}

/// Why an output style can't be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StyleError {
    /// A word that names no layout.
    #[error("unknown output '{0}' (expected one of formatted, csv, json, event_formatted, event_csv)")]
    Layout(String),
    /// A separator of more than one character.
    #[error("'{0}' is not a separator (expected one character, \\t or \\s)")]
    Separator(String),
}

/// Whose output it is: the print plugin and the client differ in details that scripts depend on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// The print plugin.
    Print,
    /// The client.
    Client,
}

/// How rows are written.
#[derive(Debug, Clone)]
pub struct Style {
    /// Print's or the client's.
    pub dialect: Dialect,
    /// The shape.
    pub layout: Layout,
    /// Between the values of a CSV line.
    pub separator: char,
    /// Protocols as numbers.
    pub numeric_protocols: bool,
    /// How times are written.
    pub time: TimeStyle,
    /// The zone of times.
    pub zone: Zone,
    /// A column for every primitive, not only for those that are aggregated.
    pub all_columns: bool,
    /// JSON types as those of pmacctd 1.7: TCP flags are a string.
    pub json_as_1_7: bool,
    /// JSON objects begin with `"event_type": "purge"`: print's do.
    pub event_type: bool,
}

impl Style {
    /// The defaults of a dialect: formatted, a comma, names, local time.
    pub fn new(dialect: Dialect) -> Self {
        let time = if dialect == Dialect::Print { TimeStyle::Plain } else { TimeStyle::Zulu };
        Self {
            dialect,
            layout: Layout::Formatted,
            separator: ',',
            numeric_protocols: false,
            time,
            zone: Zone::local(),
            all_columns: false,
            json_as_1_7: false,
            event_type: dialect == Dialect::Print,
        }
    }

    /// Reads a separator: one character, or the words `\t` and `\s`.
    pub fn parse_separator(text: &str) -> Result<char, StyleError> {
        let mut chars = text.chars();
        match (text, chars.next(), chars.next()) {
            ("\\t", ..) => Ok('\t'),
            ("\\s", ..) => Ok(' '),
            (_, Some(c), None) => Ok(c),
            _ => Err(StyleError::Separator(text.to_owned())),
        }
    }
}

const COUNTER_WIDTH: usize = 20;
const COUNTER_GAP: usize = 2;

/// Writes the rows of one schema in one style.
#[derive(Debug)]
pub struct Rows {
    columns: Vec<Column>,
    style: Style,
    separator: String,
    /// Whether a value may hold the separator, so that each must be looked at.
    may_need_quotes: bool,
    /// Columns of times before the counters that are not a part of the key.
    moments: Vec<Moment>,
    /// What a row shows in them.
    moments_text: Vec<u8>,
    /// Whether flows are a column.
    has_flows: bool,
}

/// A time that rows show besides their key.
#[derive(Debug, Clone, Copy)]
struct Moment {
    heading: &'static str,
    json: &'static str,
    /// Whether it is shown with microseconds.
    is_fine: bool,
    of: fn(&Moments) -> Timestamp,
}

/// Times of a row that are not a part of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moments {
    /// Of its first packet.
    pub first: Timestamp,
    /// Of its last packet.
    pub last: Timestamp,
    /// The beginning of its bin.
    pub inserted: Timestamp,
    /// When it is written.
    pub updated: Timestamp,
}

/// Added by [`Rows::with_span`].
const SPAN: [Moment; 2] = [
    Moment { heading: "TIMESTAMP_MIN", json: "timestamp_min", is_fine: true, of: |moments| moments.first },
    Moment { heading: "TIMESTAMP_MAX", json: "timestamp_max", is_fine: true, of: |moments| moments.last },
];
/// Added by [`Rows::with_stamps`].
const STAMPS: [Moment; 2] = [
    Moment {
        heading: "STAMP_INSERTED",
        json: "stamp_inserted",
        is_fine: false,
        of: |moments| moments.inserted,
    },
    Moment { heading: "STAMP_UPDATED", json: "stamp_updated", is_fine: false, of: |moments| moments.updated },
];
/// Their width in formatted output, that of all times.
const MOMENT_WIDTH: usize = 31;

impl Moment {
    fn write(&self, moments: &Moments, style: &Style, out: &mut Vec<u8>) {
        let at = (self.of)(moments);
        if self.is_fine {
            style.time.write(Some(at), &style.zone, out);
        } else {
            style.time.write_seconds(at, &style.zone, out);
        }
    }
}

impl Rows {
    /// Rows of `schema` in `style`.
    pub fn new(schema: &Schema, style: Style) -> Self {
        let mut columns = if style.all_columns { schema.all_columns() } else { schema.columns().to_vec() };
        if style.dialect == Dialect::Client {
            // A stable sort: only the interfaces move.
            columns.sort_by_key(|column| match column.primitive().map(|row| row.group) {
                Some(Group::Tag) => 0,
                Some(Group::Interface) => 1,
                _ => 2,
            });
        }
        let separator = style.separator.to_string();
        // What values are made of: numbers, names of protocols, addresses, times. Texts hold anything.
        let holds_text = columns.iter().any(|column| matches!(column.face().kind, Kind::Text(_)));
        let may_need_quotes =
            holds_text || style.separator.is_ascii_alphanumeric() || "+-.:_ \"".contains(style.separator);
        let has_flows = schema.has_flows() || style.all_columns;
        Self {
            columns,
            style,
            separator,
            may_need_quotes,
            has_flows,
            moments: Vec::new(),
            moments_text: Vec::new(),
        }
    }

    /// Adds two columns before the counters: the times of the first and the last packet. They come before those of
    /// [`Self::with_stamps`].
    #[must_use]
    pub fn with_span(mut self) -> Self {
        self.moments.splice(0..0, SPAN);
        self
    }

    /// Adds two columns before the counters: the beginning of the row's bin of time, and when it is written.
    #[must_use]
    pub fn with_stamps(mut self) -> Self {
        self.moments.extend(STAMPS);
        self
    }

    /// What these columns show from now on.
    pub fn set_moments(&mut self, moments: &Moments) {
        let Self { moments: columns, moments_text: text, style, separator, .. } = self;
        text.clear();
        let mut time = Vec::new();
        for column in columns {
            time.clear();
            column.write(moments, style, &mut time);
            match style.layout {
                Layout::Json => {
                    let name = column.json.as_bytes();
                    text.extend([b"\"", name, b"\": \"", &time, b"\", "].into_iter().flatten());
                }
                Layout::Formatted | Layout::EventFormatted => {
                    padded(text, MOMENT_WIDTH, |out| out.extend_from_slice(&time));
                }
                Layout::Csv | Layout::EventCsv => {
                    if !text.is_empty() {
                        text.extend_from_slice(separator.as_bytes());
                    }
                    quote_if_needed(&mut time, 0, separator);
                    text.extend_from_slice(&time);
                }
            }
        }
    }

    /// Names in JSON, and values, of the columns that [`Self::set_moments`] fills.
    pub fn moments(&self) -> impl Iterator<Item = (&'static str, impl Fn(&Moments, &mut Vec<u8>) + use<'_>)> {
        self.moments.iter().map(|column| {
            (column.json, |moments: &Moments, out: &mut Vec<u8>| column.write(moments, &self.style, out))
        })
    }

    /// Appends the value of a part of the key, as the rows show it; nothing for an address that is absent.
    pub fn value_of(&self, field: &Field, key: &[u8], out: &mut Vec<u8>) {
        self.column_value(&Column::Key(*field), key, out);
    }

    /// Appends the value of a column as the rows show it, nothing for an address that is absent. (TCP flags are
    /// no part of the key: they are 0.)
    pub fn column_value(&self, column: &Column, key: &[u8], out: &mut Vec<u8>) {
        self.value(column, key, &Counters::default(), "", out);
    }

    /// Appends the heading line. JSON has none.
    pub fn header(&self, out: &mut Vec<u8>) {
        match self.style.layout {
            Layout::Json => return,
            Layout::Formatted | Layout::EventFormatted => {
                for face in self.faces() {
                    padded(out, face.column_width, |out| out.extend_from_slice(face.heading.as_bytes()));
                }
                for column in &self.moments {
                    padded(out, MOMENT_WIDTH, |out| out.extend_from_slice(column.heading.as_bytes()));
                }
                if self.style.layout.has_counters() {
                    padded(out, COUNTER_WIDTH + COUNTER_GAP, |out| out.extend_from_slice(b"PACKETS"));
                    if self.has_flows {
                        padded(out, COUNTER_WIDTH + COUNTER_GAP, |out| out.extend_from_slice(b"FLOWS"));
                    }
                    out.extend_from_slice(b"BYTES");
                }
            }
            Layout::Csv | Layout::EventCsv => {
                let mut between = Between::new(&self.separator);
                for face in self.faces() {
                    between.next(out);
                    out.extend_from_slice(face.heading.as_bytes());
                }
                for column in &self.moments {
                    between.next(out);
                    out.extend_from_slice(column.heading.as_bytes());
                }
                if self.style.layout.has_counters() {
                    let flows = if self.has_flows { Some("FLOWS") } else { None };
                    for heading in ["PACKETS"].into_iter().chain(flows).chain(["BYTES"]) {
                        between.next(out);
                        out.extend_from_slice(heading.as_bytes());
                    }
                }
            }
        }
        out.push(b'\n');
    }

    /// Appends the line of one key.
    pub fn row(&self, key: &[u8], counters: &Counters, out: &mut Vec<u8>) {
        match self.style.layout {
            Layout::Json => self.json_row(key, counters, out),
            Layout::Formatted | Layout::EventFormatted => self.formatted_row(key, counters, out),
            Layout::Csv | Layout::EventCsv => self.csv_row(key, counters, out),
        }
        out.push(b'\n');
    }

    /// Appends the line of all keys that found no room in a full table. Its first column says `other`, the rest
    /// are `*`; in JSON they are null, and there is `"other": true`.
    pub fn other(&self, counters: &Counters, out: &mut Vec<u8>) {
        let text = |number: usize, column: &Column| match column {
            Column::TcpFlags(_) => counters.tcp_flags.to_string(),
            _ if number == 0 => "other".to_owned(),
            _ => "*".to_owned(),
        };
        let cells = self.columns.iter().enumerate().map(|(number, column)| (column, text(number, column)));
        match self.style.layout {
            Layout::Json => {
                out.push(b'{');
                for column in &self.columns {
                    let _ = write!(out, "\"{}\": null, ", self.json_name(column));
                }
                out.extend_from_slice(b"\"other\": true, ");
                self.json_counters(counters, out);
            }
            Layout::Formatted | Layout::EventFormatted => {
                for (column, text) in cells {
                    padded(out, column.face().column_width, |out| {
                        out.extend_from_slice(text.as_bytes());
                    });
                }
                self.formatted_counters(counters, out);
            }
            Layout::Csv | Layout::EventCsv => {
                let mut cells: Vec<String> = cells.map(|(_, text)| text).collect();
                cells.extend(self.csv_counters(counters).map(|n| n.to_string()));
                out.extend_from_slice(cells.join(&self.separator).as_bytes());
            }
        }
        out.push(b'\n');
    }

    /// The client has `in_cvlan` where print has `cvlan_in`.
    fn json_name<'a>(&self, column: &'a Column) -> &'a str {
        match column.primitive() {
            Some(row) if self.style.dialect == Dialect::Client && row.json.starts_with("cvlan_") => row.word,
            _ => column.face().json,
        }
    }

    fn faces(&self) -> impl Iterator<Item = Face<'_>> {
        self.columns.iter().map(Column::face)
    }

    fn formatted_row(&self, key: &[u8], counters: &Counters, out: &mut Vec<u8>) {
        let absent_ip = if self.style.dialect == Dialect::Print { "::" } else { "0" };
        for column in &self.columns {
            let face = column.face();
            padded(out, face.value_width, |out| self.value(column, key, counters, absent_ip, out));
            out.extend(std::iter::repeat_n(b' ', face.column_width - face.value_width));
        }
        out.extend_from_slice(&self.moments_text);
        self.formatted_counters(counters, out);
    }

    fn formatted_counters(&self, counters: &Counters, out: &mut Vec<u8>) {
        if !self.style.layout.has_counters() {
            return;
        }
        padded(out, COUNTER_WIDTH, |out| write_number(counters.packets, out));
        out.extend_from_slice(b"  ");
        if self.has_flows {
            padded(out, COUNTER_WIDTH, |out| write_number(counters.flows, out));
            out.extend_from_slice(b"  ");
        }
        write_number(counters.bytes, out);
    }

    /// The counters that CSV shows, in order.
    fn csv_counters(&self, counters: &Counters) -> impl Iterator<Item = u64> + use<> {
        let Counters { packets, bytes, flows, .. } = *counters;
        let flows = if self.has_flows { Some(flows) } else { None };
        let shown = if self.style.layout.has_counters() { 3 } else { 0 };
        [packets].into_iter().chain(flows).chain([bytes]).take(shown)
    }

    fn json_counters(&self, counters: &Counters, out: &mut Vec<u8>) {
        out.extend_from_slice(br#""packets": "#);
        write_number(counters.packets, out);
        if self.has_flows {
            out.extend_from_slice(br#", "flows": "#);
            write_number(counters.flows, out);
        }
        out.extend_from_slice(br#", "bytes": "#);
        write_number(counters.bytes, out);
        out.push(b'}');
    }

    fn csv_row(&self, key: &[u8], counters: &Counters, out: &mut Vec<u8>) {
        let mut between = Between::new(&self.separator);
        for column in &self.columns {
            between.next(out);
            let start = out.len();
            self.value(column, key, counters, "", out);
            if self.may_need_quotes {
                quote_if_needed(out, start, &self.separator);
            }
        }
        if !self.moments.is_empty() {
            between.next(out);
            out.extend_from_slice(&self.moments_text);
        }
        for n in self.csv_counters(counters) {
            between.next(out);
            write_number(n, out);
        }
    }

    fn json_row(&self, key: &[u8], counters: &Counters, out: &mut Vec<u8>) {
        out.push(b'{');
        if self.style.event_type {
            out.extend_from_slice(br#""event_type": "purge", "#);
        }
        for column in &self.columns {
            out.push(b'"');
            out.extend_from_slice(self.json_name(column).as_bytes());
            out.extend_from_slice(b"\": ");
            let kind = column.face().kind;
            let number = match column {
                // The client's answer has it as a string, in all versions of the peer.
                Column::TcpFlags(_) => self.style.dialect == Dialect::Print && !self.style.json_as_1_7,
                _ => kind.is_json_number(),
            };
            if !number {
                out.push(b'"');
            }
            let start = out.len();
            self.value(column, key, counters, "", out);
            // Addresses, names and times need no escaping.
            if matches!(kind, Kind::Text(_)) {
                escape(out, start);
            }
            if !number {
                out.push(b'"');
            }
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(&self.moments_text);
        self.json_counters(counters, out);
    }

    #[inline]
    fn value(
        &self,
        column: &Column,
        key: &[u8],
        counters: &Counters,
        absent_ip: &'static str,
        out: &mut Vec<u8>,
    ) {
        let mut absent_ip = absent_ip;
        let value = match column {
            Column::Key(field) => field.value(key),
            Column::Absent(row) => row.kind.zero(),
            Column::Custom(field) => {
                absent_ip = field.custom.absent_ip();
                field.value(key)
            }
            Column::TcpFlags(_) => return write_number(counters.tcp_flags.into(), out),
        };
        let Style { numeric_protocols, time, ref zone, .. } = self.style;
        write_value(value, ValueStyle { absent_ip, numeric_protocols, time, zone }, out);
    }
}

/// Appends what `write` appends, then blanks up to `width` characters. Longer values are never cut.
#[inline]
fn padded(out: &mut Vec<u8>, width: usize, write: impl FnOnce(&mut Vec<u8>)) {
    let end = out.len() + width;
    write(out);
    if out.len() < end {
        out.resize(end, b' ');
    }
}

/// Quotes the CSV value that begins at `start` if it holds the separator, a quote or a line end (RFC 4180).
/// Among the built-in kinds only a time written with a blank, or an odd separator (`.`, `:`), needs it.
fn quote_if_needed(out: &mut Vec<u8>, start: usize, separator: &str) {
    let value = &out[start..];
    let holds_separator = match separator.as_bytes() {
        [one] => value.contains(one),
        many => value.windows(many.len()).any(|w| w == many),
    };
    if !holds_separator && !value.iter().any(|b| matches!(b, b'"' | b'\n' | b'\r')) {
        return;
    }
    let quoted = String::from_utf8_lossy(value).replace('"', "\"\"");
    out.truncate(start);
    out.push(b'"');
    out.extend_from_slice(quoted.as_bytes());
    out.push(b'"');
}

/// Escapes quotes and backslashes in the JSON text that begins at `start`. Control characters are not in it.
fn escape(out: &mut Vec<u8>, start: usize) {
    if out[start..].iter().any(|b| matches!(b, b'"' | b'\\')) {
        let escaped: Vec<u8> = out[start..]
            .iter()
            .flat_map(|&b| if matches!(b, b'"' | b'\\') { vec![b'\\', b] } else { vec![b] })
            .collect();
        out.truncate(start);
        out.extend_from_slice(&escaped);
    }
}

/// Writes a separator before every value but the first.
struct Between<'a> {
    separator: &'a str,
    first: bool,
}

impl<'a> Between<'a> {
    fn new(separator: &'a str) -> Self {
        Self { separator, first: true }
    }

    fn next(&mut self, out: &mut Vec<u8>) {
        if !std::mem::take(&mut self.first) {
            out.extend_from_slice(self.separator.as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::SchemaOptions;

    /// One row of `aggregate` with the given values, under its heading.
    fn lines(aggregate: &str, values: &[(&str, &str)], style: Style) -> String {
        let schema = Schema::parse(aggregate, SchemaOptions::default()).unwrap();
        let mut key = vec![0; schema.key_len()];
        for (word, text) in values {
            let field = schema.field(word).unwrap();
            field.primitive.kind.write(field.primitive.kind.parse(text).unwrap(), &mut key[field.range()]);
        }
        let rows = Rows::new(&schema, style);
        let mut out = Vec::new();
        rows.header(&mut out);
        rows.row(&key, &Counters { packets: 4, bytes: 260, flows: 0, tcp_flags: 27 }, &mut out);
        String::from_utf8(out).unwrap()
    }

    const FIVE: &str = "src_host, dst_host, src_port, dst_port, proto, tos, tcpflags";
    const VALUES: &[(&str, &str)] = &[
        ("src_host", "10.0.0.1"),
        ("dst_host", "10.0.0.2"),
        ("src_port", "40000"),
        ("dst_port", "80"),
        ("proto", "tcp"),
        ("tos", "16"),
    ];

    fn style(dialect: Dialect, layout: Layout) -> Style {
        Style { layout, zone: Zone::utc(), ..Style::new(dialect) }
    }

    #[test]
    fn formatted_as_the_peer_pads_it() {
        assert_eq!(
            lines(FIVE, VALUES, style(Dialect::Print, Layout::Formatted)),
            "SRC_IP                                         DST_IP                                         SRC_PORT  DST_PORT  TCP_FLAGS  PROTOCOL    TOS    PACKETS               BYTES\n\
             10.0.0.1                                       10.0.0.2                                       40000     80        27         tcp         16     4                     260\n"
        );
    }

    #[test]
    fn csv_and_json() {
        assert_eq!(
            lines(FIVE, VALUES, style(Dialect::Print, Layout::Csv)),
            "SRC_IP,DST_IP,SRC_PORT,DST_PORT,TCP_FLAGS,PROTOCOL,TOS,PACKETS,BYTES\n\
             10.0.0.1,10.0.0.2,40000,80,27,tcp,16,4,260\n"
        );
        assert_eq!(
            lines(FIVE, VALUES, style(Dialect::Print, Layout::Json)),
            "{\"event_type\": \"purge\", \"ip_src\": \"10.0.0.1\", \"ip_dst\": \"10.0.0.2\", \"port_src\": 40000, \
             \"port_dst\": 80, \"tcp_flags\": 27, \"ip_proto\": \"tcp\", \"tos\": 16, \"packets\": 4, \"bytes\": 260}\n"
        );
        assert_eq!(
            lines("src_host, tcpflags", &VALUES[..1], style(Dialect::Client, Layout::Json)),
            "{\"ip_src\": \"10.0.0.1\", \"tcp_flags\": \"27\", \"packets\": 4, \"bytes\": 260}\n"
        );
    }

    #[test]
    fn json_as_1_7_has_flags_as_a_string() {
        let style = Style { json_as_1_7: true, ..style(Dialect::Print, Layout::Json) };
        assert!(lines("tcpflags", &[], style).contains("\"tcp_flags\": \"27\""));
    }

    #[test]
    fn stamps_stand_before_the_counters() {
        let line = |aggregate, layout| {
            let schema = Schema::parse(aggregate, SchemaOptions::default()).unwrap();
            let mut rows = Rows::new(&schema, style(Dialect::Print, layout)).with_stamps();
            let at = |secs: i64| Timestamp::from_secs_nanos(1_700_000_000 + secs, 5_000);
            let moments = |secs| Moments { first: at(-3), last: at(-2), inserted: at(secs), updated: at(1) };
            rows.set_moments(&moments(-200));
            rows.set_moments(&moments(-20)); // the last ones count
            let mut spanning = Rows::new(&schema, style(Dialect::Print, layout)).with_stamps().with_span();
            spanning.set_moments(&moments(-20));
            let mut text = Vec::new();
            spanning.header(&mut text);
            assert!(text.is_empty() || text.windows(13).any(|w| w == b"TIMESTAMP_MIN"));
            spanning.row(&vec![0; schema.key_len()], &Counters::default(), &mut text);
            let text = String::from_utf8(text).unwrap();
            let places = ["22:13:17.000005", "22:13:18.000005", "22:13:00", "22:13:21"].map(|t| text.find(t));
            assert!(places[0].is_some() && places.is_sorted(), "{text}");
            let (mut out, key) = (Vec::new(), vec![0; schema.key_len()]);
            rows.header(&mut out);
            rows.row(&key, &Counters { packets: 4, bytes: 260, flows: 0, tcp_flags: 27 }, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(
            line("src_port", Layout::Csv),
            "SRC_PORT,STAMP_INSERTED,STAMP_UPDATED,PACKETS,BYTES\n\
             0,2023-11-14 22:13:00,2023-11-14 22:13:21,4,260\n"
        );
        assert!(line("none", Layout::Csv).ends_with("\n2023-11-14 22:13:00,2023-11-14 22:13:21,4,260\n"));
        assert!(line("src_port", Layout::Json).contains(
            "\"port_src\": 0, \"stamp_inserted\": \"2023-11-14 22:13:00\", \
             \"stamp_updated\": \"2023-11-14 22:13:21\", \"packets\": 4"
        ));
        let formatted = line("src_port", Layout::Formatted);
        let place = |text| formatted.lines().map(|line| line.find(text)).collect::<Vec<_>>();
        assert_eq!(place("STAMP_UPDATED")[0], place("2023-11-14 22:13:21")[1]);
        assert_eq!(place("PACKETS")[0], place("4      ")[1]);
    }

    #[test]
    fn the_second_tag_has_two_names() {
        let json = |dialect| lines("in_cvlan", &[("in_cvlan", "300")], style(dialect, Layout::Json));
        assert!(json(Dialect::Print).contains("\"cvlan_in\": 300"));
        assert!(json(Dialect::Client).contains("\"in_cvlan\": 300"));
    }

    #[test]
    fn events_have_no_counters() {
        assert_eq!(
            lines("proto", &VALUES[4..5], style(Dialect::Print, Layout::EventFormatted)),
            "PROTOCOL    \ntcp         \n"
        );
        assert_eq!(lines("proto", &VALUES[4..5], style(Dialect::Print, Layout::EventCsv)), "PROTOCOL\ntcp\n");
    }

    #[test]
    fn the_client_shows_interfaces_first() {
        let heading = |dialect| lines("in_iface, src_mac, src_host", &[], style(dialect, Layout::Csv));
        assert!(heading(Dialect::Print).starts_with("SRC_MAC,IN_IFACE,SRC_IP,"));
        assert!(heading(Dialect::Client).starts_with("IN_IFACE,SRC_MAC,SRC_IP,"));
    }

    #[test]
    fn all_columns_line_up() {
        for layout in [Layout::Formatted, Layout::Csv] {
            let style = Style { all_columns: true, ..style(Dialect::Client, layout) };
            let text = lines("tcpflags, dst_host", &VALUES[1..2], style);
            let (heading, row) = text.split_once('\n').unwrap();
            let column = |name: &str| match layout {
                Layout::Csv => heading.split(',').position(|h| h == name).unwrap(),
                _ => heading.find(&format!(" {name} ")).unwrap() + 1,
            };
            let value = |name: &str| match layout {
                Layout::Csv => row.split(',').nth(column(name)).unwrap(),
                _ => row[column(name)..].split(' ').next().unwrap(),
            };
            assert_eq!(value("DST_IP"), "10.0.0.2");
            assert_eq!(value("TCP_FLAGS"), "27");
            assert_eq!(value("SRC_IP"), if layout == Layout::Csv { "" } else { "0" });
            assert_eq!(value("SRC_MAC"), "00:00:00:00:00:00");
            assert_eq!(value("TIMESTAMP_START"), "1970-01-01T00:00:00.000000Z");
        }
    }

    #[test]
    fn what_found_no_room_is_one_row() {
        let row = |layout| {
            let schema = Schema::parse("src_host, proto, tcpflags", SchemaOptions::default()).unwrap();
            let mut out = Vec::new();
            let counters = Counters { packets: 4, bytes: 260, tcp_flags: 2, ..Counters::default() };
            Rows::new(&schema, style(Dialect::Client, layout)).other(&counters, &mut out);
            String::from_utf8(out).unwrap()
        };
        assert_eq!(row(Layout::Csv), "other,2,*,4,260\n");
        assert_eq!(
            row(Layout::Json),
            "{\"ip_src\": null, \"tcp_flags\": null, \"ip_proto\": null, \"other\": true, \"packets\": 4, \"bytes\": 260}\n"
        );
        let words: Vec<String> = row(Layout::Formatted).split_whitespace().map(str::to_owned).collect();
        assert_eq!(words, ["other", "2", "*", "4", "260"]);
    }

    #[test]
    fn a_value_that_holds_the_separator_is_quoted() {
        let mut with_dot = style(Dialect::Print, Layout::Csv);
        with_dot.separator = '.';
        assert!(lines("src_host", &VALUES[..1], with_dot).ends_with("\"10.0.0.1\".4.260\n"));
    }

    #[test]
    fn separators() {
        assert_eq!(Style::parse_separator("\\t"), Ok('\t'));
        assert_eq!(Style::parse_separator("\\s"), Ok(' '));
        assert_eq!(Style::parse_separator(";"), Ok(';'));
        assert!(Style::parse_separator(";;").is_err());
        assert!(Style::parse_separator("").is_err());
    }

    #[test]
    fn nothing_aggregated_is_counters_alone() {
        assert_eq!(lines("none", &[], style(Dialect::Print, Layout::Csv)), "PACKETS,BYTES\n4,260\n");
    }
}
