//! Where requests and operators come in: listeners, the operator's folder, the generation that serves, and reload.

#[cfg(any(test, feature = "fuzzing"))]
pub mod fuzz;
pub mod home;
pub mod host;
pub mod reload;
pub mod server;
