//! Header fields that a policy gives as a JSON object.

use http::{HeaderMap, HeaderName, HeaderValue};
use thiserror::Error;

use crate::data::value::Value;
use crate::policy::assertion::Places;
use crate::policy::ctx::Ctx;
use crate::policy::exec::spare;
use crate::policy::expr::{Expr, JsonNode, Piece, fixed};

/// A name or value that HTTP does not allow. Its text contains no value.
#[derive(Debug, Error)]
#[error("`{0}` is not a valid header field")]
pub struct NoField(pub String);

/// Header fields from a JSON object: names with texts or lists of texts. As much as possible is evaluated when the policy loads.
pub enum Fields {
    /// All constant.
    Fixed(HeaderMap),
    /// The names are constant.
    Named(Vec<(HeaderName, Expr)>),
    /// Anything.
    Any(Expr),
}

impl Fields {
    /// From an object; without one there are none.
    pub fn new(object: Option<Expr>) -> Fields {
        let Some(object) = object else { return Fields::Fixed(HeaderMap::new()) };
        match &object {
            Expr::Const(value) => of_object(&value.to_json()).map_or_else(|_| Fields::Any(object.clone()), Fields::Fixed),
            Expr::Json(node) => named(node).map_or_else(|| Fields::Any(object.clone()), Fields::Named),
            _ => Fields::Any(object),
        }
    }

    /// The same with their variables in these places.
    pub fn placed(&self, places: &dyn Places) -> Fields {
        match self {
            Fields::Fixed(headers) => Fields::Fixed(headers.clone()),
            Fields::Named(fields) => {
                Fields::Named(fields.iter().map(|(name, value)| (name.clone(), places.expr(value))).collect())
            }
            Fields::Any(object) => Fields::Any(places.expr(object)),
        }
    }

    /// The expressions of their `Set-Cookie` fields.
    pub fn cookies(&self) -> Vec<Expr> {
        match self {
            Fields::Fixed(headers) => {
                let fields = headers.get_all(http::header::SET_COOKIE).iter();
                fields.filter_map(|field| field.to_str().ok()).map(Expr::constant).collect()
            }
            Fields::Named(fields) => {
                fields.iter().filter(|(name, _)| name == http::header::SET_COOKIE).map(|(_, value)| value.clone()).collect()
            }
            Fields::Any(_) => Vec::new(),
        }
    }

    /// The constant names.
    pub fn names(&self) -> Vec<HeaderName> {
        match self {
            Fields::Fixed(headers) => headers.keys().cloned().collect(),
            Fields::Named(fields) => fields.iter().map(|(name, _)| name.clone()).collect(),
            Fields::Any(_) => Vec::new(),
        }
    }

    /// The fields of this run.
    pub fn make(&self, ctx: &Ctx) -> Result<HeaderMap, NoField> {
        match self {
            Fields::Fixed(headers) if headers.is_empty() => Ok(spare::fields()),
            Fields::Fixed(headers) => Ok(headers.clone()),
            Fields::Named(fields) => {
                let mut headers = spare::fields();
                for (name, expr) in fields {
                    let added = match expr.eval(ctx) {
                        Value::Text(text) => append(&mut headers, name, &text),
                        other => append_all(&mut headers, name, &other.to_json()),
                    };
                    added.ok_or_else(|| NoField(name.to_string()))?;
                }
                Ok(headers)
            }
            Fields::Any(object) => of_object(&object.eval(ctx).to_json()),
        }
    }

    /// The same with the variables' current values.
    pub fn settled(&self, ctx: &Ctx) -> Fields {
        match self {
            Fields::Fixed(headers) => Fields::Fixed(headers.clone()),
            Fields::Named(fields) => {
                Fields::Named(fields.iter().map(|(name, expr)| (name.clone(), Expr::Const(expr.eval(ctx)))).collect())
            }
            Fields::Any(object) => Fields::Any(Expr::Const(object.eval(ctx))),
        }
    }
}

fn named(node: &JsonNode) -> Option<Vec<(HeaderName, Expr)>> {
    let JsonNode::Object(members) = node else { return None };
    let field = |member: &(Vec<Piece>, bool, JsonNode)| match member {
        (key, false, JsonNode::Value(value)) => Some((HeaderName::from_bytes(fixed(key)?.as_bytes()).ok()?, value.clone())),
        _ => None,
    };
    members.iter().map(field).collect()
}

fn of_object(value: &serde_json::Value) -> Result<HeaderMap, NoField> {
    let mut headers = HeaderMap::new();
    for (name, value) in value.as_object().into_iter().flatten() {
        let field = HeaderName::from_bytes(name.as_bytes()).ok();
        field.and_then(|field| append_all(&mut headers, &field, value)).ok_or_else(|| NoField(name.clone()))?;
    }
    Ok(headers)
}

/// A field for each value of a list, otherwise one. `None`: HTTP does not allow it.
fn append_all(headers: &mut HeaderMap, name: &HeaderName, value: &serde_json::Value) -> Option<()> {
    for value in value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice) {
        match value.as_str() {
            Some(text) => append(headers, name, text)?,
            None => append(headers, name, &value.to_string())?,
        }
    }
    Some(())
}

fn append(headers: &mut HeaderMap, name: &HeaderName, text: &str) -> Option<()> {
    headers.append(name, HeaderValue::from_str(text).ok()?);
    Some(())
}
