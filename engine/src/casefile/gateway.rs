//! A gateway for one case: a copy of a home that was opened once, its own ports, and a clock that can be moved.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_yaml::{Mapping, Value as Yaml};

use super::Failure;
use super::client::Client;
use super::scratch::{Scratch, Server};
use super::step::{Case, StepKind};
use crate::data::principal::Secret;
use crate::data::time::Clock;
use crate::front::home::{CUSTOMIZATIONS, DATA, Home, KEYS, SERVICES};
use crate::front::host::{Host, Options, Prebuilt, Serving};
use crate::policy::site::Site;
use crate::services::Services;
use crate::services::config::{self, Config, ListenAddress, ProviderKind};
use crate::services::identity::{Cost, InternalUsers, Passwords, USERS_FILE, UserError};
use crate::services::private;
use crate::services::store::Dialect;
use crate::services::telemetry;

/// Settings of every case: nothing waits for the disk or watches files.
const SETTINGS: &str = "
reload: { watch: false }
logging: { audit: log }
monitoring: { listen: off }
limits: { shutdown_timeout: 250ms }
sample_data: false # a case begins with empty tables
cluster: { redis: ~, connection: off } # each gateway is alone, unless a case says otherwise
";

/// The common basis of all cases: an opened home with keys and tables, and compiled sets of policies.
#[derive(Clone)]
pub struct Lab {
    template: Arc<tempfile::TempDir>,
    shipped: Option<PathBuf>,
    /// Settings of the tested home, with those of every case on top.
    settings: Mapping,
    prebuilt: Arc<Prebuilt>,
    /// The server for the databases, unless they are embedded.
    server: Option<Server>,
    /// Whether each case runs on two gateways.
    split: bool,
    /// SQL that makes the tables of each case before its gateway starts; empty: the gateway makes its own.
    tables: Arc<str>,
}

/// The cluster property that tells the first of two gateways where the second one is.
pub const BEHIND: &str = "case.behind";
/// The address of the second gateway.
const BEHIND_ADDRESS: std::net::Ipv4Addr = std::net::Ipv4Addr::new(127, 0, 0, 2);

impl Lab {
    /// Prepares cases over the shipped policies (of a source tree, if one is named). If an operator's home is named, its
    /// settings, customizations and services are used too, but neither its keys nor its data. Embedded databases replace all
    /// databases, and the gateway's own users replace all directories, so that no test touches real ones.
    pub async fn new(shipped: Option<&Path>, base: Option<&Path>) -> Result<Lab, String> {
        let template = tempfile::tempdir().map_err(|error| format!("a temporary folder: {error}"))?;
        let mut settings = Mapping::new();
        if let Some(base) = base {
            for folder in [CUSTOMIZATIONS, SERVICES] {
                copy(&base.join(folder), &template.path().join(folder)).map_err(|error| format!("{folder}: {error}"))?;
            }
            settings = read_yaml(&base.join(config::FILE))?;
        }
        settings.remove("listeners");
        overlay(&mut settings, parse_yaml(SETTINGS)?);
        // The shipped settings also name connections.
        write(template.path(), config::FILE, to_yaml(&settings)?.as_bytes())?;
        let home = Home::at(template.path(), shipped);
        let config = home.config().map_err(|error| error.to_string())?;
        let mut connections = Mapping::new();
        for name in config.connections.keys() {
            let file = name.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
            connections.insert(
                name.as_str().into(),
                parse_yaml(&format!("{{ url: 'sqlite://data/{file}.db', synchronous: normal }}"))?.into(),
            );
        }
        settings.insert("connections".into(), connections.into());
        // Nor a real directory: the cases create the users.
        let directories = config.identity_providers.iter().filter(|(_, provider)| provider.kind == ProviderKind::Ldap);
        let stand_ins: Mapping = directories.map(|(name, _)| (name.as_str().into(), "internal".into())).collect();
        if !stand_ins.is_empty() {
            overlay(&mut settings, Mapping::from_iter([("identity_providers".into(), stand_ins.into())]));
        }
        write(template.path(), config::FILE, to_yaml(&settings)?.as_bytes())?;
        for folder in [CUSTOMIZATIONS, SERVICES, KEYS, DATA] {
            private::make_folder(&template.path().join(folder)).map_err(|error| format!("{folder}: {error}"))?;
        }
        let prebuilt = Arc::new(Prebuilt::default());
        let options = Options { prebuilt: Some(Arc::clone(&prebuilt)), ..Options::default() };
        // Opened once, to create keys and tables and to compile the set that most cases use.
        let host = Host::open(Home::at(template.path(), shipped), options).await.map_err(|error| error.to_string())?;
        host.services().connections.close().await;
        Ok(Lab {
            template: Arc::new(template),
            shipped: shipped.map(Path::to_owned),
            settings,
            prebuilt,
            server: None,
            split: false,
            tables: "".into(),
        })
    }

