use super::*;
use crate::data::time::{Clock, Zone};
use crate::front::home::Home;
use crate::front::host::Options;
use crate::services::config::{Moment, Weekday};

#[tokio::test]
async fn a_run_that_panics_or_hangs_ends_alone() {
    let limit = Duration::from_millis(50);
    assert_eq!(guard(async { 7 }, limit).await, RunEnd::Ended(7));
    assert_eq!(guard(std::future::pending::<()>(), limit).await, RunEnd::TooLong);
    let panicking = async {
        tokio::task::yield_now().await;
        panic!("out of {}", "order")
    };
    assert_eq!(guard::<()>(panicking, limit).await, RunEnd::Panicked("out of order".to_owned()));
}

const HOUR: i64 = 3_600_000;

fn task(name: &str, every: i64, task: Task) -> (String, Rhythm, Task) {
    (name.to_owned(), Rhythm::Every(every), task)
}

#[test]
fn tasks_run_at_the_times_of_a_schedule() {
    let board = Board::default();
    let at = |times: &str| ("a".to_owned(), Rhythm::At(Schedule::parse(times).unwrap()), Task::default());
    let all = [at("0 3 * * *")];
    assert_eq!(board.due(HOUR, &all), [""; 0], "nothing is made up for what was missed");
    assert_eq!(board.due(3 * HOUR - 1, &all), [""; 0]);
    assert_eq!(board.due(3 * HOUR + 5, &all), ["a"]);
    board.ended("a", None, None);
    assert_eq!(board.due(26 * HOUR, &all), [""; 0]);
    assert_eq!(board.due(27 * HOUR, &all), ["a"]);
    board.ended("a", None, None);
    let changed = [at("30 3 * * *")];
    assert_eq!(board.due(27 * HOUR + 1, &changed), [""; 0]);
    assert_eq!(board.due(27 * HOUR + HOUR / 2, &changed), ["a"]);
    board.ended("a", None, None);
    // Thursday and Friday are over; a time on another day does not wait for Sunday.
    let (name, rhythm, _) = at("30 3 * * *");
    let sundays = [(name, rhythm, Task { days: vec![Weekday::Sun], ..Task::default() })];
    assert_eq!(board.due(3 * 24 * HOUR, &sundays), [""; 0]);
    assert_eq!(board.due(3 * 24 * HOUR + 4 * HOUR, &sundays), ["a"]);
}

#[test]
fn a_task_runs_once_on_days_when_clocks_change() {
    let zone = Zone::named("Europe/Berlin").unwrap();
    let schedule = Schedule::parse("30 2 * * *").unwrap().by(zone.clone());
    for (from, until, expected) in [
        // There is no 02:30 on the second of these days; on the second of those there are two.
        ("2026-03-28T00:00:00Z", "2026-03-31T00:00:00Z", ["2026-03-28T01:30", "2026-03-29T01:00", "2026-03-30T00:30"]),
        ("2026-10-24T00:00:00Z", "2026-10-27T00:00:00Z", ["2026-10-24T00:30", "2026-10-25T00:30", "2026-10-26T01:30"]),
    ] {
        let all = [("a".to_owned(), Rhythm::At(schedule.clone()), Task { zone: Some(zone.clone()), ..Task::default() })];
        let board = Board::default();
        let (mut now, until) = (crate::data::time::parse(from).unwrap(), crate::data::time::parse(until).unwrap());
        let mut runs = Vec::new();
        while now < until {
            if board.due(now, &all) == ["a"] {
                runs.push(crate::data::time::iso8601(now)[..16].to_owned());
                board.ended("a", None, Some((now, "done")));
            }
            now += 60_000;
        }
        assert_eq!(runs, expected);
        // Another zone is another schedule: its next time is found anew.
        let utc = [("a".to_owned(), Rhythm::At(Schedule::parse("30 2 * * *").unwrap()), Task::default())];
        assert_eq!(board.due(now, &utc), [""; 0]);
        assert_eq!(board.due(now + 2 * HOUR + HOUR / 2, &utc), ["a"]);
    }
}

