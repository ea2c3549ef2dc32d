//! Values, conditions and calls.

use super::doc::{Doc, concat, group, indent, list, text};
use super::{Printer, texts};
use crate::ast::*;
use crate::span::Spanned;
use crate::words::DATA_URI;

impl Printer<'_> {
    pub fn expr(&self, expr: &Expr) -> Doc {
        match &*expr.kind {
            ExprKind::Text(parts) => text(texts::quoted_parts(parts)),
            ExprKind::Raw(raw) => text(format!("r\"{raw}\"")),
            ExprKind::Int(number) => text(number.to_string()),
            ExprKind::Decimal(number) => text(number.clone()),
            ExprKind::Bool(value) => text(value.to_string()),
            ExprKind::Duration(value) => text(value.to_string()),
            ExprKind::List(values) => self.values("[", "]", values),
            ExprKind::Var(var) => text(texts::variable(var)),
            ExprKind::Function(name, args) => self.values(&format!("{}(", name.node), ")", args),
            ExprKind::Arithmetic(op, left, right) => concat([self.expr(left), text(texts::sign(*op)), self.expr(right)]),
            ExprKind::Group(inner) => concat([text("("), self.expr(inner), text(")")]),
            ExprKind::Condition(cond) => concat([text("("), group(indent(self.cond(cond))), text(")")]),
            ExprKind::Json(json) => concat([text("json "), self.json(json, false)]),
            ExprKind::Template(syntax, parts) => self.template(expr, syntax.word(), parts),
            ExprKind::DataUri(path) => text(format!("{} file {}", DATA_URI, texts::quoted(path))),
            ExprKind::File(syntax, path) => text(format!("{} file {}", syntax.word(), texts::quoted(path))),
        }
    }

    fn values(&self, open: &str, close: &str, values: &[Expr]) -> Doc {
        let broken = values.first().is_some_and(|first| self.on_new_line(first.span.span.start));
        list(open, close, values.iter().map(|value| self.expr(value)).collect(), false, broken)
    }

    pub fn json(&self, json: &Json, must_break: bool) -> Doc {
        match json {
            Json::Null => text("null"),
            Json::Value(value) => self.expr(value),
            Json::Array(values) => {
                list("[", "]", values.iter().map(|value| self.json(value, false)).collect(), false, must_break)
            }
            Json::Object(members) => {
                let broken = members.first().is_some_and(|first| self.on_new_line(first.span.span.start))
                    || members.iter().any(|member| !member.comments.is_empty());
                let entries = members.iter().map(|member| entry(&member.comments, self.member(member))).collect();
                list("{", "}", entries, true, broken || must_break)
            }
        }
    }

    fn member(&self, member: &JsonMember) -> Doc {
        let mark = if member.optional { "?" } else { "" };
        concat([text(format!("{}{mark}: ", texts::quoted_parts(&member.key))), self.json(&member.value, false)])
    }

    /// A call without its block.
    pub fn call(&self, call: &Call) -> Doc {
        let mark = if call.optional.is_some() { "?" } else { "" };
        let open = match &call.callee {
            Callee::Native(name) => format!("{}{mark}(", name.node),
            Callee::Encapsulated(name) => format!("{}{mark} (", texts::quoted(name)),
        };
        self.arguments(&open, &call.args)
    }

    pub fn arguments(&self, open: &str, args: &[Arg]) -> Doc {
        let broken = args.first().is_some_and(|first| self.on_new_line(first.name.span.start))
            || args.iter().any(|arg| !arg.comments.is_empty());
        let named = |arg: &Arg, value: Doc| joined(format!("{}: ", arg.name.node), value);
        let one = |arg: &Arg| match arg.is_shorthand() {
            true => text(arg.name.node.as_str()),
            false => named(arg, self.expr(&arg.value)),
        };
        let entries = |args: &[Arg]| args.iter().map(|arg| entry(&arg.comments, one(arg))).collect::<Vec<Doc>>();
        let plain = list(open, ")", entries(args), false, broken);
        let Some((last, before)) = args.split_last().filter(|_| !broken) else { return plain };
        // A document at the end may stay on the line of the call while its own content is broken.
        let hugged = match &*last.value.kind {
            ExprKind::Json(json @ (Json::Object(_) | Json::Array(_))) => concat([text("json "), self.json(json, true)]),
            ExprKind::Template(..) => self.expr(&last.value),
            _ => return plain,
        };
        let before = entries(before);
        if before.iter().any(Doc::must_break) {
            return plain;
        }
        let mut docs = vec![text(open)];
        for entry in before {
            docs.extend([entry, text(", ")]);
        }
        docs.extend([named(last, hugged), text(")")]);
        let broken = list(open, ")", entries(args), false, true);
        Doc::Choice(Box::new([plain, Doc::Concat(docs), broken]))
    }

    /// A condition; `and` and `or` may begin lines.
    pub fn cond(&self, cond: &Cond) -> Doc {
        match cond {
            Cond::Or(conds) => self.chain(conds, "or "),
            Cond::And(conds) => self.chain(conds, "and "),
            Cond::Not(inner) => match &**inner {
                Cond::Compare(comparison) if self.negated_inside(comparison) => self.comparison(comparison, "not "),
                inner => concat([text("not "), self.cond(inner)]),
            },
            Cond::Compare(comparison) => self.comparison(comparison, ""),
            Cond::Truth(value) => self.expr(value),
            Cond::Call(call) => self.call(call),
            Cond::Group(inner) => concat([text("("), group(self.cond(inner)), text(")")]),
        }
    }

    fn chain(&self, conds: &[Cond], word: &str) -> Doc {
        let mut docs = Vec::new();
        for (n, cond) in conds.iter().enumerate() {
            if n > 0 {
                docs.extend([Doc::Line, text(word)]);
            }
            docs.push(group(self.cond(cond)));
        }
        Doc::Concat(docs)
    }

    /// Whether the author wrote `${x} not in …` rather than `not ${x} in …`.
    fn negated_inside(&self, comparison: &Comparison) -> bool {
        let from = comparison.ty.as_ref().map_or(comparison.left.span.span.end, |ty| ty.span.end);
        let rest = self.text.get(from as usize..comparison.span.span.end as usize).unwrap_or("");
        rest.trim_start().strip_prefix("not").is_some_and(|rest| rest.starts_with([' ', '\t']))
    }

    fn comparison(&self, comparison: &Comparison, not: &str) -> Doc {
        let mode = match comparison.mode {
            // The default; printed only if the author wrote it.
            Multi::All if comparison.span.span.start == comparison.left.span.span.start => "",
            Multi::All => "all ",
            Multi::Any => "any ",
            Multi::First => "first ",
            Multi::Last => "last ",
            Multi::Single => "single ",
        };
        let ty = comparison.ty.as_ref().map_or(String::new(), |ty| format!(" as {}", type_word(ty.node)));
        let (words, right) = match &comparison.predicate {
            Predicate::Binary(op, right) => (binary(*op).to_owned(), Some(right)),
            Predicate::Empty => ("is empty".to_owned(), None),
            Predicate::NotEmpty => ("is not empty".to_owned(), None),
            Predicate::Contains(right) => ("contains".to_owned(), Some(right)),
            Predicate::ContainsAll(right) => ("contains all".to_owned(), Some(right)),
            Predicate::ContainsAny(right) => ("contains any".to_owned(), Some(right)),
            Predicate::In(right) => ("in".to_owned(), Some(right)),
            Predicate::Matches(right) => ("matches".to_owned(), Some(right)),
            Predicate::StartsWith(right) => ("starts with".to_owned(), Some(right)),
            Predicate::EndsWith(right) => ("ends with".to_owned(), Some(right)),
            Predicate::Length(bounds) => (format!("length {}", self::bounds(bounds)), None),
            Predicate::Count(bounds) => (format!("count {}", self::bounds(bounds)), None),
        };
        let mut docs = vec![text(mode), self.expr(&comparison.left), text(format!("{ty} {not}{words}"))];
        if let Some(right) = right {
            docs.extend([text(" "), self.expr(right)]);
        }
        if comparison.ignore_case {
            docs.push(text(" ignoring case"));
        }
        Doc::Concat(docs)
    }

    /// A condition after a word. Its continuation lines are indented further than what follows.
    pub fn head_cond(&self, cond: &Cond) -> Doc {
        group(indent(indent(self.cond(cond))))
    }
}

