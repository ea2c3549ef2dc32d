//! Placeholders: the values of `{…}` in requests and expectations.

use std::collections::BTreeMap;

use aws_lc_rs::{digest, hmac};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use rand::Rng;
use rand::distr::Alphanumeric;

/// Unreserved characters stay as they are (RFC 3986, section 2.3).
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
/// Longest text that `{repeat:…}` and `{list:…}` make.
const MAX_REPEATED: usize = 16 << 20;

/// A part of a text or pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Literally this.
    Text(String),
    /// `{*}`
    Any,
    /// `{*:name}`
    Capture(String),
    /// `{!}`
    Absent,
}

/// The values of placeholders.
#[derive(Clone, Debug, Default)]
pub struct Vars {
    values: BTreeMap<String, String>,
}

impl Vars {
    /// Gives a name a value.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.values.insert(name.into(), value.into());
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(String::as_str)
    }

    /// Forgets the names with this prefix.
    pub fn forget(&mut self, prefix: &str) {
        self.values.retain(|name, _| !name.starts_with(prefix));
    }

    /// A text with its placeholders filled in.
    pub fn expand(&self, text: &str) -> Result<String, String> {
        let mut out = String::with_capacity(text.len());
        for piece in self.pieces(text)? {
            match piece {
                Piece::Text(text) => out.push_str(&text),
                Piece::Any => out.push_str("{*}"),
                Piece::Absent => out.push_str("{!}"),
                Piece::Capture(name) => {
                    out.push_str("{*:");
                    out.push_str(&name);
                    out.push('}');
                }
            }
        }
        Ok(out)
    }

    /// A pattern with its placeholders filled in; open parts stay open.
    pub(super) fn pieces(&self, text: &str) -> Result<Vec<Piece>, String> {
        let mut pieces = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find('{') {
            literal.push_str(&rest[..at]);
            let Some(end) = closing(&rest[at..]) else {
                literal.push_str(&rest[at..]);
                rest = "";
                break;
            };
            let inner = &rest[at + 1..at + end];
            let open = match inner {
                "*" => Some(Piece::Any),
                "!" => Some(Piece::Absent),
                _ => inner.strip_prefix("*:").map(|name| Piece::Capture(name.to_owned())),
            };
            if let Some(piece) = open {
                if !literal.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut literal)));
                }
                pieces.push(piece);
                rest = &rest[at + end + 1..];
            } else if let Some(value) = self.value(inner)? {
                literal.push_str(&value);
                rest = &rest[at + end + 1..];
            } else {
                // A brace that begins no placeholder stays a brace.
                literal.push('{');
                rest = &rest[at + 1..];
            }
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            pieces.push(Piece::Text(literal));
        }
        Ok(pieces)
    }

    /// The value for `inner`; `None` if it is not a placeholder.
    fn value(&self, inner: &str) -> Result<Option<String>, String> {
        if is_name(inner) {
            return self.named(inner).map(Some);
        }
        let Some((function, argument)) = inner.split_once(':') else { return Ok(None) };
        let number = |text: &str| -> Result<usize, String> {
            self.expand(text)?.parse().map_err(|_| format!("`{text}` in `{{{inner}}}` is not a number"))
        };
        let two = || argument.split_once(':').ok_or_else(|| format!("`{{{inner}}}` takes two arguments, divided by `:`"));
        let value = match function {
            "base64" => STANDARD.encode(self.expand(argument)?),
            "base64url" => URL_SAFE_NO_PAD.encode(self.expand(argument)?),
            "unbase64url" => {
                let text = self.expand(argument)?;
                let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('='));
                let bytes = bytes.map_err(|_| format!("`{text}` is not base64url"))?;
                String::from_utf8_lossy(&bytes).into_owned()
            }
            "url" => utf8_percent_encode(&self.expand(argument)?, COMPONENT).to_string(),
            "lower" => self.expand(argument)?.to_lowercase(),
            "upper" => self.expand(argument)?.to_uppercase(),
            "sha256" => URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, self.expand(argument)?.as_bytes())),
            "hs256" => {
                let (key, text) = two()?;
                let key = hmac::Key::new(hmac::HMAC_SHA256, self.expand(key)?.as_bytes());
                URL_SAFE_NO_PAD.encode(hmac::sign(&key, self.expand(text)?.as_bytes()))
            }
            "part" => {
                let (separator, rest) = two()?;
                let (index, text) = rest.split_once(':').ok_or("`{part:SEPARATOR:INDEX:TEXT}`")?;
                let text = self.expand(text)?;
                let part = text.split(separator).nth(number(index)?);
                part.ok_or_else(|| format!("`{text}` has no part {index} between `{separator}`"))?.to_owned()
            }
            "repeat" => {
                let (count, text) = two()?;
                let (count, text) = (number(count)?, self.expand(text)?);
                if count.saturating_mul(text.len()) > MAX_REPEATED {
                    return Err(format!("`{{{inner}}}` would be larger than 16 MiB"));
                }
                text.repeat(count)
            }
            "list" => {
                let (count, text) = two()?;
                let mut vars = self.clone();
                let mut list = String::new();
                for nth in 1..=number(count)? {
                    vars.set("nth", nth.to_string());
                    if nth > 1 {
                        list.push(',');
                    }
                    list.push_str(&vars.expand(text)?);
                    if list.len() > MAX_REPEATED {
                        return Err(format!("`{{{inner}}}` would be larger than 16 MiB"));
                    }
                }
                list
            }
            "add" => {
                let (a, b) = two()?;
                let integer = |text: &str| -> Result<i64, String> {
                    self.expand(text)?.parse().map_err(|_| format!("`{text}` in `{{{inner}}}` is not a number"))
                };
                (integer(a)?.saturating_add(integer(b)?)).to_string()
            }
            "random" => rand::rng().sample_iter(Alphanumeric).take(number(argument)?.min(MAX_REPEATED)).map(char::from).collect(),
            "form" | "cookie" | "cert" => self.named(inner)?,
            _ => return Ok(None),
        };
        Ok(Some(value))
    }

    fn named(&self, name: &str) -> Result<String, String> {
        if let Some(value) = self.get(name) {
            return Ok(value.to_owned());
        }
        if let Some(field) = name.strip_prefix("form:") {
            return Err(format!("the last page has no field `{field}`"));
        }
        if let Some(cookie) = name.strip_prefix("cookie:") {
            return Err(format!("there is no cookie `{cookie}`"));
        }
        let known: Vec<&str> = self.values.keys().map(String::as_str).filter(|known| !known.contains(':')).collect();
        let close = known.iter().find(|known| strsim::damerau_levenshtein(known, name) <= 2);
        Err(match close {
            Some(close) => format!("nothing is called `{{{name}}}` here; did you mean `{{{close}}}`?"),
            None => format!("nothing is called `{{{name}}}` here (there are: {})", known.join(", ")),
        })
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte))
}

/// Where the brace that opens `text` is closed.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return Some(at);
                }
            }
            '\n' if depth > 0 => return None, // a placeholder stays on its line
            _ => {}
        }
    }
    None
}
