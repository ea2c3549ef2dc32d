//! Compares what the toolkit documents of OAuth 2.0 (`cases/documented.yaml`) with the case files. Prints the count. Fails for an
//! operation without a successful case, and for an error without a case that provokes it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use portcullis::{Case, Expectation, StepKind};
use portcullis_tests::case_files;
use serde_yaml::Value;

/// A request of a case file and the expected answer.
struct Exchange {
    file: PathBuf,
    method: String,
    path: String,
    parameters: Vec<String>,
    statuses: Vec<u16>,
    code: Option<String>,
}

/// An error as documented: code, if it has one, and status.
struct Row<'y> {
    code: Option<&'y str>,
    status: u16,
}

impl<'y> Row<'y> {
    fn parse(text: &'y str) -> Row<'y> {
        let (code, status) = text.split_once(' ').map_or((None, text), |(code, status)| (Some(code), status));
        Row { code, status: status.parse().unwrap_or_else(|_| panic!("`{text}`: `CODE STATUS` or `STATUS`")) }
    }

    fn is_shown_by(&self, exchange: &Exchange) -> bool {
        match self.code {
            // Some errors go to the client by redirect; the code identifies them, whatever the status.
            Some(code) => exchange.code.as_deref() == Some(code),
            None => exchange.code.is_none() && exchange.statuses.contains(&self.status),
        }
    }
}

fn exchanges() -> Vec<Exchange> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut found = Vec::new();
    for file in case_files(root) {
        let case = Case::read(&file).unwrap_or_else(|failure| panic!("{failure}"));
        let mut last = None;
        for step in &case.steps {
            match &step.kind {
                StepKind::Request(request) => {
                    let (path, query) = request.target.split_once('?').unwrap_or((&request.target, ""));
                    let parameters = query.split('&').chain(request.body.split('&')).map(str::to_owned).collect::<Vec<_>>();
                    last = Some((request.method.clone(), path.to_owned(), parameters));
                }
                StepKind::Response(expected) => found.extend(last.take().map(|asked| exchange(&file, asked, expected))),
                StepKind::Responses(all) => {
                    let asked = last.take();
                    found.extend(all.iter().filter_map(|(_, expected)| Some(exchange(&file, asked.clone()?, expected))));
                }
                _ => {}
            }
        }
    }
    found
}

fn exchange(file: &Path, (method, path, parameters): (String, String, Vec<String>), expected: &Expectation) -> Exchange {
    let code = expected.headers.iter().find(|(_, name, _)| name.eq_ignore_ascii_case("x-ca-err"));
    let code = code.and_then(|(_, _, pattern)| pattern.clone());
    Exchange { file: file.to_owned(), method, path, parameters, statuses: expected.status.clone(), code }
}

/// Percent-decoding is not needed beyond the colons of grant types.
fn plain(text: &str) -> String {
    text.replace("%3A", ":").replace("%3a", ":")
}

#[test]
fn every_documented_operation_and_error_has_a_case() {
    let text = include_str!("../cases/documented.yaml");
    let list: Value = serde_yaml::from_str(text).expect("documented.yaml is YAML");
    let operations = list["operations"].as_sequence().expect("a list of operations");
    let exchanges = exchanges();
    let (mut rows, mut shown, mut excluded, mut extra) = (0, 0, 0, 0);
    let mut missing = Vec::new();
    let mut used: BTreeMap<&str, BTreeSet<&Path>> = BTreeMap::new();
    for operation in operations {
        let word = |name: &str| operation[name].as_str().unwrap_or_default();
        let name = word("name");
        let (method, path) = word("request").split_once(' ').expect("`request` is a method and a path");
        let form = word("form");
        let fits = |exchange: &&Exchange| {
            // An unknown grant type is tested as a known one with a suffix.
            let formed = form.is_empty() || exchange.parameters.iter().any(|one| plain(one).starts_with(form));
            let there = path.strip_suffix('*').map_or(exchange.path == path, |start| exchange.path.starts_with(start));
            there && formed
        };
        let own: Vec<&Exchange> = exchanges.iter().filter(fits).collect();
        let succeeds = |exchange: &&&Exchange| {
            exchange.method == method && exchange.code.is_none() && exchange.statuses.iter().all(|status| *status < 400)
        };
        match own.iter().find(succeeds) {
            Some(exchange) => drop(used.entry(name).or_default().insert(&exchange.file)),
            None => missing.push(format!("{name}: no case succeeds")),
        }
        let cannot = operation["cannot"].as_mapping();
        let listed = |member: &str| operation[member].as_sequence().map_or(&[][..], Vec::as_slice);
        for (text, documented) in
            listed("errors").iter().map(|row| (row, true)).chain(listed("extra").iter().map(|row| (row, false)))
        {
            let text = text.as_str().expect("an error is a text");
            let row = Row::parse(text);
            if documented {
                rows += 1;
            }
            let reason = row.code.and_then(|code| cannot?.get(code)?.as_str());
            match (own.iter().find(|exchange| row.is_shown_by(exchange)), reason) {
                (Some(_), Some(reason)) => panic!("{name}: {text} is said to be impossible ({reason}), but there is a case"),
                (None, Some(_)) => excluded += 1,
                (None, None) => missing.push(format!("{name}: no case gets {text}")),
                (Some(exchange), None) => {
                    if documented {
                        shown += 1
                    } else {
                        extra += 1
                    }
                    used.entry(name).or_default().insert(&exchange.file);
                }
            }
        }
    }
    let count = operations.len();
    println!(
        "OAuth 2.0: {count} documented operations; of {rows} documented errors {shown} have a case and {excluded} cannot come up; \
         {extra} further errors have one"
    );
    for (name, files) in &used {
        println!("  {name}: {} case files", files.len());
    }
    assert!(missing.is_empty(), "{} of them lack a case:\n{}", missing.len(), missing.join("\n"));
}
