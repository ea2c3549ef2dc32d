//! Text and its canonical form: `tests/fmt/*.policy` and the answer beside it, `*.fmt`. The answer formats to itself, and both
//! mean the same, as `format` itself checks.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it stands"
)]

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

/// Real texts in addition to the invented ones: all shipped policies.
#[test]
fn what_ships_formats_to_the_same_tree() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace around the crate");
    let mut folders: Vec<_> = ["policies", "fragments", "customizations"].iter().map(|folder| root.join(folder)).collect();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.expect("a readable folder").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "policy") {
                let text = support::read(&path);
                let formatted = format(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                assert_eq!(format(&formatted).as_ref(), Ok(&formatted), "{}: not settled", path.display());
            }
        }
    }
}
