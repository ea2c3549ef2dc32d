//! Checks the floors: a module imports only from its own floor and those below.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it stands"
)]

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};

/// From the lowest to the highest. Modules on one line may not use each other.
const FLOORS: [&str; 6] = ["data", "services", "policy", "front", "casefile", "cli"];

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The modules at the top of the crate that a line names, `use crate::{a, b}` included.
fn named(line: &str) -> impl Iterator<Item = &str> {
    line.split("crate::").skip(1).flat_map(|rest| {
        let rest = rest
            .strip_prefix('{')
            .map_or_else(|| rest.split(['}', ';']).next().unwrap_or(rest), |group| group.split(';').next().unwrap_or(group));
        rest.split(',').map(|name| {
            let name = name.trim();
            &name[..name.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(name.len())]
        })
    })
}

#[test]
fn no_module_uses_a_floor_above_its_own() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut upward = Vec::new();
    let mut seen = 0;
    for (floor, name) in FLOORS.iter().enumerate() {
        let mut files = Vec::new();
        sources(&root.join(name), &mut files);
        for file in files
            .iter()
            .filter(|file| !file.components().any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs"))))
        {
            let text = fs::read_to_string(file).expect("a source");
            for (number, line) in text.lines().enumerate() {
                for other in named(line).filter_map(|other| FLOORS.iter().position(|floor| *floor == other)) {
                    seen += 1;
                    if other > floor {
                        upward.push(format!("{}:{}: {}", file.display(), number + 1, line.trim()));
                    }
                }
            }
        }
    }
    assert!(seen > 500, "only {seen} imports were read");
    assert!(upward.is_empty(), "imports that go up:\n{}", upward.join("\n"));
}

#[test]
fn nothing_stands_beside_the_floors() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut names: Vec<String> = fs::read_dir(root)
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    names.sort();
    let mut expected: Vec<&str> = FLOORS.to_vec();
    expected.extend(["lib.rs", "main.rs"]);
    expected.sort_unstable();
    assert_eq!(names, expected);
}

/// Checks the map in `engine/README.md`: every file and folder in it exists, and everything on a floor is in it.
#[test]
fn the_map_shows_the_house() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let readme = fs::read_to_string(root.join("README.md")).expect("a map");
    let named: Vec<&str> = readme.split('`').skip(1).step_by(2).chain(readme.split_whitespace()).collect();
    let there = |path: &str| root.join("src").join(path).exists() || root.join("src").join(format!("{path}.rs")).exists();
    let of_floor = |name: &&str| FLOORS.iter().any(|floor| name.strip_prefix(floor).is_some_and(|rest| rest.starts_with('/')));
    for name in named.iter().copied().filter(of_floor).filter(|name| !name.contains(['<', '`', '(', '*'])) {
        assert!(there(name.trim_end_matches(['/', ',', '.', ';'])), "the map names `{name}`");
    }
    for floor in ["data", "services", "policy", "front"] {
        for entry in fs::read_dir(root.join("src").join(floor)).expect("a floor") {
            let name = entry.expect("an entry").file_name().into_string().expect("a name");
            let module = name.trim_end_matches(".rs");
            let wanted = format!("{floor}/{module}");
            assert!(module == "mod" || named.contains(&wanted.as_str()), "the map lacks `{wanted}`");
        }
    }
}

/// Most files that may need each other in a cycle.
const CIRCLE: usize = 8;

/// `policy/exec/compare.rs` is `policy::exec::compare`.
fn module(root: &Path, file: &Path) -> Vec<String> {
    let path = file.strip_prefix(root).expect("a file of the house").with_extension("");
    let mut parts: Vec<String> = path.components().map(|part| part.as_os_str().to_str().expect("a name").to_owned()).collect();
    if parts.last().is_some_and(|last| last == "mod") {
        parts.pop();
    }
    parts
}

/// What a file imports, as paths from the top of the crate.
fn imports(path: &regex::Regex, own: &[String], text: &str) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    for import in path.captures_iter(text) {
        let mut base: Vec<String> = if &import[1] == "super" { own[..own.len().saturating_sub(1)].to_vec() } else { Vec::new() };
        base.extend(import[2].split("::").filter(|part| !part.is_empty()).map(str::to_owned));
        let group = import.get(3).map_or("", |group| group.as_str());
        found.extend(group.split(',').map(|name| [base.clone(), name.trim().split("::").map(str::to_owned).collect()].concat()));
    }
    found
}

/// A file can be understood with few others: there is no large cycle of files that need each other.
#[test]
fn no_circle_of_files_is_large() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&root, &mut files);
    let modules: Vec<Vec<String>> = files.iter().map(|file| module(&root, file)).collect();
    let at: HashMap<&[String], usize> = modules.iter().enumerate().map(|(at, module)| (module.as_slice(), at)).collect();
    let path = regex::Regex::new(r"\b(crate|super)((?:::\w+)+)(?:::\{([^{}]*)\})?").expect("a pattern");
    let mut needs = vec![Vec::new(); modules.len()];
    for (from, (file, own)) in
        files.iter().zip(&modules).enumerate().filter(|(_, (_, own))| own.last().is_some_and(|last| last != "tests"))
    {
        let text = fs::read_to_string(file).expect("a source");
        let text = text.split("#[cfg(test)]\nmod tests {").next().expect("a beginning");
        for import in imports(&path, own, text) {
            let to = (1..=import.len()).rev().find_map(|length| at.get(&import[..length]).copied());
            needs[from].extend(to.filter(|to| *to != from));
        }
    }
    let reaches = |from: usize| {
        let (mut seen, mut next) = (HashSet::new(), vec![from]);
        while let Some(at) = next.pop() {
            next.extend(needs[at].iter().copied().filter(|to| seen.insert(*to)));
        }
        seen
    };
    let reached: Vec<HashSet<usize>> = (0..modules.len()).map(reaches).collect();
    let circle = |from: usize| -> Vec<String> {
        reached[from].iter().filter(|to| reached[**to].contains(&from)).map(|to| modules[*to].join("::")).collect()
    };
    let largest = (0..modules.len()).map(circle).max_by_key(Vec::len).expect("files");
    assert!(!largest.is_empty(), "no import was read");
    assert!(largest.len() <= CIRCLE, "{} files need each other: {}", largest.len(), largest.join(", "));
}
