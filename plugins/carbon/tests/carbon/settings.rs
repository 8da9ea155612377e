//! Configurations that are refused, and what `rpmacctd check` says of those that are not.

use rpmacct_plugin::Plugin as _;

use super::bench::{config, schema};

fn check(aggregate: &str, lines: &str) -> Result<Vec<String>, String> {
    let config = config(lines).map_err(|error| error.to_string())?;
    rpmacct_carbon::Carbon
        .check(config.plugin("default_carbon"), &schema(aggregate))
        .map_err(|error| error.to_string())
}

fn refused(aggregate: &str, lines: &str) -> String {
    check(aggregate, lines).expect_err(lines)
}

const HOSTS: &str = "src_host, dst_host";

#[test]
fn errors_say_where_what_and_what_else() {
    let is = |lines: &str, expected: &str| assert_eq!(refused(HOSTS, lines), expected);
    is(
        "carbon_template: $src_hst.$dst_host.$counter",
        "test.conf:2: carbon_template: src_hst: expected one of $src_host, $dst_host, $counter; did you mean src_host?",
    );
    is(
        "carbon_template: $src_host.$counter",
        "test.conf:2: carbon_template: $src_host.$counter: expected all keys of aggregate, or several would share a series: $dst_host is missing",
    );
    is(
        "carbon_template: ${src_host}_$dst_host",
        "test.conf:2: carbon_template: ${src_host}_$dst_host: expected a dot between $src_host and $dst_host, so that no two keys fold into one name",
    );
    is(
        "carbon_prefix: a b",
        "test.conf:2: carbon_prefix: a b: expected letters, digits, '_', '-' and dots besides variables, not ' '",
    );
    is("carbon_escape: 0", "test.conf:2: carbon_escape: 0: expected _ or -");
    is("carbon_value: sum", "test.conf:2: carbon_value: sum: expected one of rate, delta, total");
    is(
        "carbon_peaks: true",
        "test.conf:2: carbon_peaks: true: expected false, or a carbon_refresh_time of 2 to 3600 s",
    );
    is(
        "carbon_counters: bytes, flows",
        "test.conf:2: carbon_counters: bytes, flows: expected bytes or packets: flows are not in aggregate",
    );
    is(
        "carbon_method: consistent-hashing\ncarbon_host: a:1, a:2",
        "test.conf:3: carbon_host: a:1, a:2: expected an instance for each of several carbons on a",
    );
    assert!(
        refused(HOSTS, "carbon_host: a:b:c")
            .starts_with("test.conf:2: carbon_host: a:b:c: expected HOST, HOST:PORT")
    );
}

#[test]
fn a_check_says_what_the_series_will_cost() {
    let dir = tempfile::tempdir().unwrap();
    let schemas = dir.path().join("storage-schemas.conf");
    std::fs::write(
        &schemas,
        "[x]\npattern = ^mpls\\.\nretentions = 1s:30d\n[default]\npattern = .*\nretentions = 60s:1d\n",
    )
    .unwrap();
    let schemas = format!("carbon_schemas: {}\n", schemas.display());
    let say = |lines: &str| check(HOSTS, &(schemas.clone() + lines)).unwrap().join("\n");

    let said = say("");
    assert!(
        said.contains("lines over TCP to 127.0.0.1:2003; series are called mpls.SRC_HOST.DST_HOST.bytes"),
        "{said}"
    );
    assert!(
        said.contains(
            "1s:30d takes 31.1 MB a series\n1000 series, as carbon_max_series allows, take 31.1 GB"
        ),
        "{said}"
    );
    let said = say("carbon_max_series: 0\ncarbon_counters: bytes, packets");
    assert!(said.contains("31.1 MB a series (2 for each flow)"), "{said}");
    assert!(said.contains("1000 flows take 62.2 GB, 10000 flows 622.1 GB"), "{said}");
    let said = say("carbon_prefix: net");
    assert!(said.contains("keeps a point for each 60 s of those that come each 1 s"), "{said}");
    let said = say("carbon_protocol: pickle\ncarbon_host: a, [::1]:2104");
    assert!(said.contains("pickles over TCP to a:2004, [::1]:2104"), "{said}");
}
