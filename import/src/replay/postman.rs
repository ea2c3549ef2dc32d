//! Postman collections v2.0 and v2.1, and environments.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::variables::fill;
use super::{
    Answer, MAX_FOLDERS, Recorded, Recording, default_header, form, in_url, is_of_connection, list, multipart, split_url, word,
};

type Variables = BTreeMap<String, String>;

const MARKS: (&str, &str) = ("{{", "}}");

/// Whether a file has variables for collections.
pub(super) fn is_environment(value: &Value) -> bool {
    value.get("values").is_some_and(Value::is_array) && value.get("item").is_none() && value.get("log").is_none()
}

/// Reads an environment.
pub(super) fn environment(value: &Value, variables: &mut Variables) {
    variables.extend(entries(list(value, "values")));
}

/// Reads a collection.
pub(super) fn read(path: &str, collection: &Value, given: &Variables, recording: &mut Recording) {
    folder(path, collection, &Level { given, inherited: Variables::new(), auth: None, depth: 0 }, recording);
}

/// What folders pass on.
struct Level<'v> {
    /// From the command line and environments: these win.
    given: &'v Variables,
    inherited: Variables,
    auth: Option<&'v Value>,
    depth: usize,
}

/// Keys and values that are not switched off.
fn entries(values: &[Value]) -> Vec<(String, String)> {
    let on = |value: &&Value| {
        value.get("disabled").and_then(Value::as_bool) != Some(true)
            && value.get("enabled").and_then(Value::as_bool) != Some(false)
    };
    let text = |value: &Value| match value.get("value") {
        Some(Value::String(text)) => text.clone(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    };
    let name = |value: &Value| match word(value, "key") {
        "" => word(value, "id").to_owned(),
        key => key.to_owned(),
    };
    values.iter().filter(on).map(|value| (name(value), text(value))).filter(|(name, _)| !name.is_empty()).collect()
}

fn folder<'v>(path: &str, folder: &'v Value, above: &Level<'v>, recording: &mut Recording) {
    if above.depth > MAX_FOLDERS {
        recording.skip(path.to_owned(), format!("folders are nested more than {MAX_FOLDERS} deep"));
        return;
    }
    let mut inherited = above.inherited.clone();
    inherited.extend(entries(list(folder, "variable")));
    let auth = folder.get("auth").filter(|auth| !auth.is_null()).or(above.auth);
    let level = Level { given: above.given, inherited, auth, depth: above.depth + 1 };
    for (n, item) in list(folder, "item").iter().enumerate() {
        let name = match word(item, "name") {
            "" => format!("item {}", n + 1),
            name => name.to_owned(),
        };
        let place = format!("{path} / {name}");
        if item.get("item").is_some_and(Value::is_array) {
            self::folder(&place, item, &level, recording);
            continue;
        }
        match request(item, &level) {
            Ok(request) => recording.requests.push(Recorded { name, place, ..request }),
            Err(why) => recording.skip(place, why),
        }
    }
}

fn request(item: &Value, level: &Level<'_>) -> Result<Recorded, String> {
    let request = item.get("request").ok_or("this is neither a folder nor a request")?;
    let mut known = level.inherited.clone();
    known.extend(entries(list(item, "variable")));
    known.extend(level.given.iter().map(|(name, value)| (name.clone(), value.clone())));
    let mut unknown = BTreeSet::new();
    let mut filled = |text: &str| fill(text, MARKS, &known, &mut unknown);
    let url = match request {
        Value::String(url) => url.clone(),
        _ => self::url(request.get("url").unwrap_or(&Value::Null)),
    };
    let (origin, target) = match url.strip_prefix(MARKS.0).and_then(|rest| rest.split_once(MARKS.1)) {
        // A server that is a variable need not be known: the request goes to another one anyway.
        Some((server, rest)) if !known.contains_key(server.trim()) && (rest.is_empty() || rest.starts_with(['/', '?'])) => {
            (None, filled(&split_url(rest).1))
        }
        _ => split_url(&filled(&url)),
    };
    let method = match word(request, "method") {
        "" => "GET".to_owned(),
        method => method.to_owned(),
    };
    let mut headers: Vec<(String, String)> =
        entries(list(request, "header")).iter().map(|(name, value)| (filled(name), filled(value))).collect();
    headers.retain(|(name, _)| !is_of_connection(name));
    let body = match request.get("body").filter(|body| body.get("disabled").and_then(Value::as_bool) != Some(true)) {
        Some(body) => self::body(body, &mut headers, &mut filled)?,
        None => String::new(),
    };
    let mut target = target;
    if let Some(auth) = request.get("auth").filter(|auth| !auth.is_null()).or(level.auth) {
        authorize(auth, &mut headers, &mut target, &mut filled)?;
    }
    if encoded_unknown(&unknown, &headers) {
        let names: Vec<String> = unknown.iter().map(|name| format!("`{name}`")).collect();
        return Err(format!("variables without value: {} (`--var NAME=VALUE`, or an environment)", names.join(", ")));
    }
    // Scripts of a collection keep what an answer gave under a name like that of the answer's member.
    let wants = unknown.iter().map(|name| (format!("{}{name}{}", MARKS.0, MARKS.1), name.clone())).collect();
    let answer = list(item, "response").first().and_then(answer);
    Ok(Recorded {
        method,
        origin,
        target: in_url(&target),
        headers,
        body: body.into_bytes(),
        answer,
        wants,
        jar: true,
        ..Recorded::default()
    })
}

