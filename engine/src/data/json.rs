//! Reading JSON: how its values become variables, and paths into it (RFC 9535, and the bare and dotted names that policies mostly
//! use).

mod cost;
pub mod read;

use std::ops::Deref;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use moka::sync::Cache;
use serde_json::Value as Json;
use serde_json_path::JsonPath;
use yoke::Yoke;

use self::cost::Cost;

use crate::data::value::Value;

pub use read::{read, read_unique};

/// A JSON document or a part of one. A part shares the memory of the whole, so reading from a document copies nothing.
#[derive(Clone)]
pub struct Document(Yoke<&'static Json, Arc<Json>>);

impl Document {
    /// A value below this one, as its own document.
    pub fn part(&self, find: impl for<'j> FnOnce(&'j Json) -> Option<&'j Json>) -> Option<Document> {
        self.0.clone().try_map_project(|json, _| find(json).ok_or(())).ok().map(Document)
    }

    /// Whether it is the very same part of the same document, and so surely equal.
    pub fn is_part_of_same(&self, other: &Document) -> bool {
        std::ptr::eq(*self.0.get(), *other.0.get())
    }

    /// Like [`Document::get`] for a path given as text; undefined if it is not a path.
    pub fn find(&self, path: &str) -> Value {
        // Names, the most common case, need neither parsing nor caching.
        let name = path.trim();
        if !name.is_empty() && !name.starts_with('$') && !name.contains('[') {
            return self.member(name);
        }
        Path::cached(path).map_or(Value::Undefined, |path| self.get(&path))
    }

    /// What a path leads to: a value by its kind. Arrays and several results become lists; nothing found is undefined.
    pub fn get(&self, path: &Path) -> Value {
        match path {
            Path::Dotted(name) => self.member(name),
            Path::Query(..) => match &path.find(self).unwrap_or_default()[..] {
                [] => Value::Undefined,
                [one] => list_or_value(one),
                several => Value::list(several.iter().map(|json| value(json))),
            },
        }
    }

    /// The part that a member's name, or a dotted path, leads to.
    pub fn part_at(&self, name: &str) -> Option<Document> {
        self.part(|json| dotted(json, name))
    }

    /// The element of an array; anything else counts as an array of one.
    pub fn element(&self, index: usize) -> Value {
        match self.as_array() {
            Some(_) => self.part(|json| json.get(index)).map_or(Value::Undefined, Document::into_value),
            None if index == 0 => self.clone().into_value(),
            None => Value::Undefined,
        }
    }

    /// The elements of an array as a list; anything else as a single value.
    pub fn into_list_or_value(self) -> Value {
        match self.as_array() {
            Some(items) => Value::list((0..items.len()).filter_map(|i| self.part(|json| json.get(i))).map(Document::into_value)),
            None => self.into_value(),
        }
    }

    /// What a member's name, or several with dots between them, lead to.
    pub fn member(&self, name: &str) -> Value {
        match dotted(self, name) {
            Some(Json::Array(_) | Json::Object(_)) => {
                self.part(|json| dotted(json, name)).map_or(Value::Undefined, Document::into_list_or_value)
            }
            Some(single) => value(single),
            None => Value::Undefined,
        }
    }

    fn into_value(self) -> Value {
        if self.is_object() || self.is_array() { Value::Json(self) } else { value(&self) }
    }
}

/// Never printed, because its contents may be secret.
impl std::fmt::Debug for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("json")
    }
}

impl From<Json> for Document {
    fn from(json: Json) -> Document {
        Document(Yoke::attach_to_cart(Arc::new(json), |json| json))
    }
}

impl Deref for Document {
    type Target = Json;

    fn deref(&self) -> &Json {
        self.0.get()
    }
}

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

/// A variable as a JSON document: documents as they are, text and messages parsed. `None` if it is not JSON.
pub fn document(value: &Value) -> Option<Document> {
    let parse = |text: &str| read(text.as_bytes()).ok().map(Document::from);
    match value {
        Value::Undefined => None,
        Value::Json(json) => match &**json {
            // A policy that reads members of a string means the document in it.
            Json::String(text) => parse(text),
            _ => Some(json.clone()),
        },
        Value::Message(message) => message.json(),
        Value::Text(text) | Value::Markup(_, text) => parse(text),
        other => Some(other.to_json().into()),
    }
}

/// A path into a document.
pub enum Path {
    /// `$…` of RFC 9535.
    Query(JsonPath, PathCost),
    /// A member of exactly this name, otherwise a walk along the dots.
    Dotted(String),
}

/// The cost of a query.
pub struct PathCost(Cost);

/// Parsed paths. Paths may be made from what clients send, so unused ones are dropped.
static PARSED: LazyLock<Cache<String, Option<Arc<Path>>>> =
    LazyLock::new(|| Cache::builder().max_capacity(256).time_to_idle(Duration::from_secs(600)).build());

