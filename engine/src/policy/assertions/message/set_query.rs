//! `SetQuery`: other parameters take the place of those in the request's URL.

use portcullis_dsl::spec::{Expect, Kind, Prop, Spec, example};

use crate::data::fault::{HELD, Verdict, falsified};
use crate::policy::assertion::{Assertion, Entry, Runnable};
use crate::policy::ctx::Ctx;
use crate::policy::expr::Expr;

/// Most bytes of a query.
const MOST: usize = 65_536;

static SPEC: Spec = Spec {
    name: "SetQuery",
    category: "message",
    summary: "Puts another query in the place of the one in the request's URL. Everything that is read afterwards sees its parameters: those \
              that came in a signed document instead of the URL, for example. A parameter of the form still counts where the new query does \
              not have it.",
    props: &[Prop::required("query", Kind::Text, "The query without the question mark, encoded as in a URL.")],
    sets: &[],
    fails: &["the query is longer than 65536 bytes, or has characters that no URL has"],
    examples: &[
        example(
            "other parameters",
            "SetQuery(query: \"a=1&b=x+y\")\nset seen = \"${request.http.parameter.a} ${request.http.parameter.b} ${request.url.query}\"",
            Expect::Sets("seen", "1 x y a=1&b=x+y"),
        ),
        example("not a query", "SetQuery(query: \"a=1#b\")", Expect::Fails),
    ],
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry { spec: &SPEC, build: |p| Runnable::sync(SetQuery { query: p.value("query") }) };

struct SetQuery {
    query: Expr,
}

impl Assertion for SetQuery {
    fn run(&self, ctx: &mut Ctx) -> Verdict {
        let query = self.query.to_text(ctx);
        if query.len() > MOST || query.bytes().any(|byte| !(0x21..0x7f).contains(&byte) || byte == b'#') {
            return falsified("this is not a query");
        }
        ctx.request.set_query(&query);
        HELD
    }
}
