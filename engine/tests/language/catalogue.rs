//! Tests of the catalogue, for what a review easily misses.

use std::collections::{BTreeMap, BTreeSet};

use portcullis::catalogue::assertions;
use portcullis_dsl::ast::{Call, Callee, ItemKind, Stmt, StmtKind};
use portcullis_dsl::spec::{Example, Expect, Literal, Need, Spec};
use portcullis_dsl::{FileId, Origin, parse};

use crate::harness;

const CATEGORIES: &[&str] = &["logic", "message", "crypto", "access", "data", "routing", "traffic", "audit"];

fn specs() -> impl Iterator<Item = &'static Spec> {
    assertions().map(|entry| entry.spec)
}

#[test]
fn names_are_unique_and_well_formed() {
    let mut seen = BTreeSet::new();
    for spec in specs() {
        assert!(seen.insert(spec.name), "two assertions `{}`", spec.name);
        assert!(spec.name.starts_with(|c: char| c.is_ascii_uppercase()), "{}", spec.name);
        assert!(spec.name.bytes().all(|c| c.is_ascii_alphanumeric()), "{}", spec.name);
        assert!(CATEGORIES.contains(&spec.category), "{}: category {}", spec.name, spec.category);
        let mut props = BTreeSet::new();
        for prop in spec.props {
            assert!(props.insert(prop.name), "{}: two properties `{}`", spec.name, prop.name);
            let well_formed = prop.name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_');
            assert!(well_formed, "{}: property `{}`", spec.name, prop.name);
        }
    }
}

#[test]
fn everything_is_described() {
    for spec in specs() {
        assert!(spec.summary.ends_with('.'), "{}: the summary is a sentence", spec.name);
        assert!(!spec.examples.is_empty(), "{}: no example", spec.name);
        for prop in spec.props {
            assert!(prop.doc.len() > 3 && prop.doc.ends_with('.'), "{}.{}: {}", spec.name, prop.name, prop.doc);
            if let Need::Default(default) = prop.need {
                assert!(default.fits(prop.kind), "{}.{}: default {default}", spec.name, prop.name);
            }
        }
        for sets in spec.sets {
            assert!(!sets.doc.is_empty(), "{}: {}", spec.name, sets.name);
            for placeholder in sets.name.split('{').skip(1).filter_map(|rest| rest.split('}').next()) {
                assert!(spec.prop(placeholder).is_some(), "{}: {} names no property", spec.name, sets.name);
            }
        }
        for reason in spec.fails {
            assert!(!reason.is_empty() && !reason.ends_with('.'), "{}: {reason}", spec.name);
        }
    }
}

#[test]
fn assertions_that_fail_show_it_in_an_example() {
    for spec in specs() {
        let shown = spec.examples.iter().any(|example| matches!(example.expect, Expect::Fails));
        assert!(spec.fails.is_empty() || shown, "{}: no example fails, though it can", spec.name);
        assert!(!spec.fails.is_empty() || !shown, "{}: an example fails, but `fails` is empty", spec.name);
    }
}

