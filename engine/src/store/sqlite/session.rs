//! The caller's end of a transaction that the writer thread serves step by step.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::File;
use super::writer::Run;
use crate::store::transaction::expired;
use crate::store::{QueryOptions, Rows, Statement, StoreError};
use crate::value::Value;

/// What the writer needs to serve a transaction.
pub(super) struct Begin {
    pub(super) steps: Receiver<Step>,
    /// How long it may last once begun.
    pub(super) timeout: Duration,
    /// When its turn must have come.
    pub(super) start_by: Instant,
    pub(super) started: oneshot::Sender<Result<(), StoreError>>,
}

/// One step of a transaction. The writer takes a lost [`Step`] sender for a rollback.
pub(super) enum Step {
    Run(Run),
    Commit(oneshot::Sender<Result<(), StoreError>>),
    Rollback(oneshot::Sender<Result<(), StoreError>>),
}

/// A transaction in hand.
pub(in crate::store) struct Session {
    file: Arc<File>,
    steps: Sender<Step>,
}

impl Session {
    pub(super) fn new(file: Arc<File>, timeout: Duration) -> (Session, Begin, oneshot::Receiver<Result<(), StoreError>>) {
        let (steps, receiver) = channel();
        let (started, answer) = oneshot::channel();
        let start_by = Instant::now() + file.busy;
        (Session { file, steps }, Begin { steps: receiver, timeout, start_by, started }, answer)
    }

    pub(in crate::store) async fn run(
        &mut self,
        statement: &Statement,
        params: &[Value],
        options: QueryOptions,
    ) -> Result<Rows, StoreError> {
        let timeout = self.file.statement_timeout;
        self.step(|reply| Step::Run(Run::new(statement, params, options, timeout, reply))).await
    }

    pub(in crate::store) async fn commit(self) -> Result<(), StoreError> {
        self.step(Step::Commit).await
    }

    pub(in crate::store) async fn rollback(self) -> Result<(), StoreError> {
        self.step(Step::Rollback).await
    }

    async fn step<T>(&self, make: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Step) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.steps.send(make(reply)).map_err(|_| expired(&self.file.name))?;
        answer.await.map_err(|_| expired(&self.file.name))?
    }
}
