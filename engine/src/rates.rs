//! Rates per key: token buckets, each kept as the one moment at which it will be full again (the generic cell rate algorithm).

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};

/// Parts that are locked by themselves.
const SHARDS: usize = 16;
/// Buckets a part may hold. Full ones are dropped first; beyond that, whoever floods it with new keys drops the rest.
const MAX_BUCKETS: usize = 8_192;

/// Buckets by key.
pub struct Rates {
    shards: [Mutex<HashMap<String, i64>>; SHARDS],
    hasher: RandomState,
}

impl Default for Rates {
    fn default() -> Self {
        Rates { shards: std::array::from_fn(|_| Mutex::default()), hasher: RandomState::new() }
    }
}

impl Rates {
    /// Takes a token from the key's bucket, which holds `burst` and gets `limit` in `per_millis`. Gives 0 if there was one, otherwise the
    /// milliseconds until there is one; then nothing was taken.
    pub fn take(&self, key: &str, limit: i64, per_millis: i64, burst: i64, now_millis: i64) -> i64 {
        // In microseconds, so that a thousand a second still come evenly.
        let now = now_millis.saturating_mul(1000);
        let interval = (per_millis.saturating_mul(1000) / limit.max(1)).max(1);
        let room = interval.saturating_mul(burst.max(1) - 1);
        let shard = &self.shards[self.hasher.hash_one(key) as usize % SHARDS];
        let mut buckets = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = buckets.get(key).copied().unwrap_or(now).max(now);
        let missing = full_at.saturating_sub(now).saturating_sub(room);
        if missing > 0 {
            return (missing + 999) / 1000;
        }
        let next = full_at.saturating_add(interval);
        if let Some(bucket) = buckets.get_mut(key) {
            *bucket = next;
            return 0;
        }
        if buckets.len() >= MAX_BUCKETS {
            buckets.retain(|_, full_at| *full_at > now);
            if buckets.len() >= MAX_BUCKETS {
                buckets.clear();
            }
        }
        buckets.insert(key.to_owned(), next);
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills_evenly() {
        let rates = Rates::default();
        let take = |now| rates.take("a", 2, 1000, 3, now);
        assert_eq!([take(0), take(0), take(0)], [0, 0, 0]);
        assert_eq!(take(0), 500);
        assert_eq!(take(499), 1);
        assert_eq!(take(500), 0);
        assert_eq!(take(500), 500);
        assert_eq!([take(5000), take(5000), take(5000)], [0, 0, 0]);
        assert!(take(5000) > 0);
        assert_eq!(rates.take("b", 2, 1000, 3, 0), 0);
    }

    #[test]
    fn a_flood_of_keys_stays_bounded() {
        let rates = Rates::default();
        for n in 0..(SHARDS * MAX_BUCKETS * 5 / 4) {
            rates.take(&n.to_string(), 1, 60_000, 1, 0);
        }
        for shard in &rates.shards {
            assert!(shard.lock().unwrap().len() <= MAX_BUCKETS);
        }
    }
}
