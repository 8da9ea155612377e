//! What the configuration may say, and what it is answered.

use crate::bench::Bench;

#[test]
fn mistakes_are_said_with_their_line() {
    for (line, error) in [
        ("print_output_separator: ab", r"expected one character, or \t, or \s"),
        (
            "print_output: avro",
            "expected one of formatted, csv, json, event_formatted, event_csv; avro is not implemented yet",
        ),
        (
            "print_output: jsn",
            "expected one of formatted, csv, json, event_formatted, event_csv; did you mean json?",
        ),
        (
            "print_output_file: /tmp/%Z.csv",
            "expected a path with %d %H %m %M %s %S %w %W %Y %z or $ref; %Z not supported",
        ),
        ("print_output_file: /tmp/$tag.csv", "$tag not supported"),
        ("print_output_file: /tmp", "expected a file, not a directory"),
        ("print_latest_file: /tmp/%d", "expected a path without variables but $ref"),
        ("print_refresh_time: 0", "expected a number of seconds from 1 to"),
        ("print_cache_entries: 0", "expected a number from 1 to"),
    ] {
        let Err(e) = Bench::try_open("src_host", line, true) else { panic!("{line}") };
        let e = e.to_string();
        let key = line.split(':').next().unwrap();
        assert!(e.starts_with(&format!("test.conf:2: {key}: ")) && e.contains(error), "{e}");
    }
}

#[test]
fn standard_output_needs_somebody_who_reads_it() {
    for line in ["", "print_output_file: /dev/stdout"] {
        let Err(e) = Bench::try_open("src_host", line, false) else { panic!("{line}") };
        assert_eq!(
            e.to_string(),
            "no print_output_file defined and 'daemonize: true'. Output would be lost."
        );
        assert!(Bench::try_open("src_host", line, true).is_ok());
    }
    assert!(Bench::try_open("src_host", "print_output_file: /tmp/x", false).is_ok());
}

#[test]
fn the_peers_spellings_are_known() {
    let bench =
        Bench::open("src_host", "sql_refresh_time: 10\nprint_max_writers: 20\ntimestamps_rfc9557: true");
    assert_eq!(bench.sink.due(), Some(crate::bench::at(11)));
}

#[test]
fn the_options_are_the_peers() {
    use rpmacct_plugin::Plugin as _;
    let mut options: Vec<_> = rpmacct_print::Print
        .keys()
        .iter()
        .filter_map(|key| key.option.map(|option| (option.letter, key.name)))
        .collect();
    options.sort_unstable();
    assert_eq!(
        options,
        [
            ('A', "print_output_file_append"),
            ('E', "print_output_separator"),
            ('M', "print_markers"),
            ('O', "print_output"),
            ('o', "print_output_file"),
            ('r', "print_refresh_time"),
            ('u', "print_num_protos"),
        ]
    );
}
