//! Finds what other users of this machine can reach in a home: secrets that they can read, and policies and settings that they
//! can change.

use std::fs;
use std::path::{Path, PathBuf};

use super::{DATA, Home, KEYS};
use crate::services::config::{AuditTarget, Config, FILE};
use crate::services::identity::USERS_FILE;

/// The mode bits that others must not have on secrets. Group read is allowed, because somebody granted it on purpose.
const OTHERS: u32 = 0o027;

/// All findings, each as a sentence that says what to do.
pub(super) fn open_to_others(home: &Home, config: &Config) -> Vec<String> {
    let folders = [KEYS, DATA].map(|folder| home.path(folder));
    let folders = folders.iter().filter_map(|folder| {
        let mode = mode_of(folder)?;
        let advice = format!("chmod 700 {}", folder.display());
        (mode & OTHERS != 0).then(|| format!("{} is open to others (mode {mode:03o}): {advice}", folder.display()))
    });
    let files = secret_files(home, config).into_iter().filter_map(|file| {
        let mode = mode_of(&file)?;
        // Users who cannot enter the folder cannot reach the file.
        let closed = file.parent().and_then(mode_of).is_some_and(|folder| folder & 0o001 == 0);
        let advice = format!("chmod 600 {}", file.display());
        (mode & OTHERS != 0 && !closed)
            .then(|| format!("{} contains secrets and is open to others (mode {mode:03o}): {advice}", file.display()))
    });
    let secrets: Vec<String> = folders.chain(files).collect();
    secrets.into_iter().chain(changed_by_others(home)).collect()
}

/// The mode bits that others must not have on files that decide who gets in.
const WRITE: u32 = 0o022;
/// Most findings that are listed one by one.
const NAMED: usize = 10;

/// Policies, settings and keys, and their folders, that a group or everybody may write: whoever can do that controls the gateway.
fn changed_by_others(home: &Home) -> Vec<String> {
    let mut found = Vec::new();
    let mut paths = home.watched();
    paths.extend([home.root().to_owned(), home.path(KEYS)]);
    for path in paths {
        let below = if path == home.root() { 0 } else { MAX_DEPTH };
        writable(&path, below, &mut found);
    }
    found.sort();
    found.dedup();
    let more = found.len().saturating_sub(NAMED);
    let mut sentences: Vec<String> = found
        .iter()
        .take(NAMED)
        .map(|(path, mode)| {
            let path = path.display();
            format!("{path} decides what the gateway does and others may change it (mode {mode:03o}): chmod go-w {path}")
        })
        .collect();
    if more > 0 {
        sentences.push(format!("{more} more files or folders may be changed by others: chmod -R go-w {}", home.root().display()));
    }
    sentences
}

/// The same depth limit as for reading policies.
const MAX_DEPTH: usize = 16;

fn writable(path: &Path, below: usize, found: &mut Vec<(PathBuf, u32)>) {
    let Ok(metadata) = fs::metadata(path) else { return };
    if let Some(mode) = mode(&metadata).filter(|mode| mode & WRITE != 0) {
        found.push((path.to_owned(), mode));
    }
    if below > 0 && metadata.is_dir() {
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            // The target of a link may be anywhere, even above.
            let link = entry.file_type().is_ok_and(|kind| kind.is_symlink());
            writable(&entry.path(), if link { 0 } else { below - 1 }, found);
        }
    }
}

/// Files with secret contents: those that settings name, and those below `keys/` and `data/`.
fn secret_files(home: &Home, config: &Config) -> Vec<PathBuf> {
    let named = config.connections.values().filter_map(|connection| connection.password_file.as_ref());
    let bound = config.identity_providers.values().filter_map(|provider| provider.bind_password_file.as_ref());
    let mut files: Vec<PathBuf> = named.chain(bound).map(|file| home.path(file)).collect();
    if config.connections.values().any(|connection| connection.password.is_some() || has_password(&connection.url)) {
        files.push(home.path(FILE));
    }
    let settings = fs::read_to_string(home.path(FILE)).unwrap_or_default();
    files.extend(Config::value_files(&settings).map(|file| home.path(file)));
    if let AuditTarget::File(file) = &config.logging.audit {
        files.push(home.path(file));
    }
    files.push(home.path(USERS_FILE));
    let embedded = config.connections.values().filter_map(|connection| connection.url.strip_prefix("sqlite:"));
    files.extend(embedded.map(|rest| home.path(rest.trim_start_matches("//").split('?').next().unwrap_or(rest))));
    let keys = [home.path(KEYS), home.path(KEYS).join("secrets")];
    for entry in keys.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let name = name.to_string_lossy();
        let secret = path.parent().is_some_and(|folder| folder.ends_with("secrets")) || name.ends_with(".key.pem");
        if secret && path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    files.dedup();
    files
}

