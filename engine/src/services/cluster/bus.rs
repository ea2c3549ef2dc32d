//! The task that keeps the connection to the bus, sends what there is to tell, and does what the others say.
//!
//! A connection counts only when a message of this gateway's own has come back on it. From then on nothing is missed, and all caches are
//! emptied once, for what was missed before. It counts no more when it ends, or when such messages stay out: a listener that is cut off
//! notices nothing by itself. A gap in the numbers of another gateway's messages, or one that falls silent without a farewell, may mean
//! that it changed something and could not say so. Then the caches are emptied too.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::link::{Carrier, Link};
use super::message::Message;
use super::{Cluster, Outgoing};
use crate::services::cache::Author;

/// How often a gateway says that it is there.
const BEAT: Duration = Duration::from_secs(1);
/// After this time without a message of its own, or of another gateway, something is wrong.
const SILENT: Duration = Duration::from_secs(6);
/// For connecting.
const OPEN: Duration = Duration::from_secs(10);
/// For sending.
const SEND: Duration = Duration::from_secs(2);
/// Between two tries to connect, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));
/// Most gateways that are known.
const NODES: usize = 1000;

/// The running task.
pub struct Running {
    stop: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

impl Running {
    /// Sends what is left, and a farewell.
    pub async fn finish(self) {
        let _ = self.stop.send(());
        let _ = tokio::time::timeout(SEND, self.task).await;
    }
}

impl Cluster {
    /// Connects to the bus and stays connected, as long as the result is kept; `None` if there is no bus.
    pub fn start(self: &Arc<Self>) -> Option<Running> {
        if matches!(self.carrier, Carrier::Nothing) {
            return None;
        }
        self.caches.distrust(self.clock.now_millis(), self.outdated);
        self.runs.store(true, Ordering::Release);
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(run(Arc::clone(self), stopped));
        Some(Running { stop, task })
    }

    fn up(&self, link: &Link, again: bool) {
        self.caches.trust();
        self.shares.store(link.counters.is_some(), Ordering::Relaxed);
        self.counters.store(link.counters.clone());
        self.progress.send_modify(|progress| progress.up = true);
        self.note(|report| {
            report.state = "up".to_owned();
            report.reconnects += u64::from(again);
            report.flushes += 1;
        });
        tracing::info!("connected to the other gateways over {}", self.report().bus);
    }

    fn down(&self, error: String, first: bool) {
        self.caches.distrust(self.clock.now_millis(), self.outdated);
        self.counters.store(None);
        self.progress.send_modify(|progress| progress.up = false);
        if first {
            tracing::warn!(
                "no connection to the other gateways over {}: {error}. What they change is seen here after {} s at the latest, or when \
                 a cache expires earlier; each counts attempts and rates for itself",
                self.report().bus,
                self.outdated / 1000,
            );
        }
        self.note(|report| {
            report.state = "down".to_owned();
            report.others = 0;
            report.last_error = Some(error);
        });
    }

    fn empty(&self, why: &str) {
        tracing::info!("all caches are emptied: {why}");
        self.caches.flush_all();
        self.note(|report| report.flushes += 1);
    }
}

async fn run(cluster: Arc<Cluster>, mut stop: oneshot::Receiver<()>) {
    let (mut pause, mut first, mut again) = (RETRY.0, true, false);
    loop {
        let opened = tokio::select! {
            _ = &mut stop => return,
            opened = tokio::time::timeout(OPEN, cluster.link()) => opened,
        };
        let error = match opened.unwrap_or_else(|_| Err("it does not answer".to_owned())) {
            Ok(link) => {
                let mut session =
                    Session { cluster: &cluster, link, nodes: HashMap::new(), heard: Instant::now(), up: false, again };
                let Err(error) = session.run(&mut stop).await else { return };
                if session.up {
                    (pause, first, again) = (RETRY.0, true, true);
                }
                error
            }
            Err(error) => error,
        };
        cluster.down(error, first);
        first = false;
        tokio::select! {
            _ = &mut stop => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(RETRY.1);
    }
}

/// One connection.
struct Session<'c> {
    cluster: &'c Cluster,
    link: Link,
    nodes: HashMap<String, Node>,
    /// When the last message of this gateway's own came back.
    heard: Instant,
    up: bool,
    /// Whether there was a connection before.
    again: bool,
}

/// Another gateway.
struct Node {
    number: u64,
    heard: Instant,
}

impl Session<'_> {
    /// Until it is told to stop. The error says why the connection ended.
    async fn run(&mut self, stop: &mut oneshot::Receiver<()>) -> Result<(), String> {
        let mut beats = tokio::time::interval(BEAT);
        beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let cluster = self.cluster;
        loop {
            tokio::select! {
                _ = &mut *stop => {
                    let _ = self.send(true).await;
                    return Ok(());
                }
                () = cluster.wake.notified() => {
                    if !cluster.queue().removals.is_empty() {
                        self.send(false).await?;
                    }
                }
                _ = beats.tick() => {
                    if self.heard.elapsed() > SILENT {
                        return Err("messages do not come back; a pool of connections in between does not pass them on".to_owned());
                    }
                    self.watch();
                    self.send(false).await?;
                }
                message = self.link.incoming.recv() => {
                    let text = message.unwrap_or_else(|| Err("the connection was closed".to_owned()))?;
                    self.hear(&text);
                }
            }
        }
    }

    async fn send(&mut self, bye: bool) -> Result<(), String> {
        let Outgoing { messages, removals, accepted } = self.cluster.outgoing(bye);
        let sent = tokio::time::timeout(SEND, self.link.sender.send(&messages)).await;
        let sent = sent.unwrap_or_else(|_| Err("it does not answer".to_owned()));
        if sent.is_err() {
            self.cluster.keep(removals);
            return sent;
        }
        self.cluster.note(|report| report.sent += messages.len() as u64);
        self.cluster.progress.send_modify(|progress| progress.sent = accepted);
        Ok(())
    }

    fn hear(&mut self, text: &str) {
        let Some(message) = Message::read(text) else {
            self.cluster.note(|report| report.ignored += 1);
            return;
        };
        if message.node == self.cluster.node {
            self.heard = Instant::now();
            if !self.up {
                self.up = true;
                self.cluster.up(&self.link, self.again);
            }
            return;
        }
        message.removals.iter().for_each(|removal| self.cluster.caches.apply(removal, Author::OUTSIDE));
        let known = self.nodes.get(&message.node).map(|node| node.number);
        if known.is_some_and(|number| message.number > number + 1) {
            self.cluster.empty("a message of another gateway is missing");
        }
        if message.bye {
            self.nodes.remove(&message.node);
        } else if known.is_some() || self.nodes.len() < NODES {
            self.nodes.insert(message.node, Node { number: message.number, heard: Instant::now() });
        }
        let others = self.nodes.len();
        self.cluster.note(|report| (report.received, report.others) = (report.received + 1, others));
    }

    /// Looks for gateways that are gone without a farewell.
    fn watch(&mut self) {
        let before = self.nodes.len();
        self.nodes.retain(|_, node| node.heard.elapsed() < SILENT);
        let others = self.nodes.len();
        if others < before {
            self.cluster.empty("another gateway is gone, and may have changed something before");
            self.cluster.note(|report| report.others = others);
        }
    }
}
