//! Text in, canonical text out: `tests/fmt/*.policy` and the answer beside it, `*.fmt`. The answer formats to itself, and both mean the
//! same, which `format` itself makes sure of.

mod support;

use portcullis_dsl::{FileId, FormatError, format, parse};

#[test]
fn policies_format_to_the_text_beside_them() {
    let mut failed = Vec::new();
    for path in support::cases("fmt", ".policy") {
        let text = support::read(&path);
        let formatted = format(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        assert_eq!(format(&formatted).as_ref(), Ok(&formatted), "{}: not settled", path.display());
        assert_eq!(parse(FileId(0), &formatted).0, parse(FileId(0), &text).0, "{}: another tree", path.display());
        if !support::agrees(&path.with_extension("fmt"), &formatted) {
            failed.push(path);
        }
    }
    support::report(&failed);
}

#[test]
fn a_text_with_problems_is_not_formatted() {
    let Err(FormatError::Syntax(diagnostics)) = format("fragment \"a\" {\n    sett x = 1\n    y = 2\n}\n") else {
        panic!("formatted")
    };
    assert_eq!(diagnostics.len(), 2);
}
