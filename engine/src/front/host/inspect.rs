//! What a start would say of a home, found without making, binding or changing anything.

use std::io;
use std::path::Path;
use std::sync::Arc;

use portcullis_dsl::{Diagnostic, Library};

use super::opened::{Beside, Opened};
use super::{Options, configured_ports, read_config, status};
use crate::front::home::{self, Home};
use crate::front::server::probe;
use crate::policy::compile::names;
use crate::policy::site::Compiled;
use crate::services::Services;
use crate::services::config::{AuditTarget, Config, ConfigError};
use crate::services::identity::Passwords;
use crate::services::keys::{DEFAULT_TLS_KEY, KeyStore};
use crate::services::store;

/// What was found.
#[derive(Default)]
pub struct Inspection {
    /// Mistakes in `gateway.yaml`.
    pub settings: Vec<ConfigError>,
    /// What else keeps a gateway from starting, a sentence each.
    pub problems: Vec<String>,
    /// What a start would warn of, a sentence each.
    pub remarks: Vec<String>,
    /// What a start would meet now and perhaps not later, a sentence each: another process at its address.
    pub notes: Vec<String>,
    /// Errors and warnings of the policies.
    pub diagnostics: Vec<Diagnostic>,
    /// The policies, where they could be read.
    pub policies: Option<Arc<Library>>,
}

/// Looks at a home as a start does.
pub fn inspect(home: &Home, options: &Options) -> Inspection {
    let mut found = Inspection::default();
    let config = match read_config(home, options) {
        Ok(config) => Some(config),
        Err(errors) => {
            found.settings = errors.0;
            None
        }
    };
    let services = config.as_ref().and_then(|config| open(home, config, options, &mut found));
    match home.sources() {
        Ok(sources) => {
            let compiled = Compiled::new(sources);
            found.diagnostics = compiled.diagnostics;
            if let Some(services) = &services {
                found.diagnostics.extend(names::unknown(&compiled.names, services));
            }
            if let Some(config) = &config {
                found.remarks = remarks(home, config, &compiled.library);
                found.remarks.extend(home.open_to_others(config));
                found.remarks.extend(config.nameless(&config.listeners));
            }
            found.policies = Some(compiled.library);
        }
        Err(problems) => found.problems.extend(problems.iter().map(|problem| problem.sentence())),
    }
    found
}

/// Opens what a start opens. `None`, and every problem, where something cannot be.
fn open(home: &Home, config: &Config, options: &Options, found: &mut Inspection) -> Option<Services> {
    listeners(home, config, options, found);
    let problems = &mut found.problems;
    let before = problems.len();
    let keys = match KeyStore::look(&home.path(home::KEYS)) {
        Ok(keys) => Some(Arc::new(keys)),
        Err(error) => {
            problems.push(error.to_string());
            None
        }
    };
    folders(home, config, problems);
    let keys = keys?;
    let key = &config.tls.key;
    // The first start makes this one, and those that the settings name.
    let made = keys.key(key).is_none() && (key == DEFAULT_TLS_KEY || config.keys.contains_key(key));
    if let (false, Err(error)) = (made, keys.certified(key)) {
        problems.push(format!("the HTTPS listener: {error}"));
    }
    let passwords = Arc::new(Passwords::default());
    let ports = configured_ports(config);
    let metrics = Arc::default();
    let beside = Beside { home: home.root(), keys: &keys, passwords: &passwords, ports: &ports, metrics: &metrics };
    match Opened::open(config, &beside) {
        Ok(Opened { connections, identity, outbound }) if problems.len() == before => {
            let to_make = config.keys.keys().map(String::as_str).chain([DEFAULT_TLS_KEY]);
            keys.expect_keys(to_make);
            Some(Services { connections, identity, outbound, keys, ..Services::default() })
        }
        Ok(_) => None,
        Err(found) => {
            problems.extend(found);
            None
        }
    }
}

/// Folders and files that are written: databases, the audit log, what the gateway tells of itself.
fn folders(home: &Home, config: &Config, problems: &mut Vec<String>) {
    let mut files: Vec<(String, std::path::PathBuf)> = vec![
        ("the folder of data".to_owned(), home.path(home::DATA).join("status.json")),
        ("the folder of keys".to_owned(), home.path(home::KEYS).join(".lock")),
    ];
    for (name, connection) in &config.connections {
        files.extend(store::file(connection, home.root()).map(|file| (format!("connection `{name}`"), file)));
    }
    if let AuditTarget::File(file) = &config.logging.audit {
        files.push(("the audit log".to_owned(), home.path(file)));
    }
    for (what, file) in files {
        if let Err(error) = reachable(&file) {
            problems.push(format!("{what}: {error}"));
        }
    }
}

/// Whether a file is there, or could be made.
fn reachable(file: &Path) -> Result<(), String> {
    if file.is_dir() {
        return Err(format!("{} is a directory, not a file", file.display()));
    }
    let there = file.ancestors().skip(1).find(|folder| folder.as_os_str().is_empty() || folder.symlink_metadata().is_ok());
    let Some(folder) = there.filter(|folder| !folder.as_os_str().is_empty()) else { return Ok(()) };
    if !folder.is_dir() {
        return Err(format!("{} is not a directory", folder.display()));
    }
    let writes = rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK);
    if !file.exists() {
        writes.map_err(|error| format!("{} cannot be made: {}", file.display(), io::Error::from(error)))?;
    }
    Ok(())
}

/// Addresses that this machine does not have, or that this account may not listen at. One that is taken may be free when it matters.
fn listeners(home: &Home, config: &Config, options: &Options, found: &mut Inspection) {
    let wanted = [options.https.unwrap_or(config.listeners.https), options.http.unwrap_or(config.listeners.http)];
    for listener in wanted {
        match probe(listener) {
            Err(error) if !error.is_in_use() => found.problems.push(error.to_string()),
            Err(error) if !status::is_running(home) => found.notes.push(error.to_string()),
            _ => {}
        }
    }
}

/// What is no mistake, and yet not as somebody wanted it: services that are switched on and do not exist, files that count for nothing.
pub(super) fn remarks(home: &Home, config: &Config, library: &Library) -> Vec<String> {
    let mut remarks = unserved(config, library);
    remarks.extend(no_tasks(config, library));
    remarks.extend(home.passed_over());
    remarks
}

/// Tasks that `tasks` names and that do not exist.
pub(super) fn no_tasks(config: &Config, library: &Library) -> Vec<String> {
    let unknown = config.tasks.keys().filter(|name| !library.tasks().any(|task| task.name == **name));
    unknown
        .map(|name| {
            let near = portcullis_dsl::diagnostic::nearest(name, library.tasks().map(|task| task.name.as_str()));
            let help = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            format!("`tasks` of gateway.yaml names `{name}`, but there is no such task{help}")
        })
        .collect()
}

/// Services that `enable` and `disable` name and that do not exist.
pub(super) fn unserved(config: &Config, library: &Library) -> Vec<String> {
    let named = config.enable.iter().map(|name| ("enables", name)).chain(config.disable.iter().map(|name| ("disables", name)));
    let unknown = named.filter(|(_, name)| !library.services().any(|service| service.name == **name));
    unknown
        .map(|(what, name)| {
            let near = portcullis_dsl::diagnostic::nearest(name, library.services().map(|service| service.name.as_str()));
            let help = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            format!("gateway.yaml {what} `{name}`, but there is no such service{help}")
        })
        .collect()
}
