//! Users by certificate: whoever has the key of a certificate that a trusted authority issued.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use regex::Regex;
use smol_str::SmolStr;

use super::{Answer, IdentityProvider, Inquiry, ProviderError};
use crate::data::certificate::Certificate;
use crate::data::fault::{Blame, Fault};
use crate::data::pattern::compile;
use crate::data::principal::{Credential, User};
use crate::data::value::Value;
use crate::services::config::{FederatedUser, IdentityProvider as Config};
use crate::services::keys::{KeyStore, Vouched, certificates_in};

/// What is wrong with the settings of such a provider, files left aside.
pub fn check(config: &Config) -> Result<(), ProviderError> {
    subject(config).map(|_| ())
}

fn subject(config: &Config) -> Result<Option<Regex>, ProviderError> {
    let pattern = config.subject.as_deref().map(|pattern| compile(pattern, false)).transpose();
    pattern.map_err(|error| {
        let why = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        ProviderError::Setting { key: "subject", message: format!("`subject` is not a regular expression: {why}") }
    })
}

/// The provider.
pub struct Federated {
    provider: SmolStr,
    /// Configured authorities; if there are none, those of `keys/trusted/`.
    trusted: Option<Vec<Arc<Certificate>>>,
    subject: Option<Regex>,
    /// Those who are users; none listed: all whom an authority certifies.
    users: Vec<Known>,
    keys: Arc<KeyStore>,
    vouched: Vouched,
}

/// A user that the configuration lists. What it says of the certificate must hold, all of it.
struct Known {
    name: SmolStr,
    subject: Option<String>,
    certificate: Option<Arc<Certificate>>,
}

impl Known {
    fn open(provider: &str, user: &FederatedUser, home: &Path) -> Result<Known, Fault> {
        let wrong = |what: &str| {
            Fault::new(Blame::Configuration, format!("identity provider `{provider}`, user `{}`: {what}", user.name))
        };
        if user.subject.is_none() && user.certificate.is_none() {
            return Err(wrong("`subject` or `certificate` must say whose certificate it is"));
        }
        let certificate = match &user.certificate {
            None => None,
            // What follows in the file is the chain that vouches for it.
            Some(path) => {
                let certificates = certificates_in(&home.join(path))?;
                Some(Arc::clone(certificates.first().ok_or_else(|| wrong("the file holds no certificate"))?))
            }
        };
        Ok(Known { name: user.name.as_str().into(), subject: user.subject.clone(), certificate })
    }

    fn is(&self, certificate: &Certificate) -> bool {
        self.subject.as_ref().is_none_or(|subject| *subject == certificate.subject)
            && self.certificate.as_ref().is_none_or(|own| own.der() == certificate.der())
    }
}

impl Federated {
    /// Reads the authorities and the pattern that the configuration names.
    pub fn open(name: &str, config: &Config, home: &Path, keys: Arc<KeyStore>) -> Result<Federated, Fault> {
        let faulty = |error: ProviderError| Fault::new(Blame::Configuration, format!("identity provider `{name}`: {error}"));
        let mut trusted = Vec::new();
        for path in &config.trusted {
            let path = home.join(path);
            let found = certificates_in(&path).map_err(|error| faulty(error.into()))?;
            if found.is_empty() {
                return Err(faulty(ProviderError::NoCertificate(path)));
            }
            trusted.extend(found);
        }
        let subject = subject(config).map_err(faulty)?;
        let trusted = (!config.trusted.is_empty()).then_some(trusted);
        let users = config.users.iter().map(|user| Known::open(name, user, home)).collect::<Result<_, _>>()?;
        Ok(Federated { provider: name.into(), trusted, subject, users, keys, vouched: Vouched::default() })
    }

    fn vouch(&self, certificate: &Certificate, known: Option<&Known>) -> User {
        let attribute = |wanted: &str| {
            certificate
                .subject_attributes
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
                .map(|(_, value)| value.as_str())
        };
        let mut attributes: BTreeMap<String, Value> = certificate
            .subject_attributes
            .iter()
            .map(|(name, value)| (name.to_lowercase(), Value::from(value.as_str())))
            .collect();
        attributes.insert("subject".to_owned(), Value::from(certificate.subject.as_str()));
        attributes.insert("issuer".to_owned(), Value::from(certificate.issuer.as_str()));
        attributes.insert("serial".to_owned(), Value::from(certificate.serial.as_str()));
        attributes.insert("thumbprint_sha256".to_owned(), Value::from(certificate.thumbprint_sha256.as_str()));
        User {
            name: known.map_or_else(|| attribute("CN").unwrap_or(&certificate.subject).into(), |known| known.name.clone()),
            // A subject belongs to its issuer: another authority may certify somebody else under the same subject.
            id: format!("{}:{}{}", certificate.issuer.len(), certificate.issuer, certificate.subject).into(),
            provider: self.provider.clone(),
            enabled: true,
            attributes,
        }
    }
}

#[async_trait]
impl IdentityProvider for Federated {
    async fn authenticate(&self, credential: &Credential, inquiry: &Inquiry) -> Result<Answer, Fault> {
        let Credential::Certificate(certificate) = credential else { return Ok(Answer::Nobody) };
        if self.subject.as_ref().is_some_and(|subject| !subject.is_match(&certificate.subject)) {
            return Ok(Answer::Nobody);
        }
        let known = self.users.iter().find(|user| user.is(certificate));
        if known.is_none() && !self.users.is_empty() {
            tracing::debug!(provider = %self.provider, subject = certificate.subject, "no user has this client certificate");
            return Ok(Answer::Nobody);
        }
        // Before what is trusted is read, which may change at any time.
        let version = self.keys.version();
        let trusted = || {
            let mut trusted = self.trusted.clone().unwrap_or_else(|| self.keys.trusted());
            trusted.extend(known.and_then(|known| known.certificate.clone()));
            trusted
        };
        if let Err(error) = self.vouched.verify(certificate, version, trusted, inquiry.now_millis) {
            tracing::debug!(provider = %self.provider, subject = certificate.subject, reason = %error, "client certificate refused");
            return Ok(Answer::Nobody);
        }
        Ok(Answer::User(self.vouch(certificate, known)))
    }

    /// Without the certificate nothing is known about a user.
    async fn user(&self, _: &str) -> Result<Option<User>, Fault> {
        Ok(None)
    }
}
