//! Private keys by alias, their certificates, trusted certificates of others, and stored secrets, all as files below `keys/` of
//! the home. They are read when the gateway starts; nothing is read during a request.
//!
//! ```text
//! keys/ca.pem, ca.key.pem                 the authority made at first start, and its key
//! keys/<alias>.key.pem, <alias>.crt.pem   a private key and its certificates
//! keys/<alias>@<kid>.key.pem              keys that were current before: they sign no more, but still verify
//! keys/trusted/*.pem                      certificates of others
//! keys/secrets/<name>                     secrets (`${secpass.<name>.plaintext}`)
//! ```

mod algorithm;
mod authority;
mod files;
mod private;
mod public;
#[cfg(test)]
mod tests;
mod tls;
mod trust;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use serde_json::{Value as Json, json};
use smol_str::SmolStr;

pub use algorithm::{Algorithm, Family};
pub use private::{KeyKind, PrivateKey};
pub use public::{Material, PublicKey, constant_time_eq, sign_with_secret};
pub use tls::Vouched;

pub(crate) use files::certificates_in;

use crate::data::certificate::Certificate;
use crate::data::fault::{Blame, Fault};
use crate::data::principal::Secret;

/// Default alias of the key for the HTTPS listener's certificate.
pub const DEFAULT_TLS_KEY: &str = "default_ssl_key";

/// What is wrong with a key or secret, or with its use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyError(Cow<'static, str>);

impl KeyError {
    pub(crate) fn new(text: impl Into<Cow<'static, str>>) -> Self {
        KeyError(text.into())
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for KeyError {}

impl From<KeyError> for Fault {
    fn from(error: KeyError) -> Fault {
        Fault::new(Blame::Configuration, error.0)
    }
}

/// All keys, certificates and secrets of a gateway. The default is empty and has no folder.
#[derive(Default)]
pub struct KeyStore {
    folder: PathBuf,
    state: ArcSwap<State>,
    version: AtomicU64,
}

/// The contents of the folder when it was last read.
#[derive(Default)]
struct State {
    /// By alias, the current one first.
    keys: BTreeMap<SmolStr, Vec<Arc<PrivateKey>>>,
    authority: Option<Arc<Certificate>>,
    trusted: Vec<Arc<Certificate>>,
    /// The trusted ones by the names of their files.
    anchors: BTreeMap<SmolStr, Vec<Arc<Certificate>>>,
    secrets: BTreeMap<SmolStr, Secret>,
}

impl KeyStore {
    /// Reads the folder. At first start it creates an authority and, signed by it, the certificate for `host_name` and this
    /// machine under `default_ssl_key`. Later it renews that certificate if it expires soon or names other hosts.
    pub fn open(folder: &Path, host_name: &str, now_millis: i64) -> Result<KeyStore, KeyError> {
        let store = KeyStore { folder: folder.to_owned(), ..KeyStore::default() };
        // A complete folder need not be writable, because keys from elsewhere are often read-only.
        match authority::lacks(folder, host_name, now_millis) {
            None => {}
            Some(lack) => {
                let made = files::lock(folder).and_then(|_lock| authority::ensure(folder, host_name, now_millis));
                match made {
                    Err(error) if lack == authority::Lack::Something => return Err(error),
                    Err(error) => tracing::warn!("the certificate of {DEFAULT_TLS_KEY} is not renewed: {error}"),
                    Ok(()) => {}
                }
            }
        }
        store.reload()?;
        Ok(store)
    }

    /// Reads the folder as it is, and makes nothing: where there is no folder yet, there is nothing in it.
    pub fn look(folder: &Path) -> Result<KeyStore, KeyError> {
        let store = KeyStore { folder: folder.to_owned(), ..KeyStore::default() };
        if folder.exists() {
            store.reload()?;
        }
        Ok(store)
    }

    /// Reads the folder again after the command line or an operator changed it. On an error the old contents stay.
    pub fn reload(&self) -> Result<(), KeyError> {
        self.state.store(Arc::new(files::read(&self.folder)?));
        self.version.fetch_add(1, Ordering::Release);
        Ok(())
    }

    /// Grows with each reading of the folder. What was read after this number was seen is of this version, or a newer one.
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// The current key of an alias.
    pub fn key(&self, alias: &str) -> Option<Arc<PrivateKey>> {
        self.state.load().keys.get(alias)?.first().cloned()
    }

    /// The key with this identifier, current or not.
    pub fn by_kid(&self, kid: &str) -> Option<Arc<PrivateKey>> {
        self.state.load().keys.values().flatten().find(|key| key.kid == kid).cloned()
    }

    /// All keys of an alias, the current one first.
    pub fn all(&self, alias: &str) -> Vec<Arc<PrivateKey>> {
        self.state.load().keys.get(alias).cloned().unwrap_or_default()
    }

    /// All aliases.
    pub fn aliases(&self) -> Vec<SmolStr> {
        self.state.load().keys.keys().cloned().collect()
    }

    /// Signs with the current key of an alias. An unknown alias is a configuration fault.
    pub fn sign(&self, alias: &str, algorithm: Algorithm, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        self.key(alias).ok_or_else(|| unknown(alias))?.sign(algorithm, message)
    }

    /// The public halves of these aliases (all if none is named) as a JWK set, including former keys, so that what they signed
    /// still verifies.
    pub fn jwks(&self, aliases: &[&str]) -> Json {
        let state = self.state.load();
        let named = |alias: &SmolStr| aliases.is_empty() || aliases.contains(&alias.as_str());
        let keys = state.keys.iter().filter(|(alias, _)| named(alias)).flat_map(|(_, keys)| keys);
        json!({ "keys": keys.map(|key| key.jwk_with_certificate()).collect::<Vec<_>>() })
    }

    /// Creates a key under a new alias, with a certificate of the gateway's authority. Does nothing if the alias exists.
    pub fn ensure_key(&self, alias: &str, kind: KeyKind, now_millis: i64) -> Result<Arc<PrivateKey>, KeyError> {
        self.ensure_keys([(alias, kind)], now_millis)?;
        self.key(alias).ok_or_else(|| unknown(alias))
    }

    /// The same for several, which are then read at once.
    pub fn ensure_keys<'a>(&self, wanted: impl IntoIterator<Item = (&'a str, KeyKind)>, now_millis: i64) -> Result<(), KeyError> {
        let missing: Vec<_> = wanted.into_iter().filter(|(alias, _)| self.key(alias).is_none()).collect();
        if missing.is_empty() {
            return Ok(());
        }
        for (alias, _) in &missing {
            files::check_name("alias", alias)?;
        }
        {
            let _lock = files::lock(&self.folder)?;
            for (alias, kind) in missing {
                if !files::key_path(&self.folder, alias).exists() {
                    authority::make(&self.folder, alias, kind, &authority::names_of(alias), now_millis)?;
                }
            }
        }
        self.reload()
    }

