//! Whether a file is still the one that was read. Length and time alone do not tell: two files of one length may have one time, behind a
//! link that is switched, or after a copy that keeps times.

use std::fs::{self, Metadata};
use std::path::Path;
use std::time::SystemTime;

/// What tells a file, and its content, from what was there before: device, number, length, and both times. Nothing but the system sets
/// the second one, at each change of content or name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamp {
    file: (u64, u64),
    length: u64,
    modified: Option<SystemTime>,
    changed: (i64, i64),
}

impl Stamp {
    /// The stamp of what a path leads to; `None` where that is nothing.
    pub fn of(path: &Path) -> Option<Stamp> {
        fs::metadata(path).ok().map(|metadata| Stamp::new(&metadata))
    }

    /// The stamp of a file.
    #[cfg(unix)]
    pub fn new(metadata: &Metadata) -> Stamp {
        use std::os::unix::fs::MetadataExt;
        Stamp {
            file: (metadata.dev(), metadata.ino()),
            length: metadata.len(),
            modified: metadata.modified().ok(),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// The stamp of a file.
    #[cfg(not(unix))]
    pub fn new(metadata: &Metadata) -> Stamp {
        Stamp { file: (0, 0), length: metadata.len(), modified: metadata.modified().ok(), changed: (0, 0) }
    }
}
