//! `TakeTurn`: one at a time.

use async_trait::async_trait;
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example};

use crate::policy::assertion::{AsyncAssertion, Entry, Runnable};
use crate::policy::ctx::Ctx;
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict, falsified};
use crate::services::turns::KeyedTurn;

static SPEC: Spec = Spec {
    name: "TakeTurn",
    category: "traffic",
    summary: "Waits until no other request has its turn under the same key. The turn lasts until the request is answered, or \
              until `end`. It applies to this gateway only: to protect data in a database, `lock` a `Transaction`.",
    props: &[
        Prop::required("key", Kind::Text, "What only one request at a time may work on."),
        Prop::optional("waiting", Kind::Int, Literal::Int(16), "How many others may wait for it."),
        Prop::optional("action", Kind::OneOf(&["take", "end"]), Literal::Text("take"), "`take` the turn, or `end` it; a \
                                                                                        literal."),
    ],
    sets: &[],
    fails: &["too many wait already", "the key is empty"],
    examples: &[
        example("taken, and ended", "TakeTurn(key: \"a\")\nTakeTurn(key: \"a\", action: \"end\")\nTakeTurn(key: \"a\")", Expect::Holds),
        example("no key, which all requests would share", "TakeTurn(key: \"\")", Expect::Fails),
        example("a request does not wait for itself", "TakeTurn(key: \"b\")\nTakeTurn(key: \"b\")", Expect::Holds),
    ],
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let (key, waiting) = (p.value("key"), p.value("waiting"));
        if p.choice("action", &[("take", false), ("end", true)])? { Runnable::sync(EndTurn { key }) } else { Runnable::io(TakeTurn { key, waiting }) }
    },
};

struct TakeTurn {
    key: Expr,
    waiting: Expr,
}

#[async_trait]
impl AsyncAssertion for TakeTurn {
    async fn run(&self, ctx: &mut Ctx) -> Verdict {
        let key = self.key.to_text(ctx);
        if ctx.turns.iter().any(|turn| turn.key() == key) {
            return HELD;
        }
        if key.is_empty() {
            return falsified("the key is empty");
        }
        let waiting = self.waiting.eval(ctx).to_int().and_then(|waiting| usize::try_from(waiting).ok()).unwrap_or(0);
        let turns = std::sync::Arc::clone(&ctx.services().turns);
        match turns.enter(&key, waiting).await {
            Some(turn) => {
                ctx.turns.push(turn);
                HELD
            }
            None => falsified("too many wait already"),
        }
    }
}

struct EndTurn {
    key: Expr,
}

impl crate::policy::assertion::Assertion for EndTurn {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let key = self.key.to_text(ctx);
        ctx.turns.retain(|turn: &KeyedTurn| turn.key() != key);
        HELD
    }
}
