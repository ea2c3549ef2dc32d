//! Comparisons with constants, settled when the policy is compiled: most conditions then copy no value and evaluate no right side.

use std::sync::Arc;

use memchr::memmem::Finder;
use portcullis_dsl::ast::{BinaryOp, Bounds, Type};
use smol_str::SmolStr;

use super::compare::{Test, ordered, within};
use crate::data::pattern::Written;
use crate::data::value::Value;
use crate::policy::expr::{Expr, View};

/// A test of one value against constants.
#[derive(Clone)]
pub enum Quick {
    /// `==` a text; the flag says that the operator is `!=`.
    Same(SmolStr, bool),
    /// Compared with a number.
    Int(BinaryOp, i64),
    /// `in` a list of texts.
    OneOf(Box<[SmolStr]>),
    /// `starts with`.
    StartsWith(SmolStr),
    /// The same `ignoring case`; ASCII.
    StartsLike(SmolStr),
    /// `ends with`.
    EndsWith(SmolStr),
    /// `contains`.
    Contains(Box<Finder<'static>>),
    /// `matches`.
    Matches(Arc<Written>),
    /// `count`.
    Count(Bounds),
    /// `is empty`.
    Empty,
    /// A condition that is a value.
    True,
}

impl Quick {
    /// The form of a test, if it has one. Letters are compared as they are: `ignoring case` has none.
    pub fn of(test: &Test, ty: Option<Type>) -> Option<Quick> {
        let text = |expr: &Expr| match expr {
            Expr::Const(Value::Text(text)) => Some(text.clone()),
            _ => None,
        };
        match (test, ty) {
            (Test::Empty, _) => Some(Quick::Empty),
            (Test::True, _) => Some(Quick::True),
            (Test::Count(bounds), _) => Some(Quick::Count(*bounds)),
            (Test::Matches(pattern), None | Some(Type::String)) => Some(Quick::Matches(Arc::clone(pattern))),
            (Test::Binary(op @ (BinaryOp::Eq | BinaryOp::Ne), Expr::Const(right)), None | Some(Type::String)) => match right {
                Value::Text(text) => Some(Quick::Same(text.clone(), *op == BinaryOp::Ne)),
                Value::Bool(value) => Some(Quick::Same(SmolStr::new_static(word(*value)), *op == BinaryOp::Ne)),
                Value::Int(number) if ty.is_none() => Some(Quick::Int(*op, *number)),
                _ => None,
            },
            (Test::Binary(op, Expr::Const(right)), Some(Type::Int)) => match right.convert(Type::Int)? {
                Value::Int(number) => Some(Quick::Int(*op, number)),
                _ => None,
            },
            (Test::Binary(op, Expr::Const(Value::Int(number))), None) => Some(Quick::Int(*op, *number)),
            (Test::In(Expr::Const(Value::List(values))), None | Some(Type::String)) => {
                let texts = values.iter().map(|value| match value {
                    Value::Text(text) => Some(text.clone()),
                    _ => None,
                });
                texts.collect::<Option<_>>().map(Quick::OneOf)
            }
            (Test::StartsWith(right), None | Some(Type::String)) => text(right).map(Quick::StartsWith),
            (Test::EndsWith(right), None | Some(Type::String)) => text(right).map(Quick::EndsWith),
            (Test::Contains(right), None | Some(Type::String)) => {
                let finder = |text: SmolStr| Quick::Contains(Box::new(Finder::new(text.as_bytes()).into_owned()));
                text(right).map(finder)
            }
            _ => None,
        }
    }

    /// The same test `ignoring case`, if it has such a form.
    pub fn ignoring_case(self) -> Option<Quick> {
        match self {
            Quick::StartsWith(text) if text.is_ascii() => Some(Quick::StartsLike(text)),
            other => (!other.reads_text()).then_some(other),
        }
    }

    /// Whether it is a test of a text.
    fn reads_text(&self) -> bool {
        !matches!(self, Quick::Empty | Quick::True | Quick::Count(_))
    }

    /// Whether a value passes. `None`: it is of another kind, and the comparison must go the general way.
    #[inline]
    pub fn passes(&self, left: &View<'_>) -> Option<bool> {
        match left {
            View::Text(text) => self.text(text),
            View::Value(value) => self.value(value),
            View::Owned(value) => self.value(value),
        }
    }

    fn value(&self, value: &Value) -> Option<bool> {
        match (value, self) {
            (value, Quick::Empty) => Some(value.is_empty()),
            (value, Quick::Count(bounds)) => Some(within(bounds, value.values().len())),
            (Value::Text(text), _) => self.text(text),
            // Which values of a list must pass is the same for one.
            (Value::List(values), _) if self.reads_text() => match &values[..] {
                [Value::Text(text)] => self.text(text),
                _ => None,
            },
            (Value::Bool(value), Quick::True) => Some(*value),
            (Value::Int(left), Quick::Int(op, right)) => Some(ordered(*op, left.cmp(right))),
            (Value::Bool(value), Quick::Same(right, differs)) => Some((word(*value) == right) != *differs),
            _ => None,
        }
    }

    #[inline]
    fn text(&self, left: &str) -> Option<bool> {
        Some(match self {
            Quick::Same(right, differs) => (left == right) != *differs,
            Quick::OneOf(texts) => texts.iter().any(|text| left == text),
            Quick::StartsWith(right) => left.starts_with(right.as_str()),
            Quick::StartsLike(right) => match left.as_bytes().get(..right.len()) {
                Some(beginning) if beginning.is_ascii() => beginning.eq_ignore_ascii_case(right.as_bytes()),
                None if left.is_ascii() => false,
                // Other letters may have an ASCII one as their lower case.
                _ => return None,
            },
            Quick::EndsWith(right) => left.ends_with(right.as_str()),
            Quick::Contains(finder) => finder.find(left.as_bytes()).is_some(),
            Quick::Matches(pattern) => pattern.regex()?.is_match(left),
            Quick::Count(bounds) => within(bounds, 1),
            Quick::Empty => left.is_empty(),
            Quick::Int(..) | Quick::True => return None,
        })
    }
}

/// A boolean as text.
const fn word(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}