/// A word with its value. If the value is plain text, both become one text, so that they may share a line.
pub fn joined(word: String, value: Doc) -> Doc {
    match value.as_text() {
        Some(value) => text(word + &value),
        None => concat([text(word), value]),
    }
}

/// An entry of a list with its comments; [`list`] expects the trailing one in second place.
pub fn entry(comments: &Comments, doc: Doc) -> Doc {
    if comments.is_empty() {
        return doc;
    }
    let mut first = texts::leading(&comments.leading);
    first.push(doc);
    // Without a trailing comment an empty one keeps the positions.
    let trailing = comments.trailing.as_ref().map_or(Doc::Comment(String::new()), texts::trailing);
    let mut docs = vec![Doc::Concat(first), trailing];
    for comment in &comments.after {
        docs.extend([Doc::Hard, Doc::Comment(texts::comment(comment))]);
    }
    Doc::Concat(docs)
}

pub fn type_word(ty: Type) -> &'static str {
    Type::ALL.iter().find(|(_, known)| *known == ty).map_or("string", |(word, _)| word)
}

fn binary(op: BinaryOp) -> &'static str {
    match op {
        BinaryOp::Eq => "==",
        BinaryOp::Ne => "!=",
        BinaryOp::Lt => "<",
        BinaryOp::Le => "<=",
        BinaryOp::Gt => ">",
        BinaryOp::Ge => ">=",
    }
}

fn bounds(bounds: &Bounds) -> String {
    let number = |bound: Option<u64>| bound.map_or(String::new(), |bound| bound.to_string());
    if bounds.min.is_some() && bounds.min == bounds.max {
        return number(bounds.min);
    }
    format!("{}..{}", number(bounds.min), number(bounds.max))
}

/// `: int 1..3600`, `: "page" | "redirect"`, or the parts that exist.
pub fn typed(ty: &Option<Spanned<Type>>, allowed: &Option<Spanned<Allowed>>) -> String {
    let word = ty.as_ref().map_or(String::new(), |ty| format!(": {}", type_word(ty.node)));
    match allowed.as_ref().map(|allowed| &allowed.node) {
        None => word,
        Some(Allowed::Range(range)) => format!("{word} {}", range.word()),
        Some(Allowed::Choice(words)) => {
            let words = words.iter().map(|word| texts::quoted(word)).collect::<Vec<_>>().join(" | ");
            // Text is what a choice is of, unless it says otherwise.
            if ty.as_ref().is_none_or(|ty| ty.node == Type::String) { format!(": {words}") } else { format!("{word} {words}") }
        }
    }
}
