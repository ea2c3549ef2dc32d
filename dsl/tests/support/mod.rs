//! Common parts of the data-driven suites: walking a folder of cases, and comparing or rewriting their answers.

#![allow(dead_code, reason = "each suite uses its part")]

pub mod random;
pub mod tree;

use std::path::{Path, PathBuf};

/// The files in `tests/FOLDER` that end in `ending`, sorted.
pub fn cases(folder: &str, ending: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.expect("a readable folder").path())
        .filter(|path| path.to_string_lossy().ends_with(ending))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "no cases in {}", folder.display());
    files
}

/// A file's text.
pub fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Compares an answer with the file of the expected one; with `UPDATE_EXPECT=1` writes it there. True if they agree.
pub fn agrees(path: &Path, answer: &str) -> bool {
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        std::fs::write(path, answer).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        return true;
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    if expected == answer {
        return true;
    }
    eprintln!("---- {}\nexpected:\n{expected}\ngot:\n{answer}", path.display());
    false
}

/// Fails with the names of the cases that disagree.
pub fn report(failed: &[PathBuf]) {
    assert!(failed.is_empty(), "these cases differ; UPDATE_EXPECT=1 rewrites the answers: {failed:#?}");
}
