//! What the gateway knows of itself.

use super::{Function, function_of_run};
use crate::data::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[function_of_run(
    "property",
    &["name"],
    1,
    "a property of `gateway.yaml` by a name that is made while the policy runs: `property(\"limit.${tenant}\")`; undefined if there is none \
     of that name. Where the name is known, write `${gateway.limit.small}`",
    |args, ctx| Value::from(ctx.services().properties.get(args[0].as_text().to_ascii_lowercase().as_str()).cloned()),
)];
