//! The folder of keys: reads it, and writes so that nobody else can read the files and nobody sees a half-written one.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use smol_str::SmolStr;

use super::trust::Anchors;
use super::{KeyError, PrivateKey, State};
use crate::data::certificate::Certificate;
use crate::data::principal::Secret;
use crate::services::private;

/// The authority's certificate.
pub(super) const AUTHORITY: &str = "ca.pem";
/// The authority's key. It only signs certificates, so it has no alias.
pub(super) const AUTHORITY_KEY: &str = "ca.key.pem";
const KEY: &str = ".key.pem";
const CERTIFICATE: &str = ".crt.pem";
const TRUSTED: &str = "trusted";
const SECRETS: &str = "secrets";

/// Prevents other processes from changing the folder until dropped.
pub(super) fn lock(folder: &Path) -> Result<File, KeyError> {
    make_folder(folder)?;
    let path = folder.join(".lock");
    let file = private::make_file(&path).map_err(|error| failed(&path, &error))?;
    file.lock().map_err(|error| failed(&path, &error))?;
    Ok(file)
}

/// Names become file names, so they must contain nothing that could form a path.
pub(super) fn check_name(what: &str, name: &str) -> Result<(), KeyError> {
    let fits = !name.is_empty()
        && name.len() <= 128
        && !name.starts_with('.')
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'));
    if fits {
        Ok(())
    } else {
        Err(KeyError::new(format!("`{name}` cannot be the name of a {what}: letters, digits and `-_.` only")))
    }
}

pub(super) fn key_path(folder: &Path, alias: &str) -> PathBuf {
    folder.join(format!("{alias}{KEY}"))
}

pub(super) fn certificate_path(folder: &Path, alias: &str) -> PathBuf {
    folder.join(format!("{alias}{CERTIFICATE}"))
}

/// Reads everything.
pub(super) fn read(folder: &Path) -> Result<State, KeyError> {
    let mut state = State::default();
    let mut former = Vec::new();
    for path in list(folder)? {
        let Some(name) = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(KEY)) else {
            continue;
        };
        if format!("{name}{KEY}") == AUTHORITY_KEY {
            continue;
        }
        let certificate = certificate_path(folder, name);
        let certificate = if certificate.exists() { Some(read_text(&certificate)?) } else { None };
        let alias = name.split('@').next().unwrap_or(name);
        let key = Arc::new(PrivateKey::from_pem(alias, &read_text(&path)?, certificate.as_deref())?);
        if alias == name {
            state.keys.insert(SmolStr::new(alias), vec![key]);
        } else {
            former.push((modified(&path), key));
        }
    }
    former.sort_by_key(|(modified, _)| std::cmp::Reverse(*modified));
    for (_, key) in former {
        // A former key without a current one is ignored: its alias was removed.
        // A copy of the current one is about to become a former key.
        if let Some(keys) = state.keys.get_mut(&key.alias)
            && keys.iter().all(|other| other.kid != key.kid)
        {
            keys.push(key);
        }
    }
    let authority = folder.join(AUTHORITY);
    if authority.exists() {
        let certificate = Certificate::from_text(&read_text(&authority)?).map_err(|error| wrong(&authority, error))?;
        state.authority = Some(Arc::new(certificate));
    }
    for anchors in trusted(folder)? {
        state.trusted.extend(anchors.certificates.iter().cloned());
        state.anchors.entry(anchors.name.into()).or_default().extend(anchors.certificates);
    }
    state.secrets = secrets(&folder.join(SECRETS))?;
    Ok(state)
}

/// The files with trusted certificates, and what is in them.
pub(super) fn trusted(folder: &Path) -> Result<Vec<Anchors>, KeyError> {
    let mut all = Vec::new();
    for path in list(&folder.join(TRUSTED))? {
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or("");
        if matches!(extension, "pem" | "crt" | "cer") {
            let name = path.file_stem().and_then(|name| name.to_str()).unwrap_or("").to_owned();
            all.push(Anchors { name, certificates: certificates_in(&path)? });
        }
    }
    Ok(all)
}

/// Adds a file of trusted certificates.
pub(super) fn add_trusted(folder: &Path, name: &str, pem: &str) -> Result<(), KeyError> {
    write(&folder.join(TRUSTED).join(format!("{name}.pem")), pem.as_bytes(), false)
}