    /// The same cases on two gateways each. The first one gets the requests and has no databases. Behind it, another one has them; it
    /// runs the commands and the SQL of the case. `${gateway.case.behind}` is its host and port.
    #[must_use]
    pub fn split(&self) -> Lab {
        Lab { split: true, ..self.clone() }
    }

    /// The same cases with databases on a server, `mysql://user@host/database` or `postgres://…`. The account must be allowed to
    /// create databases: each case gets new ones, which are dropped at its end.
    pub fn on(&self, server: &str) -> Result<Lab, String> {
        Ok(Lab { server: Some(Server::new(server)?), ..self.clone() })
    }

    /// The same cases on tables that somebody else made, with this SQL.
    pub fn with_tables(&self, sql: &str) -> Lab {
        Lab { tables: sql.into(), ..self.clone() }
    }

    /// The dialect of its cases' databases.
    pub fn dialect(&self) -> Dialect {
        self.server.as_ref().map_or(Dialect::Sqlite, Server::dialect)
    }

    /// Databases for one case; `None` if they are embedded.
    pub(super) async fn scratch(&self) -> Result<Option<Scratch>, String> {
        let Some(server) = &self.server else { return Ok(None) };
        let connections = self.settings.get("connections").and_then(Yaml::as_mapping);
        let names = connections.into_iter().flat_map(|connections| connections.keys()).filter_map(Yaml::as_str);
        server.make(names, &self.tables).await.map(Some)
    }

    /// Runs a case on its own thread and runtime, so that it has its own log.
    pub fn run(&self, case: &Case) -> Result<(), Failure> {
        let failed = |message: String| Failure::new(&case.file, 1, message);
        let run = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime = runtime.map_err(|error| failed(error.to_string()))?;
            runtime.block_on(super::run::run(case, self))
        };
        std::thread::scope(|scope| {
            let joined = scope.spawn(run).join();
            joined.unwrap_or_else(|_| Err(failed("the test itself panicked".to_owned())))
        })
    }
}

/// A running gateway of a case.
pub(super) struct CaseGateway {
    node: Node,
    /// The gateway behind it that has the databases, if there are two.
    behind: Option<Node>,
    clock: Arc<Clock>,
    log: Log,
    _logging: tracing::subscriber::DefaultGuard,
}

impl CaseGateway {
    /// Creates the home and starts the gateway.
    pub(super) async fn start(case: &Case, lab: &Lab, scratch: Option<&Scratch>) -> Result<CaseGateway, Failure> {
        let failed = |message: String| Failure::new(&case.file, 1, message);
        let log = Log::default();
        let writer = log.clone();
        let level = case.steps.iter().rev().find_map(|step| match &step.kind {
            StepKind::Config(text) => Some(parse_yaml(text).ok()?.get("logging")?.get("level")?.as_str()?.to_owned()),
            _ => None,
        });
        let filter = telemetry::filter(level.as_deref().unwrap_or("info")).map_err(|error| failed(error.to_string()))?;
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .fmt_fields(crate::services::telemetry::plain::Fields)
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        let logging = tracing::subscriber::set_default(subscriber);
        let mut settings = lab.settings.clone();
        if let Some(scratch) = scratch {
            settings.insert("connections".into(), scratch.settings().into());
        }
        for step in &case.steps {
            let here = |message: String| Failure::new(&step.file, step.line, message);
            if let StepKind::Config(text) = &step.kind {
                // Read alone first, so that errors name the case's own lines.
                Config::read([("== config", text.as_str())]).map_err(|error| here(error.to_string()))?;
                overlay(&mut settings, parse_yaml(text).map_err(here)?);
            }
        }
        let clock = Arc::new(Clock::standing());
        let mut behind = None;
        if lab.split {
            let mut own = settings.clone();
            let more = format!(
                "{{ host_name: {BEHIND_ADDRESS}, properties: {{ {BEHIND}: 'localhost:8443' }}, identity_providers: {{ Gateway as a \
                 Client Identity Provider: {{ type: federated, trusted: [keys/ca.pem] }} }} }}"
            );
            overlay(&mut own, parse_yaml(&more).map_err(failed)?);
            let node = Node::start(case, lab, own, BEHIND_ADDRESS, &clock).await?;
            let port = node.serving.https().and_then(|origin| origin.rsplit_once(':')?.1.parse::<u16>().ok()).unwrap_or_default();
            behind = Some(node);
            let none = settings.get("connections").and_then(Yaml::as_mapping).cloned().unwrap_or_default();
            settings.insert(
                "connections".into(),
                none.into_iter().map(|(name, _)| (name, "none".into())).collect::<Mapping>().into(),
            );
            let where_it_is = format!("properties: {{ {BEHIND}: '{BEHIND_ADDRESS}:{port}' }}");
            overlay(&mut settings, parse_yaml(&where_it_is).map_err(failed)?);
        }
        let node = Node::start(case, lab, settings, std::net::Ipv4Addr::LOCALHOST, &clock).await?;
        Ok(CaseGateway { node, behind, clock, log, _logging: logging })
    }

