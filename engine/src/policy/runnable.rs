//! An assertion as it runs: in place, waiting, or around a block.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use portcullis_dsl::Diagnostic;

use crate::data::fault::{Fault, Verdict};
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;

/// Where a policy's variables are once it is one stretch of code with everything that it calls, and what is known of them.
pub trait Places {
    /// An expression, with what is known as constants.
    fn expr(&self, expr: &Expr) -> Expr;

    /// A variable that the assertion sets whenever it succeeds. After a failure its value counts as unknown.
    fn target(&self, slot: Slot) -> Slot;

    /// A variable that the assertion may read or set.
    fn variable(&self, slot: Slot) -> Slot;

    /// An expression that may be there.
    fn optional(&self, expr: &Option<Expr>) -> Option<Expr> {
        expr.as_ref().map(|expr| self.expr(expr))
    }
}

/// An assertion that does no I/O. It never yields.
pub trait Assertion: Send + Sync {
    /// Answers.
    fn run(&self, ctx: &mut Ctx) -> Verdict;

    /// The same assertion with its variables in these places. `None`: they have to stay where they are. What runs often gains most: its
    /// constants are not set before it, and what only it reads is not copied. It must not keep an expression for later, and reads nothing
    /// after it has set something.
    fn placed(&self, _places: &dyn Places) -> Option<Arc<dyn Assertion>> {
        None
    }
}

/// An assertion that does I/O.
#[async_trait]
pub trait AsyncAssertion: Send + Sync {
    /// Answers.
    async fn run(&self, ctx: &mut Ctx) -> Verdict;

    /// Whether it changes the database of its connection.
    fn changes_database(&self) -> bool {
        false
    }

    /// As [`Assertion::placed`].
    fn placed(&self, _places: &dyn Places) -> Option<Arc<dyn AsyncAssertion>> {
        None
    }
}

/// An assertion around a block: `Name(…) { … }`. Its spec says `block: true`.
#[async_trait]
pub trait BlockAssertion: Send + Sync {
    /// Before the block: decides whether it runs, if that can be known without waiting.
    fn begin_now(&self, _ctx: &mut Ctx) -> Option<Begin> {
        None
    }

    /// The same where it could not be known.
    async fn begin(&self, ctx: &mut Ctx) -> Result<Begin, Fault>;

    /// As [`Assertion::placed`]. What ends the block may read its variables ([`Places::variable`]), and set none.
    fn placed(&self, _places: &dyn Places) -> Option<Arc<dyn BlockAssertion>> {
        None
    }
}

/// What happens to a block.
pub enum Begin {
    /// It runs, and this object is told how it ended.
    Run(Box<dyn OpenBlock>),
    /// It is skipped, and the assertion succeeds.
    Skip,
    /// It is skipped, and the assertion fails for this reason.
    Refuse(Cow<'static, str>),
}

/// A block that runs.
#[async_trait]
pub trait OpenBlock: Send {
    /// After the block, once. The result only counts if the block succeeded: if the block failed, the assertion fails, and if it
    /// was abandoned, nobody asks.
    async fn end(self: Box<Self>, ctx: &mut Ctx, ending: BlockEnd) -> Verdict;

    /// Whether the block may be run again from its beginning if it breaks because it lost against others ([`Fault::lost`]).
    fn runs_again(&self) -> bool {
        false
    }
}

/// How a block ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockEnd {
    /// It held.
    Held,
    /// It failed.
    Failed,
    /// A fault, a raised error or a `fail` left it. The current variables may then belong to another policy and must not be
    /// touched.
    Abandoned,
}

/// A built assertion.
pub enum Runnable {
    /// Runs in place.
    Sync(Arc<dyn Assertion>),
    /// May wait.
    Async(Arc<dyn AsyncAssertion>),
    /// Has a block.
    Block(Arc<dyn BlockAssertion>),
}

impl Runnable {
    /// Wraps an assertion that does no I/O.
    pub fn sync(assertion: impl Assertion + 'static) -> Result<Runnable, Diagnostic> {
        Ok(Runnable::Sync(Arc::new(assertion)))
    }

    /// Wraps an assertion that does I/O.
    pub fn io(assertion: impl AsyncAssertion + 'static) -> Result<Runnable, Diagnostic> {
        Ok(Runnable::Async(Arc::new(assertion)))
    }

    /// Wraps an assertion around a block.
    pub fn block(assertion: impl BlockAssertion + 'static) -> Result<Runnable, Diagnostic> {
        Ok(Runnable::Block(Arc::new(assertion)))
    }
}
