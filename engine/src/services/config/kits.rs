//! Kits: parts of what ships, so that each gateway of an installation serves its own part.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::Deserializer;

use super::Config;

/// A part of what ships.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Kit {
    /// Paths of its services, without the instance modifier; `*` at the end stands for everything below.
    pub paths: Vec<String>,
    /// Names of its tasks.
    pub tasks: Vec<String>,
}

impl Kit {
    /// Whether it has the service at this path, as the service declares it.
    pub fn has_path(&self, path: &str) -> bool {
        self.paths.iter().any(|own| match own.strip_suffix('*') {
            Some(beginning) => path.starts_with(beginning),
            None => path == own,
        })
    }
}

/// One name, or a list of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Names(pub Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged, expecting = "a name or a list of names")]
        enum Given {
            One(String),
            Many(Vec<String>),
        }
        Ok(Names(match Given::deserialize(deserializer)? {
            Given::One(name) => vec![name],
            Given::Many(names) => names,
        }))
    }
}

impl Config {
    /// Whether a task of this name runs here.
    pub fn runs(&self, task: &str) -> bool {
        self.kit_has(|kit| kit.tasks.iter().any(|own| own == task))
    }

    /// Whether what `has` looks for is in a kit that this gateway serves, or in none at all, as everything that the operator writes.
    pub(super) fn kit_has(&self, has: impl Fn(&Kit) -> bool) -> bool {
        let of = |kits: &BTreeMap<String, Kit>, chosen: bool| {
            kits.iter().any(|(name, kit)| (!chosen || self.kit.0.iter().any(|own| own == name)) && has(kit))
        };
        self.kit.0.is_empty() || of(&self.kits, true) || !of(&self.kits, false)
    }

    /// What is wrong with `kit`. Without the shipped defaults nobody can say.
    pub(super) fn unknown_kit(&self) -> Option<String> {
        if self.kits.is_empty() {
            return None;
        }
        let unknown = self.kit.0.iter().find(|name| !self.kits.contains_key(*name))?;
        let all = self.kits.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
        Some(format!("there is no kit `{unknown}`; there are {all}"))
    }
}
