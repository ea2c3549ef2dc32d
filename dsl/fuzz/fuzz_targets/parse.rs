//! Parsing any text gives a tree and problems whose places are inside the text; it never panics, and neither does showing them.
//!
//! `cargo +nightly fuzz run parse fuzz/corpus/parse tests/parse tests/diagnostics tests/fmt`

#![no_main]

use libfuzzer_sys::fuzz_target;
use portcullis_dsl::{Origin, Sources, diagnostic, parse, parse_json_template, parse_template};

fuzz_target!(|text: &str| {
    let mut sources = Sources::default();
    let file = sources.add("fuzz.policy", text, Origin::Operator);
    let (_, diagnostics) = parse(file, text);
    for one in &diagnostics {
        let (start, end) = (one.span.start as usize, one.span.end as usize);
        assert!(text.get(start..end).is_some(), "{one:?}");
    }
    if diagnostics.len() < 10 {
        diagnostic::render(&diagnostics, &sources, false);
    }
    parse_json_template(file, text);
    parse_template(file, text);
});
