//! The report for people.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{Light, PolicyReport, Report, Told, Topic};

/// What each topic means, in the order of the report.
const CHAPTERS: [(&str, &str); 13] = [
    ("missing", "What needs a person: no translation"),
    ("damage", "What could not be read"),
    ("security", "Security"),
    ("trap", "Where the gateways differ"),
    ("name", "Names that changed"),
    ("release", "The release of the toolkit"),
    ("changed", "Policies of the toolkit that were changed"),
    ("variable", "Variables of customizations that only one side knows"),
    ("aside", "Properties that were left aside: look whether they matter"),
    ("dropped", "Left out, because nothing is needed"),
    ("rewritten", "Said in another way"),
    ("entity", "Entities"),
    ("note", "Notes"),
];

fn chapter(topic: Topic) -> String {
    match topic {
        Topic::Trap(_) => "trap".to_owned(),
        topic => topic.word(),
    }
}

fn light(light: Light) -> &'static str {
    match light {
        Light::Green => "green",
        Light::Yellow => "yellow",
        Light::Red => "red",
    }
}

/// Findings of one chapter that say the same, together.
fn grouped<'r>(report: &'r Report, word: &str) -> BTreeMap<String, Vec<&'r Told>> {
    let mut groups: BTreeMap<String, Vec<&Told>> = BTreeMap::new();
    for told in report.findings.iter().filter(|told| chapter(told.topic) == word) {
        let number = if let Topic::Trap(number) = told.topic { format!("{number:02}: ") } else { String::new() };
        groups.entry(format!("{number}{}", told.message)).or_default().push(told);
    }
    groups
}

/// Places, in words: the first few, and how many more.
fn places(all: &[&Told]) -> String {
    let one = |told: &&Told| match (told.to.as_str(), told.from.as_str()) {
        ("", from) => from.to_owned(),
        (to, "") => to.to_owned(),
        (to, from) => format!("{to} (from {from})"),
    };
    let shown: Vec<String> = all.iter().take(20).map(one).collect();
    let more = all.len().saturating_sub(20);
    if more == 0 { shown.join(", ") } else { format!("{}, and {more} more (see report.json)", shown.join(", ")) }
}

/// As Markdown.
pub fn markdown(report: &Report) -> String {
    let mut out = String::from("# Import\n\n");
    let steps = &report.steps;
    let [green, yellow, red] = report.lights;
    let _ = writeln!(out, "Read: {}.\n", report.inputs.join(", "));
    let _ = writeln!(out, "| | |\n|---|---|");
    let _ = writeln!(out, "| policies | {} ({green} green, {yellow} yellow, {red} red) |", report.policies.len());
    for (what, count) in [
        ("steps read", steps.read),
        ("one to one", steps.exact),
        ("by rewriting", steps.rewritten),
        ("without translation", steps.missing),
        ("comments", steps.comments),
        ("switched off, kept as comments", steps.disabled),
        ("in policies that this gateway ships", steps.shipped),
    ] {
        let _ = writeln!(out, "| {what} | {count} |");
    }
    for (word, title) in CHAPTERS {
        let groups = grouped(report, word);
        if !groups.is_empty() {
            let _ = writeln!(out, "\n## {title}\n");
            for (message, all) in groups {
                let places = places(&all);
                let colon = if places.is_empty() { "" } else { ": " };
                let _ = writeln!(out, "- {}{colon}{}", cell(&message), cell(&places));
            }
        }
    }
    if !report.entities.is_empty() {
        let _ = writeln!(out, "\n## Entities\n\n| kind | name | from | result |\n|---|---|---|---|");
        for entity in &report.entities {
            let (kind, name, from, result) = (cell(&entity.kind), cell(&entity.name), cell(&entity.from), cell(&entity.result));
            let _ = writeln!(out, "| {kind} | {name} | {from} | {result} |");
        }
    }
    let _ = writeln!(
        out,
        "\n## Policies\n\n| | policy | release | GUID | from | to | steps | missing |\n|---|---|---|---|---|---|---|---|"
    );
    for policy in &report.policies {
        let _ = writeln!(
            out,
            "| {} | {} | {} | {} | {} | {} | {} | {} |",
            light(policy.light),
            cell(&becomes(policy)),
            cell(&policy.release),
            cell(&policy.guid),
            cell(&policy.from),
            cell(&policy.to),
            policy.steps.read,
            policy.steps.missing
        );
    }
    out
}

/// What a policy is here, and its name there if that does not say it.
fn becomes(policy: &PolicyReport) -> String {
    if policy.becomes.contains(&policy.name) { policy.becomes.clone() } else { format!("{}: {}", policy.name, policy.becomes) }
}

/// Text in a cell or a list of Markdown.
fn cell(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace('|', "\\|").replace('<', "&lt;")
}

/// As a page without anything from elsewhere.
pub fn html(report: &Report) -> String {
    let mut out = String::from(
        "<!doctype html>\n<html lang=\"en\"><meta charset=\"utf-8\"><title>Import</title>\n<style>body{font:15px/1.4 sans-serif;max-width:70em;\
         margin:2em auto;padding:0 1em}table{border-collapse:collapse}td,th{border:1px solid #ccc;padding:.2em .5em;text-align:left;\
         vertical-align:top}.green{background:#dff5df}.yellow{background:#fff6cc}.red{background:#ffdcdc}code{font-size:90%}</style>\n<h1>Import</h1>\n",
    );
    let steps = &report.steps;
    let [green, yellow, red] = report.lights;
    let _ = writeln!(out, "<p>Read: {}</p>", escaped(&report.inputs.join(", ")));
    let _ = writeln!(
        out,
        "<p>{} policies: <span class=green>{green} green</span>, <span class=yellow>{yellow} yellow</span>, <span class=red>{red} red</span>. {} \
         steps: {} one to one, {} by rewriting, {} without translation, {} comments, {} switched off, {} in shipped policies.</p>",
        report.policies.len(),
        steps.read,
        steps.exact,
        steps.rewritten,
        steps.missing,
        steps.comments,
        steps.disabled,
        steps.shipped
    );
    for (word, title) in CHAPTERS {
        let groups = grouped(report, word);
        if !groups.is_empty() {
            let _ = writeln!(out, "<h2>{title}</h2>\n<ul>");
            for (message, all) in groups {
                let _ = writeln!(out, "<li>{} <small><code>{}</code></small>", escaped(&message), escaped(&places(&all)));
            }
            out.push_str("</ul>\n");
        }
    }
    if !report.entities.is_empty() {
        out.push_str("<h2>Entities</h2>\n<table><tr><th>kind<th>name<th>from<th>result\n");
        for entity in &report.entities {
            let class = if entity.by_hand { "yellow" } else { "green" };
            let (kind, name, result) = (escaped(&entity.kind), escaped(&entity.name), escaped(&entity.result));
            let _ = writeln!(out, "<tr class={class}><td>{kind}<td>{name}<td>{}<td>{result}", escaped(&entity.from));
        }
        out.push_str("</table>\n");
    }
    out.push_str("<h2>Policies</h2>\n<table><tr><th>policy<th>release<th>GUID<th>from<th>to<th>steps<th>missing\n");
    for policy in &report.policies {
        let _ = writeln!(
            out,
            "<tr class={}><td>{}<td>{}<td><code>{}</code><td>{}<td>{}<td>{}<td>{}",
            light(policy.light),
            escaped(&becomes(policy)),
            escaped(&policy.release),
            escaped(&policy.guid),
            escaped(&policy.from),
            escaped(&policy.to),
            policy.steps.read,
            policy.steps.missing
        );
    }
    out.push_str("</table>\n");
    out
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
