//! A gateway on a home: opens what it needs, loads the policies, serves and reloads. The command line runs one in its process,
//! tests run several in theirs.

mod account;
mod admin;
mod build;
mod changes;
pub mod control;
mod handler;
mod inspect;
mod opened;
mod otlp;
mod prebuilt;
mod receive;
mod schema;
mod status;
mod tasks;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;

use crate::data::time::{Clock, iso8601};
use crate::front::home::{self, Home};
use crate::front::server::{Running, Server, TlsServer, Tuner};
use crate::policy::site::Site;
use crate::services::Services;
use crate::services::cache::Caches;
use crate::services::cluster::{self, Cluster};
use crate::services::config::{Config, ListenAddress};
use crate::services::identity::Passwords;
use crate::services::keys::KeyStore;
use crate::services::outbound::Outbound;
use crate::services::telemetry::{self, AuditLog, AuditRecord, Level, Metrics};

pub use changes::Changes;
pub use handler::Front;
pub use inspect::{Inspection, inspect};
pub use prebuilt::Prebuilt;
pub use schema::own_scripts;
pub use status::{Account, Status, has_served, read_status};
pub use tasks::{Ran, TaskReport};

use build::build;
use opened::{Beside, Files, Making, Opened, configured_ports, current_keys, made, properties, unreadable, warn};

/// Options for starting a host, beyond the settings of its home.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Instead of `listeners.https`.
    pub https: Option<ListenAddress>,
    /// Instead of `listeners.http`.
    pub http: Option<ListenAddress>,
    /// YAML on top of the home's settings.
    pub overlay: Option<String>,
    /// A shared clock, for tests: tasks then run only when they are asked to.
    pub clock: Option<Arc<Clock>>,
    /// Serve also what can come to a step without translation.
    pub allow_unsupported: bool,
    /// A shared collection of compiled sets.
    pub prebuilt: Option<Arc<Prebuilt>>,
}

/// How long the last audit records, and the last traces and metrics, may take to get away.
const FLUSHING: Duration = Duration::from_secs(1);
/// How long databases may take to close.
const CLOSING: Duration = Duration::from_secs(3);

/// Why a gateway cannot start, in an operator's words.
#[derive(Debug)]
pub struct StartError(String);

impl StartError {
    fn new(reason: impl fmt::Display) -> Self {
        StartError(reason.to_string())
    }
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for StartError {}

/// A change that was refused, with what is wrong, for its author.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// Diagnostics as text.
    pub report: String,
    /// How many errors it names.
    pub errors: usize,
}

/// A gateway.
pub struct Host {
    home: Home,
    options: Options,
    tls: Option<Arc<TlsServer>>,
    ports: BTreeMap<&'static str, u16>,
    site: ArcSwap<Site>,
    live: Mutex<Live>,
    metrics: Arc<Metrics>,
    /// The settings at the start, to know which changes need a restart.
    started: Arc<Config>,
    /// Whether it was told to stop.
    draining: AtomicBool,
    runtime: tokio::runtime::Handle,
    /// The limits of the running server.
    tuner: OnceLock<Tuner>,
    /// What sends traces and metrics, until it begins to.
    exporter: Mutex<Option<otlp::Exporter>>,
    tasks: tasks::Board,
}

/// State that reloads change, besides the site.
struct Live {
    config: Arc<Config>,
    generation: u64,
    status: Status,
    /// The lock of the home, if this process has it.
    speaks: bool,
}

impl Live {
    fn write_status(&self, home: &Home) {
        if self.speaks {
            self.status.write(home);
        }
    }
}

impl Host {
    /// Opens what the home configures and loads its policies, for commands and checks. Must be called within a runtime.
    pub async fn open(home: Home, options: Options) -> Result<Host, StartError> {
        Ok(Host::prepare(home, options, false).await?.0)
    }

