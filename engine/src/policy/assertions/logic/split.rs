//! `Split`: a text's parts as a list.

use portcullis_dsl::ast::Type;
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example, sets};

use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict, falsified};
use crate::policy::pattern::Pattern;
use crate::data::value::Value;

static SPEC: Spec = Spec {
    name: "Split",
    category: "logic",
    summary: "Splits a text wherever a regular expression matches. For a literal separator there is the function `split`.",
    props: &[
        Prop::required("source", Kind::Value, "Text to split."),
        Prop::required("target", Kind::Target(Type::List), "Variable that takes the parts."),
        Prop::optional("separator", Kind::Text, Literal::Text(","), "Regular expression for the separators."),
        Prop::optional("ignore_empty", Kind::Bool, Literal::Bool(false), "Whether empty parts are left out; a literal."),
    ],
    sets: &[sets("{target}", "the parts")],
    fails: &["the source is undefined", "the separator has variables and does not become a regular expression"],
    examples: &[
        example(
            "blanks around commas",
            "Split(source: \"a , b,,c\", target: \"parts\", separator: r\"\\s*,\\s*\")\nset n = count(${parts})",
            Expect::Sets("n", "4"),
        ),
        example(
            "without empty parts",
            "Split(source: \"a,,b,\", target: \"parts\", ignore_empty: true)\nset shown = \"${parts||}\"",
            Expect::Sets("shown", "a|b"),
        ),
        example("nothing to split", r#"Split(source: ${request.http.header.x-missing}, target: "parts")"#, Expect::Fails),
    ],
    also: &["Split Variable"],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        Runnable::sync(Split {
            source: p.value("source"),
            target: p.target("target")?,
            separator: p.pattern("separator", false)?,
            ignore_empty: p.flag("ignore_empty")?,
        })
    },
};

struct Split {
    source: Expr,
    target: Slot,
    separator: Pattern,
    ignore_empty: bool,
}

impl Assertion for Split {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let source = self.source.eval(ctx);
        if source.is_undefined() {
            return falsified("the source is undefined");
        }
        let Some(separator) = self.separator.regex(ctx) else { return falsified("the separator is not a regular expression") };
        let text = source.as_text();
        let parts = separator.split(&text).filter(|part| !self.ignore_empty || !part.is_empty());
        let parts = Value::list(parts.map(Value::from));
        drop(separator);
        ctx.set(self.target, parts);
        HELD
    }
}
