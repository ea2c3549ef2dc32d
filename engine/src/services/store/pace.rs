//! How much of the time a clean-up takes from those who are served.
//!
//! A run works for a *share* of the time and pauses for the remainder: after work that took `t`, for `t * (1 / share - 1)`.
//!
//! - The share is a twenty-fourth as long as the rows go away in time. That is what nobody notices: what a clean-up takes from others is about
//!   twice its share, because it also pushes their pages out of caches and holds up those who write.
//! - Whether they do is seen from how runs end: with nothing left, or because their time was over. The first four runs in a row that leave
//!   rows change nothing, because a backlog may be large once: after an import, or after a task was off. Each further one doubles the share
//!   of those after it, up to three quarters.
//! - A run that leaves nothing takes one such step back. So where many rows come all the time, the share stays near the one that keeps up.
//! - Each four minutes that a run lasts count like a run that left rows, so that one without an end is no exception.
//!
//! So the rows that are left do not grow for ever, unless more of them come than can be deleted in three quarters of the time of all runs.
//! That time is for whoever writes the task: how often it runs, and how long.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// What one share is a part of.
const WHOLE: u32 = 24;
/// The share, by the number of runs in a row that left rows.
const SHARES: [u32; 9] = [1, 1, 1, 1, 1, 2, 4, 8, 18];
/// The part of a run that counts like a whole one.
const LONG: Duration = Duration::from_secs(240);

/// What is known of the runs so far.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Runs that left rows, less those that did not.
    behind: AtomicU32,
}

impl Pace {
    /// The pause after work that took so long, in a run that has this age.
    pub(super) fn pause(&self, work: Duration, age: Duration) -> Duration {
        let share = self.share(age);
        work * (WHOLE - share) / share
    }

    /// Notes how a run ended that has this age: whether it left rows.
    pub(super) fn ended(&self, age: Duration, more: bool) {
        let step = self.step(age);
        let next = if more { (step + 1).min(SHARES.len() - 1) } else { step.saturating_sub(1) };
        self.behind.store(next as u32, Ordering::Relaxed);
    }

    fn share(&self, age: Duration) -> u32 {
        SHARES.get(self.step(age)).copied().unwrap_or(1)
    }

    /// A run that is stopped from outside ends in no way, so its age counts only while it lasts.
    fn step(&self, age: Duration) -> usize {
        let long = usize::try_from(age.as_secs() / LONG.as_secs()).unwrap_or(usize::MAX);
        (self.behind.load(Ordering::Relaxed) as usize).saturating_add(long).min(SHARES.len() - 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Duration = Duration::ZERO;

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    /// A table whose rows expire steadily while tokens are issued, and a task that cleans it. Times are seconds, and pass only here.
    struct Table {
        pace: Pace,
        left: f64,
        /// Rows that expire in a second.
        come: f64,
        /// Rows that a second of work deletes.
        deleted: f64,
        every: f64,
        limit: f64,
    }

    impl Table {
        fn new(come: f64) -> Table {
            // As the clean-up of tokens runs, on a database that deletes a row in 50 microseconds.
            Table { pace: Pace::default(), left: 0.0, come, deleted: 20_000.0, every: 780.0, limit: 150.0 }
        }

        /// A run, and the time until the next. Which shares it had.
        fn run(&mut self) -> Vec<u32> {
            let (mut age, mut shares) = (0.0, Vec::new());
            const PIECE: f64 = 0.02;
            let more = loop {
                self.left = (self.left - PIECE * self.deleted).max(0.0);
                shares.push(self.pace.share(seconds(age)));
                if self.left == 0.0 {
                    break false;
                }
                let pause = self.pace.pause(seconds(PIECE), seconds(age)).as_secs_f64();
                age += PIECE + pause;
                self.left += self.come * (PIECE + pause);
                if age >= self.limit {
                    break true;
                }
            };
            self.pace.ended(seconds(age), more);
            self.left += self.come * (self.every - age).max(0.0);
            shares
        }
    }

    #[test]
    fn a_backlog_that_goes_away_in_time_takes_the_least_share() {
        let pace = Pace::default();
        assert_eq!(pace.pause(seconds(0.02), NONE), seconds(0.46));
        for come in [0.0, 30.0] {
            let mut table = Table::new(come);
            table.left = 500_000.0;
            let mut runs = 0;
            while table.left > come * table.every {
                assert!(table.run().iter().all(|share| *share == 1), "{come}/s: {table:?}", table = table.pace);
                runs += 1;
                assert!(runs <= 5, "{come}/s: {} left", table.left);
            }
        }
    }

    #[test]
    fn rows_that_keep_coming_get_the_share_that_they_need() {
        for come in [100.0, 300.0, 600.0, 1200.0, 2400.0] {
            let mut table = Table::new(come);
            table.left = 1_000_000.0;
            for _ in 0..200 {
                table.run();
            }
            // What comes until the next run, and what a few runs at too small a share leave.
            let most = come * table.every * 4.0;
            for _ in 0..50 {
                table.run();
                assert!(table.left <= most, "{come}/s: {} left", table.left);
            }
        }
    }

    #[test]
    fn others_keep_a_quarter_of_the_time() {
        let mut table = Table::new(1_000_000.0);
        for _ in 0..50 {
            table.run();
        }
        assert_eq!(table.run().first(), Some(&18));
        assert_eq!(table.pace.pause(seconds(0.03), NONE), seconds(0.01));
    }

    #[test]
    fn when_fewer_come_again_the_share_goes_down_again() {
        let mut table = Table::new(2000.0);
        for _ in 0..50 {
            table.run();
        }
        assert!(table.run().first().is_some_and(|share| *share > 2));
        table.come = 10.0;
        for _ in 0..20 {
            table.run();
        }
        assert_eq!(table.run(), [1; 20][..table.run().len()]);
    }

    #[test]
    fn a_run_without_an_end_gets_bolder() {
        let pace = Pace::default();
        let shares: Vec<u32> = (0..10).map(|part| pace.share(LONG * part)).collect();
        assert_eq!(shares, [1, 1, 1, 1, 1, 2, 4, 8, 18, 18]);
        pace.ended(LONG * 6, false);
        assert_eq!(pace.share(NONE), 2);
    }
}
