//! A message: headers, body, and for answers a status. Forms, JSON and XML in the body are read on first use.

use std::borrow::Cow;
use std::sync::OnceLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use smallvec::SmallVec;
use smol_str::SmolStr;

use crate::data::encoding::form_decode;
use crate::data::json::Document;
use crate::data::value::Value;

/// Most parameters a form or query may have; one with more counts as malformed.
pub const MAX_PARAMETERS: usize = 1000;
/// Among up to this many fields, a name is found sooner by comparing names than by hashing it.
const FEW: usize = 16;

/// Headers, status, body.
#[derive(Clone, Default, Debug)]
pub struct Message {
    /// Header fields, `Content-Type` among them.
    pub headers: HeaderMap,
    /// Status of an answer.
    pub status: Option<u16>,
    /// The raw body. Change it with [`Message::set_body`], which forgets what was read from the old one.
    pub body: Bytes,
    /// Whether somebody else sent it, so that only some of its header fields are forwarded. False for messages of a policy.
    pub received: bool,
    /// Names of header fields that policies set on it.
    pub placed: SmallVec<[HeaderName; 1]>,
    /// Names of cookies that policies set on it.
    pub placed_cookies: SmallVec<[SmolStr; 1]>,
    form: OnceLock<Parameters>,
    json: OnceLock<Option<Document>>,
}

impl Message {
    /// A message of this type and body.
    pub fn new(content_type: &str, body: impl Into<Bytes>) -> Self {
        let mut message = Message { body: body.into(), ..Message::default() };
        message.set_content_type(content_type);
        message
    }

    /// A message of these fields and this body.
    // Made where it is kept, not moved there.
    #[inline(always)]
    pub fn of(headers: HeaderMap, body: Bytes) -> Self {
        Message {
            headers,
            status: None,
            body,
            received: false,
            placed: SmallVec::new(),
            placed_cookies: SmallVec::new(),
            form: OnceLock::new(),
            json: OnceLock::new(),
        }
    }

    /// The result of `set m: message = …` for another value: JSON and XML keep their type, everything else is plain text.
    pub fn from_value(value: &Value) -> Self {
        use portcullis_dsl::ast::Syntax;
        let content_type = match value {
            Value::Json(_) => "application/json; charset=utf-8",
            Value::Markup(Syntax::Xml, _) => "text/xml; charset=utf-8",
            Value::Markup(Syntax::Html, _) => "text/html; charset=utf-8",
            _ => "text/plain; charset=utf-8",
        };
        Message::new(content_type, value.as_text().into_owned())
    }

    /// Records that a policy set a header field on it.
    pub fn place(&mut self, name: &HeaderName) {
        if !self.placed.contains(name) {
            self.placed.push(name.clone());
        }
    }

    /// Replaces the body.
    pub fn set_body(&mut self, body: impl Into<Bytes>) {
        self.body = body.into();
        self.form = OnceLock::new();
        self.json = OnceLock::new();
    }

    /// Replaces the content type; one that is not a valid header value is ignored.
    pub fn set_content_type(&mut self, content_type: &str) {
        match HeaderValue::from_str(content_type) {
            Ok(value) => self.headers.insert(header::CONTENT_TYPE, value),
            Err(_) => self.headers.remove(header::CONTENT_TYPE),
        };
    }

    /// The `Content-Type` field, empty when there is none.
    pub fn content_type(&self) -> Cow<'_, str> {
        self.header(&header::CONTENT_TYPE).unwrap_or_default()
    }

    /// Whether the media type (without parameters) is this one, in any case.
    pub fn is_type(&self, media_type: &str) -> bool {
        self.content_type().split(';').next().unwrap_or("").trim().eq_ignore_ascii_case(media_type)
    }

    /// The first field of this name as text.
    #[inline]
    pub fn header(&self, name: &HeaderName) -> Option<Cow<'_, str>> {
        let value = if self.headers.len() <= FEW {
            self.headers.iter().find_map(|(own, value)| (own == name).then_some(value))
        } else {
            self.headers.get(name)
        };
        value.map(field_text)
    }

    /// Adds a field after those of the same name; a name or value that HTTP does not allow is refused.
    pub fn add_header(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        let (name, value) = header_field(name, value)?;
        self.headers.append(name, value);
        Ok(())
    }

    /// Replaces all fields of this name.
    pub fn set_header(&mut self, name: &str, value: &str) -> Result<(), &'static str> {
        let (name, value) = header_field(name, value)?;
        self.headers.insert(name, value);
        Ok(())
    }

    /// The body as text, invalid UTF-8 replaced.
    pub fn body_text(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The body as JSON, whatever its content type says. `None` if it is not JSON or an object in it has a name twice: a later
    /// reader of the body might use the other value.
    pub fn json(&self) -> Option<Document> {
        self.json.get_or_init(|| crate::data::json::read_unique(&self.body).ok().map(Document::from)).clone()
    }

    /// Parameters of a form body; none unless the content type is `application/x-www-form-urlencoded`.
    pub fn form(&self) -> &Parameters {
        if self.body.is_empty() {
            return Parameters::none();
        }
        self.form.get_or_init(|| {
            if self.is_type("application/x-www-form-urlencoded") { Parameters::parse(&self.body) } else { Parameters::default() }
        })
    }
}

