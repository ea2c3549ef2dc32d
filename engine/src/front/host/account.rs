//! A gateway's report about itself: databases, providers, services, certificates; also as metrics.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Response, StatusCode};
use portcullis_dsl::{Origin, Policy};

use super::Host;
use super::handler::plain;
use super::status::{Account, Database, Endpoint, Until};
use crate::data::time::iso8601;
use crate::services::Services;
use crate::services::telemetry::Sample;

/// How long a database may take to answer.
const PING: Duration = Duration::from_secs(2);
/// Milliseconds.
const DAY: i64 = 86_400_000;

impl Host {
    /// Whether it was told to stop.
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Whether each database answers. All are asked in parallel.
    pub async fn databases(&self) -> BTreeMap<String, bool> {
        let services = self.services();
        let asked = services.connections.iter().map(|connection| async {
            let answers = tokio::time::timeout(PING, connection.ping()).await;
            (connection.name().to_string(), matches!(answers, Ok(Ok(()))))
        });
        join_all(asked).await.into_iter().collect()
    }

    /// All that it says of itself.
    pub async fn account(&self) -> Account {
        let (services, site) = (self.services(), self.site());
        let state = |up: bool| if up { "up" } else { "down" }.to_owned();
        let answers = self.databases().await;
        let databases = services.connections.iter().map(|connection| {
            let name = connection.name().to_string();
            let up = answers.get(&name).copied().unwrap_or_default();
            (name, Database { state: state(up), kind: connection.dialect().word().to_owned() })
        });
        let providers =
            services.identity.states().map(|(name, up)| (name.to_owned(), up.map_or_else(|| "not asked yet".to_owned(), state)));
        let mut routes: BTreeMap<String, Endpoint> = BTreeMap::new();
        for (name, path) in site.services() {
            routes.insert(name.to_string(), Endpoint { path: path.to_owned(), also: Vec::new(), methods: Vec::new() });
        }
        for (name, path, methods) in site.endpoints() {
            let Some(endpoint) = routes.get_mut(name.as_str()) else { continue };
            endpoint.methods = methods.iter().map(ToString::to_string).collect();
            if path != endpoint.path && !endpoint.also.iter().any(|other| other == path) {
                endpoint.also.push(path.to_owned());
                endpoint.also.sort();
            }
        }
        let now = services.clock.now_millis();
        let certificates = certificates(&services)
            .into_iter()
            .map(|(alias, not_after)| (alias, Until { not_after: iso8601(not_after), days_left: days(not_after, now) }));
        Account {
            status: self.status(),
            ready: !self.is_draining(),
            databases: databases.collect(),
            providers: providers.collect(),
            cluster: services.cluster.report(),
            routes,
            tasks: self.task_reports().await,
            certificates: certificates.collect(),
        }
    }

    /// The page that Prometheus reads.
    pub(super) fn metrics_page(&self) -> Response<Bytes> {
        plain(StatusCode::OK, "application/openmetrics-text; version=1.0.0; charset=utf-8", self.metrics.page())
    }
}

fn days(not_after: i64, now: i64) -> i64 {
    (not_after - now).div_euclid(DAY)
}

/// When certificates expire: those of the current keys by alias, and the authority's.
fn certificates(services: &Services) -> Vec<(String, i64)> {
    let keys = &services.keys;
    let own = keys.aliases().into_iter().filter_map(|alias| {
        let not_after = keys.key(&alias)?.certificate.as_ref()?.not_after;
        Some((alias.to_string(), not_after))
    });
    own.chain(keys.authority().map(|authority| ("ca".to_owned(), authority.not_after))).collect()
}

/// Lets policies show what the gateway says of itself.
pub(super) fn report(host: &Arc<Host>) {
    let gateway: Weak<Host> = Arc::downgrade(host);
    host.services().report.made_by(move || gateway.upgrade().map(|host| told(&host)).unwrap_or_default());
}

