//! Users of a directory (LDAP, Active Directory). The gateway searches for the entry of the typed login name with its own
//! account, and then binds as that entry with the password. So only the directory compares passwords, by its own rules.

mod entry;
mod pool;
mod settings;

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use ldap3::{SearchEntry, dn_escape, ldap_escape};

use super::password::MAX_PASSWORD;
use super::{Answer, IdentityProvider, Inquiry, ProviderError};
use crate::data::fault::{Blame, Fault};
use crate::data::principal::{Credential, Secret, User};
use crate::services::config::IdentityProvider as Config;
use crate::services::turns::Turns;
use entry::Entry;
use pool::{Pool, Search};
use settings::{Settings, fill};

pub use settings::check;

/// Longest login name to search for.
const MAX_NAME: usize = 256;
/// Most groups of one user.
const MAX_GROUPS: i32 = 1000;
/// Most requests waiting for the directory: of all networks, and of one.
const WAITING: (usize, usize) = (1024, 64);

/// The provider.
pub struct Ldap {
    settings: Settings,
    /// Connections that search.
    searches: Pool,
    /// Connections only for binding as users, so that no search ever runs with a user's rights.
    binds: Pool,
    turns: Arc<Turns>,
    /// An entry that cannot exist.
    nobody: String,
}

impl Ldap {
    /// Reads the files that the configuration names. The directory need not be up.
    pub fn open(name: &str, config: &Config, home: &Path) -> Result<Ldap, Fault> {
        let faulty = |error: ProviderError| Fault::new(Blame::Configuration, format!("identity provider `{name}`: {error}"));
        let settings = Settings::read(name, config, home).map_err(faulty)?;
        let nobody = format!("cn={},{}", dn_escape(uuid::Uuid::new_v4().to_string()), settings.base);
        let (searches, binds) = (Pool::searching(&settings), Pool::binding(&settings));
        let turns = Turns::new(format!("the identity provider `{name}`"), settings.pool_size, WAITING.0, WAITING.1);
        Ok(Ldap { settings, searches, binds, turns, nobody })
    }

    /// The one entry that a filter finds.
    async fn find(&self, filter: String) -> Result<Option<Entry>, Fault> {
        // Two results are enough to know that the name is not unique.
        let search = Search {
            base: &self.settings.base,
            scope: self.settings.scope,
            filter: &filter,
            attributes: &self.settings.asked,
            limit: 2,
        };
        let mut found = self.searches.search(&search).await?;
        if let [first, second, ..] = found.as_slice() {
            tracing::warn!(
                provider = self.settings.provider.as_str(),
                first = first.dn,
                second = second.dn,
                "a login name matches several entries, so it is refused; make the filter of this provider narrower"
            );
            return Ok(None);
        }
        // An empty name would make the following bind anonymous, which some directories accept.
        Ok(found.pop().filter(|entry| !entry.dn.is_empty()).map(|entry| Entry::new(entry, &self.settings)))
    }

    async fn vouch(&self, entry: &Entry) -> Result<User, Fault> {
        let name = entry.name(&self.settings).map_err(|error| self.misconfigured(&error))?;
        let groups = match &self.settings.groups {
            None => None,
            Some(groups) => {
                let filter = fill(&groups.filter, &ldap_escape(name), &ldap_escape(entry.dn()));
                let search = Search {
                    base: &groups.base,
                    scope: ldap3::Scope::Subtree,
                    filter: &filter,
                    attributes: &["cn".to_owned()],
                    limit: MAX_GROUPS,
                };
                Some(self.searches.search(&search).await?.into_iter().filter_map(group_name).collect())
            }
        };
        Ok(entry.user(&self.settings, name, groups))
    }

    fn misconfigured(&self, error: &ProviderError) -> Fault {
        Fault::new(Blame::Configuration, format!("identity provider `{}`: {error}", self.settings.provider))
    }
}

fn group_name(entry: SearchEntry) -> Option<String> {
    let (_, names) = entry.attrs.into_iter().find(|(name, _)| name.eq_ignore_ascii_case("cn"))?;
    names.into_iter().next()
}

/// Whether a directory may be asked for a name. Directories first drop or map many characters (RFC 4518), including control and
/// invisible ones, so guesses under such spellings of one name would be counted separately.
fn is_plain(name: &str) -> bool {
    let blanks = name.starts_with(' ') || name.ends_with(' ') || name.contains("  ");
    !name.is_empty()
        && name.len() <= MAX_NAME
        && !blanks
        && name.chars().all(|c| c == ' ' || c.is_ascii_graphic() || !c.is_ascii() && c.is_alphanumeric())
}

#[async_trait]
impl IdentityProvider for Ldap {
    async fn authenticate(&self, credential: &Credential, inquiry: &Inquiry) -> Result<Answer, Fault> {
        let Credential::Password { user, password } = credential else { return Ok(Answer::Nobody) };
        // A bind with an empty password does not fail: it succeeds anonymously (RFC 4513, section 5.1.2).
        if password.expose().is_empty() || password.expose().len() > MAX_PASSWORD || !is_plain(user) {
            return Ok(Answer::Nobody);
        }
        let Some(_turn) = self.turns.enter(inquiry.caller).await else { return Ok(Answer::Busy) };
        let entry = self.find(fill(&self.settings.filter, &ldap_escape(user.as_str()), "")).await?;
        let entry = entry.filter(|entry| entry.is_spelled(user, &self.settings));
        let Some(entry) = entry else {
            // Also does a bind, because otherwise the time would reveal which names exist. Its result is ignored.
            let _ = self.binds.bind(&self.nobody, &Secret::new("nobody's password")).await;
            return Ok(Answer::Nobody);
        };
        let right = self.binds.bind(entry.dn(), password).await?;
        if !right || entry.is_disabled() {
            return Ok(Answer::Nobody);
        }
        Ok(Answer::User(self.vouch(&entry).await?))
    }

    async fn user(&self, name: &str) -> Result<Option<User>, Fault> {
        if !is_plain(name) {
            return Ok(None);
        }
        // By the name that `authenticate` returned, which the filter need not compare. A user whom the filter no longer admits is
        // gone.
        let own = format!("({}={})", self.settings.name_attribute, ldap_escape(name));
        let entry = self.find(format!("(&{own}{})", fill(&self.settings.filter, "*", ""))).await?;
        let Some(entry) = entry else { return Ok(None) };
        // The directory's equality is looser than ours: a user with another spelling is somebody else.
        if entry.name(&self.settings).map_err(|error| self.misconfigured(&error))? != name {
            return Ok(None);
        }
        self.vouch(&entry).await.map(Some)
    }
}

#[cfg(test)]
mod tests;
