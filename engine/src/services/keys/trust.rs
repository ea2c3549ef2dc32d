//! Trust anchors: certificates of others in `keys/trusted/`, a file each.

use std::path::Path;
use std::sync::Arc;

use smol_str::SmolStr;

use super::{KeyError, KeyStore, files};
use crate::data::certificate::Certificate;

/// A file of trusted certificates.
#[derive(Debug)]
pub struct Anchors {
    /// Its name, without the ending.
    pub name: String,
    /// What is in it.
    pub certificates: Vec<Arc<Certificate>>,
}

impl KeyStore {
    /// All trust anchors, by the names of their files.
    pub fn anchors(&self) -> Result<Vec<Anchors>, KeyError> {
        files::trusted(&self.folder)
    }

    /// The names of the files.
    pub fn anchor_names(&self) -> Vec<SmolStr> {
        self.state.load().anchors.keys().cloned().collect()
    }

    /// What is in the files of these names, or a name of which there is no file.
    pub fn anchors_named<'n>(&self, names: &'n [SmolStr]) -> Result<Vec<Arc<Certificate>>, &'n SmolStr> {
        let state = self.state.load();
        let mut all = Vec::new();
        for name in names {
            all.extend(state.anchors.get(name).ok_or(name)?.iter().cloned());
        }
        Ok(all)
    }

    /// Trusts the certificates in a PEM file from now on, under a new name. Everything else in the file is left out, above all private
    /// keys. One that has expired vouches for nobody, and so it is refused.
    pub fn trust(&self, name: &str, file: &Path, now_millis: i64) -> Result<Vec<Arc<Certificate>>, KeyError> {
        files::check_name("trust anchor", name)?;
        let certificates = files::certificates_in(file)?;
        if certificates.is_empty() {
            return Err(KeyError::new(format!("{}: there is no certificate in it", file.display())));
        }
        if let Some(late) = certificates.iter().find(|certificate| certificate.not_after < now_millis) {
            return Err(KeyError::new(format!("{}: the certificate of {} has expired", file.display(), late.subject)));
        }
        {
            let _lock = files::lock(&self.folder)?;
            if files::trusted(&self.folder)?.iter().any(|known| known.name == name) {
                return Err(KeyError::new(format!("`{name}` is trusted already; `key trust remove {name}` removes it")));
            }
            let pem: String = certificates.iter().map(|certificate| certificate.pem()).collect();
            files::add_trusted(&self.folder, name, &pem)?;
        }
        self.reload()?;
        Ok(certificates)
    }

    /// Trusts the certificates of this name no longer.
    pub fn distrust(&self, name: &str) -> Result<(), KeyError> {
        files::check_name("trust anchor", name)?;
        {
            let _lock = files::lock(&self.folder)?;
            if !files::remove_trusted(&self.folder, name)? {
                return Err(KeyError::new(format!("there is no trust anchor `{name}`; `key trust list` shows them")));
            }
        }
        self.reload()
    }
}
