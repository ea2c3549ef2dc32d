//! `CustomizeErrorResponse`: the answer in case the policy fails.

use std::sync::Arc;

use http::HeaderValue;
use http::header::CONTENT_TYPE;
use portcullis_dsl::spec::{Expect, Kind, Prop, Spec, example};

use super::Fields;
use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::ctx::{Ctx, Draft};
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict};

static SPEC: Spec = Spec {
    name: "CustomizeErrorResponse",
    category: "message",
    summary: "Registers the answer for the case that the policy fails; the last one registered wins. In a service it is filled \
        in when \
              the policy has failed, so later assignments are seen; in an encapsulated assertion at once. Always holds.",
    props: &[
        Prop::optional("status", Kind::Int, "500", "HTTP status."),
        Prop::optional("type", Kind::Text, "\"text/plain;charset=UTF-8\"", "Content type."),
        Prop::absent("body", Kind::Value, "Body."),
        Prop::absent("headers", Kind::Object, "Further header fields, `json { \"Name\": \"value\" }`."),
    ],
    sets: &[],
    fails: &[],
    examples: &[example("a plain one", r#"CustomizeErrorResponse(status: 400, body: "sorry")"#, Expect::Holds)],
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let template = ErrorTemplate {
            status: p.value("status"),
            content_type: p.value("type"),
            body: p.value("body"),
            headers: Fields::new(p.optional("headers")),
        };
        Runnable::sync(CustomizeErrorResponse { template: Arc::new(template) })
    },
};

/// An error answer whose variables are read when it is needed.
pub struct ErrorTemplate {
    status: Expr,
    content_type: Expr,
    body: Expr,
    headers: Fields,
}

impl ErrorTemplate {
    /// Fills it in; `None` when its status or headers are no HTTP.
    pub fn render(&self, ctx: &Ctx) -> Option<Draft> {
        let status = self.status.eval(ctx).to_int().filter(|status| (200..600).contains(status))? as u16;
        let mut headers = self.headers.make(ctx).ok()?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(&self.content_type.text(ctx)).ok()?);
        Some(Draft { status, headers, body: super::respond::body_bytes(self.body.eval(ctx)) })
    }

    fn settled(&self, ctx: &Ctx) -> ErrorTemplate {
        let settle = |expr: &Expr| Expr::Const(expr.eval(ctx));
        ErrorTemplate {
            status: settle(&self.status),
            content_type: settle(&self.content_type),
            body: settle(&self.body),
            headers: self.headers.settled(ctx),
        }
    }
}

struct CustomizeErrorResponse {
    template: Arc<ErrorTemplate>,
}

impl Assertion for CustomizeErrorResponse {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        // Variables of an encapsulated assertion are gone when the policy has failed.
        let template = if ctx.base == 0 { Arc::clone(&self.template) } else { Arc::new(self.template.settled(ctx)) };
        ctx.error_draft = Some(template);
        HELD
    }
}
