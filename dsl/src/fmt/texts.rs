//! Quoted texts, templates, variables and comments, written so that they parse to the same parts.

use super::Printer;
use super::doc::{Doc, concat, indent, text};
use crate::ast::{ArithmeticOp, Comment, Expr, ExprKind, Part, PathStep, VarRef};

/// `"…"` without variables.
pub fn quoted(text: &str) -> String {
    quoted_parts(&[Part::Text(text.to_owned())])
}

/// `"…"`.
pub fn quoted_parts(parts: &[Part]) -> String {
    let mut out = String::from("\"");
    for part in parts {
        match part {
            Part::Text(text) => escape(text, &mut out),
            Part::Var(var) => out.push_str(&variable(var)),
            Part::RawVar(var) => out.push_str(&raw_variable(var)),
            Part::Expr(expr) => out.push_str(&format!("${{{}}}", within(expr))),
        }
    }
    out.push('"');
    out
}

fn escape(text: &str, out: &mut String) {
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '$' if chars.peek() == Some(&'{') => out.push_str("\\$"),
            _ if invisible(c) => out.push_str(&format!("\\u{{{:x}}}", c as u32)),
            _ => out.push(c),
        }
    }
}

/// Characters that are invisible or change the visible order.
fn invisible(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{a0}' | '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// `${name[0]|, }`
pub fn variable(var: &VarRef) -> String {
    format!("${{{}}}", reference(var))
}

fn raw_variable(var: &VarRef) -> String {
    format!("${{raw({})}}", reference(var))
}

/// What stands inside `${…}`, where variables have no braces of their own.
fn within(expr: &Expr) -> String {
    let all = |items: &[Expr]| items.iter().map(within).collect::<Vec<_>>().join(", ");
    match &*expr.kind {
        ExprKind::Text(parts) => quoted_parts(parts),
        ExprKind::Int(number) => number.to_string(),
        ExprKind::Decimal(number) => number.clone(),
        ExprKind::Bool(value) => value.to_string(),
        ExprKind::Duration(value) => value.to_string(),
        ExprKind::Var(var) => reference(var),
        ExprKind::List(items) => format!("[{}]", all(items)),
        ExprKind::Function(name, args) => format!("{}({})", name.node, all(args)),
        ExprKind::Arithmetic(op, left, right) => format!("{}{}{}", within(left), sign(*op), within(right)),
        ExprKind::Group(inner) => format!("({})", within(inner)),
        // The parser accepts nothing else there.
        _ => String::new(),
    }
}

/// An operator between blanks.
pub fn sign(op: ArithmeticOp) -> &'static str {
    match op {
        ArithmeticOp::Add => " + ",
        ArithmeticOp::Sub => " - ",
        ArithmeticOp::Mul => " * ",
        ArithmeticOp::Div => " / ",
        ArithmeticOp::Rem => " % ",
    }
}

fn reference(var: &VarRef) -> String {
    let step = |step: &PathStep| match step {
        PathStep::Index(index) => format!("[{index}]"),
        PathStep::Member(name) => format!(".{name}"),
    };
    let path: String = var.path.iter().map(step).collect();
    let delimiter = var.delimiter.as_ref().map_or(String::new(), |delimiter| format!("|{delimiter}"));
    format!("{}{path}{delimiter}", var.name.node)
}

impl Printer<'_> {
    /// A template in the quotes that its author chose.
    pub fn template(&self, expr: &Expr, word: &str, parts: &[Part]) -> Doc {
        let source = self.source(expr.span.span);
        let written = source[word.len().min(source.len())..].trim_start().strip_prefix("\"\"\"");
        // A built text begins on the line after the quotes.
        let built = (self.built && fits_block(parts)).then_some("\n");
        let Some(inside) = written.or(built) else {
            return text(format!("{word} {}", quoted_parts(parts)));
        };
        let mut body = String::new();
        for part in parts {
            match part {
                Part::Text(text) => body.push_str(&text.replace("\"\"\"", "\\\"\"\"").replace("${", "\\${")),
                Part::Var(var) => body.push_str(&variable(var)),
                Part::RawVar(var) => body.push_str(&raw_variable(var)),
                Part::Expr(expr) => body.push_str(&format!("${{{}}}", within(expr))),
            }
        }
        let (first_line, more) = match inside.split_once('\n') {
            Some((line, _)) => (line, true),
            None => (inside, false),
        };
        if !more || !first_line.trim().is_empty() {
            let whole = format!("{word} \"\"\"{body}\"\"\"");
            return if whole.contains('\n') { Doc::Verbatim(whole) } else { text(whole) };
        }
        let mut lines = Vec::new();
        for line in body.split('\n') {
            lines.extend([Doc::Hard, text(line)]);
        }
        lines.push(text("\"\"\""));
        concat([text(format!("{word} \"\"\"")), indent(Doc::Concat(lines))])
    }
}

/// Whether a text has several lines and a `"""` text keeps all of it: no line of blanks only, nothing at a line's end that editors take
/// away, nothing that would become an escape there.
fn fits_block(parts: &[Part]) -> bool {
    let texts = || parts.iter().filter_map(|part| if let Part::Text(text) = part { Some(text.as_str()) } else { None });
    let whole: String = parts.iter().map(|part| if let Part::Text(text) = part { text.as_str() } else { "x" }).collect();
    let plain = |c: char| c == '\n' || c == '\t' || !invisible(c);
    whole.contains('\n')
        && whole.chars().all(plain)
        && whole.split('\n').all(|line| line.trim_end() == line)
        && !whole.ends_with('"')
        && texts()
            .all(|text| !text.ends_with('\\') && !text.contains("\\${") && !text.contains("\\\"\"\"") && !text.ends_with('"'))
}

/// A comment as written. The text after the slashes is not changed: it may be policy text that is commented out.
pub fn comment(comment: &Comment) -> String {
    format!("{}{}", if comment.doc { "///" } else { "//" }, comment.text)
}

/// A comment at the end of a line.
pub fn trailing(comment: &Comment) -> Doc {
    Doc::Comment(format!(" {}", self::comment(comment)))
}

/// Comments on lines of their own, each followed by a new line.
pub fn leading(comments: &[Comment]) -> Vec<Doc> {
    let mut docs = Vec::new();
    for one in comments {
        if one.blank_before {
            docs.push(Doc::Hard);
        }
        docs.extend([Doc::Comment(comment(one)), Doc::Hard]);
        if one.blank_after {
            docs.push(Doc::Hard);
        }
    }
    docs
}
