//! Files and their diagnostics: `tests/resolve/*.case`. A case has a comment that says what it shows, files after `== path`
//! lines, and the resolver's diagnostics after `== diagnostics`. Folders work as in an installation: `customizations/` and
//! `services/` are the operator's, everything else is shipped. A file that does not end in `.policy` is a data file.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it stands"
)]

mod catalogue;
mod support;

use std::fmt::Write;

use portcullis_dsl::{Diagnostic, Origin, Severity, Sources, Span, load};

const ANSWER: &str = "== diagnostics\n";

#[test]
fn cases_give_their_diagnostics() {
    let catalogue = catalogue::catalogue();
    let mut failed = Vec::new();
    for path in support::cases("resolve", ".case") {
        let text = support::read(&path);
        let question = text.split_once(ANSWER).map_or(text.as_str(), |(question, _)| question);
        let (library, diagnostics) = load(sources(question), &catalogue);
        let answer = format!("{question}{ANSWER}{}", print(&diagnostics, library.sources()));
        if !support::agrees(&path, &answer) {
            failed.push(path);
        }
    }
    support::report(&failed);
}

/// Half-written files resolve without a panic: the cases, cut off at several places.
#[test]
fn half_written_files_do_no_harm() {
    let catalogue = catalogue::catalogue();
    for path in support::cases("resolve", ".case") {
        let text = support::read(&path);
        let question = text.split_once(ANSWER).map_or(text.as_str(), |(question, _)| question);
        for tenth in 2..10 {
            let cut = question.floor_char_boundary(question.len() * tenth / 10);
            let text = format!("{}\n", &question[..cut]);
            let (library, diagnostics) = load(sources(&text), &catalogue);
            print(&diagnostics, library.sources());
        }
    }
}

/// `tests/explain/*.case`: files, then the names to explain, one a line after `== ask`, and the explanations after `== answer`.
#[test]
fn names_are_explained() {
    let catalogue = catalogue::catalogue();
    let mut failed = Vec::new();
    for path in support::cases("explain", ".case") {
        let text = support::read(&path);
        let question = text.split_once("== answer\n").map_or(text.as_str(), |(question, _)| question);
        let (files, names) = question.split_once("== ask\n").expect("names after `== ask`");
        let (library, _) = load(sources(files), &catalogue);
        let answers: Vec<_> = names.trim().lines().map(|name| format!("-- {name}\n{}", library.explain(name))).collect();
        if !support::agrees(&path, &format!("{question}== answer\n{}", answers.concat())) {
            failed.push(path);
        }
    }
    support::report(&failed);
}

fn sources(case: &str) -> Sources {
    let mut sources = Sources::default();
    for section in case.split("\n== ").skip(1) {
        let (path, text) = section.split_once('\n').expect("text after `== path`");
        if path.ends_with(".policy") {
            sources.add(path, text.to_owned(), origin(path));
        } else {
            sources.data.insert(path.to_owned(), text.to_owned().into());
        }
    }
    sources
}

fn origin(path: &str) -> Origin {
    match path.split('/').next() {
        Some("customizations") => Origin::Customization,
        Some("services") => Origin::Operator,
        _ => Origin::Shipped,
    }
}

fn print(diagnostics: &[Diagnostic], sources: &Sources) -> String {
    let mut out = String::new();
    let place = |span: Span| format!("{}: {}", sources.place(span), underlined(sources, span));
    for found in diagnostics {
        let severity = if found.severity == Severity::Error { "error" } else { "warning" };
        writeln!(out, "{severity} {}: {}", found.code, found.message).expect("a string takes everything");
        writeln!(out, "    at {}", place(found.span)).expect("a string takes everything");
        if let Some(help) = &found.help {
            writeln!(out, "    help: {help}").expect("a string takes everything");
        }
        for (span, note) in &found.related {
            writeln!(out, "    {note}: {}", place(*span)).expect("a string takes everything");
        }
        for span in &found.included_by {
            writeln!(out, "    included by {}", sources.place(*span)).expect("a string takes everything");
        }
    }
    out
}

/// The text of a span on one line.
fn underlined(sources: &Sources, span: Span) -> String {
    let text = &sources.get(span.file).text[span.start as usize..span.end as usize];
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