#[test]
fn examples_do_what_they_say_and_set_what_is_promised() {
    let mut wrong = String::new();
    for spec in specs() {
        // What stands for a step that is missing sets nothing.
        let promises = spec.sets.iter().filter(|sets| !sets.doc.starts_with("nothing"));
        let mut promised: BTreeSet<&str> = promises.map(|sets| sets.name).collect();
        for example in spec.examples {
            match run(spec, example, &mut promised) {
                Ok(()) => {}
                Err(why) => wrong.push_str(&format!("{} ({}): {why}\n", spec.name, example.title)),
            }
        }
        for name in promised {
            wrong.push_str(&format!("{}: no example sets `{name}`\n", spec.name));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// Runs an example, removes what it set from the list, and compares.
fn run(spec: &Spec, example: &Example, promised: &mut BTreeSet<&str>) -> Result<(), String> {
    let plain = format!("command \"example\" () {{\n{}\n}}\n", example.source);
    let (file, _) = parse(FileId(0), &plain);
    let mut calls = Vec::new();
    for item in &file.items {
        if let ItemKind::Command(_) = item.kind {
            item.body.stmts.iter().for_each(|stmt| find(stmt, spec.name, &mut calls));
        }
    }
    if calls.is_empty() {
        return Err("the example does not call it".to_owned());
    }
    // Every variable that the example mentions or the call sets becomes an output, so that it can be read.
    let mut outputs: BTreeMap<String, Option<&str>> = BTreeMap::new();
    // A member of a document cannot be an output, so another variable takes it.
    let mut taken = String::new();
    for sets in spec.sets {
        for name in calls.iter().filter_map(|call| expand(sets.name, call, spec)) {
            match name.strip_suffix(".*") {
                None => drop(outputs.insert(name, Some(sets.name))),
                Some(prefix) => {
                    let told = match example.expect {
                        Expect::Sets(name, _) => Some(name),
                        Expect::Holds | Expect::Fails => None,
                    };
                    for read in mentioned(example.source).chain(told).filter(|read| read.starts_with(&format!("{prefix}."))) {
                        let output = if sets.data { format!("member{}", outputs.len()) } else { read.to_owned() };
                        if sets.data {
                            taken.push_str(&format!("set {output} = ${{{read}}}\n"));
                        }
                        outputs.entry(output).or_insert(Some(sets.name));
                    }
                }
            }
        }
    }
    if let Expect::Sets(name, _) = example.expect {
        outputs.entry(name.to_owned()).or_insert(None);
    }
    outputs.retain(|name, _| !["request", "response"].contains(&name.as_str()));
    let outs: Vec<String> = outputs.keys().map(|name| format!("out {name}")).collect();
    let text = format!("command \"example\" ({}) {{\n{}\n{taken}}}\n", outs.join(", "), example.source);
    let site = harness::site(&[("example.policy", &text, Origin::Operator)])?;
    let outcome = harness::command(&site, "example");
    for (name, from) in &outputs {
        if let (true, Some(from)) = (outcome.outputs.contains_key(name), from) {
            promised.remove(from);
        }
    }
    // Messages of the gateway itself are changed in place.
    promised.retain(|name| {
        !calls.iter().filter_map(|call| expand(name, call, spec)).any(|name| ["request", "response"].contains(&name.as_str()))
    });
    let expected = if matches!(example.expect, Expect::Fails) { "fails" } else { "holds" };
    if outcome.ending != expected {
        return Err(format!("{} instead of {expected}", outcome.ending));
    }
    match example.expect {
        Expect::Sets(name, text) if outcome.outputs.get(name).map(String::as_str) != Some(text) => {
            Err(format!("`{name}` is `{:?}` instead of `{text}`", outcome.outputs.get(name)))
        }
        _ => Ok(()),
    }
}

fn find<'a>(stmt: &'a Stmt, name: &str, calls: &mut Vec<&'a Call>) {
    match &stmt.kind {
        StmtKind::Call(call) if matches!(&call.callee, Callee::Native(own) if own.node == name) => calls.push(call),
        StmtKind::Check(cond) => find_in(cond, name, calls),
        StmtKind::Else(first, second) => {
            find(first, name, calls);
            find(second, name, calls);
        }
        StmtKind::Group { body, .. } | StmtKind::ForEach { body, .. } | StmtKind::HandleErrors { body, .. } => {
            body.stmts.iter().for_each(|stmt| find(stmt, name, calls))
        }
        StmtKind::Call(call) => {
            call.block.iter().for_each(|block| block.stmts.iter().for_each(|stmt| find(stmt, name, calls)));
        }
        _ => {}
    }
}

fn find_in<'a>(cond: &'a portcullis_dsl::ast::Cond, name: &str, calls: &mut Vec<&'a Call>) {
    use portcullis_dsl::ast::Cond;
    match cond {
        Cond::Not(inner) | Cond::Group(inner) => find_in(inner, name, calls),
        Cond::And(conds) | Cond::Or(conds) => conds.iter().for_each(|cond| find_in(cond, name, calls)),
        Cond::Call(call) if matches!(&call.callee, Callee::Native(own) if own.node == name) => calls.push(call),
        Cond::Call(_) | Cond::Compare(_) | Cond::Truth(_) => {}
    }
}

/// `{prefix}.count` with the literals of a call.
fn expand(pattern: &str, call: &Call, spec: &Spec) -> Option<String> {
    let Some((before, rest)) = pattern.split_once('{') else { return Some(pattern.to_owned()) };
    let (prop, after) = rest.split_once('}')?;
    let value = match call.args.iter().find(|arg| arg.name.node == prop) {
        Some(arg) => arg.value.literal()?.to_owned(),
        None => match spec.prop(prop)?.need {
            Need::Default(Literal::Text(default)) => default.to_owned(),
            Need::Default(_) | Need::Required | Need::Absent => return None,
        },
    };
    Some(format!("{before}{value}{after}"))
}

/// Names inside `${…}`.
fn mentioned(source: &str) -> impl Iterator<Item = &str> {
    source.split("${").skip(1).filter_map(|rest| rest.split(['}', '[', '|']).next())
}
