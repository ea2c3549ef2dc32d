//! `portcullis list`: every endpoint, task and command with its file.

use std::process::ExitCode;

use portcullis_dsl::ast::ItemKind;
use portcullis_dsl::{Library, Policy};

use super::{Done, Place, aligned, say, show};

pub fn run(place: &Place) -> Done {
    let enabled = place.any_home()?.config().map(|config| config.enable).unwrap_or_default();
    let library = show::library(place)?;
    let mut services: Vec<Vec<String>> = library.services().filter_map(|policy| service(&library, policy, &enabled)).collect();
    services.sort_by(|a, b| a.get(1).cmp(&b.get(1)));
    let tasks = library.tasks().filter_map(|policy| task(&library, policy)).collect();
    let commands = library.commands().map(|policy| vec![format!("portcullis {}", policy.name), file(&library, policy)]).collect();
    let tables: [(&[&str], Vec<Vec<String>>); 3] = [
        (&["methods", "path", "service", "file"], services),
        (&["task", "every", "file"], tasks),
        (&["command", "file"], commands),
    ];
    let tables = tables.into_iter().filter(|(_, rows)| !rows.is_empty()).map(|(head, mut rows)| {
        rows.insert(0, head.iter().map(|&word| word.to_owned()).collect());
        aligned(&rows)
    });
    say(tables.collect::<Vec<_>>().join("\n\n"));
    Ok(ExitCode::SUCCESS)
}

fn file(library: &Library, policy: &Policy) -> String {
    library.sources().get(policy.file).path.clone()
}

fn service(library: &Library, policy: &Policy, enabled: &[String]) -> Option<Vec<String>> {
    let ItemKind::Service(head) = &policy.item.kind else { return None };
    let methods = head.methods.iter().map(|method| method.as_str()).collect::<Vec<_>>().join(" ");
    let methods = if methods.is_empty() { "any".to_owned() } else { methods };
    let off = if head.disabled && !enabled.contains(&policy.name) { " (disabled)" } else { "" };
    Some(vec![methods, head.path.to_string(), format!("{}{off}", policy.name), file(library, policy)])
}

fn task(library: &Library, policy: &Policy) -> Option<Vec<String>> {
    let ItemKind::Task { every } = &policy.item.kind else { return None };
    Some(vec![policy.name.clone(), every.node.to_string(), file(library, policy)])
}
