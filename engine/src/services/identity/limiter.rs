//! Slows down guessing. The first attempts under a key are free; each further one has to wait twice as long as the one before, up
//! to a cap. Attempts during the wait are refused and do not count, so they do not prolong it. An attempt may count under several
//! keys at once: an account at an address, the network around it, the address over all accounts.
//!
//! Some of these keys are shared with strangers, who could be faster each time a key becomes free. So whoever is told to wait
//! gets a promise: an attempt after that time is accepted, whatever others do meanwhile. Promises under one key are as far apart
//! as its attempts, so they let little more through.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Most remembered keys.
const MAX_KEYS: usize = 262_144;
/// Most remembered promises.
const MAX_PROMISES: usize = 131_072;
/// How far ahead promises reach, in milliseconds. A caller who would have to wait longer is told so but gets no promise, so that
/// a flood of callers under one key cannot fill the memory.
pub const HORIZON: i64 = 14_400_000;
/// How long a promise is kept after its time, in milliseconds.
pub const KEPT: i64 = HORIZON;

/// The number of free attempts, and the waits of the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attempts {
    /// Free attempts.
    pub limit: u32,
    /// Milliseconds without an attempt after which all are forgotten.
    pub window_millis: i64,
    /// Longest wait, milliseconds.
    pub max_delay_millis: i64,
    /// Milliseconds after which one attempt is forgotten, then another one after the same time; 0 for never.
    pub forgive_millis: i64,
}

/// A key under which an attempt counts.
#[derive(Clone, Copy, Debug)]
pub struct Rule {
    key: Digest,
    allowed: Attempts,
}

impl Rule {
    /// Counts under this key, within these limits.
    pub fn new(key: &str, allowed: Attempts) -> Rule {
        Rule { key: digest(key), allowed }
    }

    /// The limits.
    pub fn allowed(&self) -> Attempts {
        self.allowed
    }
}

/// Keys contain what clients send; their digests have a fixed size.
type Digest = [u8; 16];

fn digest(key: &str) -> Digest {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.as_bytes());
    let mut short = Digest::default();
    for (short, full) in short.iter_mut().zip(digest.as_ref()) {
        *short = *full;
    }
    short
}

/// A key as others may see it.
pub fn attempt_key(key: &str) -> String {
    hex::encode(digest(key))
}

/// Counts attempts by key. Lives as long as the gateway.
#[derive(Default)]
pub struct AttemptLimiter(Mutex<State>);

#[derive(Default)]
struct State {
    keys: HashMap<Digest, Counted>,
    promises: HashMap<Digest, Promise>,
}

#[derive(Clone, Copy)]
struct Promise {
    at: i64,
}

impl Promise {
    fn is_past(self, now_millis: i64) -> bool {
        now_millis >= self.at.saturating_add(KEPT)
    }
}

#[derive(Clone, Copy)]
struct Counted {
    attempts: u32,
    /// Times of the latest attempt and of the one before, which counts again if the latest is released.
    last: i64,
    before: i64,
    /// The start of forgiving attempts.
    forgiven: i64,
    /// After this time without an attempt, all are forgotten.
    window: i64,
    /// The latest promised time, and the number of promises in a row.
    promised: i64,
    promises: u32,
}

impl Counted {
    fn is_past(&self, now_millis: i64) -> bool {
        now_millis >= self.last.max(self.promised).saturating_add(self.window)
    }

    /// Removes the attempts that are forgiven by now.
    fn forgive(&mut self, allowed: Attempts, now_millis: i64) {
        if allowed.forgive_millis > 0 {
            let forgiven = (now_millis - self.forgiven).max(0) / allowed.forgive_millis;
            self.attempts = self.attempts.saturating_sub(u32::try_from(forgiven).unwrap_or(u32::MAX));
            self.forgiven += forgiven * allowed.forgive_millis;
        }
    }

    /// The distance between attempts, after so many more.
    fn delay(&self, allowed: Attempts, more: u32) -> i64 {
        let Some(over) = self.attempts.saturating_add(more).checked_sub(allowed.limit) else { return 0 };
        1000_i64.checked_shl(over.min(30)).unwrap_or(i64::MAX).min(allowed.max_delay_millis)
    }

    /// The time of the next possible attempt.
    fn next(&self, allowed: Attempts) -> i64 {
        self.last.saturating_add(self.delay(allowed, 0))
    }
}

impl State {
    /// The current count under a rule's key.
    fn counted(&self, rule: &Rule, now_millis: i64) -> Option<Counted> {
        let mut counted = self.keys.get(&rule.key).copied().filter(|counted| !counted.is_past(now_millis))?;
        counted.forgive(rule.allowed, now_millis);
        Some(counted)
    }

    /// The time of a possible attempt.
    fn next(&self, rule: &Rule, now_millis: i64) -> i64 {
        match self.counted(rule, now_millis) {
            Some(counted) => counted.next(rule.allowed),
            None if rule.allowed.limit == 0 => now_millis.saturating_add(rule.allowed.max_delay_millis),
            None => now_millis,
        }
    }

