//! Rows as Avro object container files (<https://avro.apache.org/docs/1.12.0/specification/>).
//!
//! The schema is a record with a field for each column, under the names that JSON has. Numbers are `long`,
//! everything else is `string`. The file's sync marker is always the same, so that a file can be continued without
//! reading it, and the same rows give the same bytes.

use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::path::Path;

use apache_avro::types::Value;
use apache_avro::{Reader, Schema as AvroSchema, Writer};
use rpmacct_plugin::{Counters, OpenError, Schema};
use rpmacct_primitives::{Column, Moments, Rows, Value as KeyValue};
use serde_json::json;

use crate::share::Share;

/// What separates blocks: any sixteen octets that hardly ever occur in data.
const MARKER: [u8; 16] =
    [0x8f, 0x1d, 0xe5, 0x6b, 0x02, 0xc7, 0x93, 0xfa, 0x5c, 0xb0, 0x34, 0xd9, 0x71, 0xae, 0x48, 0x16];

/// Blocks are handed over in pieces of about this many bytes.
const CHUNK: usize = 256 * 1024;

/// Turns rows into blocks of records.
pub(crate) struct Avro {
    schema: AvroSchema,
    /// What a file begins with.
    header: Vec<u8>,
    columns: Vec<Column>,
    /// Whether flows are a field.
    flows: bool,
    /// Writes values as text.
    values: Rows,
    /// Bytes of a block.
    block_size: usize,
    /// The record that was written last; its memory is used again.
    record: Value,
}

impl Avro {
    pub(crate) fn new(schema: &Schema, values: Rows, block_size: usize) -> Result<Self, OpenError> {
        let json = schema_json(schema, &values);
        let avro = AvroSchema::parse_str(&json).map_err(|e| OpenError::Other(format!("Avro schema: {e}")))?;
        let fields = fields(schema, &values);
        let record = fields.iter().map(|(name, kind)| {
            let value = if *kind == "long" { Value::Long(0) } else { Value::String(String::new()) };
            ((*name).to_owned(), value)
        });
        Ok(Self {
            header: header(&json),
            schema: avro,
            columns: schema.columns().to_vec(),
            record: Value::Record(record.collect()),
            flows: schema.has_flows(),
            values,
            block_size,
        })
    }

    /// Writes records and returns how many; the file begins with its schema.
    pub(crate) fn write(&mut self, shares: &[Share], is_new: bool, out: &mut dyn Write) -> io::Result<u64> {
        if is_new {
            out.write_all(&self.header)?;
        }
        let mut record = std::mem::replace(&mut self.record, Value::Null);
        let mut blocks = Writer::builder()
            .schema(&self.schema)
            .writer(Vec::with_capacity(2 * CHUNK))
            .marker(MARKER)
            .has_header(true)
            .block_size(self.block_size)
            .build();
        let mut count = 0;
        let mut write = || {
            for share in shares {
                share.each(|key, counters, span| {
                    self.fill(&mut record, key, counters, &share.moments(span));
                    blocks.append_value_ref(&record).map_err(io::Error::other)?;
                    count += 1;
                    hand_over(blocks.get_mut(), CHUNK, out)
                })?;
            }
            blocks.flush().map_err(io::Error::other)?;
            hand_over(blocks.get_mut(), 0, out)
        };
        let result = write();
        drop(blocks);
        self.record = record;
        result?;
        out.flush()?;
        Ok(count)
    }

    /// Whether the file at `path` has this schema, so that blocks can be appended to it.
    pub(crate) fn check_continues(&self, path: &Path) -> io::Result<()> {
        let other = |problem: String| io::Error::new(ErrorKind::InvalidData, problem);
        let reader = Reader::new(File::open(path)?).map_err(|e| other(format!("no Avro file: {e}")))?;
        // Two schemas are equal to the crate if their records have the same name.
        if reader.writer_schema().canonical_form() != self.schema.canonical_form() {
            return Err(other("it is an Avro file with another schema".to_owned()));
        }
        Ok(())
    }

    fn fill(&self, record: &mut Value, key: &[u8], counters: &Counters, moments: &Moments) {
        let Value::Record(fields) = record else { return };
        let mut values = fields.iter_mut().map(|(_, value)| value);
        for column in &self.columns {
            let Some(value) = values.next() else { return };
            match column {
                Column::Key(field) if column.kind().is_json_number() => {
                    if let KeyValue::Number(number) = field.value(key) {
                        *value = long(number);
                    }
                }
                Column::TcpFlags(_) => *value = Value::Long(counters.tcp_flags.into()),
                Column::Absent(_) if column.kind().is_json_number() => {}
                _ => set_text(value, |out| self.values.column_value(column, key, out)),
            }
        }
        // In this order: a zip takes one too many from what comes first.
        for ((_, write), value) in self.values.moments().zip(values.by_ref()) {
            set_text(value, |out| write(moments, out));
        }
        let flows = self.flows.then_some(counters.flows);
        for (value, count) in
            values.zip([Some(counters.packets), flows, Some(counters.bytes)].into_iter().flatten())
        {
            *value = long(count);
        }
    }
}

/// The schema as JSON text, indented: what `avro_schema_file` holds.
pub(crate) fn schema_json(schema: &Schema, rows: &Rows) -> String {
    let fields: Vec<_> =
        fields(schema, rows).iter().map(|(name, kind)| json!({"name": name, "type": kind})).collect();
    format!("{:#}\n", json!({"type": "record", "name": "acct_data", "fields": fields}))
}

/// Names and types of the fields.
fn fields<'a>(schema: &'a Schema, rows: &Rows) -> Vec<(&'a str, &'static str)> {
    let kind = |column: &Column| if column.kind().is_json_number() { "long" } else { "string" };
    let columns = schema.columns().iter().map(|column| (column.json(), kind(column)));
    let flows = schema.has_flows().then_some(("flows", "long"));
    columns
        .chain(rows.moments().map(|(name, _)| (name, "string")))
        .chain([("packets", "long")].into_iter().chain(flows).chain([("bytes", "long")]))
        .collect()
}

/// Sets a string to what `write` appends.
fn set_text(value: &mut Value, write: impl FnOnce(&mut Vec<u8>)) {
    if let Value::String(text) = value {
        let mut octets = std::mem::take(text).into_bytes();
        octets.clear();
        write(&mut octets);
        *text = String::from_utf8(octets).unwrap_or_default();
    }
}

/// Avro's integers have a sign.
fn long(number: u64) -> Value {
    Value::Long(i64::try_from(number).unwrap_or(i64::MAX))
}

/// The crate's writer takes one that never writes a part: memory, which is emptied here.
fn hand_over(blocks: &mut Vec<u8>, at: usize, out: &mut dyn Write) -> io::Result<()> {
    if blocks.len() > at {
        out.write_all(blocks)?;
        blocks.clear();
    }
    Ok(())
}

/// The head of a file. The crate would write its entries in any order.
fn header(schema: &str) -> Vec<u8> {
    let entries = [("avro.codec", "null"), ("avro.schema", schema)];
    let mut header = b"Obj\x01".to_vec();
    put_long(entries.len(), &mut header);
    for text in entries.iter().flat_map(|(name, value)| [name, value]) {
        put_long(text.len(), &mut header);
        header.extend_from_slice(text.as_bytes());
    }
    put_long(0, &mut header);
    header.extend_from_slice(&MARKER);
    header
}

/// Zigzag and seven bits an octet, the lowest first.
fn put_long(number: usize, out: &mut Vec<u8>) {
    let mut rest = number << 1;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}
