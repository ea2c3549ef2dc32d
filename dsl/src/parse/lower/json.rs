//! JSON templates.

use super::items::unreachable_rule;
use super::{Lower, Node, Rule};
use crate::ast::{Comments, ExprKind, Json, JsonMember, Part};
use crate::codes;
use crate::span::Spanned;

impl Lower<'_> {
    pub fn json_value(&mut self, node: Node<'_>) -> Option<Json> {
        match node.as_rule() {
            Rule::json_object => {
                let said = self.out.len();
                let members = self.entries(node, |lower, node| lower.member(node), |member| &mut member.comments);
                (self.out.len() == said).then_some(Json::Object(members))
            }
            Rule::json_array => {
                let said = self.out.len();
                let one = |lower: &mut Self, node: Node<'_>| lower.json_value(node).map(|value| (value, Comments::default()));
                let entries = self.entries(node, one, |entry| &mut entry.1);
                let mut values = Vec::with_capacity(entries.len());
                for (value, comments) in entries {
                    self.loosen(comments);
                    values.push(value);
                }
                (self.out.len() == said).then_some(Json::Array(values))
            }
            Rule::json_null => {
                self.spelling(&node, "null");
                Some(Json::Null)
            }
            Rule::value => {
                let expr = self.expr(node)?;
                Some(match *expr.kind {
                    // `json` inside JSON changes nothing; a list of values is an array.
                    ExprKind::Json(inner) => inner,
                    _ => Json::Value(expr),
                })
            }
            rule => {
                unreachable_rule(rule);
                None
            }
        }
    }

    fn member(&mut self, node: Node<'_>) -> Option<JsonMember> {
        let span = Spanned::new((), self.span(&node));
        let (mut key, mut optional, mut value) = (None, false, None);
        for child in node.into_inner() {
            match child.as_rule() {
                Rule::string => {
                    let expr = self.string(&child);
                    key = match *expr.kind {
                        ExprKind::Text(parts) => Some(parts),
                        _ => None,
                    };
                }
                Rule::single_quoted => {
                    self.single_quotes(&child);
                    key = Some(vec![Part::Text(child.as_str().trim_matches('\'').to_owned())]);
                }
                Rule::bare_key => {
                    let (text, place) = (child.as_str(), self.span(&child));
                    self.error(
                        codes::BARE_KEY,
                        format!("the member name `{text}` needs quotes"),
                        place,
                        format!("write `\"{text}\"`"),
                    );
                    key = Some(vec![Part::Text(text.to_owned())]);
                }
                Rule::optional_mark => optional = true,
                Rule::colon => {}
                _ => value = Some(self.json_value(child)),
            }
        }
        Some(JsonMember { key: key?, optional, value: value??, comments: Comments::default(), span })
    }
}
