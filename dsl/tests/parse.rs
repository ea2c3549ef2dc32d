//! Text and its tree: `tests/parse/*.policy` and the answer beside it, `*.tree`. The ending of a data file decides how it is
//! read.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it stands"
)]

mod support;

use portcullis_dsl::ast::Part;
use portcullis_dsl::{FileId, Span, codes, parse, parse_json_template, parse_template};

#[test]
fn policies_parse_to_the_tree_beside_them() {
    let mut failed = Vec::new();
    for path in support::cases("parse", ".policy") {
        let text = support::read(&path);
        let (tree, diagnostics) = parse(FileId(0), &text);
        assert!(diagnostics.is_empty(), "{}: {diagnostics:#?}", path.display());
        if !support::agrees(&path.with_extension("tree"), &support::tree::print(&tree)) {
            failed.push(path);
        }
    }
    support::report(&failed);
}

#[test]
fn data_files_are_templates() {
    let (parts, diagnostics) = parse_template(FileId(3), "<p>${name}</p>\n  `\\${js}` \\n ${raw(body)} $5");
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    let Part::Var(name) = &parts[1] else { panic!("{parts:?}") };
    assert_eq!((name.name.span.start, name.name.span.end), (5, 9));
    assert_eq!(parts.len(), 5);
    assert_eq!(parts[2], Part::Text("</p>\n  `${js}` \\n ".into()));
    assert!(matches!(&parts[3], Part::RawVar(_)));
    assert_eq!(parts[4], Part::Text(" $5".into()));

    let (_, diagnostics) = parse_template(FileId(3), "a ${b c}");
    assert_eq!(diagnostics[0].code, codes::BAD_VARIABLE);
    assert_eq!(diagnostics[0].span, Span::new(FileId(3), 2, 8));
}

#[test]
fn json_data_files_are_json_templates() {
    let (json, diagnostics) = parse_json_template(FileId(0), "// keys\n{ \"a\": ${x}, \"b\"?: [1, null, true], }\n");
    assert!(diagnostics.is_empty(), "{diagnostics:?}");
    assert_eq!(support::tree::json(&json), "{<\"a\">: $x, <\"b\">?: [1, null, true]}");
    for wrong in ["", "{", "{ \"a\" }", "{ \"a\": }", "{} {}", "{ a: 1 }", "[1, 2"] {
        let (_, diagnostics) = parse_json_template(FileId(0), wrong);
        assert!(!diagnostics.is_empty(), "{wrong}");
    }
}
