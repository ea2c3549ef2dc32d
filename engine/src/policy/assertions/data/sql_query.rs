//! `SqlQuery`: one statement.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwapOption, Guard};
use async_trait::async_trait;
use aws_lc_rs::digest::{self, Digest, SHA256};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, document, example, sets};
use serde_json::Value as Json;
use smol_str::SmolStr;

use crate::policy::assertion::{AsyncAssertion, Entry, Places, Runnable};
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;
use crate::data::fault::{Blame, Fault, HELD, Outcome, Verdict, falsified};
use crate::services::store::{Equality, Kind as Store, QueryOptions, Rows, Statement};
use crate::data::value::Value;

static SPEC: Spec = Spec {
    name: "SqlQuery",
    category: "data",
    summary: "Runs one SQL statement. Variables in it are bound parameters, never text. A write is durable when the statement \
              succeeds, or inside a `Transaction` when that succeeds.",
    props: &[
        Prop::required(
            "connection",
            Kind::Connection,
            "The connection's name in `gateway.yaml`; may be an expression. Left out: `connection …` at the top of the file.",
        ),
        Prop::required(
            "query",
            Kind::Template(portcullis_dsl::ast::Syntax::Sql),
            "The statement. A variable is bound with its own type.",
        ),
        Prop::optional(
            "compare",
            Kind::OneOf(&["bytes", "database"]),
            Literal::Text("bytes"),
            "How `=`, `<>`, `in` and `case` compare the bound values; a literal. `bytes`: a row is found only if the text of \
             its column equals the value byte by byte, whatever the column's collation; numbers compare as numbers. `database`: \
             by the database's own rules, which may ignore blanks, case and accents. `collate` in the statement does that for \
             one comparison.",
        ),
        Prop::optional("prefix", Kind::Prefix, Literal::Text("sqlQuery"), "Prefix of the variables it sets."),
        Prop::optional("max_rows", Kind::Int, Literal::Int(1000), "Greatest number of rows; further ones are dropped."),
        Prop::optional(
            "hold",
            Kind::Bool,
            Literal::Bool(false),
            "Whether the rows that a `select` or an `insert … select` reads are locked until the end of its transaction, so \
             that whoever wants to change or delete one waits. What was read is then still true when its consequences are \
             written.",
        ),
        Prop::optional(
            "on_fault",
            Kind::OneOf(&["fault", "fail"]),
            Literal::Text("fault"),
            "What it is if the database cannot be asked, or refuses the statement: a fault, or a failure, after which the policy \
             goes on. The log tells it either way. A literal.",
        ),
        Prop::absent("timeout", Kind::Duration, "Longest time it may take. Left out: the connection's `statement_timeout`."),
    ],
    sets: &[
        sets("{prefix}.*", "one variable for each column, with the column's name: its value, or the list of its values if there \
                            are several rows"),
        document("{prefix}.rows", "all rows, as a JSON array of objects"),
        sets("{prefix}.queryresult.count", "number of rows found or changed"),
        sets(
            "{prefix}.queryresult.digest",
            "SHA-256 of all names and values, in Base64url. Only the same rows have the same digest, so what is made of them can \
             be kept under it",
        ),
        sets(
            "{prefix}.refused",
            "why the database refused the values: `taken` (a unique value is already there) or `unfit` (a column cannot hold \
             one: it is too long, or has characters that the column's character set lacks; or another constraint forbids it). \
             Otherwise empty",
        ),
    ],
    fails: &[
        "with `on_fault: \"fail\"`: the database cannot be asked, or refuses the statement",
        "no row was found or changed",
        "a unique value is already taken",
        "a column cannot hold a value, or another constraint forbids it: nothing is cut",
    ],
    examples: &[
        example(
            "a value comes back",
            r#"
            SqlQuery(connection: "Test", query: sql "create table if not exists t (name varchar(10))")
            SqlQuery(connection: "Test", query: sql "insert into t values (${request.http.method})")
            SqlQuery(connection: "Test", query: sql "select name from t", prefix: "row")
            "#,
            Expect::Sets("row.name", "GET"),
        ),
        example(
            "a look-alike is another value",
            r#"
            SqlQuery(connection: "Test", query: sql "create table if not exists people (name varchar(10) collate nocase)")
            SqlQuery(connection: "Test", query: sql "insert into people values ('get')")
            SqlQuery(connection: "Test", query: sql "select name from people where name = ${request.http.method}")
            "#,
            Expect::Fails,
        ),
        example(
            "unless the author wants to find it",
            r#"
            SqlQuery(connection: "Test", query: sql "create table if not exists people (name varchar(10) collate nocase)")
            SqlQuery(connection: "Test", query: sql "insert into people values ('get')")
            SqlQuery(
                connection: "Test",
                query: sql "select name from people where name = ${request.http.method}",
                compare: "database",
                max_rows: 1
            )
            "#,
            Expect::Holds,
        ),
        example(
            "what comes of a row is kept for as long as the row stays the same",
            r#"
            SqlQuery(connection: "Test", query: sql "select 'a' as name", prefix: "row")
            CacheStore(cache: "made", key: ${row.queryresult.digest}, value: "made of ${row.name}")
            SqlQuery(connection: "Test", query: sql "select 'a' as name", prefix: "row")
            CacheLookup(cache: "made", key: ${row.queryresult.digest}, target: "made")
            "#,
            Expect::Sets("made", "made of a"),
        ),
        example("no row", r#"SqlQuery(connection: "Test", query: sql "select 1 where 1 = 2")"#, Expect::Fails),
        example(
            "what no column can hold is told apart from what is taken",
            r#"
            SqlQuery(connection: "Test", query: sql "create table if not exists short (name varchar(3) check (length(name) <= 3))")
            SqlQuery(connection: "Test", query: sql "insert into short values ('long')", prefix: "row") else Continue
            "#,
            Expect::Sets("row.refused", "unfit"),
        ),
        example("no row is fine", r#"SqlQuery?(connection: "Test", query: sql "select 1 where 1 = 2")"#, Expect::Holds),
    ],
    optional: Some("no row was found or changed"),
    former: &[("fail_if_none", "where no row is fine, write `SqlQuery?(…)`")],
    also: &["Perform JDBC Query", "JDBC Query"],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let template = p.sql("query")?;
        let equality = p.choice("compare", &[("bytes", Equality::Bytes), ("database", Equality::Database)])?;
        let mut statement = Statement::with(&template.texts, equality).map_err(|why| {
            let advice = if equality == Equality::Bytes { "; `compare: \"database\"` leaves all comparisons to the database" } else { "" };
            p.refuse("query", &format!("{why}{advice}"))
        })?;
        if p.flag("hold")? {
            statement = statement.holding_rows().map_err(|why| p.refuse("hold", &why.to_string()))?;
        }
        // A statement such as `create table` neither finds nor changes rows.
        let counts_rows = statement.counts_rows();
        let prefix = p.literal("prefix")?;
        let count = p.slot(&format!("{prefix}.queryresult.count"));
        let digest = p.slot(&format!("{prefix}.queryresult.digest"));
        let rows = p.slot(&format!("{prefix}.rows"));
        let refused = p.slot(&format!("{prefix}.refused"));
        let own = [count, digest, rows, refused];
        let columns = p.with_prefix(&prefix).into_iter().filter(|(_, slot)| !own.contains(&Some(*slot))).collect();
        let max_rows = p.int("max_rows")?;
        let max_rows = usize::try_from(max_rows).map_err(|_| p.refuse("max_rows", "it must not be negative"))?;
        Runnable::io(SqlQuery {
            connection: p.value("connection"),
            statement,
            params: template.params,
            columns,
            places: ArcSwapOption::empty(),
            count,
            digest,
            rows,
            refused,
            fail_if_none: counts_rows && !p.is_optional(),
            max_rows,
            timeout: p.optional("timeout"),
            fault_fails: p.choice("on_fault", &[("fault", false), ("fail", true)])?,
        })
    },
};

struct SqlQuery {
    connection: Expr,
    statement: Statement,
    params: Vec<Expr>,
    /// Columns that the policy reads, in lower case.
    columns: Vec<(String, Slot)>,
    places: ArcSwapOption<ColumnPlaces>,
    count: Option<Slot>,
    digest: Option<Slot>,
    rows: Option<Slot>,
    refused: Option<Slot>,
    max_rows: usize,
    fail_if_none: bool,
    timeout: Option<Expr>,
    /// Whether a fault of the database is a failure.
    fault_fails: bool,
}

#[async_trait]
impl AsyncAssertion for SqlQuery {
    async fn run(&self, ctx: &mut Ctx) -> Verdict {
        let name = self.connection.to_text(ctx);
        let params: Vec<Value> = self.params.iter().map(|param| param.eval(ctx)).collect();
        let timeout = self.timeout.as_ref().and_then(|timeout| super::millis(timeout, ctx));
        let timeout = timeout.map(|millis| Duration::from_millis(millis.max(1) as u64));
        let options = QueryOptions { max_rows: self.max_rows, timeout };
        let result = match ctx.transaction(&name) {
            Some(transaction) => transaction.run(&self.statement, &params, options).await,
            None => {
                let reads = self.statement.only_reads();
                let connection = if reads { ctx.services().connection(&name)? } else { ctx.writable(&name)? }.clone();
                ctx.outside += u32::from(!reads);
                connection.run(&self.statement, &params, options).await
            }
        };
        // Variables from an earlier run with the same prefix must not pass for results of this one.
        for (_, slot) in &self.columns {
            ctx.set(*slot, Value::Undefined);
        }
        ctx.set_if(self.digest, Value::Undefined);
        ctx.set_if(self.rows, Value::Undefined);
        let rows = match result {
            Ok(rows) => rows,
            Err(error) => {
                let (refused, reason): (_, Cow<'static, str>) = match error.kind {
                    Store::Duplicate => ("taken", "a unique value is already taken".into()),
                    // The detail names the column, never the value.
                    Store::Constraint => ("unfit", format!("a column cannot hold a value: {}", error.detail).into()),
                    _ if self.fault_fails => {
                        ctx.set_if(self.count, 0);
                        return Ok(self.failed(ctx, &error.into()));
                    }
                    _ => return Err(error.into()),
                };
                ctx.set_if(self.count, 0);
                ctx.set_if(self.refused, refused);
                return falsified(reason);
            }
        };
        ctx.set_if(self.refused, "");
        if let Some(slot) = self.digest {
            ctx.set(slot, URL_SAFE_NO_PAD.encode(digest_of(&rows)));
        }
        let count = if rows.columns.is_empty() { rows.affected as i64 } else { rows.rows.len() as i64 };
        self.keep(rows, ctx)?;
        ctx.set_if(self.count, count);
        if count == 0 && self.fail_if_none { falsified("no row") } else { HELD }
    }

    fn changes_database(&self) -> bool {
        !self.statement.only_reads()
    }

    fn placed(&self, places: &dyn Places) -> Option<Arc<dyn AsyncAssertion>> {
        let target = |slot: &Option<Slot>| slot.map(|slot| places.target(slot));
        Some(Arc::new(SqlQuery {
            connection: places.expr(&self.connection),
            statement: self.statement.clone(),
            params: self.params.iter().map(|param| places.expr(param)).collect(),
            columns: self.columns.iter().map(|(name, slot)| (name.clone(), places.target(*slot))).collect(),
            places: ArcSwapOption::empty(),
            count: target(&self.count),
            digest: target(&self.digest),
            rows: target(&self.rows),
            refused: target(&self.refused),
            max_rows: self.max_rows,
            fail_if_none: self.fail_if_none,
            timeout: places.optional(&self.timeout),
            fault_fails: self.fault_fails,
        }))
    }
}

/// Where in a row the columns are that the policy reads, as long as the rows have these columns.
struct ColumnPlaces {
    columns: Arc<[SmolStr]>,
    at: Vec<Option<usize>>,
}

impl SqlQuery {
    /// A fault that the policy takes for a failure; the log has it all the same.
    fn failed(&self, ctx: &Ctx, fault: &Fault) -> Outcome {
        let (service, request, blame) = (&ctx.service, ctx.request.id(), fault.blame.word());
        tracing::error!(%service, %request, blame, "a query failed, and the policy goes on: {fault}");
        Outcome::Falsified(Cow::Borrowed("the database cannot be asked, or refuses the statement"))
    }

    fn keep(&self, rows: Rows, ctx: &mut Ctx) -> Result<(), Fault> {
        if let Some(slot) = self.rows {
            let objects = rows.rows.iter().map(|row| {
                let members = rows.columns.iter().zip(row).map(|(name, value)| {
                    (name.to_string(), if value.is_undefined() { Json::Null } else { value.to_json() })
                });
                Json::Object(members.collect())
            });
            ctx.set(slot, Value::json(Json::Array(objects.collect())));
        }
        let places = self.places(&rows);
        for ((_, slot), at) in self.columns.iter().zip(&places.at) {
            let Some(at) = *at else { continue };
            let short = || Fault::new(Blame::Internal, "a row has fewer values than columns");
            let cell = |row: &Vec<Value>| row.get(at).cloned().ok_or_else(short);
            let value = match &rows.rows[..] {
                [] => Value::Undefined,
                [row] => cell(row)?,
                many => Value::list(many.iter().map(cell).collect::<Result<Vec<Value>, Fault>>()?),
            };
            ctx.set(*slot, value);
        }
        Ok(())
    }

    /// Where the columns are; of two with one name the first counts.
    fn places(&self, rows: &Rows) -> Arc<ColumnPlaces> {
        let known = Guard::into_inner(self.places.load());
        if let Some(known) = known.filter(|known| known.columns == rows.columns) {
            return known;
        }
        let place = |name: &str| rows.columns.iter().position(|column| column.eq_ignore_ascii_case(name));
        let at = self.columns.iter().map(|(name, _)| place(name)).collect();
        let places = Arc::new(ColumnPlaces { columns: Arc::clone(&rows.columns), at });
        self.places.store(Some(Arc::clone(&places)));
        places
    }
}

/// The digest of rows. Every text comes after its length, so that no two results look alike.
fn digest_of(rows: &Rows) -> Digest {
    // In one piece: to hash each part by itself costs more than to copy it.
    let mut told = Vec::with_capacity(1024);
    let mut tell = |kind: u8, text: &str| {
        told.push(kind);
        told.extend_from_slice(&(text.len() as u64).to_le_bytes());
        told.extend_from_slice(text.as_bytes());
    };
    rows.columns.iter().for_each(|name| tell(0, name));
    for value in rows.rows.iter().flatten() {
        let kind = match value {
            Value::Undefined => 1,
            Value::Text(_) => 2,
            Value::Int(_) => 3,
            Value::Decimal(_) => 4,
            Value::Bool(_) => 5,
            Value::Time(_) => 6,
            _ => 7,
        };
        tell(kind, &value.as_text());
    }
    digest::digest(&SHA256, &told)
}
