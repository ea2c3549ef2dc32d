//! `RequireTls`: transport security.

use portcullis_dsl::spec::{Expect, Kind, Prop, Spec, example};

use crate::assertion::{Assertion, Entry, Runnable};
use crate::ctx::Ctx;
use crate::fault::{HELD, Verdict, falsified};
use crate::principal::Credential;

static SPEC: Spec = Spec {
    name: "RequireTls",
    category: "access",
    summary: "Holds when the request came over TLS. With a client certificate asked for, the certificate becomes a credential; whether \
              it is trusted is the business of `Authenticate`.",
    props: &[Prop::optional(
        "client_certificate",
        Kind::OneOf(&["none", "optional", "required"]),
        "\"none\"",
        "Whether the client must have presented a certificate and proven that it has its key.",
    )],
    sets: &[],
    fails: &["the request came over plain HTTP", "there is no client certificate, and one is required"],
    block: false,
    examples: &[example("plain HTTP is refused", "RequireTls()", Expect::Fails)],
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let word = p.one_of("client_certificate")?;
        Runnable::sync(RequireTls { asked: word != "none", required: word == "required" })
    },
};

struct RequireTls {
    asked: bool,
    required: bool,
}

impl Assertion for RequireTls {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        if !ctx.request.secure {
            return falsified("the request came over plain HTTP");
        }
        match &ctx.request.client_certificate {
            Some(certificate) if self.asked => ctx.credentials.push(Credential::Certificate(certificate.clone())),
            None if self.required => return falsified("there is no client certificate"),
            _ => {}
        }
        HELD
    }
}
