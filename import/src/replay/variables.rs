//! Values that requests take from elsewhere: variables of a recording, and what earlier answers gave.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use super::{Answer, Recorded, in_form, in_url};

/// How often a variable may stand in another's value.
const MAX_ROUNDS: usize = 10;
/// The longest text that filling in may make.
const MAX_TEXT: usize = 4 << 20;

/// Fills in variables that stand between `open` and `close`, and collects those that are unknown.
pub(super) fn fill(
    text: &str,
    (open, close): (&str, &str),
    known: &BTreeMap<String, String>,
    unknown: &mut BTreeSet<String>,
) -> String {
    let mut text = text.to_owned();
    for _ in 0..MAX_ROUNDS {
        let (mut out, mut rest, mut filled) = (String::with_capacity(text.len()), text.as_str(), false);
        while let Some((before, after)) = rest.split_once(open) {
            let Some((name, tail)) = after.split_once(close) else { break };
            out.push_str(before);
            match known.get(name.trim()) {
                Some(value) => {
                    out.push_str(value);
                    filled = true;
                }
                None => out.push_str(&format!("{open}{name}{close}")),
            }
            rest = tail;
        }
        out.push_str(rest);
        text = out;
        if !filled || text.len() > MAX_TEXT {
            break;
        }
    }
    let mut rest = text.as_str();
    while let Some((name, tail)) = rest.split_once(open).and_then(|(_, after)| after.split_once(close)) {
        unknown.insert(name.trim().to_owned());
        rest = tail;
    }
    text
}

/// Values that a gateway gave instead of the recorded ones, such as codes and tokens. Later requests are sent with its own ones: the
/// recorded ones mean nothing to it.
#[derive(Clone, Debug, Default)]
pub struct Carried {
    /// By the recorded value.
    values: BTreeMap<String, String>,
    /// By name, in lower case: members of answers, parameters of redirects, fields of forms.
    named: BTreeMap<String, String>,
    /// Cookies by name.
    cookies: BTreeMap<String, String>,
}

/// A field of a form in a page, and its value.
static INPUT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"(?is)<input\b[^>]*>"#).ok());
static ATTRIBUTE: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r#"(?is)\b(name|value)\s*=\s*"([^"]*)""#).ok());

/// Most values that are kept by name.
const MAX_NAMED: usize = 10_000;

impl Carried {
    /// Keeps values: the recorded one, and the gateway's.
    pub fn learn(&mut self, pairs: impl IntoIterator<Item = (String, String)>) {
        self.values.extend(pairs.into_iter().filter(|(recorded, own)| recorded != own));
    }

    /// Keeps what an answer gives by name, for requests that name it: nothing recorded says which value it stands for.
    pub fn learn_names(&mut self, answer: &Answer) {
        for (name, value) in &answer.headers {
            if name.eq_ignore_ascii_case("set-cookie") {
                self.cookie(value);
            } else if name.eq_ignore_ascii_case("location")
                && let Some((_, query)) = value.split_once(['?', '#'])
            {
                for (name, value) in query.split(['&', '#']).filter_map(|pair| pair.split_once('=')) {
                    self.name(name, &percent_encoding::percent_decode_str(&value.replace('+', " ")).decode_utf8_lossy());
                }
            }
        }
        let Some(text) = answer.body.as_deref().and_then(|body| std::str::from_utf8(body).ok()) else { return };
        if let Ok(value) = serde_json::from_str::<Value>(text) {
            self.members(&value);
        } else if let (Some(input), Some(attribute)) = (&*INPUT, &*ATTRIBUTE) {
            for field in input.find_iter(text) {
                let mut parts: BTreeMap<String, String> = BTreeMap::new();
                for part in attribute.captures_iter(field.as_str()) {
                    let (_, [name, value]) = part.extract();
                    parts.insert(name.to_ascii_lowercase(), unescaped(value));
                }
                if let (Some(name), Some(value)) = (parts.get("name"), parts.get("value")) {
                    self.name(name, value);
                }
            }
        }
    }

