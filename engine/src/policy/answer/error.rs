//! An error answer that a policy prepared.

use http::HeaderValue;
use http::header::CONTENT_TYPE;

use super::draft::{Draft, body_bytes};
use super::fields::Fields;
use crate::policy::ctx::{Ctx, ErrorAnswer};
use crate::policy::expr::Expr;

/// An error answer whose variables are read when it is sent.
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

impl ErrorAnswer for ErrorTemplate {
    fn render(&self, ctx: &Ctx) -> Option<Draft> {
        let status = self.status.eval(ctx).to_int().filter(|status| (200..600).contains(status))? as u16;
        let mut headers = self.headers.make(ctx).ok()?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(&self.content_type.text(ctx)).ok()?);
        Some(Draft { status, headers, body: body_bytes(self.body.eval(ctx)) })
    }
}

impl ErrorTemplate {
    /// The same with the variables' current values.
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
