//! The gateway's own users, in one file below the home. The command line may change the file while the gateway runs, which
//! notices on the next request.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use smol_str::SmolStr;

use super::password::MAX_PASSWORD;
use super::{Answer, IdentityProvider, Inquiry, PASSWORD_CHANGED, Passwords};
use crate::data::fault::{Blame, Fault};
use crate::data::names;
use crate::data::principal::{Credential, Secret, User};
use crate::data::value::Value;
use crate::services::private;
use crate::services::stamp::Stamp;

/// Most attributes of a user.
const MOST_ATTRIBUTES: usize = 100;

/// A user as stored in the file.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// Login name.
    pub name: String,
    /// Stable identifier: survives a change of the name, and is never given to another user.
    pub id: String,
    /// argon2id hash of the password.
    password: String,
    /// Whether the user may not log in.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub disabled: bool,
    /// When the account was created, seconds since the epoch.
    #[serde(default)]
    pub created: i64,
    /// When the password last changed, seconds since the epoch; 0 if never.
    #[serde(default, skip_serializing_if = "is_zero")]
    password_changed: i64,
    /// Other attributes: `role`, `email` …
    #[serde(default)]
    pub attributes: BTreeMap<String, Json>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_zero(number: &i64) -> bool {
    *number == 0
}

impl Account {
    /// When the password last changed, or the account was created, in seconds since the epoch.
    pub fn password_changed(&self) -> i64 {
        self.password_changed.max(self.created)
    }
}

impl std::fmt::Debug for Account {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "account({})", self.name)
    }
}

/// Why users cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum UserError {
    /// A user of that name already exists.
    #[error("a user `{0}` already exists")]
    Exists(String),
    /// There is no user of that name.
    #[error("there is no user `{0}`")]
    Unknown(String),
    /// The name or password cannot be used.
    #[error("{0}")]
    Refused(&'static str),
    /// The file cannot be read or written.
    #[error("{}: {detail}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        detail: String,
    },
}

impl From<UserError> for Fault {
    fn from(error: UserError) -> Fault {
        Fault::because(Blame::Store, "internal users", error)
    }
}

/// The provider over the file.
pub struct InternalUsers {
    provider: SmolStr,
    path: PathBuf,
    passwords: Arc<Passwords>,
    loaded: RwLock<Loaded>,
}

#[derive(Default, Clone)]
struct Loaded {
    /// Which file was read; `None` before the first time, and where there is no file.
    stamp: Option<Stamp>,
    accounts: Arc<BTreeMap<String, Account>>,
}

impl InternalUsers {
    /// Users in this file, which need not exist yet.
    pub fn new(provider: impl Into<SmolStr>, path: PathBuf, passwords: Arc<Passwords>) -> Self {
        InternalUsers { provider: provider.into(), path, passwords, loaded: RwLock::default() }
    }

    /// Adds a user.
    pub fn add(
        &self,
        name: &str,
        password: &Secret,
        attributes: BTreeMap<String, Json>,
        now_millis: i64,
    ) -> Result<(), UserError> {
        let name = &*names::normal(name);
        let fits = !name.is_empty() && name.len() <= 128 && name == name.trim() && !names::has_unseen(name);
        if !fits {
            return Err(UserError::Refused(
                "a user name must have 1 to 128 bytes, no control, invisible or direction characters, and no surrounding blanks",
            ));
        }
        let hash = self.hashed(password)?;
        self.change(|accounts| {
            if accounts.contains_key(name) {
                return Err(UserError::Exists(name.to_owned()));
            }
            let id = uuid::Uuid::new_v4().to_string();
            let created = now_millis.div_euclid(1000);
            let name = name.to_owned();
            let account = Account {
                name: name.clone(),
                id,
                password: hash,
                disabled: false,
                created,
                password_changed: created,
                attributes,
            };
            accounts.insert(name, account);
            Ok(())
        })
    }

    /// Changes a user's password.
    pub fn set_password(&self, name: &str, password: &Secret, now_millis: i64) -> Result<(), UserError> {
        let hash = self.hashed(password)?;
        self.change_account(name, |account| {
            account.password = hash;
            account.password_changed = now_millis.div_euclid(1000);
        })
    }

    /// Changes attributes of a user; `null` removes one.
    pub fn set_attributes(&self, name: &str, changed: BTreeMap<String, Json>) -> Result<(), UserError> {
        self.change(|accounts| {
            let account = accounts.get_mut(name).ok_or_else(|| UserError::Unknown(name.to_owned()))?;
            for (attribute, value) in changed {
                if value.is_null() {
                    account.attributes.remove(&attribute);
                } else {
                    account.attributes.insert(attribute, value);
                }
            }
            if account.attributes.len() > MOST_ATTRIBUTES {
                return Err(UserError::Refused("a user has at most 100 attributes"));
            }
            Ok(())
        })
    }

