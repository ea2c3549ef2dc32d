//! The shipped policies parse, resolve and compile without warnings, and so does every example in the files that operators edit.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it stands"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis::{Home, Services, Site};

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// What a start would report about the policies of this home; empty if all is well.
fn said(home: &Path) -> String {
    let sources = Home::at(home, Some(root())).sources().expect("readable files");
    let (_, library, diagnostics) = Site::build(sources, Arc::new(Services::default()), "", &[]);
    portcullis_dsl::diagnostic::render(&diagnostics, library.sources(), false)
}

#[test]
fn shipped_policies_compile_without_a_diagnostic() {
    assert_eq!(said(tempfile::tempdir().expect("a folder").path()), "");
}

/// Files that the examples need beside the policy.
const BESIDE: [(&str, &[u8]); 6] = [
    ("authorization/example.css", b"h1 { color: red }"),
    ("authorization/login.html", b"<form></form>"),
    ("authorization/nl.json", br#"{"login_title":"Inloggen"}"#),
    ("authorization/logo.png", b"\x89PNG\r\n\x1a\n"),
    ("authorization/page.html", b"<html></html>"),
    ("id_token/accounts.example.com.jwks", br#"{"keys":[]}"#),
];

/// A file with its examples as policy. An example begins with a line with `//` and no blank after it, and continues as long as
/// lines are like that or indented by at least four. An example that is not indented is a separate file.
fn uncommented(text: &str) -> (String, String) {
    let (mut own, mut other) = (String::new(), String::new());
    let mut within = false;
    for line in text.lines() {
        let code = line.trim_start().strip_prefix("//").filter(|code| !code.starts_with('/'));
        within = code.is_some_and(|code| !code.is_empty() && (!code.starts_with(' ') || within && code.starts_with("    ")));
        match code {
            Some(code) if within && line.starts_with("//") => other.extend([code, "\n"]),
            Some(code) if within => own.extend([code, "\n"]),
            _ => own.extend([line, "\n"]),
        }
    }
    (own, other)
}

fn policies(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            policies(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "policy") {
            found.push(path);
        }
    }
}

#[test]
fn every_example_in_the_files_to_edit_compiles() {
    let home = tempfile::tempdir().expect("a folder");
    let put = |path: &str, text: &[u8]| {
        let path = home.path().join(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    };
    BESIDE.iter().for_each(|(path, text)| put(&format!("customizations/{path}"), text));
    let customizations = root().join("customizations");
    let mut files = Vec::new();
    policies(&customizations, &mut files);
    let mut services = 0;
    for file in &files {
        let text = fs::read_to_string(file).expect("readable");
        let (own, other) = uncommented(&text);
        let path = file.strip_prefix(&customizations).expect("below it").display().to_string();
        assert_ne!(own, text, "{path} has no example");
        put(&format!("customizations/{path}"), own.as_bytes());
        if !other.is_empty() {
            services += 1;
            put(&format!("services/example-{services}.policy"), other.as_bytes());
        }
    }
    assert!(files.len() > 20 && services == 1, "{} files, {services} services", files.len());
    assert_eq!(said(home.path()), "");
}
