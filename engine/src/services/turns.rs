//! Turns at scarce resources: processors that check passwords, connections to a directory. Networks take turns one after the
//! other, so a network that floods the gateway only delays itself, and others wait for one turn of each network.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ipnet::IpNet;
use tokio::sync::oneshot;

use crate::data::network;

/// Interval between two log lines.
const QUIET: Duration = Duration::from_secs(10);
/// IPv6 addresses take turns by this many bits, because one site may have all networks of a /48 (RFC 6177).
const V6_SITE: u8 = 48;

/// The turns.
pub struct Turns {
    what: String,
    /// Most waiting callers: of all networks, and of one.
    total: usize,
    each: usize,
    state: Mutex<State>,
}

struct State {
    /// Free turns.
    free: usize,
    waiting: usize,
    queues: HashMap<IpNet, VecDeque<oneshot::Sender<Turn>>>,
    /// Networks with a queue, in the order of their turns.
    order: VecDeque<IpNet>,
    /// Callers refused since the last log line, and the time of that line.
    refused: usize,
    said: Option<Instant>,
}

/// A turn, which ends when dropped.
pub struct Turn(Option<Arc<Turns>>);

impl Turns {
    /// `at_a_time` turns, for which `total` callers may wait, and `each` of one network. `what` names the resource in the log.
    pub fn new(what: impl Into<String>, at_a_time: usize, total: usize, each: usize) -> Arc<Turns> {
        let state = State { free: at_a_time, waiting: 0, queues: HashMap::new(), order: VecDeque::new(), refused: 0, said: None };
        Arc::new(Turns { what: what.into(), total, each, state: Mutex::new(state) })
    }

    /// Waits for a turn of this caller; `None` if too many wait. If all places are taken, the network with the most of them loses
    /// its latest one to a network with fewer.
    pub async fn enter(self: &Arc<Self>, caller: IpAddr) -> Option<Turn> {
        let turn = self.queue(network::network(caller, 32, V6_SITE));
        match turn {
            Ok(turn) => Some(turn),
            Err(Some(waiting)) => waiting.await.ok(),
            Err(None) => None,
        }
    }

    fn queue(self: &Arc<Self>, caller: IpNet) -> Result<Turn, Option<oneshot::Receiver<Turn>>> {
        let mut state = self.state();
        if state.free > 0 {
            state.free -= 1;
            return Ok(Turn(Some(Arc::clone(self))));
        }
        let own = state.queues.get(&caller).map_or(0, VecDeque::len);
        if own >= self.each || state.waiting >= self.total && !state.make_room(own) {
            self.refuse(&mut state, caller);
            return Err(None);
        }
        let (turn, waiting) = oneshot::channel();
        state.queues.entry(caller).or_default().push_back(turn);
        if own == 0 {
            state.order.push_back(caller);
        }
        state.waiting += 1;
        Err(Some(waiting))
    }

    fn refuse(&self, state: &mut State, caller: IpNet) {
        state.refused += 1;
        if state.said.is_none_or(|said| said.elapsed() >= QUIET) {
            tracing::warn!(
                refused = state.refused,
                waiting = state.waiting,
                last = %caller.addr(),
                "too many requests wait for {}; further ones are told to try again",
                self.what
            );
            (state.refused, state.said) = (0, Some(Instant::now()));
        }
    }

