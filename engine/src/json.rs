//! Reading JSON: how its values become variables, and paths into it (RFC 9535, and the bare and dotted names policies mostly write).

use std::sync::{Arc, LazyLock};

use quick_cache::sync::Cache;
use serde_json::Value as Json;
use serde_json_path::JsonPath;

use crate::value::Value;

/// A JSON value as a variable: strings, numbers and booleans by kind, objects and arrays as documents, `null` as undefined.
pub fn value(json: &Json) -> Value {
    match json {
        Json::Null => Value::Undefined,
        Json::Bool(value) => Value::Bool(*value),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Value::Int(number),
            None => number.as_f64().map_or(Value::Undefined, Value::Decimal),
        },
        Json::String(text) => Value::text(text.as_str()),
        Json::Array(_) | Json::Object(_) => Value::json(json.clone()),
    }
}

/// Like [`value`], with an array as a list of its elements.
pub fn list_or_value(json: &Json) -> Value {
    match json {
        Json::Array(items) => Value::list(items.iter().map(value)),
        other => value(other),
    }
}

/// A variable as a JSON document to look into: documents as they are, text and messages parsed. `None` when it is not JSON.
pub fn document(value: &Value) -> Option<Arc<Json>> {
    match value {
        Value::Undefined => None,
        Value::Json(json) => match &**json {
            // A document inside a string is what a policy means that looks into one.
            Json::String(text) => serde_json::from_str(text).ok().map(Arc::new),
            _ => Some(Arc::clone(json)),
        },
        Value::Message(message) => message.json(),
        Value::Text(text) | Value::Markup(_, text) => serde_json::from_str(text).ok().map(Arc::new),
        other => Some(Arc::new(other.to_json())),
    }
}

/// A path into a document.
pub enum Path {
    /// `$…` of RFC 9535.
    Query(JsonPath),
    /// A member of exactly this name, else a walk along the dots.
    Dotted(String),
}

static PARSED: LazyLock<Cache<String, Option<Arc<Path>>>> = LazyLock::new(|| Cache::new(256));

impl Path {
    /// Reads a path: `member`, `a.b.0.c`, `a[0].b`, or `$…`. `None` when it is none.
    pub fn parse(text: &str) -> Option<Path> {
        let text = text.trim();
        if let Some(rest) = text.strip_prefix('$') {
            if let Ok(query) = JsonPath::parse(text) {
                return Some(Path::Query(query));
            }
            // Members such as `client-id` and `x5t#S256` need quotes in RFC 9535; older dialects, and operators, write them bare.
            let rest = rest.strip_prefix('.')?;
            let plain = !rest.is_empty() && rest.split('.').all(|part| !part.is_empty());
            return (plain && !rest.contains(['[', ']', '*', '\'', '"', '(', '?'])).then(|| Path::Dotted(rest.to_owned()));
        }
        match text {
            "" => None,
            _ if text.contains('[') => JsonPath::parse(&format!("$.{text}")).ok().map(Path::Query),
            _ => Some(Path::Dotted(text.to_owned())),
        }
    }

    /// [`Path::parse`], remembered.
    pub fn cached(text: &str) -> Option<Arc<Path>> {
        if let Some(known) = PARSED.get(text) {
            return known;
        }
        let parsed = Path::parse(text).map(Arc::new);
        PARSED.insert(text.to_owned(), parsed.clone());
        parsed
    }

    /// Everything it leads to, in order.
    pub fn find<'j>(&self, json: &'j Json) -> Vec<&'j Json> {
        match self {
            Path::Query(query) => query.query(json).all(),
            Path::Dotted(name) => dotted(json, name).into_iter().collect(),
        }
    }
}

fn dotted<'j>(json: &'j Json, name: &str) -> Option<&'j Json> {
    if let Some(member) = json.get(name) {
        return Some(member);
    }
    name.split('.').try_fold(json, |json, part| match json {
        Json::Array(items) => items.get(part.parse::<usize>().ok()?),
        other => other.get(part),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_where_they_say() {
        let json: Json = serde_json::from_str(
            r#"{"a": {"b": [10, {"c": "x"}]}, "a.d": 1, "client-id": "k", "x5t#S256": "t", "list": [{"n": 1}, {"n": 2}], "nil": null}"#,
        )
        .unwrap();
        for (path, expected) in [
            ("a.b.0", "10"),
            ("a.b.1.c", "\"x\""),
            ("a.b[1].c", "\"x\""),
            ("$.a.b[1].c", "\"x\""),
            ("a.d", "1"),
            ("client-id", "\"k\""),
            ("$.client-id", "\"k\""),
            ("$.x5t#S256", "\"t\""),
            ("$['x5t#S256']", "\"t\""),
            ("$.list[*].n", "1 2"),
            ("$..n", "1 2"),
            ("$.list[?@.n > 1].n", "2"),
            ("nil", "null"),
            ("missing", ""),
            ("a.b.7", ""),
            ("a.b.x", ""),
        ] {
            let found =
                Path::parse(path).map(|path| path.find(&json).iter().map(|json| json.to_string()).collect::<Vec<_>>().join(" "));
            assert_eq!(found.as_deref(), Some(expected), "{path}");
        }
        for path in ["", "$[", "$.a[?", "$x", "a[", "$.a..", "$.*['a"] {
            assert!(Path::parse(path).is_none(), "{path}");
        }
    }
}
