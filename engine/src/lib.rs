//! The gateway: policies compiled to a program, and everything that runs it.
//!
//! The modules form five floors, and a module imports only from its own floor and those below: `data`, `services`, `policy`,
//! `front`, and on top the command line and case files. This file is the façade for the binary, the tests and the benchmarks.

mod casefile;
mod cli;
mod data;
mod front;
mod policy;
mod services;

pub use casefile::{Case, Expectation, Lab, StepKind};
pub use cli::main;
pub use data::fault::{Blame, Fault};
pub use data::principal::{Credential, Secret, User};
pub use data::time::Clock;
pub use data::value::Value;
pub use front::home::Home;
pub use policy::ctx::Ctx;
pub use policy::request::Request;
pub use policy::site::{Routed, Site};
pub use services::Services;
pub use services::config::{Config, Connection};
pub use services::keys::{KeyKind, KeyStore};
pub use services::store::Connections;

/// The executor, for benchmarks.
pub mod exec {
    pub use crate::policy::exec::observer::{Ended, Observer};
    pub use crate::policy::exec::{Ending, Started, start};
}

/// The identity providers.
pub mod identity {
    pub use crate::services::identity::{Answer, Cost, IdentityProvider, Inquiry, InternalUsers, Ldap, Passwords, Providers};
}

/// What policies may call.
pub mod catalogue {
    pub use crate::policy::assertions::all as assertions;
    pub use crate::policy::function::all as functions;
    pub use crate::policy::vars::builtins;
}

/// Bodies of the fuzz targets.
#[cfg(feature = "fuzzing")]
pub mod fuzz {
    pub use crate::front::fuzz::body;
}
