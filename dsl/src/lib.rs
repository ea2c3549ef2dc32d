//! The policy language: text to checked trees.
//!
//! This crate reads no files, knows no HTTP and keeps no threads: it takes `(path, text)` pairs and returns data. So `check`,
//! `fmt`, completion and the server can share it.

pub mod ast;
pub mod codes;
pub mod diagnostic;
pub mod fmt;
pub mod parse;
pub mod place;
pub mod resolve;
pub mod shared;
pub mod span;
pub mod spec;
mod sql;
mod words;

pub use diagnostic::{Diagnostic, Severity};
pub use fmt::{FormatError, format, lay_out};
pub use parse::{parse, parse_json_template, parse_template};
pub use resolve::{
    Access, AddressPlace, Edit, Frame, Hook, Library, Policy, PolicyId, Settable, Step, address_places, load, picture, visit,
};
pub use span::{FileId, Origin, Source, Sources, Span, Spanned};
pub use sql::SqlScanner;
