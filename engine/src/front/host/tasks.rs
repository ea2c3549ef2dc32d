//! Tasks: policies on a schedule. The policy says how often; `tasks` of `gateway.yaml` says otherwise. Of several gateways on one
//! database one runs a task ([`lease`]).

mod lease;
mod report;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use portcullis_dsl::Policy;
use portcullis_dsl::ast::{self, ItemKind};
use tokio::task::JoinSet;

use self::lease::{Claim, HELD, Lease, When};
use super::Host;
use crate::data::fault::Blame;
use crate::data::time::Schedule;
use crate::policy::exec::Ending;
use crate::policy::site::Site;
use crate::services::config::{Nodes, Task};

pub use report::{Ran, TaskReport};

/// How often schedules are checked.
const TICK: Duration = Duration::from_secs(1);
/// A task first runs this soon after the start, or after its own interval if that is shorter, so that it also runs on a gateway
/// that restarts often. Milliseconds.
const FIRST: i64 = 30_000;
/// How soon a task whose row cannot be taken, because its database is down, is tried again.
const RETRY: i64 = 5_000;

/// What this gateway knows of its tasks.
pub(super) struct Board {
    /// The name of this gateway in the rows of tasks.
    node: String,
    tasks: Mutex<BTreeMap<String, Known>>,
}

impl Default for Board {
    fn default() -> Self {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let part = uuid::Uuid::new_v4().simple().to_string();
        let name: String = name.chars().take(64).collect();
        let part = part.get(..8).unwrap_or_default();
        Board { node: format!("{name} {} {part}", std::process::id()), tasks: Mutex::default() }
    }
}

/// A task. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Known {
    /// The settings by which `due` was found.
    rhythm: Rhythm,
    once: Option<i64>,
    /// `i64::MAX`: never.
    due: i64,
    running: bool,
    /// When it last ran here, and how that ended.
    last: Option<(i64, &'static str)>,
}

/// When a task runs again and again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Rhythm {
    /// So many milliseconds after it began to run.
    Every(i64),
    /// At these times.
    At(Schedule),
}

impl Rhythm {
    /// The first time.
    fn first(&self, now: i64) -> i64 {
        match self {
            Rhythm::Every(every) => now + (*every).min(FIRST),
            Rhythm::At(_) => self.next(now),
        }
    }

    /// The time after this one.
    fn next(&self, after: i64) -> i64 {
        match self {
            Rhythm::Every(every) => after + every,
            Rhythm::At(schedule) => schedule.next(after).unwrap_or(i64::MAX),
        }
    }
}

