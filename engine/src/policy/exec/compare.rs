//! Comparisons: data types, multivalued modes, and negation of the execution model.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use portcullis_dsl::ast::{BinaryOp, Bounds, Multi, Type};

use crate::data::pattern::Written;
use crate::data::value::{Value, parse_decimal};
use crate::policy::ctx::Ctx;
use crate::policy::exec::quick::Quick;
use crate::policy::expr::{Expr, View};

/// A comparison, ready to run.
#[derive(Clone)]
pub struct Compare {
    /// Which values of a list must pass.
    pub mode: Multi,
    /// Left side.
    pub left: Expr,
    /// Type both sides are converted to.
    pub ty: Option<Type>,
    /// The test.
    pub test: Test,
    /// `not`.
    pub negate: bool,
    /// `ignoring case`.
    pub ignore_case: bool,
    /// The test, if its right side is constant.
    quick: Option<Quick>,
}

/// Comparisons joined to a boolean value. Negation is already applied in the comparisons.
#[derive(Clone)]
pub enum Condition {
    /// All of these are true.
    All(Box<[Condition]>),
    /// One of these is true.
    Any(Box<[Condition]>),
    /// This comparison is true.
    Test(Compare),
}

impl Condition {
    /// Whether it is true.
    pub fn holds(&self, ctx: &Ctx) -> bool {
        match self {
            Condition::All(all) => all.iter().all(|condition| condition.holds(ctx)),
            Condition::Any(any) => any.iter().any(|condition| condition.holds(ctx)),
            Condition::Test(compare) => compare.holds(ctx),
        }
    }
}

/// What is tested.
#[derive(Clone)]
pub enum Test {
    /// An operator and its right side.
    Binary(BinaryOp, Expr),
    /// It is true.
    True,
    /// Empty or undefined.
    Empty,
    /// Substring.
    Contains(Expr),
    /// The list contains all of these.
    ContainsAll(Expr),
    /// The list contains one of these.
    ContainsAny(Expr),
    /// One of these.
    In(Expr),
    /// Found by a regular expression.
    Matches(Arc<Written>),
    /// Found by a regular expression computed at run time.
    MatchesText(Expr),
    /// Begins with.
    StartsWith(Expr),
    /// Ends with.
    EndsWith(Expr),
    /// Number of characters.
    Length(Bounds),
    /// Number of values.
    Count(Bounds),
}

impl Compare {
    /// A comparison of `left`, with neither `not` nor `ignoring case`.
    pub fn new(mode: Multi, left: Expr, ty: Option<Type>, test: Test) -> Compare {
        let quick = Quick::of(&test, ty);
        Compare { mode, left, ty, test, negate: false, ignore_case: false, quick }
    }

    /// `not` it.
    pub fn negated(self, negate: bool) -> Compare {
        Compare { negate, ..self }
    }

    /// The same `ignoring case`.
    pub fn ignoring_case(self, ignore_case: bool) -> Compare {
        let quick = if ignore_case { self.quick.and_then(Quick::ignoring_case) } else { self.quick };
        Compare { ignore_case, quick, ..self }
    }

    /// Whether it is true.
    pub fn holds(&self, ctx: &Ctx) -> bool {
        self.passes(&self.left.view(ctx), ctx)
    }

    /// Whether it is true of its left side, which is read already.
    #[inline]
    pub fn passes(&self, left: &View<'_>, ctx: &Ctx) -> bool {
        match self.quick.as_ref().and_then(|quick| quick.passes(left)) {
            Some(passed) => passed != self.negate,
            None => self.passes_slowly(left, ctx),
        }
    }

    fn passes_slowly(&self, left: &View<'_>, ctx: &Ctx) -> bool {
        if matches!(self.test, Test::True) {
            let value = match left {
                View::Value(value) => value.to_bool(),
                View::Text(text) => Value::text(*text).to_bool(),
                View::Owned(value) => value.to_bool(),
            };
            return value.is_some_and(|value| value != self.negate);
        }
        // An undefined left side fails, negated or not.
        let passed = match left {
            View::Text(text) => self.one_text(text, ctx),
            View::Value(Value::Undefined) => return false,
            View::Owned(Value::Undefined) => return false,
            View::Value(value) => self.many(value, ctx),
            View::Owned(value) => self.many(value, ctx),
        };
        passed.is_some_and(|passed| passed != self.negate)
    }

