//! `portcullis replay` over HTTPS, against two real gateways: an old one, whose operator changed a customization, and a new one.

use std::fs;
use std::path::{Path, PathBuf};

use portcullis_tests::process::{Process, Said, Start, command};
use portcullis_tests::put;
use serde_json::Value;

/// Gives tokens and cookies, and knows them again. KIND, CACHED and LIMIT differ.
const SERVICES: &str = r#"
service "Give" at "/r/give" methods POST {
    RandomToken(target: "token", bytes: 32)
    RandomToken(target: "sid", bytes: 32)
    CacheStore(cache: "given", key: ${token}, value: "token known")
    CacheStore(cache: "given", key: ${sid}, value: "cookie known")
    AddHeader(target: "response", name: "Set-Cookie", value: "sid=${sid}; Path=/; HttpOnly")
    AddHeader(target: "response", name: "Cache-Control", value: "CACHED")
    Respond(type: "application/json;charset=UTF-8", body: json { "access_token": ${token}, "expires_in": LIMIT })
}

service "Use" at "/r/use" methods GET {
    set token = "token unknown"
    set cookie = "cookie unknown"
    CacheLookup(cache: "given", key: substring("${request.http.header.authorization}", 7), target: "token") else Continue
    CacheLookup(cache: "given", key: "${request.http.cookies.sid}", target: "cookie") else Continue
    AddHeader(target: "response", name: "Cache-Control", value: "CACHED")
    Respond(body: "${token}, ${cookie}")
}

service "Refused" at "/r/refused" methods GET
    errors "OTK Fail with error message" (givenErrorCode: ${error.code}, apiPrefix: "9000")
{
    fail 700
}

service "Upload" at "/r/upload" methods POST {
    Respond(body: "${request.contentType} ${request.mainpart}")
}

service "Soap" at "/r/soap" methods POST {
    EvaluateXPath(source: ${request.mainpart}, expression: "string(//who)")
    Respond(type: "text/xml", body: xml "<hello from=\"KIND\">${xpath.result} ${request.http.header.soapaction}</hello>")
}
"#;

/// What the operator of the old one changed.
const OWN_CODE: &str = r#"customize "OTK Fail with error message" {
    if ${givenErrorCode} == "700" {
        set status = 429
        set error.msg = json { "error": "quota_exceeded", "error_description": "Come back tomorrow" }
    }
}
"#;

struct Gateways {
    old: Process,
    new: Process,
    folder: tempfile::TempDir,
}

impl Gateways {
    fn start() -> Gateways {
        let folder = tempfile::tempdir().expect("a folder");
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        for (home, kind, cached, limit) in [(&old, "old", "no-store", "60"), (&new, "new", "no-cache", "600")] {
            put(home, "gateway.yaml", "monitoring: { listen: off }\nsample_data: false\n");
            put(home, "services/r.policy", &SERVICES.replace("KIND", kind).replace("CACHED", cached).replace("LIMIT", limit));
        }
        put(&old, "customizations/errors/#otk-fail-with-error-message.policy", OWN_CODE);
        let start = |home: &Path| Process::gateway(home, &Start::default()).expect("it starts");
        let gateways = Gateways { old: start(&old), new: start(&new), folder };
        let authority = |home: &Path| fs::read_to_string(home.join("keys/ca.pem")).expect("an authority");
        fs::write(gateways.ca(), authority(&old) + &authority(&new)).expect("the folder is writable");
        gateways
    }

    fn ca(&self) -> PathBuf {
        self.folder.path().join("both.pem")
    }

    fn replay(&self, words: &[&str]) -> Said {
        command(&self.folder.path().join("old"), &[&["replay"][..], words].concat()).expect("it runs")
    }
}

fn address(gateway: &Process) -> String {
    format!("https://localhost:{}", gateway.https.port())
}

fn file(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("replay").join(name).display().to_string()
}

/// `request: place` of what differs.
fn differs(report: &Value) -> Vec<String> {
    let mut found = Vec::new();
    for request in report["requests"].as_array().expect("requests") {
        for one in request["differences"].as_array().expect("differences") {
            if one["kind"] == "differs" {
                found.push(format!("{}: {}", request["request"].as_str().expect("words"), one["place"].as_str().expect("words")));
            }
        }
    }
    found
}

fn json(said: &Said) -> Value {
    serde_json::from_str(&said.stdout).unwrap_or_else(|_| panic!("{}{}", said.stdout, said.stderr))
}

