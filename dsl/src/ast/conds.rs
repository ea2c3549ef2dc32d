//! Conditions.

use super::{Call, Expr, Type};
use crate::span::Spanned;

/// A condition.
#[derive(Clone, Debug, PartialEq)]
pub enum Cond {
    /// `a or b or c`.
    Or(Vec<Cond>),
    /// `a and b and c`.
    And(Vec<Cond>),
    /// `not a`. If the left side of the comparison is undefined, `not` does not succeed either (except with `is empty`), as in
    /// the gateway.
    Not(Box<Cond>),
    /// A comparison.
    Compare(Box<Comparison>),
    /// `${x}`: a variable that is true or false.
    Truth(Expr),
    /// An assertion asked as a question.
    Call(Box<Call>),
    /// `(a)`.
    Group(Box<Cond>),
}

/// `any ${x} as int >= 5 ignoring case`.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison {
    /// Which values of a list must pass.
    pub mode: Multi,
    /// Left side.
    pub left: Expr,
    /// Type both sides are converted to; fails where impossible.
    pub ty: Option<Spanned<Type>>,
    /// The test.
    pub predicate: Predicate,
    /// `ignoring case`.
    pub ignore_case: bool,
    /// Its text.
    pub span: Spanned<()>,
}

/// Multivalued modes of the left side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Multi {
    /// Every value (the default; also the word `all`).
    All,
    /// `any`: at least one value.
    Any,
    /// `first`.
    First,
    /// `last`.
    Last,
    /// `single`: fails when there is more than one value.
    Single,
}

/// What is tested.
#[derive(Clone, Debug, PartialEq)]
pub enum Predicate {
    /// `==`, `!=`, `<`, `<=`, `>`, `>=`.
    Binary(BinaryOp, Expr),
    /// `is empty`: undefined, an empty text, or a list of only these.
    Empty,
    /// `is not empty`.
    NotEmpty,
    /// `contains x`: substring; on a list see `mode`.
    Contains(Expr),
    /// `contains all x`: the left list contains every value of x.
    ContainsAll(Expr),
    /// `contains any x`: the left list contains at least one value of x.
    ContainsAny(Expr),
    /// `in [a, b]` or `in ${list}`.
    In(Expr),
    /// `matches "regex"`: found anywhere in the text.
    Matches(Expr),
    /// `starts with x`.
    StartsWith(Expr),
    /// `ends with x`.
    EndsWith(Expr),
    /// `length 43..128` (characters); either bound may be left out: `length 1..`, `length ..10`, `length 5`.
    Length(Bounds),
    /// `count 1..1`: number of values.
    Count(Bounds),
}

/// Inclusive bounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Least.
    pub min: Option<u64>,
    /// Most.
    pub max: Option<u64>,
}

/// Binary operators of comparisons.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BinaryOp {
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}
