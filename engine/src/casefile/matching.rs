//! Compares an answer with what was expected, and says what differs.

use regex::Regex;
use serde_json::Value;

use super::client::Answer;
use super::step::Expectation;
use super::text::{Piece, Vars};

/// What an answer lacks, or has too much.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Line of the expectation.
    pub line: usize,
    /// Where it is in the answer: `status`, `header NAME`, `body`, `$.error`.
    pub place: String,
    /// What was expected.
    pub wanted: String,
    /// What came.
    pub got: String,
    /// Both in words.
    pub message: String,
}

impl Mismatch {
    fn new(line: usize, place: &str, wanted: impl Into<String>, got: impl Into<String>, message: String) -> Self {
        Mismatch { line, place: place.to_owned(), wanted: wanted.into(), got: got.into(), message }
    }

    /// The expectation itself is wrong.
    fn broken(line: usize, place: &str, message: String) -> Self {
        Mismatch::new(line, place, "", "", message)
    }
}

/// Names and values that an answer gave.
type Captures = Vec<(String, String)>;

/// Checks an answer. Captures go to `vars` if everything matches.
pub(super) fn answer(expected: &Expectation, got: &Answer, vars: &mut Vars) -> Result<(), (usize, String)> {
    let (mismatches, captured) = differences(expected, got, vars);
    if let Some(first) = mismatches.into_iter().next() {
        return Err((first.line, first.message));
    }
    for (name, value) in captured {
        vars.set(name, value);
    }
    Ok(())
}

/// All that differs, and what the parts that match have captured.
pub(super) fn differences(expected: &Expectation, got: &Answer, vars: &Vars) -> (Vec<Mismatch>, Captures) {
    let (mut found, mut captured) = (Vec::new(), Vec::new());
    if !expected.status.contains(&got.status) {
        let wanted = expected.status.iter().map(u16::to_string).collect::<Vec<_>>().join(" or ");
        let message = format!("expected status {wanted}, got {}", got.status);
        found.push(Mismatch::new(expected.line, "status", wanted, got.status.to_string(), message));
    }
    for (line, name, pattern) in &expected.headers {
        let values: Vec<&str> = got.header_values(name).collect();
        let place = format!("header {}", name.to_ascii_lowercase());
        match pattern {
            None if values.is_empty() => {}
            None => {
                let message = format!("expected no `{name}`, got `{}`", values.join("`, `"));
                found.push(Mismatch::new(*line, &place, "nothing", values.join(", "), message));
            }
            Some(pattern) => match vars.pieces(pattern) {
                Err(message) => found.push(Mismatch::broken(*line, &place, message)),
                Ok(pieces) if values.iter().any(|value| whole(&pieces, value, &mut captured)) => {}
                Ok(pieces) => {
                    let got = if values.is_empty() { "none".to_owned() } else { format!("`{}`", values.join("`, `")) };
                    let message = format!("expected header `{name}: {}`, got {got}", show(&pieces));
                    let got = if values.is_empty() { "nothing".to_owned() } else { values.join(", ") };
                    found.push(Mismatch::new(*line, &place, show(&pieces), got, message));
                }
            },
        }
    }
    if let Some(pattern) = &expected.body {
        body(pattern, expected, got, vars, &mut captured, &mut found);
    }
    (found, captured)
}

