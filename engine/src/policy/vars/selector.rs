//! `${message.http.status}`, `${certificate.subject}`, `${moment.seconds}`, `${list.length}`: the part after the variable's name.

use std::borrow::Cow;

use http::HeaderName;
use smol_str::SmolStr;

use crate::data::certificate::Certificate;
use crate::data::message::{Message, field_text};
use crate::data::time::DatePattern;
use crate::data::value::Value;

/// The part to read of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Selector {
    /// Number of values.
    Length,
    /// Of a message.
    Message(MessageSelector),
    /// Of a certificate.
    Certificate(CertificateSelector),
    /// Of a moment.
    Time(TimeSelector),
}

/// The part to read of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageSelector {
    /// Body as text.
    Mainpart,
    /// Body as JSON, or a member of it.
    Json(Option<SmolStr>),
    /// `Content-Type` in its normal form.
    ContentType,
    /// Bytes of the body.
    Size,
    /// Status of an answer.
    Status,
    /// First header of this name.
    Header(HeaderName),
    /// All headers of this name.
    HeaderValues(HeaderName),
    /// Names of all headers.
    HeaderNames,
    /// First form field of this name.
    Form(SmolStr),
    /// All form fields of this name.
    FormValues(SmolStr),
    /// Value of a cookie the message sets or sends.
    Cookie(SmolStr),
    /// Values of all cookies of this name.
    CookieValues(SmolStr),
    /// Names of its cookies.
    CookieNames,
}

/// The part to read of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSelector {
    /// Subject.
    Subject,
    /// One attribute of the subject, e.g. `cn`.
    SubjectAttribute(SmolStr),
    /// Issuer.
    Issuer,
    /// Serial number.
    Serial,
    /// Start of validity.
    NotBefore,
    /// End of validity.
    NotAfter,
    /// SHA-1 thumbprint, base64.
    ThumbprintSha1,
    /// SHA-256 thumbprint, base64url.
    ThumbprintSha256,
    /// Subject key identifier.
    SubjectKeyIdentifier,
    /// Public key, base64 of its DER.
    SubjectPublicKey,
    /// PEM text.
    Pem,
    /// Base64 of the DER form.
    Base64,
}

/// The part to read of a moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TimeSelector {
    /// Seconds since the epoch.
    Seconds,
    /// Milliseconds since the epoch.
    Millis,
    /// ISO 8601 in UTC.
    Utc,
    /// RFC 1123.
    Rfc1123,
    /// By a pattern, in UTC.
    Pattern(DatePattern),
}

impl Selector {
    /// Reads the text after the variable's name and dot; case-insensitive except for names of parameters.
    pub fn parse(text: &str) -> Option<Selector> {
        let lower = text.to_ascii_lowercase();
        if lower == "length" {
            return Some(Selector::Length);
        }
        TimeSelector::parse(&lower)
            .map(Selector::Time)
            .or_else(|| CertificateSelector::parse(&lower).map(Selector::Certificate))
            .or_else(|| MessageSelector::parse(text).map(Selector::Message))
    }

    /// Words for "did you mean".
    pub const WORDS: &[&str] = &[
        "length",
        "mainpart",
        "json",
        "contentType",
        "size",
        "http.status",
        "http.header",
        "http.headerValues",
        "http.headerNames",
        "http.form",
        "http.formValues",
        "http.cookies",
        "http.cookieValues",
        "http.cookieNames",
        "subject",
        "issuer",
        "serial",
        "notAfter",
        "notBefore",
        "thumbprintSHA1",
        "thumbprintSHA256",
        "seconds",
        "millis",
        "utc",
        "rfc1123",
    ];

    /// Applies it; a value of another kind gives undefined.
    pub fn apply(&self, value: &Value) -> Value {
        match (self, value) {
            (Selector::Length, Value::Json(json)) => Value::from(json.as_array().map(|items| items.len() as i64)),
            (Selector::Length, value) => Value::Int(value.values().len() as i64),
            (_, Value::Undefined) => Value::Undefined,
            (Selector::Message(selector), Value::Message(message)) => selector.apply(message),
            (Selector::Message(MessageSelector::Mainpart), value) => Value::Text(value.to_text()),
            (Selector::Certificate(selector), Value::Certificate(certificate)) => selector.apply(certificate),
            (Selector::Time(selector), Value::Time(millis)) => selector.apply(*millis),
            _ => Value::Undefined,
        }
    }
}

/// A word followed by a name, and the part it selects with that name.
pub(super) type Named<T> = (&'static str, fn(SmolStr) -> T);

/// The rest of `text` after a word and a dot, the word in any case.
pub(super) fn after<'a>(text: &'a str, word: &str) -> Option<&'a str> {
    let (start, rest) = (text.get(..word.len())?, text.get(word.len()..)?);
    start.eq_ignore_ascii_case(word).then_some(rest)?.strip_prefix('.').filter(|rest| !rest.is_empty())
}

/// A header's name in any case; `None` if it is not a valid header name.
pub(super) fn header_name(name: &str) -> Option<HeaderName> {
    HeaderName::from_bytes(name.as_bytes()).ok()
}

