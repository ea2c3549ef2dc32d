//! XSLT 1.0, the part that rearranges documents: templates, loops, sorting, keys, copies. A stylesheet is read and checked as a whole
//! before anything runs, and reads nothing but the one document: there are no other documents, no extensions and no text that goes out
//! unescaped. A run spends the steps and bytes of a budget.

mod build;
mod read;
mod run;
mod template;
#[cfg(test)]
mod tests;
mod tree;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use xpath_eval::LocationPath;

use super::xpath::XPath;

pub use run::TOO_DEEP;

/// The namespace of instructions.
const XSL: &str = "http://www.w3.org/1999/XSL/Transform";
/// Longest stylesheet.
const MAX_BYTES: usize = 256 << 10;
/// Deepest nesting of its elements.
const MAX_DEPTH: usize = 64;
/// Deepest nesting of a result, as of any document.
const MAX_RESULT_DEPTH: usize = super::gate::MAX_DEPTH;
/// Bodies within each other that a run may have on a large stack; a template for each level of a document takes two or three.
pub const LEVELS: usize = 1024;
/// As many fit on the stack of a thread that serves requests.
pub const LEVELS_IN_PLACE: usize = 24;
/// The stack for [`LEVELS`].
pub const STACK: usize = 64 << 20;

/// Why a text is no stylesheet that this can run.
#[derive(Debug, PartialEq, Eq)]
pub struct Refused {
    /// Line in the stylesheet, from one.
    pub line: u32,
    /// What is wrong there.
    pub why: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.why)
    }
}

/// A stylesheet, ready to run.
pub struct Stylesheet {
    templates: Vec<Template>,
    /// The one to try first stands first.
    rules: Vec<Rule>,
    /// Variables and parameters outside of templates.
    globals: Vec<Binding>,
    keys: Vec<Key>,
    output: Output,
}

struct Template {
    params: Vec<Binding>,
    body: Body,
}

/// Which nodes a template is for.
struct Rule {
    pattern: Pattern,
    mode: Option<String>,
    priority: f64,
    template: usize,
}

/// One alternative of a pattern.
struct Pattern {
    path: LocationPath,
    namespaces: Namespaces,
}

struct Key {
    name: String,
    patterns: Vec<Pattern>,
    value: Expr,
}

/// A variable or parameter.
struct Binding {
    name: String,
    value: Source,
    is_param: bool,
}

enum Source {
    Select(Expr),
    Body(Body),
}

/// How the result is written.
#[derive(Default)]
struct Output {
    text: bool,
    omit_declaration: bool,
    /// Namespace and name of elements whose text is CDATA.
    cdata: Vec<(Option<String>, String)>,
}

type Namespaces = Arc<BTreeMap<String, String>>;

/// An expression, with the prefixes that are known where it stands.
struct Expr {
    xpath: XPath,
    namespaces: Namespaces,
}

type Body = Vec<Instruction>;

/// A text with expressions in `{…}`.
type Pieces = Vec<Piece>;

enum Piece {
    Text(String),
    Value(Expr),
}

/// A name in a result.
#[derive(Clone, Debug, PartialEq)]
struct Name {
    prefix: String,
    local: String,
    namespace: Option<String>,
}

/// The name of an `xsl:element` or `xsl:attribute`.
struct Naming {
    name: Pieces,
    namespace: Option<Pieces>,
    /// All prefixes where it stands, the default one as the empty text.
    scope: Namespaces,
}

struct Sort {
    value: Expr,
    descending: Pieces,
    numbers: bool,
    upper_first: bool,
}

enum Instruction {
    Text(String),
    Value(Expr),
    Literal(Box<Literal>),
    Element(Box<Naming>, Body),
    Attribute(Box<Naming>, Body),
    ForEach {
        select: Expr,
        sorts: Vec<Sort>,
        body: Body,
    },
    Apply {
        select: Option<Expr>,
        mode: Option<String>,
        sorts: Vec<Sort>,
        params: Vec<Binding>,
    },
    Call {
        template: usize,
        params: Vec<Binding>,
    },
    Copy(Body),
    CopyOf(Expr),
    Variable(Binding),
    /// Arms with their conditions, and what happens otherwise.
    Choose(Vec<(Expr, Body)>, Body),
}

/// An element that a stylesheet spells out.
struct Literal {
    name: Name,
    /// Prefixes and namespaces that it declares.
    namespaces: Vec<(String, String)>,
    attributes: Vec<(Name, Pieces)>,
    body: Body,
}
