//! Identity providers. Each has a name in `gateway.yaml`. Policies ask one of them and get yes, no, or a fault if it could not be
//! asked, which is never a no.

mod error;
mod federated;
mod internal;
mod ldap;
mod limiter;
mod password;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

pub use error::ProviderError;
pub use federated::{Federated, check as check_federated};
pub use internal::{Account, InternalUsers, UserError};
pub use ldap::{Ldap, check as check_directory};
pub use limiter::{AttemptLimiter, Attempts, HORIZON, KEPT, Rule, attempt_key};
pub use password::{Cost, Passwords};

use crate::data::fault::{Blame, Fault};
use crate::data::principal::{Credential, User};
use crate::services::config::{IdentityProvider as Config, ProviderKind};
use crate::services::keys::KeyStore;

/// File of the gateway's own users, relative to the home.
pub const USERS_FILE: &str = "data/users.json";

/// Attribute of a user: when the password last changed, in seconds since the epoch, if the provider knows.
pub const PASSWORD_CHANGED: &str = "password_changed";

/// Who asks a provider, and when.
#[derive(Clone, Copy, Debug)]
pub struct Inquiry {
    /// Milliseconds since the epoch, by the gateway's clock.
    pub now_millis: i64,
    /// Where the request with these credentials comes from, because callers take turns.
    pub caller: IpAddr,
}

/// A provider's answer about credentials.
#[derive(Clone, Debug)]
pub enum Answer {
    /// They are this user's.
    User(User),
    /// They are unknown here, wrong, or of a kind that this provider does not support.
    Nobody,
    /// Too many of this caller's passwords wait already, so this one was not checked.
    Busy,
}

impl From<Option<User>> for Answer {
    fn from(user: Option<User>) -> Self {
        user.map_or(Answer::Nobody, Answer::User)
    }
}

/// An identity provider.
#[async_trait]
pub trait IdentityProvider: Send + Sync {
    /// Whose credential this is. An error if the provider could not find out.
    async fn authenticate(&self, credential: &Credential, inquiry: &Inquiry) -> Result<Answer, Fault>;

    /// What the provider knows about a user, without any proof that somebody is that user. The user may be disabled.
    async fn user(&self, name: &str) -> Result<Option<User>, Fault>;
}

/// All identity providers of a gateway, by name.
#[derive(Clone, Default)]
pub struct Providers(BTreeMap<String, Arc<Watched>>);

/// A provider, and what came of asking it last.
struct Watched {
    provider: Arc<dyn IdentityProvider>,
    asked: AtomicBool,
    down: AtomicBool,
}

impl Watched {
    /// Notes whether it could be asked.
    fn noted<T>(&self, result: Result<T, Fault>) -> Result<T, Fault> {
        self.down.store(result.is_err(), Ordering::Relaxed);
        self.asked.store(true, Ordering::Relaxed);
        result
    }
}

#[async_trait]
impl IdentityProvider for Watched {
    async fn authenticate(&self, credential: &Credential, inquiry: &Inquiry) -> Result<Answer, Fault> {
        let result = self.provider.authenticate(credential, inquiry).await;
        // One that had no time was not asked.
        if matches!(result, Ok(Answer::Busy)) { result } else { self.noted(result) }
    }

    async fn user(&self, name: &str) -> Result<Option<User>, Fault> {
        self.noted(self.provider.user(name).await)
    }
}

impl Providers {
    /// Opens the configured providers. Files are relative to `home`. The faults are those of all providers.
    pub fn open(
        configs: &BTreeMap<String, Config>,
        home: &Path,
        keys: &Arc<KeyStore>,
        passwords: &Arc<Passwords>,
    ) -> Result<Providers, Vec<Fault>> {
        let (mut providers, mut faults) = (Providers::default(), Vec::new());
        for (name, config) in configs {
            let provider: Result<Arc<dyn IdentityProvider>, Fault> = match config.kind {
                ProviderKind::Internal => {
                    Ok(Arc::new(InternalUsers::new(name.as_str(), home.join(USERS_FILE), Arc::clone(passwords))))
                }
                ProviderKind::Federated => {
                    Federated::open(name.as_str(), config, home, Arc::clone(keys)).map(|provider| Arc::new(provider) as _)
                }
                ProviderKind::Ldap => Ldap::open(name, config, home).map(|provider| Arc::new(provider) as _),
            };
            match provider {
                Ok(provider) => providers.insert(name.as_str(), provider),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(providers) } else { Err(faults) }
    }

    /// The configured providers, those among them kept whose settings did not change: they have their connections already.
    pub fn reopen(
        &self,
        (old, new): (&BTreeMap<String, Config>, &BTreeMap<String, Config>),
        home: &Path,
        keys: &Arc<KeyStore>,
        passwords: &Arc<Passwords>,
    ) -> Result<Providers, Vec<Fault>> {
        let changed = |(name, config): &(&String, &Config)| old.get(*name) != Some(*config);
        let changed: BTreeMap<_, _> = new.iter().filter(changed).map(|(name, config)| (name.clone(), config.clone())).collect();
        let mut providers = Providers::open(&changed, home, keys, passwords)?;
        for (name, provider) in self.0.iter().filter(|(name, _)| new.contains_key(*name)) {
            providers.0.entry(name.clone()).or_insert_with(|| Arc::clone(provider));
        }
        Ok(providers)
    }

    /// Adds a provider, in place of one of the same name.
    pub fn insert(&mut self, name: impl Into<String>, provider: Arc<dyn IdentityProvider>) {
        self.0.insert(name.into(), Arc::new(Watched { provider, asked: AtomicBool::new(false), down: AtomicBool::new(false) }));
    }

    /// Names of all of them.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// All of them by name, and whether each could be asked when it was asked last; `None` for one that nobody has asked yet.
    pub fn states(&self) -> impl Iterator<Item = (&str, Option<bool>)> {
        self.0.iter().map(|(name, provider)| {
            let asked = provider.asked.load(Ordering::Relaxed);
            (name.as_str(), asked.then(|| !provider.down.load(Ordering::Relaxed)))
        })
    }

    /// The provider of this name. If there is none, that is a configuration fault.
    pub fn get(&self, name: &str) -> Result<Arc<dyn IdentityProvider>, Fault> {
        self.0
            .get(name)
            .map(|provider| Arc::clone(provider) as _)
            .ok_or_else(|| Fault::new(Blame::Configuration, format!("there is no identity provider `{name}` in gateway.yaml")))
    }
}