impl MessageSelector {
    /// Reads the text after the message's name and dot.
    pub fn parse(text: &str) -> Option<MessageSelector> {
        use MessageSelector as M;
        if let Some(name) = after(text, "http.header") {
            return header_name(name).map(M::Header);
        }
        if let Some(name) = after(text, "http.headerValues") {
            return header_name(name).map(M::HeaderValues);
        }
        let named: [Named<M>; 6] = [
            ("json", |name| M::Json(Some(name))),
            ("http.form", |name| M::Form(name)),
            ("http.formValues", |name| M::FormValues(name)),
            ("http.cookies", |name| M::Cookie(name)),
            ("http.cookie", |name| M::Cookie(name)),
            ("http.cookieValues", |name| M::CookieValues(name)),
        ];
        for (word, make) in named {
            if let Some(name) = after(text, word) {
                return Some(make(name.into()));
            }
        }
        Some(match text.to_ascii_lowercase().as_str() {
            "mainpart" => M::Mainpart,
            "json" => M::Json(None),
            "contenttype" => M::ContentType,
            "size" => M::Size,
            "http.status" => M::Status,
            "http.headernames" => M::HeaderNames,
            "http.cookienames" => M::CookieNames,
            _ => return None,
        })
    }

    /// Applies it.
    pub fn apply(&self, message: &Message) -> Value {
        match self {
            MessageSelector::Mainpart => Value::Text(message.body_text().into()),
            MessageSelector::Json(name) => message.json().map_or(Value::Undefined, |body| match name {
                Some(name) => body.member(name),
                None => Value::Json(body),
            }),
            MessageSelector::ContentType => Value::from(normal_type(&message.content_type())),
            MessageSelector::Size => Value::Int(message.body.len() as i64),
            MessageSelector::Status => Value::from(message.status.map(i64::from)),
            MessageSelector::Header(name) => Value::from(message.header(name)),
            MessageSelector::HeaderValues(name) => {
                Value::list(message.headers.get_all(name).iter().map(field_text).map(Value::from))
            }
            MessageSelector::HeaderNames => Value::list(message.headers.keys().map(|name| Value::from(name.as_str()))),
            MessageSelector::Form(name) => Value::from(message.form().first(name).cloned()),
            MessageSelector::FormValues(name) => Value::list(message.form().all(name).cloned().map(Value::Text)),
            MessageSelector::Cookie(name) => Value::from(cookies(message).find(|(own, _)| own == name).map(|(_, value)| value)),
            MessageSelector::CookieValues(name) => {
                Value::list(cookies(message).filter(|(own, _)| own == name).map(|(_, value)| Value::from(value)))
            }
            MessageSelector::CookieNames => Value::list(cookies(message).map(|(name, _)| Value::from(name))),
        }
    }
}

/// A content type in one spelling, `text/xml;charset=UTF-8`, whatever blanks, quotes and letters the sender took; what is no content type
/// stays as it is.
pub fn normal_type(text: &str) -> String {
    let mut parts = text.split(';').map(str::trim);
    let media_type = parts.next().unwrap_or_default();
    if text.contains('\\') || media_type.split_once('/').is_none_or(|(own, sub)| own.is_empty() || sub.is_empty()) {
        return text.to_owned();
    }
    let mut out = media_type.to_ascii_lowercase();
    for part in parts.filter(|part| !part.is_empty()) {
        let Some((name, value)) = part.split_once('=') else { return text.to_owned() };
        let (name, value) = (name.trim().to_ascii_lowercase(), value.trim());
        let bare = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
        let token =
            !bare.is_empty() && bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte));
        // A quoted value may hold a semicolon, at which it was split above.
        if !token && (value.matches('"').count() != 2 || bare == value) {
            return text.to_owned();
        }
        out.push(';');
        out.push_str(&name);
        out.push('=');
        match name.as_str() {
            "charset" if token => out.push_str(&bare.to_ascii_uppercase()),
            _ => out.push_str(if token { bare } else { value }),
        }
    }
    out
}

/// Cookies of a message: of a `Cookie` field (RFC 6265, section 4.2), or of `Set-Cookie` fields. A cookie with an unreadable name
/// cannot match a name in a policy; one with an unreadable value still exists.
pub fn cookies(message: &Message) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
    let sent = message.headers.get_all(http::header::COOKIE).iter().flat_map(|field| raw_cookies(field.as_bytes()));
    let set = message.headers.get_all(http::header::SET_COOKIE).iter();
    let set = set.filter_map(|field| raw_cookies(field.as_bytes()).next());
    sent.chain(set).filter_map(|(name, value)| Some((std::str::from_utf8(name).ok()?, String::from_utf8_lossy(value))))
}

/// Names and values in a `Cookie` field. Other programs on the same host set cookies too, so a malformed one must not hide
/// others.
pub fn raw_cookies(field: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    field.split(|byte| *byte == b';').filter_map(|pair| {
        let (name, value) = pair.split_at_checked(pair.iter().position(|byte| *byte == b'=')?)?;
        let (_, value) = value.split_first()?;
        Some((name.trim_ascii(), unquoted(value.trim_ascii())))
    })
}

