//! What a running gateway tells the command line, through two files in `data/`: a lock that it holds as long as it runs, and its
//! last status.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::front::home::{DATA, Home};

const FILE: &str = "status.json";
const LOCK: &str = "gateway.lock";
/// How often, and at which interval, a lock is tried before it counts as held by a gateway.
const LOOKS: u32 = 5;
const LOOK: Duration = Duration::from_millis(20);

/// The status of a gateway.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Process.
    pub pid: u32,
    /// Version of the program.
    pub version: String,
    /// Since when it runs.
    pub started: String,
    /// Where HTTPS is answered.
    pub https: Option<String>,
    /// Where plain HTTP is answered.
    pub http: Option<String>,
    /// Number of the policy set being served, counted from 1.
    pub generation: u64,
    /// Since when that set is served.
    pub loaded: String,
    /// How many services it has.
    pub services: usize,
    /// The last attempt to load another set.
    pub last_reload: Option<LastReload>,
    /// Changed settings that take effect at the next start.
    #[serde(default)]
    pub pending_restart: Vec<String>,
}

/// A gateway's report about itself.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// What it also writes down.
    #[serde(flatten)]
    pub status: Status,
    /// Whether it accepts requests: not after it was told to stop.
    pub ready: bool,
    /// Databases by the name that policies use.
    pub databases: BTreeMap<String, Database>,
    /// Identity providers by name: `up`, `down`, or `not asked yet`.
    pub providers: BTreeMap<String, String>,
    /// The other gateways.
    #[serde(default)]
    pub cluster: crate::services::cluster::Report,
    /// Services by name.
    pub routes: BTreeMap<String, Endpoint>,
    /// Tasks by name.
    #[serde(default)]
    pub tasks: BTreeMap<String, super::TaskReport>,
    /// Certificates of keys by alias, and of the gateway's authority.
    pub certificates: BTreeMap<String, Until>,
}

/// A database.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Database {
    /// `up` or `down`.
    pub state: String,
    /// What it is: `sqlite`, `mysql`, `postgres`.
    pub kind: String,
}

/// Where a service is answered.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Endpoint {
    /// Path: the first, if it has several.
    pub path: String,
    /// Its other paths.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// Methods; none: any.
    pub methods: Vec<String>,
}

/// How long a certificate is good.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Until {
    /// When it ends.
    pub not_after: String,
    /// Whole days until then; negative after its end.
    pub days_left: i64,
}

/// An attempt to load a changed policy set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastReload {
    /// When.
    pub time: String,
    /// Whether it took effect.
    pub ok: bool,
    /// What was wrong.
    pub report: String,
}

impl Status {
    pub(super) fn new(started: &str, services: usize) -> Status {
        Status {
            pid: std::process::id(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: started.to_owned(),
            https: None,
            http: None,
            generation: 1,
            loaded: started.to_owned(),
            services,
            last_reload: None,
            pending_restart: Vec::new(),
        }
    }

    pub(super) fn loaded(&mut self, generation: u64, time: &str, services: usize) {
        self.generation = generation;
        self.loaded = time.to_owned();
        self.services = services;
        self.last_reload = Some(LastReload { time: time.to_owned(), ok: true, report: String::new() });
    }

    pub(super) fn refused(&mut self, time: &str, report: &str) {
        self.last_reload = Some(LastReload { time: time.to_owned(), ok: false, report: report.to_owned() });
    }

    /// Writes the file as a whole.
    pub(super) fn write(&self, home: &Home) {
        let folder = home.path(DATA);
        let written = serde_json::to_vec_pretty(self).map_err(io::Error::other).and_then(|json| {
            let beside = folder.join(format!("{FILE}.new"));
            fs::write(&beside, json)?;
            fs::rename(beside, folder.join(FILE))
        });
        if let Err(error) = written {
            tracing::warn!(%error, "`portcullis status` will be out of date: the status file cannot be written");
        }
    }
}

/// Held while a gateway runs on a home. The system releases it however the process ends, so a stale status is never believed.
pub(super) struct Claim {
    _lock: File,
}

impl Claim {
    /// Takes the home's lock; `None` if another process has it. Several gateways may run on a home, but commands reach only one.
    pub(super) fn take(home: &Home) -> Option<Claim> {
        let lock = File::options().create(true).truncate(false).write(true).open(home.path(DATA).join(LOCK)).ok()?;
        for _ in 0..LOOKS {
            match lock.try_lock() {
                Ok(()) => return Some(Claim { _lock: lock }),
                // The holder may be a command that only checks for a gateway.
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK),
                Err(TryLockError::Error(error)) => {
                    tracing::warn!(%error, "the home cannot be locked: `portcullis status` and commands will not find this gateway");
                    return None;
                }
            }
        }
        tracing::warn!("another gateway runs on this home; `portcullis status` and commands use that one");
        None
    }
}

/// Whether a gateway runs on this home.
pub(super) fn is_running(home: &Home) -> bool {
    // A shared lock, so that commands that only check do not mistake each other for a gateway.
    File::open(home.path(DATA).join(LOCK)).is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

pub(super) fn remove(home: &Home) {
    let _ = fs::remove_file(home.path(DATA).join(FILE));
}

/// The status of the gateway that runs on this home; `None` if there is none.
pub fn read_status(home: &Home) -> Option<Status> {
    if !is_running(home) {
        return None;
    }
    serde_json::from_slice(&fs::read(home.path(DATA).join(FILE)).ok()?).ok()
}

/// Whether a gateway has ever served this home.
pub fn has_served(home: &Home) -> bool {
    home.path(DATA).join(LOCK).exists()
}

/// The address that is listened on, as a URL: `0.0.0.0` and `[::]` too, so that nobody takes an open listener for a local one.
pub(super) fn origin(scheme: &str, address: SocketAddr) -> String {
    format!("{scheme}://{address}")
}
