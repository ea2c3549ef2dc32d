//! `portcullis check` says what a start would say, all of it at once.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops where it stands"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value as Json;

const HELLO: &str = "service \"Hello\" at \"/hello\" {\n    Respond(body: \"hello\")\n}\n";

fn put(root: &Path, path: &str, text: &str) {
    let path = root.join(path);
    fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
    fs::write(path, text).expect("a file");
}

/// A small shipped tree and a home beside it.
fn place(settings: &str) -> tempfile::TempDir {
    let place = tempfile::tempdir().expect("a folder");
    for folder in ["tree/fragments", "tree/customizations"] {
        fs::create_dir_all(place.path().join(folder)).expect("a folder");
    }
    put(place.path(), "tree/policies/hello.policy", HELLO);
    put(place.path(), "home/gateway.yaml", settings);
    place
}

fn run(place: &Path, home: &str, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_portcullis"));
    command.args(words).arg("--home").arg(place.join(home)).current_dir(place);
    command.env_remove("PORTCULLIS_LOG").env_remove("PORTCULLIS_HOME").env("PORTCULLIS_SHIPPED", place.join("tree"));
    command.output().expect("a program")
}

/// Its errors and warnings, as JSON tells them, and the exit code.
fn checked(place: &Path) -> (Vec<String>, Vec<String>, i32) {
    let output = run(place, "home", &["check", "--json"]);
    let report: Json = serde_json::from_slice(&output.stdout).expect("JSON");
    let of = |severity: &str| -> Vec<String> {
        let findings = report["findings"].as_array().expect("findings").iter();
        findings
            .filter(|found| found["severity"] == severity)
            .map(|found| found["message"].as_str().unwrap().to_owned())
            .collect()
    };
    let (errors, warnings) = (of("error"), of("warning"));
    assert_eq!(
        (report["errors"].as_u64(), report["warnings"].as_u64()),
        (Some(errors.len() as u64), Some(warnings.len() as u64))
    );
    (errors, warnings, output.status.code().expect("a code"))
}

const LOCAL: &str = "listeners: { https: '127.0.0.1:0', http: '127.0.0.1:0' }\n";

#[test]
fn a_check_names_all_that_keeps_a_gateway_from_starting_and_a_start_names_the_same() {
    let place = place(
        "listeners: { https: '127.0.0.1:0', http: '203.0.113.7:80' }\n\
         tls: { key: lost }\n\
         connections:\n\
         \x20 A: { url: 'mysql://u@db.example/x', password_file: keys/a.password }\n\
         \x20 B: { url: 'postgres://u@db.example/x', ca: keys/b.pem }\n\
         \x20 C: sqlite://gateway.yaml/c.db\n\
         identity_providers:\n\
         \x20 Staff: { type: ldap, url: 'ldaps://d.example', base: o=x, bind_dn: cn=x, bind_password_file: keys/l.password }\n\
         \x20 Partners: { type: federated, trusted: [keys/p.pem] }\n\
         outbound: { trusted: [keys/o.pem] }\n\
         logging: { audit: gateway.yaml/audit.log }\n",
    );
    let (errors, _, code) = checked(place.path());
    assert_eq!(code, 1);
    let told = errors.join("\n");
    for part in [
        "203.0.113.7:80",
        "`lost`",
        "connection `A`",
        "a.password",
        "connection `B`",
        "b.pem",
        "connection `C`",
        "`Staff`",
        "l.password",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    for part in ["`Partners`", "p.pem", "o.pem", "audit"] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!place.path().join("home/keys").exists() && !place.path().join("home/data").exists(), "a check makes nothing");
    // What is opened is told by a start too, all of it.
    put(
        place.path(),
        "home/gateway.yaml",
        &(LOCAL.to_owned()
            + "\
         connections:\n\
         \x20 A: { url: 'mysql://u@db.example/x', password_file: keys/a.password }\n\
         identity_providers:\n\
         \x20 Partners: { type: federated, trusted: [keys/p.pem] }\n"),
    );
    let (errors, _, _) = checked(place.path());
    let start = run(place.path(), "home", &["serve"]);
    let said = String::from_utf8_lossy(&start.stderr);
    assert_eq!((errors.len(), start.status.code()), (2, Some(1)), "{errors:?} {said}");
    assert!(errors.iter().all(|error| said.contains(error.as_str())), "{errors:?} {said}");
}

