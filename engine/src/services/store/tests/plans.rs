//! No shipped statement goes through a whole table: every SQL text of the policies is planned, in each database, on the shipped tables. And
//! no index is there for nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

use portcullis_dsl::ast::{Arg, Call, Callee, Expr, ExprKind, Part, Syntax};
use portcullis_dsl::visit::{Visit, walk_call, walk_item};
use portcullis_dsl::{Origin, Sources};

use super::*;

/// Statements that go through a table or a whole index, by a text in them, and why they may.
const MAY: [(&str, &str); 9] = [
    ("from oauth_client c order by", "a list of everything, a page at a time, in the order of the primary key"),
    ("from oauth_client_key k order by", "a list of everything, a page at a time, in the order of the primary key"),
    ("from oauth_token order by", "a list of everything, a page at a time, in the order of the primary key"),
    ("from oauth_token where ((status", "a tool's list by status, a page at a time, in the order of the primary key"),
    ("from oauth_initiate where secret is null", "a tool's list of everything, in the order of the primary key"),
    ("select count(*)", "the manager's overview counts, once for an administrator who opens it"),
    ("and value like", "`forget user`, and a user who signs out everywhere: an index would cost each login more"),
    ("where 1 = 2", "it finds nothing, and no database looks"),
    ("order by c.organization, k.client_name", "the command `client list` lists everything"),
];

/// A statement of a policy, or one of those that it is made of.
struct Shipped {
    /// `path:line` and what it is for.
    place: String,
    statement: Statement,
    /// It runs where few rows are left only.
    few: bool,
}

impl Shipped {
    fn text(&self) -> String {
        let rendered = Dialect::ALL.into_iter().find_map(|dialect| self.statement.rendered(dialect).ok());
        rendered.map_or_else(String::new, |rendered| rendered.sql.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn files(folder: &Path, ends: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, ends, found);
        } else if path.to_string_lossy().ends_with(ends) {
            found.push(path);
        }
    }
    found.sort();
}

struct Reader<'s> {
    sources: &'s Sources,
    found: Vec<Shipped>,
}

fn arg<'a>(call: &'a Call, name: &str) -> Option<&'a Arg> {
    call.args.iter().find(|arg| *arg.name == name)
}

/// The texts around the parameters; empty if there is no such argument.
fn pieces(call: &Call, name: &str) -> Vec<String> {
    let Some(ExprKind::Template(Syntax::Sql, parts)) = arg(call, name).map(|arg| &*arg.value.kind) else { return Vec::new() };
    let mut pieces = vec![String::new()];
    for part in parts {
        match part {
            Part::Text(text) => pieces.last_mut().unwrap().push_str(text),
            Part::Var(_) | Part::Expr(_) => pieces.push(String::new()),
            Part::RawVar(var) => panic!("{} is pasted into SQL", *var.name),
        }
    }
    pieces
}

fn words(expr: &Expr) -> Vec<String> {
    match &*expr.kind {
        ExprKind::List(items) => items.iter().flat_map(words).collect(),
        _ => vec![expr.literal().unwrap().to_owned()],
    }
}

impl<'a> Visit<'a> for Reader<'_> {
    fn call(&mut self, call: &'a Call) {
        let place = self.sources.place(call.span.span);
        let Callee::Native(name) = &call.callee else { return walk_call(self, call) };
        match name.as_str() {
            "SqlQuery" => {
                let mut statement = Statement::new(&pieces(call, "query")).unwrap();
                if arg(call, "hold").is_some() {
                    statement = statement.holding_rows().unwrap();
                }
                self.found.push(Shipped { place, statement, few: false });
            }
            "SqlDelete" => {
                let along = words(&arg(call, "along").unwrap().value);
                let along: Vec<&str> = along.iter().map(String::as_str).collect();
                let table = arg(call, "from").unwrap().value.literal().unwrap();
                let rows = Pieces::new(table, &along, &pieces(call, "within"), &pieces(call, "where")).unwrap();
                let made = rows.statements().into_iter();
                self.found.extend(made.map(|(statement, few)| Shipped {
                    place: place.clone(),
                    statement: statement.clone(),
                    few,
                }));
            }
            _ => {}
        }
        walk_call(self, call);
    }
}

