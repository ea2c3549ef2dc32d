//! What all gateways count together, in Redis: rates and attempts. Each count is one script, so it is exact however many ask at once.
//!
//! Each gateway also counts for itself. When Redis is away or refuses, it goes on with its own counts: nothing is open then, and nothing
//! is refused that one gateway alone would allow. What is counted meanwhile stays with that gateway.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{RedisError, Script};

use super::Cluster;
use super::redis::said;
use crate::services::identity::{HORIZON, KEPT, Rule, attempt_key};
use crate::services::rates::Draw;

/// How long Redis is not asked after it failed, so that no request waits for it in vain.
const PAUSE: Duration = Duration::from_secs(1);

/// The counters in a Redis server.
pub(super) struct Counters {
    connection: MultiplexedConnection,
    /// What names of keys begin with.
    prefix: String,
    rates: Script,
    attempts: Script,
    opened: Instant,
    /// Until when it is not asked, in milliseconds after it was opened.
    paused: AtomicU64,
}

impl Counters {
    pub(super) fn new(connection: MultiplexedConnection, prefix: String) -> Counters {
        Counters {
            connection,
            prefix,
            rates: Script::new(include_str!("rates.lua")),
            attempts: Script::new(include_str!("attempts.lua")),
            opened: Instant::now(),
            paused: AtomicU64::new(0),
        }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.opened.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    fn is_paused(&self) -> bool {
        self.now() < self.paused.load(Ordering::Relaxed)
    }

    fn pause(&self) {
        let until = self.now().saturating_add(u64::try_from(PAUSE.as_millis()).unwrap_or_default());
        self.paused.store(until, Ordering::Relaxed);
    }
}

/// What to do with attempts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attempt {
    /// Count one, or refuse it.
    Count,
    /// Only report.
    Look,
    /// Take the latest back.
    Release,
    /// Forget them.
    Success,
}

impl Attempt {
    fn word(self) -> &'static str {
        match self {
            Attempt::Count => "attempt",
            Attempt::Look => "look",
            Attempt::Release => "release",
            Attempt::Success => "success",
        }
    }
}

impl Cluster {
    /// Takes tokens from a bucket that all gateways share: 0, or the milliseconds to wait. `None`: each gateway counts for itself.
    pub async fn take(&self, key: &str, draw: Draw, now_millis: i64) -> Option<i64> {
        let counters = self.counters.load_full().filter(|counters| !counters.is_paused())?;
        let mut call = counters.rates.key(format!("{}:r:{}", counters.prefix, attempt_key(key)));
        call.arg(now_millis.saturating_mul(1000)).arg(draw.fills_in).arg(draw.taking);
        let answer = call.invoke_async(&mut counters.connection.clone()).await;
        self.counted(&counters, answer)
    }

    /// Counts attempts over all gateways: the milliseconds to wait, and the attempts under the key with the most. Rules are needed only
    /// where they count. `None`: each gateway counts for itself.
    pub async fn attempt(
        &self,
        what: Attempt,
        keys: &[String],
        rules: &[Rule],
        claimant: Option<&str>,
        now_millis: i64,
    ) -> Option<(i64, u32)> {
        let counters = self.counters.load_full().filter(|counters| !counters.is_paused())?;
        let mut call = counters.attempts.prepare_invoke();
        for key in keys {
            call.key(format!("{}:a:{}", counters.prefix, attempt_key(key)));
        }
        if let Some(claimant) = claimant {
            call.key(format!("{}:p:{}", counters.prefix, attempt_key(claimant)));
        }
        call.arg(what.word()).arg(now_millis).arg(i32::from(claimant.is_some())).arg(HORIZON).arg(KEPT);
        for rule in rules {
            let allowed = rule.allowed();
            call.arg(allowed.limit).arg(allowed.window_millis).arg(allowed.max_delay_millis).arg(allowed.forgive_millis);
        }
        let answer = call.invoke_async(&mut counters.connection.clone()).await;
        self.counted(&counters, answer)
    }

    fn counted<T>(&self, counters: &Counters, answer: Result<T, RedisError>) -> Option<T> {
        let shared = answer.is_ok();
        let changed = self.shares.swap(shared, Ordering::Relaxed) != shared;
        match answer {
            Ok(answer) => {
                if changed {
                    tracing::info!("limits count over all gateways");
                }
                Some(answer)
            }
            Err(error) => {
                counters.pause();
                let error = said(&error);
                if changed {
                    tracing::warn!("Redis does not count: {error}. Each gateway counts attempts and rates for itself");
                }
                self.note(|report| report.last_error = Some(error));
                None
            }
        }
    }
}
