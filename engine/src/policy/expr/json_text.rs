//! The text of a JSON template, without building the tree.

use super::{Expr, JsonNode, Piece, fixed, quote, write_json};
use crate::policy::ctx::Ctx;

/// A JSON template as text: what is known of it is written when the policy loads.
pub struct JsonText {
    parts: Vec<Part>,
    /// What comes after them.
    end: Vec<u8>,
}

enum Part {
    /// Text, and the value after it.
    Value(Vec<u8>, Expr),
    /// Text, and a member that is left out if its value is empty: its name and colon, and its value.
    Optional(Vec<u8>, Vec<u8>, Expr),
    /// Text, and the end of an object that has such members: each member has a comma after it.
    Close(Vec<u8>),
}

impl JsonText {
    /// Of a template. `None` if names depend on variables, or a name occurs twice: then the tree says which member counts.
    pub fn of(node: &JsonNode) -> Option<JsonText> {
        node.has_fixed_names().then(|| {
            let mut text = JsonText { parts: Vec::new(), end: Vec::new() };
            text.node(node);
            text
        })
    }

    fn node(&mut self, node: &JsonNode) {
        match node {
            JsonNode::Object(members) => self.object(members),
            JsonNode::Array(items) => {
                self.end.push(b'[');
                for (at, item) in items.iter().enumerate() {
                    if at > 0 {
                        self.end.push(b',');
                    }
                    self.node(item);
                }
                self.end.push(b']');
            }
            JsonNode::Value(Expr::Const(value)) => write_json(&mut self.end, &value.to_json()),
            JsonNode::Value(value) => {
                let text = std::mem::take(&mut self.end);
                self.parts.push(Part::Value(text, value.clone()));
            }
            JsonNode::Null => self.end.extend_from_slice(b"null"),
        }
    }

    fn object(&mut self, members: &[(Vec<Piece>, bool, JsonNode)]) {
        self.end.push(b'{');
        let mut optional = false;
        for (key, left_out, node) in members {
            let mut name = Vec::new();
            quote(&mut name, fixed(key).unwrap_or_default());
            name.push(b':');
            match node {
                JsonNode::Value(value) if *left_out => {
                    let text = std::mem::take(&mut self.end);
                    self.parts.push(Part::Optional(text, name, value.clone()));
                    optional = true;
                }
                node => {
                    self.end.append(&mut name);
                    self.node(node);
                    self.end.push(b',');
                }
            }
        }
        if optional {
            let text = std::mem::take(&mut self.end);
            self.parts.push(Part::Close(text));
        } else {
            if !members.is_empty() {
                self.end.pop();
            }
            self.end.push(b'}');
        }
    }

    /// Appends the text of the tree of [`JsonNode::eval`].
    pub fn write(&self, ctx: &Ctx, out: &mut Vec<u8>) {
        for part in &self.parts {
            match part {
                Part::Value(text, value) => {
                    out.extend_from_slice(text);
                    value.view(ctx).write_json(out);
                }
                Part::Optional(text, name, value) => {
                    out.extend_from_slice(text);
                    let value = value.view(ctx);
                    if !value.is_empty() {
                        out.extend_from_slice(name);
                        value.write_json(out);
                        out.push(b',');
                    }
                }
                Part::Close(text) => {
                    out.extend_from_slice(text);
                    // No value ends with a comma.
                    if out.last() == Some(&b',') {
                        out.pop();
                    }
                    out.push(b'}');
                }
            }
        }
        out.extend_from_slice(&self.end);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::Method;
    use portcullis_dsl::Sources;

    use super::*;
    use crate::data::value::Value;
    use crate::policy::ctx::{Environment, Slot};
    use crate::policy::request::Request;
    use crate::policy::site::Site;
    use crate::services::Services;

    #[test]
    fn the_text_is_that_of_the_tree() {
        let member = |name: &str, optional, node| (vec![Piece::Literal(name.into())], optional, node);
        let (full, empty) = (|| JsonNode::Value(Expr::Slot(Slot(0))), || JsonNode::Value(Expr::Slot(Slot(1))));
        let constant = || JsonNode::Value(Expr::constant("c\n,"));
        let inner = JsonNode::Object(vec![member("x", true, empty()), member("y", true, empty())]);
        let nodes = [
            JsonNode::Object(Vec::new()),
            JsonNode::Object(vec![member("a\"", false, full()), member("b", false, empty()), member("c", false, constant())]),
            JsonNode::Object(vec![member("a", true, empty()), member("b", false, constant()), member("c", true, full())]),
            JsonNode::Object(vec![member("a", true, empty())]),
            JsonNode::Object(vec![member("a", false, full()), member("b", true, empty()), member("c", true, JsonNode::Null)]),
            JsonNode::Array(vec![inner, JsonNode::Array(Vec::new()), full(), JsonNode::Null, empty()]),
        ];
        let (site, ..) = Site::build(Sources::default(), Arc::new(Services::default()), "", &[]);
        let site: Arc<dyn Environment> = Arc::new(site.expect("no policies"));
        let mut ctx = Ctx::new(site, Request::new(Method::GET, "/"), "t".into());
        ctx.slots.copy(&[Value::text("\"v\","), Value::empty()]);
        for node in nodes {
            let mut text = Vec::new();
            JsonText::of(&node).expect("its names are fixed").write(&ctx, &mut text);
            assert_eq!(String::from_utf8(text).unwrap(), node.eval(&ctx).to_string());
        }
    }
}
