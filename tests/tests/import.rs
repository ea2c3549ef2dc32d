//! Imports: a bundle with every assertion that has a translation is imported, loads, runs, and answers what it answers on the old
//! gateway (`tests/import/answers.yaml`).

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};

use portcullis_tests::process::{Process, Start, command, command_with};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    request: String,
    status: u16,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    /// Header fields of the request.
    #[serde(default)]
    send: BTreeMap<String, String>,
    /// Its body, and how often it is in there.
    #[serde(default)]
    content: String,
    #[serde(default = "once")]
    times: usize,
}

fn once() -> usize {
    1
}

fn of(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("import").join(name)
}

/// A home with the database that the bundle's queries name.
fn home() -> tempfile::TempDir {
    home_with("")
}

fn home_with(settings: &str) -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("a folder");
    let settings = format!("connections:\n  Things: sqlite://data/things.db\nlogging: {{ level: info }}\n{settings}");
    fs::write(home.path().join("gateway.yaml"), settings).expect("the folder is writable");
    home
}

fn ask(http: SocketAddr, line: &str) -> (u16, String, String) {
    send(http, line, "", "")
}

fn send(http: SocketAddr, line: &str, fields: &str, body: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(http).expect("it listens");
    let length = body.len();
    write!(stream, "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}Content-Length: {length}\r\n\r\n{body}")
        .expect("it reads");
    let mut all = Vec::new();
    stream.read_to_end(&mut all).expect("it answers");
    let all = String::from_utf8_lossy(&all).into_owned();
    let (head, body) = all.split_once("\r\n\r\n").expect("an answer");
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
    (status, head.to_owned(), body.to_owned())
}

fn import(home: &Path, words: &[&str]) -> (bool, String) {
    let mut all = vec!["import"];
    all.extend(words);
    let said = command(home, &all).expect("it runs");
    (said.success, said.stdout + &said.stderr)
}

#[test]
fn every_service_of_an_import_answers_as_before() {
    answers_as_before(&home(), "assertions.xml", "answers.yaml");
}

/// What imports ask of the language: dates by patterns, drafted answers that can be read, content types, XML of queries, stylesheets,
/// digests of old protocols, messages that count once.
#[test]
fn what_imports_ask_of_the_language_answers_as_before() {
    answers_as_before(&home(), "language.xml", "language.yaml");
}

#[test]
fn a_stylesheet_that_cannot_run_is_named_with_its_line() {
    let home = home();
    let bundle = of("language.xml").display().to_string();
    let (success, said) = import(home.path(), &[&bundle, "--apply"]);
    assert!(success, "{said}");
    let policy = fs::read_to_string(home.path().join("services/l foreign.policy")).expect("a file");
    assert!(policy.contains("line 1: the function `document` is not supported"), "{policy}");
    let policy = fs::read_to_string(home.path().join("services/l values.policy")).expect("a file");
    assert!(policy.contains("stylesheet: xml \"\"\"\n"), "{policy}");
}

#[test]
fn services_that_look_at_who_asks_answer_as_before() {
    let home = home();
    let words = ["user", "add", "alice", "--email", "alice@example.com"];
    let said = command_with(home.path(), &words, "correct-horse").expect("it runs");
    assert!(said.success, "{}{}", said.stdout, said.stderr);
    answers_as_before(&home, "access.xml", "access.yaml");
}

/// Patterns as paths, routes whose URLs say whether they are encrypted, trusted certificates of one route, policies around each service.
#[test]
fn routes_and_what_runs_around_services_answer_as_before() {
    let home = home();
    answers_as_before(&home, "routes.xml", "routes.yaml");
    let read = |path: &str| fs::read_to_string(home.path().join(path)).expect("a file");
    assert!(read("services/r pattern.policy").contains("service \"r pattern\" at \"/r/pattern\" \"/r/pattern/*\" {"));
    assert!(read("services/r middle.policy").contains("disabled"));
    assert!(read("services/r plain.policy").contains("Route(") && read("services/r plain.policy").contains("plain_http: true"));
    assert!(read("services/r trust.policy").contains("trust: \"Partner CA\""));
    assert!(read("keys/trusted/Partner CA.pem").contains("BEGIN CERTIFICATE"));
    assert!(read("services/message-received Received.policy").starts_with("before \"message-received Received\""));
    assert!(read("services/message-completed Completed.policy").starts_with("after \"message-completed Completed\""));
    // One step of it has no translation, so nothing runs it.
    assert!(!home.path().join("services/post-service Service seen.policy").exists());
    assert!(read("services/Service seen.policy").contains("Unsupported("));
    assert_eq!(left_aside(&report_of(&home)), [""; 0], "what is translated is not left aside");
}

