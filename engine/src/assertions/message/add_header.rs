//! `AddHeader`: a header field on a message.

use portcullis_dsl::spec::{Expect, Kind, Prop, Spec, example};

use crate::assertion::{Assertion, Entry, Runnable};
use crate::ctx::{Ctx, MessageRef};
use crate::expr::Expr;
use crate::fault::{HELD, Verdict, falsified};

static SPEC: Spec = Spec {
    name: "AddHeader",
    category: "message",
    summary: "Adds a header field. Fields on `response` go out with every answer of the policy, also with its error answer.",
    props: &[
        Prop::optional("target", Kind::MessageName, "\"request\"", "The message: `request`, `response` or a variable."),
        Prop::required("name", Kind::Text, "Name of the field."),
        Prop::required("value", Kind::Value, "Its value; a list gives one field each."),
        Prop::optional("replace", Kind::Bool, "false", "Whether fields of the same name are removed first."),
    ],
    sets: &[],
    fails: &["name or value is nothing that HTTP allows: a line break, for one"],
    block: false,
    examples: &[
        example(
            "on a message of one's own",
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
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        Runnable::sync(AddHeader {
            target: p.message("target")?,
            name: p.value("name"),
            value: p.value("value"),
            replace: p.value("replace"),
        })
    },
};

struct AddHeader {
    target: MessageRef,
    name: Expr,
    value: Expr,
    replace: Expr,
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
        let headers = &mut ctx.message_mut(self.target).headers;
        if replace {
            headers.remove(&name);
        }
        for value in fields {
            headers.append(&name, value);
        }
        HELD
    }
}
