//! `gateway.yaml` as a whole: what its types say, and what each service says of its own section. It stands above them all, so that the
//! settings know no service.

use crate::services::config::{Config, ConfigError, Misfit, ProviderKind};
use crate::services::identity::{self, ProviderError};
use crate::services::store;

impl Config {
    /// Reads the shipped defaults and, above them, the operator's file. Each is `(path as shown in errors, text)`, the lowest first.
    pub fn read<'a>(layers: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Config, ConfigError> {
        Config::read_for(layers, check)
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
