//! Facts of the configuration that policies can read.

use std::collections::BTreeMap;

use smol_str::SmolStr;

use crate::services::config::{Config, ListenAddress};
use crate::services::store::Connections;

/// The ports of the listeners, by their property.
pub(super) fn configured_ports(config: &Config) -> BTreeMap<&'static str, u16> {
    let listeners = [("https.port", config.listeners.https), ("http.port", config.listeners.http)];
    let port = |listener| if let ListenAddress::At(address) = listener { Some(address.port()) } else { None };
    listeners.into_iter().filter_map(|(name, listener)| Some((name, port(listener)?))).collect()
}

/// Cluster properties, and facts that policies read in the same way.
pub(super) fn properties(
    config: &Config,
    ports: &BTreeMap<&'static str, u16>,
    connections: &Connections,
) -> BTreeMap<String, SmolStr> {
    let mut properties = BTreeMap::from([("cluster.hostname".to_owned(), SmolStr::from(&*config.host_name.0))]);
    properties.extend(ports.iter().map(|(name, port)| ((*name).to_owned(), SmolStr::from(port.to_string()))));
    properties.extend(connections.iter().map(|connection| {
        let name = format!("connections.{}.dialect", connection.name().to_ascii_lowercase());
        (name, SmolStr::new_static(connection.dialect().word()))
    }));
    properties.extend(config.properties.iter().map(|(name, value)| (name.to_ascii_lowercase(), SmolStr::from(&*value.0))));
    properties
}
