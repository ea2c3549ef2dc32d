//! Look-alikes: values that a database treats as equal are different here.

use super::*;

/// A table with columns that compare as loosely as this database can: `k` and `v` texts, `i` an integer, `d` a number with a fraction.
async fn loose(db: &Db) -> Vec<String> {
    let kinds: &[&str] = match db.dialect() {
        Dialect::Sqlite => &["text collate nocase", "text collate rtrim", "text"],
        Dialect::MySql => &[
            "varchar(100) character set utf8 collate utf8_general_ci",
            "varchar(100) character set utf8mb4 collate utf8mb4_unicode_ci",
            "varchar(100) character set utf8mb4 collate utf8mb4_bin",
            "varchar(100) character set latin1",
            "char(100) character set utf8",
        ],
        Dialect::Postgres => &["varchar(100) collate portcullis_loose", "varchar(100)", "char(100)"],
    };
    if db.dialect() == Dialect::Postgres {
        let made =
            "create collation if not exists portcullis_loose (provider = icu, locale = 'und-u-ks-level1', deterministic = false)";
        // Parallel tests conflict here.
        let _ = db.sql(made, &[]).await;
    }
    let mut tables = Vec::new();
    for kind in kinds {
        let name = format!("t_{}", uuid::Uuid::new_v4().simple());
        let sql = format!("create table {name} (k {kind} primary key, v {kind}, i bigint, d decimal(10, 2), n bigint)");
        db.sql(&sql, &[]).await.unwrap();
        db.sql(&format!("insert into {name} values ('key', 'value', 7, 7.5, 0), ('other', 'value', 8, 8.5, 0)"), &[])
            .await
            .unwrap();
        db.sql(&format!("create index i_{name} on {name} (i)"), &[]).await.unwrap();
        db.sql(&format!("create index v_{name} on {name} (v, n)"), &[]).await.unwrap();
        tables.push(name);
    }
    tables
}

const LOOK_ALIKES: [&str; 22] = [
    "key ",
    "key  ",
    " key",
    "Key",
    "KEY",
    "kéy",
    "ke\u{301}y",
    "k\u{200b}ey",
    "ke\u{ad}y",
    "key\0",
    "key\0x",
    "key\t",
    "key\n",
    "ｋｅｙ",
    "key😀",
    "ключ",
    "",
    "k%",
    "key\u{a0}",
    "key'",
    "\u{212a}ey",
    "key\u{fe0f}",
];

