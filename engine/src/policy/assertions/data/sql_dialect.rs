//! `SqlDialect`: which kind of database a connection leads to.

use portcullis_dsl::spec::{Expect, Kind, Prop, Spec, example};

use crate::data::fault::{HELD, Verdict, falsified};
use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::ctx::Ctx;
use crate::policy::expr::Expr;

static SPEC: Spec = Spec {
    name: "SqlDialect",
    category: "data",
    summary: "Succeeds if the database of a connection is of a kind. A kind that no driver is for is an error when the policies load.",
    props: &[
        Prop::required(
            "connection",
            Kind::Connection,
            "The connection's name in `gateway.yaml`; may be an expression. Left out: `connection …` at the top of the file.",
        ),
        Prop::required("is", Kind::Dialect, "`sqlite`, `mysql` (also for MariaDB) or `postgres`; may be an expression."),
    ],
    sets: &[],
    fails: &["the database is of another kind"],
    examples: &[
        example("an embedded one", r#"SqlDialect(connection: "Test", is: "sqlite")"#, Expect::Holds),
        example("no server", r#"SqlDialect(connection: "Test", is: "postgres")"#, Expect::Fails),
    ],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| Runnable::sync(SqlDialect { connection: p.value("connection"), is: p.value("is") }),
};

struct SqlDialect {
    connection: Expr,
    is: Expr,
}

impl Assertion for SqlDialect {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let name = self.connection.to_text(ctx);
        let word = ctx.services().connection(&name)?.dialect().word();
        if word == self.is.to_text(ctx) { HELD } else { falsified("the database is of another kind") }
    }
}
