//! Recorded requests, and how answers to them are compared.
//!
//! Read are HAR 1.2, Postman collections v2.0 and v2.1 with their environments, and SoapUI projects. What cannot be
//! sent as it was recorded is said, with its place; it is never sent in another form.

mod compare;
mod har;
mod postman;
mod report;
mod shape;
mod soapui;
mod variables;

use std::collections::BTreeMap;

use percent_encoding::{AsciiSet, CONTROLS, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::read::{Input, MAX_BYTES};

pub use compare::{Difference, HEADERS, Kind, Side, compare, unmet};
pub use report::{Outcome, Replayed, Replays};
pub use shape::{mask, mask_target};
pub use variables::Carried;

/// Most requests of one replay.
pub const MAX_REQUESTS: usize = 10_000;
/// The deepest nesting of folders in a collection.
const MAX_FOLDERS: usize = 50;

/// A request that was recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Its name, or method and path.
    pub name: String,
    /// The file, and where it is in there.
    pub place: String,
    /// Method.
    pub method: String,
    /// Scheme, host and port that it was sent to, if they are known.
    pub origin: Option<String>,
    /// Path and query.
    pub target: String,
    /// Header fields, without those that belong to a connection.
    pub headers: Vec<(String, String)>,
    /// Body.
    pub body: Vec<u8>,
    /// What came back.
    pub answer: Option<Answer>,
    /// Variables that nobody knows before earlier requests were answered: the mark in the request, and the name.
    pub wants: Vec<(String, String)>,
    /// It has the cookies of earlier answers, as the tool that sent it keeps them.
    pub jar: bool,
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// Status.
    pub status: u16,
    /// Header fields, in order.
    pub headers: Vec<(String, String)>,
    /// Body. `None`: it was not recorded.
    pub body: Option<Vec<u8>>,
}

/// What cannot be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Skipped {
    /// The file, and where it is in there.
    pub place: String,
    /// Why.
    pub why: String,
}

/// What was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recording {
    /// Requests, in the order in which they were recorded.
    pub requests: Vec<Recorded>,
    /// Requests that cannot be sent.
    pub skipped: Vec<Skipped>,
    /// Files that are of no use.
    pub unusable: Vec<Skipped>,
}

/// Reads recordings. `variables` win over what the files say.
pub fn read(inputs: &[Input], variables: &BTreeMap<String, String>) -> Recording {
    let mut recording = Recording::default();
    let (mut json, mut environment) = (Vec::new(), BTreeMap::new());
    for input in inputs {
        match text(input) {
            Err(why) => recording.unusable.push(Skipped { place: input.path.clone(), why }),
            Ok(text) if text.trim_start().starts_with('<') => soapui::read(&input.path, text, variables, &mut recording),
            Ok(text) => match serde_json::from_str::<Value>(text) {
                Ok(value) if postman::is_environment(&value) => postman::environment(&value, &mut environment),
                Ok(value) => json.push((input, value)),
                Err(error) => recording.unusable.push(Skipped { place: input.path.clone(), why: unreadable(&error) }),
            },
        }
    }
    // An environment counts for all collections, wherever it stands on the command line.
    environment.extend(variables.iter().map(|(name, value)| (name.clone(), value.clone())));
    for (input, value) in &json {
        if value.pointer("/log/entries").is_some_and(Value::is_array) {
            har::read(&input.path, value, &mut recording);
        } else if value.get("item").is_some_and(Value::is_array) {
            postman::read(&input.path, value, &environment, &mut recording);
        } else {
            let why = "this is neither a HAR file nor a Postman collection nor a SoapUI project".to_owned();
            recording.unusable.push(Skipped { place: input.path.clone(), why });
        }
    }
    if recording.requests.len() > MAX_REQUESTS {
        let why = format!("there are more than {MAX_REQUESTS} requests");
        recording.requests.clear();
        recording.unusable.push(Skipped { place: "all files together".to_owned(), why });
    }
    recording
}

