//! Exports of the API gateway whose policies are trees, as policies of this gateway.

mod known;
pub mod model;
pub mod read;
