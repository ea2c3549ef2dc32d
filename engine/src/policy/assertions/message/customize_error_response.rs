//! `CustomizeErrorResponse`: the answer if the policy fails.

use std::sync::Arc;

use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example};

use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::answer::error::ErrorTemplate;
use crate::policy::answer::fields::Fields;
use crate::policy::ctx::Ctx;
use crate::data::fault::{HELD, Verdict};

static SPEC: Spec = Spec {
    name: "CustomizeErrorResponse",
    category: "message",
    summary: "Registers the answer to send if the policy fails; the last one registered wins. In a service, variables are read \
              when the policy has failed, so later assignments count; in an encapsulated assertion they are read at once. \
              Always succeeds.",
    props: &[
        Prop::optional("status", Kind::Int, Literal::Int(500), "HTTP status."),
        Prop::optional("type", Kind::Text, Literal::Text("text/plain;charset=UTF-8"), "Content type."),
        Prop::absent("body", Kind::Value, "Body."),
        Prop::absent("headers", Kind::Object, "Further header fields, `json { \"Name\": \"value\" }`."),
    ],
    sets: &[],
    fails: &[],
    examples: &[example("a plain one", r#"CustomizeErrorResponse(status: 400, body: "sorry")"#, Expect::Holds)],
    also: &["Customize Error Response"],
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let template = ErrorTemplate {
            status: p.status("status")?,
            content_type: p.value("type"),
            body: p.value("body"),
            headers: Fields::new(p.optional("headers")),
        };
        Runnable::sync(CustomizeErrorResponse { template: Arc::new(template) })
    },
};

struct CustomizeErrorResponse {
    template: Arc<ErrorTemplate>,
}

impl Assertion for CustomizeErrorResponse {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        // The variables of an encapsulated assertion are gone when the policy has failed.
        let template = if ctx.base == 0 { Arc::clone(&self.template) } else { Arc::new(self.template.settled(ctx)) };
        ctx.error_draft = Some(template);
        HELD
    }
}
