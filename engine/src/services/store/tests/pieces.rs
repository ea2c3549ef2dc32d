use super::super::pieces::FIRST;
use super::*;

/// Fills a table `k`, `n` with so many rows: `n` from `from` on, each of them `same` times.
async fn fill(db: &Db, table: &str, rows: usize, from: i64, same: i64) {
    for start in (0..rows).step_by(500) {
        let row = |i: usize| format!("('{}', {})", uuid::Uuid::new_v4(), from + i as i64 / same);
        let values: Vec<String> = (start..rows.min(start + 500)).map(row).collect();
        db.sql(&format!("insert into {table} values {}", values.join(", ")), &[]).await.unwrap();
    }
}

fn pieces(table: &str, along: &[&str]) -> Pieces {
    Pieces::new(table, along, &[], &["n > 0 and n < ".to_owned(), String::new()]).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_go_in_pieces_while_others_write() {
    for db in databases() {
        let table = db.table().await;
        db.sql(&format!("create index i_{table} on {table} (n)"), &[]).await.unwrap();
        fill(&db, &table, 8000, 1, 100).await;
        fill(&db, &table, 3000, 1_000_000, 3).await;
        db.sql(&format!("insert into {table} values ('never', 0)"), &[]).await.unwrap();
        let writers: Vec<_> = (0..4)
            .map(|writer| {
                let (connection, insert) =
                    (db.connection.clone(), statement(&format!("insert into {table} values (?, 2000000)")));
                tokio::spawn(async move {
                    for i in 0..50 {
                        let key = text(&format!("{writer} {i}"));
                        connection.run(&insert, &[key], QueryOptions::default()).await.unwrap();
                    }
                })
            })
            .collect();
        let deleted = pieces(&table, &["n", "k"]).delete(&db, &[Value::Int(1000)], None).await.unwrap();
        assert_eq!((deleted.rows, deleted.more), (8000, false));
        for writer in writers {
            writer.await.unwrap();
        }
        assert_eq!(db.count(&table).await, 3000 + 1 + 200);
        db.sql(&format!("drop table {table}"), &[]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_that_the_first_column_does_not_tell_apart_are_several_pieces() {
    for db in databases() {
        let table = db.table().await;
        fill(&db, &table, 1700, 7, 1_000_000).await;
        // Time for one piece only.
        let deleted = pieces(&table, &["n", "k"]).delete(&db, &[Value::Int(8)], Some(Duration::ZERO)).await.unwrap();
        assert_eq!((deleted.rows, deleted.more), (FIRST as u64, true));
        let deleted = pieces(&table, &["n", "k"]).delete(&db, &[Value::Int(8)], None).await.unwrap();
        assert_eq!((deleted.rows, deleted.more), (1700 - FIRST as u64, false));
        assert_eq!(db.count(&table).await, 0);
        db.sql(&format!("drop table {table}"), &[]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_go_along_a_column_of_the_condition_or_another() {
    for db in databases() {
        let table = db.table().await;
        fill(&db, &table, 1200, 1, 1).await;
        let deleted = pieces(&table, &["k"]).delete(&db, &[Value::Int(601)], None).await.unwrap();
        assert_eq!((deleted.rows, deleted.more), (600, false));
        assert_eq!(db.count(&table).await, 600);
        db.sql(&format!("drop table {table}"), &[]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_beyond_the_bounds_are_left_alone() {
    for db in databases() {
        let table = db.table().await;
        db.sql(&format!("create index i_{table} on {table} (n)"), &[]).await.unwrap();
        fill(&db, &table, 3000, 1, 2).await;
        let below =
            |condition: &[String]| Pieces::new(&table, &["n", "k"], &["n < ".to_owned(), String::new()], condition).unwrap();
        let odd = ["n % 2 = 1 and n <> ".to_owned(), String::new()];
        let deleted = below(&odd).delete(&db, &[Value::Int(1001), Value::Int(7)], None).await.unwrap();
        assert_eq!((deleted.rows, deleted.more), (998, false));
        let deleted = below(&[]).delete(&db, &[Value::Int(1001)], None).await.unwrap();
        assert_eq!((deleted.rows, deleted.more), (1002, false));
        assert_eq!(db.count(&table).await, 1000);
        db.sql(&format!("drop table {table}"), &[]).await.unwrap();
    }
}

#[tokio::test]
async fn a_column_that_is_null_leads_nowhere() {
    for db in databases() {
        let table = format!("t_{}", uuid::Uuid::new_v4().simple());
        db.sql(&format!("create table {table} (k varchar(10), n bigint)"), &[]).await.unwrap();
        for _ in 0..3 {
            let nulls = vec!["(null, null)"; 200].join(", ");
            db.sql(&format!("insert into {table} values {nulls}"), &[]).await.unwrap();
        }
        let error = pieces(&table, &["n", "k"]).delete(&db, &[Value::Int(1)], None).await.unwrap_err();
        assert!(error.to_string().contains("NULL"), "{error}");
        db.sql(&format!("drop table {table}"), &[]).await.unwrap();
    }
}

#[test]
fn only_plain_names_are_taken() {
    let condition = ["1 = 1".to_owned()];
    assert!(Pieces::new("t; drop table t", &["k"], &[], &condition).is_err());
    assert!(Pieces::new("t", &["k desc"], &[], &condition).is_err());
    assert!(Pieces::new("t", &[], &[], &condition).is_err());
    assert!(Pieces::new("t", &["k"], &[], &condition).is_ok());
}

/// Otherwise each piece would go through all rows that share its first columns.
#[tokio::test]
async fn an_index_leads_past_all_columns_that_a_piece_shares() {
    let db = sqlite();
    let table = db.table().await;
    db.sql(&format!("create index i_{table} on {table} (n, k)"), &[]).await.unwrap();
    let pieces = pieces(&table, &["n", "k"]);
    let mut found = Vec::new();
    for (statement, _) in pieces.statements() {
        let params = vec![Value::Int(1); statement.params()];
        let plan = db.run(&statement.after("explain query plan "), &params, QueryOptions::default()).await.unwrap();
        found.extend(plan.rows.iter().map(|row| row[3].as_text().into_owned()));
    }
    for wanted in ["(n=? AND k<?)", "(n=? AND k>? AND k<?)"] {
        assert_eq!(found.iter().filter(|step| step.ends_with(wanted)).count(), 2, "{wanted}: {found:#?}");
    }
}
