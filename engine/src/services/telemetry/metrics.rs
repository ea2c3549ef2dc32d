//! Prometheus metrics. The counters of a service are resolved when it is compiled, so counting is a few atomic additions. Values
//! from elsewhere (pools, certificates, the process) are collected when somebody reads the page.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::AtomicU64;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

use super::families::{self, Kind};
use super::process::Process;

/// The prefix of all names except those of the process.
const PREFIX: &str = "portcullis";
/// Upper bounds of the latency buckets, seconds.
const BUCKETS: [f64; 14] = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0];
/// Most servers with their own label, because their names may come from requests.
const MAX_BACKENDS: usize = 200;

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ServiceStatus {
    service: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct ByStatus {
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

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LoginResult {
    provider: String,
    result: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct BackendResult {
    backend: String,
    result: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Backend {
    backend: String,
}

/// How an identity provider answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Login {
    /// The credentials were a user's.
    Succeeded,
    /// They were nobody's.
    Failed,
    /// Too many waited already.
    Busy,
    /// The provider could not be asked.
    Broken,
}

impl Login {
    fn word(self) -> &'static str {
        match self {
            Login::Succeeded => "succeeded",
            Login::Failed => "failed",
            Login::Busy => "busy",
            Login::Broken => "error",
        }
    }
}

/// A value that is asked for when somebody reads the metrics, and the values of its labels.
pub type Sample = (Vec<String>, f64);

/// All metrics of a gateway.
pub struct Metrics {
    registry: Mutex<Registry>,
    requests: Family<ServiceStatus, Counter>,
    latency: Family<Service, Histogram, fn() -> Histogram>,
    refused: Family<ByStatus, Counter>,
    reloads: Family<ByResult, Counter>,
    cache: Family<ByCache, Counter>,
    faults: Family<ByBlame, Counter>,
    tasks: Family<TaskResult, Counter>,
    logins: Family<LoginResult, Counter>,
    backends: Family<BackendResult, Counter>,
    backend_latency: Family<Backend, Histogram, fn() -> Histogram>,
    generation: Gauge,
    reloaded: Gauge,
    known_backends: Mutex<BTreeMap<String, ()>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn register(registry: &mut Registry, name: &'static str, metric: impl Metric) {
    registry.register(name, families::help(name), metric);
}

impl Default for Metrics {
    fn default() -> Self {
        let histogram = (|| Histogram::new(BUCKETS)) as fn() -> Histogram;
        let metrics = Metrics {
            requests: Family::default(),
            latency: Family::new_with_constructor(histogram),
            refused: Family::default(),
            reloads: Family::default(),
            cache: Family::default(),
            faults: Family::default(),
            tasks: Family::default(),
            logins: Family::default(),
            backends: Family::default(),
            backend_latency: Family::new_with_constructor(histogram),
            generation: Gauge::default(),
            reloaded: Gauge::default(),
            known_backends: Mutex::default(),
            registry: Mutex::default(),
        };
        let mut root = Registry::default();
        root.register_collector(Box::new(Process::default()));
        let registry = root.sub_registry_with_prefix(PREFIX);
        register(registry, "requests", metrics.requests.clone());
        register(registry, "request_seconds", metrics.latency.clone());
        register(registry, "refused", metrics.refused.clone());
        register(registry, "faults", metrics.faults.clone());
        register(registry, "logins", metrics.logins.clone());
        register(registry, "backend_requests", metrics.backends.clone());
        register(registry, "backend_request_seconds", metrics.backend_latency.clone());
        register(registry, "cache_lookups", metrics.cache.clone());
        register(registry, "task_runs", metrics.tasks.clone());
        register(registry, "reloads", metrics.reloads.clone());
        register(registry, "last_reload_ok", metrics.reloaded.clone());
        register(registry, "generation", metrics.generation.clone());
        *locked(&metrics.registry) = root;
        metrics.sampled("build_info", || vec![(vec![env!("CARGO_PKG_VERSION").to_owned()], 1.0)]);
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
        self.refused.get_or_create(&ByStatus { status }).inc();
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

    /// An identity provider was asked.
    pub fn login(&self, provider: &str, login: Login) {
        self.logins.get_or_create(&LoginResult { provider: provider.to_owned(), result: login.word() }).inc();
    }

    /// Another server was called: its host and port, the class of its answer's status (`2xx`) or what went wrong.
    pub fn backend(&self, backend: &str, result: String, took: Duration) {
        let known = {
            let mut known = locked(&self.known_backends);
            let room = known.len() < MAX_BACKENDS;
            known.contains_key(backend) || (room && known.insert(backend.to_owned(), ()).is_none())
        };
        let backend = if known { backend } else { "others" }.to_owned();
        self.backends.get_or_create(&BackendResult { backend: backend.clone(), result }).inc();
        self.backend_latency.get_or_create(&Backend { backend }).observe(took.as_secs_f64());
    }

    /// A reload, and the generation that serves afterwards.
    pub fn reload(&self, ok: bool, generation: u64) {
        self.reloads.get_or_create(&ByResult { result: if ok { "ok" } else { "failed" } }).inc();
        self.reloaded.set(i64::from(ok));
        self.generation.set(generation as i64);
    }

    /// Adds a family whose values are asked for when somebody reads the metrics. It is one of those that `families` describes.
    pub fn sampled(&self, name: &'static str, read: impl Fn() -> Vec<Sample> + Send + Sync + 'static) {
        let sampled = Sampled { family: families::family(name), read: Box::new(read) };
        locked(&self.registry).sub_registry_with_prefix(PREFIX).register_collector(Box::new(sampled));
    }

    /// The same for one value without labels.
    pub fn gauge(&self, name: &'static str, read: impl Fn() -> i64 + Send + Sync + 'static) {
        self.sampled(name, move || vec![(Vec::new(), read() as f64)]);
    }

    /// The page that Prometheus reads (OpenMetrics text).
    pub fn page(&self) -> String {
        let mut page = String::new();
        match encode(&mut page, &locked(&self.registry)) {
            Ok(()) => page,
            Err(fmt::Error) => String::new(), // writing to a `String` cannot fail
        }
    }
}

/// A family whose values are asked for.
struct Sampled {
    family: &'static families::Described,
    read: Box<dyn Fn() -> Vec<Sample> + Send + Sync>,
}

impl fmt::Debug for Sampled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.family.name)
    }
}

impl Collector for Sampled {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        write(&mut encoder, self.family, &(self.read)())
    }
}

/// Writes a family with these values.
pub(super) fn write(encoder: &mut DescriptorEncoder<'_>, family: &families::Described, samples: &[Sample]) -> fmt::Result {
    if samples.is_empty() {
        return Ok(());
    }
    let kind = if family.kind == Kind::Counter { MetricType::Counter } else { MetricType::Gauge };
    let mut metric = encoder.encode_descriptor(family.name, family.help, None, kind)?;
    for (labels, value) in samples {
        let labels: Vec<(&str, &str)> = family.labels.iter().copied().zip(labels.iter().map(String::as_str)).collect();
        let one = |mut metric: prometheus_client::encoding::MetricEncoder<'_>| {
            if family.kind == Kind::Counter {
                metric.encode_counter::<[(&str, &str); 0], _, u64>(value, None)
            } else {
                metric.encode_gauge(value)
            }
        };
        if labels.is_empty() {
            return one(metric);
        }
        one(metric.encode_family(&labels)?)?;
    }
    Ok(())
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
