//! Security standards line by line (`cases/standards.yaml`): every line of a section is listed, every named proof exists, and
//! every line has a proof or a reason. Prints the counts.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use portcullis::Case;
use serde::Deserialize;

/// `cases/standards.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    /// Reasons that several lines share, by name.
    reasons: BTreeMap<String, String>,
    standards: Vec<Standard>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Standard {
    name: String,
    title: String,
    /// How many lines each section of the standard has.
    lines: BTreeMap<String, usize>,
    demands: Vec<Demand>,
}

/// One line of a standard.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Demand {
    /// Section, or number.
    at: String,
    /// Its force.
    level: Level,
    /// Who has to do it.
    who: String,
    /// In our words.
    says: String,
    /// Cases and Rust tests.
    #[serde(default)]
    proof: Vec<String>,
    /// Why it does not concern the gateway.
    not_ours: Option<String>,
    /// Why it is not done, or not by default.
    open: Option<String>,
}

/// The force of a line: a key word of RFC 2119, or a level of ASVS.
#[derive(Deserialize)]
#[serde(untagged)]
enum Level {
    Word(String),
    Asvs(u8),
}

impl Level {
    fn is_known(&self) -> bool {
        match self {
            Level::Word(word) => matches!(word.as_str(), "MUST" | "SHOULD" | "MAY" | "advice"),
            Level::Asvs(level) => (1..=3).contains(level),
        }
    }
}

impl Demand {
    /// The section it counts for: `10.4` of `10.4.3` in ASVS, which numbers its lines; in an RFC all of it.
    fn section(&self) -> &str {
        match self.level {
            Level::Word(_) => &self.at,
            Level::Asvs(_) => self.at.rsplit_once('.').map_or(&*self.at, |(section, _)| section),
        }
    }
}

fn tests_folder() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn workspace() -> PathBuf {
    tests_folder().join("..")
}

/// Checks a proof: the case must exist, or the function must exist and be a test.
fn problem(proof: &str) -> Option<String> {
    let Some((file, name)) = proof.split_once(": ") else {
        let file = tests_folder().join(format!("{proof}.case"));
        return Case::read(&file).err().map(|failure| failure.to_string());
    };
    let text = match fs::read_to_string(workspace().join(file)) {
        Ok(text) => text,
        Err(error) => return Some(format!("{file}: {error}")),
    };
    let Some(start) = text.find(&format!("fn {name}(")) else { return Some(format!("{file} has no `fn {name}`")) };
    // The attribute is right above the function, or above its other attributes.
    let above = text[..start].lines().rev().skip(usize::from(!text[..start].ends_with('\n')));
    let mut attributes = above.take_while(|line| line.trim_start().starts_with("#["));
    let is_test = attributes.any(|line| line.contains("test]") || line.contains("test("));
    (!is_test).then(|| format!("`{name}` in {file} is no test"))
}

#[test]
fn every_line_has_a_proof_or_a_reason() {
    let table: Table = serde_yaml::from_str(include_str!("../cases/standards.yaml")).expect("standards.yaml is as it should be");
    let mut problems = Vec::new();
    for Standard { name, title, lines, demands } in &table.standards {
        let mut counted: BTreeMap<String, usize> = lines.keys().map(|section| (section.clone(), 0)).collect();
        let (mut proven, mut partly, mut not_ours, mut open) = (0, 0, 0, 0);
        for demand in demands {
            let at = format!("{name}, {}: {}", demand.at, demand.says);
            match counted.get_mut(demand.section()) {
                Some(count) => *count += 1,
                None => problems.push(format!("{at}\n    section {} is not in `lines`", demand.section())),
            }
            if !demand.level.is_known() || demand.who.is_empty() || demand.says.is_empty() {
                problems.push(format!("{at}\n    lacks a level, who has to do it, or what it says"));
            }
            problems.extend(demand.proof.iter().filter_map(|proof| Some(format!("{at}\n    {}", problem(proof)?))));
            for reason in [&demand.not_ours, &demand.open].into_iter().flatten() {
                let text = table.reasons.get(reason).unwrap_or(reason);
                if !text.contains(' ') {
                    problems.push(format!("{at}\n    `{reason}` is neither a reason nor in `reasons`"));
                }
            }
            match (demand.proof.is_empty(), &demand.not_ours, &demand.open) {
                (false, None, None) => proven += 1,
                (false, None, Some(_)) => partly += 1,
                (true, Some(_), None) => not_ours += 1,
                (true, None, Some(_)) => open += 1,
                _ => problems.push(format!("{at}\n    needs a proof, or a reason why there is none; not two reasons")),
            }
        }
        for (section, expected) in lines {
            let found = counted.get(section).copied().unwrap_or_default();
            if found != *expected {
                problems.push(format!("{name}, section {section}: {found} lines here, {expected} in the standard"));
            }
        }
        println!(
            "{name} ({title}): {} lines; {proven} proven, {partly} proven but not by default or not in full, {open} open, {not_ours} not \
             ours",
            demands.len()
        );
    }
    assert!(problems.is_empty(), "{} problems:\n{}", problems.len(), problems.join("\n"));
}

#[test]
fn numbered_lines_have_no_gap() {
    let table: Table = serde_yaml::from_str(include_str!("../cases/standards.yaml")).expect("standards.yaml is as it should be");
    // Only some lines of the last standard concern us.
    for standard in table.standards.iter().filter(|standard| !standard.name.ends_with("attempts")) {
        let mut next: BTreeMap<&str, usize> = BTreeMap::new();
        for demand in standard.demands.iter().filter(|demand| matches!(demand.level, Level::Asvs(_))) {
            let number = next.entry(demand.section()).or_default();
            *number += 1;
            assert_eq!(demand.at, format!("{}.{number}", demand.section()), "{}", standard.name);
        }
    }
}

/// After the login form, 307 and 308 would make the browser post the password to the client (RFC 9700, section 4.12).
#[test]
fn no_policy_redirects_with_307_or_308() {
    let mut folders: Vec<PathBuf> = ["policies", "fragments"].iter().map(|folder| workspace().join(folder)).collect();
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).expect("a folder of policies").flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "policy") {
                let text = fs::read_to_string(&path).expect("a policy");
                // `fail 307` is an error's own number, and no status.
                let text = text.replace("fail 307", "fail").replace("fail 308", "fail");
                let code = text.lines().map(|line| line.split_once("//").map_or(line, |(code, _)| code));
                let mut words = code.flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric()));
                assert!(!words.any(|word| word == "307" || word == "308"), "{}", path.display());
                read += 1;
            }
        }
    }
    assert!(read > 50, "only {read} policies found");
}
