//! `AttemptLimit`: slows down guessing.

use std::borrow::Cow;
use std::sync::Arc;

use async_trait::async_trait;
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example, sets};
use serde_json::Value as Json;
use smallvec::SmallVec;

use crate::policy::assertion::{AsyncAssertion, Entry, Runnable};
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;
use crate::data::fault::{Blame, Fault, HELD, Verdict, falsified};
use crate::services::cluster::Attempt;
use crate::services::identity::{Attempts, Rule};
use crate::data::value::Value;

static SPEC: Spec = Spec {
    name: "AttemptLimit",
    category: "access",
    summary: "Counts an attempt under a key, and succeeds as long as there are not too many. After `limit` attempts each \
              further one must wait: one second, two, four, up to `max_delay`. Refused attempts do not count and do not prolong \
              the wait. Put account and address into the key, so that nobody can lock out somebody else. Count before you check \
              the attempt, so that parallel attempts get no further than attempts one after the other; release it if it was \
              right. With several keys the attempt counts under all of them, or under none if one has to wait; the longest wait \
              is reported. If strangers share a key, name the `claimant`: an announced wait is then a promise. Attempts count over all \
              gateways that share a Redis server (`cluster` in `gateway.yaml`); otherwise, and while that is away, each gateway \
              counts for itself.",
    props: &[
        Prop::required(
            "key",
            Kind::Value,
            "What to count under: one key, or a list of keys. A JSON object is a key with its own limits: `key`, and those of \
             `limit`, `window`, `max_delay` and `forgive` (in seconds) that differ.",
        ),
        Prop::optional("limit", Kind::Int, Literal::Int(5), "Attempts that need not wait."),
        Prop::optional("window", Kind::Duration, Literal::Seconds(60), "Time without an attempt after which all are forgotten."),
        Prop::optional("max_delay", Kind::Duration, Literal::Seconds(30), "The longest wait."),
        Prop::optional("forgive", Kind::Duration, Literal::Seconds(0), "Time after which one attempt is forgotten, then another \
                                                                        one after the same time; 0 for never."),
        Prop::absent(
            "claimant",
            Kind::Text,
            "Who makes the attempt. If told to wait, a claimant's attempt after that time is accepted, whatever others do under \
             the same keys. `release` with a claimant lets the next attempt pass at once.",
        ),
        Prop::optional(
            "action",
            Kind::OneOf(&["attempt", "check", "release", "success"]),
            Literal::Text("attempt"),
            "`attempt` counts; `check` only reports; `release` takes back the latest attempt, which then costs nothing; \
             `success` forgets the key.",
        ),
        Prop::optional("prefix", Kind::Prefix, Literal::Text("attempt"), "Prefix of the variables it sets."),
    ],
    sets: &[
        sets("{prefix}.retry_after", "whole seconds to wait before the next attempt; 0 after success"),
        sets("{prefix}.count", "after `check`: the attempts that count, under the key with the most"),
    ],
    fails: &["the next attempt has to wait"],
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
        example(
            "under several keys, limited by the strictest",
            r#"AttemptLimit(key: ["flo here", json { "key": "here", "limit": 1 }])
AttemptLimit(key: ["flo here", json { "key": "here", "limit": 1 }])"#,
            Expect::Fails,
        ),
        example(
            "how many there were",
            r#"AttemptLimit(key: "gus")
AttemptLimit(key: "gus")
AttemptLimit(key: "gus", action: "check", prefix: "seen")
set number = ${seen.count}"#,
            Expect::Sets("number", "2"),
        ),
    ],
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let prefix = p.literal("prefix")?;
        Runnable::io(AttemptLimit {
            action: p.choice(
                "action",
                &[
                    ("attempt", Attempt::Count),
                    ("check", Attempt::Look),
                    ("release", Attempt::Release),
                    ("success", Attempt::Success),
                ],
            )?,
            key: p.value("key"),
            limit: p.value("limit"),
            window: p.value("window"),
            max_delay: p.value("max_delay"),
            forgive: p.value("forgive"),
            claimant: p.optional("claimant"),
            retry_after: p.slot(&format!("{prefix}.retry_after")),
            count: p.slot(&format!("{prefix}.count")),
        })
    },
};

