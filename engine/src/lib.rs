//! The gateway: policies compiled to a program, and everything that runs it.

pub mod certificate;
pub mod config;
pub mod fault;
pub mod home;
pub mod message;
pub mod time;
pub mod value;
