//! `AttemptLimit`: slows down guessing.

use portcullis_dsl::spec::{Expect, Kind, Prop, Spec, example, sets};

use crate::assertion::{Assertion, Entry, Runnable};
use crate::assertions::data::millis;
use crate::ctx::{Ctx, Slot};
use crate::expr::Expr;
use crate::fault::{HELD, Verdict, falsified};
use crate::identity::Attempts;

static SPEC: Spec = Spec {
    name: "AttemptLimit",
    category: "access",
    summary: "Counts an attempt under a key and holds while there are not too many: after `limit` of them each further one must wait, \
              one second, two, four, up to `max_delay`. Refused attempts count for nothing, so they prolong nothing. Put account and \
              address into the key, so that nobody can lock out somebody else, and count before finding out whether the attempt \
              is right: of many at the same time no more pass than one after the other. Give it back when it was.",
    props: &[
        Prop::required("key", Kind::Text, "What is counted under."),
        Prop::optional("limit", Kind::Int, "5", "Attempts that need not wait."),
        Prop::optional("window", Kind::Duration, "60s", "Time without an attempt after which all are forgotten."),
        Prop::optional("max_delay", Kind::Duration, "30s", "The longest wait."),
        Prop::optional(
            "action",
            Kind::OneOf(&["attempt", "check", "release", "success"]),
            "\"attempt\"",
            "`attempt` counts; `check` only tells; `release` gives the latest attempt back, which then costs nothing; `success` \
             forgets the key.",
        ),
        Prop::optional("prefix", Kind::Prefix, "\"attempt\"", "Prefix of the variable it sets."),
    ],
    sets: &[sets("{prefix}.retry_after", "whole seconds to wait before the next attempt; 0 when it held")],
    fails: &["the next attempt has to wait"],
    block: false,
    examples: &[
        example(
            "the second has to wait",
            r#"AttemptLimit(key: "ann", limit: 1)
AttemptLimit(key: "ann", limit: 1)"#,
            Expect::Fails,
        ),
        example(
            "how long",
            r#"AttemptLimit(key: "bob", limit: 1)
AttemptLimit(key: "bob", limit: 1, action: "check") else { set wait = ${attempt.retry_after} }"#,
            Expect::Sets("wait", "1"),
        ),
        example(
            "given back",
            r#"AttemptLimit(key: "dan", limit: 1)
AttemptLimit(key: "dan", action: "release")
AttemptLimit(key: "dan", limit: 1)"#,
            Expect::Holds,
        ),
        example(
            "forgotten after a success",
            r#"AttemptLimit(key: "eve", limit: 1)
AttemptLimit(key: "eve", action: "success")
AttemptLimit(key: "eve", limit: 1)"#,
            Expect::Holds,
        ),
    ],
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let prefix = p.literal("prefix")?;
        Runnable::sync(AttemptLimit {
            action: p.one_of("action")?,
            key: p.value("key"),
            limit: p.value("limit"),
            window: p.value("window"),
            max_delay: p.value("max_delay"),
            retry_after: p.slot(&format!("{prefix}.retry_after")),
        })
    },
};

struct AttemptLimit {
    action: &'static str,
    key: Expr,
    limit: Expr,
    window: Expr,
    max_delay: Expr,
    retry_after: Option<Slot>,
}

impl Assertion for AttemptLimit {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let limiter = &ctx.gateway().attempts;
        let key = self.key.text(ctx);
        let allowed = Attempts {
            limit: self.limit.eval(ctx).to_int().map_or(5, |limit| u32::try_from(limit.max(0)).unwrap_or(u32::MAX)),
            window_millis: millis(&self.window, ctx).unwrap_or(60_000),
            max_delay_millis: millis(&self.max_delay, ctx).unwrap_or(30_000).max(1),
        };
        let now = ctx.now_millis();
        let wait = match self.action {
            "success" => {
                limiter.succeeded(&key);
                0
            }
            "release" => {
                limiter.release(&key);
                0
            }
            "check" => limiter.wait(&key, allowed, now),
            _ => limiter.attempt(&key, allowed, now).err().unwrap_or(0),
        };
        drop(key);
        // Rounded up: a client that waits as long as told must not be refused.
        ctx.set_if(self.retry_after, (wait + 999) / 1000);
        if wait == 0 { HELD } else { falsified("too many attempts") }
    }
}
