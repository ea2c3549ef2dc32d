//! What an assertion is to the engine: a description, a builder that settles its properties when the policy loads, and a run.
//!
//! One assertion is one file under `assertions/<category>/`, named as policies spell it. It exports `ENTRY`; the category's list
//! registers it.

use async_trait::async_trait;
use portcullis_dsl::Diagnostic;
use portcullis_dsl::spec::Spec;

use crate::data::fault::Verdict;
use crate::policy::ctx::Ctx;

pub use crate::policy::compile::build::Build;

/// An assertion that does no I/O. It never yields.
pub trait Assertion: Send + Sync {
    /// Answers.
    fn run(&self, ctx: &mut Ctx) -> Verdict;
}

/// An assertion that does I/O.
#[async_trait]
pub trait AsyncAssertion: Send + Sync {
    /// Answers.
    async fn run(&self, ctx: &mut Ctx) -> Verdict;
}

/// A built assertion.
pub enum Runnable {
    /// Runs in place.
    Sync(Box<dyn Assertion>),
    /// May wait.
    Async(Box<dyn AsyncAssertion>),
    /// Begins a transaction around its block; the executor ends it.
    Transaction {
        /// Name of the connection.
        connection: crate::policy::expr::Expr,
        /// Transactions under the same lock run one after the other.
        lock: Option<crate::policy::expr::Expr>,
    },
}

impl Runnable {
    /// Wraps an assertion that does no I/O.
    pub fn sync(assertion: impl Assertion + 'static) -> Result<Runnable, Diagnostic> {
        Ok(Runnable::Sync(Box::new(assertion)))
    }

    /// Wraps an assertion that does I/O.
    pub fn io(assertion: impl AsyncAssertion + 'static) -> Result<Runnable, Diagnostic> {
        Ok(Runnable::Async(Box::new(assertion)))
    }
}

/// An assertion's place in the catalogue.
pub struct Entry {
    /// Its description.
    pub spec: &'static Spec,
    /// Settles its properties; called once per use in a policy, when the policy loads.
    pub build: fn(&mut Build<'_>) -> Result<Runnable, Diagnostic>,
}
