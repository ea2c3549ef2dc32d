//! `RequireTls`: requires an encrypted connection, and perhaps a client certificate.

use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example};

use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::ctx::Ctx;
use crate::data::fault::{HELD, Verdict, falsified};
use crate::data::principal::Credential;

static SPEC: Spec = Spec {
    name: "RequireTls",
    category: "access",
    summary: "Succeeds for a request that came over TLS. A client certificate, if requested here, becomes a credential for \
              `Authenticate`.",
    props: &[Prop::optional(
        "client_certificate",
        Kind::OneOf(&["none", "optional", "required"]),
        Literal::Text("none"),
        "Whether the client's certificate is taken as a credential, and whether there must be one. Its validity period is \
         checked here; `Authenticate` decides whether to trust it.",
    )],
    sets: &[],
    fails: &[
        "the request came over plain HTTP",
        "the client showed no certificate although one is required, or one that is not valid now",
    ],
    examples: &[example("a request over plain HTTP", "RequireTls()", Expect::Fails)],
    also: &["Require SSL or TLS Transport", "Require SSL", "Require SSL or TLS Transport with Client Authentication", "SSL or TLS Transport"],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let (take, require) =
            p.choice("client_certificate", &[("none", (false, false)), ("optional", (true, false)), ("required", (true, true))])?;
        Runnable::sync(RequireTls { take, require })
    },
};

struct RequireTls {
    take: bool,
    require: bool,
}

impl Assertion for RequireTls {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        if !ctx.request.secure {
            return falsified("the request came over plain HTTP");
        }
        if !self.take {
            return HELD;
        }
        let Some(certificate) = ctx.request.client_certificate.clone() else {
            return if self.require { falsified("the client showed no certificate") } else { HELD };
        };
        let now = ctx.now_millis();
        if now < certificate.not_before || now > certificate.not_after {
            return falsified("the client's certificate is not valid now");
        }
        let known = |known: &Credential| matches!(known, Credential::Certificate(known) if known.der() == certificate.der());
        if !ctx.credentials.iter().any(known) {
            ctx.credentials.push(Credential::Certificate(certificate));
        }
        HELD
    }
}
