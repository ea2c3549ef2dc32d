//! `ParseJson`: text as a JSON document.

use portcullis_dsl::ast::Type;
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example, sets};

use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict, falsified};
use crate::data::value::Value;

static SPEC: Spec = Spec {
    name: "ParseJson",
    category: "message",
    summary: "Reads JSON, so that it becomes a tree in other JSON and not a text. Succeeds if it is well-formed.",
    props: &[
        Prop::required("source", Kind::Value, "Text or message to read."),
        Prop::required("target", Kind::Target(Type::Json), "Variable that takes the document; may be the source's own."),
        Prop::optional("object", Kind::Bool, Literal::Bool(false), "Whether it must be an object; a literal."),
        Prop::absent("problem", Kind::Target(Type::String), "Variable that takes what is wrong with the text, and at which line and column."),
    ],
    sets: &[sets("{target}", "the document"), sets("{problem}", "what is wrong, for whoever wrote the text; unchanged if nothing is")],
    fails: &["the source is not JSON, or undefined", "with `object: true`: it is not an object"],
    examples: &[
        example(
            "an object",
            "set custom = \"{\\\"a\\\": 1}\"\nParseJson(source: ${custom}, target: \"custom\", object: true)\nset all = json { \
                \"in\": ${custom} }",
            Expect::Sets("all", r#"{"in":{"a":1}}"#),
        ),
        example("not an object", r#"ParseJson(source: "[1]", target: "j", object: true)"#, Expect::Fails),
        example(
            "where it is wrong",
            "set why = \"\"\nParseJson(source: \"{\\\"a\\\": 1,}\", target: \"j\", problem: \"why\") else Continue",
            Expect::Sets("why", "trailing comma at line 1 column 9"),
        ),
        example("not JSON", r#"ParseJson(source: "{a: 1}", target: "j")"#, Expect::Fails),
    ],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        Runnable::sync(ParseJson {
            source: p.value("source"),
            target: p.target("target")?,
            object: p.flag("object")?,
            problem: p.optional_target("problem")?,
        })
    },
};

struct ParseJson {
    source: Expr,
    target: Slot,
    object: bool,
    problem: Option<Slot>,
}

impl Assertion for ParseJson {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let source = self.source.eval(ctx);
        let Some(document) = crate::data::json::document(&source) else {
            if let Some(problem) = self.problem {
                let why = match crate::data::json::read(source.as_text().as_bytes()) {
                    Err(error) => error.to_string(),
                    Ok(_) => "not usable".to_owned(),
                };
                ctx.set(problem, Value::from(why));
            }
            return falsified("the source is not JSON");
        };
        if self.object && !document.is_object() {
            if let Some(problem) = self.problem {
                ctx.set(problem, Value::from("not an object"));
            }
            return falsified("the source is not a JSON object");
        }
        ctx.set(self.target, Value::Json(document));
        HELD
    }
}
