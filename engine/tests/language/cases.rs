//! The cases in `tests/cases/`: a policy, a request, and the expected result.
//!
//! ```text
//! # What is true, in a sentence.
//! == policy
//! set t = "a"            bare statements become a command; a text with declarations stays as it is
//! == customization       optional: an operator's file
//! == request             optional: for policies with a service; several may follow, each with its response
//! GET /path
//! == response
//! 200
//! header: value
//!
//! body
//! == result              of a command: `holds`, `fails`, `faults`, or `error P0209`, then outputs as `name = text`
//! holds
//! t = a
//! ```

use std::fmt::Write;
use std::path::{Path, PathBuf};

use portcullis_dsl::Origin;

use crate::harness;

#[test]
fn semantics() {
    run_folder("semantics");
}

#[test]
fn assertions() {
    run_folder("assertions");
}

fn run_folder(folder: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(folder);
    let mut files = Vec::new();
    collect(&folder, &mut files);
    assert!(!files.is_empty(), "no cases in {}", folder.display());
    files.sort();
    let mut wrong = String::new();
    for path in files {
        let text = std::fs::read_to_string(&path).expect("a readable case");
        for (at, case) in split_cases(&text).into_iter().enumerate() {
            if let Err(why) = case.check() {
                let _ = writeln!(wrong, "{} (case {}: {}):\n{why}", path.display(), at + 1, case.title);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "case") {
            files.push(path);
        }
    }
}

#[derive(Default)]
struct Case<'a> {
    title: &'a str,
    sections: Vec<(&'a str, String)>,
}

/// A file may hold several cases; each begins with its `#` lines at the start or after a blank line.
fn split_cases(text: &str) -> Vec<Case<'_>> {
    let mut cases: Vec<Case<'_>> = Vec::new();
    let mut fresh = true;
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("# ").filter(|_| fresh || cases.last().is_some_and(Case::is_complete)) {
            cases.push(Case { title, sections: Vec::new() });
            fresh = false;
            continue;
        }
        let case = cases.last_mut().unwrap_or_else(|| panic!("a case begins with `# `: {line}"));
        if let Some(name) = line.strip_prefix("== ") {
            case.sections.push((name.trim(), String::new()));
        } else if let Some((_, body)) = case.sections.last_mut() {
            body.push_str(line);
            body.push('\n');
        }
    }
    cases
}

impl Case<'_> {
    fn is_complete(&self) -> bool {
        self.sections.last().is_some_and(|(name, _)| matches!(*name, "result" | "response"))
    }

    fn section(&self, name: &str) -> Option<&str> {
        self.sections.iter().find(|(own, _)| *own == name).map(|(_, body)| body.as_str())
    }

    fn check(&self) -> Result<(), String> {
        let policy = self.section("policy").ok_or("no `== policy`")?;
        let result = self.section("result").map(|text| text.trim().lines().collect::<Vec<_>>()).unwrap_or_default();
        let outputs: Vec<(&str, &str)> = result
            .iter()
            .skip(1)
            .filter_map(|line| line.split_once('='))
            .map(|(name, text)| (name.trim(), text.trim()))
            .collect();
        let policy = if declares(policy) { policy.to_owned() } else { wrapped(policy, &outputs) };
        let mut files = vec![("policies/case.policy", policy.as_str(), Origin::Shipped)];
        if let Some(text) = self.section("customization") {
            files.push(("customizations/case.policy", text, Origin::Customization));
        }
        let built = harness::site(&files);
        if let Some(code) = result.first().and_then(|line| line.strip_prefix("error ")) {
            return match built {
                Ok(_) => Err(format!("  it compiles, but {code} was expected")),
                Err(errors) if errors.contains(&format!("[{code}]")) => Ok(()),
                Err(errors) => Err(format!("  {code} was expected, found:\n{errors}")),
            };
        }
        let site = built?;
        if let Some(ending) = result.first() {
            let outcome = harness::command(&site, "case");
            let mut wrong = String::new();
            if outcome.ending != *ending && outcome.ending.split(':').next() != Some(ending) {
                let _ = writeln!(wrong, "  ended as `{}` instead of `{ending}`", outcome.ending);
            }
            for (name, expected) in outputs {
                let found = outcome.outputs.get(name).map_or("undefined", String::as_str);
                if found != expected {
                    let _ = writeln!(wrong, "  {name}: found `{found}` instead of `{expected}`");
                }
            }
            return if wrong.is_empty() { Ok(()) } else { Err(wrong) };
        }
        let mut wrong = String::new();
        let mut sent: Option<&str> = None;
        for (name, body) in &self.sections {
            match (*name, sent) {
                ("request", _) => sent = Some(body),
                ("response", Some(request)) => answers(&harness::request(&site, request), body, &mut wrong),
                _ => {}
            }
        }
        if sent.is_none() {
            return Err("  neither `== result` nor `== request`".to_owned());
        }
        if wrong.is_empty() { Ok(()) } else { Err(wrong) }
    }
}

/// Compares an answer: status, the headers that are listed (`!name` must be missing), the body if one is given.
fn answers(response: &http::Response<bytes::Bytes>, expected: &str, wrong: &mut String) {
    let (head, body) = expected.split_once("\n\n").map_or((expected, None), |(head, body)| (head, Some(body)));
    let body = body.filter(|body| !body.trim().is_empty());
    let mut lines = head.lines().map(str::trim).filter(|line| !line.is_empty());
    let status = lines.next().unwrap_or("");
    if response.status().as_str() != status {
        let _ = writeln!(wrong, "  status {} instead of {status}", response.status().as_str());
    }
    for line in lines {
        if let Some(name) = line.strip_prefix('!') {
            if let Some(found) = response.headers().get(name) {
                let _ = writeln!(wrong, "  header {name} is there: {found:?}");
            }
            continue;
        }
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let found: Vec<&str> = response.headers().get_all(name.trim()).iter().filter_map(|value| value.to_str().ok()).collect();
        if !found.contains(&value.trim()) {
            let _ = writeln!(wrong, "  header {name}: found {found:?} instead of `{}`", value.trim());
        }
    }
    if let Some(expected) = body {
        let found = String::from_utf8_lossy(response.body());
        if found.trim_end() != expected.trim_end() {
            let _ = writeln!(wrong, "  body `{}` instead of `{}`", found.trim_end(), expected.trim_end());
        }
    }
}

fn declares(policy: &str) -> bool {
    let words = ["fragment \"", "assertion \"", "service \"", "task \"", "command \""];
    policy.lines().any(|line| words.iter().any(|word| line.starts_with(word)))
}

fn wrapped(statements: &str, outputs: &[(&str, &str)]) -> String {
    let outs: Vec<String> = outputs.iter().map(|(name, _)| format!("out {name}")).collect();
    format!("command \"case\" ({}) {{\n{statements}}}\n", outs.join(", "))
}
