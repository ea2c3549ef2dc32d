//! `Respond`: drafts the answer.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderValue;
use http::header::CONTENT_TYPE;
use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example};

use crate::policy::assertion::{Assertion, Entry, Places, Runnable};
use crate::policy::answer::draft::{Draft, body_bytes};
use crate::policy::answer::fields::Fields;
use crate::policy::ctx::Ctx;
use crate::policy::expr::{Expr, JsonNode, JsonText};
use crate::data::fault::{HELD, Verdict, falsified};
use crate::data::value::Value;

static SPEC: Spec = Spec {
    name: "Respond",
    category: "message",
    summary: "Drafts the answer: status, content type, headers, body. The policy continues, and `${response}` shows the draft. A \
              later `Respond` replaces it, but for header fields that say nothing of body or redirect; so does the answer of another \
              server that becomes `response`. A failure drops the draft.",
    props: &[
        Prop::optional("status", Kind::Int, Literal::Int(200), "HTTP status."),
        Prop::absent("type", Kind::Text, "Content type. Left out: it follows from the body: JSON, HTML, XML, otherwise plain \
                                          text."),
        Prop::absent("body", Kind::Value, "Body."),
        Prop::absent("headers", Kind::Object, "Further header fields, `json { \"Name\": \"value\" }`; a list gives several \
            fields of a name."),
    ],
    sets: &[],
    fails: &["the status is not from 200 to 599, or a header is not a valid field"],
    examples: &[
        example("JSON", r#"Respond(body: json { "ok": true })"#, Expect::Holds),
        example(
            "the draft can be read, and the next one keeps its header fields",
            r#"Respond(status: 201, body: "first", headers: json { "X-Kept": "yes" })
set read = "${response.http.status} ${response.mainpart}"
Respond(body: json { "ok": true })
set shown = "${read}, then ${response.http.status} ${response.mainpart} ${response.http.header.x-kept}""#,
            Expect::Sets("shown", r#"201 first, then 200 {"ok":true} yes"#),
        ),
        example("a line break in a header is \
            refused", r#"Respond(status: 302, headers: json { "Location": "/a\r\nX: y" })"#, Expect::Fails),
    ],
    also: &["Return Template Response to Requestor", "Template Response", "Return Template Response", "Hardcoded Response"],
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let headers = Fields::new(p.optional("headers"));
        headers.cookies().iter().for_each(|cookie| p.own_cookie(cookie));
        Runnable::sync(Respond {
            status: p.status("status")?,
            content_type: p.optional("type"),
            body: Body::of(p.value("body")),
            headers,
        })
    },
};

struct Respond {
    status: Expr,
    content_type: Option<Expr>,
    body: Body,
    headers: Fields,
}

enum Body {
    /// The common case, written directly.
    Json(Arc<JsonNode>, JsonText),
    /// A constant, with its natural content type.
    Fixed(Option<HeaderValue>, Bytes),
    Any(Expr),
}

impl Body {
    fn of(body: Expr) -> Body {
        match body {
            Expr::Json(node) => match JsonText::of(&node) {
                Some(text) => Body::Json(node, text),
                None => Body::Any(Expr::Json(node)),
            },
            Expr::Const(body) => Body::Fixed((!body.is_undefined()).then(|| natural_type(&body)), body_bytes(body)),
            body => Body::Any(body),
        }
    }
}

impl Assertion for Respond {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let Some(status) = self.status.eval(ctx).to_int().filter(|status| (200..600).contains(status)) else {
            return falsified("the status is not from 200 to 599");
        };
        let mut headers = match self.headers.make(ctx) {
            Ok(headers) => headers,
            Err(error) => return falsified(error.to_string()),
        };
        let (natural, body) = match &self.body {
            Body::Json(_, body) => {
                let mut text = Vec::with_capacity(256);
                body.write(ctx, &mut text);
                (Some(JSON), text.into())
            }
            Body::Fixed(natural, body) => (natural.clone(), body.clone()),
            Body::Any(body) => {
                let body = body.eval(ctx);
                ((!body.is_undefined()).then(|| natural_type(&body)), body_bytes(body))
            }
        };
        if let Some(content_type) = &self.content_type {
            let Ok(value) = HeaderValue::from_str(&content_type.text(ctx)) else {
                return falsified("the content type is not a valid header value");
            };
            headers.insert(CONTENT_TYPE, value);
        } else if let Some(natural) = natural
            && !headers.contains_key(CONTENT_TYPE)
        {
            headers.insert(CONTENT_TYPE, natural);
        }
        let mut draft = Draft { status: status as u16, headers, body };
        if let Some(former) = ctx.draft.take() {
            draft.keep(former);
        }
        ctx.draft = Some(draft);
        HELD
    }

    fn placed(&self, places: &dyn Places) -> Option<Arc<dyn Assertion>> {
        Some(Arc::new(Respond {
            status: places.expr(&self.status),
            content_type: places.optional(&self.content_type),
            body: match &self.body {
                Body::Json(node, _) => Body::of(places.expr(&Expr::Json(Arc::clone(node)))),
                Body::Fixed(natural, body) => Body::Fixed(natural.clone(), body.clone()),
                Body::Any(body) => Body::of(places.expr(body)),
            },
            headers: self.headers.placed(places),
        }))
    }
}

const JSON: HeaderValue = HeaderValue::from_static("application/json;charset=UTF-8");

/// The natural content type of a value.
pub(super) fn natural_type(body: &Value) -> HeaderValue {
    use portcullis_dsl::ast::Syntax;
    match body {
        Value::Json(_) => JSON,
        Value::Markup(Syntax::Html, _) => HeaderValue::from_static("text/html;charset=UTF-8"),
        Value::Markup(Syntax::Xml, _) => HeaderValue::from_static("text/xml;charset=UTF-8"),
        Value::Message(message) => {
            message.headers.get(CONTENT_TYPE).cloned().unwrap_or(HeaderValue::from_static("application/octet-stream"))
        }
        _ => HeaderValue::from_static("text/plain;charset=UTF-8"),
    }
}
