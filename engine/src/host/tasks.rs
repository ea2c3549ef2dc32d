//! Tasks: policies on a schedule.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use portcullis_dsl::ast::ItemKind;

use super::Host;
use crate::exec::Ending;
use crate::site::Site;

/// How often schedules are looked at.
const TICK: Duration = Duration::from_secs(1);
/// A task's first run comes this soon after the start, or after its own interval if that is shorter: a gateway that restarts often
/// must still get round to it.
const FIRST: Duration = Duration::from_secs(30);

/// Runs every task of the generation in effect at its time, one run of a task at a time.
pub(super) async fn run(host: Arc<Host>) {
    let mut due: HashMap<String, Instant> = HashMap::new();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let site = host.site();
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
            run_one(&site, &name).await;
        }
    }
}

async fn run_one(site: &Arc<Site>, name: &str) {
    let started = Instant::now();
    match site.run_named(name, &[]).await {
        Some((Ending::Held, _)) => {
            tracing::debug!(task = name, millis = started.elapsed().as_millis() as u64, "task done");
        }
        Some((Ending::Failed, _)) => tracing::warn!(task = name, "task failed"),
        Some((Ending::Broken(fault), _)) => {
            site.gateway.metrics.fault(fault.blame.word());
            tracing::error!(task = name, place = fault.place, blame = fault.blame.word(), "task broke: {fault}");
        }
        None => {}
    }
}
