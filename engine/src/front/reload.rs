//! Watches the home and reloads on change.
//!
//! Editors save in many ways (write in place, write beside and rename, truncate and write), and tools replace whole folders: so a burst
//! of events is let settle before anything is read. Notifications can be missed (network file systems, a folder moved away and another
//! put in its place), so a cheap look at names, links, sizes and times every other second backs them up.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use crate::front::home::{self, KEYS};
use crate::front::host::Host;
use crate::services::config::AuditTarget;
use crate::services::stamp::Stamp;

/// Interval of checks without a notification.
const POLL: Duration = Duration::from_secs(2);
/// Files that never become quiet are read after this time.
const MAX_SETTLE: Duration = Duration::from_secs(2);
/// The same depth limit as for reading policies.
const MAX_DEPTH: usize = 16;

/// Watches until dropped.
pub struct Watch {
    signals: Signals,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Tells the watching thread that something changed, or that it shall stop. At most one signal waits for it.
#[derive(Clone)]
struct Signals {
    stop: Arc<AtomicBool>,
    wake: SyncSender<()>,
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.signals.stop.store(true, Relaxed);
        let _ = self.signals.wake.try_send(()); // if it is full, the thread is about to wake
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Starts to watch a host's home.
pub fn watch(host: Arc<Host>) -> std::io::Result<Watch> {
    let (wake, woken) = sync_channel(1);
    let signals = Signals { stop: Arc::default(), wake };
    let events = signals.clone();
    let thread = std::thread::Builder::new().name("reload".to_owned()).spawn(move || run(&host, &events, &woken))?;
    Ok(Watch { signals, thread: Some(thread) })
}

fn run(host: &Host, events: &Signals, woken: &Receiver<()>) {
    let settle = host.config().reload.settle.0;
    let policies = host.home().watched();
    let keys = vec![host.home().path(KEYS)];
    let mut watcher = listen(host, &policies, events);
    let look = |paths: &[PathBuf]| {
        let mut found = fingerprint(paths);
        if let AuditTarget::File(file) = &host.config().logging.audit {
            found.remove(&host.home().path(file));
        }
        found
    };
    let (mut seen_policies, mut seen_keys) = (look(&policies), look(&keys));
    // Changes between loading the policies and this moment caused no event. If nothing changed, this only costs a comparison.
    let _ = host.reload();
    loop {
        match woken.recv_timeout(POLL) {
            Ok(()) => settled(events, woken, settle),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if events.stop.load(Relaxed) {
            return;
        }
        let (now_policies, now_keys) = (look(&policies), look(&keys));
        if now_policies == seen_policies && now_keys == seen_keys {
            continue;
        }
        // Folders may have been replaced. Watching starts before reading, so that no change is missed.
        drop(watcher);
        watcher = listen(host, &policies, events);
        if now_keys != seen_keys {
            seen_keys = now_keys;
            host.reload_keys();
        }
        if now_policies != seen_policies {
            seen_policies = now_policies;
            // The host logs and counts the result, and keeps it for `status`.
            let _ = host.reload();
        }
    }
}

/// Waits until nothing has changed for a while, or the thread shall stop.
fn settled(events: &Signals, woken: &Receiver<()>, quiet: Duration) {
    let began = Instant::now();
    while began.elapsed() < MAX_SETTLE && !events.stop.load(Relaxed) && woken.recv_timeout(quiet).is_ok() {}
}

/// Asks the system for notifications; without them, the check every other second remains.
fn listen(host: &Host, policies: &[PathBuf], events: &Signals) -> Option<RecommendedWatcher> {
    let wake = events.wake.clone();
    let read: Vec<PathBuf> = policies.iter().cloned().chain([host.home().path(KEYS)]).collect();
    let handler = move |event: notify::Result<Event>| {
        // An error (such as a queue overflow) may hide a change.
        if event.map_or(true, |event| concerns(&read, &event)) {
            let _ = wake.try_send(());
        }
    };
    let mut watcher = match notify::recommended_watcher(handler) {
        Ok(watcher) => watcher,
        Err(error) => {
            tracing::warn!(%error, "files cannot be watched; they are checked every {} seconds instead", POLL.as_secs());
            return None;
        }
    };
    let mut add = |path: &Path, mode| {
        if path.exists()
            && let Err(error) = watcher.watch(path, mode)
        {
            tracing::debug!(path = %path.display(), %error, "cannot be watched; it is checked now and then");
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

/// Whether an event may be a relevant change. Reading a file is not, and neither is writing a log inside the home, because the
/// log lines of a reload would cause the next reload.
fn concerns(read: &[PathBuf], event: &Event) -> bool {
    let near = |path: &PathBuf| read.iter().any(|read| path.starts_with(read) || read.starts_with(path));
    !matches!(event.kind, EventKind::Access(_)) && (event.paths.is_empty() || event.paths.iter().any(near))
}

/// Names of everything below some paths, where links lead, and which files these are.
type Fingerprint = BTreeMap<PathBuf, (Option<PathBuf>, Option<Stamp>)>;

fn fingerprint(paths: &[PathBuf]) -> Fingerprint {
    let mut found = Fingerprint::new();
    for path in paths {
        note(path, 0, &mut found);
    }
    found
}

fn note(path: &Path, depth: usize, found: &mut Fingerprint) {
    let Ok(metadata) = fs::metadata(path) else { return };
    let link = fs::read_link(path).ok();
    if !metadata.is_dir() {
        // What the gateway itself writes during a reload would cause another reload.
        if path.file_name().and_then(|name| name.to_str()).is_some_and(home::is_log) || is_own_output(&metadata) {
            return;
        }
        found.insert(path.to_owned(), (link, Some(Stamp::new(&metadata))));
        return;
    }
    // A folder's own time also changes with files that are skipped, such as an editor's, so only its name counts.
    found.insert(path.to_owned(), (link, None));
    if depth < MAX_DEPTH {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            note(&entry.path(), depth + 1, found);
        }
    }
}

/// Whether standard output or standard error of this process goes to a file.
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

#[cfg(test)]
mod tests {
    use notify::event::{AccessKind, ModifyKind};

    use super::*;

    #[test]
    fn only_what_is_read_wakes_the_watcher() {
        let read = ["/home/services", "/home/gateway.yaml", "/home/keys"].map(PathBuf::from);
        let modified = EventKind::Modify(ModifyKind::Any);
        for (path, kind, expected) in [
            ("/home/services/a.policy", modified, true),
            ("/home/services", modified, true),
            ("/home/gateway.yaml", modified, true),
            ("/home/keys/a.key.pem", modified, true),
            ("/home", modified, true),
            ("/home/services/a.policy", EventKind::Access(AccessKind::Any), false),
            ("/home/gateway.log", modified, false),
            ("/home/services.log", modified, false),
            ("/home/data/otk.db", modified, false),
        ] {
            assert_eq!(concerns(&read, &Event::new(kind).add_path(path.into())), expected, "{path}");
        }
        assert!(concerns(&read, &Event::new(EventKind::Other)), "a queue that ran over");
    }

    #[test]
    fn a_file_of_equal_length_and_time_is_another_file() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        let time = std::time::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let write = |name: &str, text: &str| {
            fs::create_dir_all(at(name).parent().unwrap()).unwrap();
            fs::write(at(name), text).unwrap();
            fs::File::options().write(true).open(at(name)).unwrap().set_modified(time).unwrap();
        };
        write("one/a.policy", "1");
        write("two/a.policy", "2");
        std::os::unix::fs::symlink("one", at("now")).unwrap();
        std::os::unix::fs::symlink("one/a.policy", at("file.policy")).unwrap();
        let paths = [at("now"), at("file.policy")];
        let before = fingerprint(&paths);
        assert_eq!(before, fingerprint(&paths));
        let switch = |name: &str, to: &str| {
            std::os::unix::fs::symlink(to, at("new")).unwrap();
            fs::rename(at("new"), at(name)).unwrap();
        };
        switch("now", "two");
        let after = fingerprint(&paths);
        assert_ne!(before, after);
        switch("file.policy", "two/a.policy");
        assert_ne!(after, fingerprint(&paths));
        // In place, by something that puts the time back.
        let after = fingerprint(&paths);
        write("two/a.policy", "3");
        assert_ne!(after, fingerprint(&paths));
    }

    #[test]
    fn no_more_than_one_word_waits_for_the_watcher() {
        let (wake, woken) = sync_channel(1);
        let signals = Signals { stop: Arc::default(), wake };
        for _ in 0..1000 {
            let _ = signals.wake.try_send(());
        }
        signals.stop.store(true, Relaxed);
        assert_eq!(woken.try_iter().count(), 1);
        // When told to stop, it does not wait until files are quiet.
        settled(&signals, &woken, Duration::from_secs(60));
    }
}
