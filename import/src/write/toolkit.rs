//! Which release of the toolkit an export is of, as far as the known tables say.

use std::collections::BTreeMap;

use crate::model::Export;
use crate::names::{Names, spelled};
use crate::releases::State;
use crate::report::{Told, Topic};
use crate::{Options, Otk};

/// How many policies of the toolkit an export has, by what is known of them.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    /// As this release ships them.
    unchanged: BTreeMap<String, usize>,
    /// Otherwise than every known release.
    changed: usize,
    /// In no table.
    unknown: usize,
}

impl Counts {
    fn new(export: &Export, names: &Names) -> Counts {
        let mut counts = Counts::default();
        for (policy, state) in export.policies.iter().zip(&names.states) {
            match state {
                State::Unchanged(releases) => *counts.unchanged.entry(releases.clone()).or_default() += 1,
                State::Changed(_) => counts.changed += 1,
                State::Unknown if is_toolkit(&policy.name) => counts.unknown += 1,
                State::Unknown => {}
            }
        }
        counts
    }

    fn same(&self) -> usize {
        self.unchanged.values().sum()
    }

    /// Whether more differ than can have been changed: it is another release.
    fn is_unknown(&self) -> bool {
        self.changed > 0 && self.changed > self.same()
    }
}

/// Whether the toolkit calls its policies so.
fn is_toolkit(name: &str) -> bool {
    spelled(name).trim_start_matches('#').starts_with("otk ")
}

/// Whether the export is of a release that the tables do not have, so that nobody can say what was changed in it.
pub fn is_unknown(export: &Export, names: &Names) -> bool {
    Counts::new(export, names).is_unknown()
}

/// What a person should know about the release; nothing if there is no toolkit in the export.
pub fn told(export: &Export, names: &Names, options: &Options) -> Vec<Told> {
    let counts = Counts::new(export, names);
    // Who imports the toolkit itself imports all of it.
    if options.otk == Otk::Imported || counts.same() + counts.changed + counts.unknown == 0 {
        return Vec::new();
    }
    let mut parts: Vec<String> =
        counts.unchanged.iter().map(|(release, count)| format!("{count} are as release {release} ships them")).collect();
    if counts.changed > 0 {
        parts.push(format!("{} differ from what each known release ships under their names", counts.changed));
    }
    if counts.unknown > 0 {
        parts.push(format!("{} are in no table: nobody can say whether they were changed", counts.unknown));
    }
    let known = options.releases.names();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    let one =
        |message: String| Told { topic: Topic::Release, policy: String::new(), from: String::new(), to: String::new(), message };
    let mut all = vec![one(format!("of the policies with names of the toolkit, {} (known releases: {known})", parts.join(", ")))];
    let table = "make a table from an export of an installation of that release that nobody has changed (`portcullis import FRESH… \
                 --fingerprint RELEASE > RELEASE.yaml`), and import again with `--releases RELEASE.yaml`";
    if counts.is_unknown() {
        all.push(one(format!(
            "this toolkit is probably of a release that the tables do not have: what your release ships cannot be told from what you \
             changed, and all of it is treated as changed; {table}"
        )));
    } else if counts.unknown > counts.same() {
        all.push(one(format!("to leave out those of them that nobody changed, {table}")));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_the_toolkit_are_known_in_any_spelling() {
        for (name, is) in [("OTK Cache Store", true), ("#otk  Storage Configuration", true), ("Bank OTK", false), ("OTKX", false)]
        {
            assert_eq!(is_toolkit(name), is, "{name}");
        }
        let counts = |same: usize, changed: usize| Counts { unchanged: [("4.2".to_owned(), same)].into(), changed, unknown: 9 };
        assert!(!counts(20, 3).is_unknown() && !counts(0, 0).is_unknown() && counts(1, 2).is_unknown());
    }
}
