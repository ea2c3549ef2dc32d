//! Checks the README: its examples have no problems and are formatted as `fmt` would.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it stands"
)]

use portcullis_dsl::{FileId, format, parse};

#[test]
fn the_examples_of_the_readme_are_policies() {
    let readme = include_str!("../README.md");
    let mut examples = 0;
    for block in readme.split("```").skip(1).step_by(2) {
        let (kind, text) = block.split_once('\n').expect("a line after the fence");
        let file = match kind {
            "policy" => text.to_owned(),
            "statements" => {
                let lines = text.lines().map(|line| if line.is_empty() { "\n".to_owned() } else { format!("    {line}\n") });
                format!("fragment \"example\" {{\n{}}}\n", lines.collect::<String>())
            }
            other => panic!("a block of unknown kind {other:?}"),
        };
        let (_, diagnostics) = parse(FileId(0), &file);
        assert!(diagnostics.is_empty(), "{diagnostics:#?}");
        assert_eq!(format(&file).as_deref(), Ok(file.as_str()));
        examples += 1;
    }
    assert!(examples >= 3);
}
