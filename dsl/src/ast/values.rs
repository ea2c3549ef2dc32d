//! Types and values.

use super::{Comments, Cond, Name};
use crate::span::{Span, Spanned};

/// `1..`, `1..3600`, `..10` after a type: inclusive bounds of a number, or of the length of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Least.
    pub min: Option<i64>,
    /// Most.
    pub max: Option<i64>,
}

impl Range {
    /// Whether a number is within the bounds.
    pub fn holds(self, number: i64) -> bool {
        self.min.is_none_or(|min| number >= min) && self.max.is_none_or(|max| number <= max)
    }

    /// As written: `1..3600`.
    pub fn word(self) -> String {
        let bound = |bound: Option<i64>| bound.map_or_else(String::new, |bound| bound.to_string());
        format!("{}..{}", bound(self.min), bound(self.max))
    }

    /// In a sentence: "from 1 to 3600".
    pub fn words(self) -> String {
        match (self.min, self.max) {
            (Some(min), Some(max)) => format!("from {min} to {max}"),
            (Some(min), None) => format!("from {min} on"),
            (None, Some(max)) => format!("up to {max}"),
            (None, None) => "of any size".to_owned(),
        }
    }
}

/// The values that an output or a declared variable may have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Allowed {
    /// `1..3600`
    Range(Range),
    /// `"page" | "redirect"`: one of these words; for a list, each of its values. The case of letters makes no difference.
    Choice(Vec<String>),
}

impl Allowed {
    /// In a sentence: "from 1 to 3600", "`page` or `redirect`".
    pub fn words(&self) -> String {
        match self {
            Allowed::Range(range) => range.words(),
            Allowed::Choice(words) => {
                let words: Vec<_> =
                    words.iter().map(|word| if word.is_empty() { "empty".to_owned() } else { format!("`{word}`") }).collect();
                match words.split_last() {
                    Some((last, [])) => last.clone(),
                    Some((last, others)) => format!("{} or {last}", others.join(", ")),
                    None => String::new(),
                }
            }
        }
    }

    /// The allowed word that a text means, in its own spelling.
    pub fn choice(words: &[String], text: &str) -> Option<String> {
        words.iter().find(|word| word.eq_ignore_ascii_case(text)).cloned()
    }
}

/// Data types.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Type {
    /// Text.
    String,
    /// 64-bit integer.
    Int,
    /// Decimal number.
    Decimal,
    /// `true` or `false`.
    Boolean,
    /// A moment.
    DateTime,
    /// Several values.
    List,
    /// Headers, status, body.
    Message,
    /// JSON document.
    Json,
    /// X.509 certificate.
    Certificate,
}

impl Type {
    /// All types and the words for them.
    pub const ALL: &[(&'static str, Type)] = &[
        ("string", Type::String),
        ("int", Type::Int),
        ("decimal", Type::Decimal),
        ("boolean", Type::Boolean),
        ("datetime", Type::DateTime),
        ("list", Type::List),
        ("message", Type::Message),
        ("json", Type::Json),
        ("certificate", Type::Certificate),
    ];
}

/// A duration literal; the unit is kept for `fmt`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DurationLit {
    /// How many.
    pub count: u64,
    /// Of what.
    pub unit: DurationUnit,
}

/// Units of a duration literal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DurationUnit {
    /// `ms`
    Millis,
    /// `s`
    Seconds,
    /// `m`
    Minutes,
    /// `h`
    Hours,
    /// `d`
    Days,
}

impl DurationLit {
    /// Milliseconds, saturating.
    pub fn millis(self) -> u64 {
        let unit = match self.unit {
            DurationUnit::Millis => 1,
            DurationUnit::Seconds => 1_000,
            DurationUnit::Minutes => 60_000,
            DurationUnit::Hours => 3_600_000,
            DurationUnit::Days => 86_400_000,
        };
        self.count.saturating_mul(unit)
    }
}

/// As written.
impl std::fmt::Display for DurationLit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unit = match self.unit {
            DurationUnit::Millis => "ms",
            DurationUnit::Seconds => "s",
            DurationUnit::Minutes => "m",
            DurationUnit::Hours => "h",
            DurationUnit::Days => "d",
        };
        write!(f, "{}{unit}", self.count)
    }
}

/// A value's expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: Box<ExprKind>,
    /// Its text.
    pub span: Spanned<()>,
}

impl Expr {
    /// An expression at a span.
    pub fn new(kind: ExprKind, span: Span) -> Self {
        Expr { kind: Box::new(kind), span: Spanned::new((), span) }
    }

