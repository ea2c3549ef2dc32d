//! `RandomToken`: secrets that nobody can guess.

use std::sync::Arc;

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use portcullis_dsl::ast::Type;
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example, sets};

use crate::policy::assertion::{Assertion, Entry, Places, Runnable};
use crate::policy::ctx::{Ctx, Slot};
use crate::data::encoding::Encoding;
use crate::data::fault::{Blame, Fault, HELD, Verdict};

static SPEC: Spec = Spec {
    name: "RandomToken",
    category: "logic",
    summary: "Makes a text from bytes of the operating system's random generator.",
    props: &[
        Prop::required("target", Kind::Target(Type::String), "Variable that takes it."),
        Prop::optional("bytes", Kind::Int, Literal::Int(32), "How many random bytes, 16 to 1024; a literal."),
        Prop::optional("encoding", Kind::OneOf(&["base64url", "hex"]), Literal::Text("base64url"), "How they are written."),
    ],
    sets: &[sets("{target}", "the token")],
    fails: &[],
    examples: &[
        example("256 bits", "RandomToken(target: \"t\")\nset size = length(${t})", Expect::Sets("size", "43")),
        example(
            "128 bits in hexadecimal digits",
            "RandomToken(target: \"t\", bytes: 16, encoding: \"hex\")\n${t} matches r\"^[0-9a-f]{32}$\"",
            Expect::Holds,
        ),
    ],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let bytes = usize::try_from(p.int("bytes")?).ok().filter(|bytes| (16..=1024).contains(bytes));
        let bytes = bytes.ok_or_else(|| p.refuse("bytes", "it must be 16 to 1024: fewer can be guessed"))?;
        let encoding = p.choice("encoding", &[("base64url", Encoding::Base64Url), ("hex", Encoding::Hex)])?;
        Runnable::sync(RandomToken { target: p.target("target")?, bytes, encoding })
    },
};

struct RandomToken {
    target: Slot,
    bytes: usize,
    encoding: Encoding,
}

impl Assertion for RandomToken {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let mut bytes = vec![0; self.bytes];
        SystemRandom::new().fill(&mut bytes).map_err(|_| Fault::new(Blame::Internal, "the system gives no random bytes"))?;
        ctx.set(self.target, self.encoding.encode(&bytes));
        HELD
    }

    fn placed(&self, places: &dyn Places) -> Option<Arc<dyn Assertion>> {
        Some(Arc::new(RandomToken { target: places.target(self.target), ..*self }))
    }
}
