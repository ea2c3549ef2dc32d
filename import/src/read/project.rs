//! Projects of the developer's plug-in: YAML or JSON descriptors in `config/`, policies as XML files in `policy/`.

use serde_json::Value;

use super::{File, code, damaged, loose_policy, policy_steps};
use crate::model::*;

/// The descriptors.
const DESCRIPTORS: [&str; 11] = [
    "services",
    "policies",
    "encass",
    "static",
    "jdbc-connections",
    "scheduled-tasks",
    "identity-providers",
    "trusted-certs",
    "stored-passwords",
    "listen-ports",
    "policy-backed-services",
];

/// Whether the files are such a project, and which of them belong to it.
pub struct Project {
    is: bool,
}

impl Project {
    /// A project has a descriptor, and policies in a folder `policy`.
    pub fn of(files: &[File]) -> Project {
        let described = files.iter().any(|file| descriptor(file).is_some());
        Project { is: described && files.iter().any(|file| policy_path(file).is_some() || descriptor(file) == Some("static")) }
    }

    /// Whether a file is read as part of the project.
    pub fn takes(&self, file: &File) -> bool {
        self.is && (descriptor(file).is_some() || policy_path(file).is_some() || file.path.ends_with(".properties"))
    }

    /// Reads the project.
    pub fn read(&self, files: &[File], export: &mut Export) {
        if !self.is {
            return;
        }
        for file in files {
            if let Some(path) = policy_path(file) {
                let mut remarks = Vec::new();
                let body = policy_steps(&file.text, 1, &mut remarks);
                let body = body.map_err(|(line, why)| Damage { place: Place::new(&file.path, line), why });
                remarks.into_iter().for_each(|(line, why)| damaged(export, &file.path, line, why));
                let mut policy = loose_policy(&file.path, body);
                policy.folder = path.split('/').map(str::to_owned).collect();
                policy.folder.pop();
                path.clone_into(&mut policy.guid);
                export.policies.push(policy);
            }
        }
        for file in files {
            match descriptor(file) {
                Some("static") => properties(file, export),
                Some(kind) => match code::parse(&file.text) {
                    Ok(Value::Object(entries)) => {
                        entries.iter().for_each(|(name, entry)| describe(kind, name, entry, file, export))
                    }
                    Ok(Value::Null) => {}
                    Ok(_) => damaged(export, &file.path, 1, "a descriptor is a map of names".to_owned()),
                    Err((line, why)) => damaged(export, &file.path, line, why),
                },
                None => {}
            }
        }
    }
}

fn descriptor(file: &File) -> Option<&'static str> {
    let name = file.path.rsplit('/').next()?;
    let (stem, end) = name.rsplit_once('.')?;
    let known = DESCRIPTORS.iter().find(|known| **known == stem)?;
    let fits = if *known == "static" { end == "properties" } else { matches!(end, "yml" | "yaml" | "json") };
    fits.then_some(*known)
}

/// The path of a policy below `policy/`, as descriptors name it.
fn policy_path(file: &File) -> Option<&str> {
    let path = file.path.as_ref();
    let inside = path.strip_prefix("policy/").or_else(|| path.split_once("/policy/").map(|(_, inside)| inside))?;
    inside.strip_suffix(".xml")
}

