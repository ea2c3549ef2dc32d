//! Bounds of variables. A value is checked where it is set, because a lifetime of -5 seconds is a mistake of the configuration
//! and must never lead to an answer.

use portcullis_dsl::ast::{Range, Type};
use smol_str::SmolStr;

use crate::data::fault::Fault;
use crate::data::value::Value;
use crate::policy::ctx::{Ctx, Slot};

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
        // The value itself is not shown: a secret may have been put there by mistake.
        Err(ctx.misconfigured(format!("`{}` is out of its bounds: it must be {what} {}", self.name, self.range.words())))
    }

    fn holds(&self, number: f64) -> bool {
        self.range.min.is_none_or(|min| number >= min as f64) && self.range.max.is_none_or(|max| number <= max as f64)
    }
}
