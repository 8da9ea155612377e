//! Avro, read by the library's own reader.

use std::fs::{self, File};
use std::path::Path;

use apache_avro::types::Value;
use apache_avro::{Reader, Schema};

use crate::bench::Bench;

const AGGREGATE: &str = "src_host, dst_port, proto, tcpflags";
const RECORDS: &str = "10.0.0.1 80 tcp / 4 260 27\n2001:db8::1 53 udp / 2 9000000000 0";

/// The records of a file, as JSON.
fn records(path: &Path) -> Vec<serde_json::Value> {
    let reader = Reader::new(File::open(path).unwrap()).unwrap();
    reader.map(|value: Result<Value, _>| value.unwrap().try_into().unwrap()).collect()
}

fn expected(inserted: Option<&str>) -> Vec<serde_json::Value> {
    let mut records = vec![
        serde_json::json!({"ip_src": "10.0.0.1", "port_dst": 80, "tcp_flags": 27, "ip_proto": "tcp",
            "packets": 4, "bytes": 260}),
        serde_json::json!({"ip_src": "2001:db8::1", "port_dst": 53, "tcp_flags": 0, "ip_proto": "udp",
            "packets": 2, "bytes": 9_000_000_000_u64}),
    ];
    for record in &mut records {
        if let Some(inserted) = inserted {
            record["stamp_inserted"] = inserted.into();
            record["stamp_updated"] = "2023-11-14 22:15:01".into();
        }
    }
    records
}

#[test]
fn a_file_that_is_continued_is_one_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flows.avro");
    let lines = "print_output: avro\nprint_output_file_append: true\navro_buffer_size: 10";
    let mut bench = Bench::file(AGGREGATE, &path, lines);
    bench.feed(RECORDS);
    bench.tick(61).unwrap();
    assert_eq!(records(&path), expected(None));
    bench.feed(RECORDS);
    bench.finish(121).unwrap();
    assert_eq!(records(&path), [expected(None), expected(None)].concat());
}

#[test]
fn bins_have_stamps() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flows.avro");
    let mut bench = Bench::file(AGGREGATE, &path, "print_output: avro_bin\nprint_history: 1m");
    bench.feed(RECORDS);
    bench.tick(61).unwrap();
    assert_eq!(records(&path), expected(Some("2023-11-14 22:14:00")));
}

#[test]
fn another_files_schema_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("flows.avro");
    let lines = "print_output: avro\nprint_output_file_append: true";
    let mut bench = Bench::file("src_port", &path, lines);
    bench.feed("80 / 1 40 0");
    bench.finish(61).unwrap();
    let before = fs::read(&path).unwrap();
    let mut bench = Bench::file("dst_port", &path, lines);
    bench.feed("80 / 1 40 0");
    let error = bench.finish(61).unwrap_err().to_string();
    assert!(error.ends_with("flows.avro: it is an Avro file with another schema"), "{error}");
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn json_lines_are_records_of_the_schema() {
    let dir = tempfile::tempdir().unwrap();
    let (path, schema) = (dir.path().join("flows.json"), dir.path().join("flows.avsc"));
    let lines = format!(
        "print_output: avro_json\nprint_markers: true\njson_compat: 1.7\navro_schema_file: {}",
        schema.display()
    );
    let mut bench = Bench::file(AGGREGATE, &path, &lines);
    bench.feed(RECORDS);
    bench.finish(61).unwrap();
    let text = fs::read_to_string(path).unwrap();
    let lines: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines, expected(None));
    let Ok(Schema::Record(record)) = Schema::parse_str(&fs::read_to_string(schema).unwrap()) else {
        panic!("no record")
    };
    let fields: Vec<_> = record.fields.iter().map(|field| field.name.as_str()).collect();
    assert_eq!(fields, ["ip_src", "port_dst", "tcp_flags", "ip_proto", "packets", "bytes"]);
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = |name: &str| {
        let path = dir.path().join(name);
        let mut bench = Bench::file(AGGREGATE, &path, "print_output: avro");
        bench.feed(RECORDS);
        bench.finish(61).unwrap();
        fs::read(path).unwrap()
    };
    assert_eq!(bytes("a"), bytes("b"));
}
