//! `ManipulateMultivalued`: a list that grows.

use std::sync::Arc;

use portcullis_dsl::ast::Type;
use portcullis_dsl::spec::{Expect, Kind, Prop, Spec, example, sets};

use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict, falsified};
use crate::data::value::Value;

static SPEC: Spec = Spec {
    name: "ManipulateMultivalued",
    category: "logic",
    summary: "Appends a value, or each value of a list, to a variable, which becomes a list if it is not one yet.",
    props: &[
        Prop::required("source", Kind::Value, "What to append."),
        Prop::required("target", Kind::Target(Type::List), "Variable that grows."),
    ],
    sets: &[sets("{target}", "the longer list")],
    fails: &["the source is undefined"],
    examples: &[
        example(
            "a list onto a single value",
            "set all = \"a\"\nManipulateMultivalued(source: [\"b\", \"c\"], target: \"all\")\nset shown = \"${all|-}\"",
            Expect::Sets("shown", "a-b-c"),
        ),
        example("onto nothing", r#"ManipulateMultivalued(source: "a", target: "all")"#, Expect::Sets("all", "a")),
        example("nothing", r#"ManipulateMultivalued(source: ${request.http.header.x-missing}, target: "all")"#, Expect::Fails),
    ],
    also: &["Manipulate Multivalued Variable"],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| Runnable::sync(ManipulateMultivalued { source: p.value("source"), target: p.target("target")? }),
};

struct ManipulateMultivalued {
    source: Expr,
    target: Slot,
}

impl Assertion for ManipulateMultivalued {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let source = self.source.eval(ctx);
        if source.is_undefined() {
            return falsified("the source is undefined");
        }
        // Taken out of its slot first, so that a list that nobody else shares grows in place.
        let mut list = match ctx.take(self.target) {
            Value::List(list) => list,
            other => Arc::new(other.values().to_vec()),
        };
        Arc::make_mut(&mut list).extend(source.values().iter().cloned());
        ctx.set(self.target, Value::List(list));
        HELD
    }
}
