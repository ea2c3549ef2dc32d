//! The bundles that are imported and run (`tests/import`, with what each service must answer) cover the tables: every type of step that
//! has a translation, and every property that a translation asks for.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it stands"
)]

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};

use portcullis_import::model::{Export, Role, Step};
use portcullis_import::names::Names;
use portcullis_import::{Input, Options, Shipped, translate};
use regex::Regex;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// The bundles that `tests/tests/import.rs` runs, each with the file of its answers.
const BUNDLES: [(&str, &str); 5] = [
    ("assertions.xml", "answers.yaml"),
    ("language.xml", "language.yaml"),
    ("access.xml", "access.yaml"),
    ("properties.xml", "properties.yaml"),
    ("routes.xml", "routes.yaml"),
];

fn exports() -> Vec<(Export, String)> {
    let read = |(bundle, answers): (&str, &str)| {
        let path = folder("../tests/import").join(bundle);
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let export = portcullis_import::read::read(&[Input { path: bundle.to_owned(), bytes }]);
        (export, fs::read_to_string(folder("../tests/import").join(answers)).unwrap())
    };
    BUNDLES.map(read).into()
}

/// The texts of the translations, without their tests.
fn sources() -> String {
    let files = fs::read_dir(folder("src/translate")).unwrap().map(|entry| entry.unwrap().path());
    let text = |path: PathBuf| fs::read_to_string(path).unwrap().split("#[cfg(test)]").next().unwrap_or_default().to_owned();
    files.map(text).collect()
}

/// What each kind of step was asked for, and what the bundles give it.
#[derive(Default)]
struct Seen {
    asked: BTreeMap<String, BTreeSet<String>>,
    given: BTreeMap<String, BTreeSet<String>>,
}

fn seen() -> Seen {
    let mut seen = Seen::default();
    for (export, _) in exports() {
        let names = Names::new(&export, &Shipped::default(), &Options::default());
        for policy in &export.policies {
            let body = policy.body.as_ref().unwrap_or_else(|damage| panic!("{}: {}", policy.name, damage.why));
            translate::policy(&names, &policy.name, &policy.place, body, &HashMap::new());
            let mut each = |step: &Step| {
                if !step.disabled {
                    seen.asked.entry(step.kind.clone()).or_default().extend(step.asked.names());
                    seen.given.entry(step.kind.clone()).or_default().extend(step.given.iter().cloned());
                }
            };
            body.walk(&mut each);
        }
    }
    seen
}

#[test]
fn every_type_with_a_translation_is_in_a_bundle() {
    let source = fs::read_to_string(folder("src/translate/mod.rs")).unwrap();
    let made = source.split("fn made(").nth(1).unwrap().split("fn unknown(").next().unwrap();
    let arm = Regex::new(r#"(?m)^\s+((?:"\w+"(?: \| )?)+) =>"#).unwrap();
    let seen = seen();
    let mut missing = Vec::new();
    let mut count = 0;
    for found in arm.captures_iter(made) {
        let kinds: Vec<&str> = found[1].split(" | ").map(|kind| kind.trim_matches('"')).collect();
        count += 1;
        // Two spellings of one type are one.
        if !kinds.iter().any(|kind| seen.given.contains_key(*kind)) {
            missing.push(kinds.join(" or "));
        }
    }
    assert!(count > 35, "{count}");
    assert_eq!(missing, [""; 0]);
    println!("{count} types of steps");
}

#[test]
fn every_property_that_a_translation_asks_for_is_in_a_bundle() {
    let seen = seen();
    // What no step can have: it is asked for where another property is left out.
    let never = ["usage", "enabled"];
    let mut missing = Vec::new();
    let mut count = 0;
    for (kind, asked) in &seen.asked {
        for name in asked.iter().filter(|name| !never.contains(&name.as_str())) {
            count += 1;
            if !seen.given[kind].contains(name) {
                missing.push(format!("{kind}: {name}"));
            }
        }
    }
    // A branch that no bundle comes to asks for nothing: so the names in the sources are counted, too.
    let literal = Regex::new(r#"step\s*\.(?:text|some|is|gives|prop)\("(\w+)"\)"#).unwrap();
    let all: BTreeSet<&String> = seen.given.values().flatten().collect();
    for found in literal.captures_iter(&sources()) {
        if !all.contains(&found[1].to_owned()) {
            missing.push(format!("any step: {}", &found[1]));
        }
    }
    missing.sort();
    missing.dedup();
    assert_eq!(missing, [""; 0], "{} of {count}", missing.len());
    println!("{count} properties");
}

#[test]
fn every_spelling_and_default_of_the_tables_is_in_a_bundle() {
    let texts: String =
        BUNDLES.iter().map(|(name, _)| fs::read_to_string(folder("../tests/import").join(name)).unwrap()).collect();
    let texts = texts.replace("&quot;", "\"").to_lowercase();
    let seen = seen();
    let mut missing = Vec::new();
    for (kind, known) in portcullis_import::known::kinds() {
        let Some(given) = seen.given.get(kind) else { continue };
        for (theirs, ours) in known.names.iter().chain(&known.base64) {
            let own = theirs.to_lowercase();
            let there = texts.contains(&format!("l7p:{own} "))
                || texts.contains(&format!("{own}=\""))
                || texts.contains(&format!("\"{own}\""));
            if !there || !given.contains(ours) {
                missing.push(format!("{kind}: {theirs}"));
            }
        }
        missing.extend(known.defaults.keys().filter(|name| !given.contains(*name)).map(|name| format!("{kind}: {name}")));
    }
    missing.sort();
    missing.dedup();
    assert_eq!(missing, [""; 0], "{}", missing.len());
}

#[test]
fn every_service_of_the_bundles_is_asked() {
    for (export, answers) in exports() {
        for policy in &export.policies {
            if let Role::Service(service) = &policy.role
                && service.enabled
                && !service.path.is_empty()
            {
                // What stands for the star in the middle of a pattern is anything.
                let path = service.path.trim_end_matches('*');
                let path = path.split_once('*').map_or(path, |(before, _)| before);
                assert!(answers.contains(&format!(" {path}")), "`{}` at {path} is never asked", policy.name);
            }
        }
    }
}
