//! `GenerateUuid`: random identifiers.

use std::sync::Arc;

use portcullis_dsl::ast::Type;
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example, sets};
use uuid::{Builder, Uuid};

use crate::policy::assertion::{Assertion, Entry, Places, Runnable};
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict, falsified};
use crate::data::value::Value;

/// Most identifiers in one call.
const MOST: i64 = 100;

static SPEC: Spec = Spec {
    name: "GenerateUuid",
    category: "logic",
    summary: "Makes random UUIDs (RFC 9562). For secrets that nobody may guess use `RandomToken`.",
    props: &[
        Prop::required("target", Kind::Target(Type::String), "Variable that takes it; a list if more than one is requested."),
        Prop::optional("quantity", Kind::Int, Literal::Int(1), "How many, 1 to 100."),
        Prop::optional(
            "ordered",
            Kind::Bool,
            Literal::Bool(false),
            "`true`: they begin with the time (version 7) and grow with it, as keys of a large table should: what is written at one time is \
             then in one place of the index. Whoever sees one knows when it was made. `false`: all is random (version 4). A literal.",
        ),
    ],
    sets: &[sets("{target}", "the UUID, or a list of them")],
    fails: &["the quantity is not from 1 to 100"],
    examples: &[
        example("one", "GenerateUuid(target: \"id\")\nset size = length(${id})", Expect::Sets("size", "36")),
        example("several", "GenerateUuid(target: \"ids\", quantity: 3)\nset n = count(unique(${ids}))", Expect::Sets("n", "3")),
        example(
            "keys of rows",
            "GenerateUuid(target: \"ids\", quantity: 3, ordered: true)\nset version = substring(${ids[2]}, 14, 1)",
            Expect::Sets("version", "7"),
        ),
        example("none", r#"GenerateUuid(target: "ids", quantity: 0)"#, Expect::Fails),
    ],
    also: &["Generate UUID"],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let (target, quantity, ordered) = (p.target("target")?, p.value("quantity"), p.flag("ordered")?);
        Runnable::sync(GenerateUuid { target, quantity, ordered })
    },
};

struct GenerateUuid {
    target: Slot,
    quantity: Expr,
    ordered: bool,
}

/// A UUID that begins with a time in milliseconds since 1970.
fn of(millis: i64) -> Uuid {
    let millis = u64::try_from(millis).unwrap_or_default();
    Builder::from_unix_timestamp_millis(millis, &rand::random()).into_uuid()
}

impl Assertion for GenerateUuid {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let millis = self.ordered.then(|| ctx.now_millis());
        let fresh = || Value::from(millis.map_or_else(Uuid::new_v4, of).to_string());
        let made = match self.quantity.eval(ctx).to_int() {
            Some(1) => fresh(),
            Some(quantity @ 2..=MOST) => Value::list((0..quantity).map(|_| fresh())),
            _ => return falsified("the quantity is not from 1 to 100"),
        };
        ctx.set(self.target, made);
        HELD
    }

    fn placed(&self, places: &dyn Places) -> Option<Arc<dyn Assertion>> {
        let (target, quantity) = (places.target(self.target), places.expr(&self.quantity));
        Some(Arc::new(GenerateUuid { target, quantity, ordered: self.ordered }))
    }
}
