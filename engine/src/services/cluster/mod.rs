//! The other gateways on the same database. What one of them changes, the others have to forget: each removal from a cache is told to all
//! ([`bus`]). They are told after the change was committed, so whoever reads again reads what is new.
//!
//! Messages go over Redis, or over a PostgreSQL database. Both may lose messages while a gateway is not connected, so it empties its
//! caches when it is connected again, and until then uses what it has for a limited time. There is no lock and no agreement: the database
//! stays the only truth.

mod bus;
mod counters;
mod link;
mod message;
mod redis;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

use self::counters::Counters;
use self::link::{Carrier, Link};
use self::message::Message;
use crate::data::time::Clock;
use crate::services::cache::{Caches, Removal};
use crate::services::config;
use crate::services::store::Connections;

pub use bus::Running;
pub use counters::Attempt;

/// How long an answer may wait until the others were told. It is true by then on this gateway; where the bus is slow, the others follow.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a command, which ends soon, tries to tell the gateways.
const COMMAND: Duration = Duration::from_secs(5);
/// Most removals that wait to be told; beyond it, the others empty all caches.
const WAITING: usize = 10_000;

/// What was told, so that somebody can wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Ticket(u64);

/// The state of the bus, for operators.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Report {
    /// `redis`, `database`, or `none`.
    pub bus: String,
    /// `up`, `down`, `connecting`, `off`.
    pub state: String,
    /// Other gateways that were heard of late.
    pub others: usize,
    /// Messages sent.
    pub sent: u64,
    /// Messages of other gateways.
    pub received: u64,
    /// Messages that nobody here understands.
    pub ignored: u64,
    /// How often it was connected again.
    pub reconnects: u64,
    /// How often all caches were emptied because messages may have been missed.
    pub flushes: u64,
    /// Whether limits count over all gateways: `shared`, or each for itself: `own`.
    pub limits: String,
    /// What went wrong last.
    pub last_error: Option<String>,
}

/// The other gateways.
pub struct Cluster {
    carrier: Carrier,
    /// What names on the bus begin with.
    name: String,
    /// How long caches are used while the bus is away, in milliseconds.
    outdated: i64,
    node: String,
    connections: ArcSwap<Connections>,
    /// What counts over all gateways, as long as there is a connection.
    counters: ArcSwapOption<Counters>,
    /// Whether it counted the last time.
    shares: AtomicBool,
    caches: Arc<Caches>,
    clock: Arc<Clock>,
    queue: Mutex<Queue>,
    /// There is something in the queue.
    wake: Notify,
    progress: watch::Sender<Progress>,
    report: Mutex<Report>,
    /// Whether a task keeps the connection. A command has none, and connects only if it has something to tell.
    runs: AtomicBool,
}

#[derive(Default)]
struct Queue {
    removals: Vec<Removal>,
    /// The ticket of the last of them.
    accepted: u64,
    /// Messages sent.
    number: u64,
}

#[derive(Clone, Copy, Default)]
struct Progress {
    sent: u64,
    up: bool,
}

impl Default for Cluster {
    fn default() -> Self {
        Cluster::with(Carrier::Nothing, &config::Cluster::default(), Arc::default(), Arc::default())
    }
}

/// The connection whose database carries messages, if the settings want one: the one that they name, or the first of PostgreSQL.
fn chosen<'a>(given: &'a config::Cluster, connections: &'a Connections) -> Option<&'a str> {
    match given.connection.as_deref() {
        Some("off") => None,
        Some(name) => Some(name),
        None => connections.iter().find(|connection| connection.passes_messages()).map(|found| found.name().as_str()),
    }
}

/// What is wrong with the settings, apart from files and connections.
pub fn check(given: &config::Cluster) -> Result<(), String> {
    given.redis.as_ref().map_or(Ok(()), |redis| redis::check(redis).map_err(|error| format!("`cluster.redis`: {error}")))
}

impl Cluster {
    /// Prepares it. Nothing is connected before it runs.
    pub fn open(
        given: &config::Cluster,
        connections: &Connections,
        home: &Path,
        caches: &Arc<Caches>,
        clock: &Arc<Clock>,
    ) -> Result<Cluster, String> {
        let carrier = match (&given.redis, chosen(given, connections)) {
            (Some(given_redis), _) => {
                let redis = redis::Redis::new(given_redis, &given.name, home);
                Carrier::Redis(Box::new(redis.map_err(|error| format!("`cluster.redis`: {error}"))?))
            }
            (None, Some(name)) => match connections.get(name).map(|connection| connection.passes_messages()) {
                Some(true) => Carrier::Database(name.to_owned()),
                Some(false) => {
                    return Err(format!(
                        "`cluster.connection`: `{name}` is no PostgreSQL database, or is behind a pooler, and no other passes messages on"
                    ));
                }
                None => return Err(format!("`cluster.connection`: there is no connection `{name}`")),
            },
            (None, None) => Carrier::Nothing,
        };
        let cluster = Cluster::with(carrier, given, Arc::clone(caches), Arc::clone(clock));
        cluster.use_connections(connections);
        Ok(cluster)
    }

