//! What gateways tell each other: one JSON object a message.
//!
//! A message says what to remove from caches. A gateway of another version may say more: members that nobody here knows are passed over,
//! and so is a message of another form. What names a cache but is not understood empties that cache.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::services::cache::{Key, Removal};

/// The form of the messages.
const FORM: u32 = 1;
/// Most bytes of a message. PostgreSQL takes no more than 8000.
const MOST: usize = 7_000;
/// Longest name of a cache. Where one is longer, all caches are emptied.
const LONGEST: usize = 400;

/// A message.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Message {
    /// Which gateway says it, by a number made at its start.
    pub(super) node: String,
    /// How many messages it has sent, this one included.
    pub(super) number: u64,
    /// What to remove.
    pub(super) removals: Vec<Removal>,
    /// It says nothing more.
    pub(super) bye: bool,
}

#[derive(Serialize, Deserialize)]
struct Written {
    v: u32,
    node: String,
    n: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    remove: Vec<Vec<String>>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    bye: bool,
}

impl Message {
    /// As text.
    pub(super) fn write(&self) -> String {
        let remove = self.removals.iter().map(|removal| {
            let named = if removal.cache.len() <= LONGEST { removal.cache.as_str() } else { "*" };
            let key = removal.key.filter(|_| named != "*").map(|key| key.to_string());
            std::iter::once(named.to_owned()).chain(key).collect()
        });
        let written = Written { v: FORM, node: self.node.clone(), n: self.number, remove: remove.collect(), bye: self.bye };
        serde_json::to_string(&written).unwrap_or_default()
    }

    /// From text; `None`: it is not of a form that is known here.
    pub(super) fn read(text: &str) -> Option<Message> {
        let written: Written = serde_json::from_str(text).ok()?;
        if written.v != FORM {
            return None;
        }
        let removals = written.remove.iter().filter_map(|entry| {
            let (cache, rest) = entry.split_first()?;
            let key = if let [key] = rest { Key::parse(key) } else { None };
            Some(Removal { cache: cache.as_str().into(), key })
        });
        Some(Message { node: written.node, number: written.n, removals: removals.collect(), bye: written.bye })
    }
}

/// Cuts off as many removals as fit into a message.
pub(super) fn fitting(removals: &mut Vec<Removal>) -> Vec<Removal> {
    let mut bytes = 0;
    let fit = removals.iter().take_while(|removal| {
        // As JSON, where each byte of a name takes six at most.
        bytes += 6 * removal.cache.len().min(LONGEST) + 56;
        bytes <= MOST - 200
    });
    let fit = fit.count().max(1).min(removals.len());
    let rest = removals.split_off(fit);
    std::mem::replace(removals, rest)
}

/// A number for a gateway that no other one has.
pub(super) fn new_node() -> String {
    rand::random::<[u8; 8]>().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(removals: Vec<Removal>) -> Message {
        Message { node: "ab".to_owned(), number: 7, removals, bye: false }
    }

    #[test]
    fn what_is_written_can_be_read() {
        let all = message(vec![Removal::key("a:#", "secret"), Removal::all("b*")]);
        let text = all.write();
        assert!(!text.contains("secret"), "{text}");
        assert_eq!(Message::read(&text), Some(all));
        assert!(message(Vec::new()).write().len() < 60, "a sign of life is short");
    }

    #[test]
    fn what_is_not_understood_does_no_harm() {
        for text in ["", "{}", "[]", "hello", r#"{"v":2,"node":"a","n":1}"#, r#"{"v":1,"n":1}"#, r#"{"v":1,"node":"a","n":-1}"#] {
            assert_eq!(Message::read(text), None, "{text}");
        }
        let newer = r#"{"v":1,"node":"a","n":1,"later":[1],"remove":[["x","not a digest"],["y","k","more"],[],["z"]]}"#;
        let read = Message::read(newer).unwrap();
        assert_eq!(
            read.removals,
            [Removal::all("x"), Removal::all("y"), Removal::all("z")],
            "too much is removed, never too little"
        );
    }

    #[test]
    fn no_message_is_too_long() {
        let mut removals: Vec<Removal> = (0..500).map(|n| Removal::key(&format!("cache {n}"), "k")).collect();
        removals.push(Removal::key(&"\u{1}".repeat(399), "k"));
        removals.push(Removal::key(&"x".repeat(10_000), "k"));
        let count = removals.len();
        let mut read = Vec::new();
        while !removals.is_empty() {
            let text = message(fitting(&mut removals)).write();
            assert!(text.len() <= MOST, "{}", text.len());
            read.extend(Message::read(&text).unwrap().removals);
        }
        assert_eq!(read.len(), count);
        assert_eq!(read.last(), Some(&Removal::all("*")), "a name that is too long means all");
    }
}
