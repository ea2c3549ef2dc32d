//! Functions on cookies.

use super::{Function, function_of_run};
use crate::data::value::Value;
use crate::policy::vars::cookies;

pub(super) static FUNCTIONS: &[Function] = &[function_of_run(
    "cookie",
    &["name"],
    1,
    "the value of the request's cookie of this name, for names that come from a setting; undefined if there is none, or more \
     than one",
    |args, ctx| {
        let name = args[0].as_text();
        let mut found = cookies(&ctx.request.message).filter(|(own, _)| **own == *name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Value::from(value),
            _ => Value::Undefined,
        }
    },
)];
