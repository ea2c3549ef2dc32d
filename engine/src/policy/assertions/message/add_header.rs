//! `AddHeader`: a header field on a message.

use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example};

use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::ctx::{Ctx, MessageRef};
use crate::policy::expr::Expr;
use crate::data::fault::{HELD, Verdict, falsified};

static SPEC: Spec = Spec {
    name: "AddHeader",
    category: "message",
    summary: "Adds a header field. Fields on `response` go out with every answer of the policy, including its error answer. If \
              the request is forwarded, fields on it arrive whatever the client sent. If another server's answer becomes the \
              response, fields on it replace those of the same name.",
    props: &[
        Prop::optional("target", Kind::MessageName, Literal::Text("request"), "The message: `request`, `response` or a variable."),
        Prop::required("name", Kind::Text, "Name of the field."),
        Prop::required("value", Kind::Value, "Its value; a list gives one field each."),
        Prop::optional("replace", Kind::Bool, Literal::Bool(false), "Whether fields of the same name are removed first. On a \
                                                                     message from a client, the client's fields are also \
                                                                     removed if this is left out; `false` keeps them."),
    ],
    sets: &[],
    fails: &["HTTP does not allow the name or value, for example because of a line break"],
    examples: &[
        example(
            "on the policy's own message",
            "set m: message = \"body\"\nAddHeader(target: \"m\", name: \"X-Trace\", value: \"1\")\nset seen = \
                ${m.http.header.x-trace}",
            Expect::Sets("seen", "1"),
        ),
        example(
            "in place of others",
            "AddHeader(name: \"X-A\", value: [\"1\", \"2\"])\nAddHeader(name: \"X-A\", value: \"3\", replace: true)\n\
             set seen = ${request.http.headerValues.x-a}",
            Expect::Sets("seen", "3"),
        ),
        example("response splitting", r#"AddHeader(target: "response", name: "X-A", value: "1\r\nX-B: 2")"#, Expect::Fails),
    ],
    also: &["Manage Transport Properties/Headers", "Add Header"],
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        if p.optional_literal("name").ok().flatten().is_some_and(|name| name.eq_ignore_ascii_case("set-cookie")) {
            let value = p.value("value");
            p.own_cookie(&value);
        }
        Runnable::sync(AddHeader {
            target: p.message("target")?,
            name: p.value("name"),
            value: p.value("value"),
            keep_received: p.has("replace"),
            replace: p.value("replace"),
        })
    },
};

struct AddHeader {
    target: MessageRef,
    name: Expr,
    value: Expr,
    replace: Expr,
    /// Whether the author said that the client's fields stay.
    keep_received: bool,
}

impl Assertion for AddHeader {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let name = self.name.to_text(ctx);
        let value = self.value.eval(ctx);
        let replace = self.replace.eval(ctx).to_bool() == Some(true);
        let Ok(name) = http::HeaderName::from_bytes(name.as_bytes()) else { return falsified("not a header name") };
        let mut fields = Vec::new();
        for value in value.values() {
            let Ok(value) = http::HeaderValue::from_str(&value.as_text()) else { return falsified("not a header value") };
            fields.push(value);
        }
        let message = ctx.message_mut(self.target);
        // A reader of only the first field of a name would otherwise get the client's.
        if replace || (message.received && !self.keep_received && !message.placed.contains(&name)) {
            message.headers.remove(&name);
        }
        for value in fields {
            message.headers.append(&name, value);
        }
        message.place(&name);
        HELD
    }
}
