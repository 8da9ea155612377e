//! What the series will cost, for `rpmacctd check`.
//!
//! carbon makes one file for each series, as large as the retention of the first rule of its
//! `storage-schemas.conf` that matches the series' name: 12 octets for each point, 12 for each archive, 16 for
//! the file (whisper's format).

use std::cmp::Ordering;
use std::fs;
use std::path::Path;

use regex_lite::Regex;

use crate::config::{Protocol, Settings};

/// Where packages have carbon's rules.
const USUAL: [&str; 2] = ["/etc/carbon/storage-schemas.conf", "/opt/graphite/conf/storage-schemas.conf"];

/// The rules that we recommend.
const OURS: &str = include_str!("../../../conf/graphite/storage-schemas.conf");
const OUR_NAME: &str = "conf/graphite/storage-schemas.conf";

/// carbon's own rule where none matches.
const DEFAULT_RETENTION: &str = "60s:1d";

/// One archive of a file: a point for each so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Archive {
    seconds: u64,
    points: u64,
}

/// Sentences about what will come.
pub(crate) fn remarks(settings: &Settings) -> Vec<String> {
    let outlet = &settings.outlet;
    let to: Vec<_> = outlet.destinations.iter().map(ToString::to_string).collect();
    let by = match outlet.protocol {
        Protocol::Tcp => "lines over TCP",
        Protocol::Udp => "lines over UDP",
        Protocol::Pickle => "pickles over TCP",
    };
    let how = if outlet.hashing { ", each with its share" } else { "" };
    let example = settings.example();
    let mut remarks = vec![format!("{by} to {}{how}; series are called {example}", to.join(", "))];
    remarks.extend(storage(settings, &example));
    remarks
}

/// What the series need on carbon's disk.
fn storage(settings: &Settings, name: &str) -> Vec<String> {
    let (source, text) = rules(settings);
    let Some(retention) = retention(&text, name) else {
        return vec![format!("{source}: a pattern or a retention of it is beyond this estimate")];
    };
    let Some(archives) = archives(&retention) else {
        return vec![format!("{source}: {retention} is no retention")];
    };
    let each = 16 + archives.iter().map(|archive| 12 + 12 * archive.points).sum::<u64>();
    let per_flow = settings.measure.series().count() as u64;
    let many = if per_flow > 1 { format!(" ({per_flow} for each flow)") } else { String::new() };
    let mut remarks = vec![format!("{source}: {retention} takes {} a series{many}", size(each))];
    remarks.push(match settings.max_series {
        0 => format!(
            "carbon_max_series sets no limit: 1000 flows take {}, 10000 flows {}",
            size(1000 * per_flow * each),
            size(10_000 * per_flow * each)
        ),
        most => format!("{most} series, as carbon_max_series allows, take {}", size(most * each)),
    });
    remarks.extend(misfit(settings, &archives));
    remarks
}

/// What the daemon warns of when it starts: this machine's carbon would not keep what it is sent.
pub(crate) fn warning(settings: &Settings) -> Option<String> {
    let is_here = |host: &str| matches!(host, "127.0.0.1" | "::1" | "localhost");
    if !settings.outlet.destinations.iter().all(|destination| is_here(&destination.host)) {
        return None;
    }
    let (source, text) = carbons_rules(settings)?;
    let retention = retention(&text, &settings.example())?;
    let misfit = misfit(settings, &archives(&retention)?)?;
    Some(format!("{source}: {retention}: {misfit}"))
}

/// Whether points come at other times than there is room for.
fn misfit(settings: &Settings, archives: &[Archive]) -> Option<String> {
    let finest = archives.iter().map(|archive| archive.seconds).min()?;
    let interval = settings.measure.interval.unsigned_abs();
    match finest.cmp(&interval) {
        Ordering::Greater => Some(format!(
            "that keeps a point for each {finest} s of those that come each {interval} s: carbon overwrites the others; \
             see {OUR_NAME}"
        )),
        Ordering::Less => Some(format!(
            "that has room for a point each {finest} s where one comes each {interval} s: the rest stays empty"
        )),
        Ordering::Equal => None,
    }
}

/// carbon's rules, or ours, and where they come from.
fn rules(settings: &Settings) -> (String, String) {
    carbons_rules(settings).unwrap_or_else(|| {
        let source = match &settings.schemas {
            Some(path) => format!("{} can't be read; as in {OUR_NAME}", path.display()),
            None => format!("no carbon on this machine; as in {OUR_NAME}"),
        };
        (source, OURS.to_owned())
    })
}

