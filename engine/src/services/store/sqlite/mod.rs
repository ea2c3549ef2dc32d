//! The embedded database. Reads run on the calling thread, on one of a few read-only connections, because they take microseconds,
//! less than handing them to another thread. Writes go to one separate thread (see `writer`), which commits all waiting writes
//! with a single sync of the disk.

mod backup;
mod execute;
mod kind;
mod session;
mod space;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rusqlite::OpenFlags;
use smol_str::SmolStr;
use tokio::sync::{mpsc, oneshot};

pub use self::backup::backup;
use self::execute::{Deadline, Handle, Names, store_error};
pub(super) use self::kind::Sqlite;
use self::session::InHand;
use self::writer::{Bound, Job};
use super::backend::{Backend, Session};
use super::{BeginOptions, ConnectionConfig, Kind, QueryOptions, Rows, SettingsError, Statement, StoreError};
use crate::data::value::Value;
use crate::services::config::Synchronous;
use crate::services::private;

/// Most queued writes; beyond it callers wait for a place.
const QUEUE: usize = 4096;
/// How long a check of the file is valid for reads.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// Kibibytes of pages that a connection for writing keeps: enough for the upper levels of the indexes of a large table.
const PAGES: i64 = 32_000;

/// One embedded database.
struct Database {
    file: Arc<File>,
    readers: Vec<Mutex<Option<Handle>>>,
    next: AtomicUsize,
    jobs: mpsc::Sender<Job>,
}

/// The file and how to open it.
struct File {
    name: SmolStr,
    path: PathBuf,
    read_only: bool,
    synchronous: Synchronous,
    busy: Duration,
    statement_timeout: Duration,
    transaction_timeout: Duration,
    look: Mutex<Look>,
}

/// The last check of the file.
struct Look {
    at: Option<Instant>,
    id: Option<FileId>,
    /// After the first opening, a missing database is an error and not replaced by an empty one.
    opened: bool,
}

/// Device and inode: they differ for another file of the same name.
#[derive(Clone, Copy, PartialEq, Eq)]
struct FileId(u64, u64);

impl Database {
    /// Opens the database, creating file and folder. Only a bad address is an error; a file that cannot be opened now is retried
    /// on use.
    fn open(name: SmolStr, config: &ConnectionConfig, home: &Path) -> Result<Database, StoreError> {
        let (path, read_only) = file_path(&config.url, home).map_err(|error| error.of(&name))?;
        let file = Arc::new(File {
            name,
            path,
            read_only,
            synchronous: config.synchronous,
            busy: config.acquire_timeout,
            statement_timeout: config.statement_timeout,
            transaction_timeout: config.transaction_timeout,
            look: Mutex::new(Look { at: None, id: None, opened: false }),
        });
        let readers = config.max_connections.map_or_else(
            || std::thread::available_parallelism().map_or(4, |cores| cores.get() + 2),
            |given| given.max(1) as usize,
        );
        let (jobs, queue) = mpsc::channel(QUEUE);
        writer::start(Arc::clone(&file), queue)
            .map_err(|error| StoreError::new(Kind::Unavailable, &file.name, format!("no thread for it: {error}")))?;
        Ok(Database { file, readers: (0..readers).map(|_| Mutex::new(None)).collect(), next: AtomicUsize::new(0), jobs })
    }

    async fn send(&self, job: Job) -> Result<(), StoreError> {
        self.jobs.send(job).await.map_err(|_| self.closed())
    }

    async fn write(
        &self,
        statement: &Statement,
        params: &[Value],
        options: QueryOptions,
        job: impl FnOnce(Bound) -> Job,
    ) -> Result<Rows, StoreError> {
        self.writable()?;
        let (reply, answer) = oneshot::channel();
        let run = Bound::new(self.file.text(statement)?, params, options, self.file.statement_timeout, reply);
        self.send(job(run)).await?;
        answer.await.map_err(|_| self.closed())?
    }

