//! The operators' pages on audit records and metrics say what there is: no more, and no less.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use portcullis_tests::load::{self, Target};
use portcullis_tests::process::{Process, Start};
use portcullis_tests::{block_on, put};

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
    for folder in ["engine/src/front", "engine/src/cli", "engine/src/services/telemetry"] {
        for start in ["audit(\"", "event: \"", "event = \"", "{ \"key_", "recorded(&home, \""] {
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

/// Waits until something is so.
fn wait(what: &str, is: impl Fn() -> bool) {
    let began = Instant::now();
    while !is() {
        assert!(began.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn get(process: &Process, path: &str) -> u16 {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let place = Target { address: process.https, tls: true };
    block_on(load::once(place, request.as_bytes())).expect("an answer").0
}

#[test]
fn the_level_of_the_log_is_live_and_about_this_program() {
    let home = tempfile::tempdir().expect("a folder");
    let settings = |level: &str| format!("logging: {{ level: {level} }}\nmonitoring: {{ listen: \"off\" }}\n");
    put(home.path(), "gateway.yaml", &settings("info"));
    let mut process = Process::gateway(home.path(), &Start::default()).expect("a start");
    let api = "/oauth/v2/protectedapi/foo";
    assert_eq!(get(&process, api), 401);
    let refusals = || process.log().matches("refused service=").count();
    assert_eq!(refusals(), 0, "{}", process.log());
    put(home.path(), "gateway.yaml", &settings("debug"));
    wait("the level becomes debug", || get(&process, api) == 401 && refusals() > 0);
    let log = process.log();
    for library in ["h2::", "hyper", "rustls", "Connection{", "tokio"] {
        assert!(!log.contains(library), "{library}: {log}");
    }
    put(home.path(), "gateway.yaml", &settings("nonsense=x=y"));
    wait("a level that there is not is refused", || process.log().contains("is not a log level or filter"));
    assert!(process.terminate().expect("an end"), "{}", process.log());
}

#[test]
fn a_moved_audit_file_is_opened_anew_on_hangup() {
    let home = tempfile::tempdir().expect("a folder");
    put(home.path(), "gateway.yaml", "logging: { audit: audit.log }\nmonitoring: { listen: \"off\" }\n");
    let mut process = Process::gateway(home.path(), &Start::default()).expect("a start");
    let (file, moved) = (home.path().join("audit.log"), home.path().join("audit.log.1"));
    let holds = |file: &Path, event: &str| fs::read_to_string(file).is_ok_and(|text| text.contains(event));
    assert_eq!(get(&process, "/oauth/v2/protectedapi/foo"), 401);
    wait("a record", || holds(&file, "access_refused"));
    fs::rename(&file, &moved).expect("the move");
    process.signal("HUP").expect("a signal");
    wait("the file is there again", || file.exists());
    assert_eq!(get(&process, "/oauth/v2/protectedapi/foo"), 401);
    wait("a record in the new file", || holds(&file, "access_refused"));
    assert!(process.terminate().expect("an end"), "{}", process.log());
}

#[test]
fn a_standard_output_that_nobody_reads_costs_records_and_one_line_of_the_log() {
    let home = tempfile::tempdir().expect("a folder");
    put(home.path(), "gateway.yaml", "logging: { audit: stdout }\nmonitoring: { listen: \"off\" }\n");
    let mut process = Process::gateway(home.path(), &Start { hangs_up: true, ..Start::default() }).expect("a start");
    let complaints = || process.log().matches("the audit log cannot be written").count();
    let answered = || assert_eq!(get(&process, "/oauth/v2/protectedapi/foo"), 401);
    wait("the first record that cannot be written", || {
        answered();
        complaints() > 0
    });
    (0..20).for_each(|_| answered());
    assert_eq!(complaints(), 1, "{}", process.log());
    assert!(process.terminate().expect("an end"), "{}", process.log());
}
