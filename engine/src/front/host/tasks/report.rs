//! What a gateway says of its tasks, and a run that somebody asks for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Rhythm, lease_of, settings, turn};
use crate::data::time::iso8601;
use crate::front::host::Host;
use crate::services::config::Nodes;

/// How long a task's database may take to answer.
const LOOK: Duration = Duration::from_secs(2);

/// A task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TaskReport {
    /// Milliseconds from one run to the next; 0 if it runs at certain times.
    pub every: u64,
    /// Those times, in the notation of cron.
    pub at: Option<String>,
    /// The time zone of those times, and of the days on which it runs.
    #[serde(default)]
    pub zone: String,
    /// Whether it runs by itself.
    pub enabled: bool,
    /// Whether each gateway on its database runs it, and not one of them.
    pub everywhere: bool,
    /// Whether it is running, here or elsewhere.
    pub running: bool,
    /// When it last began to run.
    pub last_run: Option<String>,
    /// How that ended.
    pub result: Option<String>,
    /// When it runs next.
    pub next_run: Option<String>,
    /// What the clocks of its zone show then; left out if that is UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_run_there: Option<String>,
    /// The gateway that ran it: machine, process and a random word.
    pub node: Option<String>,
}

/// The outcome of a run that somebody asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ran {
    /// There is no such task; there are these.
    Unknown(Vec<String>),
    /// It is running already, here or on another gateway, or its database is down.
    Busy,
    /// It ran and ended so.
    Ended(String),
}

impl Host {
    /// All tasks by name.
    pub async fn task_reports(&self) -> BTreeMap<String, TaskReport> {
        let site = self.site();
        let now = site.services.clock.now_millis();
        let mut reports = BTreeMap::new();
        for task in site.library.tasks() {
            let (rhythm, settings) = settings(self, task);
            let (every, at) = match rhythm {
                Rhythm::Every(every) => (every, None),
                Rhythm::At(schedule) => (0, Some(schedule.text().to_owned())),
            };
            let known = self.tasks.tasks().get(&task.name).cloned();
            let (due, mut running) = known.as_ref().map_or((None, false), |known| (Some(known.due), known.running));
            let mut last =
                known.and_then(|known| known.last).map(|(at, result)| (at, result.to_owned(), self.tasks.node.clone()));
            if let Some(lease) = lease_of(self, &site, task, &settings)
                && let Ok(Ok(Some(told))) = tokio::time::timeout(LOOK, lease.look(now)).await
            {
                running |= told.held;
                if told.last_run > last.as_ref().map_or(0, |(at, ..)| *at) {
                    last = Some((told.last_run, told.result, told.holder));
                }
            }
            let zone = settings.zone.clone().unwrap_or_default();
            let due = due.filter(|due| settings.enabled && *due < i64::MAX);
            reports.insert(
                task.name.clone(),
                TaskReport {
                    every: every.unsigned_abs(),
                    at,
                    zone: zone.name().to_owned(),
                    enabled: settings.enabled,
                    everywhere: settings.nodes == Nodes::All,
                    running,
                    last_run: last.as_ref().map(|(at, ..)| iso8601(*at)),
                    result: last.as_ref().map(|(_, result, _)| result.clone()),
                    next_run: due.map(iso8601),
                    next_run_there: due.filter(|_| !zone.is_utc()).and_then(|due| zone.clock(due)),
                    node: last.map(|(.., node)| node),
                },
            );
        }
        reports
    }

    /// Runs a task now, whenever it is due.
    pub async fn run_task(self: &Arc<Self>, name: &str) -> Ran {
        let site = self.site();
        let Some(task) = site.library.tasks().find(|task| task.name.eq_ignore_ascii_case(name)) else {
            return Ran::Unknown(site.library.tasks().map(|task| task.name.clone()).collect());
        };
        // Whether or not the schedule has looked at it yet.
        super::ready_at(self, i64::MIN);
        {
            let mut tasks = self.tasks.tasks();
            match tasks.get_mut(&task.name) {
                Some(known) if !known.running => known.running = true,
                _ => return Ran::Busy,
            }
        }
        turn(self, &task.name, true).await.map_or(Ran::Busy, |result| Ran::Ended(result.to_owned()))
    }
}
