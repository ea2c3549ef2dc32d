//! Reads JSON from strangers, within limits. In tokens, keys and bodies of messages, a duplicate name in an object is refused
//! (RFC 7515, section 4; RFC 7519, section 4): two readers may otherwise see two different documents. Elsewhere the last one
//! counts.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value as Json};

/// Values in one document: a value takes up to a hundred times the memory of its text.
pub const MAX_VALUES: usize = 250_000;

/// Reads a document. The error is for logs.
pub fn read(bytes: &[u8]) -> Result<Json, serde_json::Error> {
    read_with(bytes, false)
}

/// Reads a document in which no object may have a name twice.
pub fn read_unique(bytes: &[u8]) -> Result<Json, serde_json::Error> {
    read_with(bytes, true)
}

fn read_with(bytes: &[u8], unique: bool) -> Result<Json, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let left = Cell::new(MAX_VALUES);
    let json = Reader { left: &left, unique }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(json)
}

#[derive(Clone, Copy)]
struct Reader<'r> {
    left: &'r Cell<usize>,
    unique: bool,
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Json;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json, D::Error> {
        let left = self.left.get().checked_sub(1);
        self.left.set(left.ok_or_else(|| D::Error::custom(format_args!("the document has more than {MAX_VALUES} values")))?);
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json, E> {
        Ok(Json::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Json, E> {
        Number::from_f64(value).map(Json::Number).ok_or_else(|| E::custom("a number is out of range"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        let mut members = Map::new();
        while let Some(name) = map.next_key::<String>()? {
            let value = map.next_value_seed(self)?;
            if members.insert(name, value).is_some() && self.unique {
                return Err(A::Error::custom("an object has a name twice"));
            }
        }
        Ok(Json::Object(members))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_read_is_what_everybody_reads() {
        for text in [
            "null",
            "true",
            "[]",
            "{}",
            "-1",
            "18446744073709551615",
            "1.5e3",
            "\"\\u00e9\\ud83d\\ude00\"",
            r#"{"a": {"a": 1, "A": 2}, "b": [1, "x", {"a": null}]}"#,
        ] {
            let expected = serde_json::from_str::<Json>(text).unwrap();
            assert_eq!(read(text.as_bytes()).unwrap(), expected, "{text}");
            assert_eq!(read_unique(text.as_bytes()).unwrap(), expected, "{text}");
        }
        assert_eq!(read(br#"{"b": 1, "a": 2, "b": 3}"#).unwrap().to_string(), r#"{"b":3,"a":2}"#);
    }

    #[test]
    fn what_has_two_meanings_or_no_end_is_refused() {
        let many = format!("[{}1]", "1,".repeat(MAX_VALUES));
        let deep = "[".repeat(200) + &"]".repeat(200);
        for text in
            ["1e400", r#"{"exp": -1e999}"#, "NaN", "{} {}", "\u{feff}{}", "[1,]", "\"\\ud800\"", deep.as_str(), many.as_str()]
        {
            assert!(read(text.as_bytes()).is_err(), "{}", &text[..text.len().min(40)]);
        }
        for text in [r#"{"a": 1, "a": 1}"#, r#"{"sub": 1, "x": {"y": 1, "\u0079": 2}}"#, r#"[{"": 1, "": 2}]"#] {
            assert!(read_unique(text.as_bytes()).is_err(), "{text}");
        }
        assert!(read(b"\"\xff\"").is_err());
    }
}