    fn closed(&self) -> StoreError {
        StoreError::new(Kind::Unavailable, &self.file.name, "it is closed")
    }

    fn writable(&self) -> Result<(), StoreError> {
        match self.file.read_only {
            true => Err(StoreError::new(Kind::ReadOnly, &self.file.name, "it is opened with `mode=ro`")),
            false => Ok(()),
        }
    }

    /// Runs it on this thread; `None` if it turns out to write.
    fn read(&self, statement: &Statement, params: &[Value], options: QueryOptions) -> Result<Option<Rows>, StoreError> {
        let id = self.file.look(false)?;
        let mut slot = self.reader().ok_or_else(|| self.closed())?;
        let handle = match &mut *slot {
            Some(handle) if handle.id == id => handle,
            other => other.insert(self.file.connect(OpenFlags::SQLITE_OPEN_READ_ONLY)?),
        };
        let until = Instant::now() + options.timeout.unwrap_or(self.file.statement_timeout);
        let sql = self.file.text(statement)?;
        handle.read(sql, params, options.max_rows, until).map_err(|error| store_error(&self.file.name, error))
    }

    /// A free reader; if all are busy, waits for one. The first ones are preferred, because their statements are prepared.
    fn reader(&self) -> Option<MutexGuard<'_, Option<Handle>>> {
        for slot in &self.readers {
            match slot.try_lock() {
                Ok(guard) => return Some(guard),
                Err(TryLockError::Poisoned(poisoned)) => return Some(poisoned.into_inner()),
                Err(TryLockError::WouldBlock) => {}
            }
        }
        let slot = self.next.fetch_add(1, Ordering::Relaxed).checked_rem(self.readers.len())?;
        self.readers.get(slot).map(|slot| slot.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[async_trait]
impl Backend for Database {
    fn run_here(&self, statement: &Statement, params: &[Value], options: QueryOptions) -> Result<Option<Rows>, StoreError> {
        if statement.may_read() { self.read(statement, params, options) } else { Ok(None) }
    }

    async fn run(&self, statement: &Statement, params: &[Value], options: QueryOptions) -> Result<Rows, StoreError> {
        self.write(statement, params, options, Job::Run).await
    }

    async fn run_apart(&self, statement: &Statement, params: &[Value], options: QueryOptions) -> Result<Rows, StoreError> {
        self.write(statement, params, options, Job::Apart).await
    }

    async fn begin(self: Arc<Self>, options: BeginOptions<'_>) -> Result<Box<dyn Session>, StoreError> {
        self.writable()?;
        let timeout = options.timeout.unwrap_or(self.file.transaction_timeout);
        let (begin, asked) = InHand::ask(Arc::clone(&self.file), timeout);
        self.send(Job::Begin(begin)).await?;
        let session = asked.begun().await.ok_or_else(|| self.closed())??;
        Ok(Box::new(session))
    }

    async fn migrate(&self, scripts: Vec<(String, String)>) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.send(Job::Migrate(scripts, reply)).await?;
        answer.await.map_err(|_| self.closed())?
    }

    async fn close(&self) {
        let (reply, answer) = oneshot::channel();
        if self.jobs.send(Job::Close(reply)).await.is_ok() {
            let _ = answer.await;
        }
    }
}

impl File {
    /// The statement's text.
    fn text<'a>(&self, statement: &'a Statement) -> Result<&'a Arc<str>, StoreError> {
        let rendered = statement.rendered(super::Dialect::Sqlite);
        rendered.map(|rendered| &rendered.sql).map_err(|error| error.of(&self.name))
    }

    /// Checks which file is there now. Otherwise a deleted or replaced database would accept writes that nobody can ever read.
    fn look(&self, again: bool) -> Result<FileId, StoreError> {
        let mut look = self.look.lock().unwrap_or_else(PoisonError::into_inner);
        if again || look.at.is_none_or(|at| at.elapsed() > LOOK_EVERY) {
            look.id = file_id(&self.path);
            look.at = Some(Instant::now());
        }
        look.id
            .ok_or_else(|| StoreError::new(Kind::Unavailable, &self.name, format!("the file {} is missing", self.path.display())))
    }

    /// Opens a writing connection; the first one creates the file.
    fn connect_writer(&self) -> Result<Handle, StoreError> {
        let opened = self.look.lock().unwrap_or_else(PoisonError::into_inner).opened;
        if !opened && !self.path.exists() {
            let failed = |path: &Path, error: std::io::Error| {
                StoreError::new(Kind::Unavailable, &self.name, format!("cannot create {}: {error}", path.display()))
            };
            if let Some(folder) = self.path.parent() {
                private::make_folder(folder).map_err(|error| failed(folder, error))?;
            }
            // Created here and not by SQLite, which would let everybody read it; the files beside it get the same rights.
            private::make_file(&self.path).map_err(|error| failed(&self.path, error))?;
        }
        self.connect(OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    fn connect(&self, flags: OpenFlags) -> Result<Handle, StoreError> {
        let failed = |error| store_error(&self.name, error);
        let connection =
            rusqlite::Connection::open_with_flags(&self.path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX).map_err(failed)?;
        connection.busy_timeout(self.busy).map_err(failed)?;
        connection.set_prepared_statement_cache_capacity(256);
        if flags.contains(OpenFlags::SQLITE_OPEN_READ_WRITE) {
            let level = match self.synchronous {
                Synchronous::Full => "FULL",
                Synchronous::Normal => "NORMAL",
            };
            space::prepare(&connection).map_err(failed)?;
            to_wal(&connection, self.busy).map_err(failed)?;
            let pragmas = format!(
                "PRAGMA synchronous = {level}; PRAGMA foreign_keys = ON; PRAGMA temp_store = MEMORY; PRAGMA cache_size = -{PAGES};"
            );
            connection.execute_batch(&pragmas).map_err(failed)?;
            space::convert(&connection, &self.name);
        }
        let deadline = Deadline::default();
        let watch = deadline.clone();
        connection.progress_handler(4000, Some(move || watch.passed())).map_err(failed)?;
        let id = self.look(true)?;
        self.look.lock().unwrap_or_else(PoisonError::into_inner).opened = true;
        Ok(Handle { connection, deadline, names: Names::default(), id })
    }
}

/// Turns on the write-ahead log. That needs exclusive access and, unlike statements, does not wait for it, so two processes that
/// start on a new file at once would conflict.
fn to_wal(connection: &rusqlite::Connection, patience: Duration) -> rusqlite::Result<()> {
    let end = Instant::now() + patience;
    loop {
        match connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0)) {
            Err(rusqlite::Error::SqliteFailure(error, _))
                if error.code == rusqlite::ErrorCode::DatabaseBusy && Instant::now() < end =>
            {
                std::thread::sleep(Duration::from_millis(10));
            }
            other => return other.map(|_| ()),
        }
    }
}

/// Path and `mode=ro` of `sqlite://path`, relative to `home`.
fn file_path(url: &str, home: &Path) -> Result<(PathBuf, bool), SettingsError> {
    let rest = url.strip_prefix("sqlite:").unwrap_or(url);
    let rest = rest.strip_prefix("//").unwrap_or(rest);
    let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
    let read_only = match query {
        "" | "mode=rwc" => false,
        "mode=ro" => true,
        other => return Err(SettingsError::UnknownMode(other.to_owned())),
    };
    if path.is_empty() || path.contains(":memory:") {
        return Err(SettingsError::NoFile);
    }
    Ok((home.join(path), read_only))
}

#[cfg(unix)]
fn file_id(path: &Path) -> Option<FileId> {
    use std::os::unix::fs::MetadataExt;
    let metadata = std::fs::metadata(path).ok()?;
    Some(FileId(metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn file_id(path: &Path) -> Option<FileId> {
    path.exists().then_some(FileId(0, 0))
}
