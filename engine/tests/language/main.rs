//! Policies run as they run in the gateway, from text to answer: the catalogue's examples, the functions, and the cases in
//! `tests/cases/`, which are files so that adding one needs no Rust.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it stands"
)]

mod builtins;
mod cases;
mod catalogue;
mod functions;
mod harness;
mod observer;
