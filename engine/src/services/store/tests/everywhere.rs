use super::*;
use crate::services::config::Span;

#[tokio::test(flavor = "multi_thread")]
async fn values_come_back_as_they_went_in() {
    for db in databases() {
        let table = format!("t_{}", uuid::Uuid::new_v4().simple());
        db.sql(&format!("create table {table} (a varchar(100), b bigint, c double precision, d bigint, e bigint, f text)"), &[])
            .await
            .unwrap();
        let values = [
            text("ü' \" ; -- ?"),
            Value::Int(i64::MAX),
            Value::Decimal(1.5),
            Value::Bool(true),
            Value::Time(1_700_000_000_999),
            Value::json(serde_json::json!({"a": 1})),
        ];
        db.sql(&format!("insert into {table} values (?, ?, ?, ?, ?, ?)"), &values).await.unwrap();
        db.sql(&format!("insert into {table} (a, b) values (?, ?)"), &[Value::Undefined, text("42")]).await.unwrap();
        let rows =
            db.sql(&format!("select a, b, c, d, e, f from {table} where b = ?"), &[text(&i64::MAX.to_string())]).await.unwrap();
        assert_eq!(rows.columns[..], ["a", "b", "c", "d", "e", "f"]);
        let row = &rows.rows[0];
        assert_eq!(row[0].as_text(), "ü' \" ; -- ?");
        assert!(matches!(row[1], Value::Int(i64::MAX)));
        assert!(matches!(row[2], Value::Decimal(number) if number == 1.5));
        assert!(matches!(row[3], Value::Int(1)));
        assert!(matches!(row[4], Value::Int(1_700_000_000)), "times are stored as epoch seconds");
        assert_eq!(row[5].as_text(), r#"{"a":1}"#);
        let rows = db.sql(&format!("select a, b from {table} where a is null"), &[]).await.unwrap();
        assert!(rows.rows[0][0].is_undefined());
        assert!(matches!(rows.rows[0][1], Value::Int(42)));
        let none = db.sql(&format!("select a, b from {table} where b = ?"), &[Value::Int(0)]).await.unwrap();
        assert_eq!((none.columns.len(), none.rows.len()), (2, 0), "columns are known without rows");
        db.sql(&format!("drop table {table}"), &[]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_are_limited_and_counted() {
    for db in databases() {
        let table = db.table().await;
        for i in 0..5 {
            let rows =
                db.sql(&format!("insert into {table} values (?, ?)"), &[text(&i.to_string()), Value::Int(i)]).await.unwrap();
            assert_eq!(rows.affected, 1);
        }
        let options = QueryOptions { max_rows: 3, timeout: None };
        let rows = db.run(&statement(&format!("select * from {table}")), &[], options).await.unwrap();
        assert_eq!((rows.rows.len(), rows.affected), (3, 0));
        let rows = db.sql(&format!("update {table} set n = n where n >= ?"), &[Value::Int(2)]).await.unwrap();
        assert_eq!(rows.affected, 3, "matched rows count, changed or not");
        let rows = db.sql(&format!("delete from {table} where n = ?"), &[Value::Int(99)]).await.unwrap();
        assert_eq!(rows.affected, 0);
        db.sql(&format!("drop table {table}"), &[]).await.unwrap();
    }
}

/// An update that begins with `with`, and one that fails inside a transaction.
#[tokio::test(flavor = "multi_thread")]
async fn what_begins_like_a_read_and_changes_rows_counts_them() {
    for db in databases() {
        let table = db.table().await;
        for (key, n) in [("a", 1), ("b", 2), ("c", 3)] {
            db.sql(&format!("insert into {table} values (?, ?)"), &[text(key), Value::Int(n)]).await.unwrap();
        }
        let changes = [
            (format!("with few as (select 'a' as k) update {table} set n = ? where k in ('a', 'b')"), 2),
            (format!("/* why */ with few as (select 'a' as k) delete from {table} where n = ? and k = 'a'"), 1),
            (format!("with few as (select 'a' as k) delete from {table} where n = ? and k = 'a'"), 0),
        ];
        for (sql, expected) in changes {
            match db.sql(&sql, &[Value::Int(7)]).await {
                Ok(rows) => assert_eq!(rows.affected, expected, "{sql}"),
                // MariaDB has no such statement, and says so.
                Err(error) => assert_eq!((db.dialect(), error.kind), (Dialect::MySql, Kind::Invalid), "{error}"),
            }
        }
        let select = format!("with few as (select 'b' as k) select n from {table} where k = ?");
        let rows = db.sql(&select, &[text("b")]).await.unwrap();
        assert_eq!((rows.rows.len(), rows.affected), (1, 0));
        if db.dialect() != Dialect::MySql {
            let insert = format!("with one as (select 'b' as k) insert into {table} select k, ? from one");
            let mut session = db.begin(BeginOptions::default()).await.unwrap();
            let error = session.run(&statement(&insert), &[Value::Int(1)], QueryOptions::default()).await.unwrap_err();
            assert!(error.is_duplicate(), "{error}");
            let update = statement(&format!("update {table} set n = ? where k = 'b'"));
            let rows = session.run(&update, &[Value::Int(9)], QueryOptions::default()).await.unwrap();
            assert_eq!(rows.affected, 1, "the transaction goes on after a row that exists already");
            session.commit().await.unwrap();
            assert_eq!(db.sql(&select, &[text("b")]).await.unwrap().rows[0][0].to_int(), Some(9));
        }
        db.sql(&format!("drop table {table}"), &[]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_are_told_apart_and_hide_values() {
    for db in databases() {
        let table = db.table().await;
        let insert = format!("insert into {table} values (?, ?)");
        db.sql(&insert, &[text("secret-value"), Value::Int(1)]).await.unwrap();
        let error = db.sql(&insert, &[text("secret-value"), Value::Int(1)]).await.unwrap_err();
        assert!(error.is_duplicate(), "{error}");
        assert!(!error.to_string().contains("secret-value"), "{error}");
        let error = db.sql(&insert, &[Value::Undefined, Value::Int(1)]).await.unwrap_err();
        assert_eq!(error.kind, Kind::Constraint, "{error}");
        let error = db.sql("select a from nowhere_at_all", &[]).await.unwrap_err();
        assert!(error.to_string().contains("nowhere_at_all"), "{error}");
        assert_ne!(error.kind, Kind::Duplicate);
        let error = db.sql(&insert, &[text("only one")]).await.unwrap_err();
        assert_eq!(error.kind, Kind::Invalid, "{error}");
        db.sql(&format!("drop table {table}"), &[]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_deletes_one_wins() {
    for db in databases() {
        let table = db.table().await;
        for round in 0..5 {
            let key = text(&format!("code-{round}"));
            db.sql(&format!("insert into {table} values (?, 1)"), std::slice::from_ref(&key)).await.unwrap();
            let tasks: Vec<_> = (0..32)
                .map(|_| {
                    let (connection, key) = (db.connection.clone(), key.clone());
                    let statement = statement(&format!("delete from {table} where k = ?"));
                    tokio::spawn(
                        async move { connection.run(&statement, &[key], QueryOptions::default()).await.unwrap().affected },
                    )
                })
                .collect();
            let mut affected = 0;
            for task in tasks {
                affected += task.await.unwrap();
            }
            assert_eq!(affected, 1);
        }
        db.sql(&format!("drop table {table}"), &[]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_to_read() {
    for db in databases() {
        let table = db.table().await;
        let tasks: Vec<_> = (0..64)
            .map(|task| {
                let connection = db.connection.clone();
                let insert = statement(&format!("insert into {table} values (?, ?)"));
                let select = statement(&format!("select n from {table} where k = ?"));
                tokio::spawn(async move {
                    for i in 0..10 {
                        let key = text(&format!("{task}-{i}"));
                        connection.run(&insert, &[key.clone(), Value::Int(i)], QueryOptions::default()).await.unwrap();
                        let rows = connection.run(&select, &[key], QueryOptions::default()).await.unwrap();
                        assert_eq!(rows.rows[0][0].to_int(), Some(i));
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(db.count(&table).await, 640);
        db.sql(&format!("drop table {table}"), &[]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_is_seen_whole_or_not_at_all() {
    for db in databases() {
        let table = db.table().await;
        let insert = statement(&format!("insert into {table} values (?, 1)"));
        let select = statement(&format!("select * from {table}"));
        let options = QueryOptions::default();

        let mut transaction = db.begin(BeginOptions::default()).await.unwrap();
        transaction.run(&insert, &[text("a")], options).await.unwrap();
        assert_eq!(transaction.run(&select, &[], options).await.unwrap().rows.len(), 1, "it sees its own writes");
        assert_eq!(db.count(&table).await, 0, "nobody else does");
        transaction.commit().await.unwrap();
        assert_eq!(db.count(&table).await, 1);

        let mut transaction = db.begin(BeginOptions::default()).await.unwrap();
        transaction.run(&insert, &[text("b")], options).await.unwrap();
        transaction.rollback().await.unwrap();
        assert_eq!(db.count(&table).await, 1);

        let mut transaction = db.begin(BeginOptions::default()).await.unwrap();
        transaction.run(&insert, &[text("c")], options).await.unwrap();
        drop(transaction);
        let mut transaction = db.begin(BeginOptions::default()).await.unwrap();
        let error = transaction.run(&insert, &[text("a")], options).await.unwrap_err();
        assert!(error.is_duplicate());
        transaction.run(&insert, &[text("d")], options).await.unwrap();
        transaction.commit().await.unwrap();
        assert_eq!(db.count(&table).await, 2, "`c` was dropped; the failed statement undid only itself");
        db.sql(&format!("drop table {table}"), &[]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn counting_under_a_lock_is_exact() {
    for db in databases() {
        let table = db.table().await;
        let tasks: Vec<_> = (0..12)
            .map(|task| {
                let connection = db.connection.clone();
                let insert = statement(&format!("insert into {table} values (?, 1)"));
                let count = statement(&format!("select count(*) from {table}"));
                tokio::spawn(async move {
                    let lock = BeginOptions { lock: Some("owner"), timeout: None };
                    let mut transaction = connection.begin(lock).await.unwrap();
                    let rows = transaction.run(&count, &[], QueryOptions::default()).await.unwrap();
                    if rows.rows[0][0].to_int().unwrap() >= 3 {
                        return transaction.rollback().await.unwrap();
                    }
                    transaction.run(&insert, &[text(&task.to_string())], QueryOptions::default()).await.unwrap();
                    transaction.commit().await.unwrap();
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(db.count(&table).await, 3);
        db.sql(&format!("drop table {table}"), &[]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_ends_after_its_time() {
    for db in databases() {
        let table = db.table().await;
        let insert = statement(&format!("insert into {table} values (?, 1)"));
        let options = BeginOptions { lock: None, timeout: Some(Duration::from_millis(150)) };
        let mut stuck = db.begin(options).await.unwrap();
        stuck.run(&insert, &[text("stuck")], QueryOptions::default()).await.unwrap();
        let begun = std::time::Instant::now();
        db.run(&insert, &[text("other")], QueryOptions::default()).await.unwrap();
        assert!(begun.elapsed() < Duration::from_secs(2));
        tokio::time::sleep(Duration::from_millis(200)).await;
        let error = stuck.run(&insert, &[text("late")], QueryOptions::default()).await.unwrap_err();
        assert_eq!(error.kind, Kind::Timeout, "{error}");
        let error = stuck.commit().await.unwrap_err();
        assert_eq!(error.kind, Kind::Timeout, "{error}");
        assert_eq!(db.count(&table).await, 1);
        db.sql(&format!("drop table {table}"), &[]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn migrations_run_once() {
    for db in databases() {
        let table = format!("m_{}", uuid::Uuid::new_v4().simple());
        let create =
            format!("create table if not exists {table} (k varchar(10) primary key); insert into {table} values ('first');");
        let add = format!("insert into {table} values ('second')");
        let scripts = [(format!("{table}-1"), create), (format!("{table}-2"), add)];
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let (connection, scripts) = (db.connection.clone(), scripts.clone());
                tokio::spawn(async move { connection.migrate(&scripts).await })
            })
            .collect();
        for task in tasks {
            task.await.unwrap().unwrap();
        }
        assert_eq!(db.count(&table).await, 2);
        let broken = [(format!("{table}-3"), "insert into nowhere_at_all values (1)".to_owned())];
        let error = db.migrate(&broken).await.unwrap_err();
        assert!(error.to_string().contains(&format!("script `{table}-3`")), "{error}");
        db.sql(&format!("drop table {table}"), &[]).await.unwrap();
        db.sql("delete from portcullis_migration where name like ?", &[text(&format!("{table}%"))]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_is_an_error_and_no_obstacle() {
    for url in ["mysql://root@127.0.0.1:1/test", "postgres://nobody@127.0.0.1:1/test"] {
        let slow = Config { wait_timeout: Some(Span(Duration::from_millis(500))), ..config(url) };
        let db = open(slow);
        let error = db.ping().await.unwrap_err();
        assert_eq!(error.kind, Kind::Unavailable, "{error}");
        assert_eq!(crate::data::fault::Fault::from(error).blame, crate::data::fault::Blame::Store);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_may_not_change_tables_keeps_what_it_may() {
    for db in databases().into_iter().filter(|db| db.dialect() != Dialect::Sqlite) {
        let name = format!("t_{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
        db.migrate(&[(format!("{name}-1"), format!("create table {name} (k varchar(10))"))]).await.unwrap();
        let mysql = db.dialect() == Dialect::MySql;
        let env = if mysql { "PORTCULLIS_TEST_MYSQL" } else { "PORTCULLIS_TEST_POSTGRES" };
        let mut url = url::Url::parse(&std::env::var(env).unwrap()).unwrap();
        let database = url.path().trim_start_matches('/').to_owned();
        // On a new server, the anonymous account at `localhost` takes precedence over an account at any host.
        let accounts = ["localhost", "127.0.0.1"].map(|host| format!("{name}@'{host}'"));
        let grants = match mysql {
            true => accounts
                .iter()
                .flat_map(|account| {
                    [
                        format!("create user {account} identified by '{name}'"),
                        format!("grant select, insert, update, delete on `{database}`.* to {account}"),
                    ]
                })
                .collect(),
            false => vec![
                format!("create role {name} login password '{name}'"),
                format!("grant select, insert on {name}, portcullis_migration to {name}"),
            ],
        };
        for sql in grants {
            db.sql(&sql, &[]).await.unwrap();
        }
        url.set_username(&name).unwrap();
        url.set_password(Some(&name)).unwrap();
        let limited = open(config(url.as_str()));
        let scripts = [
            (format!("{name}-1"), "this was applied".to_owned()),
            (format!("{name}-2"), format!("create index i_{name} on {name} (k)")),
            (format!("{name}-3"), format!("insert into {name} values ('row')")),
        ];
        let error = limited.migrate(&scripts).await.unwrap_err();
        assert_eq!(error.kind, Kind::Forbidden, "{error}");
        assert!(error.to_string().contains(&format!("script `{name}-2`")), "{error}");
        assert_eq!(limited.count(&name).await, 1, "the others were applied");
        limited.migrate(&scripts).await.unwrap_err();
        assert_eq!(limited.count(&name).await, 1, "and are not again");
        db.migrate(&scripts).await.unwrap();
        limited.migrate(&scripts).await.unwrap();
        if mysql {
            db.sql(&format!("drop user {}", accounts.join(", ")), &[]).await.unwrap();
        } else {
            db.sql(&format!("drop owned by {name}"), &[]).await.unwrap();
            db.sql(&format!("drop role {name}"), &[]).await.unwrap();
        }
        db.sql(&format!("drop table {name}"), &[]).await.unwrap();
        db.sql("delete from portcullis_migration where name like ?", &[text(&format!("{name}%"))]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_that_compare_loosely_are_known() {
    for db in databases() {
        let table = format!("t_{}", uuid::Uuid::new_v4().simple());
        let (kind, collation) = match db.dialect() {
            Dialect::Sqlite => ("text collate nocase", "nocase"),
            Dialect::MySql => ("varchar(10) character set latin1", "latin1_swedish_ci"),
            Dialect::Postgres => ("char(10)", "bpchar"),
        };
        db.sql(&format!("create table {table} (loose {kind}, n bigint)"), &[]).await.unwrap();
        let found = db.loose_columns().await.unwrap();
        assert_eq!(found[collation][&table], ["loose"]);
        db.sql(&format!("drop table {table}"), &[]).await.unwrap();
    }
}
