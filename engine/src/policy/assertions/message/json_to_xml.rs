//! `JsonToXml`: JSON as an XML document.

use portcullis_dsl::ast::{Syntax, Type};
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example, sets};

use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict, falsified};
use crate::data::value::Value;
use crate::data::xml::convert::{Convention, to_xml};

static SPEC: Spec = Spec {
    name: "JsonToXml",
    category: "message",
    summary: "Converts JSON to XML: members become elements, arrays become repeated elements.",
    props: &[
        Prop::required("source", Kind::Value, "Text, message or document to convert."),
        Prop::required("target", Kind::Target(Type::String), "Variable that takes the XML."),
        Prop::absent("root", Kind::Text, "Name of the root. Left out: the JSON must be an object with one member, which becomes \
                                          the root."),
        Prop::optional("attribute_prefix", Kind::Text, Literal::Text(""), "Members whose names begin with this become \
                                                                           attributes; if empty, none. A literal."),
        Prop::optional("text_name", Kind::Text, Literal::Text("content"), "Member that becomes an element's text; a literal."),
    ],
    sets: &[sets("{target}", "the XML")],
    fails: &[
        "the source is not JSON",
        "a member's name cannot name an element",
        "no root is named, and the JSON does not have exactly one member",
        "the XML would be longer than 8 MiB",
    ],
    examples: &[
        example(
            "a list",
            r#"JsonToXml(source: json { "n": 1, "a": ["x", "<y>"] }, root: "v", target: "x")"#,
            Expect::Sets("x", "<v><n>1</n><a>x</a><a>&lt;y&gt;</a></v>"),
        ),
        example("a name that XML does not allow", r#"JsonToXml(source: json { "a b": 1 }, target: "x")"#, Expect::Fails),
    ],
    also: &["Apply JSON Transformation"],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let convention = Convention { attributes: p.literal("attribute_prefix")?, text: p.literal("text_name")? };
        Runnable::sync(JsonToXml { source: p.value("source"), target: p.target("target")?, root: p.optional("root"), convention })
    },
};

struct JsonToXml {
    source: Expr,
    target: Slot,
    root: Option<Expr>,
    convention: Convention,
}

impl Assertion for JsonToXml {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let Some(json) = crate::data::json::document(&self.source.eval(ctx)) else { return falsified("the source is not JSON") };
        let root = self.root.as_ref().map(|root| root.text(ctx).into_owned());
        match to_xml(&json, root.as_deref(), &self.convention) {
            Ok(xml) => {
                ctx.set(self.target, Value::Markup(Syntax::Xml, xml.into()));
                HELD
            }
            Err(error) => falsified(error.to_string()),
        }
    }
}
