//! Functions on JSON.

use super::{Function, function};
use crate::json;
use crate::value::Value;

pub(super) static FUNCTIONS: &[Function] = &[
    function(
        "json_get",
        &["json", "path"],
        2,
        "what a member name, a dotted path or a `$…` JSONPath (RFC 9535) leads to; arrays and several finds are lists; \
            undefined when \
         absent, `null` or not JSON",
        |args, _| json::document(&args[0]).map_or(Value::Undefined, |document| document.find(&args[1].as_text())),
    ),
    function("json_array", &["list"], 1, "the values of a list as a JSON array", |args, _| {
        Value::json(serde_json::Value::Array(args[0].values().iter().map(Value::to_json).collect()))
    }),
    function("json_keys", &["json"], 1, "the member names of a JSON object", |args, _| {
        let document = json::document(&args[0]);
        let object = document.as_deref().and_then(serde_json::Value::as_object);
        Value::list(object.into_iter().flat_map(|object| object.keys()).map(|key| Value::from(key.as_str())))
    }),
];
