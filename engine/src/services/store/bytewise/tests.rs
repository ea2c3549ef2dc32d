use super::super::rendered::{Bind, Role};
use super::*;
use crate::services::store::Dialect;

fn sql(dialect: Dialect, text: &str) -> Result<String, String> {
    let pieces: Vec<&str> = text.split('?').collect();
    rewrite(dialect.spelling(), &pieces).map(|rendered| rendered.sql.to_string()).map_err(|error| error.to_string())
}

#[test]
fn an_index_finds_and_bytes_decide() {
    let text = "delete from t where k = ? and n < ?";
    assert_eq!(
        sql(Dialect::Sqlite, text).unwrap(),
        "DELETE FROM t WHERE ((k = ?1 AND ((typeof(k) IN ('integer', 'real') AND typeof(?1) IN ('integer', 'real')) \
         OR CAST(k AS BLOB) = CAST(?1 AS BLOB)))) AND n < ?2"
    );
    assert_eq!(
        sql(Dialect::MySql, text).unwrap(),
        "DELETE FROM t WHERE ((k = ? AND ((CHARSET(k) = 'binary' AND ?) OR CAST(CONVERT(k USING utf8mb4) AS BINARY) = ?))) AND n < ?"
    );
    assert_eq!(
        sql(Dialect::Postgres, text).unwrap(),
        "DELETE FROM t WHERE ((k = $1 AND ($3::bytea IS NULL OR convert_to((k)::text, 'UTF8') = $3::bytea))) AND n < $2"
    );
    let rendered = rewrite(Dialect::MySql.spelling(), &["delete from t where k = ", " and n < ", ""]).unwrap();
    let bind = |param, role| Bind { param, role };
    assert_eq!(rendered.binds, [bind(0, Role::Probe), bind(0, Role::Number), bind(0, Role::Bytes), bind(1, Role::Order)]);
}

#[test]
fn every_place_of_a_comparison_is_found() {
    for dialect in [Dialect::Sqlite, Dialect::MySql, Dialect::Postgres] {
        for (text, comparisons) in [
            ("select a from t where k = ?", 1),
            ("select a from t where ? = k", 1),
            ("select a from t where k <> ?", 1),
            ("select a from t where not (k = ? or k != ?)", 2),
            ("select a from t where k in (?, ?, 'x')", 3),
            ("select a from t where k not in (?)", 1),
            ("select a from t where (a, b) = (?, ?)", 2),
            ("select a from t where (a, b) in ((?, ?), (?, ?))", 4),
            ("select a from t where k in (select k from u where v = ?)", 2),
            ("select a from t where exists (select 1 from u where u.k = t.k and v = ?)", 2),
            ("select a from t join u on u.k = t.k and u.v = ?", 2),
            ("select case k when ? then 1 else 2 end from t", 1),
            ("select a, count(*) from t group by a having max(k) = ?", 1),
            ("select a from t where coalesce(k, '') = ?", 1),
            ("update t set a = ?, b = 'x' where k = ?", 1),
            ("update t set a = case when k = ? then 1 else 2 end", 1),
            ("insert into t (a) select a from u where k = ?", 1),
            ("with x as (select a from t where k = ?) select a from x", 1),
            ("select a from t where k = ? union select a from u where k = ?", 2),
            ("select a from (select a from t where k = ?) x", 1),
            ("insert into t (a, b) values (?, ?)", 0),
            ("select a from t where n = 1 and n + 1 = ? and count(*) = ? and k like ? and n between ? and 7", 0),
        ] {
            let rewritten = sql(dialect, text).unwrap_or_else(|why| panic!("{text}: {why}"));
            let exact = match dialect {
                Dialect::Sqlite => rewritten.matches("CAST(").count() / 2,
                Dialect::MySql => rewritten.matches("CONVERT(").count(),
                Dialect::Postgres => rewritten.matches("convert_to(").count(),
            };
            // A repeated query, or two columns, give more.
            assert!(exact >= comparisons && (exact == 0) == (comparisons == 0), "{dialect:?}: {text}\n{rewritten}");
        }
    }
}

#[test]
fn a_named_collation_is_the_authors_choice_but_none_of_codes() {
    assert!(!sql(Dialect::MySql, "select a from t where k collate utf8mb4_general_ci = ?").unwrap().contains("BINARY"));
    assert!(sql(Dialect::MySql, "select a from t where k collate utf8mb4_bin = ?").unwrap().contains("BINARY"));
    assert!(!sql(Dialect::Sqlite, "select a from t where k = ? collate nocase").unwrap().contains("BLOB"));
}

#[test]
fn what_cannot_be_exact_is_refused() {
    for (dialect, text, part) in [
        (Dialect::MySql, "insert into t (k) values (?) on duplicate key update n = n + 1", "write an `update`"),
        (Dialect::MySql, "replace into t (k) values (?)", "write an `update`"),
        (Dialect::Postgres, "select a from t where k = any(?)", "`any`"),
        (Dialect::Postgres, "select a from t where ? in (select k from t union select k from u)", "exists"),
        (Dialect::Sqlite, "select a from t where (k = ?", "cannot be parsed"),
    ] {
        let why = sql(dialect, text).unwrap_err();
        assert!(why.contains(part), "{text}: {why}");
    }
}

#[test]
fn a_conflict_changes_only_the_same_row() {
    let text = "insert into t (k, n) values (?, 1) on conflict (k) do update set n = t.n + 1 where t.n < 5";
    assert_eq!(
        sql(Dialect::Postgres, text).unwrap(),
        "INSERT INTO t (k, n) VALUES ($1, 1) ON CONFLICT(k) DO UPDATE SET n = t.n + 1 WHERE (pg_typeof(t.k)::text ~ \
         '^(smallint|integer|bigint|numeric|real|double|boolean|money|date|time|interval|uuid|bytea|oid|json|bit)' \
         OR convert_to((t.k)::text, 'UTF8') = convert_to((excluded.k)::text, 'UTF8')) AND (t.n < 5)"
    );
    assert!(sql(Dialect::Sqlite, text).unwrap().contains("CAST(t.k AS BLOB) = CAST(excluded.k AS BLOB)"));
}

#[test]
fn quotes_and_escapes_stay_as_they_were_written() {
    for (dialect, text) in [
        (Dialect::MySql, r#"SELECT `a b`, 'it''s', 'x\\y\'z', "q" FROM t WHERE n < "#),
        (Dialect::Sqlite, r#"SELECT "a b", 'it''s', 'x\y', 'Ä😀' FROM t WHERE n < "#),
        (Dialect::Postgres, r#"SELECT "a b", 'it''s', 'x\y', E'a\nb' FROM t WHERE n < "#),
    ] {
        let rendered = rewrite(dialect.spelling(), &[text, ""]).unwrap();
        assert!(rendered.sql.starts_with(text), "{}", rendered.sql);
    }
}
