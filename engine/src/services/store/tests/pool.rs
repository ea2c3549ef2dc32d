//! The settings of a server's pool, on real servers.

use crate::services::config::Span;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Each server with these settings.
fn servers(settings: impl Fn(Config) -> Config) -> Vec<Db> {
    let servers = ["PORTCULLIS_TEST_MYSQL", "PORTCULLIS_TEST_POSTGRES"];
    let servers = servers.iter().filter_map(|name| std::env::var(name).ok()).filter(|url| !url.is_empty());
    servers.map(|url| open(settings(config(&url)))).collect()
}

fn sleep(db: &Db) -> Statement {
    statement(if db.dialect() == Dialect::MySql { "select sleep(1)" } else { "select cast(pg_sleep(1) as text)" })
}

/// Which connection answers.
async fn session(db: &Db) -> i64 {
    let sql = if db.dialect() == Dialect::MySql { "select connection_id()" } else { "select pg_backend_pid()" };
    db.sql(sql, &[]).await.unwrap().rows[0][0].to_int().unwrap()
}

/// So many statements at once, each of which takes a second.
async fn at_once(db: &Db, count: usize) -> Vec<Result<Rows, StoreError>> {
    let tasks: Vec<_> = (0..count)
        .map(|_| {
            let (connection, sleep) = (db.connection.clone(), sleep(db));
            tokio::spawn(async move { connection.run(&sleep, &[], QueryOptions::default()).await })
        })
        .collect();
    let mut results = Vec::new();
    for task in tasks {
        results.push(task.await.unwrap());
    }
    results
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_no_more_connections_than_allowed_and_waiting_ends() {
    let wait = Some(Span(SECOND * 3 / 2));
    for db in servers(|config| Config { pool_size: Some(2), wait_timeout: wait, ..config }) {
        let results = at_once(&db, 8).await;
        let pool = db.pool().unwrap();
        assert!(pool.most == 2 && pool.idle + pool.used <= 2, "{pool:?}");
        let failed: Vec<_> = results.iter().filter_map(|result| result.as_ref().err()).collect();
        assert!(!failed.is_empty() && failed.len() <= 6, "{failed:?}");
        assert!(failed.iter().all(|error| error.kind == Kind::Unavailable), "{failed:?}");
        session(&db).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn idle_connections_are_closed_but_for_those_to_keep() {
    for db in servers(|config| Config { pool_size: Some(5), pool_min: Some(2), max_idle_time: Some(Span(SECOND)), ..config }) {
        assert!(at_once(&db, 5).await.iter().all(Result::is_ok));
        let many = db.pool().unwrap();
        assert!(many.idle + many.used > 2, "{many:?}");
        for _ in 0..200 {
            if db.pool().unwrap().idle == 2 {
                break;
            }
            tokio::time::sleep(SECOND / 10).await;
        }
        assert_eq!(db.pool().unwrap().idle, 2);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_is_tested_before_it_is_used_again_and_ends_when_it_is_old() {
    let rests = |settings: fn(Config) -> Config| async move {
        let mut kept = Vec::new();
        for db in servers(move |config| settings(Config { pool_size: Some(1), ..config })) {
            let before = session(&db).await;
            // Longer than it is trusted, and than two rounds of the pool's own housekeeping.
            tokio::time::sleep(SECOND * 3).await;
            kept.push(session(&db).await == before);
        }
        kept
    };
    assert!(rests(|config| config).await.iter().all(|kept| *kept), "by what the database has for it");
    let good = rests(|config| Config { test_query: Some("select 1".to_owned()), ..config }).await;
    assert!(good.iter().all(|kept| *kept));
    let bad = rests(|config| Config { test_query: Some("select from nowhere at all".to_owned()), ..config }).await;
    assert!(bad.iter().all(|kept| !*kept), "a connection that fails its test is not used");
    let old = rests(|config| Config { max_connection_age: Some(Span(SECOND)), ..config }).await;
    assert!(old.iter().all(|kept| !*kept), "its time is over");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_takes_too_long_ends_and_so_does_its_connection() {
    for db in servers(|config| Config { pool_size: Some(1), statement_timeout: Some(Span(SECOND / 4)), ..config }) {
        let before = session(&db).await;
        let error = db.run(&sleep(&db), &[], QueryOptions::default()).await.unwrap_err();
        assert_eq!(error.kind, Kind::Timeout, "{error}");
        let patient = QueryOptions { timeout: Some(SECOND * 4), ..QueryOptions::default() };
        // PostgreSQL itself keeps the connection's time, too.
        let result = db.run(&sleep(&db), &[], patient).await;
        assert!(result.is_ok() || db.dialect() == Dialect::Postgres, "{result:?}");
        assert_ne!(session(&db).await, before, "nobody gets a connection that may still be at work");
    }
}
