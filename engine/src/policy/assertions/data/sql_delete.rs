//! `SqlDelete`: any number of rows, in pieces.

use std::time::Duration;

use async_trait::async_trait;
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example, sets};

use crate::data::fault::{HELD, Verdict, falsified};
use crate::data::value::Value;
use crate::policy::assertion::{AsyncAssertion, Entry, Runnable};
use crate::policy::build::SqlTemplate;
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;
use crate::services::store::Pieces;

static SPEC: Spec = Spec {
    name: "SqlDelete",
    category: "data",
    summary: "Deletes the rows of a table that meet a condition, however many they are, while others use the table: in small pieces, each \
              durable by itself, with pauses between them. What is deleted stays deleted, however the run ends. For few rows, or all \
              at once, use `SqlQuery`.",
    props: &[
        Prop::required(
            "connection",
            Kind::Connection,
            "The connection's name in `gateway.yaml`; may be an expression. Left out: `connection …` at the top of the file.",
        ),
        Prop::required("from", Kind::Text, "The table; a literal."),
        Prop::absent(
            "where",
            Kind::Template(portcullis_dsl::ast::Syntax::Sql),
            "The condition, as after `where`. Variables are bound parameters, compared as `SqlQuery` does; they are read once.",
        ),
        Prop::absent(
            "within",
            Kind::Template(portcullis_dsl::ast::Syntax::Sql),
            "A condition that the index of `along` serves, such as a bound of its first column. Rows beyond it are not even looked at, \
             so that the work is for those to delete and not for the whole table. Give it, `where`, or both.",
        ),
        Prop::required(
            "along",
            Kind::Value,
            "The columns by whose order the table is gone through, literally: one, or a list. They are never NULL, best the first ones of \
             an index, and tell rows apart: many rows that they do not tell apart are one piece.",
        ),
        Prop::absent("time", Kind::Duration, "When to stop, at the end of a piece. Left out or empty: when the table is gone through."),
        Prop::optional("prefix", Kind::Prefix, Literal::Text("sqlDelete"), "Prefix of the variables it sets."),
    ],
    sets: &[
        sets("{prefix}.count", "number of deleted rows"),
        sets("{prefix}.more", "whether `time` was over before the table was gone through"),
    ],
    fails: &["no row was deleted"],
    examples: &[
        example(
            "what is old",
            r#"
            SqlQuery(connection: "Test", query: sql "create table if not exists visits (id varchar(10) primary key, at bigint)")
            SqlQuery(connection: "Test", query: sql "insert into visits values ('a', 1), ('b', 2), ('c', 3)")
            SqlDelete(connection: "Test", from: "visits", where: sql "at < ${1 + 2}", along: ["at", "id"])
            "#,
            Expect::Sets("sqlDelete.count", "2"),
        ),
        example(
            "only what is old is looked at",
            r#"
            SqlQuery(connection: "Test", query: sql "create table if not exists visits (id varchar(10) primary key, at bigint)")
            SqlQuery(connection: "Test", query: sql "create index if not exists visits_at on visits (at)")
            SqlQuery(connection: "Test", query: sql "insert into visits values ('a', 1), ('b', 2), ('c', 3)")
            SqlDelete(connection: "Test", from: "visits", within: sql "at < ${1 + 2}", where: sql "id <> 'a'", along: ["at", "id"])
            "#,
            Expect::Sets("sqlDelete.count", "1"),
        ),
        example(
            "nothing is old",
            r#"
            SqlQuery(connection: "Test", query: sql "create table if not exists visits (id varchar(10) primary key, at bigint)")
            SqlDelete(connection: "Test", from: "visits", where: sql "at < ${0 - 1}", along: "id")
            "#,
            Expect::Fails,
        ),
    ],
    optional: Some("no row was deleted"),
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let table = p.literal("from")?;
        let along = p.texts("along")?;
        let along: Vec<&str> = along.iter().map(String::as_str).collect();
        let none = || SqlTemplate { texts: Vec::new(), params: Vec::new() };
        let bounds = if p.has("within") { p.sql("within")? } else { none() };
        let condition = if p.has("where") || !p.has("within") { p.sql("where")? } else { none() };
        let pieces = Pieces::new(&table, &along, &bounds.texts, &condition.texts);
        let pieces = pieces.map_err(|why| p.refuse(if p.has("where") { "where" } else { "within" }, &why.to_string()))?;
        let prefix = p.literal("prefix")?;
        Runnable::io(SqlDelete {
            connection: p.value("connection"),
            pieces,
            params: bounds.params.into_iter().chain(condition.params).collect(),
            time: p.optional("time"),
            count: p.slot(&format!("{prefix}.count")),
            more: p.slot(&format!("{prefix}.more")),
            fail_if_none: !p.is_optional(),
        })
    },
};

struct SqlDelete {
    connection: Expr,
    pieces: Pieces,
    params: Vec<Expr>,
    time: Option<Expr>,
    count: Option<Slot>,
    more: Option<Slot>,
    fail_if_none: bool,
}

#[async_trait]
impl AsyncAssertion for SqlDelete {
    async fn run(&self, ctx: &mut Ctx) -> Verdict {
        let name = self.connection.to_text(ctx);
        if ctx.transaction(&name).is_some() {
            return Err(ctx.misconfigured(format!("`SqlDelete` inside a `Transaction` on connection `{name}`: its pieces are durable one by one")));
        }
        let params: Vec<Value> = self.params.iter().map(|param| param.eval(ctx)).collect();
        let time = self.time.as_ref().and_then(|time| super::millis(time, ctx));
        let time = time.map(|millis| Duration::from_millis(millis.max(0) as u64));
        let connection = ctx.writable(&name)?.clone();
        let deleted = self.pieces.delete(&connection, &params, time).await?;
        ctx.set_if(self.count, deleted.rows as i64);
        ctx.set_if(self.more, deleted.more);
        if deleted.rows == 0 && self.fail_if_none { falsified("no row") } else { HELD }
    }

    fn changes_database(&self) -> bool {
        true
    }
}
