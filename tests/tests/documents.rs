//! The operators' pages in `docs/` say what is so. Some are made from the program and the shipped files, and these tests hold them to it;
//! `UPDATE_EXPECT=1` writes them anew. The others are held by what they name.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use portcullis_tests::process::{Process, Start, command, command_with};
use serde_json::Value;

fn top() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn read(path: &str) -> String {
    fs::read_to_string(top().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What a command of the program prints in a home with nothing but what ships.
fn said(words: &[&str]) -> String {
    let home = tempfile::tempdir().expect("a folder");
    let said = command(home.path(), words).expect("it runs");
    assert!(said.success, "{words:?}: {}", said.stderr);
    said.stdout
}

fn listed(kind: &str) -> Vec<BTreeMap<String, String>> {
    let all: Value = serde_json::from_str(&said(&["list", "--json", kind])).expect("JSON");
    serde_json::from_value(all[kind].clone()).expect("rows of texts")
}

/// A text as a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}

/// Compares a page with the one in the tree, or writes it.
fn is_in_the_tree(path: &str, text: &str) {
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(top().join(path), text).expect("the tree is writable");
    }
    assert!(
        fs::read_to_string(top().join(path)).unwrap_or_default() == text,
        "{path} is not up to date: UPDATE_EXPECT=1 writes it"
    );
}

const MADE: &str =
    "Made from the shipped policies by `UPDATE_EXPECT=1 cargo test -p portcullis-tests --test documents`; do not edit.";

#[test]
fn the_page_of_endpoints_is_that_of_the_services() {
    let mut text = format!(
        "# Endpoints\n\n{MADE} `instance_modifier` of `gateway.yaml` comes before each path, `disable` and `enable` switch services by name.\n\n\
         | methods | path | service | what it does |\n|---|---|---|---|\n"
    );
    for row in listed("services") {
        let _ = writeln!(text, "| {} | `{}` | {} | {} |", row["methods"], row["path"], row["service"], cell(&row["description"]));
    }
    text.push_str("\n## Tasks\n\n| task | every | what it does |\n|---|---|---|\n");
    for row in listed("tasks") {
        let _ = writeln!(text, "| {} | {} | {} |", row["task"], row["every"], cell(&row["description"]));
    }
    is_in_the_tree("docs/endpoints.md", &text);
}

#[test]
fn the_page_of_error_codes_is_that_of_the_table() {
    let table: Value = serde_json::from_str(&read("fragments/errors/fail-codes.json")).expect("JSON");
    let mut text = format!(
        "# Error codes\n\n{MADE}\n\nAn error answer carries `x-ca-err`: four digits of the operation, where it has them, and three of the \
         reason. Its body is JSON with `error` and `error_description`. \"#OTK Fail with error message\" words codes of your own, 700 to \
         899.\n\n## Operations\n\n| digits | service |\n|---|---|\n"
    );
    for row in listed("services") {
        let name = row["service"].trim_end_matches(" (disabled)");
        let policy = read(&row["file"]);
        let (_, head) = policy.split_once(&format!("service \"{name}\"")).unwrap_or_else(|| panic!("{name} is in its file"));
        let head = head.split("\nservice ").next().unwrap_or(head);
        // Where an operation has others besides, this one is the last resort.
        let prefix = head.split_once("apiPrefix: ").and_then(|(_, rest)| rest.lines().next()?.split('"').nth(1)).unwrap_or("");
        let prefix = if prefix.is_empty() { "none".to_owned() } else { format!("`{prefix}`") };
        let _ = writeln!(text, "| {prefix} | {name} |");
    }
    for (title, key) in [("Reasons", "codes"), ("Operations that word a reason in their own way", "operations")] {
        let _ = write!(text, "\n## {title}\n\n| code | status | `error` | text |\n|---|---|---|---|\n");
        for (code, row) in table[key].as_object().expect("an object") {
            let word = |name: &str| cell(row[name].as_str().unwrap_or_default());
            let _ = writeln!(text, "| `{code}` | {} | `{}` | {} |", row["status"], word("error"), word("error_description"));
        }
    }
    is_in_the_tree("docs/error-codes.md", &text);
}

#[test]
fn the_page_of_hooks_names_each_and_what_it_may_set() {
    let mut text = format!(
        "# What can be customized\n\n{MADE} `portcullis list hooks` and `list variables` say the same of a home, with what is customized \
         there; `portcullis explain NAME` says where to write it.\n\n## Hooks and extensions\n\n| declaration | in | file below the home | \
         what the policy is for |\n|---|---|---|---|\n"
    );
    for row in listed("hooks") {
        let file = row["file"].trim_end_matches(" (to be made)");
        let _ = writeln!(text, "| `{}` | {} | `{file}` | {} |", row["hook"], cell(&row["in"]), cell(&row["description"]));
    }
    text.push_str("\n## Variables\n\nWhat a hook may set, with the value as it ships.\n\n| variable | value | hook | |\n|---|---|---|---|\n");
    for row in listed("variables").iter().filter(|row| row["hook"] != "(built in)") {
        let value = if row["value"].is_empty() { String::new() } else { format!("`{}`", cell(&row["value"])) };
        let _ = writeln!(text, "| `{}` | {value} | {} | {} |", row["variable"], row["hook"], cell(&row["description"]));
    }
    is_in_the_tree("docs/hooks.md", &text);
}

#[test]
fn the_schema_is_that_of_the_settings() {
    is_in_the_tree("docs/gateway.schema.json", &said(&["schema"]));
}

/// Every hook has a file in `customizations/` that shows how it is used.
#[test]
fn every_hook_ships_with_examples() {
    for row in listed("hooks") {
        assert!(!row["file"].ends_with("(to be made)"), "{} has no file in customizations/", row["hook"]);
    }
}

/// What pages name exists: files of the tree that they link to, and subcommands that they call.
#[test]
fn what_the_pages_name_exists() {
    let help = said(&["--help"]);
    let pages =
        fs::read_dir(top().join("docs")).expect("docs/").flatten().map(|entry| format!("docs/{}", entry.file_name().display()));
    let pages = pages.chain(["README.md", "packaging/README.md"].map(str::to_owned)).filter(|page| page.ends_with(".md"));
    for page in pages {
        let text = read(&page);
        let folder = Path::new(&page).parent().unwrap_or(Path::new(""));
        for link in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = link.split('#').next().unwrap_or_default();
            assert!(file.contains("://") || file.is_empty() || top().join(folder).join(file).exists(), "{page} links to {link}");
        }
        for rest in text.split("portcullis ").skip(1) {
            let word: String = rest.chars().take_while(|c| c.is_ascii_lowercase()).collect();
            let called = rest.as_bytes().get(word.len()).is_none_or(|next| matches!(next, b' ' | b'`' | b'\n' | b'"'));
            let prose = ["and", "is", "gives", "as", "to", "runs", "image", "in"];
            if !word.is_empty() && called && !prose.contains(&word.as_str()) {
                assert!(
                    help.lines().any(|line| line.trim_start().starts_with(&format!("{word} "))),
                    "{page}: `portcullis {word}`"
                );
            }
        }
    }
}

