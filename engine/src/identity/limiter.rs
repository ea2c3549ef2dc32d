//! Slows down guessing. The first attempts under a key are free; each further one has to wait, twice as long as the one before,
//! up to a short cap. Attempts made while waiting are refused without being counted, so they prolong nothing: whoever is being
//! guessed at waits for the cap at most, and only where the guesser shares the key (an account and an address, say).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use smol_str::SmolStr;

/// Keys remembered at a time.
const MAX_KEYS: usize = 100_000;

/// How many attempts are free, and how long the others wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts {
    /// Free attempts.
    pub limit: u32,
    /// Milliseconds without an attempt after which all are forgotten.
    pub window_millis: i64,
    /// Longest wait, milliseconds.
    pub max_delay_millis: i64,
}

/// Counts attempts by key. Lives as long as the gateway.
#[derive(Default)]
pub struct AttemptLimiter {
    keys: Mutex<HashMap<SmolStr, Counted>>,
}

#[derive(Clone, Copy)]
struct Counted {
    attempts: u32,
    /// When the latest of them was, and the one before it: what counts again when the latest is given back.
    last: i64,
    before: i64,
    /// Without an attempt for so long, all are forgotten.
    window: i64,
}

impl Counted {
    fn is_past(&self, now_millis: i64) -> bool {
        now_millis >= self.last.saturating_add(self.window)
    }

    /// When the next attempt may come.
    fn next(&self, allowed: Attempts) -> i64 {
        let Some(over) = self.attempts.checked_sub(allowed.limit) else { return self.last };
        let delay = 1000_i64.checked_shl(over.min(30)).unwrap_or(i64::MAX);
        self.last.saturating_add(delay.min(allowed.max_delay_millis))
    }
}

impl AttemptLimiter {
    /// Counts an attempt, or refuses it: then the error is the milliseconds to wait. It is counted before its outcome is known,
    /// so that many at the same time get no further than one after the other.
    pub fn attempt(&self, key: &str, allowed: Attempts, now_millis: i64) -> Result<(), i64> {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let key = short(key);
        let known = keys.get(&key).copied().filter(|counted| !counted.is_past(now_millis));
        if let Some(counted) = known {
            let next = counted.next(allowed);
            if now_millis < next {
                return Err(next - now_millis);
            }
        } else if allowed.limit == 0 {
            return Err(allowed.max_delay_millis);
        }
        if keys.len() >= MAX_KEYS && !keys.contains_key(&key) {
            make_room(&mut keys, now_millis);
        }
        let attempts = known.map_or(0, |counted| counted.attempts).saturating_add(1);
        let before = known.map_or(now_millis, |counted| counted.last);
        let window = allowed.window_millis.max(allowed.max_delay_millis);
        keys.insert(key, Counted { attempts, last: now_millis, before, window });
        Ok(())
    }

    /// The milliseconds to wait before the next attempt; nothing is counted.
    pub fn wait(&self, key: &str, allowed: Attempts, now_millis: i64) -> i64 {
        let keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let known = keys.get(&short(key)).filter(|counted| !counted.is_past(now_millis));
        known.map_or(0, |counted| (counted.next(allowed) - now_millis).max(0))
    }

    /// Gives the latest attempt back, because it turned out to be none: it costs nothing then, no place among the free ones and
    /// no wait.
    pub fn release(&self, key: &str) {
        let mut keys = self.keys.lock().unwrap_or_else(PoisonError::into_inner);
        let key = short(key);
        let Some(counted) = keys.get_mut(&key) else { return };
        counted.attempts -= 1;
        counted.last = counted.before;
        if counted.attempts == 0 {
            keys.remove(&key);
        }
    }

    /// Forgets a key, after an attempt that succeeded.
    pub fn succeeded(&self, key: &str) {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).remove(&short(key));
    }
}

/// Keys hold what clients send, which may be long.
fn short(key: &str) -> SmolStr {
    if key.len() <= 64 {
        return SmolStr::new(key);
    }
    SmolStr::from(hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.as_bytes())))
}

/// Drops what is past, and if that is not enough the keys that were attempted least: those of a flood of new names.
fn make_room(keys: &mut HashMap<SmolStr, Counted>, now_millis: i64) {
    keys.retain(|_, counted| !counted.is_past(now_millis));
    let mut fewest = 1;
    while keys.len() > MAX_KEYS * 9 / 10 {
        let mut surplus = keys.len() - MAX_KEYS * 9 / 10;
        keys.retain(|_, counted| {
            let goes = surplus > 0 && counted.attempts <= fewest;
            surplus -= usize::from(goes);
            !goes
        });
        fewest = fewest.saturating_mul(2);
    }
}
