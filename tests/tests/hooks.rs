//! Holds what the toolkit documents for operators (`cases/hooks.yaml`) against what ships. Policies as the old gateway exports them, one for
//! each place to customize, are imported: each must land in its place, load, and find every documented variable. A service calls each
//! documented assertion with every input and reads every output.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

use portcullis_tests::process::command;
use portcullis_tests::put;
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Documented {
    hooks: Vec<Hook>,
    assertions: Vec<Assertion>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Hook {
    name: String,
    #[serde(default)]
    spelled: Vec<String>,
    #[serde(default)]
    reads: Vec<String>,
    #[serde(default)]
    sets: BTreeMap<String, String>,
    /// What nothing here reads, and why.
    #[serde(default)]
    without_effect: BTreeMap<String, String>,
    absent: Option<String>,
    acts: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Assertion {
    name: String,
    #[serde(default)]
    spelled: Vec<String>,
    #[serde(default)]
    inputs: BTreeMap<String, String>,
    #[serde(default)]
    outputs: Vec<String>,
    absent: Option<String>,
    acts: Option<String>,
}

fn documented() -> Documented {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/hooks.yaml");
    serde_yaml::from_str(&fs::read_to_string(path).expect("a file")).expect("the documented places")
}

/// How a policy is called there: as documented, in another case, in another spelling.
fn spellings(name: &str, spelled: &[String]) -> [String; 3] {
    let other = spelled.first().cloned().unwrap_or_else(|| name.to_lowercase());
    [name.to_owned(), name.to_uppercase(), other]
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn set(variable: &str, value: &str) -> String {
    format!(
        "<L7p:SetVariable><L7p:Expression stringValue=\"{}\"/><L7p:VariableToSet stringValue=\"{variable}\"/></L7p:SetVariable>",
        escaped(value)
    )
}

/// A bundle with a policy for each place.
fn bundle(policies: &[(String, String)]) -> String {
    let mut items = String::new();
    for (at, (name, steps)) in policies.iter().enumerate() {
        let policy = format!(
            "<wsp:Policy xmlns:L7p=\"http://www.layer7tech.com/ws/policy\" \
             xmlns:wsp=\"http://schemas.xmlsoap.org/ws/2002/12/policy\"><wsp:All wsp:Usage=\"Required\">{steps}</wsp:All></wsp:Policy>"
        );
        let _ = write!(
            items,
            "<l7:Item><l7:Name>{0}</l7:Name><l7:Id>{at}</l7:Id><l7:Type>POLICY</l7:Type><l7:Resource><l7:Policy guid=\"g-{at}\" id=\"{at}\">\
             <l7:PolicyDetail guid=\"g-{at}\" id=\"{at}\"><l7:Name>{0}</l7:Name><l7:PolicyType>Include</l7:PolicyType></l7:PolicyDetail>\
             <l7:Resources><l7:ResourceSet tag=\"policy\"><l7:Resource type=\"policy\">{1}</l7:Resource></l7:ResourceSet></l7:Resources>\
             </l7:Policy></l7:Resource></l7:Item>",
            escaped(name),
            escaped(&policy)
        );
    }
    format!(
        "<l7:Bundle xmlns:l7=\"http://ns.l7tech.com/2010/04/gateway-management\"><l7:References>{items}</l7:References></l7:Bundle>"
    )
}

#[test]
fn every_documented_place_takes_a_migrated_policy() {
    let documented = documented();
    let mut wrong = Vec::new();
    for spelling in 0..3 {
        let home = tempfile::tempdir().expect("a folder");
        let mut policies = Vec::new();
        for hook in documented.hooks.iter().filter(|hook| hook.absent.is_none()) {
            let mut steps = String::new();
            for (at, read) in hook.reads.iter().enumerate() {
                steps += &set(&format!("seen{at}"), &format!("${{{read}}}"));
            }
            for (name, value) in &hook.sets {
                steps += &set(name, value);
            }
            for name in hook.without_effect.keys() {
                steps += &set(name, "1");
            }
            if hook.reads.is_empty() && hook.sets.is_empty() {
                steps += "<L7p:TrueAssertion/>";
            }
            policies.push((spellings(&hook.name, &hook.spelled)[spelling].clone(), steps));
        }
        // A new home has every customization as it ships; nobody wrote those files.
        if spelling == 0 {
            let said = command(home.path(), &["init", &home.path().display().to_string()]).expect("it runs");
            assert!(said.success, "{}{}", said.stdout, said.stderr);
        }
        let file = home.path().join("hooks.bundle");
        fs::write(&file, bundle(&policies)).expect("the folder is writable");
        let said = command(home.path(), &["import", &file.display().to_string(), "--apply", "--json"]).expect("it runs");
        if !said.success {
            wrong.push(
                format!("{}{}", said.stdout, said.stderr).chars().rev().take(2000).collect::<String>().chars().rev().collect(),
            );
        }
        let report: Value = serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{}{}", said.stdout, said.stderr));
        let mut useless: BTreeSet<&str> =
            documented.hooks.iter().flat_map(|hook| hook.without_effect.keys().map(String::as_str)).collect();
        for error in report["findings"].as_array().expect("findings") {
            // What the test itself sets to have something read is read by nobody.
            let message = error["message"].as_str().expect("words");
            if message.split('`').nth(1).is_some_and(|name| useless.remove(name)) {
                continue;
            }
            if error["topic"] == "missing" || (error["topic"] == "variable" && !message.starts_with("`seen")) {
                wrong.push(format!("{}: {}", error["to"], error["message"]));
            }
        }
        wrong.extend(useless.iter().map(|name| format!("nobody says that `{name}` does nothing here")));
        for (hook, policy) in policies.iter().zip(report["policies"].as_array().expect("policies")) {
            let becomes = policy["becomes"].as_str().expect("words");
            if !becomes.starts_with("customize ") && !becomes.starts_with("extension ") {
                wrong.push(format!("`{}` has no place: it becomes {becomes}", hook.0));
                continue;
            }
            let (path, _) = policy["to"].as_str().expect("a place").rsplit_once(':').expect("a line");
            let text = fs::read_to_string(home.path().join(path)).unwrap_or_default();
            for line in text.lines().filter(|line| line.trim_start().starts_with("declare ")) {
                wrong.push(format!("`{}`: `{}` is not known there", hook.0, line.trim().trim_start_matches("declare ")));
            }
        }
        let check = command(home.path(), &["check"]).expect("it runs");
        if !check.success {
            wrong.push(check.stderr);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_documented_assertion_takes_its_inputs_and_gives_its_outputs() {
    let documented = documented();
    let home = tempfile::tempdir().expect("a folder");
    let mut text = String::new();
    for (at, assertion) in documented.assertions.iter().filter(|assertion| assertion.absent.is_none()).enumerate() {
        let _ = writeln!(text, "service \"S{at}\" at \"/s{at}\" {{");
        let mut given = Vec::new();
        for (input, value) in &assertion.inputs {
            match value.strip_prefix("message ") {
                Some(body) => {
                    let _ = writeln!(text, "set given: message = \"{body}\"");
                    given.push(format!("{input}: ${{given}}"));
                }
                None => given.push(format!("{input}: \"{}\"", value.replace('"', "\\\""))),
            }
        }
        let _ = writeln!(text, "\"{}\" ({}) else Continue", assertion.name, given.join(", "));
        for (n, output) in assertion.outputs.iter().enumerate() {
            let _ = writeln!(text, "set seen{n} = ${{{output}}}");
        }
        text += "}\n";
    }
    put(home.path(), "services/all.policy", &text);
    let check = command(home.path(), &["check"]).expect("it runs");
    assert!(check.success, "{}\n{}", check.stdout, check.stderr);
}

#[test]
fn what_is_absent_says_why_and_what_acts_has_a_case() {
    let documented = documented();
    let hooks = documented.hooks.iter().map(|hook| (&hook.name, &hook.absent, &hook.acts, &hook.spelled));
    let assertions = documented.assertions.iter().map(|own| (&own.name, &own.absent, &own.acts, &own.spelled));
    let mut wrong = Vec::new();
    for (name, absent, acts, spelled) in hooks.chain(assertions) {
        if absent.as_ref().is_some_and(|why| why.len() < 20) {
            wrong.push(format!("`{name}`: why is it absent?"));
        }
        if spelled.contains(name) {
            wrong.push(format!("`{name}`: the other spelling is the same"));
        }
        let Some(acts) = acts else { continue };
        let case = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases").join(acts);
        if !case.exists() {
            wrong.push(format!("`{name}`: there is no case {acts}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
