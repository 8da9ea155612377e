//! File names that hold the time of the purge, such as `/var/lib/flows/%Y%m%d-%H%M.csv`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::fmt::strtime;
use jiff::tz::TimeZone;
use nix::unistd::{AccessFlags, access};
use rpmacct_plugin::{OpenError, Timestamp};

/// The letters after `%` that the peer understands, as in strftime(3).
const TIME_VARIABLES: &[char] = &['d', 'H', 'm', 'M', 's', 'S', 'w', 'W', 'Y', 'z'];

/// A checked `print_output_file`: turns a time into a path.
#[derive(Debug, Clone)]
pub(crate) struct FileName {
    /// What a relative name is relative to: a daemon does not stay in the directory it was started in.
    base: PathBuf,
    /// Invariant: every `%` is followed by one of [`TIME_VARIABLES`], so that strftime can't fail.
    template: String,
    zone: TimeZone,
}

impl FileName {
    /// Reads a name. `$ref` is the interval of purges in seconds. On an error: what is wrong with it.
    pub(crate) fn parse(text: &str, refresh: Duration, zone: TimeZone) -> Result<Self, String> {
        if text.is_empty() || text.ends_with('/') {
            return Err("no file name".to_owned());
        }
        let mut rest = text.chars();
        while rest.any(|c| c == '%') {
            match rest.next() {
                Some(letter) if TIME_VARIABLES.contains(&letter) => {}
                letter => {
                    return Err(format!("%{} not supported", letter.map_or(String::new(), String::from)));
                }
            }
        }
        let base = std::env::current_dir().map_err(|e| format!("finding the current directory: {e}"))?;
        Ok(Self { base, template: expand_ref(text, refresh)?, zone })
    }

    /// Whether the name changes with time.
    pub(crate) fn is_dynamic(&self) -> bool {
        self.template.contains('%')
    }

    /// Makes the directory, where its name is known, and checks that files can be written there, so that
    /// whoever starts the daemon learns it rather than the log.
    pub(crate) fn check_writable(&self) -> Result<(), OpenError> {
        let path = self.base.join(&self.template);
        let Some(directory) = path.parent().filter(|dir| !dir.to_string_lossy().contains('%')) else {
            return Ok(());
        };
        let failed = |doing, path: &Path, source| OpenError::Io {
            doing: format!("{doing} {}", path.display()),
            source,
        };
        std::fs::create_dir_all(directory).map_err(|error| failed("making", directory, error))?;
        // An existing file may be writable where its directory is not.
        let target = if path.exists() { &*path } else { directory };
        access(target, AccessFlags::W_OK).map_err(|errno| failed("writing to", target, errno.into()))
    }

    /// The path at `time`. Directories may hold variables, too.
    pub(crate) fn at(&self, time: Timestamp) -> PathBuf {
        if !self.is_dynamic() {
            return self.base.join(&self.template);
        }
        let instant = jiff::Timestamp::from_second(time.secs()).unwrap_or(jiff::Timestamp::MAX);
        let name = strtime::format(&self.template, &instant.to_zoned(self.zone.clone()));
        self.base.join(name.unwrap_or_else(|_| self.template.clone()))
    }
}

/// Replaces `$ref`. A `$` before anything but a letter stands for itself; any other variable is an error,
/// because nobody wants a file named `$tag.csv`.
fn expand_ref(text: &str, refresh: Duration) -> Result<String, String> {
    let mut parts = text.split('$');
    let mut name = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        if let Some(after) = part.strip_prefix("ref").filter(|after| !starts_with_letter(after)) {
            name.push_str(&refresh.as_secs().to_string());
            name.push_str(after);
        } else if starts_with_letter(part) {
            let end = part.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(part.len());
            return Err(format!("${} not supported", &part[..end]));
        } else {
            name.push('$');
            name.push_str(part);
        }
    }
    Ok(name)
}

fn starts_with_letter(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<FileName, String> {
        FileName::parse(text, Duration::from_secs(300), TimeZone::UTC)
    }

    /// The name at 2023-11-14 22:13:20 UTC, a Tuesday.
    fn name(text: &str) -> String {
        parse(text).unwrap().at(Timestamp::from_secs_nanos(1_700_000_000, 999_999_999)).display().to_string()
    }

    #[test]
    fn every_variable_as_strftime_writes_it() {
        assert_eq!(
            name("/x/%Y/%m/%d/%H%M%S-%s-%w-%W%z.csv"),
            "/x/2023/11/14/221320-1700000000-2-46+0000.csv"
        );
    }

    #[test]
    fn the_zone_counts() {
        let zone = TimeZone::fixed(jiff::tz::offset(-2));
        let name = FileName::parse("/%d-%H%z", Duration::from_secs(60), zone).unwrap();
        assert_eq!(name.at(Timestamp::from_secs_nanos(1_700_000_000, 0)), PathBuf::from("/14-20-0200"));
    }

    #[test]
    fn other_variables_are_errors() {
        for (text, error) in [
            ("/x/%Z", "%Z not supported"),
            ("/x/%-d", "%- not supported"),
            ("/x/%%d", "%% not supported"),
            ("/x/%", "% not supported"),
            ("/x/$hst.csv", "$hst not supported"),
            ("/x/$post_tag-1", "$post_tag not supported"),
            ("/x/$refresh", "$refresh not supported"),
            ("/x/", "no file name"),
            ("", "no file name"),
        ] {
            assert_eq!(parse(text).unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn the_interval_and_dollars_that_are_none() {
        assert_eq!(name("/x/every-$ref-%M"), "/x/every-300-13");
        assert_eq!(name("/x/$ref$ref_x"), "/x/300300_x");
        assert_eq!(name("/x/5$-$1$"), "/x/5$-$1$");
        assert!(!parse("/x/$ref").unwrap().is_dynamic());
        assert!(parse("/x/%s").unwrap().is_dynamic());
    }

    #[test]
    fn relative_names_are_made_absolute() {
        let here = std::env::current_dir().unwrap();
        assert_eq!(PathBuf::from(name("flows.csv")), here.join("flows.csv"));
    }
}
