//! Compiled expressions: properties, right sides of `set`, and templates after the policy has loaded.

mod json_text;

use std::borrow::Cow;
use std::sync::Arc;

use portcullis_dsl::AddressPlace;
use portcullis_dsl::ast::{ArithmeticOp, Syntax};
use smallvec::SmallVec;
use smol_str::SmolStr;

use crate::data::encoding::all_bytes;
use crate::data::json::{self, Path};
use crate::data::value::{LIST_DELIMITER, Value};
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::exec::compare::Condition;
use crate::policy::function::{Args, Function};
use crate::policy::template;
use crate::policy::vars::{Accessor, Selector};

pub use json_text::JsonText;

/// An expression, ready to run.
#[derive(Clone)]
pub enum Expr {
    /// A constant.
    Const(Value),
    /// A variable.
    Slot(Slot),
    /// A part of a variable.
    Selected(Slot, Selector),
    /// A built-in.
    Builtin(Accessor),
    /// `${x[i]}`.
    Index(Box<Expr>, u32),
    /// `${x|; }`.
    Joined(Box<Expr>, SmolStr),
    /// Text with variables.
    Text(Arc<[Piece]>),
    /// A template with variables: escaped for its syntax.
    Template(Syntax, Arc<[Piece]>),
    /// A JSON template.
    Json(Arc<JsonNode>),
    /// A list.
    List(Arc<[Expr]>),
    /// A call of a pure function.
    Call(&'static Function, Arc<[Expr]>),
    /// A member of JSON, or `json_get` with a constant path.
    Member(Box<Expr>, Arc<Path>),
    /// The first, or the second if the first is undefined.
    Either(Box<(Expr, Expr)>),
    /// Integer arithmetic.
    Arithmetic(ArithmeticOp, Box<(Expr, Expr)>),
    /// Whether a condition holds.
    Condition(Arc<Condition>),
}

/// A piece of a text or template.
#[derive(Clone)]
pub enum Piece {
    /// Literal text.
    Literal(SmolStr),
    /// Escaped for the template's syntax.
    Value(Expr),
    /// Checked, then escaped: a browser follows it as an address.
    Address(Expr, AddressPlace),
    /// Not escaped.
    Raw(Expr),
}

/// A node of a JSON template.
#[derive(Clone)]
pub enum JsonNode {
    /// An object; a member's flag says that it is left out if empty.
    Object(Vec<(Vec<Piece>, bool, JsonNode)>),
    /// An array.
    Array(Vec<JsonNode>),
    /// A value.
    Value(Expr),
    /// `null`.
    Null,
}

/// A value, borrowed if possible.
pub enum View<'a> {
    /// A variable or constant.
    Value(&'a Value),
    /// Text of the request.
    Text(&'a str),
    /// A new value.
    Owned(Value),
}

impl<'a> View<'a> {
    /// A text that may be there.
    #[inline(always)]
    pub fn of(text: Option<Cow<'a, str>>) -> View<'a> {
        match text {
            Some(Cow::Borrowed(text)) => View::Text(text),
            Some(Cow::Owned(text)) => View::Owned(Value::from(text)),
            None => View::Value(&Value::Undefined),
        }
    }

    /// As [`Value::is_empty`].
    pub fn is_empty(&self) -> bool {
        match self {
            View::Value(value) => value.is_empty(),
            View::Text(text) => text.is_empty(),
            View::Owned(value) => value.is_empty(),
        }
    }

    /// Appends the JSON text of [`Value::to_json`].
    fn write_json(&self, out: &mut Vec<u8>) {
        let value = match self {
            View::Value(value) => value,
            View::Owned(value) => value,
            View::Text(text) => return quote(out, text),
        };
        match value {
            Value::Text(text) => quote(out, text),
            Value::Int(number) => write_json(out, number),
            Value::Bool(value) => write_json(out, value),
            Value::Json(json) => write_json(out, &**json),
            other => write_json(out, &other.to_json()),
        }
    }

    /// As [`Value::to_json`].
    fn to_json(&self) -> serde_json::Value {
        match self {
            View::Value(value) => value.to_json(),
            View::Owned(value) => value.to_json(),
            View::Text(text) => serde_json::Value::from(*text),
        }
    }

    /// As a value.
    pub fn into_value(self) -> Value {
        match self {
            View::Value(value) => value.clone(),
            View::Text(text) => Value::text(text),
            View::Owned(value) => value,
        }
    }
}

impl Expr {
    /// A constant text.
    pub fn constant(text: impl Into<SmolStr>) -> Expr {
        Expr::Const(Value::Text(text.into()))
    }

    /// The constant, if it is one.
    pub fn as_const(&self) -> Option<&Value> {
        match self {
            Expr::Const(value) => Some(value),
            _ => None,
        }
    }

    /// The text that it begins with, whatever its variables hold; `None` where that is not known.
    pub fn beginning(&self) -> Option<&str> {
        match self {
            Expr::Const(Value::Text(text)) => Some(text),
            Expr::Text(pieces) | Expr::Template(_, pieces) => match pieces.first()? {
                Piece::Literal(text) => Some(text),
                _ => None,
            },
            _ => None,
        }
    }

    /// Evaluates without copying a variable.
    #[inline]
    pub fn view<'a>(&'a self, ctx: &'a Ctx) -> View<'a> {
        match self {
            Expr::Const(value) => View::Value(value),
            Expr::Slot(slot) => View::Value(ctx.get(*slot)),
            Expr::Builtin(accessor) => accessor.view(ctx),
            other => other.view_of_parts(ctx),
        }
    }

    /// Whether both read the same variable. `false` also where that is not obvious.
    pub fn reads_the_same(&self, other: &Expr) -> bool {
        match (self, other) {
            (Expr::Slot(one), Expr::Slot(other)) => one == other,
            (Expr::Builtin(one), Expr::Builtin(other)) => one.reads_the_same(other),
            _ => false,
        }
    }

    fn view_of_parts<'a>(&'a self, ctx: &'a Ctx) -> View<'a> {
        match self {
            Expr::Index(inner, index) => match inner.view(ctx) {
                View::Value(Value::Json(document)) => View::Owned(document.element(*index as usize)),
                View::Value(value) => value.values().get(*index as usize).map_or(View::Owned(Value::Undefined), View::Value),
                other => View::Owned(match other.into_value() {
                    Value::Json(document) => document.element(*index as usize),
                    value => value.values().get(*index as usize).cloned().unwrap_or_default(),
                }),
            },
            Expr::Either(both) => match both.0.view(ctx) {
                View::Value(Value::Undefined) | View::Owned(Value::Undefined) => both.1.view(ctx),
                first => first,
            },
            other => View::Owned(other.eval(ctx)),
        }
    }

    /// Evaluates.
    pub fn eval(&self, ctx: &Ctx) -> Value {
        match self {
            Expr::Const(value) => value.clone(),
            Expr::Slot(slot) => ctx.get(*slot).clone(),
            Expr::Selected(slot, selector) => selector.apply(ctx.get(*slot)),
            Expr::Builtin(accessor) => accessor.value(ctx),
            Expr::Index(..) | Expr::Either(_) => self.view(ctx).into_value(),
            Expr::Joined(inner, delimiter) => {
                let mut out = String::new();
                inner.eval(ctx).write_text(delimiter, &mut out);
                Value::from(out)
            }
            Expr::Text(pieces) => match &pieces[..] {
                // With `"${x}"` a policy makes a text of any `x`.
                [Piece::Value(expr)] => Value::Text(expr.to_text(ctx)),
                pieces => {
                    let mut out = String::with_capacity(64);
                    for piece in pieces {
                        piece.write(ctx, &mut out);
                    }
                    Value::text(out.as_str())
                }
            },
            Expr::Template(syntax, pieces) => template::render(*syntax, pieces, ctx),
            Expr::Json(node) => Value::json(node.eval(ctx)),
            Expr::List(items) => Value::list(items.iter().map(|item| item.eval(ctx))),
            Expr::Call(function, args) => match &args[..] {
                [] => function.call(&Args(&[]), ctx),
                [one] => function.call(&Args(&[one.eval(ctx)]), ctx),
                [one, two] => function.call(&Args(&[one.eval(ctx), two.eval(ctx)]), ctx),
                [one, two, three] => function.call(&Args(&[one.eval(ctx), two.eval(ctx), three.eval(ctx)]), ctx),
                more => function.call(&Args(&more.iter().map(|arg| arg.eval(ctx)).collect::<SmallVec<[Value; 4]>>()), ctx),
            },
            Expr::Member(source, path) => {
                let found = |value: &Value| match value {
                    Value::Json(document) if document.is_object() => document.get(path),
                    other => json::document(other).map_or(Value::Undefined, |document| document.get(path)),
                };
                match source.view(ctx) {
                    View::Value(value) => found(value),
                    other => found(&other.into_value()),
                }
            }
            Expr::Condition(condition) => Value::Bool(condition.holds(ctx)),
            Expr::Arithmetic(op, sides) => arithmetic(*op, sides.0.view(ctx), sides.1.view(ctx)),
        }
    }

    /// Evaluates to text; undefined is the empty text.
    pub fn text<'a>(&'a self, ctx: &'a Ctx) -> Cow<'a, str> {
        match self.view(ctx) {
            View::Value(value) => value.as_text(),
            View::Text(text) => Cow::Borrowed(text),
            View::Owned(value) => Cow::Owned(match value {
                Value::Text(text) => text.into(),
                other => other.as_text().into_owned(),
            }),
        }
    }

    /// Evaluates to text that is cheap to keep.
    pub fn to_text(&self, ctx: &Ctx) -> SmolStr {
        match self.view(ctx) {
            View::Value(value) => value.to_text(),
            View::Text(text) => SmolStr::new(text),
            View::Owned(value) => value.to_text(),
        }
    }

    /// Appends the text form.
    pub fn write(&self, ctx: &Ctx, out: &mut String) {
        match self.view(ctx) {
            View::Value(value) => value.write_text(LIST_DELIMITER, out),
            View::Text(text) => out.push_str(text),
            View::Owned(value) => value.write_text(LIST_DELIMITER, out),
        }
    }
}

impl Piece {
    /// Appends the text form without escaping.
    pub fn write(&self, ctx: &Ctx, out: &mut String) {
        match self {
            Piece::Literal(text) => out.push_str(text),
            Piece::Value(expr) | Piece::Address(expr, _) | Piece::Raw(expr) => expr.write(ctx, out),
        }
    }
}

impl JsonNode {
    /// The tree, if it contains no variable.
    pub fn constant(&self) -> Option<serde_json::Value> {
        match self {
            JsonNode::Object(members) => {
                let mut object = serde_json::Map::with_capacity(members.len());
                for (key, optional, node) in members {
                    if *optional {
                        return None;
                    }
                    object.insert(fixed(key)?.to_owned(), node.constant()?);
                }
                Some(serde_json::Value::Object(object))
            }
            JsonNode::Array(items) => items.iter().map(JsonNode::constant).collect::<Option<_>>().map(serde_json::Value::Array),
            JsonNode::Value(expr) => expr.as_const().map(Value::to_json),
            JsonNode::Null => Some(serde_json::Value::Null),
        }
    }

    /// Whether all names are constant and unique, so that every member keeps its position.
    pub fn has_fixed_names(&self) -> bool {
        match self {
            JsonNode::Object(members) => members.iter().enumerate().all(|(i, (key, _, node))| {
                fixed(key).is_some_and(|name| members.iter().take(i).all(|(other, ..)| fixed(other) != Some(name)))
                    && node.has_fixed_names()
            }),
            JsonNode::Array(items) => items.iter().all(JsonNode::has_fixed_names),
            JsonNode::Value(_) | JsonNode::Null => true,
        }
    }

    /// Evaluates to a tree.
    pub fn eval(&self, ctx: &Ctx) -> serde_json::Value {
        match self {
            JsonNode::Object(members) => {
                let mut object = serde_json::Map::with_capacity(members.len());
                for (key, optional, node) in members {
                    let value = match (optional, node) {
                        (true, JsonNode::Value(expr)) => match expr.view(ctx) {
                            value if value.is_empty() => continue,
                            value => value.to_json(),
                        },
                        (_, node) => node.eval(ctx),
                    };
                    let name = match fixed(key) {
                        Some(name) => name.to_owned(),
                        None => {
                            let mut name = String::new();
                            key.iter().for_each(|piece| piece.write(ctx, &mut name));
                            name
                        }
                    };
                    object.insert(name, value);
                }
                serde_json::Value::Object(object)
            }
            JsonNode::Array(items) => serde_json::Value::Array(items.iter().map(|item| item.eval(ctx)).collect()),
            JsonNode::Value(expr) => expr.view(ctx).to_json(),
            JsonNode::Null => serde_json::Value::Null,
        }
    }
}

/// A name without variables.
pub(crate) fn fixed(key: &[Piece]) -> Option<&str> {
    match key {
        [] => Some(""),
        [Piece::Literal(text)] => Some(text),
        _ => None,
    }
}

fn write_json(out: &mut Vec<u8>, value: &(impl serde::Serialize + ?Sized)) {
    // Writing to a `Vec` and serializing our own tree cannot fail.
    let _ = serde_json::to_writer(out, value);
}

/// Appends a text as JSON. Nearly all of them need no escape.
fn quote(out: &mut Vec<u8>, text: &str) {
    if !all_bytes(text.as_bytes(), |byte| (byte >= b' ') & (byte != b'"') & (byte != b'\\')) {
        return write_json(out, text);
    }
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

/// Integers only; anything else, overflow and division by zero give undefined.
fn arithmetic(op: ArithmeticOp, left: View<'_>, right: View<'_>) -> Value {
    let int = |view: View<'_>| match view {
        View::Value(value) => value.to_int(),
        View::Text(text) => text.trim().parse().ok(),
        View::Owned(value) => value.to_int(),
    };
    let (Some(left), Some(right)) = (int(left), int(right)) else { return Value::Undefined };
    let result: Option<i64> = match op {
        ArithmeticOp::Add => left.checked_add(right),
        ArithmeticOp::Sub => left.checked_sub(right),
        ArithmeticOp::Mul => left.checked_mul(right),
        ArithmeticOp::Div => left.checked_div(right),
        ArithmeticOp::Rem => left.checked_rem(right),
    };
    Value::from(result)
}