/// The report of the only import into a home.
fn report_of(home: &tempfile::TempDir) -> Value {
    let report = fs::read_dir(home.path().join("import")).expect("a folder").next().expect("an import").expect("a folder").path();
    serde_json::from_str(&fs::read_to_string(report.join("report.json")).expect("a report")).expect("JSON")
}

/// What a report says of properties that nothing stands for.
fn left_aside(report: &Value) -> Vec<&str> {
    let findings = report["findings"].as_array().expect("findings").iter();
    findings.filter(|told| told["topic"] == "aside").map(|told| told["message"].as_str().expect("a text")).collect()
}

/// Each property that the importer knows, in each spelling: `import/tests/mapped.rs` counts them.
#[test]
fn every_property_means_what_it_meant() {
    let home = home_with("keys: { signer: rsa }\n");
    let said = command_with(home.path(), &["user", "add", "alice"], "correct-horse").expect("it runs");
    assert!(said.success, "{}{}", said.stdout, said.stderr);
    answers_as_before(&home, "properties.xml", "properties.yaml");
    let report = report_of(&home);
    assert_eq!(report["steps"]["missing"], 0);
    assert_eq!(left_aside(&report), [""; 0]);
}

/// What an import says of settings, a gateway can read: merged as it is, with what is to fill in filled in.
#[test]
fn the_part_of_the_settings_can_be_read() {
    let home = home();
    let bundle = of("assertions.xml").display().to_string();
    let (success, said) =
        import(home.path(), &[&bundle, "--zone", "Europe/Berlin", "--into", &home.path().join("out").display().to_string()]);
    assert!(success, "{said}");
    let part = fs::read_to_string(home.path().join("out/gateway.yaml")).expect("a part");
    assert!(
        part.contains("Clean on Mondays") && part.contains("zone: \"Europe/Berlin\"") && !part.contains("Clean often"),
        "{part}"
    );
    let other = tempfile::tempdir().expect("a folder");
    fs::write(other.path().join("gateway.yaml"), &part).expect("the folder is writable");
    // Where passwords belong, it says.
    let files = part.lines().filter_map(|line| line.split_once("password_file: \"")).filter_map(|(_, rest)| rest.split_once('"'));
    let files: Vec<&str> = files.map(|(file, _)| file).collect();
    assert_eq!(files, ["keys/Things.password", "keys/People.password"], "{part}");
    fs::create_dir_all(other.path().join("keys")).expect("the folder is writable");
    files.iter().for_each(|file| fs::write(other.path().join(file), "secret\n").expect("the folder is writable"));
    // The tasks that it speaks of.
    let task = "task \"Clean on Mondays\" at \"0 0 3 ? * MON\" { Continue }\n";
    fs::create_dir_all(other.path().join("services")).expect("the folder is writable");
    fs::write(other.path().join("services/t.policy"), task).expect("the folder is writable");
    let check = command(other.path(), &["check"]).expect("it runs");
    let said = check.stdout + &check.stderr;
    assert!(!said.contains("unknown") && !said.contains("gateway.yaml:"), "{said}\n{part}");
    let (success, said) = import(home.path(), &[&bundle, "--zone", "Europe/Atlantis"]);
    assert!(!success && said.contains("no time zone"), "{said}");
}

/// Imports a bundle, and compares what its services answer with what they answered before.
fn answers_as_before(home: &tempfile::TempDir, bundle: &str, answers: &str) {
    let bundle = of(bundle).display().to_string();
    let (success, said) = import(home.path(), &[&bundle, "--apply"]);
    assert!(success, "{said}");
    let answers: Vec<Answer> = serde_yaml::from_str(&fs::read_to_string(of(answers)).expect("a file")).expect("answers");
    let start = Start { args: vec!["--allow-unsupported".to_owned()], ..Start::default() };
    let gateway = Process::gateway(home.path(), &start).expect("it starts");
    let mut wrong = Vec::new();
    for answer in &answers {
        let fields: String = answer.send.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let (status, head, body) = send(gateway.http, &answer.request, &fields, &answer.content.repeat(answer.times));
        if status != answer.status || answer.body.as_ref().is_some_and(|expected| *expected != body) {
            wrong.push(format!("{}: expected {} {:?}, got {status} {body:?}", answer.request, answer.status, answer.body));
        }
        for (name, value) in &answer.headers {
            let field = format!("{name}: {value}").to_ascii_lowercase();
            if !head.to_ascii_lowercase().lines().any(|line| line == field) {
                wrong.push(format!("{}: no field `{field}` in {head}", answer.request));
            }
        }
    }
    assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), gateway.log());
}

