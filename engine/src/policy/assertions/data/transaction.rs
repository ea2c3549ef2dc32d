//! `Transaction`: statements that happen together or not at all.

use async_trait::async_trait;
use portcullis_dsl::spec::{Expect, Kind, Prop, Spec, example};

use crate::data::fault::{Blame, Fault, HELD, Verdict};
use crate::policy::assertion::{Begin, BlockAssertion, BlockEnd, Entry, OpenBlock, Runnable};
use crate::policy::ctx::{Ctx, OpenTransaction};
use crate::policy::expr::Expr;
use crate::services::store::BeginOptions;

static SPEC: Spec = Spec {
    name: "Transaction",
    category: "data",
    summary: "Runs its block in one transaction of a connection. It is durably committed if the block succeeds, otherwise \
              rolled back. Queries on that connection inside the block are part of it. On a database server it may lose against other \
              transactions (a deadlock): then its block runs again, a few times, unless something happened in it that cannot be \
              undone, such as a call of another server.",
    props: &[
        Prop::required(
            "connection",
            Kind::Connection,
            "The connection's name in `gateway.yaml`; may be an expression. Left out: `connection …` at the top of the file.",
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
    also: &["Begin JDBC Transaction"],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| Runnable::block(Transaction { connection: p.value("connection"), lock: p.optional("lock") }),
};

struct Transaction {
    connection: Expr,
    lock: Option<Expr>,
}

#[async_trait]
impl BlockAssertion for Transaction {
    async fn begin(&self, ctx: &mut Ctx) -> Result<Begin, Fault> {
        let name = self.connection.to_text(ctx);
        if ctx.transaction(&name).is_some() {
            // The two would wait for each other.
            return Err(ctx.misconfigured(format!("a `Transaction` inside another one on connection `{name}`")));
        }
        let lock = self.lock.as_ref().map(|lock| lock.to_text(ctx));
        let connection = ctx.writable(&name)?.clone();
        let handle = connection.begin(BeginOptions { lock: lock.as_deref(), timeout: None }).await?;
        ctx.transactions.push(OpenTransaction { connection: name, handle });
        Ok(Begin::Run(Box::new(Open { may_lose: connection.loses_transactions() })))
    }
}

/// The innermost of the context's open transactions, because blocks end in the reverse order of their beginnings.
struct Open {
    may_lose: bool,
}

#[async_trait]
impl OpenBlock for Open {
    async fn end(self: Box<Self>, ctx: &mut Ctx, ending: BlockEnd) -> Verdict {
        let Some(open) = ctx.transactions.pop() else {
            return Err(Fault::new(Blame::Internal, "no transaction is open"));
        };
        let ended = match ending {
            BlockEnd::Held => open.handle.commit().await.map_err(Fault::from),
            BlockEnd::Failed | BlockEnd::Abandoned => {
                // If the rollback fails, the database itself rolls the transaction back.
                if let Err(error) = open.handle.rollback().await {
                    tracing::warn!("rollback failed: {error}");
                }
                Ok(())
            }
        };
        // Even where the commit failed: it may have happened.
        ctx.transaction_ended();
        ended?;
        // For a transaction around it, on another database.
        ctx.outside += u32::from(ending == BlockEnd::Held);
        HELD
    }

    fn runs_again(&self) -> bool {
        self.may_lose
    }
}
