//! The canonical layout. `format` prints the tree, parses the result and compares the trees, so it never returns a text with
//! another meaning. A list or block that the author broke over lines stays broken; one that fits on a line may stay there. The
//! rest is fixed.

mod doc;
mod exprs;
mod items;
mod stmts;
mod texts;

use std::fmt;

use crate::ast::File;
use crate::diagnostic::Diagnostic;
use crate::parse::parse;
use crate::span::{FileId, Span};

/// Longer lines are broken where possible.
pub const WIDTH: usize = 130;

/// Why a text was not formatted.
#[derive(Clone, Debug, PartialEq)]
pub enum FormatError {
    /// It is not a policy file; these are its problems.
    Syntax(Vec<Diagnostic>),
    /// The formatted text would mean something else. That is a bug of the formatter; the text is left unchanged.
    Unsound,
}

impl fmt::Display for FormatError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FormatError::Syntax(diagnostics) => match diagnostics.first() {
                Some(first) => write!(f, "it does not parse: {}", first.message),
                None => f.write_str("it does not parse"),
            },
            FormatError::Unsound => f.write_str("formatting would change its meaning; the file is left as it is"),
        }
    }
}

impl std::error::Error for FormatError {}

/// Lays out a policy file. Formatting the result again gives the same text.
pub fn format(text: &str) -> Result<String, FormatError> {
    let tree = read(text).map_err(FormatError::Syntax)?;
    let mut printed = print(&tree, text);
    // Line breaks can depend on where the author broke other lines; a second round settles that.
    for _ in 0..4 {
        let again = read(&printed).map_err(|_| FormatError::Unsound)?;
        if again != tree {
            return Err(FormatError::Unsound);
        }
        let settled = print(&again, &printed);
        if settled == printed {
            return Ok(printed);
        }
        printed = settled;
    }
    Err(FormatError::Unsound)
}

/// Lays out a tree that a program built: its spans are empty, so no author says where lines are broken. A tree that its text would not
/// give back (a comment with a line break, a name that no variable has) is refused.
pub fn lay_out(tree: &File) -> Result<String, FormatError> {
    let printed = doc::render(&Printer { text: "", built: true }.file(tree), WIDTH);
    if read(&printed).map_err(FormatError::Syntax)? != *tree {
        return Err(FormatError::Unsound);
    }
    format(&printed)
}

fn read(text: &str) -> Result<File, Vec<Diagnostic>> {
    let (tree, diagnostics) = parse(FileId::default(), text);
    if diagnostics.is_empty() { Ok(tree) } else { Err(diagnostics) }
}

fn print(tree: &File, text: &str) -> String {
    let printer = Printer { text, built: false };
    doc::render(&printer.file(tree), WIDTH)
}

/// Turns nodes into layout; the author's text says where lines were broken.
#[derive(Clone, Copy)]
struct Printer<'a> {
    text: &'a str,
    /// There is no author: every block is broken but the shortest, and texts of several lines are `"""` texts.
    built: bool,
}

impl<'a> Printer<'a> {
    fn source(&self, span: Span) -> &'a str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// Whether the author began a new line before this offset.
    fn on_new_line(&self, offset: u32) -> bool {
        let before = self.text.get(..offset as usize).unwrap_or("");
        before[before.trim_end().len()..].contains('\n')
    }
}
