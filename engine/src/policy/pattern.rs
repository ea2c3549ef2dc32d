//! Regular expressions computed at run time: compiled once and cached, so that a configured pattern is not compiled for each
//! request.

use std::borrow::Cow;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use moka::sync::Cache;
use regex::{Captures, Regex};
use smol_str::SmolStr;

use crate::data::pattern::{Written, compile};
use crate::policy::ctx::Ctx;
use crate::policy::expr::{Expr, Piece};

/// Pattern and whether case is ignored.
type Key = (String, bool);

/// A compiled pattern may take a megabyte, so unused ones (after a change of policies) are dropped.
static COMPILED: LazyLock<Cache<Key, Option<Arc<Regex>>>> =
    LazyLock::new(|| Cache::builder().max_capacity(256).time_to_idle(Duration::from_secs(600)).build());

/// The compiled pattern; `None` if it does not compile.
pub fn cached(pattern: &str, ignore_case: bool) -> Option<Arc<Regex>> {
    // Compiled once, even if many requests need it at the same time.
    COMPILED.get_with((pattern.to_owned(), ignore_case), || compile(pattern, ignore_case).ok().map(Arc::new))
}

/// A pattern of an assertion: read with the policy if it is a literal, otherwise on each run.
pub enum Pattern {
    /// A literal.
    Fixed(Arc<Written>),
    /// A text with variables, and whether case is ignored.
    Text(Expr, bool),
}

impl Pattern {
    /// The compiled pattern; `None` if the text of this run does not compile.
    pub fn regex<'p>(&'p self, ctx: &Ctx) -> Option<Cow<'p, Regex>> {
        match self {
            Pattern::Fixed(pattern) => pattern.regex().map(Cow::Borrowed),
            Pattern::Text(text, ignore_case) => cached(&text.text(ctx), *ignore_case).map(|regex| Cow::Owned((*regex).clone())),
        }
    }
}

/// The replacement of a match: texts, groups of the match, values. The text of a value is never searched for groups.
pub struct Replacement(Vec<Part>);

enum Part {
    Literal(SmolStr),
    Group(usize),
    Value(Expr),
}

impl Replacement {
    /// Reads `$1` and `$$` in the literal parts of a text.
    pub fn new(text: Expr) -> Replacement {
        let mut parts = Vec::new();
        match text {
            Expr::Const(value) => literal(&value.as_text(), &mut parts),
            Expr::Text(pieces) => {
                for piece in pieces.iter() {
                    match piece {
                        Piece::Literal(text) => literal(text, &mut parts),
                        Piece::Value(expr) | Piece::Address(expr, _) | Piece::Raw(expr) => parts.push(Part::Value(expr.clone())),
                    }
                }
            }
            other => parts.push(Part::Value(other)),
        }
        Replacement(parts)
    }

    /// Appends the replacement of a match. A group that took no part is empty.
    pub fn write(&self, found: &Captures<'_>, ctx: &Ctx, out: &mut String) {
        for part in &self.0 {
            match part {
                Part::Literal(text) => out.push_str(text),
                Part::Group(group) => out.push_str(found.get(*group).map_or("", |group| group.as_str())),
                Part::Value(value) => value.write(ctx, out),
            }
        }
    }
}

fn literal(text: &str, parts: &mut Vec<Part>) {
    let mut pending = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        pending.push_str(before);
        let digits = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        match after[..digits].parse() {
            Ok(group) => {
                if !pending.is_empty() {
                    parts.push(Part::Literal(std::mem::take(&mut pending).into()));
                }
                parts.push(Part::Group(group));
                rest = &after[digits..];
            }
            Err(_) => {
                pending.push('$');
                rest = after.strip_prefix('$').unwrap_or(after);
            }
        }
    }
    pending.push_str(rest);
    if !pending.is_empty() {
        parts.push(Part::Literal(pending.into()));
    }
}
