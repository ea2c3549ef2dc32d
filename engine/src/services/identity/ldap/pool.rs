//! Connections to a directory. Working ones are kept for the next request. A dead one is replaced at once, because directories
//! and firewalls silently close idle connections.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ldap3::{Ldap, LdapConnAsync, LdapConnSettings, LdapError, Scope, SearchEntry, SearchOptions, SearchResult};
use rustls::ClientConfig;
use thiserror::Error;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;
use url::Url;

use super::settings::Settings;
use crate::data::fault::{Blame, Fault};
use crate::data::principal::Secret;

/// Longest idle time of a connection.
const IDLE: Duration = Duration::from_secs(60);

/// Result codes (RFC 4511, appendix A) that mean a refused login, not a failed request: no such object, inappropriate
/// authentication (an entry without a password), invalid credentials, constraint violation and unwilling to perform (accounts
/// that are locked or inactive).
const REFUSALS: [u32; 5] = [32, 48, 49, 19, 53];
const SUCCESS: u32 = 0;
const SIZE_LIMIT_EXCEEDED: u32 = 4;
const NO_SUCH_OBJECT: u32 = 32;
const INVALID_CREDENTIALS: u32 = 49;
/// Insufficient access rights, stronger authentication required, confidentiality required; operations error is what Active
/// Directory says to anonymous searches.
const MAY_NOT_SEARCH: [u32; 4] = [50, 8, 13, 1];

pub(super) struct Pool {
    provider: String,
    url: Url,
    tls: Option<Arc<ClientConfig>>,
    start_tls: bool,
    connect_timeout: Duration,
    timeout: Duration,
    /// The account of new connections.
    searcher: Option<(String, Secret)>,
    places: Semaphore,
    idle: Mutex<Vec<(Ldap, Instant)>>,
}

/// A search.
pub(super) struct Search<'a> {
    pub base: &'a str,
    pub scope: Scope,
    pub filter: &'a str,
    pub attributes: &'a [String],
    /// Most entries.
    pub limit: i32,
}

/// A connection for one request. It only goes back to the pool when it has answered: an answer that comes after the caller gave
/// up must not be mistaken for the next one's.
struct Lease<'a> {
    ldap: Ldap,
    reused: bool,
    _place: SemaphorePermit<'a>,
}

impl Pool {
    /// Connections of the searching account, or anonymous ones if there is none.
    pub(super) fn searching(settings: &Settings) -> Pool {
        Pool { searcher: settings.searcher.clone(), ..Pool::binding(settings) }
    }

    /// Anonymous connections, for binding later.
    pub(super) fn binding(settings: &Settings) -> Pool {
        Pool {
            provider: settings.provider.clone(),
            url: settings.url.clone(),
            tls: settings.tls.clone(),
            start_tls: settings.start_tls,
            connect_timeout: settings.connect_timeout,
            timeout: settings.timeout,
            searcher: None,
            places: Semaphore::new(settings.pool_size),
            idle: Mutex::default(),
        }
    }

    /// The results of a search; of too many entries, as many as the limit.
    pub(super) async fn search(&self, search: &Search<'_>) -> Result<Vec<SearchEntry>, Fault> {
        let mut lease = self.lease().await?;
        let mut answer = self.in_time(searched(&mut lease.ldap, search)).await;
        if answer.is_err() && lease.reused {
            lease = self.replace(lease).await?;
            answer = self.in_time(searched(&mut lease.ldap, search)).await;
        }
        let SearchResult(entries, result) = answer.map_err(|error| self.fault("searching", &error))?;
        self.give_back(lease);
        match result.rc {
            SUCCESS | SIZE_LIMIT_EXCEEDED => {}
            // Directories also say this about a base that the searching account may not see.
            NO_SUCH_OBJECT => {
                let message = format!("there is no `{}` in the directory, or no permission to see it", search.base);
                return Err(self.misconfigured(message));
            }
            code if MAY_NOT_SEARCH.contains(&code) => {
                let who = self.searcher.as_ref().map_or("anonymous", |(dn, _)| dn);
                return Err(self.misconfigured(format!("{who} may not search: {}", answered(code, &result.text))));
            }
            code => return Err(self.fault("searching", &answered(code, &result.text))),
        }
        let entries = entries.into_iter().filter(|entry| !entry.is_ref() && !entry.is_intermediate());
        Ok(entries.map(SearchEntry::construct).collect())
    }