/// What policies learn: nothing that has to be waited for, and of each service where it is written and who wrote it.
fn told(host: &Host) -> serde_json::Value {
    let (services, site) = (host.services(), host.site());
    let library = &site.library;
    let policies: BTreeMap<&str, &Policy> = library.services().map(|policy| (policy.name.as_str(), policy)).collect();
    let path = |policy: &Policy| library.sources().get(policy.file).path.clone();
    let mut endpoints: Vec<_> = site
        .endpoints()
        .map(|(name, address, methods)| {
            let methods: Vec<String> = methods.iter().map(ToString::to_string).collect();
            let policy = policies.get(name.as_str());
            let customized: Vec<String> =
                policy.map_or_else(Vec::new, |policy| library.customizations_in(policy).into_iter().map(path).collect());
            serde_json::json!({
                "name": name.as_str(),
                "path": address,
                "methods": methods.join(" "),
                "file": policy.map(|policy| path(policy)),
                "own": policy.is_some_and(|policy| policy.origin == Origin::Operator),
                "customized": customized,
            })
        })
        .collect();
    endpoints.sort_by_key(|endpoint| endpoint.get("path").map(ToString::to_string));
    let now = services.clock.now_millis();
    let certificates: Vec<_> = certificates(&services)
        .into_iter()
        .map(|(alias, end)| serde_json::json!({ "alias": alias, "not_after": iso8601(end), "days_left": days(end, now) }))
        .collect();
    let databases: Vec<_> = services
        .connections
        .iter()
        .filter(|connection| !connection.is_nowhere())
        .map(|connection| serde_json::json!({ "name": connection.name().as_str(), "kind": connection.dialect().word() }))
        .collect();
    serde_json::json!({
        "status": host.status(),
        "ready": !host.is_draining(),
        "databases": databases,
        "certificates": certificates,
        "endpoints": endpoints,
    })
}

/// Registers the values that change by themselves with the metrics.
pub(super) fn measure(host: &Arc<Host>) {
    let add = |name: &'static str, read: fn(&Host) -> Vec<Sample>| {
        // The host owns the metrics, so they must not keep the host alive.
        let host: Weak<Host> = Arc::downgrade(host);
        host.upgrade().into_iter().for_each(|owner| {
            let host = host.clone();
            owner.metrics.sampled(name, move || host.upgrade().map(|host| read(&host)).unwrap_or_default());
        });
    };
    add("ready", |host| vec![(Vec::new(), f64::from(u8::from(!host.is_draining())))]);
    add("provider_up", |host| {
        let services = host.services();
        let asked = services.identity.states().filter_map(|(name, up)| Some((vec![name.to_owned()], f64::from(u8::from(up?)))));
        asked.collect()
    });
    add("cache_entries", |host| {
        host.services().caches.stats().into_iter().map(|cache| (vec![cache.id.to_string()], cache.entries as f64)).collect()
    });
    add("bus_up", |host| vec![(Vec::new(), f64::from(u8::from(host.services().cluster.report().state == "up")))]);
    add("limits_shared", |host| vec![(Vec::new(), f64::from(u8::from(host.services().cluster.report().limits == "shared")))]);
    add("bus_gateways", |host| vec![(Vec::new(), host.services().cluster.report().others as f64)]);
    add("bus_messages", |host| {
        let report = host.services().cluster.report();
        let counts = [("sent", report.sent), ("received", report.received), ("ignored", report.ignored)];
        counts.into_iter().map(|(direction, count)| (vec![direction.to_owned()], count as f64)).collect()
    });
    add("bus_reconnects", |host| vec![(Vec::new(), host.services().cluster.report().reconnects as f64)]);
    add("bus_flushes", |host| vec![(Vec::new(), host.services().cluster.report().flushes as f64)]);
    add("pool_connections", |host| {
        let services = host.services();
        let pools =
            services.connections.iter().filter_map(|connection| Some((connection.name().to_string(), connection.pool()?)));
        let states = pools.flat_map(|(name, pool)| {
            [("idle", pool.idle), ("used", pool.used)].map(|(state, count)| (vec![name.clone(), state.to_owned()], count as f64))
        });
        states.collect()
    });
    add("pool_max_connections", |host| {
        let services = host.services();
        let pools =
            services.connections.iter().filter_map(|connection| Some((connection.name().to_string(), connection.pool()?)));
        pools.map(|(name, pool)| (vec![name], pool.most as f64)).collect()
    });
    add("certificate_not_after_seconds", |host| {
        let ends = certificates(&host.services());
        ends.into_iter().map(|(alias, not_after)| (vec![alias], not_after as f64 / 1000.0)).collect()
    });
    add("certificate_days_left", |host| {
        let services = host.services();
        let now = services.clock.now_millis();
        let ends = certificates(&services);
        ends.into_iter().map(|(alias, not_after)| (vec![alias], days(not_after, now) as f64)).collect()
    });
}
