//! Which of several gateways runs a task: the one that has taken the task's row in the table `portcullis_task` of a database that they
//! share. Who dies meanwhile loses the row when its time is over, and another one takes it.

use std::sync::LazyLock;

use crate::data::value::Value;
use crate::services::store::{Connection, Kind, QueryOptions, Rows, Statement, StatementError, StoreError};

/// How long a row is taken, in milliseconds. Who runs a task takes it again long before.
pub(super) const HELD: i64 = 30_000;

/// A task's row.
#[derive(Clone)]
pub(super) struct Lease {
    connection: Connection,
    task: String,
    /// This gateway.
    holder: String,
}

/// What an attempt to take a row gives.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Claim {
    /// This gateway runs the task.
    Taken,
    /// Another one runs it, or has run it; not before this time again.
    Until(i64),
    /// The database has no such table, or this account may not write it: each gateway runs the task.
    Nobody,
}

/// When a task may be taken.
#[derive(Clone, Copy, Debug)]
pub(super) enum When {
    /// When its time has come.
    Due,
    /// When it has not run since this time.
    Once(i64),
    /// Now.
    Now,
}

/// What a row says of the last run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) holder: String,
    pub(super) held: bool,
    pub(super) due: i64,
    pub(super) last_run: i64,
    pub(super) result: String,
}

struct Statements {
    take: Statement,
    add: Statement,
    look: Statement,
    keep: Statement,
    leave: Statement,
}

static STATEMENTS: LazyLock<Result<Statements, StatementError>> = LazyLock::new(|| {
    let statement = |text: &str| Statement::new(&text.split('?').collect::<Vec<_>>());
    Ok(Statements {
        take: statement(
            "update portcullis_task set holder = ?, held_until = ? where task = ? and held_until <= ? and due <= ? and last_run < ?",
        )?,
        add: statement(
            "insert into portcullis_task (task, holder, held_until, due, last_run, result) values (?, ?, ?, ?, 0, '')",
        )?,
        look: statement("select holder, held_until, due, last_run, result from portcullis_task where task = ?")?,
        keep: statement("update portcullis_task set held_until = ? where task = ? and holder = ? and held_until > ?")?,
        leave: statement(
            "update portcullis_task set held_until = 0, due = ?, last_run = ?, result = ? where task = ? and holder = ?",
        )?,
    })
});

fn statements() -> Result<&'static Statements, StoreError> {
    // INVARIANT: the texts above are statements; a test takes and leaves a row.
    STATEMENTS.as_ref().map_err(|why| StoreError::new(Kind::Invalid, &"tasks".into(), why.to_string()))
}

impl Lease {
    pub(super) fn new(connection: Connection, task: &str, holder: &str) -> Lease {
        Lease { connection, task: task.to_owned(), holder: holder.to_owned() }
    }

    async fn run(&self, statement: &Statement, params: &[Value]) -> Result<Rows, StoreError> {
        self.connection.run(statement, params, QueryOptions::default()).await
    }

    fn task(&self) -> Value {
        Value::from(self.task.as_str())
    }

    /// Takes the row.
    pub(super) async fn claim(&self, now: i64, when: When) -> Result<Claim, StoreError> {
        match self.try_claim(now, when).await {
            Err(error) if matches!(error.kind, Kind::Invalid | Kind::Forbidden | Kind::ReadOnly) => {
                tracing::debug!("every gateway runs the task `{}`: {error}", self.task);
                Ok(Claim::Nobody)
            }
            other => other,
        }
    }

    async fn try_claim(&self, now: i64, when: When) -> Result<Claim, StoreError> {
        let statements = statements()?;
        let (due, last_run) = match when {
            When::Due => (now, i64::MAX),
            When::Once(at) => (i64::MAX, at),
            When::Now => (i64::MAX, i64::MAX),
        };
        let holder = Value::from(self.holder.as_str());
        let take = [&holder, &Value::Int(now + HELD), &self.task(), &Value::Int(now), &Value::Int(due), &Value::Int(last_run)];
        if self.run(&statements.take, &take.map(Clone::clone)).await?.affected > 0 {
            return Ok(Claim::Taken);
        }
        if let Some(told) = self.look(now).await? {
            let wait = match (told.held, when) {
                // It may die.
                (true, _) => now + HELD,
                (false, When::Once(_)) => i64::MAX,
                (false, When::Due | When::Now) => told.due.max(now + 1000),
            };
            return Ok(Claim::Until(wait));
        }
        match self.run(&statements.add, &[self.task(), holder, Value::Int(now + HELD), Value::Int(now)]).await {
            Ok(_) => Ok(Claim::Taken),
            Err(error) if error.is_duplicate() => Ok(Claim::Until(now + HELD)),
            Err(error) => Err(error),
        }
    }

    /// What the row says; `None` if there is none.
    pub(super) async fn look(&self, now: i64) -> Result<Option<Told>, StoreError> {
        let rows = self.run(&statements()?.look, &[self.task()]).await?;
        let told = |row: &Vec<Value>| {
            let number = |at: usize| row.get(at).and_then(Value::to_int).unwrap_or_default();
            let text = |at: usize| row.get(at).map(|value| value.as_text().into_owned()).unwrap_or_default();
            Told { holder: text(0), held: number(1) > now, due: number(2), last_run: number(3), result: text(4) }
        };
        Ok(rows.rows.first().map(told))
    }

    /// Keeps the row for longer. `false`: it was lost, and another gateway may run the task.
    pub(super) async fn keep(&self, now: i64) -> Result<bool, StoreError> {
        let holder = Value::from(self.holder.as_str());
        let params = [Value::Int(now + HELD), self.task(), holder, Value::Int(now)];
        Ok(self.run(&statements()?.keep, &params).await?.affected > 0)
    }

    /// Gives the row back, with how the run ended, and when the next one is due.
    pub(super) async fn leave(&self, due: i64, last_run: i64, result: &str) -> Result<(), StoreError> {
        let params = [Value::Int(due), Value::Int(last_run), Value::from(result), self.task(), Value::from(self.holder.as_str())];
        self.run(&statements()?.leave, &params).await.map(|_| ())
    }
}
