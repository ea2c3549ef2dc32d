//! A database that is locked, read-only, damaged or gone: the client only learns of an internal error, the log says why, and
//! nothing is half-written.

use std::fs;

use portcullis_tests::load::{self, Target};
use portcullis_tests::process::{Process, Start, command};
use portcullis_tests::{block_on, put};

const MOVE: &str = r#"
service "Move" at "/move" errors "Trouble" () {
    Transaction(connection: "OAuth") {
        SqlQuery(connection: "OAuth", query: sql "update account set amount = amount - 1 where name = 'a'")
        SqlQuery(connection: "OAuth", query: sql "update account set amount = amount + 1 where name = 'b'")
    }
    Respond(body: "moved")
}

service "Read" at "/read" errors "Trouble" () {
    SqlQuery(connection: "OAuth", query: sql "select amount from account order by name", prefix: "r")
    Respond(body: join(${r.amount}, " "))
}

service "No database" at "/alive" { Respond(body: "alive") }

assertion "Trouble" (in code = "") {
    Respond(status: 500, body: "internal error", headers: json { "X-Code": ${code} })
}
"#;

struct Place {
    home: tempfile::TempDir,
    database: rusqlite::Connection,
}

/// A home with an existing database that has the test's own table.
fn place() -> Place {
    let home = tempfile::tempdir().expect("a folder");
    put(home.path(), "services/move.policy", MOVE);
    put(home.path(), "gateway.yaml", "connections:\n  OAuth: { url: 'sqlite://data/main.db', statement_timeout: 500ms }\n");
    let started = command(home.path(), &["client", "list", "--json"]).expect("a command that opens the database");
    assert!(started.success, "{}{}", started.stdout, started.stderr);
    let database = rusqlite::Connection::open(home.path().join("data/main.db")).expect("the database");
    database
        .execute_batch("create table account (name text, amount int); insert into account values ('a', 5), ('b', 5);")
        .expect("a table");
    Place { home, database }
}

fn get(process: &Process, path: &str) -> (u16, String, String) {
    let target = Target { address: process.http, tls: false };
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (status, head, body) = block_on(load::once(target, request.as_bytes())).expect("an answer");
    (status, head, String::from_utf8_lossy(&body).into_owned())
}

/// The client learns nothing about the cause, which is in the log.
fn is_trouble(process: &Process, path: &str, cause: &[&str]) {
    let before = process.log().len();
    let (status, head, body) = get(process, path);
    assert_eq!((status, body.as_str()), (500, "internal error"), "{head}{}", process.log());
    let named = process.logs(|log| cause.iter().any(|cause| log[before..].to_lowercase().contains(cause)));
    assert!(named, "the log does not name one of {cause:?}: {}", &process.log()[before..]);
}

#[test]
fn a_locked_database_is_an_internal_error_until_it_is_free() {
    let place = place();
    let process = Process::gateway(place.home.path(), &Start::default()).expect("a start");
    assert_eq!(get(&process, "/move").0, 200, "{}", process.log());
    place.database.execute_batch("begin immediate; update account set amount = 100;").expect("a lock");
    is_trouble(&process, "/move", &["locked", "busy", "time"]);
    // Readers are not affected, and do not see uncommitted changes.
    assert_eq!(get(&process, "/read").2, "4 6");
    place.database.execute_batch("rollback").expect("an end");
    assert_eq!(get(&process, "/move").0, 200, "{}", process.log());
    assert_eq!(get(&process, "/read").2, "3 7");
}

#[test]
fn a_read_only_database_refuses_writes_and_nothing_is_half_written() {
    let place = place();
    // The second statement of the move fails, so the first one must be undone.
    place
        .database
        .execute_batch(
            "create trigger no before update on account when new.name = 'b' begin select raise(abort, 'read-only'); end;",
        )
        .expect("a trigger");
    let process = Process::gateway(place.home.path(), &Start::default()).expect("a start");
    let (status, ..) = get(&process, "/move");
    assert_eq!(status, 500, "{}", process.log());
    assert_eq!(get(&process, "/read").2, "5 5");
    place.database.execute_batch("drop trigger no").expect("the end of it");
    drop(process);
    drop(place.database);
    put(place.home.path(), "gateway.yaml", "connections:\n  OAuth: 'sqlite://data/main.db?mode=ro'\n");
    let process = Process::gateway(place.home.path(), &Start::default()).expect("a start");
    is_trouble(&process, "/move", &["readonly", "read-only", "read only"]);
    assert_eq!(get(&process, "/alive").2, "alive");
}

#[test]
fn a_database_that_is_damaged_or_gone_does_not_take_the_gateway_along() {
    let place = place();
    drop(place.database);
    let data = place.home.path().join("data");
    for name in ["main.db-wal", "main.db-shm"] {
        let _ = fs::remove_file(data.join(name));
    }
    fs::write(data.join("main.db"), "this is not a database, and never was one; it is just long enough to look like a file")
        .expect("written");
    let process = Process::gateway(place.home.path(), &Start::default()).expect("a start");
    is_trouble(&process, "/move", &["not a database", "malformed"]);
    assert_eq!(get(&process, "/alive").2, "alive");
    let (status, _, health) = get(&process, "/health");
    assert!(status == 503 && health.contains("down"), "{status} {health}");
    drop(process);
    fs::remove_file(data.join("main.db")).expect("removed");
    fs::create_dir(data.join("main.db")).expect("a folder in its place");
    let process = Process::gateway(place.home.path(), &Start::default()).expect("a start");
    is_trouble(&process, "/read", &["unable to open", "unavailable"]);
    assert_eq!(get(&process, "/alive").2, "alive");
}
