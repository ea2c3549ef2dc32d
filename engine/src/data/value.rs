//! The value of a variable. Values are cheap to clone: long ones share an `Arc`, short texts are inline.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use portcullis_dsl::ast::{Syntax, Type};
use smol_str::SmolStr;

use crate::data::certificate::Certificate;
use crate::data::json::Document;
use crate::data::message::Message;

/// The default delimiter between the values of a list printed as text.
pub const LIST_DELIMITER: &str = ", ";

/// Most bytes of a text that a function or assertion builds from parts that multiply.
pub const MAX_MADE: usize = 16 << 20;

/// A variable's value.
#[derive(Clone, Default)]
pub enum Value {
    /// Nothing was ever assigned. There is no null: undefined and the empty text both count as empty.
    #[default]
    Undefined,
    /// Text.
    Text(SmolStr),
    /// 64-bit integer.
    Int(i64),
    /// Decimal number.
    Decimal(f64),
    /// Boolean.
    Bool(bool),
    /// A moment, milliseconds since 1970-01-01T00:00:00Z.
    Time(i64),
    /// Several values.
    List(Arc<Vec<Value>>),
    /// A JSON document.
    Json(Document),
    /// Output of an `html` or `xml` template; not escaped again in a template of the same syntax.
    Markup(Syntax, SmolStr),
    /// Headers, status, body.
    Message(Arc<Message>),
    /// X.509 certificate.
    Certificate(Arc<Certificate>),
}

/// Prints only kind and size, because contents may be secret (passwords, tokens).
impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Undefined => f.write_str("undefined"),
            Value::Text(text) => write!(f, "text[{}]", text.len()),
            Value::Int(_) => f.write_str("int"),
            Value::Decimal(_) => f.write_str("decimal"),
            Value::Bool(value) => write!(f, "{value}"),
            Value::Time(_) => f.write_str("datetime"),
            Value::List(values) => write!(f, "list[{}]", values.len()),
            Value::Json(_) => f.write_str("json"),
            Value::Markup(_, text) => write!(f, "markup[{}]", text.len()),
            Value::Message(_) => f.write_str("message"),
            Value::Certificate(_) => f.write_str("certificate"),
        }
    }
}

/// The value of a list that contains only one.
fn only(values: &[Value]) -> Option<&Value> {
    if let [value] = values { Some(value) } else { None }
}

impl Value {
    /// Whether it is the same value of the same kind. Messages are compared by identity only.
    pub fn is_same(&self, other: &Value) -> bool {
        match (self, other) {
            (Value::Undefined, Value::Undefined) => true,
            (Value::Text(one), Value::Text(other)) => one == other,
            (Value::Int(one), Value::Int(other)) | (Value::Time(one), Value::Time(other)) => one == other,
            (Value::Decimal(one), Value::Decimal(other)) => one.to_bits() == other.to_bits(),
            (Value::Bool(one), Value::Bool(other)) => one == other,
            (Value::List(one), Value::List(other)) => {
                one.len() == other.len() && one.iter().zip(other.iter()).all(|(one, other)| one.is_same(other))
            }
            (Value::Json(one), Value::Json(other)) => **one == **other,
            (Value::Markup(syntax, one), Value::Markup(own, other)) => syntax == own && one == other,
            (Value::Message(one), Value::Message(other)) => Arc::ptr_eq(one, other),
            (Value::Certificate(one), Value::Certificate(other)) => one.der() == other.der(),
            _ => false,
        }
    }

    /// Text from anything that makes one.
    pub fn text(text: impl Into<SmolStr>) -> Value {
        Value::Text(text.into())
    }

    /// A list.
    pub fn list(values: impl IntoIterator<Item = Value>) -> Value {
        Value::List(Arc::new(values.into_iter().collect()))
    }

    /// A JSON document.
    pub fn json(value: serde_json::Value) -> Value {
        Value::Json(value.into())
    }

    /// The empty text.
    pub const fn empty() -> Value {
        Value::Text(SmolStr::new_static(""))
    }

    /// Whether nothing was assigned.
    pub fn is_undefined(&self) -> bool {
        matches!(self, Value::Undefined)
    }