    /// The right side of the comparison, if it is an expression.
    pub fn right(&self) -> Option<&Expr> {
        match &self.test {
            Test::Binary(_, right)
            | Test::Contains(right)
            | Test::ContainsAll(right)
            | Test::ContainsAny(right)
            | Test::In(right)
            | Test::MatchesText(right)
            | Test::StartsWith(right)
            | Test::EndsWith(right) => Some(right),
            Test::True | Test::Empty | Test::Matches(_) | Test::Length(_) | Test::Count(_) => None,
        }
    }

    /// `None`: a value cannot be converted, so neither the test nor its negation is true.
    fn many(&self, value: &Value, ctx: &Ctx) -> Option<bool> {
        match &self.test {
            Test::ContainsAll(right) => {
                return Some(right.eval(ctx).values().iter().all(|wanted| self.is_among(wanted, value.values())));
            }
            Test::ContainsAny(right) => {
                return Some(right.eval(ctx).values().iter().any(|wanted| self.is_among(wanted, value.values())));
            }
            _ => {}
        }
        let Value::List(values) = value else { return self.one(value, ctx) };
        match self.mode {
            Multi::All => {
                if values.is_empty() {
                    return None;
                }
                for value in values.iter() {
                    if !self.one(value, ctx)? {
                        return Some(false);
                    }
                }
                Some(true)
            }
            Multi::Any => Some(values.iter().any(|value| self.one(value, ctx) == Some(true))),
            Multi::First => values.first().and_then(|value| self.one(value, ctx)),
            Multi::Last => values.last().and_then(|value| self.one(value, ctx)),
            Multi::Single => match &values[..] {
                [value] => self.one(value, ctx),
                _ => None,
            },
        }
    }

    fn is_among(&self, wanted: &Value, values: &[Value]) -> bool {
        let wanted = wanted.as_text();
        values.iter().any(|value| self.same(&value.as_text(), &wanted))
    }

    fn is(&self, value: &Value, text: &str) -> bool {
        match value {
            Value::Text(own) if !self.ignore_case => own == text,
            value => self.same(&value.as_text(), text),
        }
    }

    fn same(&self, left: &str, right: &str) -> bool {
        if self.ignore_case { eq_ignoring_case(left, right) } else { left == right }
    }

    fn one(&self, left: &Value, ctx: &Ctx) -> Option<bool> {
        if let (Test::Binary(op, right), Some(ty)) = (&self.test, self.ty) {
            let left = left.convert(ty)?;
            let right = right.eval(ctx).convert(ty)?;
            return Some(ordered(*op, compare_typed(&left, &right, self.ignore_case)));
        }
        if let (Test::Binary(op, right), Value::Int(_) | Value::Decimal(_) | Value::Bool(_) | Value::Time(_)) = (&self.test, left)
        {
            let right = right.view(ctx);
            let right = match &right {
                View::Value(value) => value,
                View::Owned(value) => value,
                View::Text(text) => return Some(self.binary_text(*op, &left.as_text(), text)),
            };
            if let (Value::Int(left), Value::Int(right)) = (left, right) {
                return Some(ordered(*op, left.cmp(right)));
            }
            return Some(self.binary_text(*op, &left.as_text(), &right.as_text()));
        }
        if let Some(ty) = self.ty {
            return self.one_text(&left.convert(ty)?.as_text(), ctx);
        }
        if let (Test::Binary(op @ (BinaryOp::Eq | BinaryOp::Ne), right), Value::Json(left)) = (&self.test, left)
            && let View::Value(Value::Json(right)) = right.view(ctx)
            && left.is_part_of_same(right)
        {
            return Some(*op == BinaryOp::Eq);
        }
        self.one_text(&left.as_text(), ctx)
    }

