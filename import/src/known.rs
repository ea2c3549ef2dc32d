//! Tables that are data: the spelling and defaults of properties, and what the toolkit's names mean here.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde::Deserialize;

use crate::model::{Prop, Step};

/// What is known of one type of step.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kind {
    /// Other spellings of the type.
    #[serde(default)]
    pub also: Vec<String>,
    /// Values of properties that an export leaves out.
    #[serde(default)]
    pub defaults: BTreeMap<String, String>,
    /// Other spellings of properties: theirs to ours.
    #[serde(default)]
    pub names: BTreeMap<String, String>,
    /// Properties that are Base64: theirs to ours.
    #[serde(default)]
    pub base64: BTreeMap<String, String>,
    /// Properties that change nothing here: why.
    #[serde(default)]
    pub ignored: BTreeMap<String, String>,
    /// It holds steps. These are its properties; every other element in it is a step.
    #[serde(default)]
    pub composite: Option<Vec<String>>,
}

static KINDS: LazyLock<BTreeMap<String, Kind>> = LazyLock::new(|| table(include_str!("../data/steps.yaml")));

static ALIASES: LazyLock<BTreeMap<String, &'static str>> = LazyLock::new(|| {
    let own = KINDS.iter().flat_map(|(name, kind)| kind.also.iter().map(move |also| (also.clone(), name.as_str())));
    own.collect()
});

/// What the toolkit's names mean here.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Toolkit {
    /// Aliases of private keys.
    #[serde(default)]
    pub keys: BTreeMap<String, String>,
    /// Properties of the gateway that are secrets, whatever their name says.
    #[serde(default)]
    pub secrets: Vec<String>,
    /// Variables whose values must not be in an audit text.
    #[serde(default)]
    pub confidential: Vec<String>,
}

static TOOLKIT: LazyLock<Toolkit> = LazyLock::new(|| table(include_str!("../data/toolkit.yaml")));

/// What the toolkit's names mean here.
pub fn toolkit() -> &'static Toolkit {
    &TOOLKIT
}

/// A table of this crate; a test reads each.
fn table<T: Default + serde::de::DeserializeOwned>(text: &str) -> T {
    serde_yaml::from_str(text).unwrap_or_default()
}

/// The one spelling of a type: without `Assertion` at its end.
pub fn kind_name(element: &str) -> String {
    let short = element.strip_suffix("Assertion").filter(|short| !short.is_empty()).unwrap_or(element);
    ALIASES.get(short).map_or_else(|| short.to_owned(), |name| (*name).to_owned())
}

/// What is known of a type.
pub fn kind(name: &str) -> Option<&'static Kind> {
    KINDS.get(name)
}

/// All types with what is known of them.
pub fn kinds() -> impl Iterator<Item = (&'static str, &'static Kind)> {
    KINDS.iter().map(|(name, kind)| (name.as_str(), kind))
}

/// Whether an element in a step of this type is a step itself.
pub fn holds_steps(kind: &str) -> Option<&'static [String]> {
    KINDS.get(kind).and_then(|kind| kind.composite.as_deref())
}

/// The one spelling of a property's name, and whether its value is Base64.
pub fn prop_name(kind: &str, name: &str) -> (String, bool) {
    let lower = lower_first(name);
    let Some(known) = KINDS.get(kind) else { return (lower, false) };
    if let Some(own) = known.base64.get(&lower) {
        return (own.clone(), true);
    }
    (known.names.get(&lower).cloned().unwrap_or(lower), false)
}

/// What the export gives of a step, nobody has asked for, and may matter: names of properties.
pub fn left_aside(step: &Step) -> Vec<String> {
    let known = KINDS.get(&step.kind);
    let harmless = |name: &str, prop: &Prop| {
        let ignored =
            known.is_some_and(|known| known.ignored.contains_key(name)) || name.eq_ignore_ascii_case("assertionComment");
        let default = known.and_then(|known| known.defaults.get(name));
        ignored
            || match (prop, default) {
                (Prop::Text(text), Some(default)) => text.eq_ignore_ascii_case(default),
                (Prop::Text(text), None) => matches!(text.to_ascii_lowercase().as_str(), "" | "false" | "-1" | "0" | "null"),
                (Prop::Null, _) => true,
                (Prop::List(list), _) => list.is_empty(),
                (Prop::Map(map), _) => map.is_empty(),
            }
    };
    step.left_aside().filter(|(name, prop)| !harmless(name, prop)).map(|(name, _)| name.to_owned()).collect()
}

/// Fills in what the export leaves out.
pub fn fill(step: &mut Step) {
    step.given = step.props.keys().cloned().collect();
    let Some(known) = KINDS.get(&step.kind) else { return };
    for (name, value) in &known.defaults {
        if !step.props.contains_key(name) {
            step.props.insert(name.clone(), Prop::Text(value.clone()));
        }
    }
}

/// `VariableToSet` as `variableToSet`.
pub fn lower_first(name: &str) -> String {
    let mut chars = name.chars();
    match chars.next() {
        Some(first) => first.to_lowercase().chain(chars).collect(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tables_can_be_read() {
        serde_yaml::from_str::<BTreeMap<String, Kind>>(include_str!("../data/steps.yaml")).unwrap();
        serde_yaml::from_str::<Toolkit>(include_str!("../data/toolkit.yaml")).unwrap();
        assert_eq!(kind_name("ComparisonAssertion"), "Comparison");
        assert_eq!(kind_name("Assertion"), "Assertion");
        assert_eq!(prop_name("SetVariable", "Base64Expression"), ("expression".to_owned(), true));
    }
}
