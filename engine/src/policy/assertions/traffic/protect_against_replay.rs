//! `ProtectAgainstReplay`: a message counts once.

use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::digest::{SHA256, digest};
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example};

use crate::data::fault::{Blame, Fault, HELD, Verdict, falsified};
use crate::policy::assertion::{AsyncAssertion, Entry, Runnable};
use crate::policy::ctx::Ctx;
use crate::policy::expr::Expr;
use crate::services::rates::Draw;

static SPEC: Spec = Spec {
    name: "ProtectAgainstReplay",
    category: "traffic",
    summary: "Succeeds for the first message with an identifier, and for no other one until that has expired. Of many at the same time, one \
              succeeds. It counts over all gateways that share a Redis server (`cluster` in `gateway.yaml`); otherwise, and while that is \
              away, each gateway counts for itself and remembers 131072 messages, the latest ones. Check first that the message is \
              genuine: otherwise a stranger can use up its identifier.",
    props: &[
        Prop::required("id", Kind::Text, "The identifier of the message: a `jti`, a nonce, a signature."),
        Prop::optional(
            "expiry",
            Kind::Duration,
            Literal::Seconds(300),
            "How long the identifier is remembered: at least as long as the message would be accepted.",
        ),
        Prop::optional(
            "scope",
            Kind::Text,
            Literal::Text(""),
            "Whose identifiers these are, such as an issuer. The same identifier in another scope is another message.",
        ),
    ],
    sets: &[],
    fails: &["a message with this identifier was seen", "the identifier is empty"],
    examples: &[
        example("the first time", r#"ProtectAgainstReplay(id: "first", expiry: 10m)"#, Expect::Holds),
        example(
            "the second time",
            "ProtectAgainstReplay(id: \"twice\", expiry: 10m)\nProtectAgainstReplay(id: \"twice\", expiry: 10m)",
            Expect::Fails,
        ),
        example(
            "in another scope",
            "ProtectAgainstReplay(id: \"same\", scope: \"a\")\nProtectAgainstReplay(id: \"same\", scope: \"b\")",
            Expect::Holds,
        ),
        example("no identifier", r#"ProtectAgainstReplay(id: ${request.http.header.x-missing})"#, Expect::Fails),
    ],
    also: &["Protect Against Message Replay", "WSS Replay Protection"],
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        Runnable::io(ProtectAgainstReplay { id: p.value("id"), expiry: p.value("expiry"), scope: p.value("scope") })
    },
};

struct ProtectAgainstReplay {
    id: Expr,
    expiry: Expr,
    scope: Expr,
}

#[async_trait]
impl AsyncAssertion for ProtectAgainstReplay {
    async fn run(&self, ctx: &mut Ctx) -> Verdict {
        let (id, scope) = (self.id.to_text(ctx), self.scope.to_text(ctx));
        if id.is_empty() {
            return falsified("the identifier is empty");
        }
        let Some(expiry) = super::super::data::millis(&self.expiry, ctx).filter(|expiry| *expiry > 0) else {
            return Err(Fault::new(Blame::Configuration, "ProtectAgainstReplay: `expiry` must be greater than zero"));
        };
        // As short as a digest, however long the identifier is. The length tells where the scope ends.
        let key = digest(&SHA256, format!("{} {scope} {id}", scope.len()).as_bytes());
        let key = format!("replay {}", hex::encode(key));
        // A bucket that holds one token, and is full again when the identifier has expired.
        let (draw, now) = (Draw::new(1, expiry, 1, 1), ctx.now_millis());
        let (cluster, seen) = (Arc::clone(&ctx.services().cluster), Arc::clone(&ctx.services().seen));
        let wait = match cluster.take(&key, draw, now).await {
            Some(0) => {
                seen.note(&key, draw, now);
                0
            }
            Some(wait) => wait,
            None => seen.draw(&key, draw, now),
        };
        if wait > 0 { falsified("a message with this identifier was seen") } else { HELD }
    }
}