fn body(pattern: &str, expected: &Expectation, got: &Answer, vars: &Vars, captured: &mut Captures, found: &mut Vec<Mismatch>) {
    let at = expected.body_line;
    if looks_like_json(pattern) {
        let wanted: Value = match serde_json::from_str(pattern) {
            Ok(wanted) => wanted,
            Err(error) => return found.push(Mismatch::broken(at, "body", format!("this is not JSON: {error}"))),
        };
        return match serde_json::from_slice::<Value>(&got.body) {
            Ok(body) => members(&wanted, Some(&body), "$", (at, expected.exact), vars, captured, found),
            Err(error) => {
                let message = format!("expected JSON, but the body is not JSON ({error}): {}", got.text());
                found.push(Mismatch::new(at, "body", "JSON", got.text(), message));
            }
        };
    }
    let text = got.text();
    if expected.exact {
        return match vars.pieces(pattern) {
            Err(message) => found.push(Mismatch::broken(at, "body", message)),
            Ok(pieces) if whole(&pieces, &text, captured) || whole(&pieces, text.trim_end(), captured) => {}
            Ok(pieces) => {
                let message = format!("expected exactly the body `{}`, got `{text}`", show(&pieces));
                found.push(Mismatch::new(at, "body", show(&pieces), text, message));
            }
        };
    }
    for (index, line) in pattern.lines().enumerate() {
        let at = at + index;
        if line.trim().is_empty() {
            continue;
        }
        let (negated, line) = line.strip_prefix('!').map_or((false, line), |line| (true, line));
        let regex = match line.strip_prefix('/').and_then(|line| line.strip_suffix('/')) {
            Some(regex) if !regex.is_empty() => {
                vars.expand(regex).and_then(|regex| Regex::new(&regex).map_err(|error| error.to_string()))
            }
            _ => vars.pieces(line.trim()).and_then(|pieces| regex_of(&pieces, false)),
        };
        let regex = match regex {
            Ok(regex) => regex,
            Err(message) => {
                found.push(Mismatch::broken(at, "body", message));
                continue;
            }
        };
        match (regex.captures(&text), negated) {
            (Some(groups), false) => keep(&regex, &groups, captured),
            (None, true) => {}
            (None, false) => {
                let message = format!("the body should contain `{line}`");
                found.push(Mismatch::new(at, "body", line.trim(), "a body without it", message));
            }
            (Some(_), true) => {
                let message = format!("the body should not contain `{line}`");
                found.push(Mismatch::new(at, "body", format!("a body without `{}`", line.trim()), line.trim(), message));
            }
        }
    }
}

/// `{` and `[` begin JSON, unless what follows cannot be JSON.
pub(super) fn looks_like_json(text: &str) -> bool {
    let text = text.trim_start();
    if let Some(rest) = text.strip_prefix('[') {
        let rest = rest.trim_start();
        return rest.starts_with(|c: char| c.is_ascii_digit() || "[]{\"-".contains(c))
            || ["true", "false", "null"].iter().any(|word| rest.starts_with(word));
    }
    text.strip_prefix('{').is_some_and(|rest| rest.starts_with(['\n', '\r']) || rest.trim_start().starts_with(['"', '}']))
}

/// Whether the pattern matches the whole text.
pub(super) fn whole(pieces: &[Piece], text: &str, captured: &mut Vec<(String, String)>) -> bool {
    if let [Piece::Text(wanted)] = pieces {
        return wanted == text;
    }
    let Ok(regex) = regex_of(pieces, true) else { return false };
    match regex.captures(text) {
        Some(found) => {
            keep(&regex, &found, captured);
            true
        }
        None => false,
    }
}

/// A placeholder alone matches everything; between other text, a capture ends where a parameter, an attribute or a word ends.
fn regex_of(pieces: &[Piece], anchored: bool) -> Result<Regex, String> {
    let mut regex = String::from(if anchored { "(?s)^" } else { "" });
    for piece in pieces {
        match piece {
            Piece::Text(text) => regex.push_str(&regex::escape(text)),
            Piece::Any | Piece::Absent if anchored => regex.push_str(".*?"),
            Piece::Any | Piece::Absent => regex.push_str("[^\n]*?"),
            Piece::Capture(name) => {
                let taken = if pieces.len() == 1 { "(?s:.*)" } else { r#"[^&#;,\s"'<>]*"# };
                regex.push_str(&format!("(?P<{name}>{taken})"));
            }
        }
    }
    if anchored {
        regex.push('$');
    }
    Regex::new(&regex).map_err(|_| "a capture's name is made of letters, digits and `_`".to_owned())
}

fn keep(regex: &Regex, found: &regex::Captures<'_>, captured: &mut Vec<(String, String)>) {
    for name in regex.capture_names().flatten() {
        if let Some(value) = found.name(name) {
            captured.push((name.to_owned(), value.as_str().to_owned()));
        }
    }
}

fn show(pieces: &[Piece]) -> String {
    pieces
        .iter()
        .map(|piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Any => "{*}".to_owned(),
            Piece::Absent => "{!}".to_owned(),
            Piece::Capture(name) => format!("{{*:{name}}}"),
        })
        .collect()
}

