//! The configuration keys of the plugin.

use std::path::{Path, PathBuf};

use nix::unistd::Group;
use rpmacct_plugin::{ConfigError, Key, View};

const IMT_PATH: Key = Key::path("imt_path")
    .default("/tmp/collect.pipe")
    .option('p')
    .doc("Unix socket over which rpmacct asks the memory plugin");

const IMT_MODE: Key = Key::text("imt_mode")
    .default("0777")
    .checked(check_mode)
    .doc("Who may connect to imt_path, as an octal file mode; erasing is never allowed by it, see imt_group");

const IMT_GROUP: Key = Key::text("imt_group").doc(
    "Group that imt_path belongs to and whose members may erase and reset, besides root and the daemon's user",
);

const IMT_BUCKETS: Key = Key::integer("imt_buckets", 1, i64::MAX)
    .default("32771")
    .option('b')
    .doc("Accepted and without effect: the table grows as needed");

const IMT_MEM_POOLS_NUMBER: Key = Key::integer("imt_mem_pools_number", 0, i64::MAX)
    .default("16")
    .option('m')
    .doc("Accepted and without effect: the table grows as needed");

const IMT_MEM_POOLS_SIZE: Key = Key::integer("imt_mem_pools_size", 1, i64::MAX)
    .default("8192")
    .option('s')
    .doc("Accepted and without effect: the table grows as needed");

pub(crate) static KEYS: &[&Key] =
    &[&IMT_PATH, &IMT_MODE, &IMT_GROUP, &IMT_BUCKETS, &IMT_MEM_POOLS_NUMBER, &IMT_MEM_POOLS_SIZE];

/// What the keys say.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The socket.
    pub(crate) path: PathBuf,
    /// Its file mode, at most 0o777.
    pub(crate) mode: u32,
    /// The group that it belongs to.
    pub(crate) group: Option<Group>,
}

impl Settings {
    pub(crate) fn read(view: &View<'_>) -> Result<Self, ConfigError> {
        let group = match view.text(&IMT_GROUP) {
            None => None,
            Some(name) => match Group::from_name(name) {
                Ok(Some(group)) => Some(group),
                _ => return Err(view.error(&IMT_GROUP, "the name of a group of this machine")),
            },
        };
        let path = view.path(&IMT_PATH).unwrap_or(Path::new("/tmp/collect.pipe")).to_owned();
        Ok(Self { path, mode: view.text(&IMT_MODE).and_then(mode).unwrap_or(0o777), group })
    }
}

fn check_mode(text: &str) -> Result<(), String> {
    mode(text).map(drop).ok_or_else(|| "an octal file mode, such as 0660".to_owned())
}

fn mode(text: &str) -> Option<u32> {
    let digits = text.bytes().all(|b| b.is_ascii_digit());
    u32::from_str_radix(text, 8).ok().filter(|mode| digits && *mode <= 0o777)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal() {
        assert_eq!(mode("0660"), Some(0o660));
        assert_eq!(mode("777"), Some(0o777));
        for wrong in ["", "0888", "1777", "rw", "-7", "+7"] {
            assert!(check_mode(wrong).is_err(), "{wrong}");
        }
    }
}