#[test]
fn tasks_are_due_soon_after_the_start_and_then_by_their_interval() {
    let board = Board::default();
    let all = [task("a", HOUR, Task::default()), task("b", 2000, Task::default())];
    assert_eq!(board.due(0, &all), [""; 0]);
    assert_eq!(board.due(2000, &all), ["b"]);
    assert_eq!(board.due(9000, &all), [""; 0], "one run at a time");
    board.ended("b", None, Some((2000, "done")));
    assert_eq!(board.due(FIRST, &all), ["a", "b"]);
    board.ended("a", None, None);
    assert_eq!(board.due(FIRST + HOUR - 1, &all), [""; 0]);
    assert_eq!(board.due(FIRST + HOUR, &all), ["a"]);
    board.ended("a", None, None);
    let shorter = [task("a", 60_000, Task::default())];
    assert_eq!(board.due(FIRST + HOUR + 1, &shorter), [""; 0]);
    assert_eq!(board.due(FIRST + HOUR + 1 + FIRST, &shorter), ["a"], "a changed interval counts at once");
}

#[test]
fn tasks_are_off_or_wait_for_their_day_or_run_once() {
    let board = Board::default();
    let off = Task { enabled: false, ..Task::default() };
    let day = Task { days: vec![Weekday::Fri], ..Task::default() };
    let once = Task { once: Some(Moment(2 * HOUR)), nodes: Nodes::All, ..Task::default() };
    let all = [task("off", 1000, off), task("day", 1000, day), task("once", 1000, once.clone())];
    assert_eq!(board.due(0, &all), [""; 0]);
    assert_eq!(board.due(2 * HOUR, &all), ["once"]);
    board.ended("once", Some(i64::MAX), Some((2 * HOUR, "done")));
    // Until here it was Thursday.
    assert_eq!(board.due(24 * HOUR - 1, &all), [""; 0]);
    assert_eq!(board.due(24 * HOUR, &all), ["day"]);
    assert_eq!(board.due(90 * HOUR, &all), [""; 0]);
    let late = Board::default();
    assert_eq!(late.due(3 * HOUR, &[task("once", 1000, once)]), [""; 0], "nobody knows whether it ran");
}

