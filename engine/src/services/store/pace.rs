//! How much of the time a clean-up takes from those who are served.
//!
//! A run works for a *share* of the time and pauses for the remainder: after work that took `t`, for `t * (1 / share - 1)`.
//!
//! - The share is a forty-eighth as long as the rows become fewer. That is what nobody notices: what a clean-up takes from others is about
//!   three times its share, because what it changes is also written to the log and back to the table, and its pages push theirs out of caches.
//! - Whether they do is counted at the end of each run whose time was over before the last row. A large backlog changes nothing while it
//!   shrinks: after an import, or after a task was off. Each time that no fewer rows are left than the time before, the share doubles, up to
//!   three quarters.
//! - A run that leaves nothing takes one such step back. So where many rows come all the time, the share stays near the one that keeps up.
//! - A run without an end is counted every few minutes, so it is no exception.
//!
//! So the rows that are left do not grow for ever, unless more of them come than can be deleted in three quarters of the time of all runs.
//! That time is for whoever writes the task: how often it runs, and how long.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

/// What one share is a part of.
const WHOLE: u32 = 48;
/// The share, by how often the rows became no fewer.
const SHARES: [u32; 6] = [1, 2, 4, 8, 16, 36];
/// No count yet.
const UNKNOWN: u64 = u64::MAX;

/// What is known of the runs so far.
#[derive(Debug)]
pub(super) struct Pace {
    /// How often the rows became no fewer, less the runs that left none.
    behind: AtomicU32,
    /// How many were left the last time.
    left: AtomicU64,
}

impl Default for Pace {
    fn default() -> Self {
        Pace { behind: AtomicU32::new(0), left: AtomicU64::new(UNKNOWN) }
    }
}

impl Pace {
    /// The pause after work that took so long.
    pub(super) fn pause(&self, work: Duration) -> Duration {
        let share = self.share();
        work * (WHOLE - share) / share
    }

    /// Notes how many rows a run has left, or has left so far.
    pub(super) fn left(&self, rows: u64) {
        let before = self.left.swap(rows, Ordering::Relaxed);
        let behind = self.behind.load(Ordering::Relaxed);
        if rows >= before && (behind as usize) < SHARES.len() - 1 {
            self.behind.store(behind + 1, Ordering::Relaxed);
        }
    }

    /// Notes that a run has left nothing.
    pub(super) fn done(&self) {
        self.left.store(UNKNOWN, Ordering::Relaxed);
        let behind = self.behind.load(Ordering::Relaxed);
        self.behind.store(behind.saturating_sub(1), Ordering::Relaxed);
    }

    fn share(&self) -> u32 {
        SHARES.get(self.behind.load(Ordering::Relaxed) as usize).copied().unwrap_or(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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

        /// A run, and the time until the next. Which share it had.
        fn run(&mut self) -> u32 {
            let (mut age, share) = (0.0, self.pace.share());
            const PIECE: f64 = 0.02;
            loop {
                self.left = (self.left - PIECE * self.deleted).max(0.0);
                if self.left == 0.0 {
                    self.pace.done();
                    break;
                }
                let pause = self.pace.pause(seconds(PIECE)).as_secs_f64();
                age += PIECE + pause;
                self.left += self.come * (PIECE + pause);
                if age >= self.limit {
                    self.pace.left(self.left as u64);
                    break;
                }
            }
            self.left += self.come * (self.every - age).max(0.0);
            share
        }
    }

    #[test]
    fn a_backlog_that_shrinks_takes_the_least_share_however_large() {
        assert_eq!(Pace::default().pause(seconds(0.02)), seconds(0.94));
        for (come, left) in [(0.0, 500_000.0), (30.0, 500_000.0), (60.0, 2_000_000.0)] {
            let mut table = Table::new(come);
            table.left = left;
            let mut runs = 0;
            while table.left > come * table.every {
                assert_eq!(table.run(), 1, "{come}/s: {table:?}", table = table.pace);
                runs += 1;
                assert!(runs <= 200, "{come}/s: {} left", table.left);
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
        assert_eq!(table.run(), 36);
        assert_eq!(table.pace.pause(seconds(0.03)), seconds(0.01));
    }

    #[test]
    fn when_fewer_come_again_the_share_goes_down_again() {
        let mut table = Table::new(2000.0);
        for _ in 0..50 {
            table.run();
        }
        assert!(table.run() > 2);
        table.come = 10.0;
        for _ in 0..20 {
            table.run();
        }
        assert_eq!(table.run(), 1);
    }
}
