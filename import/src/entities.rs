//! What is not a policy: a part of `gateway.yaml`, certificates, and a list for a person.

use std::fmt::Write;

use crate::known::toolkit;
use crate::model::{Database, Export, Provider};
use crate::report::EntityReport;

/// Files and lines of a report.
#[derive(Default)]
pub struct Made {
    /// Path and text.
    pub files: Vec<(String, String)>,
    /// By entity: what became of it.
    pub told: Vec<EntityReport>,
    /// Security findings: message, and where.
    pub security: Vec<(String, crate::model::Place)>,
}

/// Translates everything that is not a policy.
///
/// `local` are the tasks whose times are those of a zone.
pub fn translate(export: &Export, local: &[&str], zone: Option<&str>) -> Made {
    let mut made = Made::default();
    let mut yaml = String::new();
    properties(export, &mut yaml, &mut made);
    connections(export, &mut yaml, &mut made);
    providers(export, &mut yaml, &mut made);
    zones(local, zone, &mut yaml);
    certificates(export, &mut made);
    for other in &export.others {
        let result = advice(&other.kind);
        told(&mut made, &other.kind, &other.name, &other.place, result, true);
    }
    if !yaml.is_empty() {
        let head = "# A part of gateway.yaml, to be merged by hand. Places to fill in are marked with `FILL IN`.\n";
        made.files.push(("gateway.yaml".to_owned(), format!("{head}{yaml}")));
    }
    made
}

fn told(made: &mut Made, kind: &str, name: &str, place: &crate::model::Place, result: impl Into<String>, by_hand: bool) {
    made.told.push(EntityReport {
        kind: kind.to_owned(),
        name: name.to_owned(),
        from: place.to_string(),
        result: result.into(),
        by_hand,
    });
}

/// What to do with an entity that nothing here stands for.
fn advice(kind: &str) -> &'static str {
    let kind = kind.to_ascii_lowercase().replace('_', "");
    let all: [(&[&str], &str); 9] = [
        (&["user"], "add it with `portcullis user add`: its password's hash cannot be taken over"),
        (&["privatekey", "keys", "sslkey"], "export it as PEM and put it into `keys/`: `portcullis key` lists what is there"),
        (
            &["storedpassword", "securepassword", "secret"],
            "write its value into a file of `secrets`; policies read it as `${secpass.NAME.plaintext}`",
        ),
        (&["listenport", "activeconnector", "interfacetag"], "set `listeners` in gateway.yaml"),
        (&["role", "rbac"], "roles of administrators have nothing that stands for them here"),
        (&["jms", "mq", "email"], "messages come over HTTP here"),
        (&["logsink"], "set `logging` in gateway.yaml"),
        (&["servermodule", "custommodule"], "code of modules does not run here"),
        (&["firewall", "siteminder", "securityzone"], "there is nothing that stands for it here"),
    ];
    let known = all.iter().find(|(words, _)| words.iter().any(|word| kind.contains(word)));
    known.map_or("look at it: it is not taken over", |(_, advice)| *advice)
}

/// A text as YAML: JSON's strings are YAML's.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).unwrap_or_else(|_| "\"\"".to_owned())
}

/// Where a password that the import does not write belongs.
fn password_file(name: &str) -> String {
    format!("keys/{}.password", crate::write::file_name(name))
}

fn properties(export: &Export, yaml: &mut String, made: &mut Made) {
    let is_secret = |name: &str, hidden: bool| {
        let lower = name.to_ascii_lowercase();
        hidden
            || lower.contains("secret")
            || lower.contains("password")
            || toolkit().secrets.iter().any(|own| own.eq_ignore_ascii_case(name))
    };
    let (secret, plain): (Vec<_>, Vec<_>) =
        export.properties.iter().partition(|property| is_secret(&property.name, property.hidden));
    if !plain.is_empty() {
        yaml.push_str("properties:\n");
    }
    for property in plain {
        let _ = writeln!(yaml, "  {}: {}", quoted(&property.name), quoted(&property.value));
        let template = property.value.contains("{{") || property.value.contains("$#{");
        let result = if template { "a property with a place to fill in" } else { "a property of gateway.yaml" };
        told(made, "property", &property.name, &property.place, result, template);
    }
    for property in secret {
        let result = "a secret: its value is not written anywhere; keep it in a file of its own";
        told(made, "secret property", &property.name, &property.place, result, true);
        let _ = writeln!(yaml, "# FILL IN: the secret {} was a property of the gateway.", property.name);
    }
}

