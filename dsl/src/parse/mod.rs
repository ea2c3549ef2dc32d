//! Text to tree. `scan` pairs brackets and quotes, the grammar (`grammar.pest`) reads the result, `lower` builds the tree and
//! reports what is wrong; `parts` reads the inside of quotes. Parsing never panics and does not stop at the first problem: the
//! tree of a file with problems lacks what could not be read.

mod explain;
mod lower;
mod parts;
mod scan;

use crate::ast::{File, Json, Part};
use crate::codes;
use crate::diagnostic::Diagnostic;
use crate::span::{FileId, Span};

pub use parts::is_variable_name;
pub use scan::MAX_DEPTH;

/// Largest policy or JSON template, in bytes.
pub const MAX_FILE: usize = 1 << 20;

/// Most links of a chain: operands of one sum, `else`s of one statement, `not`s before one condition.
pub const MAX_CHAIN: usize = 100;

/// Reads a policy file.
pub fn parse(file: FileId, text: &str) -> (File, Vec<Diagnostic>) {
    if let Some(diagnostic) = too_large(file, text) {
        return (File::default(), vec![diagnostic]);
    }
    let scan = scan::policy(file, text);
    let mut diagnostics = scan.diagnostics.clone();
    let mut tree = File::default();
    if scan.readable {
        let mut more = Vec::new();
        tree = lower::file(file, text, &scan, &mut more);
        let consequence = |d: &Diagnostic| scan.touched.iter().any(|range| range.contains(&(d.span.start as usize)));
        diagnostics.extend(more.into_iter().filter(|d| !consequence(d)));
    }
    diagnostics.sort_by_key(|d| (d.span.start, d.span.end));
    // Two diagnostics for the very same text mean the same problem.
    diagnostics.dedup_by_key(|d| d.span);
    (tree, diagnostics)
}

/// Reads a data file that is a template of text, XML, HTML, SQL or a URL: everything except `${variables}` is text; `\${` stands
/// for `${`.
pub fn parse_template(file: FileId, text: &str) -> (Vec<Part>, Vec<Diagnostic>) {
    let mut diagnostics = Vec::new();
    let parts = parts::data(file, text, &mut diagnostics);
    (parts, diagnostics)
}

/// Reads a data file that is a JSON template: anything that may follow the word `json` in a policy, or a single JSON value.
pub fn parse_json_template(file: FileId, text: &str) -> (Json, Vec<Diagnostic>) {
    if let Some(diagnostic) = too_large(file, text) {
        return (Json::Null, vec![diagnostic]);
    }
    let scan = scan::scan(file, text);
    let mut diagnostics = scan.diagnostics.clone();
    let mut json = Json::Null;
    if diagnostics.is_empty() {
        json = lower::json_file(file, text, &scan, &mut diagnostics).unwrap_or(Json::Null);
    }
    diagnostics.sort_by_key(|d| (d.span.start, d.span.end));
    (json, diagnostics)
}

fn too_large(file: FileId, text: &str) -> Option<Diagnostic> {
    (text.len() > MAX_FILE).then(|| {
        let message = format!("the file has {} bytes; a policy file may have {MAX_FILE}", text.len());
        Diagnostic::error(codes::FILE_TOO_LARGE, message, Span::new(file, 0, 0)).help("split it into several files")
    })
}
