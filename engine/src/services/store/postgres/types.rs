//! Values to and from PostgreSQL's binary form, by the name of the type.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sqlx::encode::{Encode, IsNull};
use sqlx::error::BoxDynError;
use sqlx::postgres::{PgArgumentBuffer, PgRow, PgTypeInfo};
use sqlx::{Postgres, Row, Type, TypeInfo, ValueRef};
use thiserror::Error;

use crate::data::value::Value;
use crate::services::store::{Kind, rendered};

/// Microseconds from 1970-01-01 to 2000-01-01, where PostgreSQL's time begins.
const EPOCH: i64 = 946_684_800_000_000;

/// A value or a type that cannot be converted. The text does not show the value.
#[derive(Debug, Error)]
pub(super) enum Unfit {
    #[error("a parameter of type {0} cannot be bound: cast it, as in `cast(${{x}} as text)`")]
    Parameter(String),
    #[error("a value is not a {0}")]
    Value(String),
    #[error("a column of type {0} cannot be read: cast it, as in `cast(x as text)`")]
    Column(String),
    #[error(transparent)]
    Driver(#[from] sqlx::Error),
}

impl Unfit {
    /// What kind of error it is: only a value can be at fault, everything else is the statement.
    pub(super) fn kind(&self) -> Kind {
        match self {
            Unfit::Value(_) => Kind::Constraint,
            Unfit::Parameter(_) | Unfit::Column(_) | Unfit::Driver(_) => Kind::Invalid,
        }
    }
}

/// A value in its binary form, or NULL, and the type that the server inferred for it.
pub(super) struct Raw(pub(super) Option<Vec<u8>>, pub(super) PgTypeInfo);

impl Type<Postgres> for Raw {
    fn type_info() -> PgTypeInfo {
        // Each value has its own.
        PgTypeInfo::with_name("text")
    }
}

impl Encode<'_, Postgres> for Raw {
    fn encode_by_ref(&self, buffer: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        let Some(bytes) = &self.0 else { return Ok(IsNull::Yes) };
        buffer.extend_from_slice(bytes);
        Ok(IsNull::No)
    }

    /// Where a statement does not stay prepared, this type is told when it is prepared again.
    fn produces(&self) -> Option<PgTypeInfo> {
        Some(self.1.clone())
    }
}

/// The binary form of a value for a parameter of this type; `None` is NULL.
pub(super) fn encode(value: &Value, kind: &str) -> Result<Option<Vec<u8>>, Unfit> {
    if value.is_undefined() {
        return Ok(None);
    }
    let integer = || match value {
        Value::Bool(value) => Some(i64::from(*value)),
        Value::Time(millis) => Some(millis.div_euclid(1000)),
        other => other.to_int(),
    };
    let bytes = match kind {
        "INT8" => integer().map(|number| number.to_be_bytes().to_vec()),
        "INT4" => integer().and_then(|number| i32::try_from(number).ok()).map(|number| number.to_be_bytes().to_vec()),
        "INT2" => integer().and_then(|number| i16::try_from(number).ok()).map(|number| number.to_be_bytes().to_vec()),
        "FLOAT8" => value.to_decimal().map(|number| number.to_be_bytes().to_vec()),
        "FLOAT4" => value.to_decimal().map(|number| (number as f32).to_be_bytes().to_vec()),
        "NUMERIC" => integer().map(numeric),
        "BOOL" => value.to_bool().or_else(|| integer().map(|number| number != 0)).map(|value| vec![u8::from(value)]),
        "JSONB" => Some([&[1], value.as_text().as_bytes()].concat()),
        "UUID" => uuid::Uuid::parse_str(&value.as_text()).ok().map(|uuid| uuid.as_bytes().to_vec()),
        "TIMESTAMP" | "TIMESTAMPTZ" => match value {
            Value::Time(millis) => Some(*millis),
            other => crate::data::time::parse(&other.as_text()),
        }
        .and_then(|millis| Some((millis.checked_mul(1000)? - EPOCH).to_be_bytes().to_vec())),
        "TEXT" | "VARCHAR" | "CHAR" | "BPCHAR" | "NAME" | "JSON" | "BYTEA" | "UNKNOWN" | "\"CHAR\"" | "CITEXT" | "citext" => {
            Some(match value {
                Value::Time(millis) => millis.div_euclid(1000).to_string().into_bytes(),
                other => other.as_text().into_owned().into_bytes(),
            })
        }
        other => return Err(Unfit::Parameter(other.to_owned())),
    };
    // An empty text for a number comes from a form with an empty field and means no value.
    match bytes {
        Some(bytes) => Ok(Some(bytes)),
        None if value.is_empty() => Ok(None),
        None => Err(Unfit::Value(kind.to_owned())),
    }
}

/// Whether a column of this type can contain the value; if not, no row has it.
pub(super) fn holds(value: &Value, kind: &str) -> bool {
    match encode(value, kind) {
        Ok(Some(bytes)) => !is_text(kind) || !bytes.contains(&0),
        Ok(None) => true,
        Err(_) => known(kind).is_none(),
    }
}

/// The bytes that a row found by this value must have; `None` if a value has only one form.
pub(super) fn bytes(value: &Value, kind: &str) -> Option<Vec<u8>> {
    let exact = match known(kind) {
        Some(Form::Number) => rendered::is_number(value),
        Some(Form::Any) => holds(value, kind),
        Some(Form::Text) | None => false,
    };
    (!exact && !value.is_undefined()).then(|| rendered::compared(value).as_bytes().to_vec())
}

/// The relation between texts and values of a type.
enum Form {
    /// A text is its value.
    Text,
    /// A number may be written in several ways; only one is accepted.
    Number,
    /// Values with many texts that name nothing: times, booleans, documents.
    Any,
}