/// Whether an unknown variable is in credentials, whose encoding hides it. Dynamic ones, `{{$guid}}`, are known to the tool alone.
fn encoded_unknown(unknown: &BTreeSet<String>, headers: &[(String, String)]) -> bool {
    let basic = |(_, value): &(String, String)| {
        let pair = value.strip_prefix("Basic ").and_then(|encoded| STANDARD.decode(encoded).ok());
        pair.is_some_and(|pair| String::from_utf8_lossy(&pair).contains(MARKS.0))
    };
    unknown.iter().any(|name| name.starts_with('$')) || headers.iter().any(basic)
}

/// The URL, with its variables.
fn url(url: &Value) -> String {
    let raw = match url {
        Value::String(raw) => raw.as_str(),
        _ => word(url, "raw"),
    };
    // The parts say which parameters of the query are switched off; the raw text is the fallback.
    let mut text = match raw.split_once('?') {
        Some((before, _)) if url.get("query").is_some_and(Value::is_array) => {
            let pairs: Vec<String> = entries(list(url, "query")).iter().map(|(name, value)| format!("{name}={value}")).collect();
            if pairs.is_empty() { before.to_owned() } else { format!("{before}?{}", pairs.join("&")) }
        }
        _ => raw.to_owned(),
    };
    for (name, value) in entries(list(url, "variable")) {
        // `:name` is a whole segment of the path.
        let (path, query) = text.split_once('?').map_or((text.as_str(), None), |(path, query)| (path, Some(query)));
        let own = format!(":{name}");
        let segments: Vec<&str> = path.split('/').map(|part| if part == own { value.as_str() } else { part }).collect();
        text = match query {
            Some(query) => format!("{}?{query}", segments.join("/")),
            None => segments.join("/"),
        };
    }
    text
}

fn body(body: &Value, headers: &mut Vec<(String, String)>, filled: &mut impl FnMut(&str) -> String) -> Result<String, String> {
    match word(body, "mode") {
        "" => Ok(String::new()),
        "raw" => {
            let language = body.pointer("/options/raw/language").and_then(Value::as_str).unwrap_or("text");
            let media = match language {
                "json" => "application/json",
                "xml" => "application/xml",
                "html" => "text/html",
                "javascript" => "application/javascript",
                _ => "text/plain",
            };
            let text = filled(word(body, "raw"));
            if !text.is_empty() {
                default_header(headers, "Content-Type", media);
            }
            Ok(text)
        }
        "urlencoded" => {
            let pairs: Vec<(String, String)> =
                entries(list(body, "urlencoded")).iter().map(|(name, value)| (filled(name), filled(value))).collect();
            default_header(headers, "Content-Type", "application/x-www-form-urlencoded");
            Ok(form(&pairs))
        }
        "formdata" => {
            let fields = list(body, "formdata");
            let off = |field: &&Value| field.get("disabled").and_then(Value::as_bool) == Some(true);
            if let Some(file) = fields.iter().filter(|field| !off(field)).find(|field| word(field, "type") == "file") {
                return Err(format!("the file of the field `{}` is not in the collection", word(file, "key")));
            }
            let pairs: Vec<(String, String)> =
                entries(fields).iter().map(|(name, value)| (filled(name), filled(value))).collect();
            headers.retain(|(name, _)| !name.eq_ignore_ascii_case("content-type"));
            let (media, text) = multipart(&pairs)?;
            default_header(headers, "Content-Type", &media);
            Ok(text)
        }
        mode => Err(format!("a body of the kind `{mode}` is not replayed")),
    }
}

fn authorize(
    auth: &Value,
    headers: &mut Vec<(String, String)>,
    target: &mut String,
    filled: &mut impl FnMut(&str) -> String,
) -> Result<(), String> {
    let kind = word(auth, "type");
    // v2.1 has a list of keys and values, v2.0 an object.
    let mut value = |name: &str| match auth.get(kind) {
        Some(Value::Array(values)) => {
            filled(&entries(values).into_iter().find(|(own, _)| own == name).map(|(_, value)| value).unwrap_or_default())
        }
        Some(object) => filled(word(object, name)),
        None => String::new(),
    };
    match kind {
        "" | "noauth" => {}
        "bearer" => default_header(headers, "Authorization", &format!("Bearer {}", value("token"))),
        "basic" => {
            let pair = format!("{}:{}", value("username"), value("password"));
            default_header(headers, "Authorization", &format!("Basic {}", STANDARD.encode(pair)));
        }
        "oauth2" if !value("accessToken").is_empty() => {
            default_header(headers, "Authorization", &format!("Bearer {}", value("accessToken")));
        }
        "apikey" if value("in") == "query" => {
            let mark = if target.contains('?') { '&' } else { '?' };
            target.push_str(&format!("{mark}{}", form(&[(value("key"), value("value"))])));
        }
        "apikey" => default_header(headers, &value("key"), &value("value")),
        other => return Err(format!("authorization of the kind `{other}` is not replayed")),
    }
    Ok(())
}

/// A saved example.
fn answer(example: &Value) -> Option<Answer> {
    let status = example.get("code").and_then(Value::as_u64).and_then(|code| u16::try_from(code).ok())?;
    let body = example.get("body").and_then(Value::as_str).unwrap_or_default().as_bytes().to_vec();
    Some(Answer { status, headers: entries(list(example, "header")), body: Some(body) })
}