    /// Opens what the home configures, loads its policies and serves requests. Must be called within a runtime.
    pub async fn serve(home: Home, options: Options) -> Result<Serving, StartError> {
        let (host, server) = Host::prepare(home, options, true).await?;
        let server = server.ok_or_else(|| StartError::new("no listener was opened"))?;
        let (https, http) = (server.https_address(), server.http_address());
        let host = Arc::new(host);
        let admin = admin::listen(&host.config()).map_err(StartError::new)?;
        let admin_address = admin.as_ref().and_then(Server::http_address);
        let running = server.start(Arc::new(Front::new(Arc::clone(&host), &host.config())));
        let _ = host.tuner.set(running.tuner());
        let admin = admin.map(|server| admin::start(&host, server));
        let connections = running.counter();
        let unwritten = connections.clone();
        host.metrics.gauge("connections", move || connections.connections() as i64);
        host.metrics.gauge("unwritten_bytes", move || unwritten.unwritten() as i64);
        account::measure(&host);
        account::report(&host);
        let exporter = host.exporter.lock().unwrap_or_else(PoisonError::into_inner).take();
        let sending = exporter.map(|exporter| exporter.start(&host));
        let claim = status::Claim::take(&host.home);
        let socket = claim.as_ref().and_then(|_| control::listen(&host.home));
        {
            let mut live = host.live();
            live.status.https = https.map(|address| status::origin("https", address));
            live.status.http = http.map(|address| status::origin("http", address));
            live.speaks = claim.is_some();
            live.write_status(&host.home);
        }
        let bus = host.services().cluster.start();
        let tasks = tokio::spawn(tasks::run(Arc::clone(&host)));
        let control = socket.map(|socket| tokio::spawn(control::run(Arc::clone(&host), socket)));
        Ok(Serving { host, running, admin, https, http, admin_address, claim, tasks, control, sending, bus })
    }

    async fn prepare(home: Home, options: Options, listen: bool) -> Result<(Host, Option<Server>), StartError> {
        let config = read_config(&home, &options).map_err(StartError::new)?;
        let clock = options.clock.clone().unwrap_or_default();
        let keys = KeyStore::open(&home.path(home::KEYS), &config.host_name.0, clock.now_millis()).map_err(StartError::new)?;
        let keys = Arc::new(keys);
        let mut making = Some(Making::begin(&config, &keys, clock.now_millis()));
        if config.keys.contains_key(&config.tls.key) {
            made(making.take())?;
        }
        if listen {
            home.open_to_others(&config).iter().for_each(|found| tracing::warn!("{found}"));
        }
        let audit = AuditLog::open(&config.logging.audit, home.root())
            .map_err(|error| StartError(format!("the audit log cannot be opened: {error}")))?;
        let metrics = Arc::new(Metrics::default());
        let dropped = audit.clone();
        metrics.gauge("audit_dropped", move || dropped.dropped() as i64);
        let left_out = audit.clone();
        metrics.gauge("audit_left_out", move || left_out.left_out() as i64);
        metrics.gauge("log_dropped", || telemetry::dropped_log_lines() as i64);
        // Bound before the policies are compiled, because they may read the ports.
        let (tls, server) = if listen {
            let tls = TlsServer::new(&config.tls, keys.certified(&config.tls.key).map_err(StartError::new)?);
            let tls = Arc::new(tls.map_err(StartError::new)?);
            let mut listeners = config.listeners.clone();
            listeners.https = options.https.unwrap_or(listeners.https);
            listeners.http = options.http.unwrap_or(listeners.http);
            if let Some(nameless) = config.nameless(&listeners) {
                tracing::warn!("{nameless}");
            }
            let server = Server::bind(&listeners, &tls, config.limits.clone()).map_err(StartError::new)?;
            (Some(tls), Some(server))
        } else {
            (None, None)
        };
        let mut ports = configured_ports(&config);
        if let Some(server) = &server {
            let bound = [("https.port", server.https_address()), ("http.port", server.http_address())];
            ports.extend(bound.into_iter().filter_map(|(name, address)| Some((name, address?.port()))));
        }
        let passwords = Arc::new(Passwords::default());
        schema::add_sample_users(&config, &home, &passwords, clock.now_millis()).map_err(StartError::new)?;
        let beside = Beside { home: home.root(), keys: &keys, passwords: &passwords, ports: &ports, metrics: &metrics };
        let opened = Opened::open(&config, &beside).map_err(|problems| StartError(problems.join("\n")))?;
        let Opened { connections, identity, outbound } = opened;
        let (tracer, exporter) = if listen {
            let trust = crate::services::config::Outbound {
                trusted: config.outbound.trusted.clone(),
                public_authorities: config.outbound.public_authorities,
                ..Default::default()
            };
            let client = Outbound::open(&trust, home.root(), &keys).map_err(StartError::new)?;
            otlp::open(&config.otlp, client)?.unzip()
        } else {
            (None, None)
        };
        if let Some(tracer) = tracer.clone() {
            metrics.sampled("spans_dropped", move || vec![(Vec::new(), tracer.dropped() as f64)]);
        }
        let caches = Arc::new(Caches::new(Arc::clone(&metrics)));
        let cluster = Cluster::open(&config.cluster, &connections, home.root(), &caches, &clock).map_err(StartError::new)?;
        let gateway = Services {
            clock,
            caches,
            cluster: Arc::new(cluster),
            identity,
            passwords,
            attempts: Arc::default(),
            turns: Arc::default(),
            outbound,
            rates: Arc::default(),
            seen: Arc::default(),
            keys,
            properties: Arc::new(properties(&config, &ports, &connections)),
            security: config.security,
            connections,
            metrics: Arc::clone(&metrics),
            audit,
            told: config.logging.access || tracer.is_some(),
            access: config.logging.access,
            tracer,
            report: Arc::default(),
        };
        let sources = home.sources().map_err(|problems| StartError(unreadable(&problems).report))?;
        let migration = schema::Migration::collect(&config, &home, &sources, &gateway.connections);
        let (site, warnings) = build(&options, &config, sources, Arc::new(gateway), || made(making))
            .map_err(|refused| StartError(refused.report))?;
        warn(&warnings);
        let connections = migration.run().await;
        if listen {
            inspect::remarks(&home, &config, &site.library).iter().for_each(|remark| tracing::warn!("{remark}"));
            schema::report_collations(&connections);
        }
        let status = Status::new(&iso8601(site.services.clock.now_millis()), site.services().count());
        metrics.reload(true, 1);
        let runtime = tokio::runtime::Handle::current();
        let started = Arc::new(config);
        let live = Live { config: Arc::clone(&started), generation: 1, status, speaks: false };
        let host = Host {
            home,
            options,
            tls,
            ports,
            site: ArcSwap::from_pointee(site),
            live: Mutex::new(live),
            metrics,
            runtime,
            started,
            draining: AtomicBool::new(false),
            tuner: OnceLock::new(),
            exporter: Mutex::new(exporter),
            tasks: tasks::Board::default(),
        };
        Ok((host, server))
    }

