//! The gateway: policies compiled to a program, and everything that runs it.

pub mod assertion;
pub mod assertions;
pub mod casefile;
pub mod certificate;
pub mod codes;
pub mod compile;
pub mod config;
pub mod ctx;
pub mod exec;
pub mod expr;
pub mod fault;
pub mod function;
pub mod gateway;
pub mod home;
pub mod message;
pub mod pattern;
pub mod principal;
pub mod request;
pub mod respond;
pub mod server;
pub mod site;
pub mod store;
pub mod template;
pub mod time;
pub mod value;
pub mod vars;
