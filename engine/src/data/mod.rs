//! What variables hold and how it is read: nothing here knows a policy or a server.

pub(crate) mod basic;
pub mod budget;
pub mod certificate;
pub mod encoding;
pub mod fault;
pub mod json;
pub mod message;
pub mod names;
pub mod network;
pub mod path;
pub mod pattern;
pub mod principal;
pub mod time;
pub mod value;
pub mod xml;
