//! Comparisons with constants, settled when the policy is compiled: most conditions then copy no value and evaluate no right side.

use memchr::memmem::Finder;
use portcullis_dsl::ast::{BinaryOp, Type};
use smol_str::SmolStr;

use super::compare::{Test, ordered};
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
    /// `ends with`.
    EndsWith(SmolStr),
    /// `contains`.
    Contains(Box<Finder<'static>>),
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

    /// Whether the letters of texts count.
    pub fn compares_texts(&self) -> bool {
        !matches!(self, Quick::Empty | Quick::True)
    }

    /// Whether a value passes. `None`: it is of another kind, and the comparison must go the general way.
    #[inline]
    pub fn passes(&self, left: &View<'_>) -> Option<bool> {
        let value = match left {
            View::Text(text) => return self.text(text),
            View::Value(value) => value,
            View::Owned(value) => value,
        };
        match (value, self) {
            (value, Quick::Empty) => Some(value.is_empty()),
            (Value::Text(text), _) => self.text(text),
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
            Quick::EndsWith(right) => left.ends_with(right.as_str()),
            Quick::Contains(finder) => finder.find(left.as_bytes()).is_some(),
            Quick::Empty => left.is_empty(),
            Quick::Int(..) | Quick::True => return None,
        })
    }
}

/// A boolean as text.
const fn word(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}
