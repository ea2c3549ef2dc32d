//! `Authenticate`: asks an identity provider whose credentials these are.

use async_trait::async_trait;
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example, sets};

use crate::policy::assertion::{AsyncAssertion, Entry, Runnable};
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict, falsified};
use crate::services::identity::{Answer, Inquiry};
use crate::data::principal::{Credential, Secret};
use crate::services::telemetry::Login;

static SPEC: Spec = Spec {
    name: "Authenticate",
    category: "access",
    summary: "Succeeds if an identity provider knows the credentials, and sets `${request.authenticatedUser}` and its `.id` and \
              `.providerId`. If the provider cannot be asked, that is a fault and not a failure.",
    props: &[
        Prop::required("provider", Kind::Provider, "Identity provider in `gateway.yaml`; may be an expression."),
        Prop::absent(
            "username",
            Kind::Text,
            "Name. Left out: the credentials that `HttpBasic` and `RequireTls` gathered, the latest first.",
        ),
        Prop::absent("password", Kind::Text, "Password, with `username`."),
        Prop::absent(
            "address",
            Kind::Text,
            "IP address of the user, for taking turns when many passwords wait to be checked. Left out: the peer's.",
        ),
        Prop::optional("prefix", Kind::Prefix, Literal::Text("authenticate"), "Prefix of the variable it sets."),
    ],
    sets: &[sets(
        "{prefix}.retry_after",
        "whole seconds to wait before asking again, if too many passwords from the caller's address wait already; otherwise 0",
    )],
    fails: &[
        "the provider does not know the credentials, or there are none",
        "too many passwords from the caller's address wait to be checked, so this one was not",
    ],
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
        example(
            "not because there was no time to check",
            r#"Authenticate(provider: "Example", username: "ann", password: "guess") else Continue
set wait = ${authenticate.retry_after}"#,
            Expect::Sets("wait", "0"),
        ),
        example("no credentials", r#"Authenticate(provider: "Example")"#, Expect::Fails),
    ],
    also: &["Authenticate User or Group", "Authenticate Against Identity Provider", "Authenticate against Internal Identity Provider"],
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        if p.has("password") && !p.has("username") {
            return Err(p.refuse("password", "it goes with `username`"));
        }
        let prefix = p.literal("prefix")?;
        Runnable::io(Authenticate {
            provider: p.value("provider"),
            username: p.optional("username"),
            password: p.value("password"),
            address: p.optional("address"),
            retry_after: p.slot(&format!("{prefix}.retry_after")),
        })
    },
};

struct Authenticate {
    provider: Expr,
    username: Option<Expr>,
    password: Expr,
    address: Option<Expr>,
    retry_after: Option<Slot>,
}

/// Seconds after which a caller who found no place may ask again. Places become free within milliseconds, but each of a thousand
/// parallel callers would find them taken by the others.
const RETRY_AFTER: i64 = 1;

#[async_trait]
impl AsyncAssertion for Authenticate {
    async fn run(&self, ctx: &mut Ctx) -> Verdict {
        let name = self.provider.to_text(ctx);
        let provider = ctx.services().identity.get(&name)?;
        let credentials: Vec<Credential> = match &self.username {
            Some(username) => {
                let password = Secret::new(self.password.to_text(ctx));
                vec![Credential::Password { user: username.to_text(ctx), password }]
            }
            None => ctx.credentials.iter().rev().cloned().collect(),
        };
        ctx.set_if(self.retry_after, 0);
        let address = self.address.as_ref().and_then(|address| address.to_text(ctx).trim().parse().ok());
        let inquiry = Inquiry { now_millis: ctx.now_millis(), caller: address.unwrap_or(ctx.request.remote.ip()) };
        for credential in &credentials {
            let answer = provider.authenticate(credential, &inquiry).await;
            ctx.services().metrics.login(&name, match &answer {
                Ok(Answer::User(_)) => Login::Succeeded,
                Ok(Answer::Nobody) => Login::Failed,
                Ok(Answer::Busy) => Login::Busy,
                Err(_) => Login::Broken,
            });
            match answer? {
                Answer::User(user) => {
                    ctx.users.push(user);
                    return HELD;
                }
                Answer::Nobody => {}
                Answer::Busy => {
                    ctx.set_if(self.retry_after, RETRY_AFTER);
                    return falsified("too many passwords from this address wait to be checked");
                }
            }
        }
        falsified(if credentials.is_empty() { "there are no credentials" } else { "the provider does not know the credentials" })
    }
}