#[test]
fn a_service_that_can_come_to_an_untranslated_step_is_not_served() {
    let home = home();
    let bundle = of("assertions.xml").display().to_string();
    assert!(import(home.path(), &[&bundle, "--apply"]).0);
    let gateway = Process::gateway(home.path(), &Start::default()).expect("it starts");
    let http = gateway.http;
    assert_eq!(ask(http, "GET /i/missing/arm").0, 404);
    assert_eq!(ask(http, "GET /i/set").0, 200);
    assert!(gateway.logs(|log| log.contains("i missing reached")), "{}", gateway.log());
    let check = command(home.path(), &["check"]).expect("it runs");
    assert!(check.success && check.stderr.contains("P0407"), "{}{}", check.stdout, check.stderr);
}

#[test]
fn a_dry_run_changes_nothing_and_a_second_one_neither() {
    let home = home();
    let bundle = of("assertions.xml").display().to_string();
    let (success, said) = import(home.path(), &[&bundle]);
    assert!(success && said.contains("nothing was changed in the home"), "{said}");
    assert!(!home.path().join("services").exists());
    let (success, said) = import(home.path(), &[&bundle]);
    assert!(success && said.contains(": 0 files, "), "{said}");
    let (success, said) = import(home.path(), &[&bundle, "--apply"]);
    assert!(success, "{said}");
    let (success, said) = import(home.path(), &[&bundle, "--apply"]);
    assert!(success && said.matches(": 0 files, ").count() == 2, "{said}");
    // What somebody changed stays.
    let changed = home.path().join("services/Things/i set.policy");
    fs::write(&changed, "service \"i set\" at \"/i/set\" {}\n").expect("the folder is writable");
    let (success, said) = import(home.path(), &[&bundle, "--apply"]);
    assert!(!success && said.contains("left as it is"), "{said}");
    assert!(fs::read_to_string(&changed).expect("a file").ends_with("{}\n"));
}

#[test]
fn what_the_home_lacks_is_said_when_policies_are_put_into_it() {
    let home = tempfile::tempdir().expect("a folder");
    fs::write(home.path().join("gateway.yaml"), "logging: { level: info }\n").expect("the folder is writable");
    let bundle = of("assertions.xml").display().to_string();
    let (success, said) = import(home.path(), &[&bundle, "--apply"]);
    assert!(
        !success && said.contains("does not load yet") && said.matches("there is no connection `Things`").count() == 1,
        "{said}"
    );
    // With the part of the settings it does.
    fs::write(home.path().join("gateway.yaml"), "connections: { Things: 'sqlite://data/t.db' }\n")
        .expect("the folder is writable");
    let (success, said) = import(home.path(), &[&bundle, "--apply"]);
    assert!(success, "{said}");
    // A folder without an export.
    let empty = tempfile::tempdir().expect("a folder");
    fs::write(empty.path().join("export.zip"), "x").expect("the folder is writable");
    let (success, said) = import(home.path(), &[&empty.path().display().to_string()]);
    assert!(!success && said.contains("there is nothing to import in") && said.contains(".bundle"), "{said}");
}

#[test]
fn the_report_names_every_step_and_no_secret() {
    let home = home();
    let bundle = of("assertions.xml").display().to_string();
    let (success, said) = import(home.path(), &[&bundle, "--json"]);
    assert!(success, "{said}");
    let report: Value = serde_json::from_str(&said).expect("JSON");
    let count = |name: &str| report["steps"][name].as_u64().expect("a number");
    let sum: u64 = ["exact", "rewritten", "missing", "comments", "disabled", "shipped"].iter().map(|name| count(name)).sum();
    assert_eq!(count("read"), sum, "{}", report["steps"]);
    assert_eq!(count("missing"), 2);
    for policy in report["policies"].as_array().expect("policies") {
        for step in policy["places"].as_array().expect("places") {
            // Nothing stands for this one.
            if step["kind"] == "ExportVariables" {
                continue;
            }
            assert_ne!(step["line"], 0, "a step without a place: {} of {}", step, policy["name"]);
        }
    }
    let folder = home.path().join("import");
    let folder = fs::read_dir(folder).expect("a folder").next().expect("an import").expect("a folder").path();
    for file in ["report.md", "report.html", "report.json", "gateway.yaml"] {
        let text = fs::read_to_string(folder.join(file)).expect("a file");
        assert!(!text.contains("not-for-the-report") && !text.contains(": clear"), "{file}");
    }
    let settings = fs::read_to_string(folder.join("gateway.yaml")).expect("a file");
    for part in ["\"things.limit\": \"12\"", "mysql://thing@db.example:3306/things", "ldaps://ldap.example"] {
        assert!(settings.contains(part), "{part}: {settings}");
    }
    for (task, times) in [("Clean often", "0 */13 * * * ?"), ("Clean on Mondays", "0 0 3 ? * MON")] {
        let policy = fs::read_to_string(folder.join(format!("services/tasks/{task}.policy"))).expect("a file");
        assert!(policy.contains(&format!("task \"{task}\" at \"{times}\"")), "{policy}");
    }
}
