//! Bundles of the GraphQL management client: arrays of entities by kind, in one file or each in its own, with the policy as XML, JSON,
//! YAML or an object, or in a file beside.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::{File, code, damaged, loose_policy, policy_steps};
use crate::model::*;

type Object = Map<String, Value>;

/// Reads a file of JSON.
pub fn read(path: &Arc<str>, text: &str, files: &[File], export: &mut Export) {
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => return damaged(export, path, error.line(), format!("not JSON: {error}")),
    };
    let mut reader = Reader { path, text, files, export };
    match &value {
        Value::Object(bundle) if bundle.values().any(is_entities) => reader.bundle(bundle),
        Value::Object(entity) if entity.contains_key("name") || entity.contains_key("alias") => {
            let folder = path.rsplit('/').nth(1).unwrap_or("");
            reader.entity(folder, entity);
        }
        Value::Object(members) if members.is_empty() => damaged(reader.export, path, 1, "the file holds nothing".to_owned()),
        Value::Array(items) if items.is_empty() => damaged(reader.export, path, 1, "the file holds nothing".to_owned()),
        value => match code::policy(value) {
            Ok(body) => reader.export.policies.push(loose_policy(path, Ok(body))),
            Err((line, why)) => damaged(reader.export, path, line, format!("neither a bundle nor a policy: {why}")),
        },
    }
}

/// An array of objects with names.
fn is_entities(value: &Value) -> bool {
    value.as_array().is_some_and(|items| {
        let named = |item: &Value| {
            item.get("name").is_some() || item.get("alias").is_some() || item.get("goid").is_some() || item.get("key").is_some()
        };
        items.first().is_some_and(named)
    })
}

struct Reader<'r> {
    path: &'r Arc<str>,
    text: &'r str,
    files: &'r [File],
    export: &'r mut Export,
}

