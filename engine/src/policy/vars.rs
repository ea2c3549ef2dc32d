//! Variables that policies do not set: the built-ins, and the selectors for parts of messages, certificates, moments and lists.

mod builtin;
mod selector;

pub use builtin::{Accessor, builtins};
pub use selector::{MessageSelector, Selector, cookies, raw_cookies};
