//! Codes of the diagnostics that only the engine can give; the language's own are in `portcullis_dsl::codes`. Codes may be
//! retired but are never reused.

use portcullis_dsl::Diagnostic;
use portcullis_dsl::span::Span;

/// A part that no kind of value has.
pub const UNKNOWN_SELECTOR: &str = "P0401";
/// A property whose value its assertion refuses.
pub const BAD_PROPERTY: &str = "P0402";
/// A built-in that does not exist.
pub const UNKNOWN_BUILTIN: &str = "P0403";
/// A regular expression that does not compile.
pub const BAD_REGEX: &str = "P0404";
/// A template where none is allowed.
pub const BAD_TEMPLATE: &str = "P0405";
/// A connection, identity provider or key that `gateway.yaml` does not have.
pub const UNKNOWN_NAME: &str = "P0406";
/// A step of an imported policy that has no translation.
pub const UNSUPPORTED: &str = "P0407";
/// A change of one database inside a transaction of another.
pub const TORN_TRANSACTION: &str = "P0408";
/// The compiler could not compile what the checks allowed: a bug of the gateway. The policies do not load.
pub const DEFECT: &str = "P0499";

/// An error that only a bug of the compiler can cause.
pub fn defect(what: &str, span: Span) -> Diagnostic {
    Diagnostic::error(DEFECT, format!("the compiler failed here: {what}"), span)
        .help("this is a bug of the gateway, not of the policy; please report it with this policy")
}
