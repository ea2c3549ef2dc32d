//! `EncodeDecode`: text encodings, and back.

use std::sync::Arc;

use portcullis_dsl::ast::Type;
use portcullis_dsl::spec::{Expect, Kind, Prop, Spec, example, sets};

use crate::policy::assertion::{Assertion, Entry, Places, Runnable};
use crate::policy::ctx::{Ctx, Slot};
use crate::data::encoding::Encoding;
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict, falsified};

static SPEC: Spec = Spec {
    name: "EncodeDecode",
    category: "crypto",
    summary: "Encodes text, or decodes it strictly: succeeds only if the source is valid in the encoding. There are also \
              functions that only encode: `base64`, `base64url`, `hex`, `url_encode`.",
    props: &[
        Prop::required("source", Kind::Value, "Text or message."),
        Prop::required("target", Kind::Target(Type::String), "Variable that takes the result; may be the source's own."),
        Prop::required(
            "operation",
            Kind::OneOf(&[
                "base64-encode",
                "base64-decode",
                "base64url-encode",
                "base64url-decode",
                "url-encode",
                "url-decode",
                "form-encode",
                "form-decode",
                "hex-encode",
                "hex-decode",
            ]),
            "What to do; a literal. `url` is percent-encoding (RFC 3986), `form` the same with `+` for blanks.",
        ),
    ],
    sets: &[sets("{target}", "the result")],
    fails: &["the source is undefined", "decoding: the source is not valid in the encoding, or the result is not UTF-8"],
    examples: &[
        example("Base64", r#"EncodeDecode(source: "a?>", operation: "base64-encode", target: "x")"#, Expect::Sets("x", "YT8+")),
        example("and back", r#"EncodeDecode(source: "YT8+", operation: "base64-decode", target: "x")"#, Expect::Sets("x", "a?>")),
        example("a form", r#"EncodeDecode(source: "a+b%26", operation: "form-decode", target: "x")"#, Expect::Sets("x", "a b&")),
        example("not Base64", r#"EncodeDecode(source: "a?>", operation: "base64-decode", target: "x")"#, Expect::Fails),
    ],
    also: &["Encode / Decode Data", "Encode or Decode Data"],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let operations = [
            ("base64-encode", (Encoding::Base64, true)),
            ("base64-decode", (Encoding::Base64, false)),
            ("base64url-encode", (Encoding::Base64Url, true)),
            ("base64url-decode", (Encoding::Base64Url, false)),
            ("url-encode", (Encoding::Url, true)),
            ("url-decode", (Encoding::Url, false)),
            ("form-encode", (Encoding::Form, true)),
            ("form-decode", (Encoding::Form, false)),
            ("hex-encode", (Encoding::Hex, true)),
            ("hex-decode", (Encoding::Hex, false)),
        ];
        let (encoding, encode) = p.choice("operation", &operations)?;
        Runnable::sync(EncodeDecode {
            source: p.value("source"),
            target: p.target("target")?,
            encoding,
            encode,
        })
    },
};

struct EncodeDecode {
    source: Expr,
    target: Slot,
    encoding: Encoding,
    encode: bool,
}

impl Assertion for EncodeDecode {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let source = self.source.eval(ctx);
        if source.is_undefined() {
            return falsified("the source is undefined");
        }
        let result = if self.encode {
            self.encoding.encode(&super::bytes(&source))
        } else {
            let Some(bytes) = self.encoding.decode(&source.as_text()) else { return falsified("the source is not valid in the \
                                                                                               encoding") };
            match String::from_utf8(bytes) {
                Ok(text) => text.into(),
                Err(_) => return falsified("the decoded source is not UTF-8"),
            }
        };
        ctx.set(self.target, result);
        HELD
    }

    fn placed(&self, places: &dyn Places) -> Option<Arc<dyn Assertion>> {
        Some(Arc::new(EncodeDecode { source: places.expr(&self.source), target: places.target(self.target), ..*self }))
    }
}
