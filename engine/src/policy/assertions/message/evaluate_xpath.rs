//! `EvaluateXPath`: parts of an XML document.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use portcullis_dsl::Diagnostic;
use portcullis_dsl::ast::Syntax;
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example, sets};
use smol_str::SmolStr;

use super::evaluate_json_path::Found;
use crate::policy::assertion::{AsyncAssertion, Build, Entry, Runnable};
use crate::data::budget::{self, BYTES, BYTES_IN_PLACE, Budget, STEPS_IN_PLACE};
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;
use crate::data::fault::{Verdict, falsified};
use crate::data::value::Value;
use crate::data::xml::xpath::{Answer, XPath, prefixes};

static SPEC: Spec = Spec {
    name: "EvaluateXPath",
    category: "message",
    summary: "Searches XML by an XPath 1.0 expression, and succeeds if it finds something: a node, `true`, a number or text.",
    props: &[
        Prop::required("source", Kind::Value, "Text or message to search."),
        Prop::required(
            "expression",
            Kind::Text,
            "XPath 1.0. The last step may also be a function without arguments, which gives a value for each node: `/a/*/name()`. \
             Policy variables would become part of the expression: pass them as `variables` instead.",
        ),
        Prop::absent("namespaces", Kind::Object, "Namespaces by prefix, `json { \"p\": \"urn:x\" }`, without variables."),
        Prop::absent("variables", Kind::Object, "Texts that the expression can read as `$name`, `json { \"name\": ${value} }`."),
        Prop::optional("prefix", Kind::Prefix, Literal::Text("xpath"), "Prefix of the variables it sets."),
    ],
    sets: &[
        sets("{prefix}.result", "text of the first result"),
        sets("{prefix}.results", "texts of all results"),
        sets("{prefix}.count", "how many there are"),
        sets("{prefix}.found", "`true` when there is one"),
        sets("{prefix}.element", "the first result as XML"),
        sets("{prefix}.elements", "all results as XML"),
    ],
    fails: &[
        "nothing is found, or a comparison is false",
        "the source is not XML, or has a document type",
        "the source is longer than 4 MiB or nested deeper than 256, or has more than 200000 nodes, 256 attributes of an \
         element, or 64 namespaces in scope",
        "the expression cannot be evaluated, or not within 4 million steps, 2 seconds and 8 MiB of text",
    ],
    examples: &[
        example(
            "elements of a namespace",
            r#"set doc = "<v xmlns='urn:v'><a>1</a><a>2</a></v>"
EvaluateXPath(source: ${doc}, expression: "/x:v/x:a", namespaces: json { "x": "urn:v" })
set shown = "${xpath.found} ${xpath.count} ${xpath.result} ${xpath.results|+} ${xpath.element} ${xpath.elements.length}""#,
            Expect::Sets("shown", r#"true 2 1 1+2 <a xmlns="urn:v">1</a> 2"#),
        ),
        example(
            "a value that a client sent",
            r#"set doc = "<v><a id='7'>seven</a></v>"
set id = "7"
EvaluateXPath(source: ${doc}, expression: "/v/a[@id=$id]", variables: json { "id": ${id} }, prefix: "got")"#,
            Expect::Sets("got.result", "seven"),
        ),
        example(
            "a function as the last step",
            r#"EvaluateXPath(source: "<v><a/><b/></v>", expression: "/v/*/local-name()", prefix: "got")
set names = "${got.results|+}""#,
            Expect::Sets("names", "a+b"),
        ),
        example("nothing there", r#"EvaluateXPath(source: "<a/>", expression: "/b")"#, Expect::Fails),
        example("false", r#"EvaluateXPath(source: "<a/>", expression: "count(/a) > 1")"#, Expect::Fails),
    ],
    also: &["Evaluate Request XPath", "Evaluate Response XPath"],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let prefix = p.literal("prefix")?;
        let namespaces = namespaces(p)?;
        Runnable::io(EvaluateXPath {
            source: p.value("source"),
            expression: expression(p, &namespaces)?,
            namespaces: namespaces.into(),
            variables: p.optional("variables"),
            found: Found::slots(p, &prefix),
            element: p.slot(&format!("{prefix}.element")),
            elements: p.slot(&format!("{prefix}.elements")),
        })
    },
};

fn namespaces(p: &mut Build<'_>) -> Result<BTreeMap<String, String>, Diagnostic> {
    let given = p.json("namespaces")?.unwrap_or_default();
    let mut namespaces = BTreeMap::new();
    for (prefix, uri) in given.as_object().into_iter().flatten() {
        let uri = uri.as_str().ok_or_else(|| p.refuse("namespaces", &format!("the namespace of `{prefix}` must be a text")))?;
        namespaces.insert(prefix.clone(), uri.to_owned());
    }
    Ok(namespaces)
}

fn expression(p: &mut Build<'_>, namespaces: &BTreeMap<String, String>) -> Result<Expression, Diagnostic> {
    let Ok(Some(text)) = p.optional_literal("expression") else { return Ok(Expression::Text(p.value("expression"))) };
    let parsed = XPath::parse_with_function(&text).map_err(|why| p.refuse("expression", &format!("it is not XPath 1.0: {why}")))?;
    match prefixes(&text).into_iter().find(|prefix| prefix != "xml" && !namespaces.contains_key(prefix)) {
        Some(prefix) => Err(p.refuse("expression", &format!("`namespaces` does not define `{prefix}`"))),
        None => Ok(Expression::Fixed(Arc::new(parsed))),
    }
}

enum Expression {
    Fixed(Arc<XPath>),
    Text(Expr),
}

struct EvaluateXPath {
    source: Expr,
    expression: Expression,
    namespaces: Arc<BTreeMap<String, String>>,
    variables: Option<Expr>,
    found: Found,
    element: Option<Slot>,
    elements: Option<Slot>,
}

#[async_trait]
impl AsyncAssertion for EvaluateXPath {
    async fn run(&self, ctx: &mut Ctx) -> Verdict {
        self.found.clear(ctx);
        ctx.set_if(self.element, Value::Undefined);
        ctx.set_if(self.elements, Value::Undefined);
        let question = match self.question(ctx) {
            Ok(question) => question,
            Err(reason) => return falsified(reason),
        };
        let in_place = if question.source.len() <= BYTES_IN_PLACE {
            let budget = Budget::of(STEPS_IN_PLACE, BYTES);
            Some(question.ask(&budget)).filter(|_| !budget.is_exhausted())
        } else {
            None
        };
        let answer = match in_place {
            Some(answer) => answer,
            None => budget::run(move |budget| question.ask(budget)).await?,
        };
        match answer {
            Err(reason) => falsified(reason),
            Ok(Answer::Boolean(false)) => falsified("it is false"),
            Ok(Answer::Boolean(true)) => self.found.set(ctx, vec![Value::Bool(true)]),
            Ok(Answer::Text(text)) => self.found.set(ctx, vec![Value::from(text)]),
            Ok(Answer::Each(texts)) => self.found.set(ctx, texts.into_iter().map(Value::from).collect()),
            Ok(Answer::Nodes(nodes)) => {
                let markup = |text: &String| Value::Markup(Syntax::Xml, text.as_str().into());
                ctx.set_if(self.element, nodes.first().map_or(Value::Undefined, |(_, xml)| markup(xml)));
                ctx.set_if(self.elements, Value::list(nodes.iter().map(|(_, xml)| markup(xml))));
                self.found.set(ctx, nodes.into_iter().map(|(text, _)| Value::from(text)).collect())
            }
        }
    }
}

/// Everything that an evaluation needs to run on another thread.
struct Question {
    source: SmolStr,
    expression: Arc<XPath>,
    namespaces: Arc<BTreeMap<String, String>>,
    variables: BTreeMap<String, String>,
}

impl Question {
    fn ask(&self, budget: &Budget) -> Result<Answer, &'static str> {
        let document = crate::data::xml::parse(&self.source)?;
        self.expression.evaluate(&document, &self.namespaces, &self.variables, budget)
    }
}

impl EvaluateXPath {
    fn question(&self, ctx: &Ctx) -> Result<Question, &'static str> {
        let variables = self.variables.as_ref().map(|variables| variables.eval(ctx).to_json());
        let variables = variables.iter().filter_map(|json| json.as_object()).flatten();
        let variables = variables.map(|(name, json)| (name.clone(), crate::data::json::value(json).as_text().into_owned())).collect();
        let expression = match &self.expression {
            Expression::Fixed(expression) => Arc::clone(expression),
            Expression::Text(text) => {
                Arc::new(XPath::parse_with_function(&text.text(ctx)).map_err(|_| "the expression is not XPath 1.0")?)
            }
        };
        Ok(Question { source: self.source.to_text(ctx), expression, namespaces: Arc::clone(&self.namespaces), variables })
    }
}
