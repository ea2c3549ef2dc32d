//! `gateway.yaml` as a whole: what its types say, and what each service says of its own section. It stands above them all, so that the
//! settings know no service.

use std::path::Path;

use crate::services::config::{Config, ConfigError, Misfit, ProviderKind, files_of_values};
use crate::services::identity::{self, ProviderError};
use crate::services::store;

impl Config {
    /// Reads the shipped defaults and, above them, the operator's file. Each is `(path as shown in errors, text)`, the lowest first.
    pub fn read<'a>(layers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Config, ConfigError> {
        Config::read_in(Path::new(""), layers)
    }

    /// The same for a home: paths of `${file:…}` begin in this folder.
    pub fn read_in<'a>(root: &Path, layers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Config, ConfigError> {
        Config::read_for(root, layers, check)
    }

    /// The files that values of a settings file stand in (`${file:PATH}`), as they are written.
    pub fn value_files(text: &str) -> impl Iterator<Item = &str> {
        files_of_values(text)
    }
}

fn check(config: &Config) -> Result<(), Misfit> {
    for (name, connection) in &config.connections {
        if let Err(error) = store::check(connection) {
            return Err(Misfit { entry: name.clone(), key: "url", message: format!("connection `{name}`: {error}") });
        }
    }
    for (name, provider) in &config.identity_providers {
        if provider.kind == ProviderKind::Ldap
            && let Err(error) = identity::check_directory(provider)
        {
            let key = if let ProviderError::Setting { key, .. } = error { key } else { "type" };
            return Err(Misfit { entry: name.clone(), key, message: format!("identity provider `{name}`: {error}") });
        }
    }
    Ok(())
}
