//! Answers that a policy has drafted.

use http::HeaderValue;
use http::header::CONTENT_TYPE;

use super::fields::Fields;
use crate::data::value::Value;
use crate::policy::ctx::Ctx;
use crate::policy::expr::Expr;

/// The answer that `Respond` or the error assertion drafted.
#[derive(Clone, Debug)]
pub struct Draft {
    /// HTTP status.
    pub status: u16,
    /// Header fields of this answer only.
    pub headers: http::HeaderMap,
    /// Body.
    pub body: bytes::Bytes,
}

/// An error answer whose variables are read when it is needed.
pub struct ErrorTemplate {
    /// HTTP status.
    pub status: Expr,
    /// Content type.
    pub content_type: Expr,
    /// Body.
    pub body: Expr,
    /// Further header fields.
    pub headers: Fields,
}

impl ErrorTemplate {
    /// Fills it in; `None` when its status or headers are not HTTP.
    pub fn render(&self, ctx: &Ctx) -> Option<Draft> {
        let status = self.status.eval(ctx).to_int().filter(|status| (200..600).contains(status))? as u16;
        let mut headers = self.headers.make(ctx).ok()?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(&self.content_type.text(ctx)).ok()?);
        Some(Draft { status, headers, body: body_bytes(self.body.eval(ctx)) })
    }

    /// The same with the variables' present values.
    pub fn settled(&self, ctx: &Ctx) -> ErrorTemplate {
        let settle = |expr: &Expr| Expr::Const(expr.eval(ctx));
        ErrorTemplate {
            status: settle(&self.status),
            content_type: settle(&self.content_type),
            body: settle(&self.body),
            headers: self.headers.settled(ctx),
        }
    }
}

/// A value as it travels.
pub fn body_bytes(body: Value) -> bytes::Bytes {
    match body {
        Value::Undefined => bytes::Bytes::new(),
        Value::Message(message) => message.body.clone(),
        Value::Json(json) => serde_json::to_vec(&*json).unwrap_or_default().into(),
        other => other.as_text().into_owned().into(),
    }
}
