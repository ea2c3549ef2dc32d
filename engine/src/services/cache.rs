//! Caches by name. A cache is created with its first value and survives reloads of policies. Each caller decides what is stored,
//! how long, and how much. Entries have their own expiry, so a moved clock expires them at once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use prometheus_client::metrics::counter::Counter;
use quick_cache::sync::Cache as Quick;
use quick_cache::{OptionsBuilder, Weighter};
use smol_str::SmolStr;

use crate::data::value::Value;
use crate::services::telemetry::Metrics;

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

/// All caches of a gateway.
#[derive(Default)]
pub struct Caches {
    // Read on each request, changed rarely, so readers take no lock.
    named: ArcSwap<BTreeMap<SmolStr, Arc<Named>>>,
    creating: Mutex<()>,
    /// Names that were only asked for.
    empty: Mutex<BTreeSet<SmolStr>>,
    metrics: Arc<Metrics>,
}

struct Named {
    entries: Quick<SmolStr, Entry, Weight>,
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

impl Weighter<SmolStr, Entry> for Weight {
    fn weight(&self, _: &SmolStr, entry: &Entry) -> u64 {
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
        Caches { metrics, ..Caches::default() }
    }

    /// Stores a value under a key, in place of an older one. `false` if it is larger than allowed, or if there are too many
    /// caches.
    pub fn store(&self, id: &str, key: impl Into<SmolStr>, value: Value, limits: Limits, now_millis: i64) -> bool {
        let key = key.into();
        let bytes = size(&value) + key.len() as u64 + 64;
        if size(&value) > limits.max_size || bytes > MAX_WEIGHT {
            // The value that is already there is outdated.
            self.remove(id, &key);
            return false;
        }
        if limits.max_age_millis <= 0 || limits.max_entries == 0 {
            self.remove(id, &key);
            return true;
        }
        let Some(named) = self.get(id).or_else(|| self.create(id, limits.max_entries)) else { return false };
        // Its real size, but at least the share of one entry, so that both number and bytes are bounded.
        let weight = bytes.max((MAX_BYTES / limits.max_entries.max(FEW)).min(named.heaviest));
        let expires = now_millis.saturating_add(limits.max_age_millis);
        named.entries.insert(key, Entry { value, stored: now_millis, expires, weight });
        true
    }

    /// The value under a key, unless it has expired or is older than `max_age_millis`.
    pub fn lookup(&self, id: &str, key: &str, max_age_millis: Option<i64>, now_millis: i64) -> Option<Value> {
        let Some(named) = self.get(id) else {
            self.missed_nothing(id);
            return None;
        };
        let found = named.entries.get(key).filter(|entry| {
            let alive = now_millis < entry.expires;
            if !alive {
                named.entries.remove_if(key, |entry| now_millis >= entry.expires);
            }
            alive && max_age_millis.is_none_or(|max_age| now_millis - entry.stored < max_age)
        });
        let counter = if found.is_some() { &named.hits } else { &named.misses };
        counter.inc();
        found.map(|entry| entry.value)
    }

    /// Removes a value; returns whether there was one. `name*` means every cache whose name begins like this.
    pub fn remove(&self, id: &str, key: &str) -> bool {
        let mut found = false;
        for named in self.meant(id) {
            found |= named.entries.remove(key).is_some();
        }
        found
    }

    /// Empties a cache. `name*` means every cache whose name begins like this.
    pub fn flush(&self, id: &str) {
        for named in self.meant(id) {
            named.entries.clear();
        }
    }

