//! What a running gateway tells the command line beside it, through two files in `data/`: a lock that is held as long as it runs, and
//! what it last said of itself.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::front::home::{DATA, Home};

const FILE: &str = "status.json";
const LOCK: &str = "gateway.lock";
/// How often, and how far apart, a lock is tried before it counts as a gateway's.
const LOOKS: u32 = 5;
const LOOK: Duration = Duration::from_millis(20);

/// A gateway's account of itself.
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
    /// Since when that set serves.
    pub loaded: String,
    /// How many services it has.
    pub services: usize,
    /// The last attempt to load another.
    pub last_reload: Option<LastReload>,
    /// Settings that were changed and take effect at the next start.
    #[serde(default)]
    pub pending_restart: Vec<String>,
}

/// What a gateway says of itself when it is asked.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Account {
    /// What it also writes down.
    #[serde(flatten)]
    pub status: Status,
    /// Whether it takes requests: no longer once it was told to stop.
    pub ready: bool,
    /// Databases by the name that policies use.
    pub databases: BTreeMap<String, Database>,
    /// Identity providers by name: `up`, `down`, or `not asked yet`.
    pub providers: BTreeMap<String, String>,
    /// Services by name.
    pub routes: BTreeMap<String, Endpoint>,
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
    /// Path.
    pub path: String,
    /// Methods; none: any.
    pub methods: Vec<String>,
}

/// How long a certificate is good.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Until {
    /// When it ends.
    pub not_after: String,
    /// Whole days until then; negative when it has ended.
    pub days_left: i64,
}

/// An attempt to load a changed policy set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastReload {
    /// When.
    pub time: String,
    /// Whether it was taken over.
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
            tracing::warn!(%error, "`portcullis status` will not know of this: the status file cannot be written");
        }
    }
}

/// Held while a gateway runs on a home. The system releases it however the process ends, so nothing stale is ever believed.
pub(super) struct Claim {
    _lock: File,
}

impl Claim {
    /// Takes the home's lock; `None` when another process runs on it already. Several may: only one speaks for the home.
    pub(super) fn take(home: &Home) -> Option<Claim> {
        let lock = File::options().create(true).truncate(false).write(true).open(home.path(DATA).join(LOCK)).ok()?;
        for _ in 0..LOOKS {
            match lock.try_lock() {
                Ok(()) => return Some(Claim { _lock: lock }),
                // It may be a command that only looks whether somebody is here.
                Err(TryLockError::WouldBlock) => std::thread::sleep(LOOK),
                Err(TryLockError::Error(error)) => {
                    tracing::warn!(%error, "the home cannot be locked: `portcullis status` and commands will not find this gateway");
                    return None;
                }
            }
        }
        tracing::warn!("another gateway runs on this home; `portcullis status` and commands speak to that one");
        None
    }
}

/// Whether a gateway runs on this home.
pub(super) fn is_running(home: &Home) -> bool {
    // Shared, so that those who only look do not take each other for a gateway.
    File::open(home.path(DATA).join(LOCK)).is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

pub(super) fn remove(home: &Home) {
    let _ = fs::remove_file(home.path(DATA).join(FILE));
}

/// The account of the gateway that runs on this home; `None` when none does.
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
