//! One test with real peers at a time.

use std::fs::{self, File};
use std::time::Duration;

use crate::build::target;
use crate::deadline::eventually;

/// As long as all the others together may take.
const PATIENCE: Duration = Duration::from_secs(900);

/// Held while a test runs virtual machines: two tests at once would only slow each other on a small machine,
/// and time out where one alone does not. The lock is a file, so that it holds between test programs as well.
#[derive(Debug)]
pub struct Turn {
    _lock: File,
}

impl Turn {
    /// Waits for its turn.
    #[must_use]
    pub fn take() -> Self {
        let folder = target().join("peers");
        fs::create_dir_all(&folder).expect("the target folder can be written");
        let lock =
            File::create(folder.join("turn.lock")).expect("the target folder can be written");
        eventually(PATIENCE, || lock.try_lock().ok()).expect("the tests before this one end");
        Self { _lock: lock }
    }
}
