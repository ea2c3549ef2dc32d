//! What is removed: a key of a cache, or all of it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use smol_str::SmolStr;

/// A key, as its SHA-256 digest. Keys may be secrets, and gateways tell each other which ones they removed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key([u8; 32]);

impl Key {
    /// Of this text.
    pub fn of(text: &str) -> Key {
        let mut key = [0; 32];
        key.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes()).as_ref());
        Key(key)
    }

    /// From its text form.
    pub fn parse(text: &str) -> Option<Key> {
        Some(Key(URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()?))
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("key")
    }
}

/// What is removed from caches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// A cache, or several: [`means`].
    pub cache: SmolStr,
    /// A key; none: all of them.
    pub key: Option<Key>,
}

impl Removal {
    /// A key.
    pub fn key(cache: &str, key: &str) -> Removal {
        Removal { cache: cache.into(), key: Some(Key::of(key)) }
    }

    /// A whole cache.
    pub fn all(cache: &str) -> Removal {
        Removal { cache: cache.into(), key: None }
    }
}

/// Whether a name means this cache: by its name; `name*` means all whose names begin so; `name#` all whose names are `name` and a number.
pub(super) fn means(id: &str, cache: &str) -> bool {
    match (id.strip_suffix('*'), id.strip_suffix('#')) {
        (Some(start), _) => cache.starts_with(start),
        (None, Some(start)) => {
            cache.strip_prefix(start).is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_digit()))
        }
        (None, None) => id == cache,
    }
}
