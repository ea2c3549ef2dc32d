//! `Route`: a call over TLS or without, as the URL says.

use portcullis_dsl::spec::{Expect, Kind, Literal, Prop, Spec, example, sets};

use super::{Route, Schemes, routing_sets, secure_props};
use crate::policy::assertion::{Entry, Runnable};

static SPEC: Spec = Spec {
    name: "Route",
    category: "routing",
    summary: "Calls a server over HTTPS, or also over plain HTTP: for URLs from settings. A call to this gateway runs the policy in \
              process.",
    props: secure_props![Prop::optional(
        "plain_http",
        Kind::Bool,
        Literal::Bool(false),
        "Whether URLs may also be http://; then nothing is encrypted, and `key` and `trust` count for https:// alone. A literal. A URL \
         that is written as `\"http://…\"` needs no such leave."
    )],
    sets: routing_sets!(),
    fails: &[
        "the URL is http:// without `plain_http: true`",
        "there is no answer, or the server's certificate is not trusted",
        "the answer's status is 400 or more, unless `fail_on_error_status` is false",
    ],
    examples: &[
        example("nobody listens", r#"Route(url: "https://127.0.0.1:1/", key: "ec")"#, Expect::Fails),
        example(
            "plain HTTP is refused",
            "set where = \"http://127.0.0.1:1/\"\nRoute(url: ${where}) else Continue\n\
             set told = \"${httpRouting.reasonCode} ${httpRouting.url} ${httpRouting.latency}\"",
            Expect::Sets("httpRouting.reasonCode", "-2"),
        ),
        example(
            "plain HTTP is allowed",
            "set where = \"http://127.0.0.1:1/\"\nRoute(url: ${where}, plain_http: true) else Continue\nset told = ${httpRouting.reasonCode}",
            Expect::Sets("told", "-5"),
        ),
        example(
            "the answer in a variable",
            "default answer: message = \"none\"\nRoute(url: \"http://127.0.0.1:1/\", response: \"answer\") else Continue",
            Expect::Sets("answer", "none"),
        ),
    ],
    also: &["Route via HTTP(S)", "HTTP Routing"],
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| {
        let plain = p.flag("plain_http")?;
        let schemes = |written: Option<&str>| if plain || written == Some("http") { Schemes::Either } else { Schemes::Secure };
        Runnable::io(Route::build(p, schemes)?)
    },
};