    /// Whether a password is that of an entry. Neither the entry's name nor the password may be empty.
    pub(super) async fn bind(&self, dn: &str, password: &Secret) -> Result<bool, Fault> {
        let mut lease = self.lease().await?;
        let mut answer = self.in_time(lease.ldap.simple_bind(dn, password.expose())).await;
        if answer.is_err() && lease.reused {
            lease = self.replace(lease).await?;
            answer = self.in_time(lease.ldap.simple_bind(dn, password.expose())).await;
        }
        let result = answer.map_err(|error| self.fault("checking a password", &error))?;
        self.give_back(lease);
        match result.rc {
            SUCCESS => Ok(true),
            code if REFUSALS.contains(&code) => Ok(false),
            code => Err(self.fault("checking a password", &answered(code, &result.text))),
        }
    }

    async fn lease(&self) -> Result<Lease<'_>, Fault> {
        let place = timeout(self.timeout, self.places.acquire()).await;
        let place = place.map_err(|_| self.fault("waiting", &"all connections are in use; see `pool_size`"))?;
        let place = place.map_err(|_| self.fault("waiting", &"the gateway ends"))?;
        let known = {
            let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
            idle.retain_mut(|(ldap, since)| since.elapsed() < IDLE && !ldap.is_closed());
            idle.pop()
        };
        match known {
            Some((ldap, _)) => Ok(Lease { ldap, reused: true, _place: place }),
            None => Ok(Lease { ldap: self.connect().await?, reused: false, _place: place }),
        }
    }

    /// A new connection for one that was dead; the other idle ones are then most likely dead, too.
    async fn replace<'a>(&self, lease: Lease<'a>) -> Result<Lease<'a>, Fault> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
        Ok(Lease { ldap: self.connect().await?, reused: false, ..lease })
    }

    fn give_back(&self, lease: Lease<'_>) {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner).push((lease.ldap, Instant::now()));
    }

    async fn connect(&self) -> Result<Ldap, Fault> {
        let mut settings = LdapConnSettings::new().set_conn_timeout(self.connect_timeout).set_starttls(self.start_tls);
        if let Some(tls) = &self.tls {
            settings = settings.set_config(Arc::clone(tls));
        }
        let connected = LdapConnAsync::from_url_with_settings(settings, &self.url).await;
        let (connection, mut ldap) = connected.map_err(|error| self.fault("connecting", &said(&error)))?;
        let provider = self.provider.clone();
        tokio::spawn(async move {
            if let Err(error) = connection.drive().await {
                tracing::debug!(provider, error = said(&error), "a connection to the directory ended");
            }
        });
        let Some((dn, password)) = &self.searcher else { return Ok(ldap) };
        let bound = self.in_time(ldap.simple_bind(dn, password.expose())).await;
        let result = bound.map_err(|error| self.fault("logging in to search", &error))?;
        match result.rc {
            SUCCESS => Ok(ldap),
            INVALID_CREDENTIALS => Err(self.misconfigured(format!("the directory refuses `{dn}` with this password"))),
            code => Err(self.fault("logging in to search", &answered(code, &result.text))),
        }
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, LdapError>>) -> Result<T, NoAnswer> {
        match timeout(self.timeout, work).await {
            Ok(result) => result.map_err(NoAnswer::Failed),
            Err(_) => Err(NoAnswer::Late(self.timeout)),
        }
    }

    fn fault(&self, doing: &str, message: &dyn fmt::Display) -> Fault {
        Fault::new(Blame::Upstream, format!("identity provider `{}` at {}: {doing}: {message}", self.provider, self.url))
    }

    fn misconfigured(&self, message: String) -> Fault {
        Fault::new(Blame::Configuration, format!("identity provider `{}` at {}: {message}", self.provider, self.url))
    }
}

async fn searched(ldap: &mut Ldap, search: &Search<'_>) -> Result<SearchResult, LdapError> {
    let options = SearchOptions::new().sizelimit(search.limit);
    ldap.with_search_options(options).search(search.base, search.scope, search.filter, search.attributes).await
}

/// Why a directory did not answer.
#[derive(Debug, Error)]
enum NoAnswer {
    #[error("no answer within {0:?}")]
    Late(Duration),
    #[error("{}", said(.0))]
    Failed(LdapError),
}

/// The text of a library error, and only the text: some errors contain the request that could not be sent, and a bind request
/// contains a password.
fn said(error: &LdapError) -> String {
    match error {
        LdapError::OpSend { .. } | LdapError::ResultRecv { .. } | LdapError::EndOfStream => "the connection was lost".to_owned(),
        LdapError::LdapResult { result } => answered(result.rc, &result.text),
        error => error.to_string(),
    }
}

fn answered(code: u32, text: &str) -> String {
    let text: String = text.chars().take(200).map(|c| if c.is_control() { ' ' } else { c }).collect();
    format!("the directory answers with code {code}{}{text}", if text.is_empty() { "" } else { ": " })
}
