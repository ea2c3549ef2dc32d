//! Compares an answer with what was expected, and says what differs.

use regex::Regex;
use serde_json::Value;

use super::client::Answer;
use super::step::Expectation;
use super::text::{Piece, Vars};

/// A mismatch: the line of the expectation, and the reason.
pub(super) type Mismatch = (usize, String);

/// Checks an answer. Captures go to `vars` if everything matches.
pub(super) fn answer(expected: &Expectation, got: &Answer, vars: &mut Vars) -> Result<(), Mismatch> {
    let mut captured = Vec::new();
    if !expected.status.contains(&got.status) {
        let wanted: Vec<String> = expected.status.iter().map(u16::to_string).collect();
        return Err((expected.line, format!("expected status {}, got {}", wanted.join(" or "), got.status)));
    }
    for (line, name, pattern) in &expected.headers {
        let values: Vec<&str> = got.header_values(name).collect();
        match pattern {
            None if values.is_empty() => {}
            None => return Err((*line, format!("expected no `{name}`, got `{}`", values.join("`, `")))),
            Some(pattern) => {
                let pieces = vars.pieces(pattern).map_err(|message| (*line, message))?;
                if !values.iter().any(|value| whole(&pieces, value, &mut captured)) {
                    let got = if values.is_empty() { "none".to_owned() } else { format!("`{}`", values.join("`, `")) };
                    return Err((*line, format!("expected header `{name}: {}`, got {got}", show(&pieces))));
                }
            }
        }
    }
    if let Some(pattern) = &expected.body {
        body(pattern, expected, got, vars, &mut captured)?;
    }
    for (name, value) in captured {
        vars.set(name, value);
    }
    Ok(())
}

fn body(
    pattern: &str,
    expected: &Expectation,
    got: &Answer,
    vars: &Vars,
    captured: &mut Vec<(String, String)>,
) -> Result<(), Mismatch> {
    let at = expected.body_line;
    if looks_like_json(pattern) {
        let wanted: Value = serde_json::from_str(pattern).map_err(|error| (at, format!("this is not JSON: {error}")))?;
        let body: Value = serde_json::from_slice(&got.body)
            .map_err(|error| (at, format!("expected JSON, but the body is not JSON ({error}): {}", got.text())))?;
        return json(&wanted, Some(&body), "$", expected.exact, vars, captured).map_err(|message| (at, message));
    }
    let text = got.text();
    if expected.exact {
        let pieces = vars.pieces(pattern).map_err(|message| (at, message))?;
        return if whole(&pieces, &text, captured) || whole(&pieces, text.trim_end(), captured) {
            Ok(())
        } else {
            Err((at, format!("expected exactly the body `{}`, got `{text}`", show(&pieces))))
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
                let regex = vars.expand(regex).map_err(|message| (at, message))?;
                Regex::new(&regex).map_err(|error| (at, error.to_string()))?
            }
            _ => {
                let pieces = vars.pieces(line.trim()).map_err(|message| (at, message))?;
                regex_of(&pieces, false).map_err(|message| (at, message))?
            }
        };
        match (regex.captures(&text), negated) {
            (Some(found), false) => keep(&regex, &found, captured),
            (None, true) => {}
            (None, false) => return Err((at, format!("the body should contain `{line}`"))),
            (Some(_), true) => return Err((at, format!("the body should not contain `{line}`"))),
        }
    }
    Ok(())
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
    captured: &mut Vec<(String, String)>,
) -> Result<(), String> {
    if let Value::String(pattern) = wanted {
        let pieces = vars.pieces(pattern)?;
        if pieces == [Piece::Absent] {
            return got.map_or(Ok(()), |got| Err(format!("`{path}` should be absent, got {got}")));
        }
        let Some(got) = got else { return Err(format!("`{path}` is missing; expected \"{}\"", show(&pieces))) };
        let literal = pieces.is_empty() || (pieces == [Piece::Text(pattern.clone())]);
        let fits = match got {
            Value::String(text) => pieces.is_empty() && text.is_empty() || whole(&pieces, text, captured),
            // `{name}` and `{*}` may stand for a number, plain text may not.
            other => !literal && whole(&pieces, &other.to_string(), captured),
        };
        return if fits { Ok(()) } else { Err(format!("`{path}`: expected \"{}\", got {got}", show(&pieces))) };
    }
    let Some(got) = got else { return Err(format!("`{path}` is missing; expected {wanted}")) };
    match (wanted, got) {
        (Value::Object(wanted), Value::Object(members)) => {
            for (name, value) in wanted {
                json(value, members.get(name), &format!("{path}.{name}"), exact, vars, captured)?;
            }
            match members.keys().find(|name| !wanted.contains_key(*name)) {
                Some(name) if exact => Err(format!("`{path}.{name}` is not expected")),
                _ => Ok(()),
            }
        }
        (Value::Array(wanted), Value::Array(values)) => {
            if wanted.len() != values.len() {
                return Err(format!("`{path}`: expected {} elements, got {}: {got}", wanted.len(), values.len()));
            }
            for (index, (wanted, value)) in wanted.iter().zip(values).enumerate() {
                json(wanted, Some(value), &format!("{path}[{index}]"), exact, vars, captured)?;
            }
            Ok(())
        }
        (wanted, got) if wanted == got => Ok(()),
        (wanted, got) => Err(format!("`{path}`: expected {wanted}, got {got}")),
    }
}
