//! The operators' pages on audit records and metrics say what there is: no more, and no less.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The source tree.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned).unwrap_or_default()
}

/// What stands between `start` and the next quote, everywhere below a folder, in files of this kind.
fn quoted(folder: &Path, kind: &str, start: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            quoted(&path, kind, start, found);
        } else if path.extension().is_some_and(|extension| extension == kind) {
            let text = fs::read_to_string(&path).expect("a text");
            found.extend(text.split(start).skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned));
        }
    }
}

/// The first column of a page's tables, as far as it is in backticks.
fn first_column(page: &str) -> BTreeSet<String> {
    let text = fs::read_to_string(root().join(page)).expect("the page");
    text.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).map(str::to_owned).collect()
}

#[test]
fn every_event_is_on_the_page_of_audit_records() {
    let mut found = BTreeSet::new();
    for folder in ["policies", "fragments"] {
        for start in ["event: \"", "audit_event = \""] {
            quoted(&root().join(folder), "policy", start, &mut found);
        }
    }
    for folder in ["engine/src/front", "engine/src/cli"] {
        for start in ["audit(\"", "event: \"", "event = \"", "{ \"key_"] {
            let mut here = BTreeSet::new();
            quoted(&root().join(folder), "rs", start, &mut here);
            found.extend(here.into_iter().map(|word| if start == "{ \"key_" { format!("key_{word}") } else { word }));
        }
    }
    let mut page = first_column("docs/audit.md");
    // Where records go.
    for target in ["log", "syslog", "journal", "stdout", "off", "audit:"] {
        page.remove(target);
    }
    assert_eq!(found, page);
}