impl Reader<'_> {
    fn bundle(&mut self, bundle: &Object) {
        for (kind, entities) in bundle {
            let entities = entities.as_array().into_iter().flatten().filter_map(Value::as_object);
            entities.for_each(|entity| self.entity(kind, entity));
        }
    }

    /// The line where the entity's GUID or name stands first: JSON has no places after parsing.
    fn place(&self, entity: &Object) -> Place {
        let mark = ["guid", "goid", "name"].iter().find_map(|key| entity.get(*key).and_then(Value::as_str));
        let quoted = mark.and_then(|mark| serde_json::to_string(mark).ok());
        let at = quoted.and_then(|quoted| self.text.find(&quoted));
        let line = at.and_then(|at| self.text.get(..at)).map_or(1, |before| before.matches('\n').count() + 1);
        Place::new(self.path, line)
    }

    fn entity(&mut self, kind: &str, entity: &Object) {
        let place = self.place(entity);
        let name = || first(entity, &["name", "alias", "key", "displayName"]);
        if entity.contains_key("encassArgs") || entity.contains_key("encassResults") || kind.starts_with("encass") {
            self.encass(entity, place);
        } else if entity.contains_key("policy") || entity.contains_key("policyRevision") || is_policy(kind, entity) {
            self.policy(kind, entity, place);
        } else if entity.contains_key("jdbcUrl") {
            self.export.databases.push(Database {
                name: name(),
                url: text(entity, "jdbcUrl"),
                user: first(entity, &["username", "user"]),
                password: Some(text(entity, "password")).filter(|password| !password.is_empty()),
                pool: Some(text(entity, "maxPoolSize")).filter(|pool| !pool.is_empty()),
                place,
            });
        } else if entity.contains_key("certBase64") {
            self.export.certificates.push(Certificate {
                id: first(entity, &["goid", "guid"]),
                name: name(),
                encoded: text(entity, "certBase64"),
                place,
            });
        } else if entity.contains_key("serverUrls")
            || matches!(kind, "ldaps" | "simpleLdaps" | "fips" | "internalIdps" | "federatedIdps")
        {
            let urls = entity.get("serverUrls").and_then(Value::as_array).into_iter().flatten();
            self.export.providers.push(Provider {
                id: first(entity, &["goid", "guid"]),
                name: name(),
                kind: if entity.contains_key("serverUrls") { "LDAP".to_owned() } else { kind.to_owned() },
                urls: urls.filter_map(|url| url.as_str().or_else(|| url.get("url")?.as_str())).map(str::to_owned).collect(),
                base: text(entity, "searchBase"),
                bind_dn: text(entity, "bindDn"),
                place,
            });
        } else if entity.contains_key("cronExpression") || entity.contains_key("jobType") {
            self.export.tasks.push(Task {
                name: name(),
                policy: first(entity, &["policyName", "policyGuid"]),
                cron: text(entity, "cronExpression"),
                once: text(entity, "jobType").to_ascii_uppercase().starts_with("ONE"),
                enabled: !text(entity, "status").eq_ignore_ascii_case("DISABLED"),
                place,
            });
        } else if entity.contains_key("value")
            && (kind.to_ascii_lowercase().starts_with("clusterpropert") || entity.contains_key("hiddenProperty"))
        {
            let hidden = entity.get("hiddenProperty").and_then(Value::as_bool).unwrap_or(false);
            self.export.properties.push(Property { name: name(), value: text(entity, "value"), hidden, place });
        } else if kind != "folders" && kind != "folder" && !name().is_empty() {
            self.export.others.push(Other { kind: kind.to_owned(), name: name(), place });
        }
    }

    fn policy(&mut self, kind: &str, entity: &Object, place: Place) {
        let name = text(entity, "name");
        let body = match entity.get("policy").or_else(|| entity.get("policyRevision")).and_then(Value::as_object) {
            Some(policy) => self.body(policy, &name, &place),
            None => self.beside(&name, &place),
        };
        let folder = text(entity, "folderPath").split('/').filter(|part| !part.is_empty()).map(str::to_owned).collect();
        self.export.policies.push(Policy {
            guid: text(entity, "guid"),
            id: text(entity, "goid"),
            name,
            folder,
            folder_id: String::new(),
            role: role(kind, entity),
            body,
            place,
            version: String::new(),
            doc: text(entity, "description"),
        });
    }

    fn body(&mut self, policy: &Object, name: &str, place: &Place) -> Result<Step, Damage> {
        let damage = |(line, why): (usize, String)| Damage {
            place: Place { line: if line > 1 { line } else { place.line }, ..place.clone() },
            why,
        };
        for form in ["xml", "json", "yaml", "code"] {
            match policy.get(form) {
                Some(Value::String(text)) if !text.trim().is_empty() => return self.written(text, place),
                Some(value @ (Value::Object(_) | Value::Array(_))) => return code::policy(value).map_err(damage),
                _ => {}
            }
        }
        self.beside(name, place)
    }

    /// A policy's text, or the name of the file that has it.
    fn written(&mut self, text: &str, place: &Place) -> Result<Step, Damage> {
        let named = text.trim().trim_matches(['{', '}', '"', ' ']);
        if named.len() < 512
            && !named.contains(['<', '\n', ':'])
            && let Some(file) = self.file(named)
        {
            return self.of_file(file);
        }
        let at = |(line, why): (usize, String)| {
            let why = if line > 1 { format!("{why}, in line {line} of the policy") } else { why };
            Damage { place: place.clone(), why }
        };
        if text.trim_start().starts_with('<') {
            let mut remarks = Vec::new();
            let body = policy_steps(text, 1, &mut remarks).map(|mut whole| {
                // The policy is one line of JSON: its own lines say nothing about the file.
                on_line(&mut whole, place.line);
                whole
            });
            remarks.into_iter().for_each(|(_, why)| self.export.damage.push(Damage { place: place.clone(), why }));
            return body.map_err(at);
        }
        code::parse(text).and_then(|value| code::policy(&value)).map_err(at)
    }

    /// The file of a path relative to this one.
    fn file(&self, name: &str) -> Option<usize> {
        let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder);
        let path = if folder.is_empty() { name.to_owned() } else { format!("{folder}/{}", name.trim_start_matches("./")) };
        self.files.iter().position(|file| *file.path == *path)
    }

    fn of_file(&mut self, at: usize) -> Result<Step, Damage> {
        let Some(file) = self.files.get(at) else { return Err(Damage { place: Place::default(), why: String::new() }) };
        let damage = |(line, why): (usize, String)| Damage { place: Place::new(&file.path, line), why };
        if file.text.trim_start().starts_with('<') {
            let mut remarks = Vec::new();
            let body = policy_steps(&file.text, 1, &mut remarks).map_err(damage);
            remarks.into_iter().for_each(|(line, why)| self.export.damage.push(damage((line, why))));
            return body;
        }
        code::parse(&file.text).and_then(|value| code::policy(&value)).map_err(damage)
    }

    /// The policy's file beside the entity's, found by its name.
    fn beside(&mut self, name: &str, place: &Place) -> Result<Step, Damage> {
        let stem = self.path.rsplit('/').next().and_then(|file| file.split('.').next()).unwrap_or(name).to_owned();
        let ends = ["policy.xml", "policy.json", "policy.yaml", "policy.yml", "policy.code", "xml", "yaml", "yml"];
        let found = [name, stem.as_str()].iter().find_map(|stem| ends.iter().find_map(|end| self.file(&format!("{stem}.{end}"))));
        match found {
            Some(file) => self.of_file(file),
            None => Err(Damage { place: place.clone(), why: "the export has no text of this policy".to_owned() }),
        }
    }

    fn encass(&mut self, entity: &Object, place: Place) {
        let list = |name: &str| entity.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_object);
        let argument = |entity: &Object| Argument {
            name: text(entity, "name"),
            ty: text(entity, "type"),
            prompt: entity.get("guiPrompt").and_then(Value::as_bool).unwrap_or(false),
            label: text(entity, "guiLabel"),
        };
        let mut inputs: Vec<(u64, Argument)> = list("encassArgs")
            .map(|entity| (entity.get("ordinal").and_then(Value::as_u64).unwrap_or(u64::MAX), argument(entity)))
            .collect();
        inputs.sort_by_key(|(ordinal, _)| *ordinal);
        let policy = entity.get("policy").and_then(|policy| policy.get("name")).and_then(Value::as_str).unwrap_or("");
        self.export.encasses.push(Encass {
            guid: text(entity, "guid"),
            id: text(entity, "goid"),
            name: text(entity, "name"),
            policy: Some(first(entity, &["policyGuid", "policyName"]))
                .filter(|name| !name.is_empty())
                .unwrap_or_else(|| policy.to_owned()),
            inputs: inputs.into_iter().map(|(_, argument)| argument).collect(),
            outputs: list("encassResults").map(argument).collect(),
            doc: text(entity, "description"),
            place,
        });
    }
}

