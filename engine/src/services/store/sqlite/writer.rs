//! The writer thread. All waiting jobs go into one SQLite transaction and share one sync of the disk; callers learn of success
//! only after that. A failed statement undoes only itself, so one caller's error affects nobody else.

use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;
use std::time::{Duration, Instant};

use rusqlite::OptionalExtension;
use tokio::sync::{mpsc, oneshot};

use super::File;
use super::execute::{Handle, store_error};
use super::session::{Begin, End};
use super::space;
use crate::data::value::Value;
use crate::services::store::transaction::expired;
use crate::services::store::{Kind, QueryOptions, Rows, StoreError};

/// Most statements that share one commit, and the time after which none joins, so that nobody waits long for the others.
const BATCH: usize = 512;
const BATCH_TIME: Duration = Duration::from_millis(20);

/// How often a batch lets others run who may join it, and the time after which it no longer does.
const YIELDS: u32 = 4;
const PATIENCE: Duration = Duration::from_millis(1);

/// How long nobody must have written before unused space is given back. Between two requests of a busy gateway there is less.
const IDLE: Duration = Duration::from_secs(1);

/// A job for the thread.
pub(super) enum Job {
    Run(Bound),
    /// A statement with a transaction of its own.
    Apart(Bound),
    Begin(Begin),
    Migrate(Vec<(String, String)>, oneshot::Sender<Result<(), StoreError>>),
    Close(oneshot::Sender<()>),
}

/// A statement with its values.
pub(super) struct Bound {
    sql: Arc<str>,
    params: Vec<Value>,
    max_rows: usize,
    timeout: Duration,
    asked: Instant,
    reply: oneshot::Sender<Result<Rows, StoreError>>,
}

impl Bound {
    pub(super) fn new(
        sql: &Arc<str>,
        params: &[Value],
        options: QueryOptions,
        timeout: Duration,
        reply: oneshot::Sender<Result<Rows, StoreError>>,
    ) -> Bound {
        Bound {
            sql: Arc::clone(sql),
            params: params.to_vec(),
            max_rows: options.max_rows,
            timeout: options.timeout.unwrap_or(timeout),
            asked: Instant::now(),
            reply,
        }
    }

    fn execute(&self, handle: &Handle) -> rusqlite::Result<Rows> {
        handle.run(&self.sql, &self.params, self.max_rows, Instant::now() + self.timeout)
    }
}

/// Done, but not yet durable or acknowledged.
enum Pending {
    Statement(Bound, Result<Rows, StoreError>),
    Transaction(oneshot::Sender<Result<(), StoreError>>),
    /// Rolled back by its caller, who may have seen what others did in the same batch and may act on it, so it must be in the
    /// database first.
    Undone(oneshot::Sender<Result<(), StoreError>>),
}

/// SQLite rolled back the whole shared transaction (interrupt, disk error, `OR ROLLBACK`).
struct Lost;

pub(super) fn start(file: Arc<File>, queue: mpsc::Receiver<Job>) -> std::io::Result<()> {
    let name = format!("sqlite-{}", file.name);
    let mut writer = Writer { file, queue, handle: None };
    if !writer.file.read_only
        && let Err(error) = writer.open()
    {
        tracing::warn!(%error, "the database cannot be opened yet; each use tries again");
    }
    std::thread::Builder::new().name(name).spawn(move || writer.work()).map(|_| ())
}