/// The rules of the carbon on this machine, and their file.
fn carbons_rules(settings: &Settings) -> Option<(String, String)> {
    let read = |path: &Path| fs::read_to_string(path).ok().map(|text| (path.display().to_string(), text));
    match &settings.schemas {
        Some(path) => read(path),
        None => USUAL.iter().find_map(|path| read(Path::new(path))),
    }
}

/// The retention of the first rule that matches.
fn retention(rules: &str, name: &str) -> Option<String> {
    let (mut pattern, mut retention) = (None, None);
    for line in rules.lines().map(str::trim).chain(["[end]"]) {
        if line.starts_with(['#', ';']) {
            continue;
        }
        if line.starts_with('[') {
            if let (Some(pattern), Some(retention)) = (pattern.take(), retention.take())
                && Regex::new(pattern).ok()?.is_match(name)
            {
                return Some(String::from(retention));
            }
        } else if let Some((key, value)) = line.split_once(['=', ':']) {
            match key.trim().to_ascii_lowercase().as_str() {
                "pattern" => pattern = Some(value.trim()),
                "retentions" => retention = Some(value.trim()),
                _ => {}
            }
        }
    }
    Some(DEFAULT_RETENTION.to_owned())
}

/// `1s:1d,1m:30d`, or in the old form `60:1440`: seconds and points.
fn archives(retention: &str) -> Option<Vec<Archive>> {
    retention.split(',').map(archive).collect()
}

fn archive(text: &str) -> Option<Archive> {
    let (precision, duration) = text.trim().split_once(':')?;
    let (seconds, _) = duration_of(precision)?;
    let points = match duration_of(duration)? {
        (points, false) => points,
        (long, true) => long / seconds.max(1),
    };
    (seconds > 0).then_some(Archive { seconds, points })
}

/// A number of seconds, and whether it had a unit.
fn duration_of(text: &str) -> Option<(u64, bool)> {
    let text = text.trim();
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let seconds = match unit.chars().next() {
        None | Some('s') => 1,
        Some('m') => 60,
        Some('h') => 3600,
        Some('d') => 86_400,
        Some('w') => 7 * 86_400,
        Some('y') => 365 * 86_400,
        Some(_) => return None,
    };
    Some((number.parse::<u64>().ok()?.checked_mul(seconds)?, !unit.is_empty()))
}

/// Octets for people.
fn size(octets: u64) -> String {
    const UNITS: [(&str, u64); 4] =
        [("TB", 1_000_000_000_000), ("GB", 1_000_000_000), ("MB", 1_000_000), ("kB", 1_000)];
    match UNITS.iter().find(|(_, unit)| octets >= *unit) {
        Some((name, unit)) => {
            let tenths = (u128::from(octets) * 10 + u128::from(unit / 2)) / u128::from(*unit);
            format!("{}.{} {name}", tenths / 10, tenths % 10)
        }
        None => format!("{octets} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retentions_are_read_as_carbon_reads_them() {
        let archive = |seconds, points| Archive { seconds, points };
        assert_eq!(archives("1s:30d"), Some(vec![archive(1, 2_592_000)]));
        assert_eq!(
            archives("10s:6h, 1min:7d,1h:1y"),
            Some(vec![archive(10, 2160), archive(60, 10_080), archive(3600, 8760)])
        );
        assert_eq!(archives("60:1440"), Some(vec![archive(60, 1440)]));
        assert_eq!(archives("60"), None);
        assert_eq!(archives("1x:1d"), None);
    }

    #[test]
    fn the_first_rule_that_matches_counts() {
        let rules = "# mine\n[a]\npattern = ^mpls\\.x\\.\nretentions = 1s:1d\n[b]\nPATTERN = ^mpls\\.\nretentions=2s:1d\n[c]\npattern = .*\nretentions = 3s:1d\n";
        assert_eq!(retention(rules, "mpls.x.y").as_deref(), Some("1s:1d"));
        assert_eq!(retention(rules, "mpls.y").as_deref(), Some("2s:1d"));
        assert_eq!(retention(rules, "x.mpls.y").as_deref(), Some("3s:1d"));
        assert_eq!(retention("", "x").as_deref(), Some("60s:1d"));
    }

    #[test]
    fn what_we_recommend_is_what_the_story_has() {
        assert_eq!(retention(OURS, "mpls.10_9_0_11.10_9_1_21.bytes").as_deref(), Some("1s:30d"));
        assert_eq!(retention(OURS, "rpmacct.host.eth2.accounted").as_deref(), Some("10s:30d"));
    }

    #[test]
    fn sizes_for_people() {
        assert_eq!(size(999), "999 bytes");
        assert_eq!(size(31_104_028), "31.1 MB");
        assert_eq!(size(31_104_028_000), "31.1 GB");
        assert_eq!(size(622_080_560_000), "622.1 GB");
    }
}
