//! `RateLimit`: so many runs in so much time, per key.

use std::sync::Arc;

use async_trait::async_trait;
use portcullis_dsl::ast::Type;
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example, sets};

use crate::policy::assertion::{AsyncAssertion, Entry, Runnable};
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;
use crate::data::fault::{Blame, Fault, HELD, Verdict, falsified};
use crate::services::rates::Draw;

static SPEC: Spec = Spec {
    name: "RateLimit",
    category: "traffic",
    summary: "Succeeds as long as a key stays within its rate: a bucket holds `burst` tokens and refills evenly with `limit` \
              tokens every `per`. It counts over all gateways that share a Redis server (`cluster` in `gateway.yaml`); otherwise, and \
              while that is away, each gateway counts for itself.",
    props: &[
        Prop::required("key", Kind::Text, "Whom to count: an address, a user, a client. Runs with the same key and name share a bucket."),
        Prop::required("limit", Kind::Int, "How many runs are allowed in the time of `per`."),
        Prop::optional("per", Kind::Duration, Literal::Seconds(1), "In what time."),
        Prop::absent("burst", Kind::Int, "How many may come at once after a quiet time. Left out: as many as `limit`."),
        Prop::optional("cost", Kind::Int, Literal::Int(1), "How many tokens this run takes: all of them, or none. A run that \
                                                            costs more than `burst` never succeeds."),
        Prop::optional("name", Kind::Text, Literal::Text(""), "Name of the counter, if one key is counted for several purposes."),
        Prop::optional("target", Kind::Target(Type::Int), Literal::Text("retry_after"), "The variable that takes the waiting time."),
    ],
    sets: &[sets("{target}", "seconds after which another try may succeed, for a `Retry-After` field; 0 after success")],
    fails: &["the rate is exceeded"],
    examples: &[
        example("within the rate", r#"RateLimit(key: "a", limit: 10, per: 1m)"#, Expect::Sets("retry_after", "0")),
        example(
            "one more than allowed",
            "RateLimit(key: \"b\", limit: 2, per: 1m)\nRateLimit(key: \"b\", limit: 2, per: 1m)\nRateLimit(key: \"b\", limit: 2, per: 1m)",
            Expect::Fails,
        ),
        example(
            "how long to wait",
            "RateLimit(key: \"c\", limit: 2, per: 1m, burst: 1)\nRateLimit(key: \"c\", limit: 2, per: 1m, burst: 1, target: \"wait\") else Continue",
            Expect::Sets("wait", "30"),
        ),
        example(
            "two that cost more than the bucket holds",
            "RateLimit(key: \"d\", limit: 10, per: 1m, cost: 6)\nRateLimit(key: \"d\", limit: 10, per: 1m, cost: 6)",
            Expect::Fails,
        ),
    ],
    also: &["Apply Rate Limit", "Throughput Quota", "Apply Throughput Quota"],
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        Runnable::io(RateLimit {
            key: p.value("key"),
            limit: p.value("limit"),
            per: p.value("per"),
            burst: p.optional("burst"),
            cost: p.value("cost"),
            name: p.value("name"),
            target: p.target("target")?,
        })
    },
};

struct RateLimit {
    key: Expr,
    limit: Expr,
    per: Expr,
    burst: Option<Expr>,
    cost: Expr,
    name: Expr,
    target: Slot,
}

#[async_trait]
impl AsyncAssertion for RateLimit {
    async fn run(&self, ctx: &mut Ctx) -> Verdict {
        let limit = self.limit.eval(ctx).to_int().filter(|limit| *limit > 0);
        let per = super::super::data::millis(&self.per, ctx).filter(|per| *per > 0);
        let burst = match &self.burst {
            Some(burst) => burst.eval(ctx).to_int().filter(|burst| *burst > 0),
            None => limit,
        };
        let cost = self.cost.eval(ctx).to_int().filter(|cost| *cost > 0);
        // A limit that cannot be read must neither let everything pass nor look like an exceeded one.
        let (Some(limit), Some(per), Some(burst), Some(cost)) = (limit, per, burst, cost) else {
            let message = "RateLimit: `limit`, `per`, `burst` and `cost` must be greater than zero";
            return Err(Fault::new(Blame::Configuration, message));
        };
        // The length of the name comes first, so that a key cannot be mistaken for another key with a name.
        let (name, key) = (self.name.to_text(ctx), self.key.to_text(ctx));
        let key = format!("{} {name} {key}", name.len());
        let (draw, now) = (Draw::new(limit, per, burst, cost), ctx.now_millis());
        let (cluster, rates) = (Arc::clone(&ctx.services().cluster), Arc::clone(&ctx.services().rates));
        let wait = match cluster.take(&key, draw, now).await {
            Some(wait) => {
                if wait == 0 {
                    rates.note(&key, draw, now);
                }
                wait
            }
            None => rates.draw(&key, draw, now),
        };
        ctx.set(self.target, (wait + 999) / 1000);
        if wait > 0 { falsified("the rate is exceeded") } else { HELD }
    }
}
