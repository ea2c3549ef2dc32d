//! Two answers to one request: status, header fields that matter, and the body by its form.

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use roxmltree::Node;
use serde::Serialize;
use serde_json::Value;

use super::Answer;
use super::shape::{jwt, natural, same_but_for_the_moment, shown};
use crate::read::xml::parse;

/// The header fields that are compared.
pub const HEADERS: [&str; 6] = ["content-type", "location", "cache-control", "www-authenticate", "x-ca-err", "set-cookie"];
/// Most differences that are listed for a request.
const MOST: usize = 100;
/// How deep a JWT in a JWT is looked into.
const NESTED: usize = 3;

/// Of what kind a difference is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The gateways behave differently.
    Differs,
    /// A token, an id or a time: it differs each time.
    ByNature,
    /// The recording does not have it.
    NotRecorded,
}

/// A difference. The values are as reports show them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Where: `status`, `header location`, `body.error`.
    pub place: String,
    /// Kind.
    pub kind: Kind,
    /// Value of the first answer.
    pub left: String,
    /// Value of the second answer.
    pub right: String,
}

/// An answer, and the address of who gave it. The address is no difference.
#[derive(Clone, Copy, Debug)]
pub struct Side<'a> {
    /// The answer.
    pub answer: &'a Answer,
    /// Scheme, host and port.
    pub origin: Option<&'a str>,
}

/// What a comparison finds.
#[derive(Default)]
struct Found<'i> {
    differences: Vec<Difference>,
    /// Values that later requests may carry.
    carried: Vec<(String, String)>,
    ignored: &'i [String],
}

/// Compares two answers. Also gives the values that differ by nature: the one in the first answer, and its counterpart.
///
/// `ignored` has names of header fields and places in the body.
pub fn compare(left: Side<'_>, right: Side<'_>, ignored: &[String]) -> (Vec<Difference>, Vec<(String, String)>) {
    let mut found = Found { ignored, ..Found::default() };
    let (one, other) = (left.answer, right.answer);
    if one.status != other.status {
        found.differs("status", "", &one.status.to_string(), &other.status.to_string());
    }
    for name in HEADERS {
        if found.ignored.iter().any(|own| own.eq_ignore_ascii_case(name)) {
            continue;
        }
        let place = format!("header {name}");
        match name {
            "set-cookie" => found.cookies(&values(left, name), &values(right, name)),
            "location" => found.location(&values(left, name).join(", "), &values(right, name).join(", ")),
            "content-type" | "cache-control" => {
                let tidy = |side| directives(&values(side, name).join(", "), name == "content-type");
                found.text(&place, name, &tidy(left), &tidy(right));
            }
            _ => found.text(&place, name, &values(left, name).join(", "), &values(right, name).join(", ")),
        }
    }
    match (body(left), body(right)) {
        (Some(one), Some(other)) => found.body(left, right, &one, &other),
        _ => found.add("body", Kind::NotRecorded, String::new(), String::new()),
    }
    (found.differences, found.carried)
}

/// An expectation that an answer does not meet, as a difference; `None` if its place is ignored. `place` is as for `compare`.
pub fn unmet(place: &str, wanted: &str, got: &str, ignored: &[String]) -> Option<Difference> {
    let name = place.rsplit(['.', ' ']).next().unwrap_or(place);
    let name = name.split('[').next().unwrap_or(name);
    if place.starts_with("header ") && ignored.iter().any(|own| own.eq_ignore_ascii_case(name)) {
        return None;
    }
    let mut found = Found { ignored, ..Found::default() };
    let word = |text: &str| if text == "nothing" { text.to_owned() } else { quoted(name, text) };
    let (left, right) = (word(wanted), word(got));
    if left == right {
        found.differs(place, name, wanted, got)
    } else {
        found.add(place, Kind::Differs, left, right)
    }
    found.differences.pop()
}

/// Values of a header field.
fn values(side: Side<'_>, name: &str) -> Vec<String> {
    let own = side.answer.headers.iter().filter(|(own, _)| own.eq_ignore_ascii_case(name));
    own.map(|(_, value)| neutral(side, value.trim())).collect()
}

fn body(side: Side<'_>) -> Option<Vec<u8>> {
    let bytes = side.answer.body.as_deref()?;
    Some(match std::str::from_utf8(bytes) {
        Ok(text) => neutral(side, text).into_bytes(),
        Err(_) => bytes.to_vec(),
    })
}

