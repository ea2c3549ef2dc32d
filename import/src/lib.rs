//! Exports of the API gateway whose policies are trees, as policies of this gateway.
//!
//! The crate does no I/O: its caller hands in the files of an export and what this gateway ships, and gets back files and a report.
//! Nothing is dropped silently: a step is translated, kept as a comment, or becomes `Unsupported`, and the report counts all of them.

mod entities;
pub mod known;
pub mod model;
pub mod names;
pub mod read;
pub mod releases;
pub mod replay;
pub mod report;
pub mod translate;
mod write;

pub use names::Shipped;
pub use read::Input;
pub use releases::Releases;
pub use report::Report;
pub use write::import;

/// Where calls of the toolkit's assertions go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Otk {
    /// To those that this gateway ships, where the interface fits.
    #[default]
    Shipped,
    /// To imported ones.
    Imported,
}

/// How to import.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where calls of the toolkit's assertions go.
    pub otk: Otk,
    /// What the toolkit's releases ship.
    pub releases: Releases,
    /// The time zone of the gateway that is left: that of its schedules. If nobody says it, UTC is taken, and reported.
    pub zone: Option<String>,
}

/// A file that was made; its path is relative to a home.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutFile {
    /// Its path.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// What the checks of the gateway say of files that were made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The file.
    pub path: String,
    /// The first byte that it is about.
    pub offset: usize,
    /// The text that it is about.
    pub text: String,
    /// Its code.
    pub code: String,
    /// What is wrong.
    pub message: String,
    /// It loads all the same.
    pub warning: bool,
}

/// The result of an import.
#[derive(Clone, Debug)]
pub struct Imported {
    /// Files, by path.
    pub files: Vec<OutFile>,
    /// What was done.
    pub report: Report,
    /// Errors that are left: the files do not load.
    pub errors: Vec<Problem>,
}