/// Every statement of the shipped policies.
fn shipped() -> Vec<Shipped> {
    let mut paths = Vec::new();
    ["policies", "fragments", "customizations"].iter().for_each(|folder| files(&root().join(folder), ".policy", &mut paths));
    let mut sources = Sources::default();
    let mut parsed = Vec::new();
    for path in &paths {
        let text = std::fs::read_to_string(path).unwrap();
        let id = sources.add(path.strip_prefix(root()).unwrap().display().to_string(), text.clone(), Origin::Shipped);
        parsed.push(portcullis_dsl::parse(id, &text).0);
    }
    let mut reader = Reader { sources: &sources, found: Vec::new() };
    parsed.iter().flat_map(|file| &file.items).for_each(|item| walk_item(&mut reader, item));
    assert!(reader.found.len() > 150, "only {} statements were found", reader.found.len());
    reader.found
}

/// The statements of a script.
fn scripts(dialect: Dialect) -> Vec<(String, String)> {
    let mut paths = Vec::new();
    files(&root().join("fragments/persistence/schema").join(dialect.word()), ".sql", &mut paths);
    let name = |path: &PathBuf| format!("plans/{}", path.file_name().unwrap().to_string_lossy());
    paths.iter().map(|path| (name(path), std::fs::read_to_string(path).unwrap())).collect()
}

/// What a statement does in one database: its plan as text, and the steps of it that go through everything.
struct Plan {
    text: String,
    scans: Vec<String>,
    indexes: BTreeSet<String>,
}

/// Values for parameters: at the beginning and at the end of the numbers and texts in the tables. MySQL plans for values, and rightly reads
/// a table as a whole for those that find most of it.
const VALUES: [&str; 3] = ["5", "995", "v995"];

/// The best plan for any of the values.
async fn plan(db: &Connection, shipped: &Shipped) -> Option<Plan> {
    let mut best: Option<Plan> = None;
    for value in VALUES {
        let plan = plan_for(db, shipped, value).await?;
        if best.as_ref().is_none_or(|best| plan.scans.len() < best.scans.len()) {
            best = Some(plan);
        }
        if db.dialect() != Dialect::MySql || best.as_ref().is_some_and(|best| best.scans.is_empty()) {
            break;
        }
    }
    best
}