#[test]
fn a_recording_is_compared_with_a_gateway() {
    let gateways = Gateways::start();
    let ca = gateways.ca().display().to_string();
    let (old, new, har) = (address(&gateways.old), address(&gateways.new), file("recorded.har"));
    // The gateway that was recorded, whose tokens and cookies are new.
    let said = gateways.replay(&[&har, "--against", &old, "--ca", &ca, "--json"]);
    assert!(said.success, "{}{}", said.stdout, said.stderr);
    assert_eq!(differs(&json(&said)), Vec::<String>::new());
    // The other one.
    let said = gateways.replay(&[&har, "--against", &new, "--ca", &ca, "--json"]);
    assert!(!said.success);
    let found = differs(&json(&said));
    for wanted in [
        "POST /r/give: header cache-control",
        "POST /r/give: body.expires_in",
        "GET /r/use: header cache-control",
        "GET /r/refused: status",
        "GET /r/refused: header x-ca-err",
        "GET /r/refused: body.error",
    ] {
        assert!(found.iter().any(|own| own == wanted), "{wanted}: {found:#?}");
    }
    assert!(!found.iter().any(|own| own == "GET /r/use: body"), "{found:#?}");
    // Every form of the report hides what opens something.
    for (name, json) in [("report.json", true), ("report.md", false), ("report.txt", false)] {
        let path = gateways.folder.path().join(name);
        let mut words = vec![har.as_str(), "--against", &new, "--ca", &ca, "--report"];
        let shown = path.display().to_string();
        words.push(&shown);
        if json {
            words.push("--json");
        }
        let said = gateways.replay(&words);
        let text = fs::read_to_string(&path).expect("a report") + &said.stdout + &said.stderr;
        assert!(text.contains("/r/refused") && text.contains("429"), "{text}");
        for secret in ["VG9rZW5PZlRo", "Qm9va2llT2ZU", "swordfish"] {
            assert!(!text.contains(secret), "{name} shows {secret}: {text}");
        }
    }
}

#[test]
fn two_gateways_are_compared_without_recorded_answers() {
    let gateways = Gateways::start();
    let ca = gateways.ca().display().to_string();
    let (old, new) = (address(&gateways.old), address(&gateways.new));
    let postman = file("unrecorded.json");
    let words = [postman.as_str(), "--against", &old, "--and", &new, "--ca", &ca, "--var", "title=Käse", "--json"];
    let said = gateways.replay(&words);
    let report = json(&said);
    assert!(!said.success);
    let outcomes: Vec<&str> =
        report["requests"].as_array().expect("requests").iter().map(|one| one["outcome"].as_str().expect("a word")).collect();
    assert_eq!(outcomes, ["different", "different", "equal", "skipped"], "{report:#}");
    // Each got its own token and its own cookie; a body is the same, field by field.
    assert_eq!(
        differs(&report),
        ["POST /r/give: header cache-control", "POST /r/give: body.expires_in", "GET /r/use: header cache-control"]
            .map(str::to_owned),
        "{report:#}"
    );
    assert!(report["requests"][3]["why"].as_str().expect("why").contains("never_given"), "{report:#}");
    let soap = file("calls.xml");
    let said = gateways.replay(&[&soap, "--against", &old, "--and", &old, "--ca", &ca, "--var", "who=you", "--json"]);
    assert!(said.success, "{}{}", said.stdout, said.stderr);
    let said = gateways.replay(&[&soap, "--against", &old, "--and", &new, "--ca", &ca, "--var", "who=you", "--json"]);
    assert_eq!(differs(&json(&said)), ["POST /r/soap: body/hello/@from"], "{}", said.stdout);
}

fn outcomes(report: &Value) -> Vec<String> {
    let requests = report["requests"].as_array().expect("requests");
    requests.iter().map(|one| one["outcome"].as_str().expect("a word").to_owned()).collect()
}