/// Wakes the thread that waits for a job.
struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// The next job, or that there will be none; `None` where neither comes in this time.
fn wait(queue: &mut mpsc::Receiver<Job>, time: Duration) -> Option<Option<Job>> {
    if let Ok(job) = queue.try_recv() {
        return Some(Some(job));
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let until = Instant::now() + time;
    loop {
        if let Poll::Ready(job) = queue.poll_recv(&mut Context::from_waker(&waker)) {
            return Some(job);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        std::thread::park_timeout(left);
    }
}

struct Writer {
    file: Arc<File>,
    queue: mpsc::Receiver<Job>,
    handle: Option<Handle>,
}

impl Writer {
    fn work(&mut self) {
        let mut next = None;
        while let Some(job) = next.take().or_else(|| self.rest()) {
            match job {
                Job::Run(_) | Job::Begin(_) => next = self.batch(job),
                Job::Apart(run) => self.apart(run),
                Job::Migrate(scripts, reply) => {
                    let _ = reply.send(self.migrate(&scripts));
                }
                Job::Close(reply) => {
                    if let Some(handle) = self.handle.take() {
                        let _ = handle.connection.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)");
                    }
                    self.queue.close();
                    let _ = reply.send(());
                }
            }
        }
    }

    /// The next job. When none has come for a while, returns unused space to the file system, a little at a time.
    fn rest(&mut self) -> Option<Job> {
        let mut patience = IDLE;
        while self.handle.is_some() {
            if let Some(job) = wait(&mut self.queue, patience) {
                return job;
            }
            if !self.handle.as_ref().is_some_and(|handle| space::give_back(&handle.connection)) {
                break;
            }
            patience = Duration::ZERO;
        }
        self.queue.blocking_recv()
    }

    /// Opens the connection, or reopens it if the file was replaced.
    fn open(&mut self) -> Result<(), StoreError> {
        if let Some(handle) = &self.handle {
            match self.file.look(true) {
                Ok(id) if id == handle.id => return Ok(()),
                Ok(_) => self.handle = None,
                Err(error) => {
                    self.handle = None;
                    return Err(error);
                }
            }
        }
        self.handle = Some(self.file.connect_writer()?);
        Ok(())
    }

    fn error(&self, error: rusqlite::Error) -> StoreError {
        store_error(&self.file.name, error)
    }

    /// Runs this job and all waiting ones as one transaction. Returns the job that must come after the commit.
    fn batch(&mut self, first: Job) -> Option<Job> {
        let begun = self.open().and_then(|()| match &self.handle {
            Some(handle) => handle.control("BEGIN IMMEDIATE").map_err(|error| self.error(error)),
            None => Err(StoreError::new(Kind::Unavailable, &self.file.name, "it is closed")),
        });
        let Some(handle) = self.handle.take() else {
            return self.refuse(first, begun);
        };
        if begun.is_err() {
            self.handle = Some(handle);
            return self.refuse(first, begun);
        }
        let mut pending = Vec::new();
        let (handle, filled) = self.fill(handle, first, &mut pending);
        let after = match filled {
            Ok(after) => {
                self.finish(&handle, pending);
                after
            }
            Err(Lost) => {
                self.redo(&handle, pending);
                None
            }
        };
        self.handle = Some(handle);
        after
    }

    /// The database cannot be written, so this job and the waiting ones fail at once.
    fn refuse(&mut self, first: Job, begun: Result<(), StoreError>) -> Option<Job> {
        let error = begun.err().unwrap_or_else(|| StoreError::new(Kind::Unavailable, &self.file.name, "it is closed"));
        // Only jobs that wait already: a caller that asks again after the error must get a new attempt.
        let mut waiting = vec![first];
        let mut after = None;
        while let Ok(job) = self.queue.try_recv() {
            match job {
                Job::Run(_) | Job::Apart(_) | Job::Begin(_) => waiting.push(job),
                other => {
                    after = Some(other);
                    break;
                }
            }
        }
        for job in waiting {
            match job {
                Job::Run(run) | Job::Apart(run) => drop(run.reply.send(Err(error.clone()))),
                Job::Begin(begin) => drop(begin.started.send(Err(error.clone()))),
                Job::Migrate(..) | Job::Close(_) => {}
            }
        }
        after
    }

    fn fill(&mut self, mut handle: Handle, first: Job, pending: &mut Vec<Pending>) -> (Handle, Result<Option<Job>, Lost>) {
        let begun = Instant::now();
        let mut next = Some(first);
        while let Some(job) = next {
            let done;
            match job {
                Job::Run(run) => done = self.statement(&handle, run, pending),
                Job::Begin(begin) => (handle, done) = self.interactive(handle, begin, pending),
                other => return (handle, Ok(Some(other))),
            }
            if let Err(Lost) = done {
                return (handle, Err(Lost));
            }
            let room = pending.len() < BATCH && begun.elapsed() < BATCH_TIME;
            next = if room { self.waiting() } else { None };
        }
        (handle, Ok(None))
    }

    /// A job that waits to be done. Where there is none, others may be about to ask who wait for the same processor. Each would get a
    /// commit of its own.
    fn waiting(&mut self) -> Option<Job> {
        if let Ok(job) = self.queue.try_recv() {
            return Some(job);
        }
        let asked = Instant::now();
        for _ in 0..YIELDS {
            std::thread::yield_now();
            if let Ok(job) = self.queue.try_recv() {
                return Some(job);
            }
            if asked.elapsed() > PATIENCE {
                break;
            }
        }
        None
    }

    /// A job that waited too long is not started; its caller is told that nothing was done.
    fn in_time(&self, run: Bound) -> Option<Bound> {
        if run.asked.elapsed() <= run.timeout.max(self.file.busy) {
            return Some(run);
        }
        let error = StoreError::new(Kind::Timeout, &self.file.name, "its turn to write did not come in time");
        let _ = run.reply.send(Err(error));
        None
    }

    /// Runs a statement as a transaction, and measures how long that takes.
    fn apart(&mut self, run: Bound) {
        let Some(run) = self.in_time(run) else { return };
        let begun = Instant::now();
        let result = self.open().and_then(|()| match &self.handle {
            Some(handle) => run.execute(handle).map_err(|error| self.error(error)),
            None => Err(StoreError::new(Kind::Unavailable, &self.file.name, "it is closed")),
        });
        let _ = run.reply.send(result.map(|rows| Rows { took: begun.elapsed(), ..rows }));
    }

    fn statement(&self, handle: &Handle, run: Bound, pending: &mut Vec<Pending>) -> Result<(), Lost> {
        let Some(run) = self.in_time(run) else { return Ok(()) };
        let result = run.execute(handle).map_err(|error| self.error(error));
        let lost = result.is_err() && handle.connection.is_autocommit();
        pending.push(Pending::Statement(run, result));
        if lost { Err(Lost) } else { Ok(()) }
    }

    /// Lends the connection to a transaction until it ends or its time is over. It is committed with the batch.
    fn interactive(&self, handle: Handle, begin: Begin, pending: &mut Vec<Pending>) -> (Handle, Result<(), Lost>) {
        if Instant::now() > begin.start_by {
            let error = StoreError::new(Kind::Busy, &self.file.name, "its turn to write did not come in time");
            let _ = begin.started.send(Err(error));
            return (handle, Ok(()));
        }
        if let Err(error) = handle.control("SAVEPOINT portcullis") {
            let _ = begin.started.send(Err(self.error(error)));
            return (handle, Ok(()));
        }
        let end = Instant::now() + begin.timeout;
        begin.loan.give(handle);
        let ended = match begin.started.send(Ok(end)) {
            Ok(()) => begin.ended.recv_timeout(end.saturating_duration_since(Instant::now())),
            Err(_) => Err(RecvTimeoutError::Disconnected),
        };
        // Waits for a running statement, which is interrupted when the transaction's time is over.
        let handle = begin.loan.take_back();
        if handle.connection.is_autocommit() {
            if let Ok(End::Commit(reply) | End::Rollback(reply)) = ended {
                let _ =
                    reply.send(Err(StoreError::new(Kind::Busy, &self.file.name, "an error rolled back the whole transaction")));
            }
            return (handle, Err(Lost));
        }
        let control = match ended {
            Ok(End::Commit(reply)) => {
                pending.push(Pending::Transaction(reply));
                Ok(())
            }
            Ok(End::Rollback(reply)) => {
                pending.push(Pending::Undone(reply));
                handle.control("ROLLBACK TO portcullis")
            }
            Err(RecvTimeoutError::Disconnected) => handle.control("ROLLBACK TO portcullis"),
            Err(RecvTimeoutError::Timeout) => {
                tracing::warn!(request = begin.request.as_deref(), error = %expired(&self.file.name), "transaction undone");
                handle.control("ROLLBACK TO portcullis")
            }
        };
        // If a savepoint cannot be ended, the state of the shared transaction is unknown, so all of it is rolled back.
        let ended = control.and_then(|()| handle.control("RELEASE portcullis")).map_err(|_| Lost);
        (handle, ended)
    }

    /// Commits, and only then informs the callers.
    fn finish(&self, handle: &Handle, pending: Vec<Pending>) {
        if pending.iter().all(|done| matches!(done, Pending::Statement(_, Err(_)) | Pending::Undone(_))) {
            // Nothing was written, so there is nothing to sync.
            let _ = handle.control("ROLLBACK");
        } else if handle.control("COMMIT").is_err() {
            return self.redo(handle, pending);
        }
        for done in pending {
            match done {
                Pending::Statement(run, result) => {
                    let _ = run.reply.send(result);
                }
                Pending::Transaction(reply) | Pending::Undone(reply) => {
                    let _ = reply.send(Ok(()));
                }
            }
        }
    }

    /// The shared transaction was lost with everything in it. No caller was informed yet, so each statement runs again alone and
    /// gets its own result. A transaction of several steps cannot be repeated here.
    fn redo(&self, handle: &Handle, pending: Vec<Pending>) {
        if !handle.connection.is_autocommit() {
            let _ = handle.control("ROLLBACK");
        }
        for done in pending {
            match done {
                Pending::Statement(run, Ok(_)) => {
                    let result = run.execute(handle).map_err(|error| self.error(error));
                    let _ = run.reply.send(result);
                }
                Pending::Statement(run, Err(error)) => {
                    let _ = run.reply.send(Err(error));
                }
                Pending::Undone(reply) => {
                    let _ = reply.send(Ok(()));
                }
                Pending::Transaction(reply) => {
                    let detail = "another writer's error rolled the transaction back before it was committed";
                    let _ = reply.send(Err(StoreError::new(Kind::Busy, &self.file.name, detail)));
                }
            }
        }
    }

    fn migrate(&mut self, scripts: &[(String, String)]) -> Result<(), StoreError> {
        self.open()?;
        let Some(handle) = &self.handle else {
            return Err(StoreError::new(Kind::Unavailable, &self.file.name, "it is closed"));
        };
        let connection = &handle.connection;
        let failed = |error| self.error(error);
        let table = "CREATE TABLE IF NOT EXISTS portcullis_migration (name TEXT NOT NULL PRIMARY KEY, applied INTEGER NOT NULL)";
        connection.execute_batch(table).map_err(failed)?;
        let applied = |name: &str| -> Result<bool, StoreError> {
            let row = connection.query_row("SELECT 1 FROM portcullis_migration WHERE name = ?1", [name], |_| Ok(()));
            row.optional().map(|row| row.is_some()).map_err(failed)
        };
        for (name, sql) in scripts {
            if applied(name)? {
                continue;
            }
            connection.execute_batch("BEGIN IMMEDIATE").map_err(failed)?;
            // Checked again, because another process may have been faster while this one waited for the lock.
            let done = applied(name).and_then(|done| {
                if done {
                    return Ok(());
                }
                connection.execute_batch(sql).map_err(failed)?;
                let note = "INSERT INTO portcullis_migration (name, applied) VALUES (?1, unixepoch())";
                connection.execute(note, [name]).map_err(failed)?;
                Ok(())
            });
            let ended = match &done {
                Ok(()) => connection.execute_batch("COMMIT").map_err(failed),
                Err(_) => connection.execute_batch("ROLLBACK").map_err(failed),
            };
            done.and(ended)
                .map_err(|error| StoreError { detail: format!("script `{name}`: {}", error.detail).into(), ..error })?;
        }
        Ok(())
    }
}
