//! Short ways to build trees of the language.

use portcullis_dsl::ast::*;
use portcullis_dsl::span::{Span, Spanned};

/// A node without a place.
pub fn at<T>(node: T) -> Spanned<T> {
    Spanned::new(node, Span::default())
}

/// A name.
pub fn name(text: impl Into<String>) -> Name {
    at(text.into())
}

/// An expression.
pub fn expr(kind: ExprKind) -> Expr {
    Expr::new(kind, Span::default())
}

/// `"…"` without variables.
pub fn lit(text: &str) -> Expr {
    expr(ExprKind::Text(literal_parts(text)))
}

/// The parts of a text without variables.
pub fn literal_parts(text: &str) -> Vec<Part> {
    if text.is_empty() { Vec::new() } else { vec![Part::Text(text.to_owned())] }
}

/// A regular expression without variables: `r"…"` where that is possible.
pub fn pattern(text: &str) -> Expr {
    match text.contains(['"', '\n', '\r']) || !text.contains('\\') {
        true => lit(text),
        false => expr(ExprKind::Raw(text.to_owned())),
    }
}

/// `"…"` with variables; a whole `${x}` stays a text.
pub fn text(parts: Vec<Part>) -> Expr {
    expr(ExprKind::Text(parts))
}

/// A reference to a variable.
pub fn reference(name: &str) -> VarRef {
    VarRef { name: self::name(name), path: Vec::new(), delimiter: None }
}

/// `${name}`
pub fn var(name: &str) -> Expr {
    expr(ExprKind::Var(reference(name)))
}

/// A whole number.
pub fn int(number: i64) -> Expr {
    expr(ExprKind::Int(number))
}

/// `true` or `false`
pub fn boolean(value: bool) -> Expr {
    expr(ExprKind::Bool(value))
}

/// A number of seconds.
pub fn seconds(count: u64) -> Expr {
    expr(ExprKind::Duration(DurationLit { count, unit: DurationUnit::Seconds }))
}

/// `name(…)`
pub fn function(name: &str, args: Vec<Expr>) -> Expr {
    expr(ExprKind::Function(self::name(name), args))
}

/// `[…]`
pub fn list(values: Vec<Expr>) -> Expr {
    expr(ExprKind::List(values))
}

/// `json { … }`
pub fn object(members: Vec<(Vec<Part>, bool, Json)>) -> Expr {
    expr(ExprKind::Json(json_object(members)))
}

/// `{ … }`
pub fn json_object(members: Vec<(Vec<Part>, bool, Json)>) -> Json {
    let member = |(key, optional, value)| JsonMember { key, optional, value, comments: Comments::default(), span: at(()) };
    Json::Object(members.into_iter().map(member).collect())
}

/// An argument.
pub fn arg(name: &str, value: Expr) -> Arg {
    Arg { name: self::name(name), value, comments: Comments::default() }
}

/// `Name(…)`
pub fn native(name: &str, args: Vec<Arg>) -> Call {
    Call { callee: Callee::Native(self::name(name)), optional: None, args, block: None, span: at(()) }
}

/// A call as a statement.
pub fn call(call: Call) -> Stmt {
    stmt(StmtKind::Call(call))
}

/// A statement.
pub fn stmt(kind: StmtKind) -> Stmt {
    Stmt { leading: Vec::new(), trailing: None, blank_before: false, kind, span: at(()) }
}

/// Statements between braces.
pub fn block(stmts: Vec<Stmt>) -> Block {
    Block { stmts, trailing: Vec::new(), span: at(()) }
}

/// `set target: type = value`
pub fn set(target: &str, ty: Option<Type>, value: Expr) -> Stmt {
    stmt(StmtKind::Set { target: name(target), ty: ty.map(at), value })
}

/// A condition on a line of its own.
pub fn check(cond: Cond) -> Stmt {
    stmt(StmtKind::Check(cond))
}

/// A comparison.
pub fn compare(left: Expr, predicate: Predicate) -> Comparison {
    Comparison { mode: Multi::All, left, ty: None, predicate, ignore_case: false, span: at(()) }
}

/// `All { … }`, `AtLeastOne { … }`
pub fn group(kind: GroupKind, label: Option<Name>, body: Block) -> Stmt {
    stmt(StmtKind::Group { kind, label, body })
}

/// `left else right`
pub fn or_else(left: Stmt, right: Stmt) -> Stmt {
    stmt(StmtKind::Else(Box::new(left), Box::new(right)))
}

/// Comment lines of a text.
pub fn comments(text: &str) -> Vec<Comment> {
    let plain = |c: char| if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}') { ' ' } else { c };
    let line = |line: &str| {
        let line: String = unwrapped(line.trim_end()).chars().map(plain).collect();
        let text = if line.is_empty() || line.starts_with(' ') { line } else { format!(" {line}") };
        Comment { text: text.trim_end().to_owned(), ..Comment::default() }
    };
    text.replace("\r\n", "\n").replace('\r', "\n").split('\n').map(line).collect()
}

/// A line without the runs of blanks that an export gets when a tool wraps its attributes: they stand where a line was broken.
pub fn unwrapped(line: &str) -> String {
    let (lead, text) = line.split_at(line.len() - line.trim_start().len());
    let mut out = lead.to_owned();
    let mut blanks = 0;
    for c in text.chars() {
        if c == ' ' {
            blanks += 1;
            continue;
        }
        out.push_str(&" ".repeat(if blanks >= WRAPPED { 1 } else { blanks }));
        blanks = 0;
        out.push(c);
    }
    out
}

/// As many blanks in a row are a broken line, not a text.
pub const WRAPPED: usize = 20;

/// A comment on one line.
pub fn comment(text: &str) -> Comment {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    comments(&line).into_iter().next().unwrap_or_default()
}

/// Documentation lines.
pub fn docs(text: &str) -> Vec<Comment> {
    let lines = text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect::<Vec<_>>().join("\n");
    comments(lines.trim()).into_iter().map(|comment| Comment { doc: true, ..comment }).collect()
}

/// Whether a text can name a variable.
pub fn is_variable(name: &str) -> bool {
    let segment =
        |segment: &str| !segment.is_empty() && segment.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    name.bytes().next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_') && name.split('.').all(segment)
}

/// Whether a text is a whole number that stays the same as one.
pub fn as_int(text: &str) -> Option<i64> {
    let number: i64 = text.trim().parse().ok()?;
    (number.to_string() == text.trim() && number >= 0).then_some(number)
}