/// What a gateway that runs has in its home is on the page that says who may read it.
#[test]
fn the_files_of_a_home_are_named() {
    let page = read("docs/operating.md");
    let dir = tempfile::tempdir().expect("a folder");
    let home = dir.path().join("home");
    let _running = Process::gateway(&home, &Start::default()).expect("a start");
    let said = command_with(&home, &["user", "add", "alice"], "alice-password").expect("a command");
    assert!(said.success, "{}", said.stderr);
    for (folder, before) in [("", ""), ("data", "data/")] {
        for entry in fs::read_dir(home.join(folder)).expect("a folder").flatten() {
            let name = entry.file_name().into_string().expect("text");
            // Locks are empty, and the database's own files go with it.
            if name != "data" && !name.ends_with(".lock") && !name.ends_with("-wal") && !name.ends_with("-shm") {
                let slash = if entry.path().is_dir() { "/" } else { "" };
                assert!(page.contains(&format!("| `{before}{name}{slash}` |")), "docs/operating.md does not name {before}{name}");
            }
        }
    }
}

/// The manual's list of signals and of exit codes is the program's.
#[test]
fn signals_and_exit_codes_are_those_of_the_code() {
    let page = read("docs/operating.md");
    let serve = read("engine/src/cli/serve.rs");
    for (kind, name) in [("terminate", "SIGTERM"), ("interrupt", "SIGINT"), ("hangup", "SIGHUP")] {
        assert!(serve.contains(&format!("SignalKind::{kind}()")) && page.contains(&format!("`{name}`")), "{name}");
    }
    assert_eq!(
        serve.matches("SignalKind::").count() - serve.matches("SignalKind}").count(),
        3,
        "a signal that docs/operating.md does not know"
    );
    let codes = read("engine/src/cli/mod.rs");
    let codes = codes.split_once("//! Exit codes: ").expect("the list").1;
    for code in ["0 success", "1 a negative result", "2 wrong usage", "3 no gateway is running"] {
        assert!(codes.contains(code) && page.contains(&format!("| {} |", &code[..1])), "{code}");
    }
}