    fn nodes(&self) -> impl Iterator<Item = &Node> {
        self.behind.iter().chain([&self.node])
    }

    /// The gateway that has the databases.
    fn store(&self) -> &Node {
        self.behind.as_ref().unwrap_or(&self.node)
    }

    /// A client that trusts this gateway's authority.
    pub(super) fn client(&self) -> Result<Client, String> {
        let authority = self.node.serving.host().services().keys.authority().ok_or("the gateway has no authority")?;
        let address = |origin: Option<String>| origin.and_then(|origin| origin.split_once("://")?.1.parse().ok());
        let (https, http) = (address(self.node.serving.https()), address(self.node.serving.http()));
        let (Some(https), Some(http)) = (https, http) else { return Err("the gateway does not listen".to_owned()) };
        let client = Client::new(https, http, authority.der().to_vec().into()).map_err(|error| error.to_string())?;
        let read = |name: &str| fs::read_to_string(self.node.home.path().join("keys").join(name)).ok();
        Ok(match (read("ca.pem"), read("ca.key.pem")) {
            (Some(certificate), Some(key)) => client.issuing(certificate, key),
            _ => client,
        })
    }

    /// Its HTTPS origin.
    pub(super) fn https(&self) -> String {
        self.node.serving.https().unwrap_or_default().replace("127.0.0.1", "localhost")
    }

    /// Its HTTP origin.
    pub(super) fn http(&self) -> String {
        self.node.serving.http().unwrap_or_default().replace("127.0.0.1", "localhost")
    }

    /// The services of the policies, with the databases.
    pub(super) fn services(&self) -> Arc<Services> {
        self.store().serving.host().services()
    }

    /// The generation that runs commands.
    pub(super) fn site(&self) -> Arc<Site> {
        self.store().serving.host().site()
    }

    /// Moves its clock.
    pub(super) fn advance(&self, millis: i64) {
        self.clock.advance(millis);
    }

    /// Its time.
    pub(super) fn now_millis(&self) -> i64 {
        self.clock.now_millis()
    }

    /// A path in its home.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.node.home.path().join(path)
    }

    /// Writes a file of its home. Settings are laid over those that the case began with: its databases stay its own.
    pub(super) fn write(&self, path: &str, content: &[u8]) -> Result<(), String> {
        self.nodes().try_for_each(|node| node.write(path, content))
    }

    /// Deletes a file of its home.
    pub(super) fn delete(&self, path: &str) -> io::Result<()> {
        self.nodes().try_for_each(|node| fs::remove_file(node.home.path().join(path)))
    }

    /// Renames a file of its home.
    pub(super) fn rename(&self, old: &str, new: &str) -> io::Result<()> {
        self.nodes().try_for_each(|node| fs::rename(node.home.path().join(old), node.home.path().join(new)))
    }

    /// Reloads as the watcher would after an edit; returns the report if the edit is refused.
    pub(super) fn reload(&self) -> Result<(), String> {
        self.nodes().try_for_each(|node| node.serving.host().reload().map(|_| ()).map_err(|refused| refused.report))
    }

    /// Adds a user of the internal identity provider.
    pub(super) fn add_user(
        &self,
        name: &str,
        password: &str,
        roles: &[String],
        further: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<(), String> {
        // A hash keeps the cost it was made with, so the provider's later checks are as cheap.
        let cheap = Arc::new(Passwords::new(Cost { memory: 64, passes: 1 }));
        let mut attributes: BTreeMap<_, _> = further.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        match roles {
            [] => {}
            [role] => drop(attributes.insert("role".to_owned(), role.as_str().into())),
            several => drop(attributes.insert("role".to_owned(), several.into())),
        }
        let password = Secret::new(password);
        self.nodes().try_for_each(|node| {
            let users = InternalUsers::new("", node.home.path().join(USERS_FILE), Arc::clone(&cheap));
            match users.add(name, &password, attributes.clone(), self.now_millis()) {
                Err(UserError::Exists(_)) => users.set_password(name, &password, self.now_millis()),
                added => added,
            }
            .map_err(|error| error.to_string())
        })
    }

    /// What it has logged.
    pub(super) fn log(&self) -> String {
        self.log.0.lock().map_or_else(|_| String::new(), |bytes| String::from_utf8_lossy(&bytes).into_owned())
    }

    /// Ends it.
    pub(super) async fn stop(self) {
        self.node.serving.shutdown().await;
        if let Some(behind) = self.behind {
            behind.serving.shutdown().await;
        }
    }
}