/// A text without the address of its gateway.
fn neutral(side: Side<'_>, text: &str) -> String {
    let Some(origin) = side.origin else { return text.to_owned() };
    let text = replace_whole(text, origin);
    // JSON may escape slashes.
    let escaped = origin.replace('/', "\\/");
    let text = replace_whole(&text, &escaped);
    replace_whole(&text, &super::in_form(origin))
}

/// Replaces an origin where it is not the beginning of another one: `https://a` in `https://a.example`.
fn replace_whole(text: &str, origin: &str) -> String {
    let (mut out, mut rest) = (String::new(), text);
    while let Some((before, after)) = rest.split_once(origin) {
        out.push_str(before);
        let longer = after.starts_with(|c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '@'));
        out.push_str(if longer { origin } else { "(gateway)" });
        rest = after;
    }
    out.push_str(rest);
    out
}

/// Directives in one spelling: those of `Cache-Control` in one order, those of a media type in theirs.
fn directives(text: &str, ordered: bool) -> String {
    let mark = if ordered { ';' } else { ',' };
    let mut all: Vec<String> = text.to_ascii_lowercase().split(mark).map(|one| one.trim().replace('"', "")).collect();
    all.retain(|one| !one.is_empty());
    if !ordered {
        all.sort();
        all.dedup();
    }
    all.join(if ordered { "; " } else { ", " })
}

