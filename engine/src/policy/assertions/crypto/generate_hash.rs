//! `GenerateHash`: SHA-1 and SHA-2.

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512};
use portcullis_dsl::ast::Type;
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example, sets};

use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::ctx::{Ctx, Slot};
use crate::data::encoding::Encoding;
use crate::policy::expr::Expr;
use crate::data::fault::{Blame, Fault, HELD, Verdict, falsified};

static SPEC: Spec = Spec {
    name: "GenerateHash",
    category: "crypto",
    summary: "Hashes text or a message's body. Not for passwords, which need a slow hash.",
    props: &[
        Prop::required("source", Kind::Value, "What to hash."),
        Prop::required("target", Kind::Target(Type::String), "Variable that takes the hash."),
        Prop::optional("algorithm", Kind::OneOf(&["SHA-1", "SHA-256", "SHA-384", "SHA-512"]), Literal::Text("SHA-256"), "Which; a literal."),
        Prop::optional("encoding", Kind::OneOf(&["base64", "base64url", "hex"]), Literal::Text("base64"), "How it is written; a literal."),
        Prop::absent("bytes", Kind::Int, "How many bytes of the hash to keep, from the left; a literal. Left out: all."),
    ],
    sets: &[sets("{target}", "the hash")],
    fails: &["the source is undefined"],
    examples: &[
        example(
            "in hexadecimal digits",
            r#"GenerateHash(source: "abc", target: "h", encoding: "hex")"#,
            Expect::Sets("h", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ),
        example(
            "the left half",
            r#"GenerateHash(source: "abc", target: "h", encoding: "base64url", bytes: 16)"#,
            Expect::Sets("h", "ungWv48Bz-pBQUDeXa4iIw"),
        ),
        example("nothing to hash", r#"GenerateHash(source: ${request.http.header.x-missing}, target: "h")"#, Expect::Fails),
    ],
    also: &["Generate Security Hash"],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let algorithms =
            [("SHA-1", &SHA1_FOR_LEGACY_USE_ONLY), ("SHA-256", &SHA256), ("SHA-384", &SHA384), ("SHA-512", &SHA512)];
        let algorithm = p.choice("algorithm", &algorithms)?;
        let keep = if p.has("bytes") { usize::try_from(p.int("bytes")?).unwrap_or(0) } else { algorithm.output_len() };
        if !(1..=algorithm.output_len()).contains(&keep) {
            return Err(p.refuse("bytes", &format!("it must be 1 to {}", algorithm.output_len())));
        }
        let encoding = p.choice("encoding", &[("base64", Encoding::Base64), ("base64url", Encoding::Base64Url), ("hex", Encoding::Hex)])?;
        Runnable::sync(GenerateHash { source: p.value("source"), target: p.target("target")?, algorithm, encoding, keep })
    },
};

struct GenerateHash {
    source: Expr,
    target: Slot,
    algorithm: &'static digest::Algorithm,
    encoding: Encoding,
    keep: usize,
}

impl Assertion for GenerateHash {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let source = self.source.eval(ctx);
        if source.is_undefined() {
            return falsified("the source is undefined");
        }
        let hash = digest::digest(self.algorithm, &super::bytes(&source));
        let kept = hash.as_ref().get(..self.keep);
        let kept = kept.ok_or_else(|| Fault::new(Blame::Internal, "a hash is shorter than its algorithm says"))?;
        ctx.set(self.target, self.encoding.encode(kept));
        HELD
    }
}
