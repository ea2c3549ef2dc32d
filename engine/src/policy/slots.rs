//! The variables of a run, in numbered slots.

use crate::data::value::Value;

/// So many slots in a row share a mark. The last mark is for all that follow.
const GROUP: usize = 8;
/// The number of the last mark.
const LAST: usize = u64::BITS as usize - 1;

/// Variables, with marks at those that may have been set: a run has some hundred, sets a few, and is done sooner if only these have to be
/// looked at in the end.
#[derive(Clone, Default)]
pub struct Slots {
    // INVARIANT: what is not marked is undefined. So nothing here gives a value to change without marking it.
    values: Vec<Value>,
    marks: u64,
}

impl Slots {
    /// The variable with this number.
    #[inline]
    pub fn get(&self, index: usize) -> Option<&Value> {
        self.values.get(index)
    }

    /// The same, to set it.
    #[inline]
    pub fn get_mut(&mut self, index: usize) -> Option<&mut Value> {
        self.marks |= 1 << (index / GROUP).min(LAST);
        self.values.get_mut(index)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Room for so many more.
    pub fn reserve(&mut self, more: usize) {
        self.values.reserve(more);
    }

    /// Adds undefined ones until there are so many.
    pub fn grow_to(&mut self, count: usize) {
        if self.values.len() < count {
            self.values.resize_with(count, Value::default);
        }
    }

    /// Keeps only so many.
    pub fn truncate(&mut self, count: usize) {
        self.values.truncate(count);
    }

    /// Takes over these values.
    pub fn copy(&mut self, values: &[Value]) {
        self.marks = u64::MAX;
        values.clone_into(&mut self.values);
    }

    /// Makes all of them undefined.
    pub fn unset(&mut self) {
        let mut marks = std::mem::take(&mut self.marks);
        while marks != 0 {
            let mark = marks.trailing_zeros() as usize;
            marks &= marks - 1;
            let end = if mark == LAST { self.values.len() } else { self.values.len().min((mark + 1) * GROUP) };
            for value in self.values.get_mut(mark * GROUP..end).into_iter().flatten() {
                if !matches!(value, Value::Undefined) {
                    *value = Value::Undefined;
                }
            }
        }
        debug_assert!(self.values.iter().all(Value::is_undefined), "a variable was set without a mark");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_set_is_unset() {
        for count in [0, 1, GROUP, GROUP + 1, 64 * GROUP - 1, 64 * GROUP, 64 * GROUP + 1, 100 * GROUP] {
            let mut slots = Slots::default();
            slots.grow_to(count);
            for index in [0, 7, 8, 9, 503, 504, 511, 512, 700, count.saturating_sub(1)] {
                if let Some(value) = slots.get_mut(index) {
                    *value = Value::Int(1);
                }
            }
            assert!(count == 0 || slots.get(count - 1).is_some_and(|value| value.to_int() == Some(1)), "{count}");
            slots.unset();
            assert!((0..count).all(|index| slots.get(index).is_some_and(Value::is_undefined)), "{count}");
        }
    }

    #[test]
    fn what_was_cut_off_and_comes_again_is_unset() {
        let mut slots = Slots::default();
        slots.copy(&[Value::Int(1), Value::Int(2), Value::Int(3)]);
        slots.truncate(1);
        slots.grow_to(20);
        assert!((1..20).all(|index| slots.get(index).is_some_and(Value::is_undefined)));
        slots.unset();
        assert!(slots.len() == 20 && slots.get(0).is_some_and(Value::is_undefined));
    }
}
