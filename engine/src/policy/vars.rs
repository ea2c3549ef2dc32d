//! Variables that nobody sets: the built-ins, and the selectors that reach into messages, certificates, moments and lists.

mod builtin;
mod selector;

pub use builtin::{Accessor, BUILTINS};
pub use selector::{MessageSelector, Selector, cookies, raw_cookies};
