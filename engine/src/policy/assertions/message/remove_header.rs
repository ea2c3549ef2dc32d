//! `RemoveHeader`: removes header fields from a message.

use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example};

use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::ctx::{Ctx, MessageRef};
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict, falsified};
use crate::policy::pattern::Pattern;

static SPEC: Spec = Spec {
    name: "RemoveHeader",
    category: "message",
    summary: "Removes header fields. Also succeeds if there is none of the name.",
    props: &[
        Prop::optional("target", Kind::MessageName, Literal::Text("request"), "The message: `request`, `response` or a variable."),
        Prop::required("name", Kind::Text, "Name of the field."),
        Prop::absent("value", Kind::Text, "Regular expression: only fields whose value it matches are removed."),
    ],
    sets: &[],
    fails: &["the pattern has variables and does not become a regular expression"],
    examples: &[
        example(
            "all of a name",
            "AddHeader(name: \"X-A\", value: [\"1\", \"2\"])\nRemoveHeader(name: \"x-a\")\nset left = \
                count(${request.http.headerValues.x-a})",
            Expect::Sets("left", "0"),
        ),
        example(
            "one of several",
            "AddHeader(name: \"X-A\", value: [\"1\", \"2\"])\nRemoveHeader(name: \"X-A\", value: \"^1$\")\nset left = \
                ${request.http.header.x-a}",
            Expect::Sets("left", "2"),
        ),
        example("no pattern", "set p = \"(\"\nRemoveHeader(name: \"X-A\", value: ${p})", Expect::Fails),
    ],
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let value = if p.has("value") { Some(p.pattern("value", false)?) } else { None };
        Runnable::sync(RemoveHeader { target: p.message("target")?, name: p.value("name"), value })
    },
};

struct RemoveHeader {
    target: MessageRef,
    name: Expr,
    value: Option<Pattern>,
}

impl Assertion for RemoveHeader {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let name = self.name.to_text(ctx);
        let Some(value) = &self.value else {
            ctx.message_mut(self.target).headers.remove(name.as_str());
            return HELD;
        };
        let Some(regex) = value.regex(ctx).map(std::borrow::Cow::into_owned) else {
            return falsified("the pattern is not a regular expression");
        };
        let headers = &mut ctx.message_mut(self.target).headers;
        let Ok(name) = http::HeaderName::from_bytes(name.as_bytes()) else { return HELD };
        let fits = |field: &http::HeaderValue| regex.is_match(&String::from_utf8_lossy(field.as_bytes()));
        let kept: Vec<_> = headers.get_all(&name).iter().filter(|field| !fits(field)).cloned().collect();
        headers.remove(&name);
        for field in kept {
            headers.append(&name, field);
        }
        HELD
    }
}
