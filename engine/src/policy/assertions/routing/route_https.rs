//! `RouteHttps`: a call over TLS.

use portcullis_dsl::spec::{Expect, Kind, Prop, Spec, example, sets};

use super::{Route, Schemes, routing_sets, secure_props};
use crate::policy::assertion::{Entry, Runnable};

static SPEC: Spec = Spec {
    name: "RouteHttps",
    category: "routing",
    summary: "Calls a server over HTTPS. The gateway's own authority, those in `keys/trusted/` and those of \
              `outbound` in `gateway.yaml` are trusted. A call to this gateway runs the policy in process.",
    props: secure_props![],
    sets: routing_sets!(),
    fails: &[
        "there is no answer, or the server's certificate is not trusted",
        "the answer's status is 400 or more, unless `fail_on_error_status` is false",
    ],
    examples: &[
        example("nobody listens", r#"RouteHttps(url: "https://127.0.0.1:1/", key: "ec")"#, Expect::Fails),
        example(
            "the reason is told apart",
            "set where = \"ftp://example.com/\"\nRouteHttps(url: ${where}, prefix: \"call\") else Continue\nset told = \"${call.reasonCode} ${call.url} ${call.latency}\"",
            Expect::Sets("call.reasonCode", "-2"),
        ),
        example(
            "the answer in a variable",
            "default answer: message = \"none\"\nRouteHttps(url: \"https://127.0.0.1:1/\", response: \"answer\") else Continue",
            Expect::Sets("answer", "none"),
        ),
    ],
    also: &["Route via HTTPS"],
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry {
    spec: &SPEC,
    build: |p| Runnable::io(Route::build(p, |_| Schemes::Secure)?),
};
