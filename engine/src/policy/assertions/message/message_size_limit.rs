//! `MessageSizeLimit`: refuses bodies that are too long.

use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example};

use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::ctx::{Ctx, MessageRef};
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict, falsified};

static SPEC: Spec = Spec {
    name: "MessageSizeLimit",
    category: "message",
    summary: "Succeeds if a message's body is no longer than allowed. The gateway's own limit in `gateway.yaml` applies before \
              that.",
    props: &[
        Prop::optional("target", Kind::MessageName, Literal::Text("request"), "The message: `request`, `response` or a variable."),
        Prop::required("bytes", Kind::Int, "Greatest size of the body in bytes."),
    ],
    sets: &[],
    fails: &["the body is longer", "the variable contains no message, or `bytes` is not a number"],
    examples: &[
        example("short enough", "set m = \"12345\"\nMessageSizeLimit(target: \"m\", bytes: 5)", Expect::Holds),
        example("too long", "set m = \"123456\"\nMessageSizeLimit(target: \"m\", bytes: 5)", Expect::Fails),
    ],
    also: &["Limit Message Size"],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry =
    Entry { spec: &SPEC, build: |p| Runnable::sync(MessageSizeLimit { target: p.message("target")?, bytes: p.value("bytes") }) };

struct MessageSizeLimit {
    target: MessageRef,
    bytes: Expr,
}

impl Assertion for MessageSizeLimit {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let Some(most) = self.bytes.eval(ctx).to_int().and_then(|bytes| usize::try_from(bytes).ok()) else {
            return falsified("`bytes` is not a number");
        };
        match ctx.message(self.target) {
            Some(message) if message.body.len() <= most => HELD,
            Some(_) => falsified("the body is too long"),
            None => falsified("the variable holds no message"),
        }
    }
}