    /// The settings in effect.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.live().config)
    }

    /// The home.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The generation being served.
    pub fn site(&self) -> Arc<Site> {
        self.site.load_full()
    }

    /// The services that outlive generations.
    pub fn services(&self) -> Arc<Services> {
        Arc::clone(&self.site.load().services)
    }

    /// The report for `portcullis status`.
    pub fn status(&self) -> Status {
        self.live().status.clone()
    }

    fn live(&self) -> MutexGuard<'_, Live> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads everything again and serves it from the next request on. On any error the running set stays, and the error says why.
    pub fn reload(&self) -> Result<Changes, Refused> {
        self.reload_with(Files::AsBefore)
    }

    fn reload_with(&self, files: Files) -> Result<Changes, Refused> {
        // One at a time, to the end: a later reload must see the result of an earlier one.
        let mut live = self.live();
        let result = self.reload_locked(&mut live, files);
        let time = iso8601(self.services().clock.now_millis());
        match &result {
            Ok(changes) if changes.is_empty() => return result,
            Ok(changes) => {
                live.generation += 1;
                let generation = live.generation;
                self.audit("policies_changed", Level::Info, &changes.to_string(), &[("generation", generation.to_string())]);
                live.status.loaded(generation, &time, self.site.load().services().count());
                tracing::info!(generation = live.generation, "reloaded: {changes}");
            }
            Err(refused) => {
                live.status.refused(&time, &refused.report);
                self.audit("policies_refused", Level::Warning, &refused.report, &[("errors", refused.errors.to_string())]);
                tracing::error!("reload refused, the running policies stay:\n{}", refused.report);
            }
        }
        self.metrics.reload(result.is_ok(), live.generation);
        live.write_status(&self.home);
        result
    }

    fn reload_locked(&self, live: &mut Live, files: Files) -> Result<Changes, Refused> {
        let config = read_config(&self.home, &self.options)
            .map_err(|error| Refused { report: error.to_string(), errors: error.0.len() })?;
        let sources = self.home.sources().map_err(|problems| unreadable(&problems))?;
        let old = self.site.load_full();
        let mut changes = Changes::between(old.library.sources(), &sources, &live.config, &config);
        if changes.is_empty() && files == Files::AsBefore {
            return Ok(changes);
        }
        let refused = |problems: Vec<String>| Refused { errors: problems.len(), report: problems.join("\n") };
        let services = &old.services;
        let now = services.clock.now_millis();
        opened::make_keys(&config, &services.keys, now).map_err(refused)?;
        // What is opened may spawn, and who reloads is no thread of the runtime's.
        let _entered = self.runtime.enter();
        let beside = Beside {
            home: self.home.root(),
            keys: &services.keys,
            passwords: &services.passwords,
            ports: &self.ports,
            metrics: &self.metrics,
        };
        let opened = Opened::reopen(services, &live.config, &config, &beside, files).map_err(refused)?;
        let Opened { connections, identity, outbound } = opened;
        let new = connections.beyond(&services.connections);
        changes.opened(new.iter().map(|connection| connection.name().as_str()));
        let kept = Arc::ptr_eq(&identity, &services.identity) && Arc::ptr_eq(&outbound, &services.outbound);
        if changes.is_empty() && kept {
            return Ok(changes);
        }
        telemetry::filter(&config.logging.level)
            .map_err(|error| Refused { report: format!("logging.level: {error}"), errors: 1 })?;
        let audit = if config.logging.audit == live.config.logging.audit {
            old.services.audit.clone()
        } else {
            let refuse = |error| Refused { report: format!("the audit log cannot be opened: {error}"), errors: 1 };
            AuditLog::open(&config.logging.audit, self.home.root()).map_err(refuse)?
        };
        let gateway = Services {
            audit,
            properties: Arc::new(properties(&config, &self.ports, &connections)),
            security: config.security,
            told: config.logging.access || services.tracer.is_some(),
            access: config.logging.access,
            connections,
            identity,
            outbound,
            ..(**services).clone()
        };
        let to_migrate = if live.config.schemas == config.schemas { new } else { gateway.connections.clone() };
        let migration = schema::Migration::collect(&config, &self.home, &sources, &to_migrate);
        let (site, warnings) = build(&self.options, &config, sources, Arc::new(gateway), || Ok(()))?;
        warn(&warnings);
        changes.compare_values(&old.library, &site.library);
        self.migrate(migration, &config);
        site.services.cluster.use_connections(&site.services.connections);
        let mut unknown = inspect::unserved(&config, &site.library);
        unknown.extend(inspect::no_tasks(&config, &site.library));
        unknown.iter().for_each(|remark| tracing::warn!("{remark}"));
        self.site.store(Arc::new(site));
        if let Err(error) = telemetry::set_level(&config.logging) {
            // The level from the environment, which was valid at the start.
            tracing::warn!("{error}");
        }
        if let Some(tuner) = self.tuner.get().filter(|_| live.config.limits != config.limits) {
            tuner.tune(&config.limits);
        }
        live.status.pending_restart = self.started.needs_restart(&config).into_iter().map(str::to_owned).collect();
        live.config = Arc::new(config);
        Ok(changes)
    }

    /// Brings the tables of new connections up to date before policies meet them. A database that does not answer is left to later tries,
    /// as at a start.
    fn migrate(&self, migration: schema::Migration, config: &Config) {
        if migration.is_empty() {
            return;
        }
        // On a thread and connections of its own: whoever reloads may keep the runtime waiting.
        let at_once = std::thread::scope(|scope| {
            let run = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().ok()?;
                runtime.block_on(migration.run_apart(&config.connections, self.home.root())).ok()
            });
            run.join().ok().flatten()
        });
        if at_once.is_none() {
            self.runtime.spawn(migration.run());
        }
    }

    /// Records what the gateway itself does.
    fn audit(&self, event: &'static str, level: Level, detail: &str, fields: &[(&str, String)]) {
        let services = self.services();
        let fields = fields.iter().map(|(name, value)| ((*name).to_owned(), value.as_str().into())).collect();
        services.audit.record(AuditRecord::own(services.clock.now_millis(), level, event, detail, fields));
    }

    /// Reopens the file of the audit log, after somebody moved the old one away.
    pub fn reopen_audit(&self) {
        self.services().audit.reopen();
    }

    /// Reads the keys again and serves the listener's certificate from the next handshake on.
    pub fn reload_keys(&self) {
        let keys = Arc::clone(&self.services().keys);
        let before = current_keys(&keys);
        let alias = self.config().tls.key.clone();
        let replaced = keys.reload().and_then(|()| keys.certified(&alias)).map(|identity| {
            if let Some(tls) = &self.tls {
                tls.replace(identity);
            }
        });
        match replaced {
            Ok(()) => {
                tracing::info!("keys and certificates were read again");
                let after = current_keys(&keys);
                for (alias, kid) in after.iter().filter(|(alias, kid)| before.get(*alias) != Some(*kid)) {
                    let event = if before.contains_key(alias) { "key_rotated" } else { "key_added" };
                    self.audit(event, Level::Info, "", &[("alias", alias.to_string()), ("kid", kid.clone())]);
                }
                for (alias, kid) in before.iter().filter(|(alias, _)| !after.contains_key(*alias)) {
                    self.audit("key_removed", Level::Warning, "", &[("alias", alias.to_string()), ("kid", kid.clone())]);
                }
                // Passwords of databases and directories, and authorities, are files that lie there too.
                let _ = self.reload_with(Files::Anew);
            }
            Err(error) => tracing::error!(%error, "keys cannot be read; the old ones stay in use"),
        }
    }
}

