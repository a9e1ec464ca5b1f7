//! Whether there is another file under a name.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, time::SystemTime};

/// What is found under a name, links followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place(Option<Found>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Found {
    file: File,
    length: u64,
    modified: (i64, i64),
}

/// The file itself, whatever is written into it. Numbers of files that are gone are given away
/// anew; the time of creation tells them apart, where the file system keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct File {
    device: u64,
    inode: u64,
    created: Option<SystemTime>,
}

impl Place {
    /// Looks.
    pub(super) fn of(path: &Path) -> Self {
        let found = fs::metadata(path).ok().map(|data| Found {
            file: File {
                device: data.dev(),
                inode: data.ino(),
                created: data.created().ok(),
            },
            length: data.len(),
            modified: (data.mtime(), data.mtime_nsec()),
        });
        Self(found)
    }

    /// Whether the same file is there, or none is.
    pub(super) fn is_same_file(&self, other: &Self) -> bool {
        self.0.map(|found| found.file) == other.0.map(|found| found.file)
    }
}