    fn one_text(&self, left: &str, ctx: &Ctx) -> Option<bool> {
        if let (Some(ty), Test::Binary(..)) = (self.ty, &self.test)
            && ty != Type::String
        {
            return self.one(&Value::text(left), ctx);
        }
        Some(match &self.test {
            Test::Binary(op, right) => self.binary_text(*op, left, &right.text(ctx)),
            Test::Contains(right) => self.folded(left, &right.text(ctx), |left, right| left.contains(right)),
            Test::StartsWith(right) => {
                let right = right.text(ctx);
                match left.split_at_checked(right.len()) {
                    // Upper and lower case have the same length, so only the beginning counts.
                    Some((beginning, _)) if beginning.is_ascii() && right.is_ascii() => self.same(beginning, &right),
                    _ => self.folded(left, &right, |left, right| left.starts_with(right)),
                }
            }
            Test::EndsWith(right) => self.folded(left, &right.text(ctx), |left, right| left.ends_with(right)),
            Test::In(right) => match right.view(ctx) {
                View::Value(value) => value.values().iter().any(|value| self.is(value, left)),
                View::Text(text) => self.same(text, left),
                View::Owned(value) => value.values().iter().any(|value| self.is(value, left)),
            },
            Test::Matches(pattern) => pattern.regex()?.is_match(left),
            Test::MatchesText(pattern) => crate::policy::pattern::cached(&pattern.text(ctx), self.ignore_case)?.is_match(left),
            Test::Length(bounds) => within(bounds, left.chars().count()),
            Test::ContainsAll(right) => right.eval(ctx).values().iter().all(|wanted| self.same(&wanted.as_text(), left)),
            Test::ContainsAny(right) => right.eval(ctx).values().iter().any(|wanted| self.same(&wanted.as_text(), left)),
            Test::True => left == "true",
            Test::Empty => left.is_empty(),
            Test::Count(bounds) => within(bounds, 1),
        })
    }

    fn folded(&self, left: &str, right: &str, test: impl Fn(&str, &str) -> bool) -> bool {
        if self.ignore_case { test(&left.to_lowercase(), &right.to_lowercase()) } else { test(left, right) }
    }

    fn binary_text(&self, op: BinaryOp, left: &str, right: &str) -> bool {
        match op {
            BinaryOp::Eq => self.same(left, right),
            BinaryOp::Ne => !self.same(left, right),
            _ => {
                let ordering = match (parse_decimal(left), parse_decimal(right)) {
                    (Some(left), Some(right)) => left.partial_cmp(&right).unwrap_or(Ordering::Equal),
                    _ if self.ignore_case => left.to_lowercase().cmp(&right.to_lowercase()),
                    _ => left.cmp(right),
                };
                ordered(op, ordering)
            }
        }
    }
}

fn eq_ignoring_case(left: &str, right: &str) -> bool {
    if left.is_ascii() && right.is_ascii() {
        left.eq_ignore_ascii_case(right)
    } else {
        left.to_lowercase() == right.to_lowercase()
    }
}

fn compare_typed(left: &Value, right: &Value, ignore_case: bool) -> Ordering {
    match (left, right) {
        (Value::Int(left), Value::Int(right)) | (Value::Time(left), Value::Time(right)) => left.cmp(right),
        (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
        (Value::Decimal(left), Value::Decimal(right)) => left.partial_cmp(right).unwrap_or(Ordering::Equal),
        (left, right) => {
            let (left, right): (Cow<'_, str>, Cow<'_, str>) = (left.as_text(), right.as_text());
            if ignore_case { left.to_lowercase().cmp(&right.to_lowercase()) } else { left.cmp(&right) }
        }
    }
}

pub(super) fn ordered(op: BinaryOp, ordering: Ordering) -> bool {
    match op {
        BinaryOp::Eq => ordering.is_eq(),
        BinaryOp::Ne => ordering.is_ne(),
        BinaryOp::Lt => ordering.is_lt(),
        BinaryOp::Le => ordering.is_le(),
        BinaryOp::Gt => ordering.is_gt(),
        BinaryOp::Ge => ordering.is_ge(),
    }
}

pub(super) fn within(bounds: &Bounds, count: usize) -> bool {
    let count = count as u64;
    bounds.min.is_none_or(|min| count >= min) && bounds.max.is_none_or(|max| count <= max)
}
