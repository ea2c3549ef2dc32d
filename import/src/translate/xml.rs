//! Stylesheets.

use portcullis_dsl::ast::{Expr, ExprKind, Json, Syntax, Type};

use super::build::{self, arg, call, function, is_variable, lit, native, set, var};
use super::{Made, Translator};
use crate::model::{Prop, Step};

const XSL: &str = "http://www.w3.org/1999/XSL/Transform";

impl Translator<'_> {
    /// `XslTransformation`. Whether the gateway can run the stylesheet, its check says.
    pub fn transform_xml(&mut self, step: &Step) -> Made {
        let source = ["resourceInfo", "stylesheet"].iter().find_map(|name| match step.prop(name)? {
            Prop::Text(text) => Some(text.as_str()),
            resource => ["document", "doc", "stylesheet"].iter().find_map(|name| resource.text_of(name)),
        });
        let Some(sheet) = source.map(str::trim).filter(|sheet| sheet.contains(XSL)).map(str::to_owned) else {
            return Made::missing("a stylesheet that stands elsewhere");
        };
        if step.text("whichMimePart").parse().is_ok_and(|part: u32| part > 0) {
            return Made::missing("a part of a message other than the first");
        }
        let named = step.prop("target").is_some() || !step.text("otherTargetMessageVariable").is_empty();
        let target = match step.text("direction") {
            "2" if !named => "response".to_owned(),
            _ if !named => "request".to_owned(),
            _ => self.target(step, "target"),
        };
        if target == "request" {
            return Made::missing("another body of the request itself");
        }
        let kept = self.fresh("transformed");
        let mut args = vec![arg("source", self.source(&target)), arg("stylesheet", sheet_literal(&sheet))];
        // There every variable of a parameter's name was its value.
        let members = params(&sheet).into_iter().filter(|name| is_variable(name));
        let members: Vec<_> =
            members.filter_map(|name| Some((build::literal_parts(&name), true, Json::Value(self.variable(&name)?)))).collect();
        if !members.is_empty() {
            args.push(arg("parameters", build::object(members)));
        }
        args.push(arg("target", lit(&kept)));
        let mut made = vec![call(native("TransformXml", args))];
        if target == "response" {
            let status = function("coalesce", vec![var("response.http.status"), build::int(200)]);
            let kind = function("coalesce", vec![var("response.contentType"), lit("text/xml; charset=utf-8")]);
            made.push(call(native("Respond", vec![arg("status", status), arg("type", kind), arg("body", var(&kept))])));
            return Made::rewritten(made, "the transformed response is drafted");
        }
        let _ = self.target_name(&target);
        let kind = var(&format!("{target}.contentType"));
        made.push(set(&target, Some(Type::Message), function("message", vec![var(&kept), kind])));
        Made::rewritten(made, "the result becomes the message's body")
    }
}

fn sheet_literal(sheet: &str) -> Expr {
    build::expr(ExprKind::Template(Syntax::Xml, build::literal_parts(&sheet.replace("\r\n", "\n"))))
}

/// Names of a stylesheet's own parameters.
fn params(sheet: &str) -> Vec<String> {
    let Ok(document) = roxmltree::Document::parse(sheet) else { return Vec::new() };
    let parts = document.root_element().children().filter(|part| part.has_tag_name((XSL, "param")));
    parts.filter_map(|part| part.attribute("name")).map(str::to_owned).collect()
}