fn on_line(step: &mut Step, line: usize) {
    step.line = line;
    step.children.iter_mut().for_each(|child| on_line(child, line));
}

fn text(entity: &Object, name: &str) -> String {
    match entity.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
        _ => String::new(),
    }
}

fn first(entity: &Object, names: &[&str]) -> String {
    names.iter().map(|name| text(entity, name)).find(|text| !text.is_empty()).unwrap_or_default()
}

fn is_policy(kind: &str, entity: &Object) -> bool {
    entity.contains_key("policyType")
        || entity.contains_key("resolutionPath")
        || matches!(kind, "policyFragments" | "globalPolicies")
}

fn role(kind: &str, entity: &Object) -> Role {
    let is_service = entity.contains_key("resolutionPath")
        || entity.contains_key("serviceType")
        || kind.to_ascii_lowercase().contains("service");
    if is_service {
        let methods = entity.get("methodsAllowed").and_then(Value::as_array).into_iter().flatten();
        return Role::Service(Service {
            path: text(entity, "resolutionPath"),
            methods: methods.filter_map(Value::as_str).map(str::to_owned).collect(),
            enabled: entity.get("enabled").and_then(Value::as_bool).unwrap_or(true),
            soap: kind.to_ascii_lowercase().contains("soap") || text(entity, "serviceType").contains("SOAP"),
        });
    }
    let (ty, tag) = (text(entity, "policyType"), text(entity, "tag"));
    match ty.as_str() {
        "" if kind == "globalPolicies" => Role::Special(format!("GLOBAL {tag}")),
        "" | "FRAGMENT" | "POLICY_BACKED_BACKGROUND_TASK" => Role::Fragment,
        "POLICY_BACKED_OPERATION" if tag.ends_with("BackgroundTask") => Role::Fragment,
        "INTERNAL" if tag.is_empty() => Role::Fragment,
        _ => Role::Special(format!("{ty} {tag}").trim().to_owned()),
    }
}