fn text(input: &Input) -> Result<&str, String> {
    if input.bytes.len() > MAX_BYTES {
        return Err(format!("the file has more than {} MiB", MAX_BYTES >> 20));
    }
    let bytes = input.bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&input.bytes);
    std::str::from_utf8(bytes).map_err(|error| format!("byte {} is not UTF-8", error.valid_up_to()))
}

fn unreadable(error: &serde_json::Error) -> String {
    format!("not JSON: line {}, column {}", error.line(), error.column())
}

impl Recording {
    fn skip(&mut self, place: String, why: impl Into<String>) {
        self.skipped.push(Skipped { place, why: why.into() });
    }

    /// The servers that the requests were sent to, as far as they are known.
    pub fn origins(&self) -> Vec<&str> {
        let mut all: Vec<&str> = self.requests.iter().filter_map(|request| request.origin.as_deref()).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// Fields that a client makes for each connection, or that would make an answer unreadable here.
fn is_of_connection(name: &str) -> bool {
    const OWN: [&str; 13] = [
        "host",
        "connection",
        "content-length",
        "transfer-encoding",
        "accept-encoding",
        "keep-alive",
        "te",
        "trailer",
        "upgrade",
        "expect",
        "proxy-connection",
        "proxy-authorization",
        "proxy-authenticate",
    ];
    name.starts_with(':') || OWN.iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// Adds a field unless there is one already.
fn default_header(headers: &mut Vec<(String, String)>, name: &str, value: &str) {
    if !headers.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)) {
        headers.push((name.to_owned(), value.to_owned()));
    }
}

/// The origin of a URL, and its path and query. Without a scheme everything before the first `/` is a host.
fn split_url(url: &str) -> (Option<String>, String) {
    let url = url.split('#').next().unwrap_or(url).trim();
    let (scheme, rest) = match url.split_once("://") {
        Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
        None => (None, url),
    };
    let at = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, target) = rest.split_at_checked(at).unwrap_or((rest, ""));
    let host = host.rsplit('@').next().unwrap_or(host).to_ascii_lowercase();
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    let origin = (!host.is_empty()).then(|| format!("{}://{host}", scheme.as_deref().unwrap_or("http")));
    (origin, target)
}

/// What a URL cannot have as it is; escapes that are there stay.
const URL: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'<').add(b'>').add(b'\\').add(b'^').add(b'`').add(b'{').add(b'|').add(b'}');
/// What a name or value of a form has as it is.
const FORM: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'*');

/// Escapes what cannot be in a URL.
fn in_url(text: &str) -> String {
    utf8_percent_encode(text, URL).to_string()
}

/// Escapes a name or value of a form.
fn in_form(text: &str) -> String {
    utf8_percent_encode(text, FORM).to_string()
}

/// Pairs as a form.
fn form(pairs: &[(String, String)]) -> String {
    pairs.iter().map(|(name, value)| format!("{}={}", in_form(name), in_form(value))).collect::<Vec<_>>().join("&")
}

/// Fields as `multipart/form-data`: its media type, and the body.
fn multipart(pairs: &[(String, String)]) -> Result<(String, String), String> {
    let mut boundary = "portcullis-replay".to_owned();
    while pairs.iter().any(|(_, value)| value.contains(&boundary)) {
        boundary.push('-');
    }
    let mut body = String::new();
    for (name, value) in pairs {
        if name.contains(['"', '\r', '\n']) {
            return Err("the name of a field of a multipart body has a quote or a line break".to_owned());
        }
        body.push_str(&format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"));
    }
    body.push_str(&format!("--{boundary}--\r\n"));
    Ok((format!("multipart/form-data; boundary={boundary}"), body))
}

/// A text in a JSON object, empty if it is not there.
fn word<'v>(value: &'v Value, name: &str) -> &'v str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// The values of a list in a JSON object.
fn list<'v>(value: &'v Value, name: &str) -> &'v [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests;
