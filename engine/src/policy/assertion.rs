//! What an assertion is to the engine: a description, a builder that evaluates its properties when the policy loads, and a run.
//!
//! One assertion is one file under `assertions/<category>/`, named as policies spell it. It exports `ENTRY`; the category's list
//! registers it.

use portcullis_dsl::Diagnostic;
use portcullis_dsl::spec::Spec;

pub use crate::policy::build::Build;
pub use crate::policy::runnable::{Assertion, AsyncAssertion, Begin, BlockAssertion, BlockEnd, OpenBlock, Places, Runnable};

/// An assertion's place in the catalogue.
pub struct Entry {
    /// Its description.
    pub spec: &'static Spec,
    /// Evaluates its properties; called once per use in a policy, when the policy loads.
    pub build: fn(&mut Build<'_>) -> Result<Runnable, Diagnostic>,
}