fn known(kind: &str) -> Option<Form> {
    Some(match kind {
        _ if is_text(kind) => Form::Text,
        "UUID" => Form::Text,
        "INT8" | "INT4" | "INT2" | "NUMERIC" => Form::Number,
        "FLOAT8" | "FLOAT4" | "BOOL" | "TIMESTAMP" | "TIMESTAMPTZ" | "JSON" | "JSONB" | "BYTEA" => Form::Any,
        _ => return None,
    })
}

fn is_text(kind: &str) -> bool {
    matches!(kind, "TEXT" | "VARCHAR" | "CHAR" | "BPCHAR" | "NAME" | "UNKNOWN" | "\"CHAR\"" | "CITEXT" | "citext")
}

/// Digits in base 10000 with their weight, sign and scale.
fn numeric(number: i64) -> Vec<u8> {
    let mut digits = Vec::new();
    let mut rest = number.unsigned_abs();
    while rest > 0 {
        digits.insert(0, (rest % 10_000) as u16);
        rest /= 10_000;
    }
    let weight = digits.len().max(1) as u16 - 1;
    let sign: u16 = if number < 0 { 0x4000 } else { 0 };
    [digits.len() as u16, weight, sign, 0].iter().chain(&digits).flat_map(|part| part.to_be_bytes()).collect()
}

pub(super) fn read(row: &PgRow) -> Result<Vec<Value>, Unfit> {
    (0..row.len())
        .map(|i| {
            let raw = row.try_get_raw(i)?;
            if raw.is_null() {
                return Ok(Value::Undefined);
            }
            let info = raw.type_info().into_owned();
            let bytes = raw.as_bytes().map_err(sqlx::Error::Decode)?;
            decode(bytes, info.name()).ok_or_else(|| Unfit::Column(info.name().to_owned()))
        })
        .collect()
}

fn decode(bytes: &[u8], kind: &str) -> Option<Value> {
    Some(match kind {
        "BOOL" => Value::Bool(bytes.first() == Some(&1)),
        "INT8" => Value::Int(i64::from_be_bytes(bytes.try_into().ok()?)),
        "INT4" => Value::Int(i32::from_be_bytes(bytes.try_into().ok()?).into()),
        "INT2" => Value::Int(i16::from_be_bytes(bytes.try_into().ok()?).into()),
        "OID" => Value::Int(u32::from_be_bytes(bytes.try_into().ok()?).into()),
        "FLOAT8" => Value::Decimal(f64::from_be_bytes(bytes.try_into().ok()?)),
        "FLOAT4" => Value::Decimal(f32::from_be_bytes(bytes.try_into().ok()?).into()),
        "NUMERIC" => number(&numeric_text(bytes)?),
        "JSONB" => Value::from(std::str::from_utf8(bytes.get(1..)?).ok()?),
        "UUID" => Value::from(uuid::Uuid::from_slice(bytes).ok()?.to_string()),
        "TIMESTAMP" | "TIMESTAMPTZ" => {
            Value::Time(i64::from_be_bytes(bytes.try_into().ok()?).checked_add(EPOCH)?.div_euclid(1000))
        }
        "BYTEA" => match std::str::from_utf8(bytes) {
            Ok(text) => Value::from(text),
            Err(_) => Value::from(STANDARD.encode(bytes)),
        },
        "TEXT" | "VARCHAR" | "CHAR" | "BPCHAR" | "NAME" | "JSON" | "UNKNOWN" | "\"CHAR\"" | "CITEXT" | "citext" => {
            Value::from(std::str::from_utf8(bytes).ok()?)
        }
        "VOID" => Value::Undefined,
        _ => return None,
    })
}

fn numeric_text(bytes: &[u8]) -> Option<String> {
    let mut parts = bytes.as_chunks::<2>().0.iter().map(|pair| u16::from_be_bytes(*pair));
    let (_count, weight, sign, scale) = (parts.next()?, parts.next()? as i16, parts.next()?, parts.next()? as usize);
    if sign == 0xC000 {
        return Some("NaN".to_owned());
    }
    let digits: Vec<u16> = parts.collect();
    let digit = |place: i32| usize::try_from(i32::from(weight) - place).ok().and_then(|i| digits.get(i)).copied().unwrap_or(0);
    let mut text = String::from(if sign == 0x4000 { "-" } else { "" });
    let whole: String = (0..=i32::from(weight).max(0)).rev().map(|place| format!("{:04}", digit(place))).collect();
    let whole = whole.trim_start_matches('0');
    text.push_str(if whole.is_empty() { "0" } else { whole });
    if scale > 0 {
        let places = scale.div_ceil(4) as i32;
        let fraction: String = (1..=places).map(|place| format!("{:04}", digit(-place))).collect();
        text.push('.');
        text.push_str(&fraction[..scale]);
    }
    Some(text)
}

/// A decimal text as the nearest kind of value: an integer if it is one.
pub(in crate::services::store) fn number(text: &str) -> Value {
    match (text.parse::<i64>(), text.parse::<f64>()) {
        (Ok(number), _) => Value::Int(number),
        (_, Ok(number)) => Value::Decimal(number),
        _ => Value::from(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numerics_read_back() {
        for number in [0, 7, -7, 9_999, 10_000, 123_456_789_012, -5_000_000, i64::MAX] {
            assert_eq!(numeric_text(&numeric(number)).unwrap(), number.to_string());
        }
        // 1234.5
        let bytes: Vec<u8> = [2u16, 0, 0, 1, 1234, 5000].iter().flat_map(|part| part.to_be_bytes()).collect();
        assert_eq!(numeric_text(&bytes).unwrap(), "1234.5");
    }
}