async fn plan_for(db: &Connection, shipped: &Shipped, value: &str) -> Option<Plan> {
    if shipped.statement.rendered(db.dialect()).is_err() {
        return None;
    }
    let params = vec![Value::from(value); shipped.statement.params()];
    let mut plan = Plan { text: String::new(), scans: Vec::new(), indexes: BTreeSet::new() };
    match db.dialect() {
        Dialect::Sqlite => {
            let explained = shipped.statement.after("explain query plan ");
            let rows = db
                .run(&explained, &params, QueryOptions::default())
                .await
                .unwrap_or_else(|error| panic!("{}: {error}", shipped.place));
            let steps: Vec<String> = rows.rows.iter().map(|row| row[3].as_text().into_owned()).collect();
            for step in &steps {
                writeln!(plan.text, "{step}").unwrap();
                // Rows that another step makes are few.
                let made = |name: &str| {
                    steps.iter().any(|step| {
                        step.split_once(' ') == Some(("MATERIALIZE", name)) || step.split_once(' ') == Some(("CO-ROUTINE", name))
                    })
                };
                if let Some(scanned) = step.strip_prefix("SCAN ").filter(|scanned| *scanned != "CONSTANT ROW" && !made(scanned)) {
                    plan.scans.push(scanned.to_owned());
                }
                if let Some((_, index)) = step.split_once("INDEX ") {
                    plan.indexes.insert(index.split(' ').next().unwrap().to_owned());
                }
            }
        }
        Dialect::MySql => {
            let explained = shipped.statement.after("explain ");
            let rows = db
                .run(&explained, &params, QueryOptions::default())
                .await
                .unwrap_or_else(|error| panic!("{}: {error}", shipped.place));
            let column = |name: &str| rows.columns.iter().position(|column| column.eq_ignore_ascii_case(name)).unwrap();
            let (table, kind, key, count) = (column("table"), column("type"), column("key"), column("rows"));
            for row in &rows.rows {
                let step = [table, kind, key, count].map(|i| row[i].as_text().into_owned()).join(" ");
                writeln!(plan.text, "{step}").unwrap();
                // Rows that another step makes, and those that an `insert` brings.
                let derived = row[table].as_text().starts_with('<') || row[count].is_undefined();
                if matches!(&*row[kind].as_text(), "ALL" | "index") && !derived {
                    plan.scans.push(step);
                }
                plan.indexes.insert(row[key].as_text().into_owned());
            }
        }
        Dialect::Postgres => {
            // Parameters without values: the plan for all of them.
            let sql = &shipped.statement.rendered(Dialect::Postgres).unwrap().sql;
            let name = format!("p{}", uuid::Uuid::new_v4().simple());
            let mut session = db.begin(BeginOptions::default()).await.unwrap();
            let mut own = async |sql: String| {
                let statement = Statement::with(&[sql], Equality::Database).unwrap();
                session
                    .run(&statement, &[], QueryOptions::default())
                    .await
                    .unwrap_or_else(|error| panic!("{}: {error}", shipped.place))
            };
            own("set local plan_cache_mode = force_generic_plan".to_owned()).await;
            // A small table would be read as a whole whatever indexes it has.
            own("set local enable_seqscan = off".to_owned()).await;
            own(format!("prepare {name} as {sql}")).await;
            let count =
                own(format!("select array_length(parameter_types, 1) from pg_prepared_statements where name = '{name}'")).await;
            let count = count.rows[0][0].to_int().unwrap_or(0);
            let nulls = if count > 0 { format!("({})", vec!["null"; count as usize].join(", ")) } else { String::new() };
            let rows = own(format!("explain (costs off) execute {name}{nulls}")).await;
            own(format!("deallocate {name}")).await;
            let lines: Vec<String> = rows.rows.iter().map(|row| row[0].as_text().trim_end().to_owned()).collect();
            for (i, line) in lines.iter().enumerate() {
                writeln!(plan.text, "{line}").unwrap();
                let depth = |line: &str| line.len() - line.trim_start().len();
                let own = lines[i + 1..].iter().take_while(|next| depth(next) > depth(line) && !next.contains("->"));
                let by_condition = own.into_iter().any(|next| next.trim_start().starts_with("Index Cond"));
                let whole = line.contains("Seq Scan on")
                    || line.contains("Index Scan") && !line.contains("Bitmap Heap") && !by_condition
                    || line.contains("Index Only Scan") && !by_condition;
                if whole {
                    plan.scans.push(line.trim().to_owned());
                }
                if let Some((_, index)) = line.split_once(" using ").or_else(|| line.split_once("Bitmap Index Scan on ")) {
                    plan.indexes.insert(index.split(' ').next().unwrap().to_owned());
                }
            }
        }
    }
    Some(plan)
}

/// Many different rows in every table, so that the planner has a choice, and knows what is rare.
async fn fill(db: &Connection) {
    let shape = db.shape().await.unwrap();
    let digits = (0..10).map(|digit| format!("select {digit} as d")).collect::<Vec<_>>().join(" union all ");
    let number = "(a.d * 100 + b.d * 10 + c.d)";
    for table in ["oauth_client", "oauth_client_key", "oauth_token", "oauth_initiate", "oauth_session", "oauth_id_token"] {
        let columns: Vec<&String> = shape[table].columns.keys().collect();
        let text = match db.dialect() {
            Dialect::MySql => format!("concat('v', {number})"),
            _ => format!("'v' || {number}"),
        };
        let value = |column: &&String| match column.as_str() {
            "created" | "expiration" | "rexpiration" => number.to_owned(),
            _ => text.clone(),
        };
        let values: Vec<String> = columns.iter().map(value).collect();
        let columns: Vec<&str> = columns.iter().map(|column| column.as_str()).collect();
        let sql = format!(
            "insert into {table} ({}) select {} from ({digits}) a cross join ({digits}) b cross join ({digits}) c",
            columns.join(", "),
            values.join(", ")
        );
        let run = async |sql: String| {
            let statement = Statement::with(&[sql], Equality::Database).unwrap();
            db.run(&statement, &[], QueryOptions::default()).await.unwrap()
        };
        run(sql).await;
        run(match db.dialect() {
            Dialect::MySql => format!("analyze table {table}"),
            _ => format!("analyze {table}"),
        })
        .await;
    }
}

