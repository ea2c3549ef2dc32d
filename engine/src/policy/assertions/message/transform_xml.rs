//! `TransformXml`: XML rearranged by an XSLT stylesheet.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use portcullis_dsl::ast::{Syntax, Type};
use portcullis_dsl::spec::{Expect, Kind, Prop, Spec, example, sets};
use smol_str::SmolStr;

use crate::data::budget::{self, BYTES, BYTES_IN_PLACE, Budget, STEPS_IN_PLACE};
use crate::data::fault::{HELD, Verdict, falsified};
use crate::data::value::Value;
use crate::data::xml::xslt::{LEVELS, LEVELS_IN_PLACE, STACK, Stylesheet, TOO_DEEP};
use crate::policy::assertion::{AsyncAssertion, Entry, Runnable};
use crate::policy::ctx::{Ctx, Slot};
use crate::policy::expr::Expr;

static SPEC: Spec = Spec {
    name: "TransformXml",
    category: "message",
    summary: "Rearranges XML by an XSLT 1.0 stylesheet. It has `template`, `apply-templates`, `call-template`, `param`, `with-param`, \
              `variable`, `for-each`, `sort`, `if`, `choose`, `copy`, `copy-of`, `value-of`, `element`, `attribute`, `text`, `key` and \
              `output` (`xml` and `text`, `omit-xml-declaration`, `cdata-section-elements`), and `current()`, `key()` and `generate-id()`. \
              Everything else is refused when the policy loads, with its line: other stylesheets and documents, extensions, text that is \
              not escaped.",
    props: &[
        Prop::required("source", Kind::Value, "Text or message to transform."),
        Prop::required("stylesheet", Kind::Value, "The stylesheet, without variables of the policy: a text, or `xml file \"sort.xsl\"`."),
        Prop::absent(
            "parameters",
            Kind::Object,
            "Texts for the stylesheet's own `xsl:param`s, `json { \"name\": ${value} }`. With `\"name\"?: ${value}` an empty value leaves \
             the stylesheet's default. Names that the stylesheet does not have count for nothing.",
        ),
        Prop::required("target", Kind::Target(Type::String), "Variable that takes the result."),
    ],
    sets: &[sets("{target}", "the result, as XML or, with `method=\"text\"`, as text")],
    fails: &[
        "the source is not XML, has a document type, or is larger than `EvaluateXPath` takes",
        "the stylesheet makes a name that XML does not allow, an attribute after other content, or elements nested deeper than 256",
        "the stylesheet cannot be run, or not within 4 million steps, 1024 levels of templates, 2 seconds and 8 MiB of text made",
    ],
    examples: &[
        example(
            "entries in the order of their names",
            r#"set sheet_source = "<v><a>pear</a><a>apple</a><a>Fig</a></v>"
TransformXml(source: ${sheet_source}, target: "sorted", stylesheet: xml """
    <xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
    <xsl:output omit-xml-declaration="yes"/>
    <xsl:template match="/v"><v><xsl:for-each select="a"><xsl:sort/><xsl:copy-of select="."/></xsl:for-each></v></xsl:template>
    </xsl:stylesheet>
    """)"#,
            Expect::Sets("sorted", "<v><a>apple</a><a>Fig</a><a>pear</a></v>"),
        ),
        example(
            "a parameter",
            r#"TransformXml(source: "<v/>", target: "out", parameters: json { "who": "<me>" }, stylesheet: xml """
    <xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform">
    <xsl:output omit-xml-declaration="yes"/>
    <xsl:param name="who">nobody</xsl:param>
    <xsl:template match="/"><hello to="{$who}"/></xsl:template>
    </xsl:stylesheet>
    """)"#,
            Expect::Sets("out", "<hello to=\"&lt;me&gt;\"/>"),
        ),
        example(
            "no XML",
            r#"TransformXml(source: "none", target: "out", stylesheet: xml """
    <xsl:stylesheet version="1.0" xmlns:xsl="http://www.w3.org/1999/XSL/Transform"/>
    """)"#,
            Expect::Fails,
        ),
    ],
    also: &["Apply XSL Transformation", "XSL Transformation"],
    repeatable: true,
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let given = p.value("stylesheet");
        let text = given.as_const().map(|text| text.as_text().into_owned());
        let text = text.ok_or_else(|| p.refuse("stylesheet", "it must be a literal, without variables"))?;
        let sheet = Stylesheet::read(&text).map_err(|refused| p.refuse("stylesheet", &refused.to_string()))?;
        Runnable::io(TransformXml {
            source: p.value("source"),
            sheet: Arc::new(sheet),
            parameters: p.optional("parameters"),
            target: p.target("target")?,
        })
    },
};

struct TransformXml {
    source: Expr,
    sheet: Arc<Stylesheet>,
    parameters: Option<Expr>,
    target: Slot,
}

#[async_trait]
impl AsyncAssertion for TransformXml {
    async fn run(&self, ctx: &mut Ctx) -> Verdict {
        let parameters = self.parameters.as_ref().map(|parameters| parameters.eval(ctx).to_json());
        let parameters = parameters.iter().filter_map(|json| json.as_object()).flatten().filter(|(_, json)| !json.is_null());
        let parameters =
            parameters.map(|(name, json)| (name.clone(), crate::data::json::value(json).as_text().into_owned())).collect();
        let work = Work { source: self.source.to_text(ctx), sheet: Arc::clone(&self.sheet), parameters };
        ctx.set(self.target, Value::Undefined);
        let in_place = if work.source.len() <= BYTES_IN_PLACE {
            let budget = Budget::of(STEPS_IN_PLACE, BYTES);
            let result = work.run(LEVELS_IN_PLACE, &budget);
            Some(result).filter(|result| !budget.is_exhausted() && *result != Err(TOO_DEEP))
        } else {
            None
        };
        let result = match in_place {
            Some(result) => result,
            None => budget::run_deep(STACK, move |budget| work.run(LEVELS, budget)).await?,
        };
        match result {
            Ok(text) if self.sheet.makes_text() => ctx.set(self.target, Value::from(text)),
            Ok(text) => ctx.set(self.target, Value::Markup(Syntax::Xml, text.into())),
            Err(reason) => return falsified(reason),
        }
        HELD
    }
}

/// Everything that a transformation needs to run on another thread.
struct Work {
    source: SmolStr,
    sheet: Arc<Stylesheet>,
    parameters: BTreeMap<String, String>,
}

impl Work {
    fn run(&self, levels: usize, budget: &Budget) -> Result<String, &'static str> {
        let document = crate::data::xml::parse(&self.source)?;
        self.sheet.transform(&document, &self.parameters, levels, budget)
    }
}