/// A serving gateway.
pub struct Serving {
    host: Arc<Host>,
    running: Running,
    admin: Option<Running>,
    admin_address: Option<SocketAddr>,
    https: Option<SocketAddr>,
    http: Option<SocketAddr>,
    claim: Option<status::Claim>,
    tasks: tokio::task::JoinHandle<()>,
    control: Option<tokio::task::JoinHandle<()>>,
    sending: Option<otlp::Sending>,
    bus: Option<cluster::Running>,
}

impl Serving {
    /// The gateway.
    pub fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// Where HTTPS is answered, as a URL without path.
    pub fn https(&self) -> Option<String> {
        self.https.map(|address| status::origin("https", address))
    }

    /// Where plain HTTP is answered, as a URL without path.
    pub fn http(&self) -> Option<String> {
        self.http.map(|address| status::origin("http", address))
    }

    /// Where the monitoring listener answers, as a URL without path.
    pub fn admin(&self) -> Option<String> {
        self.admin_address.map(|address| status::origin("http", address))
    }

    /// Announces that it stops, and continues for `limits.drain_delay`, so that no more requests are sent here when it stops.
    pub async fn drain(&self) {
        self.host.draining.store(true, Ordering::Relaxed);
        tokio::time::sleep(self.host.started.limits.drain_delay.0).await;
    }

