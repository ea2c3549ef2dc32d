//! `GenerateHmac`: keyed hashes (RFC 2104).

use aws_lc_rs::hmac::{self, HMAC_SHA1_FOR_LEGACY_USE_ONLY, HMAC_SHA256, HMAC_SHA384, HMAC_SHA512};
use portcullis_dsl::ast::Type;
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example, sets};

use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::ctx::{Ctx, Slot};
use crate::data::encoding::Encoding;
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict, falsified};

static SPEC: Spec = Spec {
    name: "GenerateHmac",
    category: "crypto",
    summary: "Makes the HMAC of text or of a message's body under a key. Compare two of them with `ConstantTimeEquals`.",
    props: &[
        Prop::required("source", Kind::Value, "What to authenticate."),
        Prop::required("key", Kind::Text, "The key, as text."),
        Prop::required("target", Kind::Target(Type::String), "Variable that takes the HMAC."),
        Prop::optional("algorithm", Kind::OneOf(&["SHA-1", "SHA-256", "SHA-384", "SHA-512"]), Literal::Text("SHA-256"), "Which hash; a \
            literal."),
        Prop::optional("encoding", Kind::OneOf(&["base64", "base64url", "hex"]), Literal::Text("base64"), "How it is written; a literal."),
    ],
    sets: &[sets("{target}", "the HMAC")],
    fails: &["the source is undefined, or the key empty"],
    examples: &[
        example(
            "RFC 4231, test case 2",
            r#"GenerateHmac(source: "what do ya want for nothing?", key: "Jefe", target: "mac", encoding: "hex")"#,
            Expect::Sets("mac", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"),
        ),
        example("no key", r#"GenerateHmac(source: "a", key: "", target: "mac")"#, Expect::Fails),
    ],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let algorithms = [
            ("SHA-1", HMAC_SHA1_FOR_LEGACY_USE_ONLY),
            ("SHA-256", HMAC_SHA256),
            ("SHA-384", HMAC_SHA384),
            ("SHA-512", HMAC_SHA512),
        ];
        let algorithm = p.choice("algorithm", &algorithms)?;
        let encoding = p.choice("encoding", &[("base64", Encoding::Base64), ("base64url", Encoding::Base64Url), ("hex", Encoding::Hex)])?;
        Runnable::sync(GenerateHmac {
            source: p.value("source"),
            key: p.value("key"),
            target: p.target("target")?,
            algorithm,
            encoding,
        })
    },
};

struct GenerateHmac {
    source: Expr,
    key: Expr,
    target: Slot,
    algorithm: hmac::Algorithm,
    encoding: Encoding,
}

impl Assertion for GenerateHmac {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let source = self.source.eval(ctx);
        if source.is_undefined() {
            return falsified("the source is undefined");
        }
        let mac = {
            let key = self.key.text(ctx);
            if key.is_empty() {
                return falsified("the key is empty");
            }
            hmac::sign(&hmac::Key::new(self.algorithm, key.as_bytes()), &super::bytes(&source))
        };
        ctx.set(self.target, self.encoding.encode(mac.as_ref()));
        HELD
    }
}
