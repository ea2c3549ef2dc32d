//! What lost against others (a deadlock's victim, a transaction that could not be put in line) is tried again: a few times, after a
//! pause that grows and differs, so that the same rivals do not meet again.

use std::time::{Duration, Instant};

use super::{Kind, StoreError};

/// How often at most.
const ATTEMPTS: u32 = 8;
/// The first pause is between nothing and the time that the attempt took, or this if that is longer; each further one may be twice as
/// long. Rivals that pause for less than an attempt takes meet again, however fast or slow the server is.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// No pause is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Later than this, nothing is begun again: whoever waits has waited long enough.
const PATIENCE: Duration = Duration::from_secs(5);

/// The further attempts that something has.
#[derive(Debug)]
pub struct Again {
    made: u32,
    /// When the first attempt began, and the last one.
    first: Instant,
    last: Instant,
}

impl Default for Again {
    fn default() -> Self {
        let now = Instant::now();
        Again { made: 0, first: now, last: now }
    }
}

impl Again {
    /// Whether to try again after this error. Waits until then.
    pub(super) async fn after(&mut self, error: &StoreError) -> bool {
        error.kind == Kind::Busy && self.pause().await
    }

    /// Whether there is a further attempt. Waits until it may begin.
    pub async fn pause(&mut self) -> bool {
        let Some(longest) = self.longest_pause(Instant::now()) else { return false };
        tokio::time::sleep(longest.mul_f64(rand::random::<f64>())).await;
        self.last = Instant::now();
        true
    }

    /// The longest pause before the further attempt that there may be, for the last one ended now.
    fn longest_pause(&mut self, now: Instant) -> Option<Duration> {
        if self.made >= ATTEMPTS || now.duration_since(self.first) >= PATIENCE {
            return None;
        }
        let longest = now.duration_since(self.last).max(FIRST_PAUSE) * (1 << self.made);
        self.made += 1;
        Some(longest.min(LONGEST_PAUSE))
    }
}

#[cfg(test)]
mod tests {
    use smol_str::SmolStr;

    use super::*;

    /// The longest pauses of what loses again and again, if each attempt takes this long and each pause is as long as it may be.
    fn pauses(attempt: Duration) -> Vec<Duration> {
        let mut again = Again::default();
        let mut now = again.first;
        let mut pauses = Vec::new();
        loop {
            now += attempt;
            let Some(pause) = again.longest_pause(now) else { return pauses };
            pauses.push(pause);
            now += pause;
            again.last = now;
        }
    }

    #[tokio::test]
    async fn only_what_lost_is_tried_again() {
        let error = |kind| StoreError::new(kind, &SmolStr::new("Test"), "");
        for kind in [Kind::Timeout, Kind::Unavailable, Kind::Duplicate, Kind::Invalid] {
            assert!(!Again::default().after(&error(kind)).await, "{kind:?}");
        }
        assert!(Again::default().after(&error(Kind::Busy)).await);
    }

    #[test]
    fn pauses_grow_with_the_attempts_and_with_what_one_takes() {
        let milliseconds = |list: &[u64]| list.iter().map(|one| Duration::from_millis(*one)).collect::<Vec<_>>();
        assert_eq!(pauses(Duration::ZERO), milliseconds(&[10, 20, 40, 80, 160, 320, 640, 1000]));
        assert_eq!(pauses(Duration::from_millis(50)), milliseconds(&[50, 100, 200, 400, 800, 1000, 1000, 1000]));
    }

    #[test]
    fn nobody_waits_for_ever() {
        assert_eq!(pauses(Duration::from_secs(5)).len(), 0);
        assert_eq!(pauses(Duration::from_secs(2)).len(), 1);
    }
}
