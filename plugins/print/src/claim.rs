//! A file that is made anew belongs to one plugin: two would destroy each other's rows.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, PoisonError};

use rpmacct_plugin::OpenError;

/// The names that are taken, with their variables.
static TAKEN: LazyLock<Mutex<HashSet<PathBuf>>> = LazyLock::new(Mutex::default);

/// A name that is taken until this is dropped.
#[derive(Debug)]
pub(crate) struct Claim(PathBuf);

impl Claim {
    pub(crate) fn new(pattern: PathBuf) -> Result<Self, OpenError> {
        let mut taken = TAKEN.lock().unwrap_or_else(PoisonError::into_inner);
        if !taken.insert(pattern.clone()) {
            let path = pattern.display();
            return Err(OpenError::Other(format!("another plugin writes {path} anew at each purge, too")));
        }
        Ok(Self(pattern))
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        TAKEN.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.0);
    }
}