#[test]
fn a_case_is_a_recording_that_carries_its_captures() {
    let gateways = Gateways::start();
    let ca = gateways.ca().display().to_string();
    let (old, new, case) = (address(&gateways.old), address(&gateways.new), file("opens.case"));
    let said = gateways.replay(&[&case, "--against", &old, "--ca", &ca, "--json"]);
    let report = json(&said);
    assert!(!said.success, "what was not sent is no success");
    let mut sent = vec!["equal"; 3];
    sent.extend(["skipped", "equal"]);
    sent.extend(["skipped"; 5]);
    sent.extend(["equal", "skipped"]);
    assert_eq!(outcomes(&report), sent, "{report:#}");
    // What only a gateway of the case's own has is named, each with the reason.
    let why = |at: usize| report["requests"][at]["why"].as_str().expect("why").to_owned();
    for (at, words) in [
        (3, "app.client_key"),
        (5, "the port without TLS"),
        (6, "client certificate"),
        (7, "`Transfer-Encoding`"),
        (8, "bytes"),
        (9, "3 times at once"),
        (11, "moves the clock"),
    ] {
        assert!(why(at).contains(words), "{at}: {}", why(at));
    }
    let note = report["notes"][0].as_str().expect("a note");
    for words in ["the settings of line 2", "the command `client add`", "the user `alice`", "not checked: the log"] {
        assert!(note.contains(words), "{words}: {note}");
    }
    assert!(!said.stdout.contains("correct-horse"), "{}", said.stdout);
    // A value that a command would have given.
    let given = ["--var", "app.client_key=known-otherwise"];
    let words = [&[case.as_str(), "--against", &old, "--ca", &ca, "--json"][..], &given].concat();
    assert_eq!(outcomes(&json(&gateways.replay(&words)))[3], "equal");
    // What differs at the other one does not keep later requests from the token that it gave.
    let said = gateways.replay(&[&case, "--against", &new, "--ca", &ca, "--json"]);
    let report = json(&said);
    let found: Vec<String> = differs(&report).into_iter().filter(|one| !one.contains("?at=")).collect();
    let wanted = [
        "POST /r/give: header cache-control",
        "POST /r/give: body.expires_in",
        "GET /r/refused: status",
        "GET /r/refused: header x-ca-err",
        "GET /r/refused: body.error",
    ];
    assert_eq!(found, wanted, "{report:#}");
    assert_eq!(outcomes(&report)[1..3], ["equal", "equal"]);
    let ignored = ["--ignore", "cache-control", "--ignore", "body.expires_in"];
    let words = [&[case.as_str(), "--against", &new, "--ca", &ca, "--json"][..], &ignored].concat();
    assert_eq!(outcomes(&json(&gateways.replay(&words)))[0], "equal");
    // Two gateways, each with its own token and cookies; a folder of cases.
    let folder = gateways.folder.path().join("cases");
    put(&folder, "a/opens.case", &fs::read_to_string(&case).expect("the case"));
    let folder = folder.display().to_string();
    let words = [folder.as_str(), "--against", &old, "--and", &new, "--ca", &ca, "--ignore", "cache-control", "--json"];
    let report = json(&gateways.replay(&words));
    assert_eq!(differs(&report)[..1], ["POST /r/give: body.expires_in".to_owned()]);
    assert_eq!(outcomes(&report)[1..3], ["equal", "equal"], "{report:#}");
}

#[test]
fn a_case_that_is_none_is_of_no_use() {
    let gateways = Gateways::start();
    let old = address(&gateways.old);
    put(gateways.folder.path(), "broken.case", "# A case.\n== request\nGET /r/use\n== respond\n200\n");
    put(gateways.folder.path(), "empty/readme.txt", "nothing\n");
    for (name, words) in [("broken.case", "there is no section `respond`"), ("empty", "no case files")] {
        let path = gateways.folder.path().join(name).display().to_string();
        let said = gateways.replay(&[&path, "--against", &old]);
        assert!(!said.success && said.stderr.contains(words), "{name}: {}", said.stderr);
    }
}

#[test]
fn what_cannot_be_compared_is_no_success() {
    let gateways = Gateways::start();
    let (old, har) = (address(&gateways.old), file("recorded.har"));
    let ca = gateways.ca().display().to_string();
    // A certificate that nobody vouches for.
    let said = gateways.replay(&[&har, "--against", &old, "--json"]);
    assert!(!said.success && json(&said)["requests"][0]["outcome"] == "unanswered", "{}{}", said.stdout, said.stderr);
    // Only on demand is it not looked at, and the report says so.
    let said = gateways.replay(&[&har, "--against", &old, "--insecure"]);
    assert!(said.success && said.stdout.contains("certificates were not checked"), "{}{}", said.stdout, said.stderr);
    // Nothing to compare with, and no recording at all.
    for words in [
        vec![file("unrecorded.json"), "--against".to_owned(), old.clone()],
        vec![file("requests.yaml"), "--against".to_owned(), old.clone()],
        vec![har.clone(), "--against".to_owned(), "ftp://localhost".to_owned()],
        vec![har, "--against".to_owned(), old, "--host".to_owned(), "another.example".to_owned()],
    ] {
        let words: Vec<&str> = words.iter().map(String::as_str).chain(["--ca", &ca]).collect();
        let said = gateways.replay(&words);
        assert!(!said.success && !said.stderr.is_empty() && said.stdout.is_empty(), "{words:?}: {}", said.stdout);
    }
}