/// The media type of an answer.
fn media(side: Side<'_>) -> String {
    let value = values(side, "content-type").join("");
    value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

impl Found<'_> {
    fn add(&mut self, place: &str, kind: Kind, left: String, right: String) {
        let inside = |own: &String| {
            place.strip_prefix(own.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[', '/', ' ']))
        };
        if self.differences.len() < MOST && !self.ignored.iter().any(inside) {
            self.differences.push(Difference { place: place.to_owned(), kind, left, right });
        }
    }

    /// `name` says whether the value may be shown.
    fn differs(&mut self, place: &str, name: &str, left: &str, right: &str) {
        let (mut one, mut other) = (shown(name, left), shown(name, right));
        if one == other {
            // Both are hidden, or the difference is behind what is shown.
            one = format!("{one} ({} characters)", left.chars().count());
            other = format!("{other} ({} characters, another value)", right.chars().count());
        }
        self.add(place, Kind::Differs, one, other);
    }

    fn by_nature(&mut self, place: &str, name: &str, left: &str, right: &str) {
        self.add(place, Kind::ByNature, shown(name, left), shown(name, right));
    }

    fn text(&mut self, place: &str, name: &str, left: &str, right: &str) {
        self.value(place, name, left, right, NESTED);
    }

    fn value(&mut self, place: &str, name: &str, left: &str, right: &str, nested: usize) {
        if left == right {
            return;
        }
        if left.is_empty() || right.is_empty() {
            let word = |text: &str| if text.is_empty() { "nothing".to_owned() } else { shown(name, text) };
            return self.add(place, Kind::Differs, word(left), word(right));
        }
        let Some(pairs) = natural(name, left, right) else { return self.differs(place, name, left, right) };
        self.by_nature(place, name, left, right);
        self.carried.extend(pairs);
        if let (Some((header, claims)), Some((other_header, other_claims)), 1..) = (jwt(left), jwt(right), nested) {
            self.json(&format!("{place} (JWT header)"), "", &header, &other_header, nested - 1);
            self.json(&format!("{place} (JWT claims)"), "", &claims, &other_claims, nested - 1);
        }
    }

    fn body(&mut self, left: Side<'_>, right: Side<'_>, one: &[u8], other: &[u8]) {
        if one == other {
            return;
        }
        let (Ok(one), Ok(other)) = (std::str::from_utf8(one), std::str::from_utf8(other)) else {
            return self.add("body", Kind::Differs, format!("{} bytes", one.len()), format!("{} bytes, other ones", other.len()));
        };
        let of = |text: &str| [media(left), media(right)].iter().all(|media| media.contains(text));
        let json =
            |text: &str| text.trim_start().starts_with(['{', '[']).then(|| serde_json::from_str::<Value>(text).ok()).flatten();
        if let (Some(one), Some(other)) = (json(one), json(other)) {
            return self.json("body", "", &one, &other, NESTED);
        }
        if of("xml")
            && !of("html")
            && let (Ok(one), Ok(other)) = (parse(one), parse(other))
        {
            let root = format!("body/{}", one.root_element().tag_name().name());
            return self.xml(&root, one.root_element(), other.root_element());
        }
        if of("application/x-www-form-urlencoded") {
            return self.pairs("body", one.trim(), other.trim());
        }
        self.lines(one, other);
    }

    fn json(&mut self, place: &str, name: &str, left: &Value, right: &Value, nested: usize) {
        match (left, right) {
            (Value::Object(left), Value::Object(right)) => {
                for (name, one) in left {
                    let inner = format!("{place}.{name}");
                    match right.get(name) {
                        Some(other) => self.json(&inner, name, one, other, nested),
                        None => self.add(&inner, Kind::Differs, shown(name, &plain(one)), "nothing".to_owned()),
                    }
                }
                for (name, other) in right.iter().filter(|(name, _)| !left.contains_key(*name)) {
                    self.add(&format!("{place}.{name}"), Kind::Differs, "nothing".to_owned(), shown(name, &plain(other)));
                }
            }
            (Value::Array(left), Value::Array(right)) => {
                if left.len() != right.len() {
                    let size = |list: &[Value]| format!("{} items", list.len());
                    self.add(place, Kind::Differs, size(left), size(right));
                }
                for (n, (one, other)) in left.iter().zip(right).enumerate() {
                    self.json(&format!("{place}[{n}]"), name, one, other, nested);
                }
            }
            (Value::String(left), Value::String(right)) => self.value(place, name, left, right, nested),
            (Value::Number(one), Value::Number(other)) => match (one.as_f64(), other.as_f64()) {
                // Numbers beyond what a float holds are compared by their digits.
                _ if one == other => {}
                (Some(left), Some(right)) if left == right && (one.is_f64() != other.is_f64()) => {}
                (Some(left), Some(right)) if same_but_for_the_moment(name, left, right) => {
                    self.by_nature(place, "", &one.to_string(), &other.to_string());
                }
                _ => self.differs(place, name, &one.to_string(), &other.to_string()),
            },
            (left, right) if left == right => {}
            (left, right) => {
                let kind = |value: &Value| match value {
                    Value::String(_) => "text",
                    Value::Number(_) => "number",
                    Value::Bool(_) => "boolean",
                    Value::Null => "null",
                    Value::Array(_) => "list",
                    Value::Object(_) => "object",
                };
                let word = |value: &Value| format!("{} ({})", shown(name, &plain(value)), kind(value));
                self.add(place, Kind::Differs, word(left), word(right));
            }
        }
    }

    fn xml(&mut self, place: &str, left: Node<'_, '_>, right: Node<'_, '_>) {
        let name = |node: Node<'_, '_>| match node.tag_name().namespace() {
            Some(namespace) => format!("{{{namespace}}}{}", node.tag_name().name()),
            None => node.tag_name().name().to_owned(),
        };
        if name(left) != name(right) {
            return self.differs(place, "", &name(left), &name(right));
        }
        let attributes = |node: Node<'_, '_>| -> BTreeMap<String, String> {
            node.attributes()
                .map(|own| {
                    (
                        format!("{}{}", own.namespace().map(|ns| format!("{{{ns}}}")).unwrap_or_default(), own.name()),
                        own.value().to_owned(),
                    )
                })
                .collect()
        };
        self.maps(&format!("{place}/@"), &attributes(left), &attributes(right));
        let own = left.tag_name().name();
        let text = |node: Node<'_, '_>| -> String {
            node.children().filter(Node::is_text).filter_map(|text| text.text()).map(str::trim).collect()
        };
        self.text(place, own, &text(left), &text(right));
        let inner = |node: Node<'_, '_>| node.children().filter(Node::is_element).count();
        if inner(left) != inner(right) {
            self.add(place, Kind::Differs, format!("{} elements", inner(left)), format!("{} elements", inner(right)));
        }
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        let pairs = left.children().filter(Node::is_element).zip(right.children().filter(Node::is_element));
        for (one, other) in pairs {
            let name = one.tag_name().name();
            let count = counts.entry(name).or_default();
            *count += 1;
            let inner = if *count == 1 { format!("{place}/{name}") } else { format!("{place}/{name}[{count}]") };
            self.xml(&inner, one, other);
        }
    }

    /// Values by name. `place` ends where the name is put.
    fn maps(&mut self, place: &str, left: &BTreeMap<String, String>, right: &BTreeMap<String, String>) {
        for (name, one) in left {
            match right.get(name) {
                Some(other) => self.text(&format!("{place}{name}"), name, one, other),
                None => self.add(&format!("{place}{name}"), Kind::Differs, quoted(name, one), "nothing".to_owned()),
            }
        }
        for (name, other) in right.iter().filter(|(name, _)| !left.contains_key(*name)) {
            self.add(&format!("{place}{name}"), Kind::Differs, "nothing".to_owned(), quoted(name, other));
        }
    }

    fn pairs(&mut self, place: &str, left: &str, right: &str) {
        self.maps(&format!("{place} "), &pairs(left), &pairs(right));
    }

    /// Path, query and fragment, each by its parts.
    fn location(&mut self, left: &str, right: &str) {
        let parts = |url: &str| {
            let (url, fragment) = url.split_once('#').unwrap_or((url, ""));
            let (path, query) = url.split_once('?').unwrap_or((url, ""));
            // An absolute address of the gateway itself says no more than a path.
            let path = path.strip_prefix("(gateway)").filter(|path| path.starts_with('/')).unwrap_or(path);
            (path.to_owned(), query.to_owned(), fragment.to_owned())
        };
        let ((path, query, fragment), (other_path, other_query, other_fragment)) = (parts(left), parts(right));
        self.text("header location", "", &path, &other_path);
        self.pairs("header location", &query, &other_query);
        self.pairs("header location #", &fragment, &other_fragment);
    }

    /// Names and attributes. Values are not compared, but later requests carry them.
    fn cookies(&mut self, left: &[String], right: &[String]) {
        let (left, right) = (cookies(left), cookies(right));
        for (name, (value, attributes)) in &left {
            let place = format!("header set-cookie {name}");
            let Some((other_value, other_attributes)) = right.get(name) else {
                self.add(&place, Kind::Differs, "set".to_owned(), "nothing".to_owned());
                continue;
            };
            if value != other_value {
                self.add(&place, Kind::ByNature, "a value".to_owned(), "another value".to_owned());
                if value.len() >= 8 {
                    self.carried.push((value.clone(), other_value.clone()));
                }
            }
            self.maps(&format!("{place}; "), attributes, other_attributes);
        }
        for name in right.keys().filter(|name| !left.contains_key(*name)) {
            self.add(&format!("header set-cookie {name}"), Kind::Differs, "nothing".to_owned(), "set".to_owned());
        }
    }

    /// As text: all of it by nature, or the first line that differs.
    fn lines(&mut self, left: &str, right: &str) {
        let tidy = |text: &str| text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n").trim_end().to_owned();
        let (left, right) = (tidy(left), tidy(right));
        if left == right {
            return;
        }
        if let Some(pairs) = natural("", &left, &right) {
            let count = format!("{} values", pairs.len().max(1));
            self.add("body", Kind::ByNature, count.clone(), count);
            return self.carried.extend(pairs);
        }
        let (mut one, mut other) = (left.lines(), right.lines());
        for line in 1usize.. {
            let (left, right) = (one.next(), other.next());
            match (left, right) {
                (None, None) => return,
                (Some(left), Some(right)) if left == right => {}
                (Some(left), Some(right)) => {
                    if let Some(pairs) = natural("", left, right) {
                        self.carried.extend(pairs);
                        continue;
                    }
                    return self.differs(&format!("body, line {line}"), "", left.trim(), right.trim());
                }
                (left, right) => {
                    let word = |line: Option<&str>| line.map_or("nothing".to_owned(), |line| quoted("", line.trim()));
                    return self.add(&format!("body, line {line}"), Kind::Differs, word(left), word(right));
                }
            }
        }
    }
}

fn quoted(name: &str, value: &str) -> String {
    if value.is_empty() { "an empty text".to_owned() } else { shown(name, value) }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// A form, by name; several values of a name in one text.
fn pairs(form: &str) -> BTreeMap<String, String> {
    let decoded = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    let mut all: BTreeMap<String, String> = BTreeMap::new();
    for pair in form.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let own = all.entry(decoded(name)).or_default();
        if !own.is_empty() {
            own.push_str(", ");
        }
        own.push_str(&decoded(value));
    }
    all
}

type Cookie = (String, BTreeMap<String, String>);

fn cookies(fields: &[String]) -> BTreeMap<String, Cookie> {
    let cookie = |field: &String| {
        let mut parts = field.split(';').map(str::trim);
        let (name, value) = parts.next()?.split_once('=')?;
        let attribute = |part: &str| match part.split_once('=') {
            // This one ends the cookie. That is no date among dates.
            Some((name, value)) if name.trim().eq_ignore_ascii_case("expires") && value.contains("1970") => {
                ("expires".to_owned(), "at once".to_owned())
            }
            Some((name, value)) => (name.trim().to_ascii_lowercase(), value.trim().to_ascii_lowercase()),
            None => (part.to_ascii_lowercase(), "set".to_owned()),
        };
        Some((name.to_owned(), (value.to_owned(), parts.filter(|part| !part.is_empty()).map(attribute).collect())))
    };
    fields.iter().filter_map(cookie).collect()
}
