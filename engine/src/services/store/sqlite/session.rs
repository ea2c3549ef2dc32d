//! The caller's end of a transaction. The writer thread lends its connection for that long, so the statements run on the calling
//! thread, without messages between threads for each of them.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use smol_str::SmolStr;
use tokio::sync::oneshot;

use super::File;
use super::execute::{Handle, store_error};
use crate::data::value::Value;
use crate::services::store::backend::Session;
use crate::services::store::transaction::expired;
use crate::services::store::{Kind, QueryOptions, Rows, Statement, StoreError};
use crate::services::telemetry::current_request;

/// What the writer needs to serve a transaction.
pub(super) struct Begin {
    pub(super) loan: Arc<Loan>,
    pub(super) ended: Receiver<End>,
    /// How long it may last after it began.
    pub(super) timeout: Duration,
    /// The request that it is for.
    pub(super) request: Option<SmolStr>,
    /// Until when its turn must have come.
    pub(super) start_by: Instant,
    /// Receives the end of its time.
    pub(super) started: oneshot::Sender<Result<Instant, StoreError>>,
}

/// How a transaction ends. The writer treats a lost sender as a rollback.
pub(super) enum End {
    Commit(oneshot::Sender<Result<(), StoreError>>),
    Rollback(oneshot::Sender<Result<(), StoreError>>),
}

/// The borrowed connection; empty before and after. Statements hold the lock while they run and leave the connection here.
#[derive(Default)]
pub(super) struct Loan(Mutex<Option<Handle>>);

impl Loan {
    pub(super) fn give(&self, handle: Handle) {
        *self.slot() = Some(handle);
    }

    /// Takes the connection back, after the running statement.
    #[expect(clippy::expect_used, reason = "INVARIANT: the writer put it in, and only the writer takes it out")]
    pub(super) fn take_back(&self) -> Handle {
        self.slot().take().expect("a connection on loan")
    }

    fn slot(&self) -> MutexGuard<'_, Option<Handle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An open transaction.
pub(super) struct InHand {
    file: Arc<File>,
    loan: Arc<Loan>,
    end: Sender<End>,
    until: Instant,
}

impl InHand {
    /// The request for the writer, and the session after the writer has answered.
    pub(super) fn ask(file: Arc<File>, timeout: Duration) -> (Begin, Asked) {
        let (end, ended) = channel();
        let (started, answer) = oneshot::channel();
        let loan = Arc::new(Loan::default());
        let start_by = Instant::now() + file.busy;
        let request = current_request();
        (Begin { loan: Arc::clone(&loan), ended, timeout, start_by, started, request }, Asked { file, loan, end, answer })
    }

    async fn finish(self, make: impl FnOnce(oneshot::Sender<Result<(), StoreError>>) -> End) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.end.send(make(reply)).map_err(|_| expired(&self.file.name))?;
        answer.await.map_err(|_| expired(&self.file.name))?
    }

    fn execute(&self, statement: &Statement, params: &[Value], options: QueryOptions) -> Result<Rows, StoreError> {
        let slot = self.loan.slot();
        let Some(handle) = &*slot else { return Err(expired(&self.file.name)) };
        // SQLite itself rolls back a transaction after a full disk or an interrupt; a further statement would run alone.
        if handle.connection.is_autocommit() {
            return Err(StoreError::new(Kind::Busy, &self.file.name, "an earlier error rolled the transaction back"));
        }
        let until = Instant::now() + options.timeout.unwrap_or(self.file.statement_timeout);
        handle
            .run(self.file.text(statement)?, params, options.max_rows, until.min(self.until))
            .map_err(|error| store_error(&self.file.name, error))
    }
}

#[async_trait]
impl Session for InHand {
    fn run_here(&mut self, statement: &Statement, params: &[Value], options: QueryOptions) -> Result<Option<Rows>, StoreError> {
        self.execute(statement, params, options).map(Some)
    }

    async fn run(&mut self, statement: &Statement, params: &[Value], options: QueryOptions) -> Result<Rows, StoreError> {
        self.execute(statement, params, options)
    }

    async fn commit(self: Box<Self>) -> Result<(), StoreError> {
        self.finish(End::Commit).await
    }

    async fn rollback(self: Box<Self>) -> Result<(), StoreError> {
        self.finish(End::Rollback).await
    }
}

/// A session waiting for its turn.
pub(super) struct Asked {
    file: Arc<File>,
    loan: Arc<Loan>,
    end: Sender<End>,
    answer: oneshot::Receiver<Result<Instant, StoreError>>,
}

impl Asked {
    /// Waits for its turn. `None` if the writer is gone.
    pub(super) async fn begun(self) -> Option<Result<InHand, StoreError>> {
        let until = match self.answer.await.ok()? {
            Ok(until) => until,
            Err(error) => return Some(Err(error)),
        };
        Some(Ok(InHand { file: self.file, loan: self.loan, end: self.end, until }))
    }
}
