//! Problems and their messages: `tests/diagnostics/*.policy`, and beside each the rendered messages with the underlined text,
//! `*.txt`. Every syntax code has a case.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it stands"
)]

mod support;

use std::fmt::Write;

use portcullis_dsl::{Diagnostic, Origin, Sources, diagnostic, parse};

fn answer(sources: &Sources, diagnostics: &[Diagnostic]) -> String {
    let mut out = String::new();
    for one in diagnostics {
        let text = &sources.get(one.span.file).text[one.span.start as usize..one.span.end as usize];
        writeln!(out, "{}underlined: {text:?}\n", diagnostic::render_one(one, sources, false)).unwrap();
    }
    out
}

#[test]
fn problems_are_told_with_place_and_fix() {
    let mut failed = Vec::new();
    for path in support::cases("diagnostics", ".policy") {
        let mut sources = Sources::default();
        let name = path.file_name().expect("a file").to_string_lossy().into_owned();
        let file = sources.add(name, support::read(&path), Origin::Operator);
        let (_, diagnostics) = parse(file, &sources.get(file).text);
        assert!(!diagnostics.is_empty(), "{}: no problem found", path.display());
        if !support::agrees(&path.with_extension("txt"), &answer(&sources, &diagnostics)) {
            failed.push(path);
        }
    }
    support::report(&failed);
}

#[test]
fn every_syntax_code_has_a_case() {
    let codes = include_str!("../src/codes.rs");
    let seen: String = support::cases("diagnostics", ".txt").iter().map(|path| support::read(path)).collect();
    for code in codes.split('"').filter(|word| word.len() == 5 && word.starts_with("P01")) {
        // A case for it would need a file of more than a megabyte.
        if code != portcullis_dsl::codes::FILE_TOO_LARGE {
            assert!(seen.contains(&format!("[{code}]")), "no case for {code}");
        }
    }
}

#[test]
fn a_file_that_is_too_large_is_refused_unread() {
    let text = "// comment\n".repeat(portcullis_dsl::parse::MAX_FILE / 11 + 1);
    let (tree, diagnostics) = parse(portcullis_dsl::FileId(0), &text);
    assert!(tree.items.is_empty());
    assert_eq!(diagnostics.len(), 1);
    assert_eq!(diagnostics[0].code, portcullis_dsl::codes::FILE_TOO_LARGE);
}

#[test]
fn a_rendered_problem_shows_line_fix_further_places_and_the_way_there() {
    let mut sources = Sources::default();
    let policy =
        sources.add("customizations/storage.policy", "customize \"Storage\" {\n    set nmae = 5\n}\n", Origin::Customization);
    let fragment = sources.add("fragments/storage.policy", "fragment \"Storage\" {\n    set name = 1\n}\n", Origin::Shipped);
    let span = |file, start, end| portcullis_dsl::Span::new(file, start, end);
    let problem = Diagnostic::error("P0204", "nothing reads `nmae`", span(policy, 30, 34))
        .help("did you mean `name`?")
        .related(span(fragment, 29, 33), "`name` is set here")
        .included_by([span(fragment, 25, 30)]);
    let first = Diagnostic::warning("P0299", "first in the file", span(policy, 0, 9));
    let text = diagnostic::render(&[problem.clone(), first], &sources, false);
    assert_eq!(
        text,
        "\
warning[P0299]: first in the file
 --> customizations/storage.policy:1:1
  |
1 | customize \"Storage\" {
  | ^^^^^^^^^

error[P0204]: nothing reads `nmae`
 --> customizations/storage.policy:2:9
  |
2 |     set nmae = 5
  |         ^^^^ did you mean `name`?
  |
 ::: fragments/storage.policy:2:9
  |
2 |     set name = 1
  |         ---- `name` is set here
  |
  = included by fragments/storage.policy:2

"
    );
    assert!(diagnostic::render_one(&problem, &sources, true).contains("\u{1b}["));
}

#[test]
fn a_place_outside_of_the_text_still_renders() {
    let mut sources = Sources::default();
    let file = sources.add("a.policy", "é", Origin::Operator);
    let problem = |file, start, end| Diagnostic::error("P0105", "x", portcullis_dsl::Span::new(file, start, end));
    diagnostic::render_one(&problem(file, 1, 900), &sources, false);
    diagnostic::render_one(&problem(portcullis_dsl::FileId(7), 0, 0), &sources, false);
}
