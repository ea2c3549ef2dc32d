//! `CreateJwk`: the gateway's public keys, for others.

use portcullis_dsl::ast::Type;
use portcullis_dsl::spec::{Expect, Kind, Prop, Spec, example, sets};

use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict};
use crate::data::value::Value;

static SPEC: Spec = Spec {
    name: "CreateJwk",
    category: "crypto",
    summary: "Makes the JWK set (RFC 7517) of the public halves of the gateway's keys, including former ones, so that what they \
              signed still verifies. Private halves never leave the key store. An unknown alias is a fault of the \
              configuration.",
    props: &[
        Prop::required("aliases", Kind::Value, "Aliases of the keys: one, or a list."),
        Prop::required("target", Kind::Target(Type::Json), "Variable that takes the document `{ \"keys\": […] }`."),
    ],
    sets: &[sets("{target}", "the JWK set")],
    fails: &[],
    examples: &[example(
        "two keys",
        "CreateJwk(aliases: [\"rsa\", \"ec\"], target: \"jwks\")\nset kinds = json_get(${jwks}, \"$.keys[*].kty\")\nset kinds = \
            \"${kinds|+}\"",
        Expect::Sets("kinds", "RSA+EC"),
    )],
    also: &["Create Json Web Key"],
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| Runnable::sync(CreateJwk { aliases: p.value("aliases"), target: p.target("target")? }),
};

struct CreateJwk {
    aliases: Expr,
    target: Slot,
}

impl Assertion for CreateJwk {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let aliases = self.aliases.eval(ctx);
        let mut keys = Vec::new();
        for alias in aliases.values() {
            let alias = alias.as_text();
            let own = ctx.services().keys.all(&alias);
            if own.is_empty() {
                return Err(ctx.misconfigured(format!("there is no private key `{alias}`")));
            }
            keys.extend(own.iter().map(|key| key.jwk()));
        }
        ctx.set(self.target, Value::json(serde_json::json!({ "keys": keys })));
        HELD
    }
}