fn describe(kind: &str, name: &str, entry: &Value, file: &File, export: &mut Export) {
    let text = |key: &str| match entry.get(key) {
        Some(Value::String(text)) => text.clone(),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => value.to_string(),
        _ => String::new(),
    };
    let line =
        file.text.lines().position(|line| line.trim_matches([' ', '"', ':', '\'']).starts_with(name)).map_or(1, |at| at + 1);
    let place = Place::new(&file.path, line);
    let short = name.rsplit('/').next().unwrap_or(name).to_owned();
    let folder = || name.rsplit_once('/').map(|(folder, _)| folder.split('/').map(str::to_owned).collect()).unwrap_or_default();
    let own = |path: &str| path.trim_end_matches(".xml").to_owned();
    match kind {
        "services" => {
            let path = if text("policy").is_empty() { name.to_owned() } else { own(&text("policy")) };
            let methods = entry.get("httpMethods").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
            let service = Service {
                path: text("url"),
                methods: methods.map(str::to_owned).collect(),
                enabled: text("enabled") != "false",
                soap: text("soap") == "true",
            };
            match export.policies.iter().position(|policy| policy.guid == path) {
                Some(at) => {
                    if let Some(policy) = export.policies.get(at) {
                        let service = Policy {
                            name: short,
                            folder: folder(),
                            role: Role::Service(service),
                            id: name.to_owned(),
                            ..policy.clone()
                        };
                        // The policy stays a fragment only where something else names it; a service has it as its body.
                        if let Some(policy) = export.policies.get_mut(at) {
                            *policy = service;
                        }
                    }
                }
                None => export.damage.push(Damage { place, why: format!("service `{name}`: there is no policy `{path}`") }),
            }
        }
        "policies" => {
            let path = if text("path").is_empty() { name.to_owned() } else { own(&text("path")) };
            let tag = text("tag");
            if let Some(policy) = export.policies.iter_mut().find(|policy| policy.guid == path) {
                if !tag.is_empty() {
                    policy.role = Role::Special(format!("{} {tag}", text("type")).trim().to_owned());
                }
                policy.id = text("id");
            }
        }
        "encass" => {
            let list = |key: &str| entry.get(key).and_then(Value::as_array).into_iter().flatten();
            let argument = |value: &Value| {
                let text = |key: &str| value.get(key).and_then(Value::as_str).unwrap_or("").to_owned();
                let prompt =
                    ["requireExplicit", "prompt", "guiPrompt"].iter().any(|key| value.get(*key) == Some(&Value::Bool(true)));
                Argument { name: text("name"), ty: text("type"), prompt, label: text("label") }
            };
            export.encasses.push(Encass {
                guid: text("guid"),
                id: name.to_owned(),
                name: short,
                policy: if text("policy").is_empty() { name.to_owned() } else { own(&text("policy")) },
                inputs: list("arguments").map(argument).collect(),
                outputs: list("results").map(argument).collect(),
                doc: entry
                    .get("properties")
                    .and_then(|own| own.get("description"))
                    .and_then(Value::as_str)
                    .unwrap_or("")
                    .to_owned(),
                place,
            });
        }
        "jdbc-connections" => export.databases.push(Database {
            name: name.to_owned(),
            url: text("jdbcUrl"),
            user: text("user"),
            password: Some(text("password")).filter(|password| !password.is_empty()),
            pool: Some(text("maximumPoolSize")).filter(|pool| !pool.is_empty()),
            place,
        }),
        "scheduled-tasks" => export.tasks.push(Task {
            name: name.to_owned(),
            policy: own(&text("policy")),
            cron: text("cronExpression"),
            once: text("jobType").to_ascii_lowercase().starts_with("one"),
            enabled: !text("jobStatus").eq_ignore_ascii_case("disabled"),
            place,
        }),
        "identity-providers" => {
            let detail = entry.get("identityProviderDetail").unwrap_or(entry);
            let urls = detail.get("serverUrls").and_then(Value::as_array).into_iter().flatten();
            export.providers.push(Provider {
                id: String::new(),
                name: name.to_owned(),
                kind: text("type"),
                urls: urls.filter_map(Value::as_str).map(str::to_owned).collect(),
                base: detail.get("searchBase").and_then(Value::as_str).unwrap_or("").to_owned(),
                bind_dn: detail.get("bindDn").and_then(Value::as_str).unwrap_or("").to_owned(),
                place,
            });
        }
        _ => export.others.push(Other { kind: kind.to_owned(), name: name.to_owned(), place }),
    }
}

/// `name=value` lines: properties of the gateway.
fn properties(file: &File, export: &mut Export) {
    for (at, line) in file.text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', '!']) {
            continue;
        }
        if let Some((name, value)) = line.split_once('=').or_else(|| line.split_once(':')) {
            let unescaped = |text: &str| text.trim().replace("\\:", ":").replace("\\=", "=").replace("\\ ", " ");
            let place = Place::new(&file.path, at + 1);
            export.properties.push(Property { name: unescaped(name), value: unescaped(value), hidden: false, place });
        }
    }
}
