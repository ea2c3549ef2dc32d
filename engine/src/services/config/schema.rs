//! The JSON schema of `gateway.yaml`, generated from the types that read it and their documentation. Types with their own format
//! describe it here.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde_json::{Map, Value, json};

use super::units::{Bytes, ListenAddress, Moment, Network, Span};
use super::{Audience, AuditTarget, Config, Forwarded, ForwardedHeader, HostName, KeyKind, Property, TlsVersion};
use crate::data::time::Zone;

/// A map, or a text that stands for its most important field.
pub(super) struct TextOr<T>(std::marker::PhantomData<T>);

impl<T: JsonSchema> JsonSchema for TextOr<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("TextOr{}", T::schema_name()).into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({ "anyOf": [{ "type": "string" }, generator.subschema_for::<T>()] })
    }
}

/// Types that are written as a scalar of some form.
macro_rules! scalars {
    ($($type:ty = $name:literal $schema:tt)*) => {$(
        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                $name.into()
            }
            fn inline_schema() -> bool {
                true
            }
            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        }
    )*};
}

scalars! {
    Span = "Duration" { "type": ["string", "integer"], "pattern": r"^[0-9]+\s*(ms|s|m|min|h|d)?$", "minimum": 0 }
    Moment = "Moment" { "type": "string", "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}" }
    Zone = "TimeZone" { "type": "string" }
    Bytes = "Size" { "type": ["string", "integer"], "pattern": r"^[0-9]+\s*([bB]|[kKmMgG][iI]?[bB])?$", "minimum": 0 }
    ListenAddress = "ListenAddress" { "type": ["string", "boolean"], "pattern": r"^([oO][fF][fF]|.*:[0-9]+)$" }
    Network = "Network" { "type": "string" }
    HostName = "HostName" { "type": ["string", "integer"], "pattern": r"^[A-Za-z0-9.:-]{1,253}$" }
    Property = "Property" { "type": ["string", "number", "boolean"] }
    KeyKind = "KeyKind" { "enum": ["rsa", "rsa3072", "rsa4096", "ec", "p384", "p521", "ed25519"] }
    TlsVersion = "TlsVersion" { "enum": ["1.2", "1.3", 1.2, 1.3] }
    ForwardedHeader = "ForwardedHeader" { "type": "string", "pattern": "^([xX]-[fF]orwarded-[fF]or|[fF]orwarded)$" }
    Forwarded = "Forwarded" { "enum": ["X-Forwarded", "Forwarded", "off", false] }
    Audience = "Audience" { "enum": ["loopback", "any", "off", false] }
    AuditTarget = "AuditTarget" { "type": ["string", "boolean"] }
}

impl Config {
    /// The JSON schema of `gateway.yaml` (draft 2020-12).
    pub fn schema() -> Value {
        let mut schema = schemars::schema_for!(Config).to_value();
        elsewhere(&mut schema);
        if let Some(object) = schema.as_object_mut() {
            object.insert("title".to_owned(), json!("gateway.yaml"));
            let named = json!({
                "description": "A variable of the environment, or the text of a file.",
                "type": "string",
                "pattern": r"\$\{(env|file):[^}]+\}"
            });
            if let Some(definitions) = object.entry("$defs").or_insert_with(|| json!({})).as_object_mut() {
                definitions.insert("Elsewhere".to_owned(), named);
            }
        }
        schema
    }
}

/// Any value may be a reference: a value that is not free text may also be written as one.
fn elsewhere(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else { return };
    for inner in ["properties", "$defs"] {
        object.get_mut(inner).and_then(Value::as_object_mut).into_iter().flatten().for_each(|(_, schema)| elsewhere(schema));
    }
    for inner in ["items", "additionalProperties"] {
        object.get_mut(inner).into_iter().for_each(elsewhere);
    }
    for inner in ["anyOf", "oneOf"] {
        object.get_mut(inner).and_then(Value::as_array_mut).into_iter().flatten().for_each(|schema| {
            // A choice of words gets this alternative once, for all of them.
            if schema.get("const").is_none() {
                elsewhere(schema);
            }
        });
    }
    let constants = |object: &Map<String, Value>| {
        let choices = object.get("oneOf").and_then(Value::as_array);
        choices.is_some_and(|choices| choices.iter().all(|choice| choice.get("const").is_some()))
    };
    let narrow = match object.get("type") {
        Some(Value::String(kind)) => matches!(kind.as_str(), "integer" | "number" | "boolean") || object.contains_key("pattern"),
        Some(Value::Array(_)) => !object.get("type").is_some_and(|kinds| kinds.to_string().contains("array")),
        _ => false,
    };
    if !(narrow || object.contains_key("enum") || constants(object)) {
        return;
    }
    let described: Vec<_> =
        ["description", "default"].into_iter().filter_map(|key| Some((key, object.shift_remove(key)?))).collect();
    let mut outer = Map::new();
    outer.insert("anyOf".to_owned(), json!([std::mem::take(object), { "$ref": "#/$defs/Elsewhere" }]));
    outer.extend(described.into_iter().map(|(key, value)| (key.to_owned(), value)));
    *object = outer;
}
