//! `XmlToJson`: an XML document as JSON.

use std::sync::Arc;

use async_trait::async_trait;
use portcullis_dsl::ast::Type;
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example, sets};

use crate::policy::assertion::{AsyncAssertion, Entry, Runnable};
use crate::data::budget::{self, BYTES_IN_PLACE};
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict, falsified};
use crate::data::value::Value;
use crate::data::xml::convert::{Convention, to_json};

static SPEC: Spec = Spec {
    name: "XmlToJson",
    category: "message",
    summary: "Converts XML to JSON: elements and attributes become members with their local names, repeated elements become an \
              array.",
    props: &[
        Prop::required("source", Kind::Value, "Text or message to convert."),
        Prop::required("target", Kind::Target(Type::Json), "Variable that takes the document."),
        Prop::optional("typed", Kind::Bool, Literal::Bool(false), "Whether texts that look like numbers or booleans become \
                                                                   such; a literal."),
        Prop::optional("attribute_prefix", Kind::Text, Literal::Text(""), "Prefix of the names of attributes; a literal."),
        Prop::optional("text_name", Kind::Text, Literal::Text("content"), "Member for an element's text if the element also has \
                                                                           attributes or elements; a literal."),
    ],
    sets: &[sets("{target}", "the JSON")],
    fails: &["the source is not XML, has a document type, or exceeds the limits of `EvaluateXPath`"],
    examples: &[
        example(
            "attributes and a list",
            r#"XmlToJson(source: "<v n='1'><a>x</a><a>y</a><b/></v>", target: "j")"#,
            Expect::Sets("j", r#"{"v":{"n":"1","a":["x","y"],"b":""}}"#),
        ),
        example("not XML", r#"XmlToJson(source: "<v>", target: "j")"#, Expect::Fails),
    ],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let convention = Convention { attributes: p.literal("attribute_prefix")?, text: p.literal("text_name")? };
        Runnable::io(XmlToJson {
            source: p.value("source"),
            target: p.target("target")?,
            convention: convention.into(),
            typed: p.flag("typed")?,
        })
    },
};

struct XmlToJson {
    source: Expr,
    target: Slot,
    convention: Arc<Convention>,
    typed: bool,
}

#[async_trait]
impl AsyncAssertion for XmlToJson {
    async fn run(&self, ctx: &mut Ctx) -> Verdict {
        let source = self.source.to_text(ctx);
        let in_place = source.len() <= BYTES_IN_PLACE;
        let (convention, typed) = (Arc::clone(&self.convention), self.typed);
        let read = move || crate::data::xml::parse(&source).map(|document| to_json(&document, &convention, typed));
        // Reading is linear, so only a long document is worth a separate thread.
        let json = if in_place { read() } else { budget::run(move |_| read()).await? };
        match json {
            Ok(json) => {
                ctx.set(self.target, Value::json(json));
                HELD
            }
            Err(reason) => falsified(reason),
        }
    }
}