    /// Creates a new current key of the same kind. The old one stays to verify what it signed.
    pub fn rotate(&self, alias: &str, now_millis: i64) -> Result<Arc<PrivateKey>, KeyError> {
        {
            let _lock = files::lock(&self.folder)?;
            self.reload()?;
            let old = self.key(alias).ok_or_else(|| unknown(alias))?;
            let kind = old.kind();
            let names = old.certificate.as_deref().map_or_else(|| authority::names_of(alias), authority::host_names);
            files::set_aside(&self.folder, alias, &old.kid)?;
            authority::make(&self.folder, alias, kind, &names, now_millis)?;
        }
        self.reload()?;
        self.key(alias).ok_or_else(|| unknown(alias))
    }

    /// Removes a former key; what it signed no longer verifies.
    pub fn retire(&self, alias: &str, kid: &str) -> Result<(), KeyError> {
        if self.key(alias).is_some_and(|current| current.kid == kid) {
            return Err(KeyError::new(format!("`{kid}` is the current key of `{alias}`: rotate it first")));
        }
        if !self.all(alias).iter().any(|key| key.kid == kid) {
            return Err(KeyError::new(format!("`{alias}` has no key `{kid}`")));
        }
        files::remove_former(&self.folder, alias, kid)?;
        self.reload()
    }

    /// Trusted certificates of others (`keys/trusted/`).
    pub fn trusted(&self) -> Vec<Arc<Certificate>> {
        self.state.load().trusted.clone()
    }

    /// The certificate of the gateway's own authority.
    pub fn authority(&self) -> Option<Arc<Certificate>> {
        self.state.load().authority.clone()
    }

    /// Path of the authority's certificate, which clients have to trust.
    pub fn authority_file(&self) -> PathBuf {
        self.folder.join(files::AUTHORITY)
    }

    /// A stored secret; names are case-insensitive.
    pub fn secret(&self, name: &str) -> Option<Secret> {
        self.state.load().secrets.get(name.to_ascii_lowercase().as_str()).cloned()
    }

    /// Counts these aliases as there, though nobody has made their keys yet: for a look at what a start will find.
    pub fn expect_keys<'a>(&self, aliases: impl Iterator<Item = &'a str>) {
        let state = self.state.load();
        let mut keys = state.keys.clone();
        for alias in aliases {
            keys.entry(SmolStr::new(alias)).or_default();
        }
        let State { authority, trusted, anchors, secrets, .. } = &**state;
        let (authority, trusted, anchors, secrets) = (authority.clone(), trusted.clone(), anchors.clone(), secrets.clone());
        self.state.store(Arc::new(State { keys, authority, trusted, anchors, secrets }));
    }

    /// Names of all stored secrets.
    pub fn secret_names(&self) -> Vec<SmolStr> {
        self.state.load().secrets.keys().cloned().collect()
    }

    /// The secret of this name; created from 32 random characters if there is none.
    pub fn ensure_secret(&self, name: &str) -> Result<Secret, KeyError> {
        if let Some(secret) = self.secret(name) {
            return Ok(secret);
        }
        files::check_name("secret", name)?;
        files::make_secret(&self.folder, &name.to_ascii_lowercase())?;
        self.reload()?;
        self.secret(name).ok_or_else(|| KeyError::new(format!("there is no secret `{name}`")))
    }
}

fn unknown(alias: &str) -> KeyError {
    KeyError::new(format!("there is no private key `{alias}`"))
}
