//! The texts of the pages: every language has all of them, with the same names and numbers in them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;

/// Each text by its path, with the marks in it, sorted.
fn marks(value: &Value, path: &str, all: &mut BTreeMap<String, Vec<String>>) {
    match value {
        Value::Object(members) => {
            for (name, value) in members {
                marks(value, &format!("{path}.{name}"), all);
            }
        }
        Value::String(text) => {
            assert!(!text.trim().is_empty() && text.trim() == text, "{path}: `{text}`");
            let mut found: Vec<String> =
                text.split('{').skip(1).filter_map(|rest| Some(rest.split_once('}')?.0.to_owned())).collect();
            found.sort();
            all.insert(path.to_owned(), found);
        }
        other => panic!("{path}: {other} is no text"),
    }
}

fn texts(file: &Path) -> BTreeMap<String, Vec<String>> {
    let text = fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let value: Value = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    let mut all = BTreeMap::new();
    marks(&value, "", &mut all);
    // English has a rule for the names of claims; other languages name those of OpenID Connect.
    all.retain(|path, _| !path.starts_with(".claims."));
    all
}

#[test]
fn every_language_has_all_texts() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fragments/authorization/texts");
    let english = texts(&folder.join("en.json"));
    let mut languages = 0;
    for entry in fs::read_dir(&folder).expect("the folder") {
        let file = entry.expect("an entry").path();
        let own = texts(&file);
        for (path, marks) in &english {
            assert_eq!(own.get(path), Some(marks), "{}: {path}", file.display());
        }
        assert_eq!(own.len(), english.len(), "{}", file.display());
        languages += 1;
    }
    println!("{languages} languages, {} texts each", english.len());
    assert!(languages >= 4);
}
