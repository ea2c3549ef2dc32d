use std::time::Instant;

use super::*;
use crate::services::config::Span;

#[tokio::test(flavor = "multi_thread")]
async fn one_writers_error_is_nobody_elses() {
    let db = sqlite();
    let table = db.table().await;
    db.sql(&format!("insert into {table} values ('taken', 0)"), &[]).await.unwrap();
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let connection = db.connection.clone();
            // Every fourth violates the key; every eighth does so in a way that rolls back the whole transaction.
            let (verb, key) = match task % 8 {
                0 => ("insert or rollback", "taken".to_owned()),
                4 => ("insert", "taken".to_owned()),
                _ => ("insert", format!("key-{task}")),
            };
            let insert = statement(&format!("{verb} into {table} values (?, ?)"));
            tokio::spawn(async move {
                let result = connection.run(&insert, &[Value::from(key), Value::Int(task)], QueryOptions::default()).await;
                match result {
                    Ok(rows) => assert_eq!((rows.affected, task % 4 != 0), (1, true)),
                    Err(error) => assert!(error.is_duplicate() && task % 4 == 0, "{error}"),
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(db.count(&table).await, 1 + 48);
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_that_wait_share_a_commit() {
    let db = sqlite();
    let table = db.table().await;
    // While a transaction has the writer, others queue up; then they share one commit.
    let holder = db.begin(BeginOptions::default()).await.unwrap();
    let tasks: Vec<_> = (0..64)
        .map(|task| {
            let connection = db.connection.clone();
            let insert = statement(&format!("insert into {table} values (?, 1)"));
            tokio::spawn(async move { connection.run(&insert, &[Value::Int(task)], QueryOptions::default()).await.unwrap() })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(db.count(&table).await, 0);
    holder.commit().await.unwrap();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(db.count(&table).await, 64);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_undone_transaction_saw_is_there_when_it_ends() {
    let db = sqlite();
    let table = db.table().await;
    for round in 0..20_i64 {
        // The second one waits during the first, so both are in one batch.
        let mut first = db.begin(BeginOptions::default()).await.unwrap();
        let (connection, text) = (db.connection.clone(), format!("select k from {table} where k = ?"));
        let second = tokio::spawn(async move {
            let mut second = connection.begin(BeginOptions::default()).await.unwrap();
            let key = [Value::from(round.to_string())];
            let seen = second.run(&statement(&text), &key, QueryOptions::default()).await.unwrap().rows.len();
            second.rollback().await.unwrap();
            let found = connection.run(&statement(&text), &key, QueryOptions::default()).await.unwrap().rows.len();
            (seen, found)
        });
        tokio::time::sleep(Duration::from_millis(5)).await;
        let insert = statement(&format!("insert into {table} values (?, 1)"));
        first.run(&insert, &[Value::from(round.to_string())], QueryOptions::default()).await.unwrap();
        first.commit().await.unwrap();
        let (seen, found) = second.await.unwrap();
        assert_eq!(seen, found, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn long_statements_are_interrupted() {
    let db = sqlite();
    let table = db.table().await;
    let endless = "with recursive c(x) as (select 1 union all select x + 1 from c where x < 1000000000000)";
    let options = QueryOptions { max_rows: 1, timeout: Some(Duration::from_millis(100)) };
    let begun = Instant::now();
    let error = db.run(&statement(&format!("{endless} select count(*) from c")), &[], options).await.unwrap_err();
    assert_eq!(error.kind, Kind::Timeout, "{error}");
    let insert = statement(&format!("insert into {table} {endless} select 'x' || x, 1 from c"));
    let ((), error) = tokio::join!(
        async {
            for i in 0..20 {
                db.sql(&format!("insert into {table} values (?, 1)"), &[Value::Int(i)]).await.unwrap();
            }
        },
        db.run(&insert, &[], options)
    );
    assert_eq!(error.unwrap_err().kind, Kind::Timeout);
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert_eq!(db.count(&table).await, 20, "the interrupted one left nothing, the others are whole");
}

#[tokio::test(flavor = "multi_thread")]
async fn returning_and_with_write_too() {
    let db = sqlite();
    let table = db.table().await;
    let rows = db.sql(&format!("insert into {table} values ('a', 1) returning k, n"), &[]).await.unwrap();
    assert_eq!((rows.rows.len(), rows.affected), (1, 1));
    let rows = db.sql(&format!("with x as (select 'b' as k) insert into {table} select k, 2 from x"), &[]).await.unwrap();
    assert_eq!(rows.affected, 1);
    assert_eq!(db.count(&table).await, 2);
    let error = db.sql(&format!("delete from {table}; delete from {table}"), &[]).await.unwrap_err();
    assert_eq!(error.kind, Kind::Invalid, "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_says_so() {
    let db = open(Config { wait_timeout: Some(Span(Duration::from_millis(100))), ..config("sqlite://data/test.db") });
    let table = db.table().await;
    let other = rusqlite::Connection::open(db.home.path().join("data/test.db")).unwrap();
    other.execute_batch("begin immediate").unwrap();
    let error = db.sql(&format!("insert into {table} values ('a', 1)"), &[]).await.unwrap_err();
    assert_eq!(error.kind, Kind::Busy, "{error}");
    assert_eq!(db.count(&table).await, 0, "reading goes on");
    other.execute_batch("rollback").unwrap();
    db.sql(&format!("insert into {table} values ('a', 1)"), &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_database_says_so() {
    let db = sqlite();
    let table = db.table().await;
    let configs = BTreeMap::from([("Test".to_owned(), config("sqlite://data/test.db?mode=ro"))]);
    let reader = Connections::open(&configs, db.home.path()).unwrap();
    let reader = reader.get("Test").unwrap();
    let insert = statement(&format!("insert into {table} values ('a', 1)"));
    assert_eq!(reader.run(&insert, &[], QueryOptions::default()).await.unwrap_err().kind, Kind::ReadOnly);
    assert_eq!(reader.begin(BeginOptions::default()).await.err().unwrap().kind, Kind::ReadOnly);
    let select = statement(&format!("select * from {table}"));
    assert_eq!(reader.run(&select, &[], QueryOptions::default()).await.unwrap().rows.len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_database_is_not_written_to_and_works_again_when_it_is_back() {
    let db = sqlite();
    let table = db.table().await;
    db.sql(&format!("insert into {table} values ('a', 1)"), &[]).await.unwrap();
    let folder = db.home.path().join("data");
    std::fs::rename(&folder, db.home.path().join("away")).unwrap();
    let error = db.sql(&format!("insert into {table} values ('b', 1)"), &[]).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable, "{error}");
    let error = db.sql(&format!("select * from {table}"), &[]).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable, "{error}");
    std::fs::rename(db.home.path().join("away"), &folder).unwrap();
    db.sql(&format!("insert into {table} values ('c', 1)"), &[]).await.unwrap();
    assert_eq!(db.count(&table).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_cannot_be_opened_keeps_nobody_from_starting() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("data"), "not a folder").unwrap();
    let configs = BTreeMap::from([("Test".to_owned(), config("sqlite://data/test.db"))]);
    let connections = Connections::open(&configs, home.path()).unwrap();
    let connection = connections.get("Test").unwrap();
    let create = statement("create table t (k text)");
    let error = connection.run(&create, &[], QueryOptions::default()).await.unwrap_err();
    assert_eq!(error.kind, Kind::Unavailable, "{error}");
    std::fs::remove_file(home.path().join("data")).unwrap();
    connection.run(&create, &[], QueryOptions::default()).await.unwrap();
    connections.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_that_undoes_a_whole_transaction_is_told() {
    let db = sqlite();
    let table = db.table().await;
    db.sql(&format!("insert into {table} values ('taken', 1)"), &[]).await.unwrap();
    let options = QueryOptions::default();
    let mut transaction = db.begin(BeginOptions::default()).await.unwrap();
    let other = {
        let (connection, insert) = (db.connection.clone(), statement(&format!("insert into {table} values ('other', 1)")));
        tokio::spawn(async move { connection.run(&insert, &[], QueryOptions::default()).await })
    };
    transaction.run(&statement(&format!("insert into {table} values ('a', 1)")), &[], options).await.unwrap();
    let or_rollback = statement(&format!("insert or rollback into {table} values ('taken', 1)"));
    assert!(transaction.run(&or_rollback, &[], options).await.unwrap_err().is_duplicate());
    let error = transaction.run(&statement(&format!("insert into {table} values ('b', 1)")), &[], options).await.unwrap_err();
    assert_eq!(error.kind, Kind::Busy, "{error}");
    assert_eq!(transaction.commit().await.unwrap_err().kind, Kind::Busy);
    other.await.unwrap().unwrap();
    assert_eq!(db.count(&table).await, 2);
}

/// Fills a table with about 20 MB and empties it again.
async fn flood(db: &Db, table: &str) {
    let many = "with recursive c(x) as (select 1 union all select x + 1 from c where x < 10000)";
    db.sql(&format!("insert into {table} {many} select x || hex(zeroblob(1000)), 1 from c"), &[]).await.unwrap();
    db.sql(&format!("delete from {table}"), &[]).await.unwrap();
}

/// Waits until the file is smaller than that.
async fn shrinks(db: &Db, bytes: u64) -> bool {
    let path = db.home.path().join("data/test.db");
    for _ in 0..300 {
        if std::fs::metadata(&path).unwrap().len() < bytes {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    false
}

#[tokio::test(flavor = "multi_thread")]
async fn space_goes_back_to_the_file_system() {
    let db = sqlite();
    let table = db.table().await;
    flood(&db, &table).await;
    assert!(shrinks(&db, 8_000_000).await);
    db.sql(&format!("insert into {table} values ('a', 1)"), &[]).await.unwrap();
    assert_eq!(db.count(&table).await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_never_shrank_is_converted() {
    let db = sqlite();
    std::fs::create_dir_all(db.home.path().join("data")).unwrap();
    let path = db.home.path().join("data/old.db");
    let old = rusqlite::Connection::open(&path).unwrap();
    old.execute_batch("pragma journal_mode = wal; create table t (k text primary key, n); insert into t values ('kept', 1)")
        .unwrap();
    // A process that reads meanwhile does not prevent opening it.
    let configs = BTreeMap::from([("Test".to_owned(), config("sqlite://data/old.db"))]);
    let connections = Connections::open(&configs, db.home.path()).unwrap();
    let connection = connections.get("Test").unwrap().clone();
    let rows = connection.run(&statement("select k from t"), &[], QueryOptions::default()).await.unwrap();
    assert_eq!(rows.rows[0][0].as_text(), "kept");
    connections.close().await;
    drop(old);
    let after = rusqlite::Connection::open(&path).unwrap();
    let mode: i64 = after.query_row("pragma auto_vacuum", [], |row| row.get(0)).unwrap();
    assert_eq!(mode, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_table_shows_its_own_columns() {
    let db = sqlite();
    let table = db.table().await;
    let select = statement(&format!("select * from {table}"));
    let columns = async || db.connection.run(&select, &[], QueryOptions::default()).await.unwrap().columns;
    let before = columns().await;
    db.sql(&format!("alter table {table} add column another integer"), &[]).await.unwrap();
    let after = columns().await;
    assert_eq!((after.len(), &*after[before.len()]), (before.len() + 1, "another"));
}
