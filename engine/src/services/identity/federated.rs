//! Users by certificate: whoever has the key of a certificate that a trusted authority issued.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use regex::Regex;
use smol_str::SmolStr;

use super::{Answer, IdentityProvider, Inquiry};
use crate::data::certificate::Certificate;
use crate::data::fault::{Blame, Fault};
use crate::data::pattern::compile;
use crate::data::principal::{Credential, User};
use crate::data::value::Value;
use crate::services::config::IdentityProvider as Config;
use crate::services::keys::{KeyStore, certificates_in, verify_client};

/// The provider.
pub struct Federated {
    provider: SmolStr,
    /// Configured authorities; if there are none, those of `keys/trusted/`.
    trusted: Option<Vec<Arc<Certificate>>>,
    subject: Option<Regex>,
    keys: Arc<KeyStore>,
}

impl Federated {
    /// Reads the authorities and the pattern that the configuration names.
    pub fn open(name: &str, config: &Config, home: &Path, keys: Arc<KeyStore>) -> Result<Federated, Fault> {
        let mut trusted = Vec::new();
        for path in &config.trusted {
            trusted.extend(certificates_in(&home.join(path))?);
        }
        let subject = match &config.subject {
            Some(pattern) => Some(compile(pattern, false).map_err(|error| {
                Fault::because(
                    Blame::Configuration,
                    format!("identity provider `{name}`: `subject` is not a regular expression"),
                    error,
                )
            })?),
            None => None,
        };
        let trusted = (!config.trusted.is_empty()).then_some(trusted);
        Ok(Federated { provider: name.into(), trusted, subject, keys })
    }

    fn vouch(&self, certificate: &Certificate) -> User {
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
            name: attribute("CN").unwrap_or(&certificate.subject).into(),
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
        let trusted = self.trusted.clone().unwrap_or_else(|| self.keys.trusted());
        if let Err(error) = verify_client(certificate, &[], &trusted, inquiry.now_millis) {
            tracing::debug!(provider = %self.provider, subject = certificate.subject, reason = %error, "client certificate refused");
            return Ok(Answer::Nobody);
        }
        Ok(Answer::User(self.vouch(certificate)))
    }

    /// Without the certificate nothing is known about a user.
    async fn user(&self, _: &str) -> Result<Option<User>, Fault> {
        Ok(None)
    }
}