/// Compares JSON: every expected member must be there; `exact` allows no others.
pub(super) fn json(
    wanted: &Value,
    got: Option<&Value>,
    path: &str,
    exact: bool,
    vars: &Vars,
    captured: &mut Captures,
) -> Result<(), String> {
    let mut found = Vec::new();
    members(wanted, got, path, (0, exact), vars, captured, &mut found);
    found.into_iter().next().map_or(Ok(()), |first| Err(first.message))
}

/// The same, and all that differs. `at` is the line of the expectation, and whether other members may be there.
fn members(
    wanted: &Value,
    got: Option<&Value>,
    path: &str,
    at: (usize, bool),
    vars: &Vars,
    captured: &mut Captures,
    found: &mut Vec<Mismatch>,
) {
    let (line, exact) = at;
    if let Value::String(pattern) = wanted {
        let pieces = match vars.pieces(pattern) {
            Ok(pieces) => pieces,
            Err(message) => return found.push(Mismatch::broken(line, path, message)),
        };
        if pieces == [Piece::Absent] {
            if let Some(got) = got {
                let message = format!("`{path}` should be absent, got {got}");
                found.push(Mismatch::new(line, path, "nothing", plain(got), message));
            }
            return;
        }
        let Some(got) = got else {
            let message = format!("`{path}` is missing; expected \"{}\"", show(&pieces));
            return found.push(Mismatch::new(line, path, show(&pieces), "nothing", message));
        };
        let literal = pieces.is_empty() || (pieces == [Piece::Text(pattern.clone())]);
        let fits = match got {
            Value::String(text) => pieces.is_empty() && text.is_empty() || whole(&pieces, text, captured),
            // `{name}` and `{*}` may stand for a number, plain text may not.
            other => !literal && whole(&pieces, &other.to_string(), captured),
        };
        if !fits {
            let message = format!("`{path}`: expected \"{}\", got {got}", show(&pieces));
            found.push(Mismatch::new(line, path, show(&pieces), plain(got), message));
        }
        return;
    }
    let Some(got) = got else {
        let message = format!("`{path}` is missing; expected {wanted}");
        return found.push(Mismatch::new(line, path, wanted.to_string(), "nothing", message));
    };
    match (wanted, got) {
        (Value::Object(wanted), Value::Object(own)) => {
            for (name, value) in wanted {
                members(value, own.get(name), &format!("{path}.{name}"), at, vars, captured, found);
            }
            if exact {
                for (name, value) in own.iter().filter(|(name, _)| !wanted.contains_key(*name)) {
                    let path = format!("{path}.{name}");
                    let message = format!("`{path}` is not expected");
                    found.push(Mismatch::new(line, &path, "nothing", plain(value), message));
                }
            }
        }
        (Value::Array(wanted), Value::Array(values)) => {
            if wanted.len() != values.len() {
                let message = format!("`{path}`: expected {} elements, got {}: {got}", wanted.len(), values.len());
                let size = |list: &[Value]| format!("{} elements", list.len());
                return found.push(Mismatch::new(line, path, size(wanted), size(values), message));
            }
            for (index, (wanted, value)) in wanted.iter().zip(values).enumerate() {
                members(wanted, Some(value), &format!("{path}[{index}]"), at, vars, captured, found);
            }
        }
        (wanted, got) if wanted == got => {}
        (wanted, got) => {
            let message = format!("`{path}`: expected {wanted}, got {got}");
            found.push(Mismatch::new(line, path, wanted.to_string(), got.to_string(), message));
        }
    }
}

/// A text without its quotes.
fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