impl Path {
    /// Reads a path: `member`, `a.b.0.c`, `a[0].b`, or `$…`. `None` for anything else.
    pub fn parse(text: &str) -> Option<Path> {
        let text = text.trim();
        if let Some(rest) = text.strip_prefix('$') {
            if let Some(query) = Path::query(text) {
                return Some(query);
            }
            // Members such as `client-id` and `x5t#S256` need quotes in RFC 9535; older dialects and operators write them
            // without.
            let rest = rest.strip_prefix('.')?;
            let plain = !rest.is_empty() && rest.split('.').all(|part| !part.is_empty());
            return (plain && !rest.contains(['[', ']', '*', '\'', '"', '(', '?'])).then(|| Path::Dotted(rest.to_owned()));
        }
        match text {
            "" => None,
            _ if text.contains('[') => Path::query(&format!("$.{text}")),
            _ => Some(Path::Dotted(text.to_owned())),
        }
    }

    fn query(text: &str) -> Option<Path> {
        // The cost comes first: it also bounds what the parser is given.
        let cost = PathCost(Cost::of(text)?);
        JsonPath::parse(text).ok().map(|query| Path::Query(query, cost))
    }

    /// [`Path::parse`] with a cache.
    pub fn cached(text: &str) -> Option<Arc<Path>> {
        PARSED.get_with_by_ref(text, || Path::parse(text).map(Arc::new))
    }

    /// Everything it leads to, in order. An error if it would look at too many values of this document.
    pub fn find<'j>(&self, json: &'j Json) -> Result<Vec<&'j Json>, &'static str> {
        match self {
            Path::Query(_, cost) if !cost.0.fits(json) => Err("the path looks at more values of this document than are allowed"),
            Path::Query(query, _) => Ok(query.query(json).all()),
            Path::Dotted(name) => Ok(dotted(json, name).into_iter().collect()),
        }
    }
}

/// With fewer members than this, comparing names is cheaper than hashing one.
const FEW: usize = 16;

fn member<'j>(json: &'j Json, name: &str) -> Option<&'j Json> {
    match json {
        Json::Object(members) if members.len() < FEW => members.iter().find(|(own, _)| *own == name).map(|(_, value)| value),
        Json::Object(members) => members.get(name),
        _ => None,
    }
}

fn dotted<'j>(json: &'j Json, name: &str) -> Option<&'j Json> {
    if let Some(member) = member(json, name) {
        return Some(member);
    }
    name.split('.').try_fold(json, |json, part| match json {
        Json::Array(items) => items.get(part.parse::<usize>().ok()?),
        other => member(other, part),
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
            let document = Document::from(json.clone());
            let got = Path::parse(path).map(|path| document.get(&path)).unwrap_or_default();
            assert_eq!(document.find(path).to_json(), got.to_json(), "{path}");
            let found = Path::parse(path)
                .map(|path| path.find(&json).unwrap().iter().map(|json| json.to_string()).collect::<Vec<_>>().join(" "));
            assert_eq!(found.as_deref(), Some(expected), "{path}");
        }
        let long = format!("${}", ".a[0]".repeat(250));
        let nested = format!("$[?{}@.a{}]", "(".repeat(40), ")".repeat(40));
        for path in [&long, &nested, "$[?match(@.a, @.b)]", "$[?search(@.a, $.pattern)]", "$[?match(@.a, 'x{5000}{5000}')]"] {
            assert!(Path::parse(path).is_none(), "{path}");
        }
        for path in ["", "$[", "$.a[?", "$x", "a[", "$.a..", "$.*['a"] {
            assert!(Path::parse(path).is_none(), "{path}");
            assert!(Document::from(json.clone()).find(path).is_undefined(), "{path}");
        }
    }

    #[test]
    fn what_a_path_costs_is_bounded() {
        let deep = (0..100).fold("1".to_owned(), |inner, _| format!("[{inner}]"));
        let json = |text: String| read(text.as_bytes()).unwrap();
        let (flat, deep) =
            (json(format!("[{}{{\"a\": 1}}]", "{\"a\": 1},".repeat(20_000))), json(format!("[{deep},{deep},{deep}]")));
        for (document, path) in [
            (&flat, "$[?$[?@.a == 2]]"),
            (&flat, "$[?count($..a) > 3]"),
            (&flat, "$[?count($[*]) > 3]"),
            (&flat, "$[?match(@.a, 'x')][?search(@.a, 'x')]"),
            (&deep, "$..*..*..*..*"),
            (&deep, "$[0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0][0,0]"),
        ] {
            let path = Path::parse(path).unwrap_or_else(|| panic!("{path}"));
            assert!(path.find(document).is_err());
        }
        for (document, path, count) in [
            (&flat, "$[?@.a == 1]", 20_001),
            (&flat, "$..a", 20_001),
            (&flat, "$[?count(@.*) == 1].a", 20_001),
            (&flat, "$[0].a", 1),
            (&deep, "$..*..*", 15_150),
        ] {
            assert_eq!(Path::parse(path).unwrap().find(document).map(|found| found.len()), Ok(count), "{path}");
        }
        let small = json(r#"[{"a": "xyz", "b": "q"}, {"a": "q"}]"#.to_owned());
        assert_eq!(Path::parse("$[?match(@.a, \"x.*\")]").unwrap().find(&small).map(|found| found.len()), Ok(1));
    }
}
