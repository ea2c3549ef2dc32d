//! What the command line says of users: their attributes, which policies and clients learn.

use std::fs;

use portcullis_tests::process::{command, command_with};
use portcullis_tests::put;
use serde_json::{Value, json};

#[test]
fn attributes_of_users_are_set_changed_and_removed() {
    let home = tempfile::tempdir().expect("a folder");
    put(home.path(), "gateway.yaml", "{}");
    let attributes = || {
        let text = fs::read_to_string(home.path().join("data/users.json")).expect("users");
        serde_json::from_str::<Value>(&text).expect("JSON")[0]["attributes"].clone()
    };
    let add = [
        "user",
        "add",
        "alice",
        "--role",
        "admin",
        "--claim",
        "given_name=Alice",
        "--claim",
        "email_verified=true",
        "--claim",
        "phone_number=+31 20 555",
        "--claim",
        r#"address={"country":"NL"}"#,
        "--claim",
        "note=a=b",
    ];
    let added = command_with(home.path(), &add, "correct horse").expect("a command");
    assert!(added.success, "{}", added.stderr);
    assert_eq!(
        attributes(),
        json!({
            "role": "admin", "given_name": "Alice", "email_verified": true, "phone_number": "+31 20 555", "note": "a=b",
            "address": {"country": "NL"}
        })
    );
    let update = ["user", "update", "alice", "--email", "alice@example.com", "--claim", "note=", "--claim", "given_name=Al"];
    let updated = command(home.path(), &update).expect("a command");
    assert!(updated.success, "{}", updated.stderr);
    assert!(updated.stdout.contains("changed alice: email, given_name, note"), "{}", updated.stdout);
    let after = attributes();
    assert_eq!((&after["email"], &after["given_name"], after.get("note")), (&json!("alice@example.com"), &json!("Al"), None));
    for (arguments, why) in [
        (&["alice"][..], "nothing to change"),
        (&["alice", "--claim", "given_name"], "write NAME=VALUE"),
        (&["alice", "--claim", "=x"], "cannot be the name of an attribute"),
        (&["alice", "--claim", "a=1", "--claim", "a=2"], "is given twice"),
        (&["alice", "--role", "user", "--claim", "role=admin"], "is given twice"),
        (&["nobody", "--claim", "a=1"], "there is no user `nobody`"),
    ] {
        let refused = command(home.path(), &[&["user", "update"], arguments].concat()).expect("a command");
        assert!(!refused.success && refused.stderr.contains(why), "{arguments:?}: {}", refused.stderr);
    }
    assert_eq!(attributes(), after);
    let long = format!("a={}", "x".repeat(5000));
    let refused = command(home.path(), &["user", "update", "alice", "--claim", &long]).expect("a command");
    assert!(!refused.success && refused.stderr.contains("longer than 4096 bytes"), "{}", refused.stderr);
}
