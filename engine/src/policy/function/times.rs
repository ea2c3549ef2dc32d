//! Functions on moments.

use super::{Function, function, function_of_run};
use crate::data::time;
use crate::data::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    function_of_run("now", &[], 0, "seconds since 1970", |_, ctx| Value::Int(ctx.now_millis().div_euclid(1000))),
    function_of_run("now_ms", &[], 0, "milliseconds since 1970", |_, ctx| Value::Int(ctx.now_millis())),
    function(
        "format_time",
        &["seconds", "format"],
        2,
        "a moment, given as seconds since 1970 or as a date-time, in the format `rfc1123` or `iso8601`; undefined for any other, and for \
         a moment that the format cannot name (`rfc1123`: years 1970 to 9999)",
        |args| {
            let millis = match &args[0] {
                Value::Time(millis) => Some(*millis),
                other => other.to_int().and_then(|seconds| seconds.checked_mul(1000)),
            };
            match (millis, args[1].as_text().to_ascii_lowercase().as_str()) {
                (Some(millis), "rfc1123") => Value::from(time::rfc1123(millis)),
                (Some(millis), "iso8601") => Value::from(time::iso8601_date(millis)),
                _ => Value::Undefined,
            }
        },
    ),
];
