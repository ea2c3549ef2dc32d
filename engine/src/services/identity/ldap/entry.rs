//! Converts an entry of a directory to a user.

use std::collections::BTreeMap;

use ldap3::SearchEntry;
use time::PrimitiveDateTime;
use time::format_description::FormatItem;
use time::macros::format_description;

use super::super::{PASSWORD_CHANGED, ProviderError};
use super::settings::{IDS, Settings};
use crate::data::principal::User;
use crate::data::value::Value;

/// Bit of Active Directory's `userAccountControl`: the account is disabled.
const ACCOUNT_DISABLE: i64 = 0x2;
/// Value of `pwdAccountLockedTime` for an account that only an administrator can unlock (draft-behera-ldap-password-policy).
const LOCKED_FOR_GOOD: &str = "000001010000Z";
/// From 1601, where Active Directory's clock begins, to 1970, in seconds.
const FILETIME_EPOCH: i64 = 11_644_473_600;

pub(super) struct Entry {
    dn: String,
    /// By attribute, in lower case.
    texts: BTreeMap<String, Vec<String>>,
    bytes: BTreeMap<String, Vec<Vec<u8>>>,
}

impl Entry {
    pub(super) fn new(found: SearchEntry, settings: &Settings) -> Entry {
        let mut entry = Entry { dn: found.dn, texts: BTreeMap::new(), bytes: BTreeMap::new() };
        // Directories may send more attributes than requested; the others are ignored.
        let asked = |name: &str| settings.asked.iter().any(|asked| asked.eq_ignore_ascii_case(name));
        entry.texts.extend(found.attrs.into_iter().filter(|(name, _)| asked(name)).map(|(k, v)| (k.to_lowercase(), v)));
        entry.bytes.extend(found.bin_attrs.into_iter().filter(|(name, _)| asked(name)).map(|(k, v)| (k.to_lowercase(), v)));
        entry
    }

    pub(super) fn dn(&self) -> &str {
        &self.dn
    }

    fn texts(&self, attribute: &str) -> &[String] {
        self.texts.get(&attribute.to_lowercase()).map_or(&[], Vec::as_slice)
    }

    fn text(&self, attribute: &str) -> Option<&str> {
        self.texts(attribute).first().map(String::as_str).filter(|text| !text.is_empty())
    }

    /// The login name as the directory spells it. Of several, always the same one, so that a user does not become two.
    pub(super) fn name(&self, settings: &Settings) -> Result<&str, ProviderError> {
        let attribute = &settings.name_attribute;
        let name = self.texts(attribute).iter().map(String::as_str).filter(|name| !name.is_empty()).min();
        name.ok_or_else(|| ProviderError::Nameless { entry: self.dn.clone(), attribute: attribute.clone() })
    }

    /// Whether the entry contains the typed name, ignoring case. Directories treat more spellings as equal (accents, wide
    /// letters), and guesses under each of them would be counted separately.
    pub(super) fn is_spelled(&self, typed: &str, settings: &Settings) -> bool {
        holds(settings.compared.iter().flat_map(|attribute| self.texts(attribute)), typed)
    }

    /// Whether an administrator has locked the account. A temporary lock does not count: the directory itself refuses the bind
    /// meanwhile. If it counted here, anyone who guesses passwords could end other people's logins.
    pub(super) fn is_disabled(&self) -> bool {
        let control = self.text("userAccountControl").and_then(|control| control.parse::<i64>().ok()).unwrap_or(0);
        control & ACCOUNT_DISABLE != 0
            || self.text("nsAccountLock").is_some_and(|lock| lock.eq_ignore_ascii_case("true"))
            || self.text("pwdAccountLockedTime") == Some(LOCKED_FOR_GOOD)
    }

    fn id(&self, settings: &Settings) -> String {
        let named = settings.id_attribute.as_deref();
        let names: &[&str] = named.as_ref().map_or(&IDS, std::slice::from_ref);
        names.iter().find_map(|name| self.identifier(name)).unwrap_or_else(|| self.dn.clone())
    }

    fn identifier(&self, attribute: &str) -> Option<String> {
        let guid = attribute.eq_ignore_ascii_case("objectGUID");
        if let Some(text) = self.text(attribute).filter(|_| !guid) {
            return Some(text.to_owned());
        }
        // Sixteen bytes, which by chance may be valid text, too.
        let bytes = self.bytes.get(&attribute.to_lowercase()).and_then(|values| values.first()).map(Vec::as_slice);
        let bytes = bytes.or_else(|| self.text(attribute).map(str::as_bytes))?;
        Some(match uuid::Uuid::from_slice_le(bytes) {
            Ok(uuid) if guid => uuid.to_string(),
            _ => hex::encode(bytes),
        })
    }

