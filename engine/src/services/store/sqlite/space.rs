//! Space that deleted rows leave in the file. While the writer is idle, it returns free pages to the file system, so that a flood
//! of expired rows does not fill the disk permanently.

use rusqlite::Connection;
use smol_str::SmolStr;

/// Pages returned at a time: a few milliseconds, for which a write may have to wait.
const STEP: i64 = 256;
/// Free pages to keep, because rows come and go (4 MiB).
const KEPT: i64 = 1024;
/// Files up to this size that do not return space are rewritten when they are opened. Larger ones would take too long.
const CONVERTED: i64 = 64 * 1024 * 1024;
/// The write-ahead log is written back to the file at this many pages (40 MiB). A longer log writes a page that changes often back less
/// often.
const CHECKPOINT: i64 = 10_000;
/// The write-ahead log shrinks back to this size.
const LOG: i64 = 64 * 1024 * 1024;

/// Before anything is written, so that a new file can return every page.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    // Has no effect on a file that already has tables.
    connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")?;
    number(connection, &format!("PRAGMA wal_autocheckpoint = {CHECKPOINT}"))?;
    number(connection, &format!("PRAGMA journal_size_limit = {LOG}")).map(|_| ())
}

/// Rewrites a file that does not return space, unless it is large. SQLite does so in a transaction, so the file stays intact
/// whatever happens.
pub(super) fn convert(connection: &Connection, name: &SmolStr) {
    let outcome = (|| {
        if number(connection, "PRAGMA auto_vacuum")? != 0 {
            return Ok(());
        }
        let size = number(connection, "PRAGMA page_count")? * number(connection, "PRAGMA page_size")?;
        if size > CONVERTED {
            tracing::warn!(
                connection = %name,
                "the file of this database never shrinks; to change that, stop everything that uses it and run \
                 `sqlite3 FILE 'PRAGMA auto_vacuum = INCREMENTAL; VACUUM'` once"
            );
            return Ok(());
        }
        connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL; VACUUM")
    })();
    if let Err(error) = outcome {
        // Another process uses the file. The next start tries again.
        tracing::debug!(connection = %name, "the file does not return unused space yet: {error}");
    }
}

/// Returns some free pages to the file system; the result says whether there are more.
pub(super) fn give_back(connection: &Connection) -> bool {
    let free = number(connection, "PRAGMA freelist_count").unwrap_or(0) - KEPT;
    if free <= 0 || number(connection, "PRAGMA auto_vacuum").unwrap_or(0) != 2 {
        return false;
    }
    // The pragma returns one page at each step.
    let given = connection.prepare(&format!("PRAGMA incremental_vacuum({})", STEP.min(free))).and_then(|mut statement| {
        let mut rows = statement.raw_query();
        while rows.next()?.is_some() {}
        Ok(())
    });
    if given.is_err() {
        return false;
    }
    if free > STEP {
        return true;
    }
    // The file itself shrinks when the log is written back. This does not wait for active readers.
    let _ = number(connection, "PRAGMA wal_checkpoint(PASSIVE)");
    false
}

fn number(connection: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    connection.query_row(pragma, [], |row| row.get(0))
}
