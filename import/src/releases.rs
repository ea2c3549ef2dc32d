//! What the toolkit itself ships: digests of its policies by name and release. What an operator did not change need not be imported.
//!
//! A digest is of the steps that do something, under one spelling of types and properties and with defaults filled in. Comments, line
//! breaks and GUIDs do not count, because they differ between installations of one release.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write;

use aws_lc_rs::digest::{SHA256, digest};

use crate::model::{Export, Policy, Prop, Step};
use crate::names::{find_policy, spelled};

/// The table that comes with the program, made by `portcullis import FILE… --fingerprint RELEASE`.
const BUILT_IN: &str = include_str!("../data/releases.yaml");

/// Digests by release and policy.
type Table = BTreeMap<String, BTreeMap<String, String>>;

/// Digests of known releases.
#[derive(Clone, Debug)]
pub struct Releases {
    /// By policy, under one spelling: release and digest.
    known: HashMap<String, Vec<(String, String)>>,
}

impl Default for Releases {
    fn default() -> Releases {
        let mut releases = Releases::none();
        // A test reads it.
        let _ = releases.add(BUILT_IN);
        releases
    }
}

impl Releases {
    /// No release at all.
    pub fn none() -> Releases {
        Releases { known: HashMap::new() }
    }

    /// Adds the digests of another table.
    ///
    /// # Errors
    ///
    /// Why the table cannot be read.
    pub fn add(&mut self, text: &str) -> Result<(), String> {
        let table: Table = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        for (release, policies) in table {
            for (name, digest) in policies {
                self.known.entry(spelled(&name)).or_default().push((release.clone(), digest));
            }
        }
        Ok(())
    }

    /// The releases that there is something of.
    pub fn names(&self) -> Vec<String> {
        let all: BTreeSet<&String> = self.known.values().flatten().map(|(release, _)| release).collect();
        all.into_iter().cloned().collect()
    }

    /// What is known of a policy.
    pub fn of(&self, policy: &Policy) -> State {
        let Some(known) = self.known.get(&spelled(&policy.name)) else { return State::Unknown };
        let Ok(body) = &policy.body else { return State::Unknown };
        let own = digest_of(body);
        match known.iter().find(|(_, digest)| *digest == own) {
            Some((release, _)) => State::Unchanged(release.clone()),
            None => State::Changed(known.iter().map(|(release, _)| release.as_str()).collect::<Vec<_>>().join(", ")),
        }
    }
}

/// A policy beside the toolkit's of its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// No known release has one of this name.
    #[default]
    Unknown,
    /// It is as this release ships it.
    Unchanged(String),
    /// It differs from those of these releases.
    Changed(String),
}

/// A table of the policies of an export that do something, for another release.
///
/// # Errors
///
/// If it cannot be written.
pub fn table(export: &Export, release: &str) -> Result<String, String> {
    let digests: BTreeMap<String, String> =
        export.policies.iter().filter_map(|policy| Some((policy.name.clone(), digest_of(policy.body.as_ref().ok()?)))).collect();
    let table: Table = [(release.to_owned(), digests)].into();
    serde_yaml::to_string(&table).map_err(|error| error.to_string())
}