    /// Finishes the running requests, then closes the databases. Returns the number of connections that did not finish in time.
    pub async fn shutdown(self) -> usize {
        self.host.draining.store(true, Ordering::Relaxed);
        self.tasks.abort();
        if let Some(control) = &self.control {
            control.abort();
            control::remove(&self.host.home);
        }
        let left = self.running.shutdown().await;
        if let Some(admin) = self.admin {
            admin.shutdown().await;
        }
        // After the last request, and before the databases close.
        if let Some(bus) = self.bus {
            bus.finish().await;
        }
        // A hanging statement keeps its connection.
        if tokio::time::timeout(CLOSING, self.host.services().connections.close()).await.is_err() {
            tracing::warn!("databases were still busy when the gateway stopped");
        }
        if self.claim.is_some() {
            status::remove(&self.host.home);
        }
        if let Some(sending) = self.sending {
            sending.finish(FLUSHING).await;
        }
        let audit = self.host.services().audit.clone();
        let _ = tokio::task::spawn_blocking(move || audit.flush(FLUSHING)).await;
        left
    }
}

fn read_config(home: &Home, options: &Options) -> Result<Config, crate::services::config::ConfigErrors> {
    home.config_with(options.overlay.as_deref())
}

#[cfg(test)]
mod forwarding;
#[cfg(test)]
mod limiting;
#[cfg(test)]
mod observing;
#[cfg(test)]
mod tests;
