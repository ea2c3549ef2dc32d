//! The texts of the pages: every language has all of them, with the same names and numbers in them, and pages have no others.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

/// The folders of texts: a file a language in each.
const FOLDERS: [&str; 3] = ["fragments/authorization/texts", "fragments/manager/texts", "fragments/test_clients/texts"];

/// Where pages are written that have all their words from those files.
const PAGES: [&str; 8] = [
    "fragments/account",
    "fragments/authorization",
    "fragments/manager",
    "fragments/pages",
    "fragments/test_clients",
    "policies/oauth/account.policy",
    "policies/oauth/v2/client",
    "policies/start.policy",
];

/// What is called the same in every language.
const NAMES: [&str; 4] = ["UTC", "id_token", "x-ca-err", "Portcullis"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

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
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut languages: Option<BTreeSet<_>> = None;
    for folder in FOLDERS {
        let english = texts(&root().join(folder).join("en.json"));
        let mut found = BTreeSet::new();
        for entry in fs::read_dir(root().join(folder)).expect("the folder") {
            let file = entry.expect("an entry").path();
            let own = texts(&file);
            for (path, marks) in &english {
                assert_eq!(own.get(path), Some(marks), "{}: {path}", file.display());
            }
            assert_eq!(own.len(), english.len(), "{}", file.display());
            found.insert(file.file_name().expect("a name").to_owned());
        }
        println!("{folder}: {} languages, {} texts each", found.len(), english.len());
        assert!(found.len() >= 4);
        assert_eq!(languages.get_or_insert_with(|| found.clone()), &found, "{folder} has other languages");
        // An operator's file of texts is for all pages, so one name means one text.
        for path in english.into_keys() {
            assert!(!known.contains(&path), "{folder}: {path} is in another folder, too");
            known.insert(path);
        }
    }
}

/// The files of pages.
fn pages() -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open: Vec<PathBuf> = PAGES.iter().map(|path| root().join(path)).collect();
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(fs::read_dir(&path).expect("a folder").map(|entry| entry.expect("an entry").path()));
        } else if path.extension().is_some_and(|kind| kind == "policy" || kind == "html") {
            files.push(path);
        }
    }
    files
}

/// A text without its `${…}`, of which some hold braces of their own.
fn without_variables(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let mut depth = 1;
        let end = after.find(|c| {
            depth += i32::from(c == '{') - i32::from(c == '}');
            depth == 0
        });
        rest = end.map_or("", |end| &after[end + 1..]);
    }
    out + rest
}

/// The words that a piece of HTML shows or reads aloud by itself.
fn words_shown(html: &str) -> Vec<String> {
    static COMMENT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?s)<!--.*?-->|<!DOCTYPE[^>]*>").expect("a pattern"));
    static CODE: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"(?s)<(code|style|script)\b.*?</(code|style|script)>").expect("a pattern"));
    static TAG: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?s)<[^>]*>").expect("a pattern"));
    static SHOWN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"(?:aria-label|aria-description|title|alt|placeholder|data-[a-z]+)=\\?"([^"\\]*)"#).expect("a pattern")
    });
    static WORD: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"[\p{L}][\p{L}\d_-]*").expect("a pattern"));
    let html = without_variables(html).replace("\\n", " ");
    let html = COMMENT.replace_all(&html, " ");
    let html = CODE.replace_all(&html, " ");
    let attributes: Vec<String> = SHOWN
        .captures_iter(&html)
        // For the script, not for people.
        .filter(|found| !found[0].starts_with("data-fragment"))
        .map(|found| found[1].to_owned())
        .collect();
    let text = TAG.replace_all(&html, " ");
    let all = format!("{text} {}", attributes.join(" "));
    WORD.find_iter(&all).map(|word| word.as_str().to_owned()).filter(|word| !NAMES.contains(&word.as_str())).collect()
}

/// The pieces of HTML in a policy.
fn html_of(policy: &str) -> Vec<String> {
    static ATTRIBUTES: LazyLock<Regex> = LazyLock::new(|| Regex::new(r#"^(?:\$\{more\})? ?[a-z-]+=""#).expect("a pattern"));
    static HTML: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r#"(?s)\bhtml (?:"""(.*?)"""|"((?:[^"\\]|\\.)*)")"#).expect("a pattern"));
    HTML.captures_iter(policy)
        .map(|found| found.get(1).or(found.get(2)).expect("a piece").as_str().replace("\\\"", "\""))
        .map(|piece| if ATTRIBUTES.is_match(&piece) { format!("<a {piece}>") } else { piece })
        .collect()
}

/// Sentences that a policy hands on to a page: the values of what is shown by that name.
fn sentences_of(policy: &str) -> Vec<String> {
    static MARK: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"^\{[a-z]+\}").expect("a pattern"));
    static GIVEN: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(
            r#"(?x)
            (?: \b(?: label | hint | problem | title | heading | lead | phrase | otherwise )\b \s* : \s*
              | \bset\ (?: said | title | heading | lead | phrase | verdict_text | name | kind | state | begin | call | list | shown | made
                    | how_many | next_name | customized | methods | password_problem | json_problem | page_name | p_\w+ | \w+_hint ) \s* = \s* )
            "((?:[^"\\]|\\.)*)""#,
        )
        .expect("a pattern")
    });
    // What the parser says is written to the variable that `problem` names.
    let policy: String = policy.lines().filter(|line| !line.contains("ParseJson(")).collect::<Vec<_>>().join("\n");
    GIVEN.captures_iter(&policy).map(|found| MARK.replace_all(&found[1], "").into_owned()).collect()
}

#[test]
fn pages_have_no_words_of_their_own() {
    let mut pieces = 0;
    let mut found = Vec::new();
    for file in pages() {
        let text = fs::read_to_string(&file).expect("a page");
        let code: String = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
        let html = if file.extension().is_some_and(|kind| kind == "html") { vec![text.clone()] } else { html_of(&code) };
        pieces += html.len();
        for piece in &html {
            let words = words_shown(piece);
            if !words.is_empty() {
                found.push(format!("{}: {words:?} in {piece}", file.display()));
            }
        }
        for sentence in sentences_of(&code) {
            let words = words_shown(&sentence);
            if !words.is_empty() {
                found.push(format!("{}: {words:?}", file.display()));
            }
        }
    }
    println!("{pieces} pieces of HTML");
    assert!(pieces > 150, "{pieces}");
    assert!(found.is_empty(), "{} with words that no file of texts has:\n{}", found.len(), found.join("\n"));
}

#[test]
fn words_in_pages_are_found() {
    assert_eq!(words_shown(r#"<a href="${with_query("x", json { "a": 1 })}">Edit ${client.name}</a>"#), ["Edit"]);
    assert_eq!(words_shown(r#"<nav aria-label="Pages"><td data-label="Type">${x}</td> (UTC)"#), ["Pages", "Type"]);
    assert!(words_shown(r#"<th scope="col">${texts.manager_ends} (UTC)</th><code>list hooks</code>"#).is_empty());
    let policy = "set x = html \"<b title=\\\"Name\\\">${y}</b>\"\nset z = html \"\"\"<p>Two words</p>\"\"\"\nset said = \"Saved.\"\n\"F\" (label: \"Scope\")";
    let words: Vec<_> = html_of(policy).iter().flat_map(|piece| words_shown(piece)).collect();
    assert_eq!(words, ["Name", "Two", "words"]);
    assert_eq!(sentences_of(policy), ["Saved.", "Scope"]);
}