    /// The text of a string literal without variables.
    pub fn literal(&self) -> Option<&str> {
        match &*self.kind {
            ExprKind::Raw(text) => Some(text),
            ExprKind::Text(parts) => match parts.as_slice() {
                [] => Some(""),
                [Part::Text(text)] => Some(text),
                _ => None,
            },
            _ => None,
        }
    }
}

/// The expressions.
#[derive(Clone, Debug, PartialEq)]
pub enum ExprKind {
    /// `"text with ${variables}"`; escapes `\" \\ \n \r \t \$ \u{…}` are already undone in the parts.
    Text(Vec<Part>),
    /// `r"…"`: no escapes, no variables; for regular expressions.
    Raw(String),
    /// `42`
    Int(i64),
    /// `1.5` (kept as written)
    Decimal(String),
    /// `true`, `false`
    Bool(bool),
    /// `300s`, `5m`
    Duration(DurationLit),
    /// `[a, b]`
    List(Vec<Expr>),
    /// `${name}` alone: keeps its type, lists stay lists.
    Var(VarRef),
    /// `split(${x}, " ")`
    Function(Name, Vec<Expr>),
    /// `a + b`, integers only.
    Arithmetic(ArithmeticOp, Expr, Expr),
    /// `(a)`
    Group(Expr),
    /// `(${a} == "x" and not ${b})`: true or false. It contains no assertion.
    Condition(Cond),
    /// `json { … }` or `json [ … ]`
    Json(Json),
    /// `xml """…"""`, `html """…"""`, `url "…"`, `sql "…"`, and plain `text """…"""`.
    Template(Syntax, Vec<Part>),
    /// `html file "login.html"`, with any syntax word; `json file` reads a JSON template.
    File(Syntax, Spanned<String>),
    /// `data_uri file "logo.png"`: a picture as an address that contains it.
    DataUri(Spanned<String>),
}

/// Integer arithmetic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArithmeticOp {
    /// `+`
    Add,
    /// `-`
    Sub,
    /// `*`
    Mul,
    /// `/`
    Div,
    /// `%`
    Rem,
}

/// The syntaxes a template escapes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Syntax {
    /// Nothing to escape.
    Text,
    /// JSON, for `json file`.
    Json,
    /// XML text and attribute values.
    Xml,
    /// HTML text and quoted attribute values.
    Html,
    /// Percent-encoded URL components.
    Url,
    /// Bound SQL parameters.
    Sql,
}

impl Syntax {
    /// The word before a template.
    pub fn word(self) -> &'static str {
        match self {
            Syntax::Text => "text",
            Syntax::Json => "json",
            Syntax::Xml => "xml",
            Syntax::Html => "html",
            Syntax::Url => "url",
            Syntax::Sql => "sql",
        }
    }
}

/// A piece of a text or template.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Text as it is.
    Text(String),
    /// `${name}`, escaped or bound for the template's syntax.
    Var(VarRef),
    /// `${raw(name)}`: without escaping. The only way to opt out of it.
    RawVar(VarRef),
    /// `${now() - 5}`: a function or a calculation, escaped or bound like a variable. Variables in it have no braces of their own.
    Expr(Expr),
}

/// `name`, `name[0]`, `name[0].city`, `name|; ` inside `${…}`.
#[derive(Clone, Debug, PartialEq)]
pub struct VarRef {
    /// Name in the author's spelling. Its dots may lead to selectors and members of JSON.
    pub name: Name,
    /// What follows the first `[`: the path into a list or a JSON document.
    pub path: Vec<PathStep>,
    /// Text after `|`: what joins the values of a list (default `, `).
    pub delimiter: Option<String>,
}

/// A step into a list or a JSON document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PathStep {
    /// `[i]`, counted from zero.
    Index(u32),
    /// `.name`, or several at once: `.name.first`. Case-sensitive.
    Member(String),
}

/// A JSON template.
#[derive(Clone, Debug, PartialEq)]
pub enum Json {
    /// `{ "a": 1, "b"?: ${x} }`
    Object(Vec<JsonMember>),
    /// `[ … ]`
    Array(Vec<Json>),
    /// A string (with variables), number, boolean, `${var}`, or function call.
    Value(Expr),
    /// `null`
    Null,
}

/// A member of a JSON object.
#[derive(Clone, Debug, PartialEq)]
pub struct JsonMember {
    /// Its key.
    pub key: Vec<Part>,
    /// `"key"?:` leaves the member out if its value is undefined or empty.
    pub optional: bool,
    /// Its value.
    pub value: Json,
    /// Comments around it.
    pub comments: Comments,
    /// From key to value.
    pub span: Spanned<()>,
}
