//! Identity providers: who vouches for users. Each has a name in `gateway.yaml`; policies ask one of them and learn yes, no, or that it
//! could not be asked, which is a fault and never a no.

mod federated;
mod internal;
mod limiter;
mod password;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use smol_str::SmolStr;

pub use federated::Federated;
pub use internal::{Account, InternalUsers, UserError};
pub use limiter::{AttemptLimiter, Attempts};
pub use password::{Cost, Passwords};

use crate::config::{IdentityProvider as Config, ProviderKind};
use crate::fault::{Blame, Fault};
use crate::keys::KeyStore;
use crate::principal::{Credential, User};

/// File of the gateway's own users, relative to the home.
pub const USERS_FILE: &str = "data/users.json";

/// Vouches for users.
#[async_trait]
pub trait IdentityProvider: Send + Sync {
    /// Whose credential this is; `None` when it is nobody's here, is wrong, or is of a kind this provider does not know. That the
    /// provider could not find out is an error.
    async fn authenticate(&self, credential: &Credential, now_millis: i64) -> Result<Option<User>, Fault>;

    /// What the provider knows of a user, without any proof that somebody is that user.
    async fn user(&self, name: &str) -> Result<Option<User>, Fault>;
}

/// All identity providers of a gateway, by name.
#[derive(Clone, Default)]
pub struct Providers(BTreeMap<String, Arc<dyn IdentityProvider>>);

impl Providers {
    /// Opens the configured providers. Files are relative to `home`.
    pub fn open(
        configs: &BTreeMap<String, Config>,
        home: &Path,
        keys: &Arc<KeyStore>,
        passwords: &Arc<Passwords>,
    ) -> Result<Providers, Fault> {
        let mut providers = Providers::default();
        for (name, config) in configs {
            let provider: Arc<dyn IdentityProvider> = match config.kind {
                ProviderKind::Internal => {
                    Arc::new(InternalUsers::new(name.as_str(), home.join(USERS_FILE), Arc::clone(passwords)))
                }
                ProviderKind::Federated => Arc::new(Federated::open(name.as_str(), config, home, Arc::clone(keys))?),
                ProviderKind::Ldap => Arc::new(NotBuilt(SmolStr::new(name))),
            };
            providers.insert(name.as_str(), provider);
        }
        Ok(providers)
    }

    /// Adds a provider, in place of one of the same name.
    pub fn insert(&mut self, name: impl Into<String>, provider: Arc<dyn IdentityProvider>) {
        self.0.insert(name.into(), provider);
    }

    /// The provider of this name. None is the configuration's fault.
    pub fn get(&self, name: &str) -> Result<&Arc<dyn IdentityProvider>, Fault> {
        self.0
            .get(name)
            .ok_or_else(|| Fault::new(Blame::Configuration, format!("there is no identity provider `{name}` in gateway.yaml")))
    }
}

/// A provider of a kind that this build does not have: each use says so.
struct NotBuilt(SmolStr);

impl NotBuilt {
    fn fault<T>(&self) -> Result<T, Fault> {
        Err(Fault::new(Blame::Configuration, format!("identity provider `{}`: this build knows no directories (`ldap`)", self.0)))
    }
}

#[async_trait]
impl IdentityProvider for NotBuilt {
    async fn authenticate(&self, _: &Credential, _: i64) -> Result<Option<User>, Fault> {
        self.fault()
    }

    async fn user(&self, _: &str) -> Result<Option<User>, Fault> {
        self.fault()
    }
}
