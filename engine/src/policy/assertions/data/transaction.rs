//! `Transaction`: statements that happen together or not at all.

use portcullis_dsl::spec::{Expect, Kind, Prop, Spec, example};

use crate::policy::assertion::{Entry, Runnable};

static SPEC: Spec = Spec {
    name: "Transaction",
    category: "data",
    summary: "Runs its block in one transaction of a connection: committed, durably, when the block holds, otherwise undone. Queries on \
              that connection inside the block take part in it.",
    props: &[
        Prop::required(
            "connection",
            Kind::Connection,
            "The connection's name in `gateway.yaml`; may be an expression. Left out, `connection …` at the top of the file holds.",
        ),
        Prop::absent(
            "lock",
            Kind::Text,
            "Transactions that name the same lock run one after the other, on every gateway of the database, so that \"count, then \
             insert\" is exact.",
        ),
    ],
    sets: &[],
    fails: &["the block fails"],
    block: true,
    examples: &[example(
        "two rows or none",
        r#"
        SqlQuery(connection: "Test", query: sql "create table if not exists pair (name varchar(10) primary key)")
        Transaction(connection: "Test") {
            SqlQuery(connection: "Test", query: sql "insert into pair values ('a')")
            SqlQuery(connection: "Test", query: sql "insert into pair values ('a')")
        }
        "#,
        Expect::Fails,
    )],
    ..Spec::PLAIN
};

pub static ENTRY: Entry =
    Entry { spec: &SPEC, build: |p| Ok(Runnable::Transaction { connection: p.value("connection"), lock: p.optional("lock") }) };
