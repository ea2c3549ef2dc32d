//! What lost against others (a deadlock's victim, a transaction that could not be put in line) is tried again: a few times, after a
//! pause that grows and differs, so that the same rivals do not meet again.

use std::time::{Duration, Instant};

use super::{Kind, StoreError};

/// How often at most.
const ATTEMPTS: u32 = 6;
/// The first pause is between this and nothing; each further one may be twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// Later than this, nothing is begun again: whoever waits has waited long enough.
const PATIENCE: Duration = Duration::from_secs(5);

/// The further attempts that something has.
#[derive(Debug)]
pub struct Again {
    made: u32,
    until: Option<Instant>,
}

impl Default for Again {
    fn default() -> Self {
        Again { made: 0, until: Instant::now().checked_add(PATIENCE) }
    }
}

impl Again {
    /// Whether to try again after this error. Waits until then.
    pub(super) async fn after(&mut self, error: &StoreError) -> bool {
        error.kind == Kind::Busy && self.pause().await
    }

    /// Whether there is a further attempt. Waits until it may begin.
    pub async fn pause(&mut self) -> bool {
        if self.made >= ATTEMPTS || self.until.is_some_and(|until| Instant::now() >= until) {
            return false;
        }
        let longest = FIRST_PAUSE * (1 << self.made);
        self.made += 1;
        tokio::time::sleep(longest.mul_f64(rand::random::<f64>())).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use smol_str::SmolStr;

    use super::*;

    #[tokio::test]
    async fn only_what_lost_is_tried_again_and_not_for_ever() {
        let error = |kind| StoreError::new(kind, &SmolStr::new("Test"), "");
        for kind in [Kind::Timeout, Kind::Unavailable, Kind::Duplicate, Kind::Invalid] {
            assert!(!Again::default().after(&error(kind)).await, "{kind:?}");
        }
        let mut again = Again::default();
        let mut attempts = 0;
        while again.after(&error(Kind::Busy)).await {
            attempts += 1;
        }
        assert_eq!(attempts, ATTEMPTS);
    }
}
