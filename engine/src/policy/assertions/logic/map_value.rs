//! `MapValue`: a value chosen by regular expressions.

use std::sync::Arc;

use portcullis_dsl::Diagnostic;
use portcullis_dsl::ast::Type;
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example, sets};

use crate::policy::assertion::{Assertion, Build, Entry, Runnable};
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::{Expr, JsonNode, Piece};
use crate::data::fault::{HELD, Verdict, falsified};
use crate::data::pattern::Written;
use crate::policy::pattern::Pattern;
use crate::data::value::Value;

static SPEC: Spec = Spec {
    name: "MapValue",
    category: "logic",
    summary: "Looks up a value: the first regular expression that matches in the source decides.",
    props: &[
        Prop::required("source", Kind::Value, "Text to look up."),
        Prop::required("map", Kind::Object, "Ordered pairs, `json { \"regular expression\": value }`; a template, not a \
            variable."),
        Prop::required("target", Kind::Target(Type::String), "Variable that takes the value."),
        Prop::optional("ignore_case", Kind::Bool, Literal::Bool(false), "Whether case is ignored; a literal."),
    ],
    sets: &[sets("{target}", "the value")],
    fails: &["no regular expression matches in the source, or the source is undefined"],
    examples: &[
        example(
            "the first match",
            r#"MapValue(source: "mobile-7", map: json { "^web": 1, "^mobile": 2, ".": 3 }, target: "kind")"#,
            Expect::Sets("kind", "2"),
        ),
        example("none fits", r#"MapValue(source: "x", map: json { "^a$": 1 }, target: "kind")"#, Expect::Fails),
    ],
    also: &["Map Value"],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let ignore_case = p.flag("ignore_case")?;
        Runnable::sync(MapValue { source: p.value("source"), arms: arms(p, ignore_case)?, target: p.target("target")? })
    },
};

fn arms(p: &mut Build<'_>, ignore_case: bool) -> Result<Vec<(Pattern, JsonNode)>, Diagnostic> {
    let fixed = |p: &Build<'_>, text: &str| match Written::new(text, ignore_case) {
        _ if text.is_empty() => Err(p.refuse("map", "the empty regular expression matches everything; write `.*` if that is \
                                                     meant")),
        Ok(pattern) => Ok(Pattern::Fixed(Arc::new(pattern))),
        Err(_) => Err(p.refuse("map", &format!("`{text}` is not a regular expression"))),
    };
    let map = p.value("map");
    match &map {
        Expr::Const(Value::Json(json)) if json.is_object() => {
            let members = json.as_object().into_iter().flatten();
            members.map(|(key, value)| Ok((fixed(p, key)?, JsonNode::Value(Expr::Const(crate::data::json::value(value)))))).collect()
        }
        Expr::Json(node) => {
            let JsonNode::Object(members) = &**node else { return Err(p.refuse("map", SHAPE)) };
            let arm = |(key, _, value): &(Vec<Piece>, bool, JsonNode)| {
                let pattern = match &key[..] {
                    [] => fixed(p, "")?,
                    [Piece::Literal(text)] => fixed(p, text)?,
                    pieces => Pattern::Text(Expr::Text(pieces.to_vec().into()), ignore_case),
                };
                Ok((pattern, value.clone()))
            };
            members.iter().map(arm).collect()
        }
        _ => Err(p.refuse("map", SHAPE)),
    }
}

const SHAPE: &str = "it must be `json { \"regular expression\": value }`";

struct MapValue {
    source: Expr,
    arms: Vec<(Pattern, JsonNode)>,
    target: Slot,
}

impl Assertion for MapValue {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let source = self.source.eval(ctx);
        if source.is_undefined() {
            return falsified("the source is undefined");
        }
        let text = source.as_text();
        let fits = |pattern: &Pattern| pattern.regex(ctx).is_some_and(|regex| regex.is_match(&text));
        let Some((_, node)) = self.arms.iter().find(|(pattern, _)| fits(pattern)) else {
            return falsified("no regular expression of the map matches in the source");
        };
        let value = match node {
            JsonNode::Value(expr) => expr.eval(ctx),
            node => crate::data::json::value(&node.eval(ctx)),
        };
        ctx.set(self.target, value);
        HELD
    }
}
