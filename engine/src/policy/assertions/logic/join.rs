//! `Join`: a list as one text.

use portcullis_dsl::ast::Type;
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example, sets};

use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict, falsified};

static SPEC: Spec = Spec {
    name: "Join",
    category: "logic",
    summary: "Joins the values of a list. `${list|, }` inside texts and the function `join` do the same and cannot fail.",
    props: &[
        Prop::required("source", Kind::Value, "List to join."),
        Prop::required("target", Kind::Target(Type::String), "Variable that takes the text."),
        Prop::optional("separator", Kind::Text, Literal::Text(","), "The text between two values."),
    ],
    sets: &[sets("{target}", "the text")],
    fails: &["the source is undefined", "the separators alone take more than 16 MiB"],
    examples: &[
        example("with a dash", r#"Join(source: ["a", "b"], separator: "-", target: "text")"#, Expect::Sets("text", "a-b")),
        example("nothing to join", r#"Join(source: ${request.http.header.x-missing}, target: "text")"#, Expect::Fails),
    ],
    also: &["Join Variable"],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        Runnable::sync(Join { source: p.value("source"), target: p.target("target")?, separator: p.value("separator") })
    },
};

struct Join {
    source: Expr,
    target: Slot,
    separator: Expr,
}

impl Assertion for Join {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let source = self.source.eval(ctx);
        if source.is_undefined() {
            return falsified("the source is undefined");
        }
        let separator = self.separator.to_text(ctx);
        if !source.is_joinable(&separator) {
            return falsified("the separators alone take more than 16 MiB");
        }
        let mut text = String::new();
        source.write_text(&separator, &mut text);
        ctx.set(self.target, text);
        HELD
    }
}