    fn name(&mut self, name: &str, value: &str) {
        if self.named.len() < MAX_NAMED {
            self.named.insert(name.to_lowercase(), value.to_owned());
        }
    }

    fn members(&mut self, value: &Value) {
        match value {
            Value::Object(members) => {
                for (name, value) in members {
                    match value {
                        Value::String(text) => self.name(name, text),
                        Value::Number(number) => self.name(name, &number.to_string()),
                        other => self.members(other),
                    }
                }
            }
            Value::Array(items) => items.iter().for_each(|item| self.members(item)),
            _ => {}
        }
    }

    fn cookie(&mut self, field: &str) {
        let Some((name, value)) = field.split(';').next().unwrap_or_default().split_once('=') else { return };
        let ends = field.split(';').skip(1).any(|part| part.trim().to_ascii_lowercase().starts_with("max-age=0"));
        if ends || value.is_empty() {
            self.cookies.remove(name.trim());
        } else {
            self.cookies.insert(name.trim().to_owned(), value.trim().to_owned());
        }
    }

    /// The variables of a request that no answer has given.
    pub fn missing(&self, request: &Recorded) -> Vec<String> {
        let unknown = request.wants.iter().filter(|(_, name)| !self.named.contains_key(&name.to_lowercase()));
        unknown.map(|(_, name)| name.clone()).collect()
    }

    /// The request as it is sent to this gateway.
    pub fn apply(&self, request: &Recorded) -> Recorded {
        let mut own = request.clone();
        for (mark, name) in &request.wants {
            let Some(value) = self.named.get(&name.to_lowercase()) else { continue };
            own.target = own.target.replace(&in_url(mark), &in_form(value)).replace(&in_form(mark), &in_form(value));
            for (_, field) in &mut own.headers {
                *field = field.replace(mark, value);
            }
            if let Ok(text) = std::str::from_utf8(&own.body) {
                own.body = text.replace(mark, value).replace(&in_form(mark), &in_form(value)).into_bytes();
            }
        }
        if request.answer.is_none() {
            self.apply_cookies(&mut own);
        }
        if self.values.is_empty() {
            return own;
        }
        own.target = self.replace(&own.target);
        for (_, value) in &mut own.headers {
            *value = self.replace(value);
        }
        if let Ok(text) = std::str::from_utf8(&own.body) {
            own.body = self.replace(text).into_bytes();
        }
        own
    }

    /// The gateway's own cookies in place of those of another one.
    fn apply_cookies(&self, request: &mut Recorded) {
        let field = request.headers.iter_mut().find(|(name, _)| name.eq_ignore_ascii_case("cookie"));
        match field {
            Some((_, value)) => {
                let own = value.split(';').map(str::trim).map(|pair| match pair.split_once('=') {
                    Some((name, _)) => self.cookies.get(name).map_or_else(|| pair.to_owned(), |own| format!("{name}={own}")),
                    None => pair.to_owned(),
                });
                *value = own.collect::<Vec<_>>().join("; ");
            }
            None if request.jar && !self.cookies.is_empty() => {
                let all: Vec<String> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
                request.headers.push(("Cookie".to_owned(), all.join("; ")));
            }
            None => {}
        }
    }

    /// Longest values first, because one may be a part of another.
    fn replace(&self, text: &str) -> String {
        let mut values: Vec<(&String, &String)> = self.values.iter().collect();
        values.sort_by_key(|(recorded, _)| std::cmp::Reverse(recorded.len()));
        let mut text = text.to_owned();
        for (recorded, value) in values {
            if text.contains(recorded.as_str()) {
                text = text.replace(recorded.as_str(), value);
            }
            let escaped = in_form(recorded);
            if escaped != **recorded && text.contains(&escaped) {
                text = text.replace(&escaped, &in_form(value));
            }
        }
        text
    }
}

/// The text of an attribute.
fn unescaped(value: &str) -> String {
    value.replace("&quot;", "\"").replace("&#39;", "'").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
}