    /// Disables or enables a user.
    pub fn set_disabled(&self, name: &str, disabled: bool) -> Result<(), UserError> {
        self.change_account(name, |account| account.disabled = disabled)
    }

    fn change_account(&self, name: &str, work: impl FnOnce(&mut Account)) -> Result<(), UserError> {
        self.change(|accounts| accounts.get_mut(name).map(work).ok_or_else(|| UserError::Unknown(name.to_owned())))
    }

    /// Removes a user.
    pub fn delete(&self, name: &str) -> Result<(), UserError> {
        self.change(|accounts| accounts.remove(name).map(|_| ()).ok_or_else(|| UserError::Unknown(name.to_owned())))
    }

    /// All users, by name.
    pub fn list(&self) -> Result<Vec<Account>, UserError> {
        Ok(self.accounts()?.values().cloned().collect())
    }

    fn hashed(&self, password: &Secret) -> Result<String, UserError> {
        if password.expose().is_empty() || password.expose().len() > MAX_PASSWORD {
            return Err(UserError::Refused("a password must have 1 to 1024 bytes"));
        }
        self.passwords.hash(password).map_err(|fault| self.failed(fault))
    }

    /// Reads the file again, changes it and writes the whole file, while no other process does.
    fn change(&self, work: impl FnOnce(&mut BTreeMap<String, Account>) -> Result<(), UserError>) -> Result<(), UserError> {
        if let Some(folder) = self.path.parent() {
            private::make_folder(folder).map_err(|error| self.failed(error))?;
        }
        let lock = private::make_file(&self.path.with_extension("lock")).map_err(|error| self.failed(error))?;
        lock.lock().map_err(|error| self.failed(error))?;
        let mut accounts = read(&self.path).map_err(|error| self.failed(error))?;
        work(&mut accounts)?;
        let mut text =
            serde_json::to_string_pretty(&accounts.values().collect::<Vec<_>>()).map_err(|error| self.failed(error))?;
        text.push('\n');
        private::replace(&self.path, text.as_bytes(), true).map_err(|error| self.failed(error))?;
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        *loaded = Loaded { stamp: Stamp::of(&self.path), accounts: Arc::new(accounts) };
        Ok(())
    }

    fn accounts(&self) -> Result<Arc<BTreeMap<String, Account>>, UserError> {
        let now = Stamp::of(&self.path);
        {
            let loaded = self.loaded.read().unwrap_or_else(PoisonError::into_inner);
            if loaded.stamp == now {
                return Ok(Arc::clone(&loaded.accounts));
            }
        }
        let accounts = Arc::new(read(&self.path).map_err(|error| self.failed(error))?);
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        *loaded = Loaded { stamp: now, accounts: Arc::clone(&accounts) };
        Ok(accounts)
    }

    fn failed(&self, detail: impl std::fmt::Display) -> UserError {
        UserError::File { path: self.path.clone(), detail: detail.to_string() }
    }

    fn vouch(&self, account: &Account) -> User {
        let mut attributes: BTreeMap<_, _> =
            account.attributes.iter().map(|(name, value)| (name.clone(), attribute(value))).collect();
        attributes.insert(PASSWORD_CHANGED.to_owned(), Value::Int(account.password_changed()));
        User {
            name: account.name.as_str().into(),
            id: account.id.as_str().into(),
            provider: self.provider.clone(),
            enabled: !account.disabled,
            attributes,
        }
    }
}

fn attribute(value: &Json) -> Value {
    match value {
        Json::Null => Value::Undefined,
        Json::Bool(value) => Value::Bool(*value),
        Json::String(text) => Value::from(text.as_str()),
        Json::Number(number) => match number.as_i64() {
            Some(number) => Value::Int(number),
            None => Value::from(number.to_string()),
        },
        Json::Array(items) => Value::list(items.iter().map(attribute)),
        Json::Object(_) => Value::json(value.clone()),
    }
}

fn read(path: &Path) -> std::io::Result<BTreeMap<String, Account>> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(error) => return Err(error),
    };
    let accounts: Vec<Account> = serde_json::from_str(&text)?;
    Ok(accounts.into_iter().map(|account| (account.name.clone(), account)).collect())
}

#[async_trait]
impl IdentityProvider for InternalUsers {
    async fn authenticate(&self, credential: &Credential, inquiry: &Inquiry) -> Result<Answer, Fault> {
        let Credential::Password { user, password } = credential else { return Ok(Answer::Nobody) };
        let accounts = self.accounts()?;
        let account = accounts.get(user.as_str()).filter(|account| !account.disabled);
        let hash = account.map(|account| account.password.as_str());
        let Some(right) = self.passwords.verify(hash, password, inquiry.caller).await? else { return Ok(Answer::Busy) };
        Ok(Answer::from(account.filter(|_| right).map(|account| self.vouch(account))))
    }

    async fn user(&self, name: &str) -> Result<Option<User>, Fault> {
        Ok(self.accounts()?.get(name).map(|account| self.vouch(account)))
    }
}