/// The shipped tables, in a place of their own of each database.
async fn prepared() -> Vec<(Db, Option<(Db, String)>)> {
    let mut prepared = Vec::new();
    for db in databases() {
        let name = format!("plans_{}", uuid::Uuid::new_v4().simple());
        let own = match db.dialect() {
            Dialect::Sqlite => {
                prepared.push((db, None));
                continue;
            }
            Dialect::MySql => {
                db.sql(&format!("create database {name} character set utf8mb4"), &[]).await.unwrap();
                let mut url = url::Url::parse(&std::env::var("PORTCULLIS_TEST_MYSQL").unwrap()).unwrap();
                url.set_path(&name);
                url
            }
            Dialect::Postgres => {
                db.sql(&format!("create schema {name}"), &[]).await.unwrap();
                let mut url = url::Url::parse(&std::env::var("PORTCULLIS_TEST_POSTGRES").unwrap()).unwrap();
                url.query_pairs_mut().append_pair("options[search_path]", &name);
                url
            }
        };
        let drop = match db.dialect() {
            Dialect::MySql => format!("drop database {name}"),
            _ => format!("drop schema {name} cascade"),
        };
        prepared.push((open(config(own.as_str())), Some((db, drop))));
    }
    for (db, _) in &prepared {
        db.migrate(&scripts(db.dialect())).await.unwrap();
        fill(db).await;
    }
    prepared
}

#[tokio::test(flavor = "multi_thread")]
async fn no_shipped_statement_goes_through_a_table_and_no_index_is_for_nothing() {
    let shipped = shipped();
    let mut used = BTreeSet::new();
    let mut wrong = String::new();
    for (db, outer) in prepared().await {
        let mut indexes = BTreeMap::<String, usize>::new();
        for statement in &shipped {
            let Some(plan) = plan(&db, statement).await else { continue };
            plan.indexes.iter().for_each(|index| *indexes.entry(index.to_lowercase()).or_default() += 1);
            let text = statement.text().to_lowercase();
            let may = MAY.iter().position(|(part, _)| text.contains(part));
            if let Some(may) = may.filter(|_| !plan.scans.is_empty()) {
                used.insert(may);
            } else if !plan.scans.is_empty() && !statement.few && !is_begin_of_walk(&text, &plan) {
                writeln!(wrong, "{} in {}: {text}\n{}", statement.place, db.dialect().word(), plan.text).unwrap();
            }
        }
        if db.dialect() == Dialect::Sqlite {
            // An index that a unique key makes is there for that.
            let own = db.shape().await.unwrap();
            let own = own.values().flat_map(|table| table.indexes.keys()).filter(|index| !index.starts_with("sqlite_autoindex"));
            for idle in own.filter(|index| !indexes.contains_key(&index.to_lowercase())) {
                writeln!(wrong, "no statement uses the index {idle}").unwrap();
            }
        }
        if let Some((outer, drop)) = outer {
            db.connection.0.backend.close().await;
            outer.sql(&drop, &[]).await.unwrap();
        }
    }
    for (i, (part, _)) in MAY.iter().enumerate().filter(|(i, _)| !used.contains(i)) {
        writeln!(wrong, "nothing goes through a table any more: exception {i}, `{part}`").unwrap();
    }
    assert!(wrong.is_empty(), "{wrong}");
}

/// The first piece of a walk goes along an index from its beginning, and stops after the piece.
fn is_begin_of_walk(text: &str, plan: &Plan) -> bool {
    text.contains("limit 1 offset") && !plan.indexes.is_empty()
}
