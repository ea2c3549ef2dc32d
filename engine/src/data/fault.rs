//! Faults. A *failure* ("the token is expired") is an answer and lets `AtLeastOne` try its next branch. A *fault* ("the database
//! is down") is not an answer: it goes to the nearest `HandleErrors`, or ends the request as an internal error whose cause is
//! only in the log.

use std::borrow::Cow;
use std::fmt;
use std::ops::{Deref, DerefMut};

/// The answer of an assertion, or the fault that prevented it.
pub type Verdict = Result<Outcome, Fault>;

/// An assertion's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Yes.
    Held,
    /// No, with the reason for traces and audit. Never sent to a client, never contains secrets.
    Falsified(Cow<'static, str>),
}

/// `Ok(Outcome::Held)`.
pub const HELD: Verdict = Ok(Outcome::Held);

/// A failure with its reason.
pub fn falsified(reason: impl Into<Cow<'static, str>>) -> Verdict {
    Ok(Outcome::Falsified(reason.into()))
}

/// Who caused a fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blame {
    /// The sender of the request (aborted, unreadable).
    Client,
    /// A called server.
    Upstream,
    /// A database.
    Store,
    /// An impossible policy or configuration.
    Configuration,
    /// A bug of the gateway.
    Internal,
    /// A step of an imported policy that has no translation. No `HandleErrors` catches it: what it would have decided is not known.
    Unsupported,
}

impl Blame {
    /// A word for logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Blame::Client => "client",
            Blame::Upstream => "upstream",
            Blame::Store => "store",
            Blame::Configuration => "configuration",
            Blame::Internal => "internal",
            Blame::Unsupported => "unsupported",
        }
    }
}

/// A fault. `Display` with a `{:#}`-like chain is for logs only. It is one pointer, because each step of a policy returns that there is none.
#[derive(Debug)]
pub struct Fault(Box<Parts>);

/// What there is to say of a fault.
#[derive(Debug)]
pub struct Parts {
    /// Who caused it.
    pub blame: Blame,
    /// What was being done.
    pub context: Cow<'static, str>,
    /// Why it broke.
    pub cause: Option<Box<dyn std::error::Error + Send + Sync>>,
    /// A policy raised it on purpose (`Raise`).
    pub raised: bool,
    /// What was asked for may be possible at another time: the answer is 503.
    pub passing: bool,
    /// A transaction lost against others and was undone: it may be tried again at once.
    pub lost: bool,
    /// `path:line:column` of what was being run, once it is known.
    pub place: Option<String>,
}

impl Fault {
    /// A fault without an underlying error.
    pub fn new(blame: Blame, context: impl Into<Cow<'static, str>>) -> Self {
        let context = context.into();
        Fault(Box::new(Parts { blame, context, cause: None, raised: false, passing: false, lost: false, place: None }))
    }

    /// A fault with its cause.
    pub fn because(
        blame: Blame,
        context: impl Into<Cow<'static, str>>,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        let mut fault = Fault::new(blame, context);
        fault.cause = Some(cause.into());
        fault
    }

    /// The fault of `Raise`.
    pub fn raised(message: impl Into<Cow<'static, str>>) -> Self {
        let mut fault = Fault::new(Blame::Configuration, message);
        fault.raised = true;
        fault
    }

    /// The same fault with the place where it first occurred.
    pub fn at(mut self, place: impl FnOnce() -> String) -> Self {
        self.place.get_or_insert_with(place);
        self
    }
}

impl Deref for Fault {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl DerefMut for Fault {
    fn deref_mut(&mut self) -> &mut Parts {
        &mut self.0
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.context)?;
        let mut cause = self.cause.as_deref().map(|cause| cause as &dyn std::error::Error);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl std::error::Error for Fault {}
