//! What the configuration may say, and what it is answered.

use crate::bench::Bench;

#[test]
fn mistakes_are_said_with_their_line() {
    for (line, error) in [
        ("print_output_separator: ab", r"expected one character, or \t, or \s"),
        ("print_output: custom", "avro, avro_bin, avro_json; rpmacctd loads no libraries"),
        (
            "print_output: jsn",
            "expected one of formatted, csv, json, event_formatted, event_csv, avro, avro_bin, avro_json; \
             did you mean json?",
        ),
        (
            "print_output_file: /tmp/%Z.csv",
            "expected a path with %d %H %m %M %s %S %w %W %Y %z, $ref, $hst or $ and a primitive; %Z not supported",
        ),
        ("print_output_file: /tmp/$post_tag.csv", "$post_tag not supported"),
        ("print_output_file: /tmp/$dst_host.csv", "$dst_host is not in aggregate (src_host)"),
        ("print_output_file: /tmp", "expected a file, not a directory"),
        ("print_latest_file: /tmp/%d", "expected a path without times"),
        ("print_history: 5x", "expected a number and a unit, one of s, m, h, d, w and M"),
        ("print_history_roundoff: x", "expected some of the letters m, h, d, w and M"),
        ("print_preprocess: minq=5", "minq is unknown"),
        ("print_preprocess: minp=x", "minp=x: not a number above 0"),
        ("print_preprocess: minp=5, recover=1", "recover is for databases"),
        ("print_trigger_exec: /no/such -x", "/no/such: No such file or directory"),
        ("print_preprocess_type: none", "any"),
        ("files_uid: no-such-user", "expected a user, by name or number"),
        ("json_compat: 1.6", "1.7"),
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