fn copy(from: &std::path::Path, to: &std::path::Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// A gateway with a task that writes down that it ran.
struct Node {
    host: Arc<Host>,
    clock: Arc<Clock>,
    home: tempfile::TempDir,
}

impl Node {
    /// With the keys of another one, because new ones take long to make.
    async fn new(url: &str, table: &str, clock: &Arc<Clock>, like: Option<&Node>) -> Node {
        let home = tempfile::tempdir().unwrap();
        if let Some(like) = like {
            copy(&like.home.path().join("keys"), &home.path().join("keys"));
        }
        let write = |path: &str, text: &str| {
            let path = home.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        };
        write(
            "gateway.yaml",
            &format!("connections: {{ Test: \"{url}\" }}\nmonitoring: {{ listen: off }}\nlogging: {{ audit: off }}\n"),
        );
        let policy = format!(
            "connection \"Test\"\n\ntask \"{table}\" every 1m {{ SqlQuery(query: sql \"insert into {table} (n) values (1)\") }}\n"
        );
        write("services/count.policy", &policy);
        let options = Options { clock: Some(Arc::clone(clock)), ..Options::default() };
        let host = Host::open(Home::at(home.path(), None), options).await.unwrap();
        Node { host: Arc::new(host), clock: Arc::clone(clock), home }
    }

    async fn sql(&self, text: &str) -> i64 {
        let statement = crate::services::store::Statement::new(&[text]).unwrap();
        let services = self.host.services();
        let connection = services.connections.get("Test").unwrap();
        let rows = connection.run(&statement, &[], crate::services::store::QueryOptions::default()).await.unwrap();
        rows.rows.first().and_then(|row| row.first()?.to_int()).unwrap_or_default()
    }

    /// Looks at the schedule and lets run what is due.
    async fn tick(&self, table: &str) {
        for name in ready(&self.host).into_iter().filter(|name| name == table) {
            turn(&self.host, &name, false).await;
        }
    }

    fn lease(&self, table: &str) -> Lease {
        let site = self.host.site();
        let task = site.library.tasks().find(|task| task.name == table).unwrap();
        lease_of(&self.host, &site, task, &Task::default()).unwrap()
    }
}

/// Addresses of databases: the embedded one, and servers that the environment names.
fn databases(folder: &std::path::Path) -> Vec<String> {
    let servers = ["PORTCULLIS_TEST_MYSQL", "PORTCULLIS_TEST_POSTGRES"];
    let servers = servers.iter().filter_map(|name| std::env::var(name).ok()).filter(|url| !url.is_empty());
    std::iter::once(format!("sqlite://{}", folder.join("shared.db").display())).chain(servers).collect()
}

const TABLE: &str = "create table if not exists portcullis_task (task varchar(128) not null primary key, holder varchar(128) not null, \
                     held_until bigint not null default 0, due bigint not null default 0, last_run bigint not null default 0, \
                     result varchar(16) not null default '')";

#[tokio::test(flavor = "multi_thread")]
async fn of_two_gateways_one_runs_a_round_and_the_other_takes_over() {
    let folder = tempfile::tempdir().unwrap();
    for url in databases(folder.path()) {
        let table = format!("t_{}", uuid::Uuid::new_v4().simple());
        let clock = Arc::new(Clock::default());
        let one = Node::new(&url, &table, &clock, None).await;
        let two = Node::new(&url, &table, &clock, Some(&one)).await;
        one.sql(TABLE).await;
        one.sql(&format!("create table {table} (n bigint)")).await;
        let count = format!("select count(*) from {table}");
        for round in 1..=4 {
            clock.advance(61_000);
            if round == 1 {
                // The first look only begins the schedule.
                one.tick(&table).await;
                two.tick(&table).await;
                clock.advance(FIRST);
            }
            tokio::join!(one.tick(&table), two.tick(&table));
            tokio::join!(two.tick(&table), one.tick(&table));
            assert_eq!(one.sql(&count).await, round, "{url}");
        }
        // One begins, and dies.
        clock.advance(61_000);
        let now = one.clock.now_millis();
        assert_eq!(one.lease(&table).claim(now, When::Due).await.unwrap(), Claim::Taken);
        two.tick(&table).await;
        assert_eq!(two.sql(&count).await, 4, "it is being run");
        assert!(one.lease(&table).keep(now).await.unwrap());
        clock.advance(HELD + 1000);
        two.tick(&table).await;
        assert_eq!(two.sql(&count).await, 5, "the other one takes over");
        assert!(!one.lease(&table).keep(clock.now_millis()).await.unwrap(), "the row is lost");
        let report = two.host.task_reports().await.remove(&table).unwrap();
        assert_eq!((report.result.as_deref(), report.running, report.every), (Some("done"), false, 60_000));
        // Asked for, it runs whenever it is due; the schedule goes on from there.
        assert_eq!(one.host.run_task(&table).await, Ran::Ended("done".to_owned()));
        assert_eq!(one.sql(&count).await, 6);
        assert!(matches!(one.host.run_task("no such task").await, Ran::Unknown(_)));
        one.sql(&format!("drop table {table}")).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_table_every_gateway_runs_a_task() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("plain.db").display());
    let clock = Arc::new(Clock::default());
    let one = Node::new(&url, "counted", &clock, None).await;
    let two = Node::new(&url, "counted", &clock, Some(&one)).await;
    one.sql("create table counted (n bigint)").await;
    for node in [&one, &two] {
        node.tick("counted").await;
        clock.advance(61_000);
        node.tick("counted").await;
    }
    assert_eq!(one.sql("select count(*) from counted").await, 2);
}