#[test]
fn names_that_policies_use_are_those_of_the_settings() {
    let place = place(
        &(LOCAL.to_owned()
            + "connections: { Main: 'sqlite://data/main.db' }\nidentity_providers: { Staff: internal }\nkeys: { signer: ec }\n"),
    );
    let policy = |connection: &str, provider: &str, key: &str| {
        format!(
            "connection \"{connection}\"\nservice \"Own\" at \"/own\" {{\n    SqlQuery?(query: sql \"select 1 as a\")\n    \
             set providers = [\"{provider}\"]\n    ForEach one in ${{providers}} {{\n        \
             Authenticate(provider: ${{one.current}}, username: \"a\", password: \"b\") else Continue\n    }}\n    \
             EncodeJwt(target: \"t\", algorithm: \"ES256\", alias: \"{key}\", payload: json {{}})\n    Respond(body: \"${{t}}\")\n}}\n"
        )
    };
    put(place.path(), "home/services/own.policy", &policy("Main", "Staff", "signer"));
    assert_eq!(checked(place.path()), (vec![], vec![], 0));
    put(place.path(), "home/services/own.policy", &policy("Mian", "Stafff", "singer"));
    let (errors, _, code) = checked(place.path());
    let expected =
        ["there is no connection `Mian`", "there is no identity provider `Stafff`", "there is no private key `singer`"];
    assert_eq!((errors.as_slice(), code), (&expected.map(str::to_owned)[..], 1));
    let start = run(place.path(), "home", &["serve"]);
    let said = String::from_utf8_lossy(&start.stderr);
    assert!(start.status.code() == Some(1) && expected.iter().all(|error| said.contains(error)), "{said}");
}

#[test]
fn what_counts_for_nothing_and_what_can_never_be_right_is_told() {
    let place = place(LOCAL);
    for path in [
        "services/a.polcy",
        "services/b.policy.txt",
        "services/.policy.txt",
        "services/c.Policy",
        "customizations/d.policy.bak",
        "e.policy",
        "gateway.yml",
        "fragments/f.policy",
    ] {
        put(place.path(), &format!("home/{path}"), "x");
    }
    for path in ["services/notes.txt", "services/.x.policy.swp", "services/logo.png", "services/page.html", "README.md"] {
        put(place.path(), &format!("home/{path}"), "x");
    }
    let (errors, warnings, code) = checked(place.path());
    assert_eq!((errors.len(), warnings.len(), code), (0, 8, 0), "{warnings:?}");
    assert_eq!(run(place.path(), "home", &["check", "--strict"]).status.code(), Some(1));
    put(
        place.path(),
        "home/services/own.policy",
        "service \"Own\" at \"/own\" {\n    RouteHttps(url: \"http://example.com/\") else Continue\n    RouteHttp(url: url \"https://example.com/${request.http.query.x}\") \
         else Continue\n    Respond(status: 999)\n}\n",
    );
    let (errors, _, code) = checked(place.path());
    let at = |name: &str, prop: &str| format!("`{name}` does not accept this as `{prop}`");
    assert_eq!((errors, code), (vec![at("RouteHttps", "url"), at("RouteHttp", "url"), at("Respond", "status")], 1));
}

