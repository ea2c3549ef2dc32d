//! Caches by name. A cache is created with its first value and survives reloads of policies. Each caller decides what is stored,
//! how long, and how much. Entries have their own expiry, so a moved clock expires them at once.
//!
//! A value is stored some time after it was read from where it is kept. If somebody changed it meanwhile and removed it from here,
//! storing it would bring the old value back. So whoever stores says since when it reads, and a value that was removed since then is not
//! stored ([`History`]).

mod history;
mod removal;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use prometheus_client::metrics::counter::Counter;
use quick_cache::sync::Cache as Quick;
use quick_cache::{OptionsBuilder, Weighter};
use smol_str::SmolStr;

use crate::data::value::Value;
use crate::services::telemetry::Metrics;

pub use history::Author;
use history::History;
pub use removal::{Key, Removal};

/// Most caches at the same time. Policies choose the names; the limit protects against a policy that builds names from what
/// clients send.
const MAX_CACHES: usize = 1000;
/// Most bytes of values and keys in one cache, whatever its number of entries.
const MAX_BYTES: u64 = 64 << 20;
/// Most bytes of one value with its key, whatever the caller allows.
const MAX_WEIGHT: u64 = 4 << 20;

/// Fewer entries than this are never evicted for their number, because so few would only evict each other.
const FEW: u64 = 16;

/// Limits set by a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Most entries in the cache; beyond it the least valuable ones are dropped.
    pub max_entries: u64,
    /// Lifetime of the value in milliseconds.
    pub max_age_millis: i64,
    /// Most bytes of the value; a larger one is not stored.
    pub max_size: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { max_entries: 10_000, max_age_millis: 300_000, max_size: 10_000 }
    }
}

/// What became of a value to store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Whether it fits: it is not larger than allowed, and there are not too many caches.
    pub fits: bool,
    /// Whether another value was there, which other gateways may have too.
    pub replaced: bool,
}

/// All caches of a gateway.
pub struct Caches {
    // Read on each request, changed rarely, so readers take no lock.
    named: ArcSwap<BTreeMap<SmolStr, Arc<Named>>>,
    creating: Mutex<()>,
    /// Names that were only asked for.
    empty: Mutex<BTreeSet<SmolStr>>,
    /// What was removed. Storing and removing hold it, so that each sees the other.
    history: Mutex<History>,
    /// The number of removals, for who begins to read.
    moment: AtomicU64,
    /// Since when removals elsewhere may be missed; `i64::MAX`: they are not.
    distrusted: AtomicI64,
    /// How long an entry may then be used, in milliseconds.
    outdated: AtomicI64,
    metrics: Arc<Metrics>,
}

impl Default for Caches {
    fn default() -> Self {
        Caches::new(Arc::default())
    }
}

struct Named {
    entries: Quick<Key, Entry, Weight>,
    /// The capacity of one shard.
    heaviest: u64,
    hits: Counter,
    misses: Counter,
}

#[derive(Clone)]
struct Entry {
    value: Value,
    stored: i64,
    expires: i64,
    weight: u64,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Entry> for Weight {
    fn weight(&self, _: &Key, entry: &Entry) -> u64 {
        entry.weight
    }
}

/// Counters of a cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stats {
    /// Name of the cache.
    pub id: SmolStr,
    /// Look-ups that found something.
    pub hits: u64,
    /// Look-ups that did not.
    pub misses: u64,
    /// Entries, including expired ones until they are found or evicted.
    pub entries: u64,
}

