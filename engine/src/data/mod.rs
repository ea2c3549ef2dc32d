//! The values of variables and how they are read. Nothing here knows policies or servers.

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
