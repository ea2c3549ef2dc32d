//! Space that deleted rows leave in the file. Pages that are free go back to the file system while the writer has nothing else to do,
//! so that a flood of rows that have expired does not fill the disk for ever.

use rusqlite::Connection;
use smol_str::SmolStr;

/// Pages given back at a time: a few milliseconds, for which a write may have to wait.
const STEP: i64 = 256;
/// Free pages that are kept, because rows come and go (4 MiB).
const KEPT: i64 = 1024;
/// Files up to this size that were made without giving space back are rewritten when they are opened. Larger ones would take too long.
const CONVERTED: i64 = 64 * 1024 * 1024;
/// To this size the write-ahead log shrinks again.
const LOG: i64 = 16 * 1024 * 1024;

/// Before anything is written: in a new file each page can be given back.
pub(super) fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    // Changes nothing in a file that has tables already.
    connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL")?;
    number(connection, &format!("PRAGMA journal_size_limit = {LOG}")).map(|_| ())
}

/// Rewrites a file that gives no space back, unless it is large. SQLite does so in a transaction: whatever happens, the file is whole.
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
        // Somebody else uses the file. The next start tries again.
        tracing::debug!(connection = %name, "the file does not give space back yet: {error}");
    }
}

/// Gives some free pages back. Whether there are more.
pub(super) fn give_back(connection: &Connection) -> bool {
    let free = number(connection, "PRAGMA freelist_count").unwrap_or(0) - KEPT;
    if free <= 0 || number(connection, "PRAGMA auto_vacuum").unwrap_or(0) != 2 {
        return false;
    }
    // The pragma gives back one page each time it is stepped.
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
    // The file itself shrinks when the log is written back. Readers in the middle of something are not waited for.
    let _ = number(connection, "PRAGMA wal_checkpoint(PASSIVE)");
    false
}

fn number(connection: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    connection.query_row(pragma, [], |row| row.get(0))
}
