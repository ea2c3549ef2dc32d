//! Watches the home and reloads on change.
//!
//! Editors save in many ways (write in place, write beside and rename, truncate and write), and tools replace whole folders: so a burst
//! of events is let settle before anything is read. Notifications can be missed (network file systems, a folder moved away and another
//! put in its place), so a cheap look at names, sizes and times every other second backs them up.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::config::AuditTarget;
use crate::home::{self, KEYS};
use crate::host::Host;

/// Between two looks without a notification.
const POLL: Duration = Duration::from_secs(2);
/// However busy the files are, they are read after this long.
const MAX_SETTLE: Duration = Duration::from_secs(2);
/// Notifications that wait. A further one says nothing that a waiting one does not.
const QUEUE: usize = 16;
/// Folders nest no deeper than this where policies are read either.
const MAX_DEPTH: usize = 16;

/// Watches until dropped.
pub struct Watch {
    stop: SyncSender<Signal>,
    thread: Option<std::thread::JoinHandle<()>>,
}

enum Signal {
    Changed,
    Stop,
}

impl Drop for Watch {
    fn drop(&mut self) {
        let _ = self.stop.send(Signal::Stop);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Starts to watch a host's home.
pub fn watch(host: Arc<Host>) -> std::io::Result<Watch> {
    let (stop, signals) = sync_channel(QUEUE);
    let events = stop.clone();
    let thread = std::thread::Builder::new().name("reload".to_owned()).spawn(move || run(&host, &events, &signals))?;
    Ok(Watch { stop, thread: Some(thread) })
}

fn run(host: &Host, events: &SyncSender<Signal>, signals: &Receiver<Signal>) {
    let settle = host.config().reload.settle.0;
    let policies = host.home().watched();
    let keys = vec![host.home().path(KEYS)];
    let mut watcher = listen(host, &policies, events);
    let audit = audit_file(host);
    let fingerprint = |paths: &[PathBuf]| fingerprint(paths, audit.as_deref());
    let (mut seen_policies, mut seen_keys) = (fingerprint(&policies), fingerprint(&keys));
    // What was saved between the loading of the policies and this moment made no event. Nothing changed costs a comparison.
    let _ = host.reload();
    loop {
        match signals.recv_timeout(POLL) {
            Ok(Signal::Changed) => {
                if !settled(signals, settle) {
                    return;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return,
        }
        let (now_policies, now_keys) = (fingerprint(&policies), fingerprint(&keys));
        if now_policies == seen_policies && now_keys == seen_keys {
            continue;
        }
        // Folders may have been replaced. Listening begins before reading, so that no change falls between.
        drop(watcher);
        watcher = listen(host, &policies, events);
        if now_keys != seen_keys {
            seen_keys = now_keys;
            host.reload_keys();
        }
        if now_policies != seen_policies {
            seen_policies = now_policies;
            // What came of it is logged, counted and kept for `status` by the host.
            let _ = host.reload();
        }
    }
}

/// Waits until nothing has changed for a while; `false` when told to stop.
fn settled(signals: &Receiver<Signal>, quiet: Duration) -> bool {
    let began = Instant::now();
    while began.elapsed() < MAX_SETTLE {
        match signals.recv_timeout(quiet) {
            Ok(Signal::Changed) => {}
            Err(RecvTimeoutError::Timeout) => return true,
            Ok(Signal::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
        }
    }
    true
}

/// Asks the system for notifications; without them, looking every other second remains.
fn listen(host: &Host, policies: &[PathBuf], events: &SyncSender<Signal>) -> Option<RecommendedWatcher> {
    let events = events.clone();
    let audit = audit_file(host);
    let handler = move |event: notify::Result<Event>| {
        // Reading is no change, and neither is a log that grows; an error (a queue that ran over) may hide one.
        let logs = |event: &Event| !event.paths.is_empty() && event.paths.iter().all(|path| is_log(path, audit.as_deref()));
        if !event.is_ok_and(|event| matches!(event.kind, EventKind::Access(_)) || logs(&event)) {
            let _ = events.try_send(Signal::Changed);
        }
    };
    let mut watcher = match notify::recommended_watcher(handler) {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::warn!(%error, "files cannot be watched; they are looked at every {} seconds instead", POLL.as_secs());
            return None;
        }
    };
    let mut add = |path: &Path, mode| {
        if path.exists()
            && let Err(error) = watcher.watch(path, mode)
        {
            tracing::debug!(path = %path.display(), %error, "cannot be watched; it is looked at now and then");
        }
    };
    // The home itself, for `gateway.yaml` and for folders that are replaced.
    add(host.home().root(), RecursiveMode::NonRecursive);
    add(&host.home().path(KEYS), RecursiveMode::Recursive);
    for path in policies.iter().filter(|path| path.is_dir()) {
        add(path, RecursiveMode::Recursive);
    }
    Some(watcher)
}

/// Names, sizes and times of everything below some paths.
type Fingerprint = BTreeMap<PathBuf, (u64, Option<SystemTime>)>;

fn fingerprint(paths: &[PathBuf], audit: Option<&Path>) -> Fingerprint {
    let mut found = Fingerprint::new();
    for path in paths {
        note(path, 0, audit, &mut found);
    }
    found
}

fn note(path: &Path, depth: usize, audit: Option<&Path>, found: &mut Fingerprint) {
    let Ok(metadata) = fs::metadata(path) else { return };
    if !metadata.is_dir() {
        // What the gateway itself writes while it reloads would make it reload again.
        if is_log(path, audit) || is_own_output(&metadata) {
            return;
        }
        found.insert(path.to_owned(), (metadata.len(), metadata.modified().ok()));
        return;
    }
    // A folder's own time changes with files that are passed over, such as an editor's; its name alone counts.
    found.insert(path.to_owned(), (0, None));
    if depth < MAX_DEPTH {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            note(&entry.path(), depth + 1, audit, found);
        }
    }
}

/// The file that audit details go to.
fn audit_file(host: &Host) -> Option<PathBuf> {
    match &host.config().logging.audit {
        AuditTarget::File(file) => Some(host.home().path(file)),
        AuditTarget::Log | AuditTarget::Off | AuditTarget::Stdout => None,
    }
}

fn is_log(path: &Path, audit: Option<&Path>) -> bool {
    audit == Some(path) || path.file_name().and_then(|name| name.to_str()).is_some_and(home::is_log)
}

/// Whether a file is where standard output or standard error of this process go.
#[cfg(unix)]
fn is_own_output(metadata: &fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt;
    let same = |own: fs::Metadata| own.is_file() && (own.dev(), own.ino()) == (metadata.dev(), metadata.ino());
    ["/dev/stdout", "/dev/stderr"].iter().any(|stream| fs::metadata(stream).is_ok_and(same))
}

#[cfg(not(unix))]
fn is_own_output(_: &fs::Metadata) -> bool {
    false
}