    fn with(carrier: Carrier, given: &config::Cluster, caches: Arc<Caches>, clock: Arc<Clock>) -> Cluster {
        let (bus, state) = match carrier {
            Carrier::Nothing => ("none", "off"),
            Carrier::Redis(_) => ("redis", "connecting"),
            Carrier::Database(_) => ("database", "connecting"),
        };
        let report = Report { bus: bus.to_owned(), state: state.to_owned(), ..Report::default() };
        Cluster {
            carrier,
            name: given.name.clone(),
            outdated: i64::try_from(given.outdated.0.as_millis()).unwrap_or(i64::MAX),
            node: message::new_node(),
            connections: ArcSwap::default(),
            counters: ArcSwapOption::empty(),
            shares: AtomicBool::new(false),
            caches,
            clock,
            queue: Mutex::default(),
            wake: Notify::new(),
            progress: watch::Sender::default(),
            report: Mutex::new(report),
            runs: AtomicBool::new(false),
        }
    }

    /// Tells the others what to remove, soon; `None` if there is nobody to tell.
    pub fn tell(&self, mut removals: Vec<Removal>) -> Option<Ticket> {
        if matches!(self.carrier, Carrier::Nothing) || removals.is_empty() {
            return None;
        }
        let mut queue = self.queue();
        queue.accepted += removals.len() as u64;
        if queue.removals.len() + removals.len() > WAITING {
            // Nobody takes them for long: the bus is away, or many are removed at once. The queue stays bounded, the others pay.
            queue.removals = vec![Removal::all("*")];
        } else {
            // Whoever removes much may empty the same cache again and again.
            let same =
                |removal: &Removal| removal.key.is_none() && queue.removals.iter().rev().take(100).any(|other| other == removal);
            removals.retain(|removal| !same(removal));
            queue.removals.append(&mut removals);
        }
        let ticket = Ticket(queue.accepted);
        drop(queue);
        self.wake.notify_one();
        Some(ticket)
    }

    /// Waits until the others were told. Not for long, and not while the bus is away: they empty their caches when it is back.
    ///
    /// Without this wait, a client could be told of a revocation and see another gateway accept the token a moment later. It costs a
    /// round trip to the bus, and only requests that change something pay it; all that wait at once are sent together.
    pub async fn told(self: &Arc<Self>, ticket: Ticket) {
        if !self.runs.load(Ordering::Acquire) {
            return self.deliver().await;
        }
        let mut progress = self.progress.subscribe();
        let done = progress.wait_for(|progress| progress.sent >= ticket.0 || !progress.up);
        let _ = tokio::time::timeout(PATIENCE, done).await;
    }

    /// The state of the bus.
    pub fn report(&self) -> Report {
        let shared = self.shares.load(Ordering::Relaxed) && self.counters.load().is_some();
        let report = self.report.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Report { limits: if shared { "shared" } else { "own" }.to_owned(), ..report }
    }

    /// The connections of other settings.
    pub fn use_connections(&self, connections: &Connections) {
        self.connections.store(Arc::new(connections.clone()));
    }

    async fn link(&self) -> Result<Link, String> {
        Link::open(&self.carrier, &self.connections.load_full(), &self.name).await
    }

    /// Sends what there is from a process that does not stay.
    async fn deliver(&self) {
        let sent = tokio::time::timeout(COMMAND, async {
            let mut link = self.link().await?;
            link.sender.send(&self.outgoing(true).messages).await
        });
        let result = sent.await.unwrap_or_else(|_| Err("it does not answer".to_owned()));
        if let Err(error) = result {
            tracing::warn!("other gateways could not be told of this change and learn of it when their caches expire: {error}");
        }
    }

    /// Takes what is to be sent: at least one message, so that the others know that this gateway is there.
    fn outgoing(&self, bye: bool) -> Outgoing {
        let mut queue = self.queue();
        let removals = std::mem::take(&mut queue.removals);
        let (mut rest, mut messages) = (removals.clone(), Vec::new());
        while messages.is_empty() || !rest.is_empty() {
            let removals = message::fitting(&mut rest);
            queue.number += 1;
            let message = Message { node: self.node.clone(), number: queue.number, removals, bye: bye && rest.is_empty() };
            messages.push(message.write());
        }
        Outgoing { messages, removals, accepted: queue.accepted }
    }

    /// Keeps what could not be sent for the next try. Perhaps it was sent: then it is sent twice, which does no harm.
    fn keep(&self, mut unsent: Vec<Removal>) {
        let mut queue = self.queue();
        unsent.append(&mut queue.removals);
        queue.removals = if unsent.len() > WAITING { vec![Removal::all("*")] } else { unsent };
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, change: impl FnOnce(&mut Report)) {
        change(&mut self.report.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// What is sent at once.
struct Outgoing {
    messages: Vec<String>,
    removals: Vec<Removal>,
    /// The ticket of the last removal.
    accepted: u64,
}

#[cfg(test)]
mod tests;
