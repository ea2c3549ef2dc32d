//! The shipped policies parse, resolve and compile without a word.

use std::sync::Arc;

use portcullis::Home;
use portcullis::Services;
use portcullis::Site;

#[test]
fn shipped_policies_compile_without_a_diagnostic() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/..");
    let home = Home::at(tempfile::tempdir().expect("a folder").path(), Some(std::path::Path::new(root)));
    let sources = home.sources().expect("readable files");
    let gateway = Arc::new(Services::default());
    let (_, library, diagnostics) = Site::build(sources, gateway, "", &[]);
    let text = portcullis_dsl::diagnostic::render(&diagnostics, library.sources(), false);
    assert!(diagnostics.is_empty(), "{text}");
}
