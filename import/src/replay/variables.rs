//! Values that requests take from elsewhere: variables of a recording, and what earlier answers gave.

use std::collections::{BTreeMap, BTreeSet};

use super::{Recorded, in_form};

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
pub struct Carried(BTreeMap<String, String>);

impl Carried {
    /// Keeps values: the recorded one, and the gateway's.
    pub fn learn(&mut self, pairs: impl IntoIterator<Item = (String, String)>) {
        self.0.extend(pairs.into_iter().filter(|(recorded, own)| recorded != own));
    }

    /// The request as it is sent to this gateway.
    pub fn apply(&self, request: &Recorded) -> Recorded {
        let mut own = request.clone();
        if self.0.is_empty() {
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

    /// Longest values first, because one may be a part of another.
    fn replace(&self, text: &str) -> String {
        let mut values: Vec<(&String, &String)> = self.0.iter().collect();
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