#[test]
fn names_of_trusted_certificates_are_those_of_files() {
    let place = place(LOCAL);
    let authority = rcgen::generate_simple_self_signed(vec!["partner.example".to_owned()]).expect("a certificate");
    put(place.path(), "home/keys/trusted/partners.pem", &authority.cert.pem());
    let policy = |name: &str, args: &str| {
        format!("service \"Own\" at \"/own\" {{\n    {name}({args}) else Continue\n    Respond(body: \"x\")\n}}\n")
    };
    let own = "home/services/own.policy";
    for args in ["url: \"https://a.example/\", trust: \"partners\"", "url: ${request.http.query.u}, trust: [\"partners\"]"] {
        put(place.path(), own, &policy("RouteHttps", args));
        let (errors, _, code) = checked(place.path());
        assert_eq!((errors, code), (vec![], 0));
    }
    put(place.path(), own, &policy("Route", "url: \"https://a.example/\", trust: [\"partners\", \"partnes\"]"));
    assert_eq!(checked(place.path()).0, ["there is no trusted certificate `partnes`"]);
    let said = run(place.path(), "home", &["check"]);
    let said = String::from_utf8_lossy(&said.stdout).into_owned() + &String::from_utf8_lossy(&said.stderr);
    assert!(said.contains("did you mean `partners`?"), "{said}");
    for args in ["url: \"https://a.example/\", trust: []", "url: \"https://a.example/\", trust: ${request.http.query.t}"] {
        put(place.path(), own, &policy("RouteHttps", args));
        let (errors, _, code) = checked(place.path());
        assert_eq!((errors.len(), code), (1, 1), "{errors:?}");
    }
    put(place.path(), own, &policy("Route", "url: \"http://a.example/\", trust: \"partners\""));
    assert_eq!(checked(place.path()).0, ["`Route` does not accept this as `trust`"]);
    put(place.path(), own, &policy("Route", "url: \"ftp://a.example/\""));
    assert_eq!(checked(place.path()).0, ["`Route` does not accept this as `url`"]);
}

#[test]
fn a_home_must_exist() {
    let place = place("{}");
    let output = run(place.path(), "nowhere", &["check"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("there is no such directory"));
}

#[test]
fn a_transaction_that_changes_another_database_is_told() {
    let place = place(&(LOCAL.to_owned() + "connections: { A: sqlite://data/a.db, B: sqlite://data/b.db }\n"));
    put(
        place.path(),
        "home/services/torn.policy",
        r#"
        /// Where it writes is set here.
        fragment "Places" { set one = "A"; set two = "B" }
        assertion "Note" (in text) {
            SqlQuery(connection: "B", query: sql "insert into note values (${text})")
        }
        assertion "Look" () { SqlQuery?(connection: "B", query: sql "select text from note", prefix: "row") }
        service "Torn" at "/torn" {
            include "Places"
            Transaction(connection: ${one}) {
                SqlQuery(connection: "A", query: sql "delete from a")
                SqlQuery(connection: ${two}, query: sql "delete from b")
                "Note" (text: "a")
                // What only reads may be anywhere.
                "Look" ()
            }
            "Note" (text: "after it")
        }
        "#,
    );
    let (errors, warnings, code) = checked(place.path());
    let torn: Vec<_> = warnings.iter().filter(|warning| warning.contains("inside a transaction")).collect();
    assert_eq!((errors.len(), torn.len(), code), (0, 2, 0), "{errors:?} {warnings:?}");
    assert!(torn.iter().all(|warning| warning.contains("`B`") && warning.contains("`A`")), "{torn:?}");
}

#[test]
fn twenty_thousand_warnings_take_no_more_a_warning_than_two_hundred() {
    let policy = |count: usize| {
        let sets: String = (0..count).map(|n| format!("    set a{n} = 1\n")).collect();
        format!("service \"Own\" at \"/own\" {{\n{sets}    Respond(body: \"x\")\n}}\n")
    };
    let place = place(LOCAL);
    put(place.path(), "home/services/own.policy", &policy(20_000));
    let (_, warnings, code) = checked(place.path());
    assert_eq!((warnings.len(), code), (20_000, 0));
    let output = run(place.path(), "home", &["check"]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("own.policy:20001:9") && said.contains("20001 |     set a19999 = 1"));
}
