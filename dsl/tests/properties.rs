//! Properties of every text: parsing never panics, however damaged the text; formatting keeps the tree and is stable.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it stands"
)]

mod support;

use portcullis_dsl::{FileId, Sources, diagnostic, format, parse, parse_json_template, parse_template};
use support::random::{Random, Writer, damage};

/// The number of texts for each property; `PROPERTY_ROUNDS` changes it.
fn rounds(default: u64) -> u64 {
    std::env::var("PROPERTY_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(default)
}

fn seeds() -> Vec<String> {
    let folders = [("parse", ".policy"), ("fmt", ".policy"), ("diagnostics", ".policy")];
    folders.iter().flat_map(|(folder, ending)| support::cases(folder, ending)).map(|path| support::read(&path)).collect()
}

/// Parses, renders the problems, and formats if there are none.
fn check(text: &str) {
    let mut sources = Sources::default();
    let file = sources.add("case.policy", text.to_owned(), portcullis_dsl::Origin::Operator);
    let (tree, diagnostics) = parse(file, text);
    for one in &diagnostics {
        let (start, end) = (one.span.start as usize, one.span.end as usize);
        assert!(start <= end && end <= text.len(), "{one:?} in {text:?}");
        assert!(text.is_char_boundary(start) && text.is_char_boundary(end), "{one:?} in {text:?}");
        assert!(one.help.is_some(), "{one:?}");
    }
    if let Some(first) = diagnostics.first() {
        diagnostic::render_one(first, &sources, false);
        return;
    }
    let formatted = format(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(parse(FileId(0), &formatted).0, tree, "{text}");
    assert_eq!(format(&formatted).as_ref(), Ok(&formatted), "{text}");
}

#[test]
fn damaged_policies_never_panic() {
    let seeds = seeds();
    for round in 0..rounds(400) {
        let mut random = Random::new(round);
        let seed = &seeds[random.below(seeds.len())];
        let text = damage(&mut random, seed);
        check(&text);
        let _ = parse_template(FileId(0), &text);
        let _ = parse_json_template(FileId(0), &text);
    }
}

#[test]
fn random_policies_have_no_problems_and_format_to_the_same_tree() {
    for round in 0..rounds(100) {
        let text = Writer::file(round);
        let (_, diagnostics) = parse(FileId(0), &text);
        assert!(diagnostics.is_empty(), "round {round}: {diagnostics:#?}\n{text}");
        check(&text);
    }
}

#[test]
fn damaged_random_policies_never_panic() {
    for round in 0..rounds(100) {
        let mut random = Random::new(round);
        let text = damage(&mut random, &Writer::file(round));
        check(&text);
    }
}

#[test]
fn hostile_shapes_come_back_as_problems() {
    let n = 60_000;
    for unit in [
        "(", "[", "{", "\"", "${", "'", "json {", "not ", "!", "a else ", "1 + ", "if ", "\"\"\"", "//\n", "\\", ")", "}", "A(",
        "x: ", "=", "[(", "'\"(", "é", ";", "All { ",
    ] {
        for text in [unit.repeat(n / unit.len()), format!("fragment \"a\" {{\n    set x = {}", unit.repeat(n / unit.len()))] {
            let (tree, diagnostics) = parse(FileId(0), &text);
            assert!(!diagnostics.is_empty() || tree.items.is_empty(), "{unit}");
            let _ = parse_json_template(FileId(0), &text);
        }
    }
}

#[test]
fn whatever_is_within_the_bounds_is_read_on_a_small_stack() {
    let depth = portcullis_dsl::parse::MAX_DEPTH - 2;
    let nested = |open: &str, inner: &str, close: &str| format!("{}{inner}{}", open.repeat(depth), close.repeat(depth));
    let statements = [
        nested("All {\n", "Stop", "\n}"),
        nested("if ${x} is empty { ", "Stop", " } else { Stop }"),
        nested("Stop else { ", "Stop", " }"),
        nested("(", "${x} is empty", ")"),
        format!("set x = {}", nested("(", "1", ")")),
        format!("set x = {}", nested("[", "1", "]")),
        format!("set x = {}", nested("f(1 + ", "1", ")")),
        format!("set x = json {}", nested("{ \"a\": ", "1", "}")),
        format!("set x = {}", nested("json [", "1", "]")),
        format!("Foo(a: {})", nested("f(", "1", ")").replacen("f(", "", 1).replacen(')', "", 1)),
        format!("set x = {}", vec!["1"; portcullis_dsl::parse::MAX_CHAIN].join(" - ")),
        vec!["A()"; portcullis_dsl::parse::MAX_CHAIN].join(" else "),
        format!("{}${{x}} is empty", "not ".repeat(portcullis_dsl::parse::MAX_CHAIN)),
    ];
    for statement in statements {
        let text = format!("fragment \"a\" {{ {statement} }}\n");
        let (_, diagnostics) = parse(FileId(0), &text);
        assert!(diagnostics.is_empty(), "{text}: {diagnostics:?}");
        check(&text);
    }
}

#[test]
fn line_ends_of_either_kind_give_the_same_tree() {
    for text in seeds() {
        let (unix, dos) = (parse(FileId(0), &text), parse(FileId(0), &text.replace('\n', "\r\n")));
        assert_eq!(unix.0, dos.0);
        assert_eq!(unix.1.len(), dos.1.len());
    }
}
