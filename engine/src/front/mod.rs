//! The entry for requests and operators: listeners, the operator's folder, the serving generation, and reload.

#[cfg(any(test, feature = "fuzzing"))]
#[allow(clippy::expect_used, reason = "a fuzz target says what it found by a panic")]
pub mod fuzz;
pub mod home;
pub mod host;
pub mod reload;
pub mod server;