/// Removes the file of trusted certificates with this name. Whether there was one.
pub(super) fn remove_trusted(folder: &Path, name: &str) -> Result<bool, KeyError> {
    let mut removed = false;
    for extension in ["pem", "crt", "cer"] {
        let path = folder.join(TRUSTED).join(format!("{name}.{extension}"));
        match fs::remove_file(&path) {
            Ok(()) => removed = true,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&path, &error)),
        }
    }
    Ok(removed)
}

/// All certificates in a PEM file.
pub(crate) fn certificates_in(path: &Path) -> Result<Vec<Arc<Certificate>>, KeyError> {
    use rustls::pki_types::{CertificateDer, pem::PemObject};
    let text = read_text(path)?;
    CertificateDer::pem_slice_iter(text.as_bytes())
        .map(|der| {
            let der = der.map_err(|_| wrong(path, "not in PEM form"))?;
            Certificate::from_der(&der).map(Arc::new).map_err(|error| wrong(path, error))
        })
        .collect()
}

fn secrets(folder: &Path) -> Result<BTreeMap<SmolStr, Secret>, KeyError> {
    let mut all = BTreeMap::new();
    for path in list(folder)? {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else { continue };
        if !name.starts_with('.') && path.is_file() {
            let text = read_text(&path)?;
            all.insert(SmolStr::new(name.to_ascii_lowercase()), Secret::new(text.trim_end_matches(['\r', '\n'])));
        }
    }
    Ok(all)
}

/// Creates a secret, unless another process was faster. It has 32 characters of base64url: 192 random bits, and as text 32 bytes,
/// as ciphers with 256-bit keys need.
pub(super) fn make_secret(folder: &Path, name: &str) -> Result<(), KeyError> {
    let _lock = lock(folder)?;
    let path = folder.join(SECRETS).join(name);
    if path.exists() {
        return Ok(());
    }
    let mut bytes = [0; 24];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| KeyError::new("no secret could be made: the random generator failed"))?;
    write(&path, format!("{}\n", URL_SAFE_NO_PAD.encode(bytes)).as_bytes(), true)
}

/// Keeps a copy of the current key as a former one. The current one stays until another replaces it, so that whoever reads the folder
/// meanwhile finds a key that signs.
pub(super) fn set_aside(folder: &Path, alias: &str, kid: &str) -> Result<(), KeyError> {
    let former = format!("{alias}@{kid}");
    for (from, to, secret) in [
        (certificate_path(folder, alias), certificate_path(folder, &former), false),
        (key_path(folder, alias), key_path(folder, &former), true),
    ] {
        if from.exists() {
            write(&to, read_text(&from)?.as_bytes(), secret)?;
        }
    }
    Ok(())
}

/// Removes a former key.
pub(super) fn remove_former(folder: &Path, alias: &str, kid: &str) -> Result<(), KeyError> {
    let former = format!("{alias}@{kid}");
    for path in [key_path(folder, &former), certificate_path(folder, &former)] {
        if path.exists() {
            fs::remove_file(&path).map_err(|error| failed(&path, &error))?;
        }
    }
    Ok(())
}

/// Writes a whole file, keeping owner, rights and links of an existing one.
pub(super) fn write(path: &Path, contents: &[u8], secret: bool) -> Result<(), KeyError> {
    if let Some(folder) = path.parent() {
        make_folder(folder)?;
    }
    private::replace(path, contents, secret).map_err(|error| failed(path, &error))
}

fn make_folder(folder: &Path) -> Result<(), KeyError> {
    private::make_folder(folder).map_err(|error| failed(folder, &error))
}

/// Entries ordered by name; none if there is no folder.
fn list(folder: &Path) -> Result<Vec<PathBuf>, KeyError> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let entries = fs::read_dir(folder).map_err(|error| failed(folder, &error))?;
    let mut paths = entries
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| failed(folder, &error))?;
    paths.sort();
    Ok(paths)
}

pub(super) fn read_text(path: &Path) -> Result<String, KeyError> {
    fs::read_to_string(path).map_err(|error| failed(path, &error))
}

fn modified(path: &Path) -> std::time::SystemTime {
    fs::metadata(path).and_then(|metadata| metadata.modified()).unwrap_or(std::time::UNIX_EPOCH)
}

fn failed(path: &Path, error: &std::io::Error) -> KeyError {
    KeyError::new(format!("{}: {error}", path.display()))
}

fn wrong(path: &Path, what: impl fmt::Display) -> KeyError {
    KeyError::new(format!("{}: {what}", path.display()))
}
