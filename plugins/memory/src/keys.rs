//! The configuration keys of the plugin.

use std::path::{Path, PathBuf};

use nix::unistd::Group;
use rpmacct_plugin::{ConfigError, Key, SumTable, View};

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
    .doc("Needless here: the table grows as needed; it never holds fewer entries than this, and rpmacct -t shows so many buckets");

const IMT_MEM_POOLS_NUMBER: Key = Key::integer("imt_mem_pools_number", 0, i64::MAX)
    .default("16")
    .option('m')
    .doc("Times imt_mem_pools_size: bytes that the table may take, 0 for no limit; keys that find it full are summed in one row, `other`");

const IMT_MEM_POOLS_SIZE: Key = Key::size("imt_mem_pools_size", 1, i64::MAX as u64)
    .default("16777216")
    .option('s')
    .doc("Times imt_mem_pools_number: bytes that the table may take (by default 256 MiB, three million pairs of hosts)");

const IMT_SINCE_SIZE: Key = Key::size("imt_since_size", 0, i64::MAX as u64)
    .default("268435456")
    .doc("Bytes that may be kept beside the table so that rpmacct --since and --follow get exact increments; what is beyond is forgotten, oldest first");

pub(crate) static KEYS: &[&Key] = &[
    &IMT_PATH,
    &IMT_MODE,
    &IMT_GROUP,
    &IMT_BUCKETS,
    &IMT_MEM_POOLS_NUMBER,
    &IMT_MEM_POOLS_SIZE,
    &IMT_SINCE_SIZE,
];

/// What the keys say.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    /// The socket.
    pub(crate) path: PathBuf,
    /// Its file mode, at most 0o777.
    pub(crate) mode: u32,
    /// The group that it belongs to.
    pub(crate) group: Option<Group>,
    /// Buckets that the peer's table would have.
    pub(crate) buckets: usize,
    /// Bytes that the table may take; `None` for no limit.
    pub(crate) table_size: Option<usize>,
    /// Bytes that increments may take beside the table.
    pub(crate) since_size: usize,
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
        let pools = view.integer(&IMT_MEM_POOLS_NUMBER).map_or(0, i64::cast_unsigned);
        let table_size = pools.saturating_mul(view.size(&IMT_MEM_POOLS_SIZE).unwrap_or(0));
        let buckets = view.integer(&IMT_BUCKETS).map_or(1, i64::cast_unsigned);
        Ok(Self {
            path,
            mode: view.text(&IMT_MODE).and_then(mode).unwrap_or(0o777),
            group,
            buckets: saturate(buckets),
            table_size: (pools > 0).then_some(saturate(table_size)),
            since_size: saturate(view.size(&IMT_SINCE_SIZE).unwrap_or(0)),
        })
    }

    /// The most entries of a table whose keys have `key_len` octets.
    ///
    /// As many as fit into the memory that the pools say, but never fewer than the buckets: these the peer has
    /// beside its pools, so that no configuration holds less here than there.
    pub(crate) fn max_entries(&self, key_len: usize) -> usize {
        let fits = |bytes| SumTable::entries_within(bytes, key_len).max(self.buckets);
        self.table_size.map_or(usize::MAX, fits)
    }
}

fn saturate(n: u64) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
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
