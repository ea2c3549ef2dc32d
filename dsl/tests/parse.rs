//! Text in, tree out: `tests/parse/*.policy` and the answer beside it, `*.tree`. Data files are read as their ending says.

mod support;

use portcullis_dsl::{FileId, parse};

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
