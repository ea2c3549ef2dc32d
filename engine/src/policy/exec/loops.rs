//! Loops that are open.

use crate::data::value::Value;

/// An open loop.
pub struct LoopState {
    /// What it goes over.
    pub values: Value,
    /// How many rounds have begun.
    pub next: usize,
}

impl LoopState {
    /// A loop over a value, before its first round.
    pub fn over(list: Value) -> LoopState {
        let values = match list {
            Value::Undefined => Value::list([]),
            Value::Json(document) => document.into_list_or_value(),
            other => other,
        };
        LoopState { values, next: 0 }
    }

    /// Whether no value is left.
    pub fn is_over(&self) -> bool {
        self.next >= self.values.values().len()
    }
}
