//! Opening a home: keys, databases with their tables, and the settings that a generation of policies takes along.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use crate::config::{Config, ListenAddress};
use crate::gateway::Gateway;
use crate::home::{Home, KEYS};
use crate::keys::KeyStore;
use crate::site::Settings;
use crate::store::Connections;
use crate::time::Clock;

/// Why a gateway cannot open. The text names what to mend.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OpenError(String);

fn refused(what: &str) -> impl Fn(&dyn std::fmt::Display) -> OpenError + '_ {
    move |error| OpenError(format!("{what}: {error}"))
}

/// Opens what outlives generations: keys (made at first start), connections, their tables, secrets that the policies use.
pub async fn gateway(home: &Home, config: &Config, clock: Clock) -> Result<Gateway, OpenError> {
    let keys =
        KeyStore::open(&home.path(KEYS), &config.host_name.0, clock.now_millis()).map_err(|error| refused("keys")(&error))?;
    for secret in &config.secrets {
        keys.ensure_secret(secret).map_err(|error| refused("secrets")(&error))?;
    }
    let connections = Connections::open(&config.connections, home.root()).map_err(|error| refused("connections")(&error))?;
    for connection in connections.iter() {
        let name = connection.name().as_str();
        if let Some(folder) = config.schemas.get(name) {
            let scripts = scripts(home, &format!("{folder}/{}", connection.dialect().word()))?;
            // A server that is down now may be up later: then the next start makes the tables.
            if let Err(error) = connection.migrate(&scripts).await {
                tracing::error!("tables of connection `{name}`: {error}");
                continue;
            }
        }
        if let Some(folder) = config.samples.scripts.get(name)
            && wants_samples(home, config)
        {
            connection.migrate(&scripts(home, folder)?).await.map_err(|error| refused("sample data")(&error))?;
        }
    }
    Ok(Gateway { clock, connections, keys })
}

/// Whether sample data belong here: as configured, otherwise in a checkout of the source tree only.
pub fn wants_samples(home: &Home, config: &Config) -> bool {
    config.sample_data.unwrap_or_else(|| home.is_checkout())
}

/// SQL scripts of a shipped folder, by name.
fn scripts(home: &Home, folder: &str) -> Result<Vec<(String, String)>, OpenError> {
    let files =
        home.shipped().files().map_err(|problem| OpenError(format!("{}: {}", problem.path.display(), problem.message)))?;
    let prefix = format!("{folder}/");
    Ok(files
        .into_iter()
        .filter(|file| file.path.ends_with(".sql"))
        .filter_map(|file| Some((file.path.strip_prefix(&prefix)?.to_owned(), file.text.into_owned())))
        .filter(|(name, _)| !name.contains('/'))
        .collect())
}

/// What of the configuration a generation takes along. `connections` tells the dialects: `${gateway.connections.<name>.dialect}`.
pub fn settings(config: &Config, connections: &Connections) -> Settings {
    let mut properties: BTreeMap<String, SmolStr> = BTreeMap::new();
    properties.insert("cluster.hostname".into(), config.host_name.0.as_str().into());
    for (name, address) in [("https.port", &config.listeners.https), ("http.port", &config.listeners.http)] {
        if let ListenAddress::At(address) = address {
            properties.insert(name.into(), address.port().to_string().into());
        }
    }
    for connection in connections.iter() {
        let name = connection.name().to_ascii_lowercase();
        properties.insert(format!("connections.{name}.dialect"), connection.dialect().word().into());
    }
    for (name, property) in &config.properties {
        properties.insert(name.to_ascii_lowercase(), property.0.as_str().into());
    }
    Settings { instance_modifier: config.instance_modifier.clone(), enabled: config.enable.clone(), properties }
}