    fn password_changed(&self) -> Option<i64> {
        if let Some(at) = self.text("pwdChangedTime").and_then(generalized_time) {
            return Some(at);
        }
        let ticks: i64 = self.text("pwdLastSet")?.parse().ok()?;
        (ticks > 0).then(|| ticks / 10_000_000 - FILETIME_EPOCH)
    }

    pub(super) fn user(&self, settings: &Settings, name: &str, groups: Option<Vec<String>>) -> User {
        let mut attributes = BTreeMap::new();
        for (name, attribute) in &settings.attributes {
            if let Some(value) = value(self.texts(attribute).iter().map(String::as_str)) {
                attributes.insert(name.clone(), value);
            }
        }
        if let Some(role) = &settings.role_attribute
            && let Some(value) = value(self.texts(role).iter().map(|text| first_part(text)))
        {
            attributes.insert("role".to_owned(), value);
        }
        if let Some(groups) = groups {
            attributes.insert("groups".to_owned(), Value::list(groups.iter().map(|group| Value::from(group.as_str()))));
        }
        if let Some(changed) = self.password_changed() {
            attributes.insert(PASSWORD_CHANGED.to_owned(), Value::Int(changed));
        }
        attributes.insert("dn".to_owned(), Value::from(self.dn.as_str()));
        User {
            name: name.into(),
            id: self.id(settings).into(),
            provider: settings.provider.as_str().into(),
            enabled: !self.is_disabled(),
            attributes,
        }
    }
}

/// One value is a text, several are a list.
fn value<T: AsRef<str>>(mut values: impl Iterator<Item = T>) -> Option<Value> {
    let first = Value::from(values.next()?.as_ref());
    let others: Vec<Value> = values.map(|value| Value::from(value.as_ref())).collect();
    Some(if others.is_empty() { first } else { Value::list(std::iter::once(first).chain(others)) })
}

/// `cn=Admins,ou=groups,dc=example` → `Admins`; anything else stays as it is.
fn first_part(text: &str) -> String {
    let Some((_, rest)) = text.split_once('=').filter(|(name, rest)| {
        rest.contains('=') && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.'))
    }) else {
        return text.to_owned();
    };
    // RFC 4514: a backslash escapes the next character, or two hexadecimal digits.
    let (mut out, mut bytes) = (Vec::new(), rest.bytes());
    while let Some(byte) = bytes.next() {
        match byte {
            b',' | b'+' => break,
            b'\\' => {
                let Some(next) = bytes.next() else { break };
                let pair = bytes.clone().next().and_then(|second| hex::decode([next, second]).ok());
                match pair {
                    Some(decoded) => {
                        out.extend(decoded);
                        bytes.next();
                    }
                    None => out.push(next),
                }
            }
            byte => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// `20261125103000Z`, with or without a fraction (RFC 4517, section 3.3.13); other time zones do not occur here.
fn generalized_time(text: &str) -> Option<i64> {
    const FORM: &[FormatItem<'_>] = format_description!("[year][month][day][hour][minute][second]");
    let digits = text.strip_suffix('Z')?.split(['.', ',']).next()?;
    Some(PrimitiveDateTime::parse(digits, FORM).ok()?.assume_utc().unix_timestamp())
}

/// Whether one of the values contains a text, ignoring case. Filters may put something around a name (`smtp:{}`).
fn holds<'a>(mut values: impl Iterator<Item = &'a String>, text: &str) -> bool {
    let text = text.to_lowercase();
    values.any(|value| value.to_lowercase().contains(&text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_groups_are_read_from_their_distinguished_names() {
        for (text, expected) in [
            ("cn=Admins,ou=groups,dc=example,dc=com", "Admins"),
            (r"CN=A\, B\2b\C3\A9,DC=x", "A, B+é"),
            ("admin", "admin"),
            ("a=b", "a=b"),
            ("level 1=x,y=z", "level 1=x,y=z"),
        ] {
            assert_eq!(first_part(text), expected);
        }
    }

    #[test]
    fn an_entry_that_only_the_directory_finds_equal_is_not_the_one() {
        let values = ["álice".to_owned(), "smtp:Bob.Smith@example.com".to_owned()];
        for (typed, expected) in [
            ("álice", true),
            ("ÁLICE", true),
            ("bob.smith@example.com", true),
            ("alice", false),
            ("älice", false),
            ("bób.smith@example.com", false),
        ] {
            assert_eq!(holds(values.iter(), typed), expected, "{typed}");
        }
    }

    #[test]
    fn times_of_directories_are_seconds() {
        assert_eq!(generalized_time("19700102000000Z"), Some(86_400));
        assert_eq!(generalized_time("20240229120000.5Z"), Some(1_709_208_000));
        assert_eq!(generalized_time("20240229120000+0100"), None);
        assert_eq!(generalized_time("x"), None);
    }
}
