//! `GenerateUuid`: random identifiers.

use portcullis_dsl::ast::Type;
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example, sets};

use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict, falsified};
use crate::data::value::Value;

/// Most identifiers in one call.
const MOST: i64 = 100;

static SPEC: Spec = Spec {
    name: "GenerateUuid",
    category: "logic",
    summary: "Makes random UUIDs (RFC 9562, version 4). For secrets that nobody may guess use `RandomToken`.",
    props: &[
        Prop::required("target", Kind::Target(Type::String), "Variable that takes it; a list if more than one is requested."),
        Prop::optional("quantity", Kind::Int, Literal::Int(1), "How many, 1 to 100."),
    ],
    sets: &[sets("{target}", "the UUID, or a list of them")],
    fails: &["the quantity is not from 1 to 100"],
    examples: &[
        example("one", "GenerateUuid(target: \"id\")\nset size = length(${id})", Expect::Sets("size", "36")),
        example("several", "GenerateUuid(target: \"ids\", quantity: 3)\nset n = count(unique(${ids}))", Expect::Sets("n", "3")),
        example("none", r#"GenerateUuid(target: "ids", quantity: 0)"#, Expect::Fails),
    ],
    also: &["Generate UUID"],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry =
    Entry { spec: &SPEC, build: |p| Runnable::sync(GenerateUuid { target: p.target("target")?, quantity: p.value("quantity") }) };

struct GenerateUuid {
    target: Slot,
    quantity: Expr,
}

impl Assertion for GenerateUuid {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let fresh = || Value::from(uuid::Uuid::new_v4().to_string());
        let made = match self.quantity.eval(ctx).to_int() {
            Some(1) => fresh(),
            Some(quantity @ 2..=MOST) => Value::list((0..quantity).map(|_| fresh())),
            _ => return falsified("the quantity is not from 1 to 100"),
        };
        ctx.set(self.target, made);
        HELD
    }
}
