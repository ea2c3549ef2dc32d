//! Two gateways on one database: one runs a clean-up and is killed in the middle of it. When its lease is over, the other one goes on.

use std::time::{Duration, Instant};

use portcullis_tests::process::{Process, Start, command};
use portcullis_tests::put;

const TASK: &str = "OTK Session Clean-up";
const ROWS: i64 = 60_000;

fn soon(what: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while !what() {
        if begun.elapsed() > Duration::from_secs(120) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

#[test]
fn a_clean_up_whose_gateway_was_killed_is_finished_by_another() {
    let homes = [(); 2].map(|()| tempfile::tempdir().expect("a folder"));
    let file = homes[0].path().join("shared.db");
    for home in &homes {
        let settings = format!("connections:\n  OAuth: 'sqlite://{}'\ntasks: {{ '{TASK}': {{ every: 1s }} }}\n", file.display());
        put(home.path(), "gateway.yaml", &settings);
    }
    // Makes the tables.
    let said = command(homes[0].path(), &["client", "list"]).expect("a command");
    assert!(said.success, "{}{}", said.stdout, said.stderr);
    let database = rusqlite::Connection::open(&file).expect("the database");
    database.busy_timeout(Duration::from_secs(20)).expect("a time");
    let fill = format!(
        "with recursive n (i) as (select 1 union all select i + 1 from n where i < {ROWS}) \
         insert into oauth_session (session_key, session_group, expiration, value) select 'k' || i, 'test', i, 'v' from n"
    );
    database.execute_batch(&fill).expect("rows");
    let count = || -> i64 {
        let rows = "select count(*) from oauth_session where session_group = 'test'";
        database.query_row(rows, [], |row| row.get(0)).expect("a count")
    };
    // The name of who holds the task: its machine, its process, something random.
    let holder = || -> Option<u32> {
        let row = "select holder from portcullis_task where task = ?1";
        let name: String = database.query_row(row, [TASK], |row| row.get(0)).ok()?;
        name.split(' ').rev().nth(1)?.parse().ok()
    };
    let mut gateways =
        homes.iter().map(|home| Process::gateway(home.path(), &Start::default()).expect("a start")).collect::<Vec<_>>();
    let logs = |gateways: &[Process]| gateways.iter().map(Process::log).collect::<String>();
    assert!(soon(|| count() < ROWS), "{}", logs(&gateways));
    let first = holder().expect("somebody holds it");
    let at = gateways.iter().position(|gateway| gateway.id() == first).expect("one of the two");
    gateways[at].kill().expect("an end");
    let left = count();
    assert!(left > 0, "it was too quick to be killed in the middle");
    // It holds the task still, so that the other one waits until its time is over.
    assert_eq!(holder(), Some(first));
    assert!(soon(|| count() == 0), "{} of {left} are left: {}", count(), logs(&gateways));
    let second = gateways[1 - at].id();
    assert!(soon(|| holder() == Some(second)), "{:?} is not {second}: {}", holder(), logs(&gateways));
}