struct AttemptLimit {
    action: Attempt,
    key: Expr,
    limit: Expr,
    window: Expr,
    max_delay: Expr,
    forgive: Expr,
    claimant: Option<Expr>,
    retry_after: Option<Slot>,
    count: Option<Slot>,
}

impl AttemptLimit {
    fn rules(&self, keys: &Value, ctx: &Ctx) -> Result<SmallVec<[Rule; 8]>, Fault> {
        let common = [&self.limit, &self.window, &self.max_delay, &self.forgive].map(|expr| expr.eval(ctx).to_decimal());
        let rule = |key: &Value| {
            let number = |common: Option<f64>, name: &str| {
                let own = own(key, name).map(|value| value.as_f64().or_else(|| value.as_str()?.trim().parse().ok()));
                // A limit that cannot be read must neither let everything pass nor look like an exceeded one.
                own.unwrap_or(common).filter(|number| *number >= 0.0).ok_or_else(|| {
                    Fault::new(Blame::Configuration, format!("AttemptLimit: `{name}` must be a number that is not negative"))
                })
            };
            let millis = |common, name| number(common, name).map(|seconds| (seconds * 1000.0) as i64);
            let allowed = Attempts {
                limit: number(common[0], "limit")? as u32,
                window_millis: millis(common[1], "window")?,
                max_delay_millis: millis(common[2], "max_delay")?.max(1),
                forgive_millis: millis(common[3], "forgive")?,
            };
            Ok(Rule::new(&text(key), allowed))
        };
        keys.values().iter().map(rule).collect()
    }
}

/// A member of a key that is a JSON object.
fn own<'a>(key: &'a Value, name: &str) -> Option<&'a Json> {
    let Value::Json(json) = key else { return None };
    Json::get(json, name)
}

/// The keys to count under.
fn text(key: &Value) -> Cow<'_, str> {
    match own(key, "key") {
        Some(Json::String(text)) => Cow::Borrowed(text),
        _ => key.as_text(),
    }
}

#[async_trait]
impl AsyncAssertion for AttemptLimit {
    async fn run(&self, ctx: &mut Ctx) -> Verdict {
        let (limiter, cluster) = (Arc::clone(&ctx.services().attempts), Arc::clone(&ctx.services().cluster));
        let now = ctx.now_millis();
        let values = self.key.eval(ctx);
        let claimant = self.claimant.as_ref().map(|claimant| claimant.to_text(ctx)).filter(|claimant| !claimant.is_empty());
        let claimant = claimant.as_deref();
        let keys: Vec<String> = values.values().iter().map(|key| text(key).into_owned()).collect();
        let counts = matches!(self.action, Attempt::Count | Attempt::Look);
        let rules = if counts { self.rules(&values, ctx)? } else { SmallVec::new() };
        // Nobody who makes no attempt has a claim to one.
        let asked = cluster.attempt(self.action, &keys, &rules, claimant.filter(|_| self.action != Attempt::Look), now).await;
        let texts = keys.iter().map(String::as_str);
        // What is counted elsewhere is noted here too.
        let (wait, count) = match (self.action, asked) {
            (Attempt::Success, _) => {
                limiter.succeeded(texts);
                (0, 0)
            }
            (Attempt::Release, _) => {
                limiter.release(texts, claimant, now);
                (0, 0)
            }
            (Attempt::Look, Some(asked)) => asked,
            (Attempt::Look, None) => limiter.look(&rules, now),
            (Attempt::Count, Some((0, _))) => {
                limiter.note(&rules, claimant, now);
                (0, 0)
            }
            (Attempt::Count, Some((wait, _))) => (wait, 0),
            (Attempt::Count, None) => (limiter.attempt(&rules, claimant, now).err().unwrap_or(0), 0),
        };
        // Rounded up, so that a client that waits as announced is not refused.
        ctx.set_if(self.retry_after, (wait + 999) / 1000);
        ctx.set_if(self.count, i64::from(count));
        if wait == 0 { HELD } else { falsified("too many attempts") }
    }
}