fn connections(export: &Export, yaml: &mut String, made: &mut Made) {
    if !export.databases.is_empty() {
        yaml.push_str("connections:\n");
    }
    for database in &export.databases {
        if database.password.is_some() {
            made.security
                .push((format!("the password of the database `{}` stands in the export", database.name), database.place.clone()));
        }
        match url(database) {
            Some(url) => {
                let _ = writeln!(
                    yaml,
                    "  {}:\n    url: {}\n    password_file: {} # FILL IN: put the password into this file",
                    quoted(&database.name),
                    quoted(&url),
                    quoted(&password_file(&database.name))
                );
                if let Some(pool) = database.pool.as_deref().and_then(|pool| pool.trim().parse::<u32>().ok()) {
                    let _ = writeln!(yaml, "    pool_size: {pool}");
                }
                told(
                    made,
                    "database",
                    &database.name,
                    &database.place,
                    "a connection of gateway.yaml; fill in the password",
                    true,
                );
            }
            None => {
                let _ = writeln!(yaml, "  # FILL IN: {} was {}", database.name, database.url.replace(['\n', '\r'], " "));
                told(
                    made,
                    "database",
                    &database.name,
                    &database.place,
                    format!("this gateway does not speak to `{}`", database.url),
                    true,
                );
            }
        }
    }
}

/// `jdbc:mysql://host:port/name` as `mysql://user@host:port/name`.
fn url(database: &Database) -> Option<String> {
    let rest = database.url.strip_prefix("jdbc:")?;
    let (scheme, rest) = rest.split_once("://")?;
    let scheme = match scheme {
        "mysql" | "mariadb" => "mysql",
        "postgresql" => "postgres",
        _ => return None,
    };
    let rest = rest.split(['?', ';']).next().unwrap_or(rest);
    let user = if database.user.is_empty() { String::new() } else { format!("{}@", database.user) };
    Some(format!("{scheme}://{user}{rest}"))
}

fn providers(export: &Export, yaml: &mut String, made: &mut Made) {
    let directories: Vec<&Provider> =
        export.providers.iter().filter(|provider| provider.kind.to_ascii_uppercase().contains("LDAP")).collect();
    if !directories.is_empty() {
        yaml.push_str("identity_providers:\n");
    }
    for provider in &directories {
        let server = provider.urls.first().map_or("ldaps://FILL-IN", String::as_str);
        let _ = writeln!(yaml, "  {}:\n    type: ldap\n    url: {}", quoted(&provider.name), quoted(server));
        if !provider.base.is_empty() {
            let _ = writeln!(yaml, "    base: {}", quoted(&provider.base));
        }
        if !provider.bind_dn.is_empty() {
            let file = quoted(&password_file(&provider.name));
            let _ = writeln!(yaml, "    bind_dn: {}", quoted(&provider.bind_dn));
            let _ = writeln!(yaml, "    bind_password_file: {file} # FILL IN: put its password into this file");
        }
        told(
            made,
            "directory",
            &provider.name,
            &provider.place,
            "an identity provider of gateway.yaml; look at its filters",
            true,
        );
    }
    for provider in export.providers.iter().filter(|provider| !directories.iter().any(|own| std::ptr::eq(*own, *provider))) {
        let result = match provider.kind.to_ascii_lowercase() {
            kind if kind.contains("internal") => "this gateway has one of its own; add its users with `portcullis user add`",
            kind if kind.contains("fed") || kind == "fips" => {
                "add `identity_providers` with `type: federated` and its certificates"
            }
            _ => "there is nothing that stands for it here",
        };
        told(made, "identity provider", &provider.name, &provider.place, result, true);
    }
}

/// The zone of each task that has one: other tasks of the home keep theirs.
fn zones(tasks: &[&str], zone: Option<&str>, yaml: &mut String) {
    if tasks.is_empty() {
        return;
    }
    if zone.is_none() {
        yaml.push_str("# FILL IN: the time zone of the gateway that is left, for these tasks; UTC is assumed.\n");
    }
    yaml.push_str("tasks:\n");
    for task in tasks {
        let _ = writeln!(yaml, "  {}:\n    zone: {}", quoted(task), quoted(zone.unwrap_or("UTC")));
    }
}

fn certificates(export: &Export, made: &mut Made) {
    for certificate in &export.certificates {
        let compact: String = certificate.encoded.lines().filter(|line| !line.contains("-----")).collect::<String>();
        let compact: String = compact.chars().filter(|c| !c.is_whitespace()).collect();
        if compact.is_empty() {
            told(made, "certificate", &certificate.name, &certificate.place, "it has no content", true);
            continue;
        }
        let lines: Vec<String> = compact.as_bytes().chunks(64).map(|line| String::from_utf8_lossy(line).into_owned()).collect();
        let pem = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"));
        let path = format!("keys/trusted/{}.pem", crate::write::file_name(&certificate.name));
        told(made, "certificate", &certificate.name, &certificate.place, format!("`{path}`"), false);
        made.files.push((path, pem));
    }
}