impl Board {
    fn tasks(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tasks whose time has come. They count as running.
    fn due(&self, now: i64, all: &[(String, Rhythm, Task)]) -> Vec<String> {
        let mut tasks = self.tasks();
        tasks.retain(|name, known| known.running || all.iter().any(|(own, ..)| own == name));
        let mut ready = Vec::new();
        for (name, rhythm, task) in all {
            let once = task.once.map(|once| once.0);
            let first = || match once {
                // Of a gateway's own time before it started nothing is known. A row tells.
                Some(at) if at < now && task.nodes == Nodes::All => i64::MAX,
                Some(at) => at,
                None => rhythm.first(now),
            };
            let known = tasks.entry(name.clone()).or_insert_with(|| Known {
                rhythm: rhythm.clone(),
                once,
                due: first(),
                running: false,
                last: None,
            });
            if (&known.rhythm, known.once) != (rhythm, once) {
                (known.rhythm, known.once, known.due) = (rhythm.clone(), once, first());
            }
            // A time on another day is over; an interval waits for its day.
            let timed = matches!(rhythm, Rhythm::At(_)) && once.is_none();
            if timed && known.due <= now && !task.on_day(known.due) {
                known.due = rhythm.next(now);
            }
            if task.enabled && known.due <= now && !known.running && (timed || task.on_day(now)) {
                known.running = true;
                known.due = if once.is_some() { i64::MAX } else { rhythm.next(now) };
                ready.push(name.clone());
            }
        }
        ready
    }

    /// Notes how a turn of a task ended: when it is due again, and how it ran, if it did.
    fn ended(&self, name: &str, due: Option<i64>, run: Option<(i64, &'static str)>) {
        if let Some(known) = self.tasks().get_mut(name) {
            known.running = false;
            known.due = due.unwrap_or(known.due);
            known.last = run.or(known.last);
        }
    }
}

/// When a task runs, and its settings.
fn settings(host: &Host, task: &Policy) -> (Rhythm, Task) {
    let mut settings = host.config().tasks.get(&task.name).cloned().unwrap_or_default();
    // What belongs to a kit that this gateway does not serve is for another one.
    settings.enabled &= host.config().runs(&task.name);
    let every = |millis: u64| Rhythm::Every(i64::try_from(millis.max(1000)).unwrap_or(i64::MAX / 2));
    // What cannot be read was refused when it was loaded.
    let zone = settings.zone.get_or_insert_with(|| host.config().schedule_zone.clone()).clone();
    let at = |times: &str| Schedule::parse(times).map_or(Rhythm::Every(i64::MAX / 2), |times| Rhythm::At(times.by(zone.clone())));
    let rhythm = match (&settings.at, settings.every, &task.item.kind) {
        (Some(times), ..) => at(times),
        (None, Some(span), _) => every(span.0.as_millis() as u64),
        (None, None, ItemKind::Task(ast::Schedule::Every(span))) => every(span.node.millis()),
        (None, None, ItemKind::Task(ast::Schedule::At(times))) => at(times),
        (None, None, _) => every(0),
    };
    (rhythm, settings)
}

/// Runs every task of the current generation on schedule, one run of a task at a time.
pub(super) async fn run(host: Arc<Host>) {
    // In tests, who moves the clock says when a task runs.
    if host.options.clock.is_some() {
        return;
    }
    let mut runs = JoinSet::new();
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let services = host.services();
        services.audit.tell_left_out(services.clock.now_millis());
        while runs.try_join_next().is_some() {}
        for name in ready(&host) {
            let host = Arc::clone(&host);
            runs.spawn(async move { turn(&host, &name, false).await });
        }
    }
}

/// The tasks whose time has come.
fn ready(host: &Host) -> Vec<String> {
    ready_at(host, host.services().clock.now_millis())
}

fn ready_at(host: &Host, now: i64) -> Vec<String> {
    let site = host.site();
    let all: Vec<(String, Rhythm, Task)> = site
        .library
        .tasks()
        .map(|task| {
            let (rhythm, settings) = settings(host, task);
            (task.name.clone(), rhythm, settings)
        })
        .collect();
    host.tasks.due(now, &all)
}

/// Runs a task that counts as running, unless another gateway does. `now`: even if it is not due.
async fn turn(host: &Arc<Host>, name: &str, now: bool) -> Option<&'static str> {
    let site = host.site();
    let clock = &site.services.clock;
    let Some(task) = site.library.tasks().find(|task| task.name == name) else {
        host.tasks.ended(name, None, None);
        return None;
    };
    let (rhythm, settings) = settings(host, task);
    let mut lease = lease_of(host, &site, task, &settings);
    if let Some(row) = &lease {
        let when = match settings.once {
            _ if now => When::Now,
            Some(once) => When::Once(once.0),
            None => When::Due,
        };
        match row.claim(clock.now_millis(), when).await {
            Ok(Claim::Taken) => {}
            Ok(Claim::Nobody) => lease = None,
            Ok(Claim::Until(due)) => {
                host.tasks.ended(name, (!now).then_some(due), None);
                return None;
            }
            Err(error) => {
                tracing::warn!(task = name, "the task waits for its database: {error}");
                host.tasks.ended(name, (!now).then(|| clock.now_millis() + RETRY), None);
                return None;
            }
        }
    }
    let begun = clock.now_millis();
    let result = run_one(&site, name, host.config().limits.task_timeout.0, lease.as_ref()).await;
    let due = if settings.once.is_some() { i64::MAX } else { rhythm.next(begun) };
    if let Some(lease) = &lease
        && let Err(error) = lease.leave(due, begun, result).await
    {
        tracing::warn!(task = name, "how the task ended cannot be noted: {error}");
    }
    host.tasks.ended(name, Some(due), Some((begun, result)));
    Some(result)
}

/// The row of a task that one gateway runs: on the connection of its file.
fn lease_of(host: &Host, site: &Site, task: &Policy, settings: &Task) -> Option<Lease> {
    let connection = task.connection.as_ref()?.literal()?;
    let connection = site.services.connections.get(connection).filter(|_| settings.nodes == Nodes::One)?;
    Some(Lease::new(connection.clone(), &task.name, &host.tasks.node))
}

async fn run_one(site: &Arc<Site>, name: &str, limit: Duration, lease: Option<&Lease>) -> &'static str {
    let started = Instant::now();
    let ended = tokio::select! {
        ended = guard(site.run_named(name, &[]), limit) => ended,
        () = lost(site, lease) => {
            tracing::error!(task = name, "task aborted: this gateway was too slow to keep its row, and another one may run it");
            site.services.metrics.task(name, "lost");
            return "lost";
        }
    };
    let result = match ended {
        RunEnd::Ended(Some((Ending::Held, _))) => {
            tracing::debug!(task = name, millis = started.elapsed().as_millis() as u64, "task done");
            "done"
        }
        RunEnd::Ended(Some((Ending::Failed, _)) | None) => {
            tracing::warn!(task = name, "task failed");
            "failed"
        }
        RunEnd::Ended(Some((Ending::Broken(fault), _))) => {
            site.services.metrics.fault(fault.blame.word());
            tracing::error!(task = name, place = fault.place, blame = fault.blame.word(), "task broke: {fault}");
            "broken"
        }
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
    result
}

/// Keeps the row of a running task. Ends when it is lost.
async fn lost(site: &Site, lease: Option<&Lease>) {
    let Some(lease) = lease else { return std::future::pending().await };
    loop {
        tokio::time::sleep(Duration::from_millis(HELD as u64 / 3)).await;
        match lease.keep(site.services.clock.now_millis()).await {
            Ok(true) => {}
            Ok(false) => return,
            // Before the row's time is over there are two more attempts.
            Err(error) => tracing::warn!("the row of a running task cannot be kept: {error}"),
        }
    }
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
