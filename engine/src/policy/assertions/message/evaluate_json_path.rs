//! `EvaluateJsonPath`: parts of a JSON document.

use std::sync::Arc;

use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, document, example, sets};

use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict, falsified};
use crate::data::json::{self, Path};
use crate::data::value::Value;

static SPEC: Spec = Spec {
    name: "EvaluateJsonPath",
    category: "message",
    summary: "Searches JSON, and succeeds if something is found. For a single value the function `json_get` is shorter.",
    props: &[
        Prop::required("source", Kind::Value, "Text, message or document to search."),
        Prop::required("expression", Kind::Text, "A member's name, a dotted path, or JSONPath beginning with `$` (RFC 9535)."),
        Prop::optional("prefix", Kind::Prefix, Literal::Text("jsonPath"), "Prefix of the variables it sets."),
    ],
    sets: &[
        document("{prefix}.result", "the first result; objects and arrays as documents"),
        document("{prefix}.results", "all finds"),
        sets("{prefix}.count", "how many there are"),
        sets("{prefix}.found", "`true` when there is one"),
    ],
    fails: &[
        "nothing is found",
        "the source is not JSON, or has more than 250000 values",
        "the expression is not a path, longer than 1024 characters, nested deeper than 8, or has a regular expression that is not a literal",
        "the expression looks at more than 4 million values of the source",
    ],
    examples: &[
        example(
            "every name",
            "EvaluateJsonPath(source: json { \"a\": [{ \"n\": 1 }, { \"n\": 2 }] }, expression: \"$.a[*].n\")\n\
             set shown = \"${jsonPath.count}: ${jsonPath.result} of ${jsonPath.results|/}, ${jsonPath.found}\"",
            Expect::Sets("shown", "2: 1 of 1/2, true"),
        ),
        example(
            "a member",
            r#"EvaluateJsonPath(source: "{\"client-id\": \"x\"}", expression: "client-id", prefix: "got")"#,
            Expect::Sets("got.result", "x"),
        ),
        example("nothing there", r#"EvaluateJsonPath(source: json { "a": 1 }, expression: "$.b")"#, Expect::Fails),
    ],
    also: &["Evaluate JSON Path Expression"],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let prefix = p.literal("prefix")?;
        let path = match p.optional_literal("expression") {
            Ok(Some(text)) => match Path::parse(&text) {
                Some(path) => Expression::Fixed(Arc::new(path)),
                None => return Err(p.refuse("expression", "it must be a name, a dotted path, or JSONPath (RFC 9535)")),
            },
            _ => Expression::Text(p.value("expression")),
        };
        Runnable::sync(EvaluateJsonPath { source: p.value("source"), path, found: Found::slots(p, &prefix) })
    },
};

enum Expression {
    Fixed(Arc<Path>),
    Text(Expr),
}

struct EvaluateJsonPath {
    source: Expr,
    path: Expression,
    found: Found,
}

impl Assertion for EvaluateJsonPath {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        self.found.clear(ctx);
        let path = match &self.path {
            Expression::Fixed(path) => Some(Arc::clone(path)),
            Expression::Text(text) => Path::cached(&text.text(ctx)),
        };
        let Some(path) = path else { return falsified("the expression is not a path") };
        let Some(document) = json::document(&self.source.eval(ctx)) else { return falsified("the source is not JSON") };
        match path.find(&document) {
            Ok(found) => self.found.set(ctx, found.into_iter().map(json::value).collect()),
            Err(reason) => falsified(reason),
        }
    }
}

/// The variables that a search sets.
pub(super) struct Found {
    result: Option<Slot>,
    results: Option<Slot>,
    count: Option<Slot>,
    found: Option<Slot>,
}

impl Found {
    pub(super) fn slots(p: &crate::policy::assertion::Build<'_>, prefix: &str) -> Found {
        let slot = |part: &str| p.slot(&format!("{prefix}.{part}"));
        Found { result: slot("result"), results: slot("results"), count: slot("count"), found: slot("found") }
    }

    /// Results of an earlier search must not be mistaken for this one's.
    pub(super) fn clear(&self, ctx: &mut Ctx) {
        ctx.set_if(self.result, Value::Undefined);
        ctx.set_if(self.results, Value::Undefined);
        ctx.set_if(self.count, 0);
        ctx.set_if(self.found, false);
    }

    pub(super) fn set(&self, ctx: &mut Ctx, values: Vec<Value>) -> Verdict {
        let Some(first) = values.first() else { return falsified("nothing is found") };
        ctx.set_if(self.count, values.len() as i64);
        ctx.set_if(self.found, true);
        ctx.set_if(self.result, first.clone());
        ctx.set_if(self.results, Value::list(values));
        HELD
    }
}
