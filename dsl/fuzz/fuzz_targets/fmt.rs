//! A text without problems is always formatted, to the same tree, and the result to itself.
//!
//! `cargo +nightly fuzz run fmt fuzz/corpus/fmt tests/parse tests/fmt`

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_dsl::{FileId, FormatError, format, parse};

fuzz_target!(|text: &str| {
    let (tree, diagnostics) = parse(FileId(0), text);
    match format(text) {
        Ok(formatted) => {
            assert!(diagnostics.is_empty());
            assert_eq!(parse(FileId(0), &formatted), (tree, Vec::new()));
            assert_eq!(format(&formatted).as_ref(), Ok(&formatted));
        }
        Err(FormatError::Syntax(problems)) => assert_eq!(problems, diagnostics),
        Err(FormatError::Unsound) => panic!("unsound"),
    }
});