/// The digest of a policy.
pub fn digest_of(body: &Step) -> String {
    let mut text = String::new();
    write_step(body, &mut text);
    let hash = digest(&SHA256, text.as_bytes());
    hash.as_ref().iter().take(16).fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

fn write_step(step: &Step, out: &mut String) {
    if step.kind == "Comment" {
        return;
    }
    let _ = write!(out, "{}{}(", step.kind, if step.disabled { "-" } else { "" });
    let mut props: Vec<_> = step.props.iter().collect();
    props.sort_by(|a, b| a.0.cmp(b.0));
    for (name, value) in props {
        if !name.to_ascii_lowercase().ends_with("guid") && name != "assertionComment" {
            let _ = write!(out, "{name}=");
            write_prop(value, out);
        }
    }
    out.push('{');
    step.children.iter().for_each(|child| write_step(child, out));
    out.push_str("})");
}

fn write_prop(prop: &Prop, out: &mut String) {
    match prop {
        Prop::Null => out.push_str("null;"),
        Prop::Text(text) => {
            // Exports are re-wrapped by those who publish them.
            let words: Vec<&str> = text.split_whitespace().collect();
            let _ = write!(out, "{:?};", words.join(" "));
        }
        Prop::List(list) => {
            out.push('[');
            list.iter().for_each(|item| write_prop(item, out));
            out.push(']');
        }
        Prop::Map(map) => {
            out.push('{');
            let mut members: Vec<_> = map.iter().collect();
            members.sort_by(|a, b| a.0.cmp(b.0));
            for (name, value) in members {
                let _ = write!(out, "{name}=");
                write_prop(value, out);
            }
            out.push('}');
        }
    }
}

/// Which policies stay away: those that the operator did not change, unless something that is imported needs them. `ships` says whether
/// this gateway has what a policy is for.
pub fn left_out(export: &Export, states: &[State], ships: &dyn Fn(usize) -> bool) -> HashSet<usize> {
    let mut out: HashSet<usize> =
        states.iter().enumerate().filter(|(_, state)| matches!(state, State::Unchanged(_))).map(|(at, _)| at).collect();
    loop {
        let mut needed = Vec::new();
        for (at, policy) in export.policies.iter().enumerate().filter(|(at, _)| !out.contains(at) && !ships(*at)) {
            let Ok(body) = &policy.body else { continue };
            body.walk(&mut |step| needed.extend(target(export, step).filter(|target| *target != at)));
        }
        let before = out.len();
        out.retain(|at| ships(*at) || !needed.contains(at));
        if out.len() == before {
            return out;
        }
    }
}

/// The policy that a step includes or calls.
fn target(export: &Export, step: &Step) -> Option<usize> {
    let by = |guid: &str, name: &str| {
        let encass = export.encasses.iter().find(|encass| {
            (!guid.is_empty() && (encass.guid.eq_ignore_ascii_case(guid) || encass.id.eq_ignore_ascii_case(guid)))
                || (!name.is_empty() && encass.name.eq_ignore_ascii_case(name))
        });
        encass.and_then(|encass| find_policy(export, &encass.policy))
    };
    match step.kind.as_str() {
        "Include" => find_policy(export, step.text("policyGuid")).or_else(|| find_policy(export, step.text("policyName"))),
        "Encapsulated" => by(step.text("guid"), step.text("name")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_can_be_read() {
        let mut releases = Releases::none();
        releases.add(BUILT_IN).unwrap_or_else(|why| panic!("{why}"));
        assert!(releases.known.len() > 20, "{} policies", releases.known.len());
        assert!(releases.add("a: [").is_err());
    }

    #[test]
    fn comments_line_breaks_and_guids_do_not_count() {
        let step = |text: &str, guid: &str| Step {
            kind: "Include".to_owned(),
            props: [("policyGuid", guid), ("x", text)]
                .map(|(name, value)| (name.to_owned(), Prop::Text(value.to_owned())))
                .into(),
            ..Step::default()
        };
        let comment = Step { kind: "Comment".to_owned(), ..Step::default() };
        let all = |children: Vec<Step>| digest_of(&Step { kind: "All".to_owned(), children, ..Step::default() });
        assert_eq!(all(vec![comment, step("a\n    b", "g")]), all(vec![step("a b", "h")]));
        assert_ne!(all(vec![step("a b", "g")]), all(vec![step("a c", "g")]));
        let off = Step { disabled: true, ..step("a b", "g") };
        assert_ne!(all(vec![off]), all(vec![step("a b", "g")]));
        assert_ne!(all(vec![step("a", "g"), step("b", "g")]), all(vec![step("b", "g"), step("a", "g")]));
    }
}
