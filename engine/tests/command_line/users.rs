//! Users of the gateway itself, and what root may do.

use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use crate::place::*;

#[test]
fn users_are_added_listed_and_deleted() {
    let place = Place::new();
    assert_eq!(place.said(&["init", "home"]).0, 0);
    let with_input = |words: &[&str], input: &str| {
        let mut child =
            place.command(words).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
        child.wait_with_output().expect("it ends")
    };
    place.put("home/gateway.yaml", "logging: { audit: audit.log }\n");
    assert!(with_input(&["user", "add", "alice", "--role", "admin"], "correct horse\n").status.success());
    let again = with_input(&["user", "add", "alice"], "horse correct\n");
    assert_eq!(again.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&again.stderr).contains("a user `alice` already exists"));
    assert_eq!(with_input(&["user", "add", "bob"], "\n").status.code(), Some(2));
    let short = with_input(&["user", "add", "bob"], "sh\u{f6}rter\n");
    assert_eq!(short.status.code(), Some(2));
    let said = String::from_utf8_lossy(&short.stderr).into_owned();
    assert!(said.contains("at least 8 characters, and this one has 7") && !said.contains("rter"), "{said}");
    assert!(with_input(&["user", "password", "alice"], "another one\n").status.success());
    assert!(place.said(&["user", "list"]).1.contains("\nalice  admin  enabled"));
    assert_eq!(place.said(&["user", "disable", "alice"]).0, 0);
    assert!(place.said(&["user", "list"]).1.contains("\nalice  admin  disabled"));
    assert_eq!(place.said(&["user", "enable", "alice"]).0, 0);
    assert!(place.said(&["user", "list"]).1.contains("\nalice  admin  enabled"));
    assert_eq!(place.said(&["user", "disable", "bob"]).0, 1);
    assert_eq!(place.said(&["user", "delete", "alice"]).0, 0);
    assert_eq!(place.said(&["user", "delete", "alice"]).0, 1);
    // Nobody runs who could record it; the command does, what it did and nothing else.
    let records = fs::read_to_string(place.home().join("audit.log")).expect("records");
    let events: Vec<String> = records
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"))
        .inspect(|record| assert_eq!(record["user"], "alice"))
        .map(|record| record["event"].as_str().expect("an event").to_owned())
        .collect();
    assert_eq!(events, ["user_added", "user_password_changed", "user_disabled", "user_enabled", "user_deleted"]);
    let kept = fs::read_to_string(place.home().join("data/users.json")).unwrap_or_default();
    assert!(!kept.contains("another"), "{kept}");
}

/// At a terminal the password is asked for twice, and the terminal shows it neither time.
#[test]
fn a_password_that_is_typed_is_hidden_and_repeated() {
    let place = Place::new();
    assert_eq!(place.said(&["init", "home"]).0, 0);
    let typed = |first: &str, second: &str| {
        // `script` gives the command a terminal.
        let line = format!("{PROGRAM} user add carol");
        let mut script = Command::new("script");
        script.args(["-qec", &line, "/dev/null"]).current_dir(place.0.path());
        script.env("PORTCULLIS_HOME", place.home()).env("PORTCULLIS_SHIPPED", place.0.path().join("tree"));
        let mut child = script.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("script, of util-linux, is installed");
        let (mut keyboard, mut screen) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        let mut shown = String::new();
        let mut wait = |what: &str| {
            let mut bytes = [0; 256];
            while !shown.contains(what) {
                match screen.read(&mut bytes) {
                    Ok(0) | Err(_) => break,
                    Ok(read) => shown.push_str(&String::from_utf8_lossy(&bytes[..read])),
                }
            }
            shown.clone()
        };
        wait("password for carol: ");
        writeln!(keyboard, "{first}").expect("it reads");
        if first.len() >= 8 {
            wait("the same again: ");
            writeln!(keyboard, "{second}").expect("it reads");
        }
        let shown = wait("no such text: read to the end");
        let code = child.wait().expect("it ends").code();
        assert!(!shown.contains(first) && !shown.contains(second), "{shown}");
        (code, shown)
    };
    let (code, shown) = typed("correct-horse", "correct-house");
    assert!(code == Some(2) && shown.contains("two different passwords"), "{shown}");
    assert!(typed("short", "short").1.contains("at least 8 characters"));
    assert!(!place.said(&["user", "list"]).1.contains("carol"));
    let (code, shown) = typed("correct-horse", "correct-horse");
    assert!(code == Some(0) && shown.contains("added carol"), "{shown}");
}

/// Root's commands never make what the account of the service cannot read or change. Runs where tests run as root.
#[test]
fn what_root_does_leaves_the_home_to_its_owner() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
    let place = Place::new();
    if fs::metadata(place.0.path()).expect("a folder").uid() != 0 {
        return;
    }
    // The account must be able to reach the program and the home.
    fs::set_permissions(place.0.path(), fs::Permissions::from_mode(0o755)).expect("rights");
    let program = place.0.path().join("portcullis");
    fs::copy(PROGRAM, &program).expect("a copy");
    const ACCOUNT: u32 = 54_321;
    fs::create_dir(place.home()).expect("a folder");
    chown(place.home(), Some(ACCOUNT), Some(ACCOUNT)).expect("root may");
    let run = |words: &[&str], input: &str| {
        let mut command = Command::new(&program);
        command.args(words).current_dir(place.0.path()).env("PORTCULLIS_SHIPPED", place.0.path().join("tree"));
        let mut child = command
            .env("PORTCULLIS_HOME", place.home())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{words:?}: {}", String::from_utf8_lossy(&output.stderr));
    };
    run(&["init", "home"], "");
    run(&["user", "add", "alice"], "correct horse\n");
    run(&["key", "add", "signer"], "");
    run(&["tool", "greet", "--full_name", "world"], "");
    place.put("home/services/own.policy", "service \"Own\" at \"/own\" {\n  Respond( body:\"x\" )\n}\n");
    let own = place.home().join("services/own.policy");
    chown(&own, Some(ACCOUNT), Some(ACCOUNT)).expect("root may");
    fs::set_permissions(&own, fs::Permissions::from_mode(0o640)).expect("rights");
    run(&["fmt"], "");
    assert!(fs::read_to_string(&own).expect("a file").contains("    Respond(body: \"x\")\n"));
    assert_eq!(fs::metadata(&own).expect("a file").mode() & 0o777, 0o640);
    let mut folders = vec![place.home()];
    let mut files = 0;
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("a folder").flatten() {
            assert_eq!(entry.metadata().expect("it is there").uid(), ACCOUNT, "{}", entry.path().display());
            files += 1;
            if entry.path().is_dir() {
                folders.push(entry.path());
            }
        }
    }
    assert!(files > 10 && place.home().join("data/users.json").is_file() && place.home().join("keys/signer.key.pem").is_file());
}
