//! Prometheus metrics. The counters of a service are resolved when it is compiled, so counting is a few atomic additions.

use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds of the latency buckets, seconds.
const BUCKETS: [f64; 14] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ServiceStatus {
    service: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Service {
    service: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByResult {
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByCache {
    cache: String,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByBlame {
    blame: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct TaskResult {
    task: String,
    result: &'static str,
}

type Gather = Box<dyn Fn() -> i64 + Send + Sync>;

/// All metrics of a gateway.
pub struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<ServiceStatus, Counter>,
    latency: Family<Service, Histogram, fn() -> Histogram>,
    refused: Family<ServiceStatus, Counter>,
    reloads: Family<ByResult, Counter>,
    cache: Family<ByCache, Counter>,
    faults: Family<ByBlame, Counter>,
    tasks: Family<TaskResult, Counter>,
    generation: Gauge,
    gathered: Mutex<Vec<(Gauge, Gather)>>,
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("portcullis");
        let latency = Family::new_with_constructor((|| Histogram::new(BUCKETS)) as fn() -> Histogram);
        let metrics = Metrics {
            requests: Family::default(),
            latency,
            refused: Family::default(),
            reloads: Family::default(),
            cache: Family::default(),
            faults: Family::default(),
            tasks: Family::default(),
            generation: Gauge::default(),
            gathered: Mutex::default(),
            registry: Mutex::default(),
        };
        registry.register("requests", "Requests answered, by service and status", metrics.requests.clone());
        registry.register("request_seconds", "Time from header to answer, by service", metrics.latency.clone());
        registry.register("refused", "Requests refused before any service saw them", metrics.refused.clone());
        registry.register("reloads", "Attempts to load a changed policy set", metrics.reloads.clone());
        registry.register("cache_lookups", "Cache look-ups by policies", metrics.cache.clone());
        registry.register("faults", "Requests and tasks ended by a fault, by who caused it", metrics.faults.clone());
        registry.register("task_runs", "Runs of tasks, by how they ended", metrics.tasks.clone());
        registry.register("generation", "Number of the policy set being served, counted from 1", metrics.generation.clone());
        *metrics.registry.lock().unwrap_or_else(PoisonError::into_inner) = registry;
        metrics
    }
}

impl Metrics {
    /// The metrics of one service.
    pub fn service(&self, name: &str) -> ServiceMetrics {
        let latency = self.latency.get_or_create(&Service { service: name.to_owned() }).clone();
        ServiceMetrics {
            name: name.to_owned(),
            requests: self.requests.clone(),
            statuses: (0..STATUSES).map(|_| OnceLock::new()).collect(),
            latency,
        }
    }

    /// A request that reached no service: too large, too slow, malformed.
    pub fn refused(&self, status: u16) {
        self.refused.get_or_create(&ServiceStatus { service: String::new(), status }).inc();
    }

    /// A look-up in a policy cache.
    pub fn cache_lookup(&self, cache: &str, hit: bool) {
        let result = if hit { "hit" } else { "miss" };
        self.cache.get_or_create(&ByCache { cache: cache.to_owned(), result }).inc();
    }

    /// The counters of one cache, hits and misses, for callers that count often.
    pub fn cache_counters(&self, cache: &str) -> (Counter, Counter) {
        let counter = |result| self.cache.get_or_create(&ByCache { cache: cache.to_owned(), result }).clone();
        (counter("hit"), counter("miss"))
    }

    /// A run that a fault ended.
    pub fn fault(&self, blame: &'static str) {
        self.faults.get_or_create(&ByBlame { blame }).inc();
    }

    /// A task ran.
    pub fn task(&self, task: &str, result: &'static str) {
        self.tasks.get_or_create(&TaskResult { task: task.to_owned(), result }).inc();
    }

    /// A reload, and the generation that serves afterwards.
    pub fn reload(&self, ok: bool, generation: u64) {
        self.reloads.get_or_create(&ByResult { result: if ok { "ok" } else { "failed" } }).inc();
        self.generation.set(generation as i64);
    }

    /// Adds a value that is computed when somebody reads the metrics: connections, queue lengths.
    pub fn gauge(&self, name: &str, help: &str, read: impl Fn() -> i64 + Send + Sync + 'static) {
        let gauge: Gauge = Gauge::default();
        self.registry.lock().unwrap_or_else(PoisonError::into_inner).register(name, help, gauge.clone());
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner).push((gauge, Box::new(read)));
    }

    /// The page that Prometheus reads (OpenMetrics text).
    pub fn page(&self) -> String {
        for (gauge, read) in self.gathered.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            gauge.set(read());
        }
        let mut page = String::new();
        match encode(&mut page, &self.registry.lock().unwrap_or_else(PoisonError::into_inner)) {
            Ok(()) => page,
            Err(std::fmt::Error) => String::new(), // writing to a `String` cannot fail
        }
    }
}

/// Statuses 100 to 599.
const STATUSES: usize = 500;

/// The metrics of one service, resolved.
pub struct ServiceMetrics {
    name: String,
    requests: Family<ServiceStatus, Counter>,
    statuses: Box<[OnceLock<Counter<u64, AtomicU64>>]>,
    latency: Histogram,
}

impl ServiceMetrics {
    /// A request was answered.
    pub fn answered(&self, status: u16, took: Duration) {
        if let Some(counter) = self.statuses.get(usize::from(status).wrapping_sub(100)) {
            counter
                .get_or_init(|| self.requests.get_or_create(&ServiceStatus { service: self.name.clone(), status }).clone())
                .inc();
        }
        self.latency.observe(took.as_secs_f64());
    }
}
