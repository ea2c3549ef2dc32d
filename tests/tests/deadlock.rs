//! Statements and transactions that lock the same rows in different orders, at once, on real servers: who loses is tried again, a few
//! times, and hardly a client learns of it.

use portcullis_tests::databases::installed;
use portcullis_tests::load::{self, Target};
use portcullis_tests::process::{Process, Start};
use portcullis_tests::{block_on, put};

const CLIENTS: usize = 6;
const EACH: usize = 20;
const ACCOUNTS: usize = 64;

const SERVICES: &str = r#"
service "Move" at "/move" {
    set from = ${request.http.query.from}
    set to = ${request.http.query.to}
    set tried = 0
    Transaction(connection: "OAuth") {
        // What a lost attempt did to variables is undone, too.
        set tried = ${tried} + 1
        SqlQuery(connection: "OAuth", query: sql "update account set amount = amount - 1 where name = ${from}")
        SqlQuery(connection: "OAuth", query: sql "update account set amount = amount + 1 where name = ${to}")
    }
    Respond(body: "moved ${tried}")
}

service "Move and tell" at "/tell" {
    set from = ${request.http.query.from}
    set to = ${request.http.query.to}
    Transaction(connection: "OAuth") {
        SqlQuery(connection: "OAuth", query: sql "update account set amount = amount - 1 where name = ${from}")
        AuditDetail(message: "told once")
        SqlQuery(connection: "OAuth", query: sql "update account set amount = amount + 1 where name = ${to}")
    }
    Respond(body: "moved 1")
}

service "All" at "/all" {
    if SqlDialect(connection: "OAuth", is: "mysql") {
        if ${request.http.query.from} == "a" {
            SqlQuery(connection: "OAuth", query: sql "update account set amount = amount + 1 order by name limit 100")
        } else {
            SqlQuery(connection: "OAuth", query: sql "update account set amount = amount + 1 order by name desc limit 100")
        }
    } else {
        if ${request.http.query.from} == "a" {
            SqlQuery(connection: "OAuth", query: sql """
                with held as (select name from account order by name for update)
                update account set amount = amount + 1 from held where held.name = account.name returning account.name
                """)
        } else {
            SqlQuery(connection: "OAuth", query: sql """
                with held as (select name from account order by name desc for update)
                update account set amount = amount + 1 from held where held.name = account.name returning account.name
                """)
        }
    }
    Respond(body: "moved 1")
}

service "Make" at "/make" {
    SqlQuery?(connection: "OAuth", query: sql "create table account (name varchar(10) not null primary key, amount bigint not null)")
    ForEach first in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        ForEach second in ["", "b", "c", "d", "e", "f", "g", "h"] {
            set name = "${first}${second}"
            SqlQuery(connection: "OAuth", query: sql "insert into account values (${name}, 0)")
        }
    }
    Respond(body: "made")
}

service "Sum" at "/sum" {
    SqlQuery(connection: "OAuth", query: sql "select cast(sum(amount) as char(20)) as total from account", prefix: "row")
    Respond(body: trim(${row.total}))
}
"#;

fn get(process: &Process, path: &str) -> (u16, String) {
    let target = Target { address: process.http, tls: false };
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (status, _, body) = block_on(load::once(target, request.as_bytes())).expect("an answer");
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// Many clients at once, half of them in the other direction. How often each status was answered; every success is one try.
fn rivals(process: &Process, path: &'static str) -> (usize, usize) {
    let target = Target { address: process.http, tls: false };
    let answers = block_on(async {
        let tasks: Vec<_> = (0..CLIENTS)
            .map(|client| {
                let (from, to) = if client % 2 == 0 { ("a", "h") } else { ("h", "a") };
                let request = format!("GET {path}?from={from}&to={to} HTTP/1.1\r\nHost: localhost\r\n\r\n");
                tokio::spawn(async move {
                    let mut answers = Vec::new();
                    for _ in 0..EACH {
                        answers.push(load::once(target, request.as_bytes()).await.expect("an answer"));
                    }
                    answers
                })
            })
            .collect();
        let mut answers = Vec::new();
        for task in tasks {
            answers.extend(task.await.expect("no panic"));
        }
        answers
    });
    let bodies = answers.iter().filter(|(status, ..)| *status == 200).map(|(.., body)| String::from_utf8_lossy(body));
    assert!(bodies.into_iter().all(|body| body == "moved 1"), "{path}: a variable remembers a lost attempt");
    let count = |wanted: u16| answers.iter().filter(|(status, ..)| *status == wanted).count();
    assert_eq!(count(200) + count(503), CLIENTS * EACH, "{path}: {:?}", answers.iter().find(|(status, ..)| *status != 200));
    (count(200), count(503))
}

/// Rounds of rivals until somebody lost, who was refused, or tried again as the log says: otherwise nothing is shown.
fn until_somebody_loses(process: &Process, path: &'static str, says: Option<&str>) -> (usize, usize) {
    let (mut served, mut refused) = (0, 0);
    for _ in 0..20 {
        let round = rivals(process, path);
        (served, refused) = (served + round.0, refused + round.1);
        if says.map_or(refused > 0, |says| process.log().contains(says)) {
            return (served, refused);
        }
    }
    panic!("{path}: nobody lost")
}

#[test]
fn who_loses_against_others_is_tried_again() {
    for database in installed().expect("servers") {
        let kind = database.kind();
        let home = tempfile::tempdir().expect("a folder");
        let yaml = format!("connections:\n  OAuth: {{ url: '{}' }}\nlogging: {{ level: debug }}\n", database.url());
        put(home.path(), "gateway.yaml", &yaml);
        put(home.path(), "services/move.policy", SERVICES);
        let process = Process::gateway(home.path(), &Start::default()).expect("a start");
        assert_eq!(get(&process, "/make"), (200, "made".to_owned()), "{kind:?}: {}", process.log());

        // Whole transactions, in which nothing happened but SQL.
        let (served, refused) = until_somebody_loses(&process, "/move", Some("run again"));
        // The attempts are bounded: in a crowd like this one, a few run out of them.
        assert!(refused * 10 <= served, "{kind:?}: {served} {refused} {}", process.log());
        assert_eq!(get(&process, "/sum"), (200, "0".to_owned()), "{kind:?}");

        // One that told somebody is not tried again: nothing of it is left, and the client may try.
        let (served, refused) = until_somebody_loses(&process, "/tell", None);
        let told = process.log().matches("told once").count();
        assert!(served > 0 && refused > 0, "{kind:?}: {served} {refused}");
        assert!(told <= served + refused, "{kind:?}: {told} records of {} requests", served + refused);
        assert_eq!(get(&process, "/sum"), (200, "0".to_owned()), "{kind:?}");

        // Single statements.
        let (served, refused) = until_somebody_loses(&process, "/all", Some("a statement is tried again"));
        assert!(refused * 10 <= served, "{kind:?}: {served} {refused} {}", process.log());
        assert_eq!(get(&process, "/sum"), (200, (ACCOUNTS * served).to_string()), "{kind:?}: each counts once");
    }
}
