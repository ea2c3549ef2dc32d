//! Limits the work of one evaluation over a stranger's document. A walk over a document spends steps, and stops when they are
//! used up, when its time is over, or when nobody waits for the answer any more. Long work runs on separate threads, a few at a
//! time, so that the threads that serve connections never wait for it.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::sync::Semaphore;

use crate::data::fault::{Blame, Fault};

/// Steps of one evaluation: a node visited, a comparison made, or 64 bytes of text produced.
pub const STEPS: u64 = 4_000_000;
/// Bytes of text that one evaluation may produce.
pub const BYTES: u64 = 8 << 20;
/// Steps that run in place, on the thread that serves the request: well under a millisecond.
pub const STEPS_IN_PLACE: u64 = 20_000;
/// Documents up to this size in bytes are read in place.
pub const BYTES_IN_PLACE: usize = 16 << 10;
/// Longest time that one evaluation may run.
pub const TIME: Duration = Duration::from_secs(2);
/// Evaluations that run at the same time; further ones wait for their turn.
const AT_A_TIME: usize = 4;
/// Steps between two looks at the clock.
const LOOK_EVERY: u64 = 4096;

/// What ran out. For logs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    /// The steps.
    Steps,
    /// The bytes that may be produced.
    Bytes,
    /// The time, or the caller went away.
    Time,
}

impl Exhausted {
    /// A reason.
    pub fn reason(self) -> &'static str {
        match self {
            Exhausted::Steps => "the evaluation takes more steps than are allowed",
            Exhausted::Bytes => "the evaluation produces more text than is allowed",
            Exhausted::Time => "the evaluation takes longer than is allowed",
        }
    }
}

/// The remaining budget, which the work itself spends.
pub struct Budget {
    steps: Cell<u64>,
    bytes: Cell<u64>,
    look: Cell<u64>,
    until: Option<Instant>,
    stop: Option<Arc<AtomicBool>>,
}

impl Budget {
    /// A budget of steps and bytes without a clock, for work that is short because its steps are few.
    pub fn of(steps: u64, bytes: u64) -> Budget {
        Budget { steps: Cell::new(steps), bytes: Cell::new(bytes), look: Cell::new(LOOK_EVERY), until: None, stop: None }
    }

    /// Whether the work ended because no steps were left.
    pub fn is_exhausted(&self) -> bool {
        self.steps.get() == 0
    }

    /// Takes some steps.
    pub fn spend(&self, steps: u64) -> Result<(), Exhausted> {
        let Some(left) = self.steps.get().checked_sub(steps) else {
            self.steps.set(0);
            return Err(Exhausted::Steps);
        };
        self.steps.set(left);
        match self.look.get().checked_sub(steps) {
            Some(left) => self.look.set(left),
            None => {
                self.look.set(LOOK_EVERY);
                let stopped = self.stop.as_ref().is_some_and(|stop| stop.load(Ordering::Relaxed));
                if stopped || self.until.is_some_and(|until| Instant::now() >= until) {
                    return Err(Exhausted::Time);
                }
            }
        }
        Ok(())
    }

    /// Spends bytes for a text to produce, and the steps for writing it.
    pub fn produce(&self, bytes: usize) -> Result<(), Exhausted> {
        self.spend(1 + bytes as u64 / 64)?;
        let left = self.bytes.get().checked_sub(bytes as u64).ok_or(Exhausted::Bytes)?;
        self.bytes.set(left);
        Ok(())
    }
}

static PLACES: Semaphore = Semaphore::const_new(AT_A_TIME);

/// Runs work on a separate thread with the whole budget. If the caller goes away (because its request timed out), the work stops
/// at its next check. A fault only if the work panics.
pub async fn run<T: Send + 'static>(work: impl FnOnce(&Budget) -> T + Send + 'static) -> Result<T, Fault> {
    on_thread(None, work).await
}

/// Like [`run`], with a stack of so many bytes, for work that is nested as deep as a stranger wants.
pub async fn run_deep<T: Send + 'static>(stack: usize, work: impl FnOnce(&Budget) -> T + Send + 'static) -> Result<T, Fault> {
    on_thread(Some(stack), work).await
}

async fn on_thread<T: Send + 'static>(
    stack: Option<usize>,
    work: impl FnOnce(&Budget) -> T + Send + 'static,
) -> Result<T, Fault> {
    let internal =
        |error: Box<dyn std::error::Error + Send + Sync>| Fault::because(Blame::Internal, "evaluating a document", error);
    let place = PLACES.acquire().await.map_err(|error| internal(error.into()))?;
    let stop = StopOnDrop(Arc::new(AtomicBool::new(false)));
    let seen = stop.0.clone();
    let task = tokio::task::spawn_blocking(move || {
        // The place becomes free when the work ends, which may be after its caller has gone.
        let _place = place;
        let work = move || work(&Budget { until: Some(Instant::now() + TIME), stop: Some(seen), ..Budget::of(STEPS, BYTES) });
        match stack {
            None => Ok(work()),
            Some(stack) => match std::thread::Builder::new().stack_size(stack).spawn(work)?.join() {
                Ok(made) => Ok(made),
                Err(panic) => std::panic::resume_unwind(panic),
            },
        }
    });
    let made: std::io::Result<T> = task.await.map_err(|error| internal(error.into()))?;
    made.map_err(|error| internal(error.into()))
}

struct StopOnDrop(Arc<AtomicBool>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_up_is_named() {
        let budget = Budget::of(10, 100);
        assert_eq!(budget.spend(10), Ok(()));
        assert_eq!(budget.spend(1), Err(Exhausted::Steps));
        let budget = Budget::of(100, 100);
        assert_eq!(budget.produce(101), Err(Exhausted::Bytes));
        assert_eq!(budget.produce(100), Ok(()));
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn work_stops_when_its_caller_goes_away() {
        let (told, ended) = tokio::sync::oneshot::channel();
        let work = run(move |budget| {
            let mut result = Ok(());
            // Steps cannot run out here: only the time or the caller's going away ends this.
            while result.is_ok() {
                budget.steps.set(STEPS);
                result = budget.spend(LOOK_EVERY);
            }
            let _ = told.send(result);
        });
        let caller = tokio::spawn(work);
        tokio::time::sleep(Duration::from_millis(20)).await;
        caller.abort();
        assert_eq!(ended.await, Ok(Err(Exhausted::Time)));
    }
}
