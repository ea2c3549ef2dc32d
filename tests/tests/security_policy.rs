//! Checks `SECURITY.md`: each limit has the stated default, and no limit of `gateway.yaml` is missing.

use std::fs;
use std::path::Path;

use portcullis::Config;

/// A file of the top level.
fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The cells of the rows below a table's head, without backquotes.
fn rows<'t>(text: &'t str, head: &str) -> Vec<Vec<&'t str>> {
    let (_, table) = text.split_once(head).unwrap_or_else(|| panic!("no table with the head `{head}`"));
    let lines = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let rows: Vec<Vec<&str>> =
        lines.map(|line| line.trim_matches('|').split('|').map(|cell| cell.trim().trim_matches('`')).collect()).collect();
    assert!(!rows.is_empty(), "the table with the head `{head}` is empty");
    rows
}

/// A configuration with this one setting.
fn with(setting: &str, value: &str) -> Result<Config, String> {
    let (section, key) = setting.split_once('.').expect("`section.key`");
    let text = format!("{section}:\n  {key}: {value}\n");
    Config::read([(setting, text.as_str())]).map_err(|error| error.to_string())
}

#[test]
fn every_limit_is_the_one_of_the_code() {
    let text = read("SECURITY.md");
    let settings = rows(&text, "| setting | default | what is bounded |");
    for row in &settings {
        let [setting, default, _] = row[..] else { panic!("three columns: {row:?}") };
        let config = with(setting, default).unwrap_or_else(|error| panic!("{setting}: {error}"));
        // Setting the default changes nothing.
        assert!(config == Config::default(), "SECURITY.md says that `{setting}` is {default}, the code has another default");
    }
    // The error for an unknown key lists the known ones.
    let known = with("limits.no_such_limit", "1").expect_err("an unknown limit");
    let (_, known) = known.split_once("known here: ").expect("the message lists what is known");
    for limit in known.trim().split(", ") {
        let named = settings.iter().any(|row| row[0] == format!("limits.{limit}"));
        assert!(named, "SECURITY.md lacks `limits.{limit}`");
    }
}

#[test]
fn every_variable_is_the_one_of_its_policy() {
    let text = read("SECURITY.md");
    let mut policies = Vec::new();
    find_policies(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../fragments"), &mut policies);
    for row in rows(&text, "| variable | policy | default | what is bounded |") {
        let [variable, policy, default, _] = row[..] else { panic!("four columns: {row:?}") };
        let head = format!("assertion \"{policy}\" (");
        let source = policies.iter().find_map(|source| source.split_once(&head)).unwrap_or_else(|| panic!("no {head}…"));
        // The first `set` of the name is the default; the hook and the caller come after it.
        let set = format!("set {variable} = ");
        let value = source.1.lines().find_map(|line| line.trim_start().strip_prefix(&set)).unwrap_or_else(|| panic!("no {set}…"));
        let value = value.split_once("//").map_or(value, |(value, _)| value).trim();
        assert_eq!(value, default, "`{variable}` of {policy}");
    }
}

#[test]
fn every_constant_is_the_one_of_its_file() {
    let text = read("SECURITY.md");
    for row in rows(&text, "| constant | file | value | what is bounded |") {
        let [constant, file, value, _] = row[..] else { panic!("four columns: {row:?}") };
        let source = read(file);
        let line = source.lines().find(|line| line.contains(&format!("const {constant}: ")));
        let line = line.unwrap_or_else(|| panic!("{file} has no constant {constant}"));
        let (_, expression) = line.trim_end_matches(';').split_once(" = ").unwrap_or_else(|| panic!("{line}"));
        assert_eq!(number(expression).to_string(), value, "{constant} in {file}");
    }
}

/// The value of `1_000`, `1 << 20` or `from_secs(5)`.
fn number(expression: &str) -> u64 {
    let digits = |text: &str| {
        let inside = text.split_once("from_secs(").map_or(text, |(_, seconds)| seconds.trim_end_matches(')'));
        inside.trim().replace('_', "").parse().unwrap_or_else(|_| panic!("`{expression}` is not read here"))
    };
    match expression.split_once("<<") {
        Some((left, right)) => digits(left) << digits(right),
        None => digits(expression),
    }
}

fn find_policies(folder: &Path, texts: &mut Vec<String>) {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            find_policies(&path, texts);
        } else if path.extension().is_some_and(|extension| extension == "policy") {
            texts.push(fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())));
        }
    }
}
