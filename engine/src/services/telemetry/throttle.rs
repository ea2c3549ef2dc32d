//! Audit records that strangers cause: so many of an event a minute are kept, the others are counted, and one record says how many.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};

use smol_str::SmolStr;

/// Most events that are counted. Policies choose the names; this protects against one that builds names from what clients send.
const MAX_EVENTS: usize = 100;
const MINUTE: i64 = 60_000;

/// Counts records by event.
#[derive(Debug, Default)]
pub struct Throttle {
    events: Mutex<HashMap<SmolStr, Minute>>,
    left_out: AtomicU64,
}

#[derive(Debug, Default)]
struct Minute {
    number: i64,
    kept: u64,
    left_out: u64,
}

impl Throttle {
    /// Whether one more record of an event is kept, of which a minute may have `most`.
    pub(super) fn admits(&self, event: &str, most: u64, now_millis: i64) -> bool {
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let known = events.len() < MAX_EVENTS || events.contains_key(event);
        let minute = events.entry(SmolStr::new(if known { event } else { "" })).or_default();
        let number = now_millis.div_euclid(MINUTE);
        if minute.number != number {
            (minute.number, minute.kept) = (number, 0);
        }
        if minute.kept < most {
            minute.kept += 1;
            return true;
        }
        minute.left_out += 1;
        self.left_out.fetch_add(1, Relaxed);
        false
    }

    /// How many records were left out in minutes that are over, by event. They are forgotten then.
    pub(super) fn told(&self, now_millis: i64) -> Vec<(SmolStr, u64)> {
        let number = now_millis.div_euclid(MINUTE);
        let mut events = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let over = events.iter_mut().filter(|(_, minute)| minute.number != number && minute.left_out > 0);
        over.map(|(event, minute)| (event.clone(), std::mem::take(&mut minute.left_out))).collect()
    }

    /// How many records were left out since the start.
    pub(super) fn left_out(&self) -> u64 {
        self.left_out.load(Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_so_many_records_of_each_event_and_the_others_are_counted() {
        let throttle = Throttle::default();
        let kept = |event, now| (0..5).filter(|_| throttle.admits(event, 3, now)).count();
        assert_eq!((kept("a", 0), kept("b", 59_999)), (3, 3));
        assert_eq!(throttle.told(59_999), []);
        assert_eq!(kept("a", 60_000), 3);
        // What was left out in the minute that runs is told with the rest, once it is over.
        assert_eq!(throttle.told(60_001), [("b".into(), 2)]);
        assert_eq!(throttle.told(120_000), [("a".into(), 4)]);
        assert_eq!(throttle.told(180_000), []);
        assert_eq!(throttle.left_out(), 6);
        // A clock that goes back begins another minute.
        assert_eq!(kept("a", -1), 3);
    }

    #[test]
    fn names_made_of_requests_do_not_fill_the_memory() {
        let throttle = Throttle::default();
        for name in 0..1000 {
            throttle.admits(&name.to_string(), 1, 0);
        }
        assert!(throttle.events.lock().unwrap().len() <= MAX_EVENTS + 1);
    }
}