impl Caches {
    /// No caches yet; hits and misses of each new one are counted there.
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Caches {
            named: ArcSwap::default(),
            creating: Mutex::default(),
            empty: Mutex::default(),
            history: Mutex::default(),
            moment: AtomicU64::new(0),
            distrusted: AtomicI64::new(i64::MAX),
            outdated: AtomicI64::new(0),
            metrics,
        }
    }

    /// Somebody who begins to read now what it may store later.
    pub fn author(&self) -> Author {
        Author::since(self.moment.load(Ordering::SeqCst))
    }

    /// Stores a value under a key, in place of an older one, unless it was removed since its author began to read.
    pub fn store(&self, id: &str, key: &str, value: Value, limits: Limits, now_millis: i64, author: Author) -> Stored {
        let key = Key::of(key);
        let size = size(&value);
        let bytes = size + 128;
        let too_large = size > limits.max_size || bytes > MAX_WEIGHT;
        if too_large || limits.max_age_millis <= 0 || limits.max_entries == 0 {
            // The value that is already there is outdated.
            let replaced = self.remove(id, key, author);
            return Stored { fits: !too_large, replaced };
        }
        let Some(named) = self.get(id).or_else(|| self.create(id, limits.max_entries)) else {
            return Stored { fits: false, replaced: false };
        };
        // Its real size, but at least the share of one entry, so that both number and bytes are bounded.
        let weight = bytes.max((MAX_BYTES / limits.max_entries.max(FEW)).min(named.heaviest));
        let expires = now_millis.saturating_add(limits.max_age_millis);
        let history = self.history();
        if history.outdates(id, &key, author) {
            return Stored { fits: true, replaced: false };
        }
        let before = named.entries.peek(&key).filter(|before| now_millis < before.expires);
        let replaced = before.is_some_and(|before| !before.value.is_same(&value));
        named.entries.insert(key, Entry { value, stored: now_millis, expires, weight });
        drop(history);
        Stored { fits: true, replaced }
    }

    /// The value under a key, unless it has expired or is older than `max_age_millis`.
    pub fn lookup(&self, id: &str, key: &str, max_age_millis: Option<i64>, now_millis: i64) -> Option<Value> {
        let Some(named) = self.get(id) else {
            self.missed_nothing(id);
            return None;
        };
        let key = Key::of(key);
        let distrusted = self.distrusted.load(Ordering::Acquire);
        let outdated = self.outdated.load(Ordering::Relaxed);
        let alive = |entry: &Entry| {
            now_millis < entry.expires
                && (distrusted == i64::MAX || now_millis < entry.stored.max(distrusted).saturating_add(outdated))
        };
        let found = named.entries.get(&key).filter(|entry| {
            let alive_now = alive(entry);
            if !alive_now {
                named.entries.remove_if(&key, |entry| !alive(entry));
            }
            alive_now && max_age_millis.is_none_or(|max_age| now_millis - entry.stored < max_age)
        });
        let counter = if found.is_some() { &named.hits } else { &named.misses };
        counter.inc();
        found.map(|entry| entry.value)
    }

    /// Does what was removed here, or on another gateway.
    pub fn apply(&self, removal: &Removal, author: Author) {
        match &removal.key {
            Some(key) => drop(self.remove(&removal.cache, *key, author)),
            None => self.flush(&removal.cache, author),
        }
    }

    /// Removes a value; returns whether there was one. `name*` means every cache whose name begins like this.
    pub fn remove(&self, id: &str, key: Key, author: Author) -> bool {
        let mut history = self.history();
        self.moment.store(history.removed(key, author), Ordering::SeqCst);
        let mut found = false;
        for named in self.meant(id) {
            found |= named.entries.remove(&key).is_some();
        }
        found
    }

    /// Empties a cache. `name*` means every cache whose name begins like this.
    pub fn flush(&self, id: &str, author: Author) {
        let mut history = self.history();
        self.moment.store(history.flushed(id, author), Ordering::SeqCst);
        for named in self.meant(id) {
            named.entries.clear();
        }
    }

    /// Empties all caches, and stores nothing that anybody has begun to read.
    pub fn flush_all(&self) {
        let mut history = self.history();
        self.moment.store(history.forget_everything(), Ordering::SeqCst);
        for named in self.named.load().values() {
            named.entries.clear();
        }
    }

    /// From now on removals elsewhere may be missed, until [`Caches::trust`]. So entries are used for at most so many milliseconds
    /// more.
    pub fn distrust(&self, now_millis: i64, outdated_millis: i64) {
        self.outdated.store(outdated_millis, Ordering::Relaxed);
        let _ = self.distrusted.compare_exchange(i64::MAX, now_millis, Ordering::AcqRel, Ordering::Relaxed);
    }

    /// From now on removals elsewhere are known. What was stored before may be outdated, so all caches are emptied.
    pub fn trust(&self) {
        self.flush_all();
        self.distrusted.store(i64::MAX, Ordering::Release);
    }

    /// Counters of all caches, by name.
    pub fn stats(&self) -> Vec<Stats> {
        let stats = |(id, named): (&SmolStr, &Arc<Named>)| Stats {
            id: id.clone(),
            hits: named.hits.get(),
            misses: named.misses.get(),
            entries: named.entries.len() as u64,
        };
        self.named.load().iter().map(stats).collect()
    }

    /// A look-up in a cache that does not exist yet. Their number has the same limit.
    fn missed_nothing(&self, id: &str) {
        let mut empty = self.empty.lock().unwrap_or_else(PoisonError::into_inner);
        if empty.contains(id) || (empty.len() < MAX_CACHES && empty.insert(SmolStr::new(id))) {
            self.metrics.cache_lookup(id, false);
        }
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn get(&self, id: &str) -> Option<Arc<Named>> {
        self.named.load().get(id).cloned()
    }

    /// The caches that a name means: [`removal::means`].
    fn meant(&self, id: &str) -> Vec<Arc<Named>> {
        let Some(start) = id.strip_suffix(['*', '#']) else { return self.get(id).into_iter().collect() };
        let named = self.named.load();
        let begin_so = named.range(SmolStr::new(start)..).take_while(|(name, _)| name.starts_with(start));
        begin_so.filter(|(name, _)| removal::means(id, name)).map(|(_, named)| Arc::clone(named)).collect()
    }

    fn create(&self, id: &str, max_entries: u64) -> Option<Arc<Named>> {
        let _guard = self.creating.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(named) = self.get(id) {
            return Some(named);
        }
        let mut all = BTreeMap::clone(&self.named.load());
        if all.len() >= MAX_CACHES {
            tracing::warn!(cache = id, "there are already {MAX_CACHES} caches; nothing is stored in another one");
            return None;
        }
        // A small cache with several shards would evict entries while another shard has room.
        let shards = if max_entries < 4096 { 1 } else { 8 };
        let options = OptionsBuilder::new()
            .estimated_items_capacity(max_entries.min(10_000) as usize)
            .weight_capacity(MAX_BYTES)
            .shards(shards)
            .build()
            .ok()?;
        let (hits, misses) = self.metrics.cache_counters(id);
        let named = Arc::new(Named {
            entries: Quick::with_options(options, Weight, Default::default(), Default::default()),
            heaviest: MAX_BYTES / shards as u64,
            hits,
            misses,
        });
        all.insert(SmolStr::new(id), Arc::clone(&named));
        self.named.store(Arc::new(all));
        Some(named)
    }
}

/// Rough size of a value in bytes; no value may be larger than this.
fn size(value: &Value) -> u64 {
    match value {
        Value::Text(text) | Value::Markup(_, text) => text.len() as u64,
        Value::List(values) => values.iter().map(|value| size(value) + 24).sum(),
        Value::Json(json) => json_size(json),
        Value::Message(message) => {
            let headers: usize = message.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
            (message.body.len() + headers) as u64
        }
        Value::Certificate(certificate) => certificate.der().len() as u64,
        Value::Undefined | Value::Int(_) | Value::Decimal(_) | Value::Bool(_) | Value::Time(_) => 8,
    }
}

fn json_size(json: &serde_json::Value) -> u64 {
    use serde_json::Value as Json;
    match json {
        Json::String(text) => text.len() as u64 + 2,
        Json::Array(items) => items.iter().map(|item| json_size(item) + 1).sum::<u64>() + 2,
        Json::Object(members) => members.iter().map(|(name, item)| name.len() as u64 + 4 + json_size(item)).sum::<u64>() + 2,
        Json::Null | Json::Bool(_) | Json::Number(_) => 5,
    }
}

#[cfg(test)]
mod tests;
