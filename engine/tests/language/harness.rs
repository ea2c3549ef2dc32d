//! A gateway in memory, and policies run on it.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use http::{Method, Response};
use portcullis::Clock;
use portcullis::Connection;
use portcullis::Connections;
use portcullis::Request;
use portcullis::Secret;
use portcullis::Services;
use portcullis::Site;
use portcullis::Value;
use portcullis::exec::Ending;
use portcullis::identity::{Cost, InternalUsers, Passwords, Providers};
use portcullis::{KeyKind, KeyStore};
use portcullis_dsl::{Origin, Severity, Sources, diagnostic};

/// The result of a command.
pub struct Outcome {
    /// `holds`, `fails`, or `faults: …`.
    pub ending: String,
    /// Its outputs as text; those that were never set are missing.
    pub outputs: BTreeMap<String, String>,
}

/// Files with the part of an installation they belong to.
pub type Files<'a> = &'a [(&'a str, &'a str, Origin)];

/// Policies on their own gateway, and its folder.
pub struct Home {
    site: Arc<Site>,
    _folder: tempfile::TempDir,
}

impl std::ops::Deref for Home {
    type Target = Arc<Site>;

    fn deref(&self) -> &Arc<Site> {
        &self.site
    }
}

/// Compiles files, on a gateway with a property, a secret `example`, the keys `rsa`, `ec` and `ed`, an empty database `Test`, and
/// users of the provider `Example`. The error is the rendered diagnostics with their codes. Warnings are not an error.
pub fn site(files: Files<'_>) -> Result<Home, String> {
    let mut sources = Sources::default();
    for (path, text, origin) in files {
        sources.add(*path, text.to_string(), *origin);
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (site, library, diagnostics) = Site::build(sources, Arc::new(gateway(&folder)), "", &[]);
    let errors: Vec<_> = diagnostics.into_iter().filter(|found| found.severity == Severity::Error).collect();
    match site {
        Some(site) if errors.is_empty() => Ok(Home { site: Arc::new(site), _folder: folder }),
        _ => Err(diagnostic::render(&errors, library.sources(), false)),
    }
}

fn gateway(folder: &tempfile::TempDir) -> Services {
    let database = Connection { url: "sqlite://test.db".to_owned(), ..Connection::default() };
    let databases = BTreeMap::from([("Test".to_owned(), database)]);
    Services {
        connections: Connections::open(&databases, folder.path()).expect("a database"),
        keys: Arc::clone(&KEYS),
        identity: Arc::new(users(folder)),
        properties: Arc::new(BTreeMap::from([("cluster.hostname".to_owned(), "gateway.example".into())])),
        ..Services::default()
    }
}

/// The provider `Example` with the user `ann`, whose password is `correct horse` and whose role is `admin`.
fn users(folder: &tempfile::TempDir) -> Providers {
    let cheap = Arc::new(Passwords::new(Cost { memory: 64, passes: 1 }));
    let users = InternalUsers::new("Example", folder.path().join("users.json"), cheap);
    let attributes = BTreeMap::from([("role".to_owned(), "admin".into())]);
    users.add("ann", &Secret::new("correct horse"), attributes, 0).expect("a user");
    let mut providers = Providers::default();
    providers.insert("Example", Arc::new(users));
    providers
}

/// Created once, because an RSA key takes a while.
static KEYS: LazyLock<Arc<KeyStore>> = LazyLock::new(|| {
    let home = tempfile::tempdir().expect("a folder");
    let folder = home.path().join("keys");
    std::fs::create_dir_all(folder.join("secrets")).expect("a folder");
    std::fs::write(folder.join("secrets/example"), "hidden").expect("a secret");
    let now = Clock::default().now_millis();
    let store = KeyStore::open(&folder, "gateway.example", now).expect("a key store");
    for (alias, kind) in [("rsa", KeyKind::Rsa), ("ec", KeyKind::P256), ("ed", KeyKind::Ed25519)] {
        store.ensure_key(alias, kind, now).expect("a key");
    }
    Arc::new(store)
});

/// Waits for a future on this thread.
pub fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(future)
}

/// Runs a command.
pub fn command(site: &Arc<Site>, name: &str) -> Outcome {
    let (ending, outputs) = wait(site.run_named(name, &[])).unwrap_or_else(|| panic!("no command `{name}`"));
    let ending = match ending {
        Ending::Held => "holds".to_owned(),
        Ending::Failed => "fails".to_owned(),
        Ending::Broken(fault) => format!("faults: {fault}"),
    };
    let outputs = outputs.into_iter().filter(|(_, value)| !value.is_undefined());
    Outcome { ending, outputs: outputs.map(|(name, value)| (name.to_string(), shown(&value))).collect() }
}

fn shown(value: &Value) -> String {
    value.as_text().into_owned()
}

/// Sends a request given as `GET /path?query`, header lines, an empty line, a body.
pub fn request(site: &Arc<Site>, text: &str) -> Response<bytes::Bytes> {
    let (head, body) = text.split_once("\n\n").unwrap_or((text, ""));
    let mut lines = head.lines();
    let first = lines.next().unwrap_or("");
    let (method, target) = first.split_once(' ').unwrap_or((first, "/"));
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let method: Method = method.parse().expect("a method");
    let mut request = Request::new(method, path);
    request.query = query.into();
    request.host = "gateway.example".into();
    request.port = 8443;
    request.secure = true;
    request.message.set_body(body.trim_end_matches('\n').to_owned());
    for line in lines {
        let (name, value) = line.split_once(':').expect("a header");
        request.message.add_header(name.trim(), value.trim()).expect("a header");
    }
    wait(async { site.handle(request).await })
}
