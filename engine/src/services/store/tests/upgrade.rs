//! Tables as older versions left them are brought up to date without losing a row, on real servers; copies of an embedded database.

use std::os::unix::fs::PermissionsExt;

use super::*;

const EXPECTED: &str = include_str!("../../../../../fragments/persistence/schema/tables.yaml");
const OLD: &str = include_str!("../../../../../tests/tables/mysql-3.1.sql");
const OTHERS: [&str; 2] =
    [include_str!("../../../../../tests/tables/mysql-4.2.sql"), include_str!("../../../../../tests/tables/mysql-4.6.sql")];

/// The scripts that make today's tables.
fn scripts(dialect: Dialect) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fragments/persistence/schema").join(dialect.word());
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut all: Vec<_> = files.map(|file| (file.display().to_string(), std::fs::read_to_string(file).unwrap())).collect();
    all.sort();
    all
}

/// A new database on the MySQL server; `None` where there is no server.
async fn mysql() -> Option<(Db, String, url::Url)> {
    let mut url = url::Url::parse(&std::env::var("PORTCULLIS_TEST_MYSQL").ok().filter(|url| !url.is_empty())?).unwrap();
    let name = format!("portcullis_upgrade_{}", uuid::Uuid::new_v4().simple());
    let server = open(config(url.as_str()));
    server.sql(&format!("create database {name} character set utf8mb4"), &[]).await.unwrap();
    url.set_path(&name);
    Some((server, name, url))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_old_database_is_brought_up_to_date() {
    let Some((server, name, url)) = mysql().await else { return };
    let db = open(config(url.as_str()));
    db.migrate(&[("old tables", OLD)]).await.unwrap();
    let expected = Expected::read(EXPECTED).unwrap();
    assert_eq!(expected.version(&db).await.unwrap().as_deref(), Some("otk3.1.01"));
    let found = expected.compare(&db).await.unwrap();
    assert!(found.iter().any(|finding| !finding.harmless && finding.place == "oauth_token.client_ident"), "{found:?}");
    assert!(found.iter().any(|finding| finding.place == "oauth_id_token.jwt_id" && finding.problem.contains("128")), "{found:?}");
    assert_eq!(db.count("oauth_token").await, 1, "looking changes nothing");
    // Somebody began, and was interrupted.
    for sql in found.iter().flat_map(|finding| &finding.statements).take(3) {
        db.sql(sql, &[]).await.unwrap();
    }
    let mut told = Vec::new();
    let left = expected.mend(&db, &scripts(Dialect::MySql), |sql| told.push(sql.to_owned())).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
    assert!(told.last().unwrap().starts_with("update otk_version"), "the version comes last: {told:?}");
    assert!(told.iter().all(|sql| !sql.contains("delete") && !sql.contains("drop column")), "{told:?}");
    assert_eq!(expected.version(&db).await.unwrap().as_deref(), Some("otk4.1.00"));
    let row = db.sql("select client_ident, custom, token from oauth_token", &[]).await.unwrap().rows.remove(0);
    assert_eq!(row.iter().map(|value| value.as_text()).collect::<Vec<_>>(), ["app", "{}", "access"]);
    let created = db.sql("select created from oauth_client", &[]).await.unwrap().rows.remove(0);
    assert_eq!(created[0].to_int(), Some(1_400_000_000), "milliseconds became seconds");
    // Two organizations may now use one name.
    let insert =
        "insert into oauth_client (client_ident, name, organization, registered_by) values ('other', 'App', 'Other', 'ann')";
    db.sql(insert, &[]).await.unwrap();
    told.clear();
    let again = expected.mend(&db, &scripts(Dialect::MySql), |sql| told.push(sql.to_owned())).await.unwrap();
    assert!(again.is_empty() && told.is_empty(), "{again:?} {told:?}");
    server.sql(&format!("drop database {name}"), &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn newer_databases_do_as_they_are() {
    for tables in OTHERS {
        let Some((server, name, url)) = mysql().await else { return };
        let db = open(config(url.as_str()));
        db.migrate(&[("tables", tables)]).await.unwrap();
        let expected = Expected::read(EXPECTED).unwrap();
        let version = expected.version(&db).await.unwrap();
        let found = expected.compare(&db).await.unwrap();
        assert!(found.iter().all(|finding| finding.harmless), "{found:?}");
        // What the clean-up of tokens goes along. The toolkit's scripts have no such index.
        let index = found.iter().find(|finding| finding.problem.contains("(rexpiration, expiration)"));
        let index = index.unwrap_or_else(|| panic!("{found:?}"));
        assert_eq!(index.statements, ["create index oat_idx_expired on oauth_token (rexpiration, expiration)"]);
        assert!(index.advice.contains("an account run this that may create indexes"), "{index:?}");
        let left = expected.mend(&db, &scripts(Dialect::MySql), |_| ()).await.unwrap();
        assert!(left.is_empty(), "{left:?}");
        assert_eq!(expected.version(&db).await.unwrap(), version, "somebody else's version stays");
        server.sql(&format!("drop database {name}"), &[]).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_tables_lack_nothing() {
    let expected = Expected::read(EXPECTED).unwrap();
    let db = sqlite();
    db.migrate(&scripts(Dialect::Sqlite)).await.unwrap();
    let found = expected.compare(&db).await.unwrap();
    assert!(found.is_empty(), "{found:?}");
    if let Some((server, name, url)) = mysql().await {
        let db = open(config(url.as_str()));
        db.migrate(&scripts(Dialect::MySql)).await.unwrap();
        let found = expected.compare(&db).await.unwrap();
        assert!(found.is_empty(), "{found:?}");
        server.sql(&format!("drop database {name}"), &[]).await.unwrap();
    }
    let postgres = std::env::var("PORTCULLIS_TEST_POSTGRES").ok().filter(|url| !url.is_empty());
    if let Some(url) = postgres {
        let schema = format!("portcullis_upgrade_{}", uuid::Uuid::new_v4().simple());
        let server = open(config(&url));
        server.sql(&format!("create schema {schema}"), &[]).await.unwrap();
        let mut url = url::Url::parse(&url).unwrap();
        url.query_pairs_mut().append_pair("options[search_path]", &schema);
        let db = open(config(url.as_str()));
        db.migrate(&scripts(Dialect::Postgres)).await.unwrap();
        let found = expected.compare(&db).await.unwrap();
        assert!(found.is_empty(), "{found:?}");
        db.sql("drop index oi_idx_client", &[]).await.unwrap();
        db.sql("alter table oauth_token alter column scope type varchar(100)", &[]).await.unwrap();
        assert_eq!(expected.compare(&db).await.unwrap().len(), 2);
        assert!(expected.mend(&db, &[], |_| ()).await.unwrap().is_empty());
        server.sql(&format!("drop schema {schema} cascade"), &[]).await.unwrap();
    }
}

/// `db check` can only miss what the data file names.
#[tokio::test(flavor = "multi_thread")]
async fn every_index_that_our_scripts_make_is_asked_for() {
    let db = sqlite();
    db.migrate(&scripts(Dialect::Sqlite)).await.unwrap();
    let shape = db.shape().await.unwrap();
    let mut dropped = 0;
    for (table, own) in &shape {
        for (name, index) in own.indexes.iter().filter(|(name, _)| !name.starts_with("sqlite_autoindex")) {
            // Where rows end with the primary key, as in MySQL, the other one does as well.
            let mut rivals = own.indexes.iter().filter(|(other, _)| *other != name);
            if rivals.any(|(_, rival)| rival.columns.starts_with(&index.columns[..1])) {
                continue;
            }
            db.sql(&format!("drop index {name}"), &[]).await.unwrap();
            let found = Expected::read(EXPECTED).unwrap().compare(&db).await.unwrap();
            let told = found.iter().any(|finding| finding.harmless && finding.place == *table && finding.statements.len() == 1);
            assert!(told, "{table}: {name} ({}): {found:?}", index.columns.join(", "));
            db.migrate(&[(format!("again {name}"), format!("{};", found[0].statements[0]))]).await.unwrap();
            dropped += 1;
        }
    }
    assert!(dropped >= 10, "{dropped} indexes");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_that_may_only_use_rows_is_enough() {
    let Some((server, name, mut url)) = mysql().await else { return };
    let owner = open(config(url.as_str()));
    owner.migrate(&[("tables", OTHERS[0])]).await.unwrap();
    let account = format!("p{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
    // MariaDB's nameless account at `localhost` would come before one that is only known at `%`.
    for host in ["localhost", "%"] {
        server.sql(&format!("create user {account}@'{host}' identified by 'x'"), &[]).await.unwrap();
        server.sql(&format!("grant select, insert, update, delete on {name}.* to {account}@'{host}'"), &[]).await.unwrap();
    }
    url.set_username(&account).unwrap();
    url.set_password(Some("x")).unwrap();
    let db = open(config(url.as_str()));
    let expected = Expected::read(EXPECTED).unwrap();
    let error = db.migrate(&scripts(Dialect::MySql)).await.unwrap_err();
    assert_eq!(error.kind, Kind::Forbidden, "told once, not tried again: {error}");
    let found = expected.compare(&db).await.unwrap();
    assert!(found.iter().all(|finding| finding.harmless), "{found:?}");
    db.sql("insert into oauth_session values ('k', 'g', 1, 'v')", &[]).await.unwrap();
    for host in ["localhost", "%"] {
        server.sql(&format!("revoke delete on {name}.* from {account}@'{host}'"), &[]).await.unwrap();
    }
    let db = open(config(url.as_str()));
    let found = expected.compare(&db).await.unwrap();
    let missing = found.iter().filter(|finding| finding.problem == "the account may not delete there").count();
    assert_eq!(missing, 6, "{found:?}");
    for host in ["localhost", "%"] {
        server.sql(&format!("drop user {account}@'{host}'"), &[]).await.unwrap();
    }
    server.sql(&format!("drop database {name}"), &[]).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_copy_is_one_moment_of_a_database_in_use() {
    let db = sqlite();
    db.sql("create table a (n bigint)", &[]).await.unwrap();
    db.sql("create table b (n bigint)", &[]).await.unwrap();
    let writer = db.connection.clone();
    let writing = tokio::spawn(async move {
        for n in 0..300 {
            let mut both = writer.begin(BeginOptions::default()).await.unwrap();
            both.run(&statement("insert into a values (?)"), &[Value::Int(n)], QueryOptions::default()).await.unwrap();
            both.run(&statement("insert into b values (?)"), &[Value::Int(n)], QueryOptions::default()).await.unwrap();
            both.commit().await.unwrap();
        }
    });
    let from = db.home.path().join("data/test.db");
    for copy in 0..5 {
        let before = db.count("a").await;
        let to = db.home.path().join(format!("copy{copy}.db"));
        let (source, target) = (from.clone(), to.clone());
        tokio::task::spawn_blocking(move || backup(&source, &target)).await.unwrap().unwrap();
        assert_eq!(std::fs::metadata(&to).unwrap().permissions().mode() & 0o777, 0o600);
        let copied = open(config(&format!("sqlite://{}", to.display())));
        let (a, b) = (copied.count("a").await, copied.count("b").await);
        assert!(a == b && a >= before, "{a} {b} {before}");
        let again = backup(&from, &to).unwrap_err();
        assert!(again.to_string().contains("exists"), "{again}");
    }
    writing.await.unwrap();
    assert!(backup(&db.home.path().join("none.db"), &db.home.path().join("new.db")).is_err());
    assert!(!db.home.path().join("new.db").exists(), "no file is left after an error");
}
