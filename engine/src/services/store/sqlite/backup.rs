//! A copy of an embedded database while it is in use.

use std::fs::OpenOptions;
use std::io;
use std::path::Path;
use std::time::Duration;

use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use thiserror::Error;

use crate::services::private;

/// How often it is tried again while somebody holds the lock of the database.
const ATTEMPTS: u32 = 100;
/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(100);

/// Why there is no copy.
#[derive(Debug, Error)]
pub enum BackupError {
    /// The new file.
    #[error("{0}: {1}")]
    Target(String, io::Error),
    /// The database.
    #[error("the database cannot be copied: {0}")]
    Database(#[from] rusqlite::Error),
    /// Somebody keeps it locked.
    #[error("the database is locked")]
    Locked,
}

/// Copies the database in `from` into the new file `to`, which only its owner can read. The copy is the database at one moment, with all
/// that was acknowledged before; those who use it do not wait. An existing file is never overwritten, and none is left after an error.
pub fn backup(from: &Path, to: &Path) -> Result<(), BackupError> {
    let failed = |error| BackupError::Target(to.display().to_string(), error);
    // Opened first: without a database no file is made.
    let source = Connection::open_with_flags(from, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    let file = private::only_owner(OpenOptions::new().write(true).create_new(true)).open(to).map_err(failed)?;
    let copied = copy(&source, to).and_then(|()| file.sync_all().map_err(failed));
    if copied.is_err() {
        let _ = std::fs::remove_file(to);
    }
    copied
}

fn copy(source: &Connection, to: &Path) -> Result<(), BackupError> {
    let mut target = Connection::open_with_flags(to, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    {
        let backup = Backup::new(source, &mut target)?;
        // All pages in one step, which reads the state of one moment. Several steps would begin anew after each write.
        let mut attempts = 0;
        loop {
            match backup.step(-1)? {
                StepResult::Done => break,
                _ if attempts == ATTEMPTS => return Err(BackupError::Locked),
                _ => attempts += 1,
            }
            std::thread::sleep(PAUSE);
        }
    }
    // One file, without others beside it.
    target.pragma_update(None, "journal_mode", "DELETE")?;
    let whole: String = target.query_row("pragma quick_check", [], |row| row.get(0))?;
    if whole != "ok" {
        return Err(rusqlite::Error::InvalidQuery.into());
    }
    target.close().map_err(|(_, error)| error.into())
}