    /// Undefined, the empty text, a JSON null or empty string, a message without a body, or a list of nothing but such values.
    pub fn is_empty(&self) -> bool {
        match self {
            Value::Undefined => true,
            Value::Text(text) | Value::Markup(_, text) => text.is_empty(),
            Value::List(values) => values.iter().all(Value::is_empty),
            Value::Json(json) => json.is_null() || json.as_str() == Some(""),
            Value::Message(message) => message.body.is_empty(),
            Value::Int(_) | Value::Decimal(_) | Value::Bool(_) | Value::Time(_) | Value::Certificate(_) => false,
        }
    }

    /// The single values: a list's elements, otherwise the value itself; none if undefined.
    pub fn values(&self) -> &[Value] {
        match self {
            Value::Undefined => &[],
            Value::List(values) => values,
            other => std::slice::from_ref(other),
        }
    }

    /// As text, as a template shows it. Undefined is the empty text; lists are joined with `, `.
    pub fn as_text(&self) -> Cow<'_, str> {
        match self {
            Value::Undefined => Cow::Borrowed(""),
            Value::Text(text) | Value::Markup(_, text) => Cow::Borrowed(text),
            Value::Bool(true) => Cow::Borrowed("true"),
            Value::Bool(false) => Cow::Borrowed("false"),
            Value::Message(message) => message.body_text(),
            Value::Json(json) => match &**json {
                serde_json::Value::String(text) => Cow::Borrowed(text),
                other => Cow::Owned(serde_json::to_string(other).unwrap_or_default()),
            },
            Value::List(values) => match only(values) {
                Some(Value::Text(text)) => Cow::Borrowed(text),
                _ => Cow::Owned(self.written()),
            },
            other => Cow::Owned(other.written()),
        }
    }

    fn written(&self) -> String {
        let mut text = String::new();
        self.write_text(LIST_DELIMITER, &mut text);
        text
    }

    /// Like [`Value::as_text`], as an owned value that is cheap to keep.
    pub fn to_text(&self) -> SmolStr {
        match self {
            Value::Text(text) | Value::Markup(_, text) => text.clone(),
            other => SmolStr::from(other.as_text()),
        }
    }

    /// Appends the text form, lists joined with `delimiter`.
    pub fn write_text(&self, delimiter: &str, out: &mut String) {
        use fmt::Write;
        match self {
            Value::Int(number) => {
                let _ = write!(out, "{number}");
            }
            Value::Decimal(number) => {
                let _ = write!(out, "{number}");
            }
            Value::Time(millis) => crate::data::time::write_iso8601(*millis, out),
            Value::List(values) => {
                for (i, value) in values.iter().enumerate() {
                    if i > 0 {
                        out.push_str(delimiter);
                    }
                    value.write_text(delimiter, out);
                }
            }
            Value::Certificate(certificate) => out.push_str(certificate.pem()),
            other => out.push_str(&other.as_text()),
        }
    }

    /// Whether the values joined by a delimiter stay within the size limit. Each delimiter counts, because both may come from a
    /// stranger.
    pub fn is_joinable(&self, delimiter: &str) -> bool {
        self.values().len().saturating_mul(delimiter.len()) <= MAX_MADE
    }

    /// As an integer: an integer, an integral decimal, or text that reads as one (surrounding blanks allowed).
    pub fn to_int(&self) -> Option<i64> {
        match self {
            Value::Int(number) => Some(*number),
            Value::Decimal(number) if number.fract() == 0.0 && number.abs() < 9e15 => Some(*number as i64),
            Value::Time(millis) => Some(*millis),
            Value::Json(json) => json.as_i64().or_else(|| json.as_str()?.trim().parse().ok()),
            Value::Text(text) => text.trim().parse().ok(),
            Value::List(values) => only(values)?.to_int(),
            Value::Message(_) => self.as_text().trim().parse().ok(),
            _ => None,
        }
    }

    /// As a number, for comparisons.
    pub fn to_decimal(&self) -> Option<f64> {
        match self {
            Value::Int(number) => Some(*number as f64),
            Value::Decimal(number) => Some(*number),
            Value::Time(millis) => Some(*millis as f64),
            Value::Json(json) => json.as_f64().or_else(|| json.as_str()?.trim().parse().ok()),
            Value::Text(text) => parse_decimal(text),
            Value::List(values) => only(values)?.to_decimal(),
            _ => None,
        }
    }

    /// As a boolean: a boolean or the words `true` / `false` in any case.
    pub fn to_bool(&self) -> Option<bool> {
        match self {
            Value::Bool(value) => Some(*value),
            Value::Json(json) if json.is_boolean() => json.as_bool(),
            Value::List(values) => only(values)?.to_bool(),
            Value::Text(_) | Value::Json(_) | Value::Message(_) => {
                let text = self.as_text();
                let text = text.trim();
                if text.eq_ignore_ascii_case("true") {
                    Some(true)
                } else if text.eq_ignore_ascii_case("false") {
                    Some(false)
                } else {
                    None
                }
            }
            _ => None,
        }
    }

    /// As a JSON tree: numbers and booleans keep their kind, messages and documents are embedded as trees, everything else is a
    /// string.
    pub fn to_json(&self) -> serde_json::Value {
        use serde_json::Value as Json;
        match self {
            Value::Int(number) => Json::from(*number),
            Value::Decimal(number) => serde_json::Number::from_f64(*number).map_or(Json::Null, Json::Number),
            Value::Bool(value) => Json::Bool(*value),
            Value::Json(json) => (**json).clone(),
            Value::List(values) => Json::Array(values.iter().map(Value::to_json).collect()),
            Value::Message(message) => match message.json() {
                Some(json) => (*json).clone(),
                None => Json::String(message.body_text().into_owned()),
            },
            other => Json::String(other.as_text().into_owned()),
        }
    }

    /// Converts to a declared type; `None` if that is impossible. Undefined stays undefined.
    pub fn convert(&self, ty: Type) -> Option<Value> {
        match ty {
            Type::String => Some(Value::Text(self.to_text())),
            Type::Int => self.to_int().map(Value::Int),
            Type::Decimal => self.to_decimal().map(Value::Decimal),
            Type::Boolean => self.to_bool().map(Value::Bool),
            Type::DateTime => match self {
                Value::Time(_) => Some(self.clone()),
                other => crate::data::time::parse(&other.as_text()).map(Value::Time),
            },
            Type::List => Some(match self {
                Value::List(_) => self.clone(),
                other => Value::list(other.values().iter().cloned()),
            }),
            Type::Message => Some(match self {
                Value::Message(_) => self.clone(),
                other => Value::Message(Arc::new(Message::from_value(other))),
            }),
            Type::Json => match self {
                Value::Json(_) => Some(self.clone()),
                Value::Message(message) => message.json().map(Value::Json),
                Value::Int(_) | Value::Decimal(_) | Value::Bool(_) | Value::List(_) => Some(Value::json(self.to_json())),
                other => crate::data::json::read(other.as_text().as_bytes()).ok().map(Value::json),
            },
            Type::Certificate => match self {
                Value::Certificate(_) => Some(self.clone()),
                other => Certificate::from_text(&other.as_text()).ok().map(|cert| Value::Certificate(Arc::new(cert))),
            },
        }
    }
}

/// Reads a plain decimal number; the words that Rust also accepts (`inf`, `nan`) stay texts.
pub fn parse_decimal(text: &str) -> Option<f64> {
    let text = text.trim();
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if !digits.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    text.parse().ok()
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Value::Text(text.into())
    }
}

impl From<std::borrow::Cow<'_, str>> for Value {
    fn from(text: std::borrow::Cow<'_, str>) -> Self {
        Value::Text(SmolStr::from(text))
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Value::Text(text.into())
    }
}

impl From<SmolStr> for Value {
    fn from(text: SmolStr) -> Self {
        Value::Text(text)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Value::Int(number)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Value::Bool(value)
    }
}

impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Self {
        value.map_or(Value::Undefined, Into::into)
    }
}
