//! `ConstantTimeEquals`: compares secrets so that the time reveals nothing.

use std::sync::Arc;

use portcullis_dsl::spec::{Expect, Kind, Prop, Spec, example};

use crate::policy::assertion::{Assertion, Entry, Places, Runnable};
use crate::policy::ctx::Ctx;
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict, falsified};
use crate::services::keys::constant_time_eq;

static SPEC: Spec = Spec {
    name: "ConstantTimeEquals",
    category: "crypto",
    summary: "Succeeds if two secrets are equal. The time of the comparison depends only on their lengths. An empty or \
              undefined secret equals nothing, so that a missing secret never lets anybody in.",
    props: &[
        Prop::required("left", Kind::Value, "What was given."),
        Prop::required("right", Kind::Value, "What is expected."),
    ],
    sets: &[],
    fails: &["they differ", "one of them is empty or undefined"],
    examples: &[
        example("the same", r#"ConstantTimeEquals(left: "s3cret", right: "s3cret")"#, Expect::Holds),
        example("another", r#"ConstantTimeEquals(left: "s3cret", right: "S3cret")"#, Expect::Fails),
        example("both missing", r#"ConstantTimeEquals(left: "", right: ${request.http.header.x-missing})"#, Expect::Fails),
    ],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| Runnable::sync(ConstantTimeEquals { left: p.value("left"), right: p.value("right") }),
};

struct ConstantTimeEquals {
    left: Expr,
    right: Expr,
}

impl Assertion for ConstantTimeEquals {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let (left, right) = (self.left.text(ctx), self.right.text(ctx));
        if left.is_empty() || right.is_empty() {
            return falsified("one of the two is empty");
        }
        if constant_time_eq(left.as_bytes(), right.as_bytes()) { HELD } else { falsified("they differ") }
    }

    fn placed(&self, places: &dyn Places) -> Option<Arc<dyn Assertion>> {
        Some(Arc::new(ConstantTimeEquals { left: places.expr(&self.left), right: places.expr(&self.right) }))
    }
}