fn unquoted(mut value: &[u8]) -> &[u8] {
    while let Some(rest) = value.strip_prefix(b"\"") {
        value = rest;
    }
    while let Some(rest) = value.strip_suffix(b"\"") {
        value = rest;
    }
    value
}

impl CertificateSelector {
    fn parse(lower: &str) -> Option<CertificateSelector> {
        use CertificateSelector as C;
        if let Some(attribute) = after(lower, "subject.dn") {
            return Some(C::SubjectAttribute(attribute.into()));
        }
        Some(match lower {
            "subject" | "subject.canonical" => C::Subject,
            "issuer" | "issuer.canonical" => C::Issuer,
            "serial" => C::Serial,
            "notbefore" => C::NotBefore,
            "notafter" => C::NotAfter,
            "thumbprintsha1" => C::ThumbprintSha1,
            "thumbprintsha256" => C::ThumbprintSha256,
            "subjectkeyidentifier" => C::SubjectKeyIdentifier,
            "subjectpublickey" => C::SubjectPublicKey,
            "pem" => C::Pem,
            "base64" => C::Base64,
            _ => return None,
        })
    }

    fn apply(&self, certificate: &Certificate) -> Value {
        match self {
            CertificateSelector::Subject => Value::from(certificate.subject.as_str()),
            CertificateSelector::SubjectAttribute(name) => Value::list(
                certificate
                    .subject_attributes
                    .iter()
                    .filter(|(own, _)| own.eq_ignore_ascii_case(name))
                    .map(|(_, value)| Value::from(value.as_str())),
            ),
            CertificateSelector::Issuer => Value::from(certificate.issuer.as_str()),
            CertificateSelector::Serial => Value::from(certificate.serial.as_str()),
            CertificateSelector::NotBefore => Value::Time(certificate.not_before),
            CertificateSelector::NotAfter => Value::Time(certificate.not_after),
            CertificateSelector::ThumbprintSha1 => Value::from(certificate.thumbprint_sha1.as_str()),
            CertificateSelector::ThumbprintSha256 => Value::from(certificate.thumbprint_sha256.as_str()),
            CertificateSelector::SubjectKeyIdentifier => Value::from(certificate.subject_key_identifier.as_deref()),
            CertificateSelector::SubjectPublicKey => Value::from(certificate.subject_public_key.as_str()),
            CertificateSelector::Pem => Value::from(certificate.pem()),
            CertificateSelector::Base64 => {
                use base64::Engine;
                Value::from(base64::engine::general_purpose::STANDARD.encode(certificate.der()))
            }
        }
    }
}

impl TimeSelector {
    /// Reads what [`TimeSelector::parse`] reads, in any case, or a pattern of a date. Only for variables that are always moments:
    /// elsewhere a misspelled part of a variable would be a pattern.
    pub fn of_moment(text: &str) -> Option<TimeSelector> {
        TimeSelector::parse(&text.to_ascii_lowercase()).or_else(|| DatePattern::parse(text).ok().map(TimeSelector::Pattern))
    }

    /// Reads `seconds`, `millis`, `utc`, `rfc1123`, in lower case.
    pub fn parse(lower: &str) -> Option<TimeSelector> {
        Some(match lower {
            "seconds" => TimeSelector::Seconds,
            "millis" => TimeSelector::Millis,
            "utc" | "iso8601" => TimeSelector::Utc,
            "rfc1123" => TimeSelector::Rfc1123,
            _ => return None,
        })
    }

    /// Applies it.
    pub fn apply(&self, millis: i64) -> Value {
        match self {
            TimeSelector::Seconds => Value::Int(millis.div_euclid(1000)),
            TimeSelector::Millis => Value::Int(millis),
            TimeSelector::Utc => Value::from(crate::data::time::iso8601_date(millis)),
            TimeSelector::Rfc1123 => Value::from(crate::data::time::rfc1123(millis)),
            TimeSelector::Pattern(pattern) => Value::from(pattern.write(millis, &jiff::tz::TimeZone::UTC)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_types_have_one_spelling() {
        for (sent, read) in [
            ("text/xml; charset=utf-8", "text/xml;charset=UTF-8"),
            ("Text/XML ;Charset=\"utf-8\"", "text/xml;charset=UTF-8"),
            ("application/json", "application/json"),
            ("application/json;", "application/json"),
            ("multipart/form-data; boundary=aBc", "multipart/form-data;boundary=aBc"),
            ("multipart/mixed; boundary=\"a b\"", "multipart/mixed;boundary=\"a b\""),
            ("multipart/mixed; boundary=\"a;b\"", "multipart/mixed; boundary=\"a;b\""),
            ("nonsense", "nonsense"),
            ("text/plain; broken", "text/plain; broken"),
            ("", ""),
        ] {
            assert_eq!(normal_type(sent), read, "{sent}");
        }
    }
}
