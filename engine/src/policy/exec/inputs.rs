//! How values fit the types of inputs and variables.

use std::borrow::Cow;

use portcullis_dsl::ast::Type;

use crate::data::value::Value;

/// Why an assignment fails.
pub const WRONG_TYPE: &str = "the value is not of the variable's type";

/// Why a call fails that is not even begun.
pub fn wrong_input(callee: &str) -> Cow<'static, str> {
    format!("an input of `{callee}` has the wrong type").into()
}

/// The value of an input: as its type; `None` if it has another one.
pub fn passed(value: Value, ty: Option<Type>) -> Option<Value> {
    match ty {
        // Undefined and the empty text, which is not JSON, both mean "no document".
        Some(Type::Json) if value.is_empty() => Some(Value::Undefined),
        Some(ty) if !value.is_undefined() => value.convert(ty),
        _ => Some(value),
    }
}
