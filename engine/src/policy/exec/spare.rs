//! What runs that have ended leave for the next ones of their thread: slots, and the maps of header fields.
//!
//! A run has some hundred variables, mostly unset: to allocate, fill and drop them costs more than to find out that they are unset. And the
//! map that held the fields of a request is as good for those of an answer.

use std::cell::RefCell;

use http::HeaderMap;

use crate::policy::slots::Slots;

/// How many vectors, and how many maps, a thread keeps: about as many as there are services that are asked often.
const MOST: usize = 16;
/// Longer vectors are not kept.
const LONGEST: usize = 2048;
/// Maps with room for more fields are not kept.
const WIDEST: usize = 64;

thread_local! {
    static SPARE: RefCell<Vec<Slots>> = const { RefCell::new(Vec::new()) };
    static MAPS: RefCell<Vec<HeaderMap>> = const { RefCell::new(Vec::new()) };
}

/// A map without fields.
pub fn fields() -> HeaderMap {
    MAPS.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Takes back the fields that a run no longer needs.
pub fn give_back_fields(mut map: HeaderMap) {
    if !(1..=WIDEST).contains(&map.capacity()) {
        return;
    }
    // INVARIANT: nothing of a run is left for another one.
    map.clear();
    // While a thread ends, there is nothing to keep it for.
    let _ = MAPS.try_with(|maps| {
        let mut maps = maps.borrow_mut();
        if maps.len() < MOST {
            maps.push(map);
        }
    });
}

/// As many unset variables.
pub(super) fn slots(count: usize) -> Slots {
    if count == 0 {
        return Slots::default();
    }
    let kept = SPARE.with_borrow_mut(|spare| {
        let at = spare.iter().rposition(|slots| slots.len() == count)?;
        Some(spare.swap_remove(at))
    });
    kept.unwrap_or_else(|| {
        let mut slots = Slots::default();
        slots.grow_to(count);
        slots
    })
}

/// Takes back what a run used.
pub fn give_back(mut slots: Slots) {
    if slots.is_empty() || slots.len() > LONGEST {
        return;
    }
    // INVARIANT: nothing of a run is left for another one.
    slots.unset();
    // While a thread ends, there is nothing to keep them for.
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() == MOST {
            spare.remove(0);
        }
        spare.push(slots);
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::value::Value;

    #[test]
    fn nothing_of_a_run_is_left_for_another_one() {
        let mut used = slots(3);
        *used.get_mut(0).unwrap() = Value::from("secret");
        *used.get_mut(2).unwrap() = Value::Int(3);
        let place: *const Value = used.get(0).unwrap();
        give_back(used);
        assert_eq!(slots(2).len(), 2);
        let again = slots(3);
        assert!(std::ptr::eq(again.get(0).unwrap(), place) && (0..3).all(|index| again.get(index).unwrap().is_undefined()));
    }

    #[test]
    fn no_field_of_a_run_is_left_for_another_one() {
        let mut used = HeaderMap::new();
        used.insert(http::header::COOKIE, http::HeaderValue::from_static("secret"));
        used.append(http::header::COOKIE, http::HeaderValue::from_static("secret too"));
        give_back_fields(used);
        give_back_fields(HeaderMap::new());
        give_back_fields(HeaderMap::with_capacity(1000));
        let again = fields();
        assert!(again.capacity() > 0 && again.is_empty() && again.get(http::header::COOKIE).is_none());
        assert_eq!(fields().capacity(), 0, "neither one without room nor a wide one is kept");
    }

    #[test]
    fn a_thread_keeps_only_so_many() {
        (1..100).for_each(|count| give_back(slots(count)));
        assert_eq!(SPARE.with_borrow(Vec::len), MOST);
    }
}
