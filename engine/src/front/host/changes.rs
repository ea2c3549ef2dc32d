//! The difference between two generations, for the operator who made the change: files and values.

use std::collections::BTreeMap;
use std::fmt;

use portcullis_dsl::ast::{ItemKind, StmtKind};
use portcullis_dsl::{Library, Sources, Span};

use crate::services::config::Config;

/// Longest value to show.
const MAX_SHOWN: usize = 60;

/// Differences.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Files: `+` new, `-` gone, `~` changed.
    pub files: Vec<(char, String)>,
    /// Values that customizations assign: policy, variable, before, after.
    pub values: Vec<(String, String, Option<String>, Option<String>)>,
    /// Whether settings changed that took effect.
    pub settings: bool,
    /// Connections that were opened anew.
    pub connections: Vec<String>,
    /// Changed settings that need a restart.
    pub waiting: Vec<&'static str>,
}

impl Changes {
    /// Compares files and settings.
    pub(super) fn between(old: &Sources, new: &Sources, old_config: &Config, new_config: &Config) -> Changes {
        let mut changes = Changes { waiting: old_config.needs_restart(new_config), ..Changes::default() };
        let live = |config: &Config| {
            let Config {
                host_name,
                security,
                instance_modifier,
                properties,
                kit,
                enable,
                disable,
                identity_providers,
                outbound,
                ..
            } = config.clone();
            let Config { connections, schemas, keys, secrets, logging, limits, .. } = config.clone();
            let opened = (identity_providers, outbound, connections, schemas, keys, secrets);
            let told = (logging.level, logging.access, logging.audit, limits);
            (host_name, security, instance_modifier, properties, kit, enable, disable, opened, told)
        };
        changes.settings = live(old_config) != live(new_config);
        // The library also contains the data files that policies name, so both kinds are compared by path.
        let (old, new) = (contents(old), contents(new));
        for (path, text) in &new {
            match old.get(path) {
                None => changes.files.push(('+', (*path).to_owned())),
                Some(before) if before != text => changes.files.push(('~', (*path).to_owned())),
                Some(_) => {}
            }
        }
        changes.files.extend(old.keys().filter(|path| !new.contains_key(*path)).map(|path| ('-', (*path).to_owned())));
        changes
    }

    /// Adds the connections that were opened anew.
    pub(super) fn opened<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        self.connections.extend(names.map(str::to_owned));
    }

    /// Adds the values that customizations now assign differently.
    pub(super) fn compare_values(&mut self, old: &Library, new: &Library) {
        let (old, new) = (assigned(old), assigned(new));
        for (key, after) in &new {
            let before = old.get(key);
            if before != Some(after) {
                self.values.push((key.0.clone(), key.1.clone(), before.cloned(), Some(after.clone())));
            }
        }
        for (key, before) in old.iter().filter(|(key, _)| !new.contains_key(*key)) {
            self.values.push((key.0.clone(), key.1.clone(), Some(before.clone()), None));
        }
    }

    /// Whether nothing changed at all.
    pub fn is_empty(&self) -> bool {
        self.files.is_empty() && !self.settings && self.connections.is_empty() && self.waiting.is_empty()
    }
}

/// `set name = value` at the top level of customizations, by policy and variable; the value as written.
fn assigned(library: &Library) -> BTreeMap<(String, String), String> {
    let mut values = BTreeMap::new();
    for policy in library.policies() {
        if !matches!(policy.item.kind, ItemKind::Customize | ItemKind::Extension) {
            continue;
        }
        for stmt in &policy.item.body.stmts {
            if let StmtKind::Set { target, value, .. } = &stmt.kind {
                let text = shown(library.sources(), value.span.span);
                values.insert((policy.name.clone(), target.node.to_ascii_lowercase()), text);
            }
        }
    }
    values
}

fn shown(sources: &Sources, span: Span) -> String {
    let text = sources.get(span.file).text.get(span.start as usize..span.end as usize).unwrap_or("");
    let mut words = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if let Some((end, _)) = words.char_indices().nth(MAX_SHOWN) {
        words.truncate(end);
        words.push('…');
    }
    words
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        parts.extend(self.files.iter().map(|(sign, path)| format!("{sign}{path}")));
        for (policy, name, before, after) in &self.values {
            let (before, after) = (before.as_deref().unwrap_or("(default)"), after.as_deref().unwrap_or("(default)"));
            parts.push(format!("{policy}: {name} {before} → {after}"));
        }
        if self.settings {
            parts.push("settings".to_owned());
        }
        if !self.connections.is_empty() {
            parts.push(format!("connections opened: {}", self.connections.join(", ")));
        }
        if !self.waiting.is_empty() {
            parts.push(format!("needs a restart: {}", self.waiting.join(", ")));
        }
        f.write_str(&parts.join("; "))
    }
}

/// All files by path.
fn contents(sources: &Sources) -> BTreeMap<&str, &[u8]> {
    let files = sources.files.iter().map(|file| (file.path.as_str(), file.text.as_bytes()));
    let data = sources.data.iter().map(|(path, text)| (path.as_str(), text.as_bytes()));
    let pictures = sources
        .pictures
        .iter()
        .map(|(path, picture)| (path.as_str(), picture.as_ref().map_or_else(|why| why.as_bytes(), |bytes| &**bytes)));
    files.chain(data).chain(pictures).collect()
}
