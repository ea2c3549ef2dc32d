//! `GenerateHash`: SHA-1 and SHA-2, and MD5 for protocols that are as old.

use std::sync::Arc;

use aws_lc_rs::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256, SHA384, SHA512};
use portcullis_dsl::ast::Type;
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example, sets};
use smol_str::SmolStr;

use crate::policy::assertion::{Assertion, Entry, Places, Runnable};
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
        Prop::optional("algorithm", Kind::OneOf(&["SHA-1", "SHA-256", "SHA-384", "SHA-512", "MD5"]), Literal::Text("SHA-256"), "Which; a literal. `MD5` is only for \
            old protocols that ask for it, such as `Content-MD5`: anybody can make two texts with the same one. Never use it for secrets or \
            signatures, or to tell whether something was changed."),
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
        example(
            "a field of an old protocol",
            r#"GenerateHash(source: "Check Integrity!", target: "md5", algorithm: "MD5")"#,
            Expect::Sets("md5", "nwqq6b6ua/tTDk7B5M184w=="),
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
        let algorithms = [
            ("SHA-1", Algorithm::Sha(&SHA1_FOR_LEGACY_USE_ONLY)),
            ("SHA-256", Algorithm::Sha(&SHA256)),
            ("SHA-384", Algorithm::Sha(&SHA384)),
            ("SHA-512", Algorithm::Sha(&SHA512)),
            ("MD5", Algorithm::Md5),
        ];
        let algorithm = p.choice("algorithm", &algorithms)?;
        let keep = if p.has("bytes") { usize::try_from(p.int("bytes")?).unwrap_or(0) } else { algorithm.output_len() };
        if !(1..=algorithm.output_len()).contains(&keep) {
            return Err(p.refuse("bytes", &format!("it must be 1 to {}", algorithm.output_len())));
        }
        let encoding = p.choice("encoding", &[("base64", Encoding::Base64), ("base64url", Encoding::Base64Url), ("hex", Encoding::Hex)])?;
        Runnable::sync(GenerateHash { source: p.value("source"), target: p.target("target")?, algorithm, encoding, keep })
    },
};

#[derive(Clone, Copy)]
enum Algorithm {
    Sha(&'static digest::Algorithm),
    Md5,
}

impl Algorithm {
    fn output_len(self) -> usize {
        match self {
            Algorithm::Sha(algorithm) => algorithm.output_len(),
            Algorithm::Md5 => 16,
        }
    }

    /// The text form of as many bytes of the hash; `None` if it has fewer.
    fn hash(self, bytes: &[u8], keep: usize, encoding: Encoding) -> Option<SmolStr> {
        let written = |hash: &[u8]| hash.get(..keep).map(|kept| encoding.encode(kept));
        match self {
            Algorithm::Sha(algorithm) => written(digest::digest(algorithm, bytes).as_ref()),
            Algorithm::Md5 => written(&<md5::Md5 as md5::Digest>::digest(bytes)),
        }
    }
}

struct GenerateHash {
    source: Expr,
    target: Slot,
    algorithm: Algorithm,
    encoding: Encoding,
    keep: usize,
}

impl Assertion for GenerateHash {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let source = self.source.eval(ctx);
        if source.is_undefined() {
            return falsified("the source is undefined");
        }
        let hash = self.algorithm.hash(&super::bytes(&source), self.keep, self.encoding);
        ctx.set(self.target, hash.ok_or_else(|| Fault::new(Blame::Internal, "a hash is shorter than its algorithm says"))?);
        HELD
    }

    fn placed(&self, places: &dyn Places) -> Option<Arc<dyn Assertion>> {
        Some(Arc::new(GenerateHash { source: places.expr(&self.source), target: places.target(self.target), ..*self }))
    }
}
