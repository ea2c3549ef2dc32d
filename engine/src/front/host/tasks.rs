//! Tasks: policies on a schedule.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use portcullis_dsl::ast::ItemKind;

use super::Host;
use crate::data::fault::Blame;
use crate::policy::exec::Ending;
use crate::policy::site::Site;

/// How often schedules are checked.
const TICK: Duration = Duration::from_secs(1);
/// A task first runs this soon after the start, or after its own interval if that is shorter, so that it also runs on a gateway
/// that restarts often.
const FIRST: Duration = Duration::from_secs(30);

/// Runs every task of the current generation on schedule, one run of a task at a time.
pub(super) async fn run(host: Arc<Host>) {
    let mut due: HashMap<String, Instant> = HashMap::new();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let site = host.site();
        site.services.audit.tell_left_out(site.services.clock.now_millis());
        let now = Instant::now();
        let mut ready = Vec::new();
        for task in site.library.tasks() {
            let ItemKind::Task { every } = &task.item.kind else { continue };
            let every = Duration::from_millis(every.node.millis().max(1000));
            let next = due.entry(task.name.clone()).or_insert_with(|| now + every.min(FIRST));
            if *next <= now {
                *next = now + every;
                ready.push(task.name.clone());
            }
        }
        due.retain(|name, _| site.library.tasks().any(|task| task.name == *name));
        for name in ready {
            run_one(&site, &name, host.config().limits.task_timeout.0).await;
        }
    }
}

async fn run_one(site: &Arc<Site>, name: &str, limit: Duration) {
    let started = Instant::now();
    let result = match guard(site.run_named(name, &[]), limit).await {
        RunEnd::Ended(Some((Ending::Held, _))) => {
            tracing::debug!(task = name, millis = started.elapsed().as_millis() as u64, "task done");
            "done"
        }
        RunEnd::Ended(Some((Ending::Failed, _))) => {
            tracing::warn!(task = name, "task failed");
            "failed"
        }
        RunEnd::Ended(Some((Ending::Broken(fault), _))) => {
            site.services.metrics.fault(fault.blame.word());
            tracing::error!(task = name, place = fault.place, blame = fault.blame.word(), "task broke: {fault}");
            "broken"
        }
        RunEnd::Ended(None) => return,
        RunEnd::TooLong => {
            tracing::error!(task = name, "task aborted: it took longer than `limits.task_timeout` ({} s)", limit.as_secs_f64());
            "too_long"
        }
        RunEnd::Panicked(words) => {
            site.services.metrics.fault(Blame::Internal.word());
            tracing::error!(task = name, "task aborted by an error in the gateway itself; please report it: {words}");
            "panicked"
        }
    };
    site.services.metrics.task(name, result);
}

/// How a run ended.
#[derive(Debug, PartialEq)]
enum RunEnd<T> {
    Ended(T),
    TooLong,
    Panicked(String),
}

/// Runs something so that neither a panic nor a hang stops the caller.
async fn guard<T>(run: impl Future<Output = T>, limit: Duration) -> RunEnd<T> {
    // A panic leaves only the run's own state half done: its context and its transaction, which are dropped.
    match tokio::time::timeout(limit, AssertUnwindSafe(run).catch_unwind()).await {
        Ok(Ok(ended)) => RunEnd::Ended(ended),
        Err(_) => RunEnd::TooLong,
        Ok(Err(panic)) => {
            let words = panic.downcast_ref::<&str>().map(|words| (*words).to_owned());
            RunEnd::Panicked(words.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_run_that_panics_or_hangs_ends_alone() {
        let limit = Duration::from_millis(50);
        assert_eq!(guard(async { 7 }, limit).await, RunEnd::Ended(7));
        assert_eq!(guard(std::future::pending::<()>(), limit).await, RunEnd::TooLong);
        let panicking = async {
            tokio::task::yield_now().await;
            panic!("out of {}", "order")
        };
        assert_eq!(guard::<()>(panicking, limit).await, RunEnd::Panicked("out of order".to_owned()));
    }
}