/// Fields that a request may contain only once (RFC 9110, section 5.3). If there are several, a policy that reads the field
/// refuses the request, and only one is forwarded, because another reader might use another one.
pub const SINGLE_FIELDS: [HeaderName; 12] = [
    header::AUTHORIZATION,
    header::PROXY_AUTHORIZATION,
    header::CONTENT_TYPE,
    header::CONTENT_ENCODING,
    header::ORIGIN,
    header::REFERER,
    header::USER_AGENT,
    header::ACCESS_CONTROL_REQUEST_METHOD,
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("sec-fetch-mode"),
    HeaderName::from_static("sec-fetch-dest"),
    HeaderName::from_static("sec-fetch-user"),
];

/// Whether there is a field of this name.
pub fn has_field(headers: &HeaderMap, name: &HeaderName) -> bool {
    if headers.keys_len() <= FEW { headers.keys().any(|own| own == name) } else { headers.contains_key(name) }
}

/// A field's value as text. Bytes that are not text become U+FFFD: so an existing field never looks absent, and equals nothing
/// that a policy expects. The compiler ensures that a service never reads such a field of a request.
#[inline]
pub fn field_text(value: &HeaderValue) -> Cow<'_, str> {
    match value.to_str() {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(replaced(value)),
    }
}

#[cold]
fn replaced(value: &HeaderValue) -> String {
    value.as_bytes().iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '\u{fffd}' }).collect()
}

fn header_field(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), &'static str> {
    let name = HeaderName::from_bytes(name.as_bytes()).map_err(|_| "not a header name")?;
    // INVARIANT: no line break ever reaches a header, so none can be split. `HeaderValue` refuses them.
    let value = HeaderValue::from_str(value).map_err(|_| "not a header value")?;
    Ok((name, value))
}

/// Parameters of a query or a form, in order, repeated names kept.
#[derive(Clone, Debug, Default)]
pub struct Parameters {
    pairs: Vec<(SmolStr, SmolStr)>,
    malformed: bool,
}

impl Parameters {
    /// Those of what is empty.
    pub fn none() -> &'static Parameters {
        static NONE: Parameters = Parameters { pairs: Vec::new(), malformed: false };
        &NONE
    }

    /// Reads `application/x-www-form-urlencoded` strictly. A bad percent-escape, invalid UTF-8 or a NUL (which some databases
    /// cannot store in any text) marks the whole form as malformed, and that pair is left out.
    pub fn parse(bytes: &[u8]) -> Parameters {
        let mut parameters = Parameters::default();
        for pair in bytes.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = decode(halves.next().unwrap_or_default());
            let value = decode(halves.next().unwrap_or_default());
            match (name, value) {
                (Some(name), Some(value)) if parameters.pairs.len() < MAX_PARAMETERS => parameters.pairs.push((name, value)),
                _ => parameters.malformed = true,
            }
        }
        parameters
    }

    /// Whether anything could not be read.
    pub fn is_malformed(&self) -> bool {
        self.malformed
    }

    /// The first value of this name (case-sensitive).
    pub fn first(&self, name: &str) -> Option<&SmolStr> {
        self.pairs.iter().find(|(own, _)| own == name).map(|(_, value)| value)
    }

    /// All values of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a SmolStr> + 'a {
        self.pairs.iter().filter(move |(own, _)| own == name).map(|(_, value)| value)
    }

    /// All pairs in order.
    pub fn pairs(&self) -> &[(SmolStr, SmolStr)] {
        &self.pairs
    }
}

/// Decodes form encoding: `+` is a blank, `%XX` a byte. `None` on a bad escape, invalid UTF-8 or a NUL.
fn decode(bytes: &[u8]) -> Option<SmolStr> {
    let text = unescape(bytes)?;
    (!text.contains('\0')).then_some(text)
}

fn unescape(bytes: &[u8]) -> Option<SmolStr> {
    if !bytes.iter().any(|byte| matches!(byte, b'%' | b'+')) {
        return std::str::from_utf8(bytes).ok().map(SmolStr::new);
    }
    String::from_utf8(form_decode(bytes)?).ok().map(SmolStr::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_makes_the_whole_malformed() {
        for text in ["a=%", "a=%4", "a=%zz", "a=%ff", "a=b%00c", "a%00=b", "a=\0"] {
            let parameters = Parameters::parse(format!("x=y&{text}").as_bytes());
            assert!(parameters.is_malformed(), "{text}");
            assert_eq!(parameters.pairs(), [("x".into(), "y".into())], "{text}");
        }
        let parameters = Parameters::parse("a=%c3%a9+b&c".as_bytes());
        assert!(!parameters.is_malformed());
        assert_eq!(parameters.pairs(), [("a".into(), "é b".into()), ("c".into(), "".into())]);
    }
}
