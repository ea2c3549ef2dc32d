//! Variables that nobody sets: the built-ins, and the selectors that reach into messages, certificates, moments and lists.

mod builtin;
mod selector;

pub use builtin::{Accessor, builtins};
pub use selector::{MessageSelector, Selector, cookies, raw_cookies};