    /// Empties all caches.
    pub fn flush_all(&self) {
        for named in self.named.load().values() {
            named.entries.clear();
        }
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

    fn get(&self, id: &str) -> Option<Arc<Named>> {
        self.named.load().get(id).cloned()
    }

    /// The cache of this name; for `name*`, all whose names begin like this; for `name#`, all whose names are `name` and a
    /// number.
    fn meant(&self, id: &str) -> Vec<Arc<Named>> {
        let Some(start) = id.strip_suffix(['*', '#']) else { return self.get(id).into_iter().collect() };
        let number = |rest: &str| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit());
        let named = self.named.load();
        let begin_so = named.range(SmolStr::new(start)..).map_while(|(id, named)| Some((id.strip_prefix(start)?, named)));
        begin_so.filter(|(rest, _)| id.ends_with('*') || number(rest)).map(|(_, named)| Arc::clone(named)).collect()
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
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { max_entries: 10, max_age_millis: 1000, max_size: 100 };

    #[test]
    fn the_first_miss_counts() {
        let metrics = Arc::new(Metrics::default());
        let caches = Caches::new(Arc::clone(&metrics));
        for n in 0..2 {
            assert_eq!(text(&caches, "new", "a", n), None);
        }
        caches.store("new", "a", Value::text("x"), LIMITS, 2);
        assert!(text(&caches, "new", "a", 3).is_some() && text(&caches, "new", "b", 3).is_none());
        for n in 0..10_000 {
            assert_eq!(text(&caches, &format!("other {n}"), "a", 3), None);
        }
        let page = metrics.page();
        let count = |line: &str| page.lines().filter(|found| found.starts_with(line)).count();
        assert_eq!(count("portcullis_cache_lookups_total{cache=\"new\",result=\"miss\"} 3"), 1, "{page}");
        assert_eq!(count("portcullis_cache_lookups_total{cache=\"new\",result=\"hit\"} 1"), 1, "{page}");
        assert!(count("portcullis_cache_lookups_total{cache=\"other") <= MAX_CACHES);
    }

    fn text(caches: &Caches, id: &str, key: &str, now: i64) -> Option<String> {
        caches.lookup(id, key, None, now).map(|value| value.as_text().into_owned())
    }

    #[test]
    fn values_live_as_long_as_they_may() {
        let caches = Caches::default();
        assert!(caches.store("a", "k", Value::from("v"), LIMITS, 0));
        assert_eq!(text(&caches, "a", "k", 999).as_deref(), Some("v"));
        assert_eq!(text(&caches, "b", "k", 0), None, "caches do not share keys");
        assert!(caches.lookup("a", "k", Some(500), 499).is_some());
        assert!(caches.lookup("a", "k", Some(500), 500).is_none(), "the reader may want a fresher one");
        assert_eq!(text(&caches, "a", "k", 1000), None);
        assert_eq!(caches.stats()[0], Stats { id: "a".into(), hits: 2, misses: 2, entries: 0 });
    }

    #[test]
    fn a_star_means_every_cache_whose_name_begins_so() {
        let caches = Caches::default();
        for id in ["a", "a30", "a60", "b"] {
            caches.store(id, "k", Value::from("1"), LIMITS, 0);
            caches.store(id, "x", Value::from("1"), LIMITS, 0);
        }
        assert!(caches.remove("a*", "k"));
        assert!(!caches.remove("a*", "k"));
        caches.flush("a3*");
        let left = ["a", "a30", "a60", "b"].map(|id| (text(&caches, id, "k", 0).is_some(), text(&caches, id, "x", 0).is_some()));
        assert_eq!(left, [(false, true), (false, false), (false, true), (true, true)]);
    }

    #[test]
    fn values_are_replaced_removed_and_flushed() {
        let caches = Caches::default();
        caches.store("a", "k", Value::from("1"), LIMITS, 0);
        caches.store("a", "k", Value::from("2"), LIMITS, 0);
        assert_eq!(text(&caches, "a", "k", 0).as_deref(), Some("2"));
        assert!(caches.remove("a", "k"));
        assert!(!caches.remove("a", "k"));
        caches.store("a", "x", Value::from("1"), LIMITS, 0);
        caches.flush("a");
        assert_eq!(text(&caches, "a", "x", 0), None);
    }

    #[test]
    fn number_and_size_are_bounded() {
        for max_entries in [FEW, 20, 100, 5000] {
            let caches = Caches::default();
            let limits = Limits { max_entries, ..LIMITS };
            for i in 0..max_entries * 3 {
                assert!(caches.store("a", i.to_string(), Value::from("v"), limits, 0));
            }
            let entries = caches.stats()[0].entries;
            assert!(entries <= max_entries && entries >= max_entries * 3 / 4, "{entries} of {max_entries}");
            let last = (max_entries * 3 - 1).to_string();
            assert!(text(&caches, "a", &last, 0).is_some(), "the newest is there, of {max_entries}");
        }
        let caches = Caches::default();
        caches.store("a", "k", Value::from("old"), LIMITS, 0);
        assert!(!caches.store("a", "k", Value::from("x".repeat(101)), LIMITS, 0));
        assert_eq!(text(&caches, "a", "k", 0), None, "a value too large does not leave an older one behind");
        assert!(caches.store("a", "k", Value::from("v"), Limits { max_age_millis: 0, ..LIMITS }, 0));
        assert_eq!(text(&caches, "a", "k", 0), None);
    }

    #[test]
    fn there_is_an_end_to_new_caches() {
        let caches = Caches::default();
        for i in 0..MAX_CACHES {
            assert!(caches.store(&i.to_string(), "k", Value::from("v"), LIMITS, 0));
        }
        assert!(!caches.store("one more", "k", Value::from("v"), LIMITS, 0));
    }
}
