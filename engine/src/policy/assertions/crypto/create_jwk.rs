//! `CreateJwk`: the gateway's public keys, for others.

use portcullis_dsl::ast::Type;
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example, sets};

use serde_json::Value as Json;

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
        Prop::absent("kid", Kind::Text, "Identifier of the current key of the first alias, in place of its thumbprint; empty: the thumbprint."),
        Prop::optional("certificates", Kind::Bool, Literal::Bool(true), "Whether the certificates of the keys are included (`x5c`). A literal."),
        Prop::required("target", Kind::Target(Type::Json), "Variable that takes the document `{ \"keys\": […] }`."),
    ],
    sets: &[sets("{target}", "the JWK set")],
    fails: &[],
    examples: &[example(
        "two keys",
        "CreateJwk(aliases: [\"rsa\", \"ec\"], target: \"jwks\")\nset kinds = json_get(${jwks}, \"$.keys[*].kty\")\nset kinds = \
            \"${kinds|+}\"",
        Expect::Sets("kinds", "RSA+EC"),
    ),
    example(
        "a name in place of the thumbprint, no certificates",
        "CreateJwk(aliases: \"ec\", kid: \"mine\", certificates: false, target: \"jwks\")\nset first = json_get(${jwks}, \"$.keys[0]\")\n\
            set names = json_keys(${first})\nset got = \"${jwks.keys[0].kid} ${names|,}\"",
        Expect::Sets("got", "mine crv,kty,x,y,kid,use"),
    )],
    also: &["Create Json Web Key"],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| Runnable::sync(CreateJwk {
        aliases: p.value("aliases"),
        kid: p.optional("kid"),
        certificates: p.flag("certificates")?,
        target: p.target("target")?,
    }),
};

struct CreateJwk {
    aliases: Expr,
    kid: Option<Expr>,
    certificates: bool,
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
            keys.extend(own.iter().map(|key| if self.certificates { key.jwk_with_certificate() } else { key.jwk() }));
        }
        let kid = self.kid.as_ref().map(|kid| kid.to_text(ctx)).unwrap_or_default();
        if !kid.is_empty()
            && let Some(first) = keys.first_mut().and_then(Json::as_object_mut)
        {
            first.insert("kid".to_owned(), Json::from(kid.as_str()));
        }
        ctx.set(self.target, Value::json(serde_json::json!({ "keys": keys })));
        HELD
    }
}
