//! Reads `gateway.yaml` as a whole: the types check it, then each service checks its own section. It is above all of them, so
//! that the settings need not know the services.

use std::path::Path;

use crate::services::config::{Config, ConfigErrors, Misfit, ProviderKind, files_of_values};
use crate::services::identity::{self, ProviderError};
use crate::services::{cluster, store, telemetry};

impl Config {
    /// Reads the shipped defaults and, on top, the operator's file. Each is `(path as shown in errors, text)`, the lowest first.
    /// All mistakes are told at once.
    pub fn read<'a>(layers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Config, ConfigErrors> {
        Config::read_in(Path::new(""), layers)
    }

    /// The same for a home: paths of `${file:…}` begin in this folder.
    pub fn read_in<'a>(root: &Path, layers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Config, ConfigErrors> {
        Config::read_for(root, layers, check)
    }

    /// The files referenced in a settings file (`${file:PATH}`), as written.
    pub fn value_files(text: &str) -> impl Iterator<Item = &str> {
        files_of_values(text)
    }
}

fn check(config: &Config) -> Vec<Misfit> {
    let connections = config.connections.iter().filter_map(|(name, connection)| {
        let error = store::check(connection).err()?;
        Some(Misfit { entry: name.clone(), key: "url", message: format!("connection `{name}`: {error}") })
    });
    let providers = config.identity_providers.iter().filter_map(|(name, provider)| {
        let error = match provider.kind {
            ProviderKind::Ldap => identity::check_directory(provider),
            ProviderKind::Federated => identity::check_federated(provider),
            ProviderKind::Internal => Ok(()),
        };
        let error = error.err()?;
        let key = if let ProviderError::Setting { key, .. } = error { key } else { "type" };
        Some(Misfit { entry: name.clone(), key, message: format!("identity provider `{name}`: {error}") })
    });
    let level = telemetry::filter(&config.logging.level).err();
    let level = level.map(|error| Misfit { entry: "logging".to_owned(), key: "level", message: error.to_string() });
    let cluster = cluster::check(&config.cluster).err();
    let cluster = cluster.map(|message| Misfit { entry: "cluster".to_owned(), key: "redis", message });
    connections.chain(providers).chain(level).chain(cluster).collect()
}