/// One gateway on a home of its own.
struct Node {
    home: tempfile::TempDir,
    settings: Mapping,
    serving: Serving,
}

impl Node {
    async fn start(
        case: &Case,
        lab: &Lab,
        settings: Mapping,
        address: std::net::Ipv4Addr,
        clock: &Arc<Clock>,
    ) -> Result<Node, Failure> {
        let failed = |message: String| Failure::new(&case.file, 1, message);
        let home = tempfile::tempdir().map_err(|error| failed(format!("a temporary folder: {error}")))?;
        copy(lab.template.path(), home.path()).map_err(|error| failed(format!("copying the home: {error}")))?;
        for step in &case.steps {
            if let StepKind::File { path, content } = &step.kind {
                write(home.path(), path, content).map_err(|message| Failure::new(&step.file, step.line, message))?;
            }
        }
        to_yaml(&settings).and_then(|text| write(home.path(), config::FILE, text.as_bytes())).map_err(failed)?;
        let any = ListenAddress::At((address, 0).into());
        let options = Options {
            https: Some(any),
            http: Some(any),
            clock: Some(Arc::clone(clock)),
            prebuilt: Some(Arc::clone(&lab.prebuilt)),
            ..Options::default()
        };
        let serving = Host::serve(Home::at(home.path(), lab.shipped.as_deref()), options)
            .await
            .map_err(|error| failed(format!("the gateway does not start:\n{error}")))?;
        Ok(Node { home, settings, serving })
    }

    fn write(&self, path: &str, content: &[u8]) -> Result<(), String> {
        if path == config::FILE
            && let Ok(text) = str::from_utf8(content)
            && let Ok(own) = parse_yaml(text)
        {
            let mut settings = self.settings.clone();
            overlay(&mut settings, own);
            return write(self.home.path(), path, to_yaml(&settings)?.as_bytes());
        }
        write(self.home.path(), path, content)
    }
}

/// What was logged on this thread.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Ok(mut log) = self.0.lock() {
            log.extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn write(home: &Path, path: &str, content: &[u8]) -> Result<(), String> {
    let target = home.join(path);
    if let Some(folder) = target.parent() {
        fs::create_dir_all(folder).map_err(|error| format!("{path}: {error}"))?;
    }
    fs::write(&target, content).map_err(|error| format!("{path}: {error}"))
}

/// Copies a folder with everything below it; a missing one counts as empty.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    if !from.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &to.join(entry.file_name()))?;
        } else {
            fs::copy(entry.path(), to.join(entry.file_name()))?;
        }
    }
    fs::set_permissions(to, fs::metadata(from)?.permissions())
}

fn parse_yaml(text: &str) -> Result<Mapping, String> {
    serde_yaml::from_str::<Option<Mapping>>(text).map(Option::unwrap_or_default).map_err(|error| error.to_string())
}

fn read_yaml(path: &Path) -> Result<Mapping, String> {
    match fs::read_to_string(path) {
        Ok(text) => parse_yaml(&text).map_err(|error| format!("{}: {error}", path.display())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Mapping::new()),
        Err(error) => Err(format!("{}: {error}", path.display())),
    }
}

fn to_yaml(settings: &Mapping) -> Result<String, String> {
    serde_yaml::to_string(&Yaml::Mapping(settings.clone())).map_err(|error| error.to_string())
}

/// Puts settings on top of others: sections are merged, everything else is replaced.
fn overlay(below: &mut Mapping, above: Mapping) {
    for (key, value) in above {
        match (below.get_mut(&key), value) {
            (Some(Yaml::Mapping(old)), Yaml::Mapping(new)) => overlay(old, new),
            (_, value) => {
                below.insert(key, value);
            }
        }
    }
}
