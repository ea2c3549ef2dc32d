//! `LookupCertificate`: finds a certificate of this gateway or one that it trusts.

use std::sync::Arc;

use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example, sets};

use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::data::certificate::Certificate;
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict, falsified};
use crate::data::value::Value;

static SPEC: Spec = Spec {
    name: "LookupCertificate",
    category: "access",
    summary: "Finds certificates: by `alias` that of a private key of this gateway, by the other properties those in \
              `keys/trusted/` and the gateway's own authority. All given properties must match.",
    props: &[
        Prop::absent("name", Kind::Text, "Name of a file in `keys/trusted/`, without its ending."),
        Prop::absent("alias", Kind::Text, "Alias of the private key."),
        Prop::absent("subject", Kind::Text, "Subject, as `${certificate.subject}` prints it."),
        Prop::absent("issuer", Kind::Text, "Issuer, likewise."),
        Prop::absent("serial", Kind::Text, "Serial number, decimal."),
        Prop::absent("thumbprint_sha1", Kind::Text, "Base64 of the SHA-1 of the certificate."),
        Prop::absent("thumbprint_sha256", Kind::Text, "Base64url of its SHA-256 (`x5t#S256`)."),
        Prop::absent("subject_key_identifier", Kind::Text, "Base64 of its subject key identifier."),
        Prop::optional("prefix", Kind::Prefix, Literal::Text("certificate"), "Prefix of the variables it sets."),
    ],
    sets: &[
        sets("{prefix}.certificate", "the certificate, the first if several match"),
        sets("{prefix}.pem", "it in PEM form"),
        sets("{prefix}.subject", "its subject"),
        sets("{prefix}.chain", "list of it and its issuers, in PEM form; only an alias gives more than one"),
        sets("{prefix}.count", "how many fit"),
    ],
    fails: &["no certificate fits"],
    examples: &[
        example(
            "of a key",
            r#"LookupCertificate(alias: "ec", prefix: "own")
set found = "${own.count} ${own.subject} ${own.certificate} ${own.pem} ${own.chain}"
${found} contains "CN=ec""#,
            Expect::Holds,
        ),
        example("no such file", r#"LookupCertificate(name: "partner")"#, Expect::Fails),
        example(
            "what was found before is forgotten",
            r#"LookupCertificate(alias: "ec", prefix: "own")
LookupCertificate(subject: "CN=nobody", prefix: "own") else Continue
set found = "${own.certificate}${own.pem}${own.subject}${own.chain}""#,
            Expect::Sets("found", ""),
        ),
        example("of nobody", r#"LookupCertificate(subject: "CN=nobody")"#, Expect::Fails),
    ],
    also: &["Look Up Certificate", "Look Up Trusted Certificate"],
    ..Spec::PLAIN
};

/// Properties by which a certificate may be found, and how each is read from one.
type Tell = fn(&Certificate) -> Option<&str>;

const BY: [(&str, Tell); 6] = [
    ("subject", |certificate| Some(&certificate.subject)),
    ("issuer", |certificate| Some(&certificate.issuer)),
    ("serial", |certificate| Some(&certificate.serial)),
    ("thumbprint_sha1", |certificate| Some(&certificate.thumbprint_sha1)),
    ("thumbprint_sha256", |certificate| Some(&certificate.thumbprint_sha256)),
    ("subject_key_identifier", |certificate| certificate.subject_key_identifier.as_deref()),
];

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        if !p.has("alias") && !p.has("name") && !BY.iter().any(|(name, _)| p.has(name)) {
            let names = BY.map(|(name, _)| name).join("`, `");
            return Err(p.refuse("alias", &format!("say which certificate, by one or more of `alias`, `name`, `{names}`")));
        }
        let prefix = p.literal("prefix")?;
        let slot = |p: &mut crate::policy::assertion::Build<'_>, name: &str| p.slot(&format!("{prefix}.{name}"));
        Runnable::sync(LookupCertificate {
            certificate: slot(p, "certificate"),
            pem: slot(p, "pem"),
            subject: slot(p, "subject"),
            chain: slot(p, "chain"),
            count: slot(p, "count"),
            alias: p.optional("alias"),
            name: p.optional("name"),
            by: BY.iter().filter_map(|(name, tell)| Some((*tell, p.optional(name)?))).collect(),
        })
    },
};

struct LookupCertificate {
    alias: Option<Expr>,
    name: Option<Expr>,
    by: Vec<(Tell, Expr)>,
    certificate: Option<Slot>,
    pem: Option<Slot>,
    subject: Option<Slot>,
    chain: Option<Slot>,
    count: Option<Slot>,
}

impl Assertion for LookupCertificate {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let keys = &ctx.services().keys;
        let mut chain = Vec::new();
        let candidates: Vec<Arc<Certificate>> = match &self.alias {
            Some(alias) => match keys.key(&alias.text(ctx)) {
                Some(key) => {
                    chain = key.chain.iter().filter_map(|der| Certificate::from_der(der).ok()).collect();
                    key.certificate.clone().into_iter().collect()
                }
                None => Vec::new(),
            },
            None => keys.trusted().into_iter().chain(keys.authority()).collect(),
        };
        let named = self.name.as_ref().map(|name| keys.anchors_named(&[name.to_text(ctx)]).unwrap_or_default());
        let candidates: Vec<Arc<Certificate>> = match named {
            Some(named) => candidates.into_iter().filter(|own| named.iter().any(|named| named.der() == own.der())).collect(),
            None => candidates,
        };
        let fits = |certificate: &Arc<Certificate>| {
            self.by.iter().all(|(tell, wanted)| tell(certificate) == Some(&*wanted.text(ctx)))
        };
        let found: Vec<Arc<Certificate>> = candidates.into_iter().filter(fits).collect();
        ctx.set_if(self.count, found.len() as i64);
        // What was found before must not pass for what is found now.
        for slot in [self.certificate, self.pem, self.subject, self.chain] {
            ctx.set_if(slot, Value::Undefined);
        }
        let Some(first) = found.into_iter().next() else {
            return falsified("no such certificate");
        };
        let mut pems: Vec<Value> = chain.iter().map(|certificate| Value::from(certificate.pem())).collect();
        if pems.is_empty() {
            pems.push(Value::from(first.pem()));
        }
        ctx.set_if(self.chain, Value::list(pems));
        ctx.set_if(self.pem, first.pem());
        ctx.set_if(self.subject, first.subject.as_str());
        ctx.set_if(self.certificate, Value::Certificate(first));
        HELD
    }
}
