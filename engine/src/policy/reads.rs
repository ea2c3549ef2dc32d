//! What a policy reads of a request. The compiler knows it, so an unreadable part is refused before the policy runs. If it
//! counted as absent, a policy would treat a broken credential, mark or origin as none at all.

use std::fmt;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use smol_str::SmolStr;

use crate::data::basic;
use crate::data::message::SINGLE_FIELDS;
use crate::policy::request::Request;
use crate::policy::vars::{MessageSelector, raw_cookies};

/// The parts of a request that a service's policy reads as text, with everything it includes and calls.
#[derive(Clone, Debug, Default)]
pub struct Reads {
    /// Fields of which the first is read.
    first: Vec<HeaderName>,
    /// Fields of which all are read.
    all: Vec<HeaderName>,
    cookies: Vec<SmolStr>,
    parameters: bool,
    /// Whether the policy itself checks for malformed parameters.
    malformed: bool,
    basic: bool,
}

/// A part of a request that cannot be read. Its text names the part, never its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unreadable {
    /// A header field that is not visible ASCII.
    Field(HeaderName),
    /// A header field that HTTP allows once and that occurs more often.
    Repeated(HeaderName),
    /// Basic credentials that are not text.
    Credentials(&'static str),
    /// A cookie that is not visible ASCII.
    Cookie(SmolStr),
    /// The query.
    Query,
    /// The form.
    Form,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unreadable::Field(name) => write!(f, "the header field `{name}` contains bytes that are not visible ASCII"),
            Unreadable::Repeated(name) => write!(f, "the header field `{name}` must not occur more than once"),
            Unreadable::Credentials(why) => write!(f, "the header field `authorization` cannot be read: {why}"),
            Unreadable::Cookie(name) => write!(f, "the cookie `{name}` contains bytes that are not visible ASCII"),
            Unreadable::Query => {
                f.write_str("the query cannot be read: a broken percent-escape, no UTF-8, a NUL, or too many parameters")
            }
            Unreadable::Form => {
                f.write_str("the form cannot be read: a broken percent-escape, no UTF-8, a NUL, or too many parameters")
            }
        }
    }
}

impl Reads {
    /// The first field of this name is read.
    pub fn field(&mut self, name: &HeaderName) {
        note(&mut self.first, name);
    }

    /// All fields of this name are read.
    pub fn fields(&mut self, name: &HeaderName) {
        note(&mut self.all, name);
    }

    /// A cookie is read.
    pub fn cookie(&mut self, name: &SmolStr) {
        note(&mut self.cookies, name);
    }

    /// Parameters of query or form are read.
    pub fn parameters(&mut self) {
        self.parameters = true;
    }

    /// The policy itself decides about parameters that cannot be read.
    pub fn malformed(&mut self) {
        self.malformed = true;
    }

    /// Basic credentials are read.
    pub fn basic(&mut self) {
        self.field(&header::AUTHORIZATION);
        self.basic = true;
    }

    /// A part of a message is read: of the request, or of a variable that may contain a copy of it.
    pub fn selected(&mut self, selector: &MessageSelector) {
        match selector {
            MessageSelector::Header(name) => self.field(name),
            MessageSelector::HeaderValues(name) => self.fields(name),
            MessageSelector::Cookie(name) | MessageSelector::CookieValues(name) => self.cookie(name),
            MessageSelector::Form(_) | MessageSelector::FormValues(_) => self.parameters(),
            _ => {}
        }
    }

    /// What a called policy reads is read too.
    pub fn extend(&mut self, callee: &Reads) {
        callee.first.iter().for_each(|name| note(&mut self.first, name));
        callee.all.iter().for_each(|name| note(&mut self.all, name));
        callee.cookies.iter().for_each(|name| note(&mut self.cookies, name));
        self.parameters |= callee.parameters;
        self.malformed |= callee.malformed;
        self.basic |= callee.basic;
    }

    /// Whether everything that is read can be read.
    pub fn check(&self, request: &Request) -> Result<(), Unreadable> {
        let headers = &request.message.headers;
        // Nearly all requests are so, and the rest is only about those that are not.
        let ordinary = headers.len() == headers.keys_len() && headers.values().all(is_text);
        if !ordinary {
            self.check_fields(headers)?;
        }
        if self.basic
            && let Err(basic::Bad::Unreadable(why)) = basic::credentials(headers)
        {
            return Err(Unreadable::Credentials(why));
        }
        if self.parameters && !self.malformed {
            if request.query_parameters().is_malformed() {
                return Err(Unreadable::Query);
            }
            if request.message.form().is_malformed() {
                return Err(Unreadable::Form);
            }
        }
        Ok(())
    }

    fn check_fields(&self, headers: &HeaderMap) -> Result<(), Unreadable> {
        // A body cannot be understood without its type.
        for name in self.first.iter().chain([&header::CONTENT_TYPE]) {
            let mut values = headers.get_all(name).iter();
            let Some(value) = values.next() else { continue };
            if !is_text(value) {
                return Err(Unreadable::Field(name.clone()));
            }
            if values.next().is_some() && SINGLE_FIELDS.contains(name) && !self.all.contains(name) {
                return Err(Unreadable::Repeated(name.clone()));
            }
        }
        for name in &self.all {
            if !headers.get_all(name).iter().all(is_text) {
                return Err(Unreadable::Field(name.clone()));
            }
        }
        if !self.cookies.is_empty() && !headers.get_all(header::COOKIE).iter().all(is_text) {
            self.check_cookies(headers)?;
        }
        Ok(())
    }

    fn check_cookies(&self, headers: &HeaderMap) -> Result<(), Unreadable> {
        let fields = headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes);
        for (name, value) in fields.flat_map(raw_cookies) {
            if !value.is_ascii()
                && let Some(read) = self.cookies.iter().find(|read| read.as_bytes() == name)
            {
                return Err(Unreadable::Cookie(read.clone()));
            }
        }
        Ok(())
    }
}

/// Whether a field's value is visible ASCII, blanks and tabs (RFC 9110, section 5.5). No value has other control characters.
fn is_text(value: &HeaderValue) -> bool {
    value.as_bytes().is_ascii()
}

fn note<T: Clone + PartialEq>(known: &mut Vec<T>, name: &T) {
    if !known.contains(name) {
        known.push(name.clone());
    }
}
