//! Functions on texts, numbers, moments and URIs.

use super::{Function, function};
use crate::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    function("lower", &["text"], 1, "in lower case", |args, _| Value::from(args[0].as_text().to_lowercase())),
    function("upper", &["text"], 1, "in upper case", |args, _| Value::from(args[0].as_text().to_uppercase())),
    function("trim", &["text"], 1, "without surrounding blanks", |args, _| Value::from(args[0].as_text().trim())),
    function("length", &["text"], 1, "number of characters", |args, _| Value::Int(args[0].as_text().chars().count() as i64)),
    function("text", &["value"], 1, "as text", |args, _| Value::Text(args[0].to_text())),
    function("now", &[], 0, "seconds since 1970", |_, ctx| Value::Int(ctx.now_millis().div_euclid(1000))),
    function("now_ms", &[], 0, "milliseconds since 1970", |_, ctx| Value::Int(ctx.now_millis())),
];
