//! `Authenticate`: asks an identity provider whose credentials these are.

use std::sync::Arc;

use async_trait::async_trait;
use portcullis_dsl::spec::{Expect, Kind, Prop, Spec, example};

use crate::assertion::{AsyncAssertion, Entry, Runnable};
use crate::ctx::Ctx;
use crate::expr::Expr;
use crate::fault::{HELD, Verdict, falsified};
use crate::principal::{Credential, Secret};

static SPEC: Spec = Spec {
    name: "Authenticate",
    category: "access",
    summary: "Holds when an identity provider knows the credentials, which sets `${request.authenticatedUser}` and its `.id` and \
              `.providerId`. That the provider cannot be asked is a fault and no failure.",
    props: &[
        Prop::required("provider", Kind::Name, "Identity provider in `gateway.yaml`; may be an expression."),
        Prop::absent(
            "username",
            Kind::Text,
            "Name. Left out, the credentials count that `HttpBasic` and `RequireTls` gathered, the latest first.",
        ),
        Prop::absent("password", Kind::Text, "Password, with `username`."),
    ],
    sets: &[],
    fails: &["the provider does not know the credentials, or there are none"],
    block: false,
    examples: &[
        example(
            "name and password",
            r#"Authenticate(provider: "Example", username: "ann", password: "correct horse")
set who = "${request.authenticatedUser} of ${request.authenticatedUser.providerId}""#,
            Expect::Sets("who", "ann of Example"),
        ),
        example(
            "what was gathered",
            r#"AddHeader(target: "request", name: "Authorization", value: "Basic YW5uOmNvcnJlY3QgaG9yc2U=")
HttpBasic()
Authenticate(provider: "Example")"#,
            Expect::Holds,
        ),
        example("a wrong password", r#"Authenticate(provider: "Example", username: "ann", password: "guess")"#, Expect::Fails),
        example("no credentials", r#"Authenticate(provider: "Example")"#, Expect::Fails),
    ],
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        if p.has("password") && !p.has("username") {
            return Err(p.refuse("password", "it goes with `username`"));
        }
        Runnable::io(Authenticate { provider: p.value("provider"), username: p.optional("username"), password: p.value("password") })
    },
};

struct Authenticate {
    provider: Expr,
    username: Option<Expr>,
    password: Expr,
}

#[async_trait]
impl AsyncAssertion for Authenticate {
    async fn run(&self, ctx: &mut Ctx) -> Verdict {
        let provider = Arc::clone(ctx.gateway().identity.get(&self.provider.text(ctx))?);
        let credentials: Vec<Credential> = match &self.username {
            Some(username) => {
                let password = Secret::new(self.password.to_text(ctx));
                vec![Credential::Password { user: username.to_text(ctx), password }]
            }
            None => ctx.credentials.iter().rev().cloned().collect(),
        };
        let now = ctx.now_millis();
        for credential in &credentials {
            if let Some(user) = provider.authenticate(credential, now).await? {
                ctx.users.push(user);
                return HELD;
            }
        }
        falsified(if credentials.is_empty() { "there are no credentials" } else { "the provider does not know the credentials" })
    }
}
