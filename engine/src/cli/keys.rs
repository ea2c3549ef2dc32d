//! `portcullis key`. A running gateway notices the changes.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::{Done, Failure, Place, say, table};
use crate::data::certificate::Certificate;
use crate::data::time::{Clock, iso8601};
use crate::front::home::KEYS;
use crate::services::keys::{KeyKind, KeyStore};

/// What to do with keys.
#[derive(Subcommand)]
pub enum KeyCommand {
    /// List private keys.
    List,
    /// Create a key under a new alias.
    #[command(alias = "add")]
    Create {
        /// Alias.
        alias: String,
        /// `rsa`, `rsa3072`, `rsa4096`, `ec`, `p384`, `p521` or `ed25519`.
        #[arg(long, default_value = "ec")]
        kind: String,
    },
    /// Create a new current key of the same kind; signatures of the old key remain valid.
    Rotate {
        /// Alias.
        alias: String,
    },
    /// Remove a former key; its signatures are no longer valid.
    Retire {
        /// Alias.
        alias: String,
        /// Identifier, as `key list` shows it.
        #[arg(allow_hyphen_values = true)] // a digest in Base64url may begin with one
        kid: String,
    },
    /// Manage trust anchors: authorities of other gateways and servers, or single certificates. They vouch for client certificates
    /// (providers of type `federated` without `trusted`), and for the servers that policies call.
    #[command(subcommand)]
    Trust(TrustCommand),
}

/// What to do with trust anchors.
#[derive(Subcommand)]
pub enum TrustCommand {
    /// List trust anchors: subject, expiry, fingerprint (SHA-256).
    List,
    /// Trust the certificates in a PEM file.
    Add {
        /// A name of your own, such as that of the other gateway.
        name: String,
        /// The file; it is copied to `keys/trusted/`.
        file: PathBuf,
    },
    /// Trust them no longer.
    Remove {
        /// The name, as `key trust list` shows it.
        name: String,
    },
}

pub fn run(place: &Place, command: &KeyCommand) -> Done {
    let home = place.home()?;
    let config = home.config()?;
    let now = Clock::default().now_millis();
    let keys = KeyStore::open(&home.path(KEYS), &config.host_name.0, now)?;
    match command {
        KeyCommand::List => {
            let mut rows = Vec::new();
            for alias in keys.aliases() {
                for (at, key) in keys.all(&alias).iter().enumerate() {
                    let until = key.certificate.as_ref().map_or("-".to_owned(), |certificate| iso8601(certificate.not_after));
                    let state = if at == 0 { "current" } else { "former" };
                    rows.push(vec![
                        alias.to_string(),
                        key.kid.to_string(),
                        state.to_owned(),
                        format!("{:?}", key.public.family()),
                        until,
                    ]);
                }
            }
            say(table(&["alias", "kid", "state", "kind", "certificate until"], rows));
        }
        KeyCommand::Create { alias, kind } => {
            let kind = KeyKind::parse(kind)
                .ok_or_else(|| Failure { message: format!("`{kind}` is not a kind of key: {}", KeyKind::WORDS), code: 2 })?;
            if keys.key(alias).is_some() {
                return Err(Failure {
                    message: format!("a key `{alias}` already exists; `key rotate` creates a new one for it"),
                    code: 1,
                });
            }
            say(format!("made {alias}: {}", keys.ensure_key(alias, kind, now)?.kid));
        }
        KeyCommand::Rotate { alias } => {
            let kid = &keys.rotate(alias, now)?.kid;
            say(format!("rotated {alias}: {kid} is current; what a former key signed still verifies until `key retire`"));
        }
        KeyCommand::Retire { alias, kid } => {
            keys.retire(alias, kid)?;
            say(format!("retired {kid} of {alias}: what it signed does not verify any more"));
        }
        KeyCommand::Trust(command) => trust(&keys, command, now)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn trust(keys: &KeyStore, command: &TrustCommand, now: i64) -> Result<(), Failure> {
    match command {
        TrustCommand::List => {
            let anchors = keys.anchors()?;
            let rows = anchors.iter().flat_map(|anchor| {
                anchor.certificates.iter().map(|certificate| {
                    let late = if certificate.not_after < now { " (expired)" } else { "" };
                    let until = format!("{}{late}", iso8601(certificate.not_after));
                    vec![anchor.name.clone(), certificate.subject.clone(), until, fingerprint(certificate)]
                })
            });
            say(table(&["name", "subject", "until", "fingerprint"], rows.collect()));
        }
        TrustCommand::Add { name, file } => {
            for certificate in keys.trust(name, file, now)? {
                let until = iso8601(certificate.not_after);
                say(format!(
                    "trusted as {name}: {}, until {until}, fingerprint {}",
                    certificate.subject,
                    fingerprint(&certificate)
                ));
            }
        }
        TrustCommand::Remove { name } => {
            keys.distrust(name)?;
            say(format!("removed {name}: it vouches for nobody any more"));
        }
    }
    Ok(())
}

/// SHA-256 in the form that `openssl x509 -fingerprint -sha256` prints.
fn fingerprint(certificate: &Certificate) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, certificate.der());
    digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
}
