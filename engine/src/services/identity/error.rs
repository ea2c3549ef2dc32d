//! Why an identity provider cannot work as configured in `gateway.yaml`.

use std::path::PathBuf;

use thiserror::Error;

use crate::services::keys::KeyError;

/// What is wrong with a provider's settings, or with the files that they name.
#[derive(Debug, Error)]
pub enum ProviderError {
    /// A setting that cannot work.
    #[error("{message}")]
    Setting {
        /// Its key.
        key: &'static str,
        /// Why.
        message: String,
    },
    /// A file that cannot be read.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        error: std::io::Error,
    },
    /// A password file that begins with an empty line.
    #[error("{}: the first line, which is the password, is empty", .0.display())]
    NoPassword(PathBuf),
    /// A file of authorities without one.
    #[error("{}: contains no certificate", .0.display())]
    NoCertificate(PathBuf),
    /// An authority that TLS does not accept.
    #[error("{}: `{subject}`: {error}", path.display())]
    Authority {
        /// The file.
        path: PathBuf,
        /// Whose certificate.
        subject: String,
        /// What is wrong with it.
        error: rustls::Error,
    },
    /// A file of certificates that cannot be read.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// TLS that cannot be set up.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
    /// An entry without a login name.
    #[error("`{entry}` has no `{attribute}`, or no permission to read it; see `name_attribute`")]
    Nameless {
        /// Its distinguished name.
        entry: String,
        /// Where the name should be.
        attribute: String,
    },
}