    /// Gives a finished turn to the next network, or keeps it.
    fn pass_on(self: Arc<Self>) {
        loop {
            let mut state = self.state();
            let Some(next) = state.next() else {
                state.free += 1;
                return;
            };
            drop(state);
            match next.send(Turn(Some(Arc::clone(&self)))) {
                Ok(()) => return,
                // The waiting caller is gone, so the turn is still free.
                Err(mut turn) => turn.0 = None,
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// The next caller, of the network whose turn it is.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let caller = self.order.pop_front()?;
        let queue = self.queues.get_mut(&caller)?;
        let next = queue.pop_front();
        if queue.is_empty() {
            self.queues.remove(&caller);
        } else {
            self.order.push_back(caller);
        }
        self.waiting -= 1;
        next
    }

    /// Refuses the latest caller of the longest queue, if that is longer than this one would be.
    fn make_room(&mut self, own: usize) -> bool {
        let longest = self.queues.values_mut().max_by_key(|queue| queue.len());
        let Some(longest) = longest.filter(|queue| queue.len() > own + 1) else { return false };
        longest.pop_back();
        self.waiting -= 1;
        self.refused += 1;
        true
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(turns) = self.0.take() {
            turns.pass_on();
        }
    }
}

/// Turns by key: of the callers with the same key, one has its turn and the others wait.
#[derive(Default)]
pub struct KeyedTurns(Mutex<HashMap<String, Arc<Turns>>>);

/// A turn under a key.
pub struct KeyedTurn {
    key: String,
    turn: Option<Turn>,
    all: Arc<KeyedTurns>,
}

impl KeyedTurns {
    /// Waits for a turn under this key; `None` if too many others already wait for it.
    pub async fn enter(self: &Arc<Self>, key: &str, others: usize) -> Option<KeyedTurn> {
        // Declared first, so that it is dropped after what follows, which holds the turns. It removes the key, even if the caller
        // leaves while waiting.
        let mut entered = KeyedTurn { key: key.to_owned(), turn: None, all: Arc::clone(self) };
        let turns = {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let turns = all.entry(key.to_owned()).or_insert_with(|| Turns::new("one another", 1, others, others));
            Arc::clone(turns)
        };
        entered.turn = Some(turns.enter(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED)).await?);
        Some(entered)
    }
}

impl KeyedTurn {
    /// The key.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl Drop for KeyedTurn {
    fn drop(&mut self) {
        drop(self.turn.take());
        let mut all = self.all.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Nobody else has it, waits for it, or is about to: each of these starts with a copy, made under the same lock.
        if all.get(&self.key).is_some_and(|turns| Arc::strong_count(turns) == 1) {
            all.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Asks for a turn, then waits for it.
    async fn asks(turns: &Arc<Turns>, address: &str) -> tokio::task::JoinHandle<Option<Turn>> {
        let (turns, address) = (Arc::clone(turns), address.parse().unwrap());
        let asking = tokio::spawn(async move { turns.enter(address).await });
        tokio::task::yield_now().await;
        asking
    }

    #[tokio::test]
    async fn one_who_floods_waits_behind_himself() {
        let turns = Turns::new("tests", 1, 6, 3);
        let now = turns.enter("192.0.2.1".parse().unwrap()).await.unwrap();
        let mut flood = Vec::new();
        for address in ["192.0.2.1", "::ffff:192.0.2.1", "192.0.2.1"] {
            flood.push(asks(&turns, address).await);
        }
        assert!(asks(&turns, "192.0.2.1").await.await.unwrap().is_none(), "three of one network wait");
        let mut site = Vec::new();
        for network in 1..=3 {
            site.push(asks(&turns, &format!("2001:db8:0:{network}::1")).await);
        }
        assert!(asks(&turns, "2001:db8:0:4::1").await.await.unwrap().is_none(), "one site takes turns as one");
        // All places are taken; another network gets one from the network with the most.
        let other = asks(&turns, "192.0.2.2").await;
        tokio::task::yield_now().await;
        let lost = usize::from(flood[2].is_finished()) + usize::from(site[2].is_finished());
        assert_eq!(lost, 1);
        drop(now);
        drop(flood.remove(0).await.unwrap().unwrap());
        drop(site.remove(0).await.unwrap().unwrap());
        assert!(!flood[0].is_finished(), "the others come first");
        let other = other.await.unwrap().unwrap();
        // A caller that hangs up is skipped.
        flood.iter().for_each(tokio::task::JoinHandle::abort);
        tokio::task::yield_now().await;
        drop(other);
        for next in site {
            drop(next.await.unwrap());
        }
        assert!(turns.enter("192.0.2.9".parse().unwrap()).await.is_some());
    }

    #[tokio::test]
    async fn one_at_a_time_under_each_key() {
        let all = Arc::new(KeyedTurns::default());
        let first = all.enter("a", 1).await.unwrap();
        assert!(all.enter("b", 1).await.is_some(), "another key is free");
        let waiting = {
            let all = Arc::clone(&all);
            tokio::spawn(async move { all.enter("a", 1).await })
        };
        tokio::task::yield_now().await;
        assert!(all.enter("a", 1).await.is_none(), "one waits already");
        drop(first);
        drop(waiting.await.unwrap().unwrap());
        assert!(all.0.lock().unwrap().is_empty(), "nothing is kept of a key that nobody uses");
    }
}
