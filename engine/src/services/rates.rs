//! Rates per key: token buckets, each stored as the moment at which it will be full again (the generic cell rate algorithm).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use moka::Expiry;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;

/// Most buckets. Beyond it the longest unused ones are dropped, so that a flood of new keys does not reset a key in use.
const MAX_BUCKETS: u64 = 131_072;

/// Buckets by key.
pub struct Rates(Cache<String, Arc<Bucket>>);

/// The bucket of a key. Taking a token is one atomic change of a number, which costs a fifth of writing to the cache.
struct Bucket {
    /// Microseconds of the policies' clock.
    full_at: AtomicI64,
    /// Microseconds from empty to full: a bucket unused for this long is full and can be dropped.
    fills_in: AtomicI64,
}

/// Tokens to take from a bucket of a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Draw {
    /// Microseconds from empty to full.
    pub fills_in: i64,
    /// Microseconds in which as many tokens come as are taken.
    pub taking: i64,
}

impl Draw {
    /// `cost` tokens from a bucket that holds `burst` and gets `limit` in `per_millis`.
    pub fn new(limit: i64, per_millis: i64, burst: i64, cost: i64) -> Draw {
        /// A hundred years, which stays exact in every calculation.
        const LONGEST: i64 = 3_200_000_000_000_000;
        // In microseconds, so that even a thousand a second are evenly spaced.
        let interval = (per_millis.saturating_mul(1000) / limit.max(1)).max(1);
        let times = |count: i64| interval.saturating_mul(count.max(1)).min(LONGEST);
        Draw { fills_in: times(burst), taking: times(cost) }
    }
}

struct UntilFull;

impl Expiry<String, Arc<Bucket>> for UntilFull {
    fn expire_after_create(&self, _: &String, bucket: &Arc<Bucket>, _: Instant) -> Option<Duration> {
        Some(bucket.keep())
    }

    fn expire_after_read(
        &self,
        _: &String,
        bucket: &Arc<Bucket>,
        _: Instant,
        _: Option<Duration>,
        _: Instant,
    ) -> Option<Duration> {
        Some(bucket.keep())
    }
}

impl Bucket {
    fn keep(&self) -> Duration {
        Duration::from_micros(self.fills_in.load(Ordering::Relaxed).unsigned_abs())
    }
}

impl Default for Rates {
    fn default() -> Self {
        Rates::with_room_for(MAX_BUCKETS)
    }
}

impl Rates {
    fn with_room_for(buckets: u64) -> Rates {
        let cache = Cache::builder().max_capacity(buckets).eviction_policy(EvictionPolicy::lru()).expire_after(UntilFull);
        Rates(cache.build())
    }

    /// Takes one token from the key's bucket, which holds `burst` tokens and gets `limit` in `per_millis`. Returns 0 if there was
    /// one, otherwise the milliseconds until there is one; then nothing was taken.
    pub fn take(&self, key: &str, limit: i64, per_millis: i64, burst: i64, now_millis: i64) -> i64 {
        self.take_several(key, limit, per_millis, burst, 1, now_millis)
    }

    /// The same for `cost` tokens at once. More than the bucket holds is never granted.
    pub fn take_several(&self, key: &str, limit: i64, per_millis: i64, burst: i64, cost: i64, now_millis: i64) -> i64 {
        self.draw(key, Draw::new(limit, per_millis, burst, cost), now_millis)
    }

    /// The same.
    pub fn draw(&self, key: &str, draw: Draw, now_millis: i64) -> i64 {
        let now = now_millis.saturating_mul(1000);
        let Draw { fills_in, taking } = draw;
        let room = fills_in.saturating_sub(taking);
        let bucket = self.bucket(key, draw, now);
        let taken = bucket.full_at.fetch_update(Ordering::AcqRel, Ordering::Acquire, |full_at| {
            let full_at = full_at.max(now);
            (full_at.saturating_sub(now) <= room).then(|| full_at.saturating_add(taking))
        });
        match taken {
            Ok(_) => 0,
            // A bucket that is full but too small would be ready at an earlier moment.
            Err(full_at) => ((full_at.max(now) - now).saturating_sub(room) + 999) / 1000,
        }
    }

    /// Notes what somebody else has granted, so that this gateway can go on alone. The bucket is never more than empty.
    pub fn note(&self, key: &str, draw: Draw, now_millis: i64) {
        let now = now_millis.saturating_mul(1000);
        let bucket = self.bucket(key, draw, now);
        let _ = bucket.full_at.fetch_update(Ordering::AcqRel, Ordering::Acquire, |full_at| {
            Some(full_at.max(now).saturating_add(draw.taking).min(now.saturating_add(draw.fills_in)))
        });
    }

    fn bucket(&self, key: &str, draw: Draw, now: i64) -> Arc<Bucket> {
        let new = || Arc::new(Bucket { full_at: AtomicI64::new(now), fills_in: AtomicI64::new(draw.fills_in) });
        let bucket = self.0.get_with_by_ref(key, new);
        // Policies may have changed their limits; the next attempt uses the new ones.
        bucket.fills_in.store(draw.fills_in, Ordering::Relaxed);
        bucket
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
    fn several_tokens_are_taken_together_or_not_at_all() {
        let rates = Rates::default();
        let take = |cost, now| rates.take_several("a", 10, 1000, 10, cost, now);
        assert_eq!([take(7, 0), take(4, 0), take(3, 0), take(1, 0)], [0, 100, 0, 100]);
        assert_eq!([take(5, 499), take(5, 500)], [1, 0]);
        assert!(take(11, 1_000_000) > 0, "more than it holds");
        assert_eq!(take(10, 1_000_000), 0);
    }

    #[test]
    fn no_token_is_given_twice() {
        let rates = Rates::default();
        let taken = AtomicI64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        taken.fetch_add((rates.take("a", 1, 60_000, 50, 0) == 0).into(), Ordering::Relaxed);
                    }
                });
            }
        });
        assert_eq!(taken.into_inner(), 50);
    }

    #[test]
    fn a_flood_of_keys_stays_bounded_and_frees_nobody_who_keeps_asking() {
        let rates = Rates::with_room_for(200);
        let mut given = 0;
        for n in 0..5_000 {
            given += i64::from(rates.take("busy", 1, 3_600_000, 3, 0) == 0);
            rates.take(&n.to_string(), 1, 3_600_000, 1, 0);
        }
        rates.0.run_pending_tasks();
        assert!(rates.0.entry_count() <= 200, "{}", rates.0.entry_count());
        assert_eq!(given, 3);
    }

    #[test]
    fn a_bucket_that_is_full_again_is_forgotten() {
        let rates = Rates::default();
        rates.take("a", 1, 20, 2, 0);
        rates.take("b", 1, 3_600_000, 2, 0);
        std::thread::sleep(Duration::from_millis(60));
        assert_eq!([rates.0.contains_key("a"), rates.0.contains_key("b")], [false, true]);
    }
}