    fn count(&mut self, rule: &Rule, now_millis: i64) {
        let known = self.counted(rule, now_millis);
        if self.keys.len() >= MAX_KEYS && !self.keys.contains_key(&rule.key) {
            make_room(&mut self.keys, now_millis);
        }
        let fresh = Counted {
            attempts: 0,
            last: now_millis,
            before: now_millis,
            forgiven: now_millis,
            window: 0,
            promised: i64::MIN,
            promises: 0,
        };
        let counted = known.unwrap_or(fresh);
        let attempts = counted.attempts.saturating_add(1);
        let window = rule.allowed.window_millis.max(rule.allowed.max_delay_millis);
        self.keys.insert(rule.key, Counted { attempts, last: now_millis, before: counted.last, window, ..counted });
    }

    /// Promises an attempt, after those promised to others under the same keys. Returns its time.
    fn promise(&mut self, rules: &[Rule], claimant: Digest, now_millis: i64) -> i64 {
        let time = |rule: &Rule| {
            let next = self.next(rule, now_millis);
            match self.counted(rule, now_millis) {
                Some(counted) if next > now_millis && counted.promised > now_millis => {
                    next.max(counted.promised.saturating_add(counted.delay(rule.allowed, counted.promises)))
                }
                _ => next,
            }
        };
        let at = rules.iter().map(time).max().unwrap_or(now_millis);
        if at - now_millis > HORIZON || !self.has_room_for_a_promise(now_millis) {
            return at;
        }
        for rule in rules {
            let next = self.next(rule, now_millis);
            if next > now_millis
                && let Some(counted) = self.keys.get_mut(&rule.key)
            {
                counted.promises = if counted.promised > now_millis { counted.promises.saturating_add(1) } else { 1 };
                counted.promised = counted.promised.max(at);
            }
        }
        self.promises.insert(claimant, Promise { at });
        at
    }

    fn has_room_for_a_promise(&mut self, now_millis: i64) -> bool {
        if self.promises.len() >= MAX_PROMISES {
            self.promises.retain(|_, promise| !promise.is_past(now_millis));
        }
        self.promises.len() < MAX_PROMISES
    }
}

impl AttemptLimiter {
    /// Counts an attempt under all of these keys, or refuses it and counts it under none; then the error is the milliseconds to
    /// wait. Attempts are counted before their outcome is known, so that parallel ones get no further than attempts one after the
    /// other.
    ///
    /// A `claimant` is promised that an attempt after that time is accepted. One that comes early does not wait longer than
    /// announced before.
    pub fn attempt(&self, rules: &[Rule], claimant: Option<&str>, now_millis: i64) -> Result<(), i64> {
        let claimant = claimant.map(digest);
        let mut state = self.state();
        let promise = claimant.and_then(|claimant| state.promises.get(&claimant).copied());
        let promise = promise.filter(|promise| !promise.is_past(now_millis));
        if promise.is_none_or(|promise| now_millis < promise.at) {
            let next = rules.iter().map(|rule| state.next(rule, now_millis)).max().unwrap_or(now_millis);
            if next > now_millis {
                let told = match (promise, claimant) {
                    (Some(promise), _) => promise.at,
                    (None, Some(claimant)) => state.promise(rules, claimant, now_millis),
                    (None, None) => next,
                };
                return Err(told - now_millis);
            }
        }
        if let Some(claimant) = claimant {
            state.promises.remove(&claimant);
        }
        for rule in rules {
            state.count(rule, now_millis);
        }
        Ok(())
    }

    /// Counts an attempt that somebody else has allowed, so that this gateway can go on alone.
    pub fn note(&self, rules: &[Rule], claimant: Option<&str>, now_millis: i64) {
        let mut state = self.state();
        if let Some(claimant) = claimant {
            state.promises.remove(&digest(claimant));
        }
        rules.iter().for_each(|rule| state.count(rule, now_millis));
    }

    /// The milliseconds to wait before the next attempt, and the count under the key with the most attempts. Counts nothing.
    pub fn look(&self, rules: &[Rule], now_millis: i64) -> (i64, u32) {
        let state = self.state();
        let wait =
            |rule: &Rule| state.counted(rule, now_millis).map_or(0, |counted| (counted.next(rule.allowed) - now_millis).max(0));
        let attempts = |rule: &Rule| state.counted(rule, now_millis).map_or(0, |counted| counted.attempts);
        (rules.iter().map(wait).max().unwrap_or(0), rules.iter().map(attempts).max().unwrap_or(0))
    }

    /// Takes back the latest attempt under each of these keys, because it turned out not to be one: it then costs neither a free
    /// attempt nor a wait. A `claimant` may try again at once.
    pub fn release<'a>(&self, keys: impl IntoIterator<Item = &'a str>, claimant: Option<&str>, now_millis: i64) {
        let mut state = self.state();
        for key in keys {
            let key = digest(key);
            let Some(counted) = state.keys.get_mut(&key) else { continue };
            counted.attempts = counted.attempts.saturating_sub(1);
            counted.last = counted.before;
            if counted.attempts == 0 {
                state.keys.remove(&key);
            }
        }
        if let Some(claimant) = claimant
            && state.has_room_for_a_promise(now_millis)
        {
            state.promises.insert(digest(claimant), Promise { at: now_millis });
        }
    }

    /// Forgets keys after a successful attempt.
    pub fn succeeded<'a>(&self, keys: impl IntoIterator<Item = &'a str>) {
        let mut state = self.state();
        for key in keys {
            state.keys.remove(&digest(key));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Drops expired entries and, if that is not enough, the keys with the fewest attempts: those of a flood of new names. To make
/// the gateway forget a count, an attacker would need that many attempts under each of a quarter of a million other keys.
fn make_room(keys: &mut HashMap<Digest, Counted>, now_millis: i64) {
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
