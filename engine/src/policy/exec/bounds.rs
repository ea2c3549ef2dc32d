//! Bounds of variables. A value is checked where it is set, because a lifetime of -5 seconds is a mistake of the configuration
//! and must never lead to an answer.

use portcullis_dsl::ast::{Allowed, Range, Type};
use smol_str::SmolStr;

use super::shown::cut;
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
    cut(value, MAX_SHOWN)
}

/// A variable with its declared bounds or choices.
pub struct Bounds {
    /// The variable.
    pub slot: Slot,
    /// Its type.
    pub ty: Type,
    /// Which of its values.
    pub allowed: Allowed,
    /// Its name.
    pub name: SmolStr,
}

impl Bounds {
    /// A fault that names the variable and what it may be, if it is something else. A number given as text becomes a number, and a choice
    /// gets the spelling of its declaration.
    pub fn check(&self, ctx: &mut Ctx) -> Result<(), Fault> {
        match &self.allowed {
            Allowed::Range(range) => self.within(*range, ctx),
            Allowed::Choice(words) => self.chosen(words, ctx),
        }
    }

    fn chosen(&self, words: &[String], ctx: &mut Ctx) -> Result<(), Fault> {
        if let Value::Text(text) = ctx.get(self.slot)
            && words.iter().any(|word| word == text)
        {
            return Ok(());
        }
        let meant = |value: &Value| {
            let text = value.as_text();
            if words.iter().any(|word| *word == text) {
                Some(value.clone())
            } else {
                Allowed::choice(words, &text).map(Value::from)
            }
        };
        let (wrong, chosen) = match ctx.get(self.slot) {
            Value::Undefined => return Ok(()),
            Value::List(values) => {
                let chosen: Option<Vec<_>> = values.iter().map(meant).collect();
                (
                    values.iter().find(|value| meant(value).is_none()).cloned(),
                    chosen.map(|values| Value::List(values.into_iter().collect::<Vec<_>>().into())),
                )
            }
            value => (Some(value.clone()), meant(value)),
        };
        if let Some(chosen) = chosen {
            ctx.set(self.slot, chosen);
            return Ok(());
        }
        let (name, may) = (&self.name, self.allowed.words());
        let value = shown(name, &wrong.unwrap_or_default().as_text());
        Err(ctx.misconfigured(format!("`{name}` must be {may}, and is `{value}`")))
    }

    fn within(&self, range: Range, ctx: &mut Ctx) -> Result<(), Fault> {
        let value = ctx.get(self.slot);
        let (fits, what) = match (self.ty, value) {
            (_, Value::Undefined) => return Ok(()),
            (Type::Int, Value::Int(number)) => (range.holds(*number), "a whole number"),
            (Type::Int, other) => match other.to_int() {
                Some(number) if range.holds(number) => {
                    ctx.set(self.slot, number);
                    return Ok(());
                }
                _ => (false, "a whole number"),
            },
            (Type::Decimal, value) => (value.to_decimal().is_some_and(|number| holds(range, number)), "a number"),
            (_, value) => {
                let length = i64::try_from(value.as_text().chars().count()).unwrap_or(i64::MAX);
                (range.holds(length), "a text with a number of characters")
            }
        };
        if fits {
            return Ok(());
        }
        let value = shown(&self.name, &ctx.get(self.slot).as_text());
        let range = range.words();
        Err(ctx.misconfigured(format!("`{}` is out of its bounds: it must be {what} {range}, and is `{value}`", self.name)))
    }
}

fn holds(range: Range, number: f64) -> bool {
    range.min.is_none_or(|min| number >= min as f64) && range.max.is_none_or(|max| number <= max as f64)
}
