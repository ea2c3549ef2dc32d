//! Functions on JSON.

use portcullis_dsl::ast::Syntax;
use portcullis_dsl::spec::Gives;

use super::{Function, function};
use crate::data::json;
use crate::data::value::Value;
use crate::data::xml::convert::rows_to_xml;

pub(super) static FUNCTIONS: &[Function] = &[
    function(
        "json_get",
        &["json", "path"],
        2,
        "what a member name, a dotted path or a `$…` JSONPath (RFC 9535) leads to; arrays and several results are lists; \
         undefined when absent, `null` or not JSON",
        |args| json::document(&args[0]).map_or(Value::Undefined, |document| document.find(&args[1].as_text())),
    )
    .giving(Gives::Json),
    function(
        "numeric_date",
        &["json", "name"],
        2,
        "the whole seconds of a date in a token (`exp`, `nbf`, `iat`: RFC 7519, section 2); undefined if absent or not a number \
         from 0 to the year 9999. A text with digits is not a date",
        |args| {
            let document = json::document(&args[0]);
            let member = document.and_then(|document| document.part_at(&args[1].as_text()));
            Value::from(member.and_then(|member| crate::services::jose::date(&member)).map(|seconds| seconds as i64))
        },
    ),
    function(
        "json_type",
        &["json", "path"],
        2,
        "what a dotted path leads to: `object`, `array`, `string`, `number`, `boolean` or `null`; undefined when absent or not JSON",
        |args| {
            let document = json::document(&args[0]);
            let member = document.and_then(|document| document.part_at(&args[1].as_text()));
            Value::from(member.map(|member| match &*member {
                serde_json::Value::Object(_) => "object",
                serde_json::Value::Array(_) => "array",
                serde_json::Value::String(_) => "string",
                serde_json::Value::Number(_) => "number",
                serde_json::Value::Bool(_) => "boolean",
                serde_json::Value::Null => "null",
            }))
        },
    ),
    function("json_without", &["json", "path"], 2, "the JSON without the member that a dotted path leads to", |args| {
        let Some(document) = json::document(&args[0]) else { return Value::Undefined };
        let mut document = serde_json::Value::clone(&document);
        let path = args[1].as_text();
        let (parent, name) = path.rsplit_once('.').unwrap_or(("", &path));
        let mut steps = parent.split('.').filter(|step| !step.is_empty());
        let object = steps.try_fold(&mut document, |at, step| at.get_mut(step));
        if let Some(object) = object.and_then(serde_json::Value::as_object_mut) {
            object.remove(name);
        }
        Value::json(document)
    })
    .giving(Gives::Json),
    function(
        "json_merge",
        &["json", "other…"],
        2,
        "the JSON object with the members of further ones; of members of the same name the later one stays. What is not a JSON object adds \
         nothing",
        |args| {
            let mut merged = serde_json::Map::new();
            for document in args.iter().filter_map(json::document) {
                if let Some(object) = document.as_object() {
                    merged.extend(object.iter().map(|(name, value)| (name.clone(), value.clone())));
                }
            }
            Value::json(serde_json::Value::Object(merged))
        },
    )
    .giving(Gives::Json),
    function("json_array", &["list"], 1, "the values of a list as a JSON array", |args| {
        Value::json(serde_json::Value::Array(args[0].values().iter().map(Value::to_json).collect()))
    })
    .giving(Gives::Json),
    function(
        "xml_rows",
        &["rows", "name", "namespace"],
        2,
        "rows, as `SqlQuery` gives them, as XML: `<n:name xmlns:n=\"…\"><n:row><n:col name=\"id\">1</n:col></n:row></n:name>`. `name` \
         names the root; its prefix, and the namespace, are those of rows and columns too. Without a prefix the namespace is the \
         default one; without a namespace there is none. A column that is null has no text. Undefined if the rows are not an array of \
         objects, the name cannot name an element, or the XML would be longer than 16 MiB",
        |args| {
            let xml = json::document(&args[0]).and_then(|rows| rows_to_xml(&rows, &args[1].as_text(), &args[2].as_text()));
            xml.map_or(Value::Undefined, |xml| Value::Markup(Syntax::Xml, xml.into()))
        },
    ),
    function("json_keys", &["json"], 1, "the member names of a JSON object", |args| {
        let document = json::document(&args[0]);
        let object = document.as_deref().and_then(serde_json::Value::as_object);
        Value::list(object.into_iter().flat_map(|object| object.keys()).map(|key| Value::from(key.as_str())))
    }),
];
