//! `RouteHttp`: a call without TLS.

use portcullis_dsl::spec::{Expect, Kind, Prop, Spec, example, sets};

use super::{Route, Schemes, props, routing_sets};
use crate::policy::assertion::{Entry, Runnable};

static SPEC: Spec = Spec {
    name: "RouteHttp",
    category: "routing",
    summary: "Calls a server over plain HTTP. A call to this gateway runs the policy in process.",
    props: props![],
    sets: routing_sets!(),
    fails: &["there is no answer", "the answer's status is 400 or more, unless `fail_on_error_status` is false"],
    examples: &[
        example("nobody listens", r#"RouteHttp(url: "http://127.0.0.1:1/")"#, Expect::Fails),
        example(
            "the reason is told apart",
            "RouteHttp(url: \"http://127.0.0.1:1/\") else Continue\n\
             set told = \"${httpRouting.reasonCode} for ${httpRouting.url} after ${httpRouting.latency} ms\"",
            Expect::Sets("httpRouting.reasonCode", "-5"),
        ),
        example(
            "the answer in a variable",
            "default answer: message = \"none\"\nRouteHttp(url: \"http://127.0.0.1:1/\", response: \"answer\") else Continue",
            Expect::Sets("answer", "none"),
        ),
        example("a URL of another scheme", "set where = \"https://example.com/\"\nRouteHttp(url: ${where})", Expect::Fails),
    ],
    also: &["Route via HTTP"],
    ..Spec::PLAIN
};

pub static ENTRY: Entry = Entry { spec: &SPEC, build: |p| Runnable::io(Route::build(p, |_| Schemes::Plain)?) };
