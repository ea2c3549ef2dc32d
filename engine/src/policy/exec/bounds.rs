//! Bounds of variables. A value is checked where it is set, because a lifetime of -5 seconds is a mistake of the configuration
//! and must never lead to an answer.

use portcullis_dsl::ast::{Range, Type};
use smol_str::SmolStr;

use crate::data::fault::Fault;
use crate::data::value::Value;
use crate::policy::ctx::{Ctx, Slot};

/// Longest part of a value that is shown.
const MAX_SHOWN: usize = 40;

/// A value as the log may have it: shortened, and starred where the name says that it may be a secret. What no name tells from a secret,
/// because it is long and random, is starred too.
fn shown(name: &str, value: &str) -> String {
    let name = name.to_ascii_lowercase();
    let secret = ["password", "secret", "credential", "cookie", "private"].iter().any(|word| name.contains(word))
        || ["token", "code", "key", "assertion"].iter().any(|word| name.ends_with(word));
    let random = value
        .split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '+' | '/' | '=')))
        .any(|word| word.len() >= 20);
    if secret || random {
        return "***".to_owned();
    }
    match value.char_indices().nth(MAX_SHOWN) {
        Some((end, _)) => format!("{}…", &value[..end]),
        None => value.to_owned(),
    }
}

/// A variable with its declared bounds.
pub struct Bounds {
    /// The variable.
    pub slot: Slot,
    /// Its type.
    pub ty: Type,
    /// Least and most.
    pub range: Range,
    /// Its name.
    pub name: SmolStr,
}

impl Bounds {
    /// A fault that names variable and bounds, if the value is out of bounds. A number given as text becomes a number.
    pub fn check(&self, ctx: &mut Ctx) -> Result<(), Fault> {
        let value = ctx.get(self.slot);
        let (fits, what) = match (self.ty, value) {
            (_, Value::Undefined) => return Ok(()),
            (Type::Int, Value::Int(number)) => (self.range.holds(*number), "a whole number"),
            (Type::Int, other) => match other.to_int() {
                Some(number) if self.range.holds(number) => {
                    ctx.set(self.slot, number);
                    return Ok(());
                }
                _ => (false, "a whole number"),
            },
            (Type::Decimal, value) => (value.to_decimal().is_some_and(|number| self.holds(number)), "a number"),
            (_, value) => {
                let length = i64::try_from(value.as_text().chars().count()).unwrap_or(i64::MAX);
                (self.range.holds(length), "a text with a number of characters")
            }
        };
        if fits {
            return Ok(());
        }
        let value = shown(&self.name, &ctx.get(self.slot).as_text());
        let range = self.range.words();
        Err(ctx.misconfigured(format!("`{}` is out of its bounds: it must be {what} {range}, and is `{value}`", self.name)))
    }

    fn holds(&self, number: f64) -> bool {
        self.range.min.is_none_or(|min| number >= min as f64) && self.range.max.is_none_or(|max| number <= max as f64)
    }
}
