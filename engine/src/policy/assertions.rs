//! The assertions, one file each, in folders by category.

use crate::policy::assertion::Entry;

/// Declares the modules of a category and lists their entries together, so that neither can be forgotten.
macro_rules! catalogue {
    ($($name:ident),* $(,)?) => {
        $(pub(crate) mod $name;)*
        /// This category's assertions.
        pub static ENTRIES: &[&crate::policy::assertion::Entry] = &[$(&$name::ENTRY),*];
    };
}
pub(crate) use catalogue;

pub mod access;
pub mod audit;
pub mod crypto;
pub mod data;
pub mod logic;
pub mod message;
pub mod routing;
pub mod traffic;

/// All assertions.
pub fn all() -> impl Iterator<Item = &'static Entry> {
    [
        access::ENTRIES,
        audit::ENTRIES,
        crypto::ENTRIES,
        data::ENTRIES,
        logic::ENTRIES,
        message::ENTRIES,
        routing::ENTRIES,
        traffic::ENTRIES,
    ]
    .into_iter()
    .flatten()
    .copied()
}