/// Whether an address contains a password, as in `mysql://user:password@host/name`.
fn has_password(url: &str) -> bool {
    url::Url::parse(url).is_ok_and(|url| url.password().is_some())
}

fn mode_of(path: &Path) -> Option<u32> {
    mode(&fs::metadata(path).ok()?)
}

#[cfg(unix)]
fn mode(metadata: &fs::Metadata) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt;
    Some(metadata.permissions().mode() & 0o777)
}

/// Other systems have no modes; inherited rights decide there.
#[cfg(not(unix))]
fn mode(_: &fs::Metadata) -> Option<u32> {
    None
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::services::private::{make_file, make_folder};

    fn set(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }

    /// A home in which everything with secrets is closed.
    fn home() -> (tempfile::TempDir, Home, Config) {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path(), Some(dir.path()));
        for folder in ["keys", "keys/secrets", "data"] {
            make_folder(&home.path(folder)).unwrap();
        }
        let settings = "connections:\n  A: { url: 'mysql://u@h/d', password_file: db.password }\n  B: mysql://u:p@h/d\n  \
                        C: sqlite://data/c.db\n  D: { url: 'mysql://u@h/d', password: '${file:d.password}' }\n\
                        logging: { audit: audit.log }\n";
        let files = ["d.password", "gateway.yaml", "db.password", "audit.log", "data/c.db", "keys/a.key.pem", "keys/secrets/own"];
        for file in files {
            make_file(&home.path(file)).unwrap();
        }
        fs::write(home.path(FILE), settings).unwrap();
        set(dir.path(), 0o755);
        let config = home.config().unwrap();
        (dir, home, config)
    }

    #[test]
    fn what_is_made_here_is_for_its_owner_only() {
        let (_dir, home, config) = home();
        assert_eq!(mode_of(&home.path("data")), Some(0o700));
        assert_eq!(mode_of(&home.path("db.password")), Some(0o600));
        assert_eq!(open_to_others(&home, &config), Vec::<String>::new());
    }

    #[test]
    fn what_others_may_change_is_named() {
        let (_dir, home, config) = home();
        for folder in ["services", "customizations/deep"] {
            fs::create_dir_all(home.path(folder)).unwrap();
        }
        for folder in ["services", "customizations", "customizations/deep"] {
            set(&home.path(folder), 0o755);
        }
        for file in ["services/a.policy", "customizations/deep/#b.policy", "gateway.yaml", "keys/a.pem"] {
            fs::write(home.path(file), "").unwrap();
            set(&home.path(file), 0o600);
            assert_eq!(open_to_others(&home, &config), Vec::<String>::new());
            for mode in [0o620, 0o602] {
                set(&home.path(file), mode);
                let found = open_to_others(&home, &config).join("\n");
                assert!(
                    found.contains(&home.path(file).display().to_string()) && found.contains(&format!("mode {mode:03o}")),
                    "{found}"
                );
            }
            set(&home.path(file), 0o600);
        }
        for folder in ["", "services", "customizations", "customizations/deep"] {
            set(&home.path(folder), 0o777);
            let found = open_to_others(&home, &config).join("\n");
            assert!(found.contains("mode 777"), "{folder}: {found}");
            set(&home.path(folder), 0o755);
        }
        for n in 0..30 {
            fs::write(home.path(format!("services/{n}.policy")), "").unwrap();
            set(&home.path(format!("services/{n}.policy")), 0o666);
        }
        let found = open_to_others(&home, &config);
        assert!(found.len() == 11 && found[10].starts_with("20 more"), "{found:?}");
    }

    #[test]
    fn each_thing_that_others_can_reach_is_named() {
        let (_dir, home, config) = home();
        let files = ["d.password", "gateway.yaml", "db.password", "audit.log"];
        for file in files {
            set(&home.path(file), 0o644);
            let found = open_to_others(&home, &config);
            assert!(found.len() == 1 && found[0].contains(&format!("chmod 600 {}", home.path(file).display())), "{found:?}");
            set(&home.path(file), 0o640);
            assert_eq!(open_to_others(&home, &config), Vec::<String>::new(), "a group may be let in");
        }
        for (folder, file) in [("data", "data/c.db"), ("keys", "keys/a.key.pem"), ("keys/secrets", "keys/secrets/own")] {
            set(&home.path(file), 0o604);
            assert_eq!(open_to_others(&home, &config), Vec::<String>::new(), "nobody can enter its folder");
            set(&home.path(folder), 0o755);
            let found = open_to_others(&home, &config).join("\n");
            assert!(found.contains(&format!("{} contains secrets", home.path(file).display())), "{found}");
            assert_eq!(
                found.contains(&format!("chmod 700 {}", home.path(folder).display())),
                folder != "keys/secrets",
                "{found}"
            );
            set(&home.path(folder), 0o700);
            set(&home.path(file), 0o600);
        }
    }
}