async fn found(db: &Db, sql: &str, params: &[Value]) -> usize {
    match db.sql(sql, params).await {
        Ok(rows) => rows.rows.len().max(rows.affected as usize),
        Err(error) => panic!("{:?}: {sql}: {error}", db.dialect()),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_finds_and_changes_only_itself() {
    for db in databases() {
        for table in loose(&db).await {
            let statements = [
                format!("select n from {table} where k = ?"),
                format!("select n from {table} where ? = k"),
                format!("select n from {table} where k in (?, 'nobody')"),
                format!("select n from {table} where (k, v) = (?, 'value')"),
                format!("select n from {table} where (k, v) in ((?, 'value'), ('nobody', ''))"),
                format!("select n from {table} where not k <> ?"),
                format!("select a.n from {table} a join {table} b on b.k = a.k where b.k = ?"),
                format!("select a.n from {table} a join {table} b on b.v = a.v and b.k = ? where a.k = 'key'"),
                format!("select a.n from {table} a where a.i = 7 and exists (select 1 from {table} b where b.k = ?)"),
                format!("select n from {table} where k in (select b.k from {table} b where b.k = ?)"),
                format!("select n from {table} where case k when ? then 1 else 0 end = 1"),
                format!("select k from {table} group by k having max(k) = ?"),
                format!("select n from {table} where k = ? order by n limit 1"),
                format!("update {table} set n = n + 1 where k = ?"),
                format!("update {table} set n = case when k = ? then 5 else n end where k = ?"),
            ];
            for sql in &statements {
                let params = |text: &str| vec![Value::from(text); sql.matches('?').count()];
                assert_eq!(found(&db, sql, &params("key")).await, 1, "{:?}: {sql}", db.dialect());
                for other in LOOK_ALIKES {
                    assert_eq!(found(&db, sql, &params(other)).await, 0, "{:?}: {sql}: {other:?}", db.dialect());
                }
            }
            let others = format!("select n from {table} where k <> ?");
            assert_eq!(found(&db, &others, &[text("key")]).await, 1, "{:?}", db.dialect());
            let not_in = format!("select n from {table} where k not in (?)");
            let delete = format!("delete from {table} where k = ?");
            for other in LOOK_ALIKES {
                assert_eq!(found(&db, &others, &[text(other)]).await, 2, "{:?}: {other:?}", db.dialect());
                assert_eq!(found(&db, &not_in, &[text(other)]).await, 2, "{:?}: {other:?}", db.dialect());
                assert_eq!(found(&db, &delete, &[text(other)]).await, 0, "{:?}: {other:?}", db.dialect());
            }
            assert_eq!(found(&db, &delete, &[text("key")]).await, 1);
            db.sql(&format!("drop table {table}"), &[]).await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_number_is_found_by_its_usual_text_only() {
    for db in databases() {
        let table = loose(&db).await.swap_remove(0);
        let by = |column: &str| format!("select n from {table} where {column} = ?");
        for value in [text("7"), Value::Int(7), Value::json(serde_json::json!(7)), Value::json(serde_json::json!("7"))] {
            assert_eq!(found(&db, &by("i"), std::slice::from_ref(&value)).await, 1, "{:?}: {value:?}", db.dialect());
        }
        assert_eq!(found(&db, &by("i"), &[Value::Decimal(7.0)]).await, 1, "{:?}", db.dialect());
        for other in [
            "07",
            "7.0",
            "7e0",
            " 7",
            "7 ",
            "+7",
            "7a",
            "0x7",
            "seven",
            "",
            "7\0",
            "٧",
            "99999999999999999999",
            "7.0000000000000000001",
        ] {
            assert_eq!(found(&db, &by("i"), &[text(other)]).await, 0, "{:?}: {other:?}", db.dialect());
            assert_eq!(found(&db, &format!("select n from {table} where i in (?)"), &[text(other)]).await, 0);
        }
        // A number is not a text that begins with it.
        db.sql(&format!("insert into {table} values ('0', '7a', 9, 9.5, 0), ('07', 'x', 10, 0, 0)"), &[]).await.unwrap();
        assert_eq!(found(&db, &by("k"), &[Value::Int(0)]).await, 1, "{:?}", db.dialect());
        assert_eq!(found(&db, &by("k"), &[Value::Int(7)]).await, 0, "{:?}", db.dialect());
        assert_eq!(found(&db, &by("v"), &[Value::Int(7)]).await, 0, "{:?}", db.dialect());
        assert_eq!(found(&db, &by("k"), &[Value::Undefined]).await, 0, "{:?}", db.dialect());
        let all = db.sql(&format!("select count(*) as c from {table} where i <> ? or i is null"), &[text("07")]).await.unwrap();
        assert_eq!(all.rows[0][0].to_int(), Some(4), "{:?}", db.dialect());
        db.sql(&format!("drop table {table}"), &[]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_column_cannot_hold_is_an_error_and_never_cut() {
    for db in databases().into_iter().filter(|db| db.dialect() != Dialect::Sqlite) {
        let table = format!("t_{}", uuid::Uuid::new_v4().simple());
        let kind = if db.dialect() == Dialect::MySql { "varchar(8) character set latin1" } else { "varchar(8)" };
        let engine = if db.dialect() == Dialect::MySql { " engine = MyISAM" } else { "" };
        db.sql(&format!("create table {table} (k {kind}, n bigint){engine}"), &[]).await.unwrap();
        let foreign = if db.dialect() == Dialect::MySql { "a😀" } else { "a\0" };
        for value in ["much too long", foreign] {
            let error = db.sql(&format!("insert into {table} values (?, 1)"), &[text(value)]).await.unwrap_err();
            assert_eq!(error.kind, Kind::Constraint, "{error}");
        }
        assert_eq!(db.count(&table).await, 0);
        db.sql(&format!("drop table {table}"), &[]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_comparison_costs_its_index() {
    for db in databases() {
        for table in loose(&db).await {
            let rows: Vec<String> = (0..500).map(|i| format!("('k{i}', 'v{i}', {i}, {i}, 0)")).collect();
            db.sql(&format!("insert into {table} values {}", rows.join(", ")), &[]).await.unwrap();
            let statements = [
                format!("select n from {table} where k = ?"),
                format!("select n from {table} where k in (?, ?)"),
                format!("select n from {table} where i = ?"),
                format!("select n from {table} where v = ? and n = ?"),
                format!("select a.n from {table} a join {table} b on b.k = a.v where a.k = ?"),
                format!("delete from {table} where k = ?"),
                format!("update {table} set n = 1 where v = ? and n < ?"),
            ];
            for sql in statements {
                for value in [text("k7"), text("7"), Value::Int(7), text("k😀"), text("é")] {
                    let params = vec![value.clone(); sql.matches('?').count()];
                    let (explain, scans): (_, fn(&str) -> bool) = match db.dialect() {
                        Dialect::Sqlite => ("explain query plan", |plan| plan.contains("SCAN")),
                        Dialect::MySql => ("explain", |plan| plan.split('|').any(|cell| cell == "ALL" || cell == "index")),
                        // With so few rows, PostgreSQL would scan all of them.
                        Dialect::Postgres => continue,
                    };
                    let rows = db.sql(&format!("{explain} {sql}"), &params).await.unwrap();
                    for row in rows.rows {
                        let plan = row.iter().map(|cell| cell.as_text().into_owned()).collect::<Vec<_>>().join("|");
                        let text = statement(&sql).rendered(db.dialect()).unwrap().sql.to_string();
                        assert!(!scans(&plan), "{:?}: {text}: {}: {plan}", db.dialect(), value.as_text());
                    }
                }
            }
            db.sql(&format!("drop table {table}"), &[]).await.unwrap();
        }
    }
}
