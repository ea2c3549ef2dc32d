//! `portcullis list`: every endpoint, task and command with its file.

use std::process::ExitCode;

use portcullis_dsl::ast::ItemKind;
use portcullis_dsl::{Library, Policy};

use super::{Done, Place, say, show};

pub fn run(place: &Place) -> Done {
    let enabled = place.any_home()?.config().map(|config| config.enable).unwrap_or_default();
    let library = show::library(place)?;
    let mut services: Vec<[String; 4]> = library.services().map(|policy| service(&library, policy, &enabled)).collect();
    services.sort_by(|a, b| a[1].cmp(&b[1]));
    let tasks: Vec<[String; 4]> = library.tasks().map(|policy| task(&library, policy)).collect();
    let commands: Vec<[String; 4]> = library.commands().map(|policy| command(&library, policy)).collect();
    let tables = [
        (["methods", "path", "service", "file"], services),
        (["task", "every", "", "file"], tasks),
        (["command", "", "", "file"], commands),
    ];
    for (at, (head, rows)) in tables.iter().filter(|(_, rows)| !rows.is_empty()).enumerate() {
        if at > 0 {
            say("");
        }
        table(*head, rows);
    }
    Ok(ExitCode::SUCCESS)
}

fn file(library: &Library, policy: &Policy) -> String {
    library.sources().get(policy.file).path.clone()
}

fn service(library: &Library, policy: &Policy, enabled: &[String]) -> [String; 4] {
    let ItemKind::Service(head) = &policy.item.kind else { return Default::default() };
    let methods = head.methods.iter().map(|method| method.as_str()).collect::<Vec<_>>().join(" ");
    let off = if head.disabled && !enabled.contains(&policy.name) { " (disabled)" } else { "" };
    let methods = if methods.is_empty() { "any".to_owned() } else { methods };
    [methods, head.path.to_string(), format!("{}{off}", policy.name), file(library, policy)]
}

fn task(library: &Library, policy: &Policy) -> [String; 4] {
    let ItemKind::Task { every } = &policy.item.kind else { return Default::default() };
    [policy.name.clone(), format!("{}", **every), String::new(), file(library, policy)]
}

fn command(library: &Library, policy: &Policy) -> [String; 4] {
    [format!("portcullis {}", policy.name), String::new(), String::new(), file(library, policy)]
}

/// Columns as wide as their widest text; those without any are left out.
fn table(head: [&str; 4], rows: &[[String; 4]]) {
    let rows = [head.map(str::to_owned)].into_iter().chain(rows.iter().cloned());
    let rows: Vec<[String; 4]> = rows.collect();
    let mut widths = [0; 4];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    for row in &rows {
        let cells = row.iter().zip(widths).filter(|(_, width)| *width > 0);
        let line: Vec<String> = cells.map(|(cell, width)| format!("{cell:width$}")).collect();
        say(line.join("  ").trim_end());
    }
}
