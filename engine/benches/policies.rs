//! What policies cost, stage by stage, without a socket: a reload (parse, check, compile everything that ships), a request to an empty
//! policy, and conditions. `cargo bench -p portcullis`; figures for whole requests come from the load tool (`tests/load`).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a benchmark stops where it stands"
)]

use std::hint::black_box;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use http::{HeaderValue, Method};
use portcullis::Ctx;
use portcullis::Home;
use portcullis::Request;
use portcullis::Services;
use portcullis::exec;
use portcullis::{Routed, Site};
use portcullis_dsl::{Origin, Sources};

/// Compiles policies from text.
fn site(text: &str) -> Arc<Site> {
    let mut sources = Sources::default();
    sources.add("services/bench.policy", text.to_owned(), Origin::Operator);
    let (site, library, diagnostics) = Site::build(sources, Arc::new(Services::default()), "", &[]);
    Arc::new(site.unwrap_or_else(|| panic!("{}", portcullis_dsl::diagnostic::render(&diagnostics, library.sources(), false))))
}

/// Runs a future that never waits.
fn now<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("a policy without I/O waited"),
    }
}

fn request() -> Request {
    let mut request = Request::new(Method::GET, "/api/v1/things");
    request.secure = true;
    request.host = "api.example".into();
    request.query = "kind=small&lang=en".into();
    request.message.headers.insert("x-channel", HeaderValue::from_static("mobile"));
    request.message.headers.insert("accept", HeaderValue::from_static("application/json"));
    request
}

/// The policy of ten conditions (method, path prefix, header, scope in a list, string compares) and three assignments, with `more`
/// further conditions.
fn conditions(more: &[&str]) -> String {
    format!(
        r#"service "Conditions" at "/api/*" {{
            set granted = ["openid", "profile", "read", "write"]
            set tier = "gold"
            set region = "eu-west"
            ${{request.http.method}} == "GET"
            ${{request.url.path}} starts with "/api/v1/"
            ${{request.http.header.x-channel}} == "mobile"
            "read" in ${{granted}}
            ${{tier}} == "gold"
            ${{region}} starts with "eu-"
            ${{request.http.secure}} == true
            ${{request.http.header.accept}} contains "json"
            ${{tier}} != "bronze"
            ${{region}} is not empty
            {}
        }}"#,
        more.join("\n")
    )
}

/// Further conditions by kind, repeated to ten. What several in a row compare is read once, so there are also kinds that take turns.
const FURTHER: &[(&str, &[&str])] = &[
    ("method", &[r#"${request.http.method} == "GET""#]),
    ("path prefix", &[r#"${request.url.path} starts with "/api/""#]),
    ("method and path prefix in turn", &[r#"${request.http.method} == "GET""#, r#"${request.url.path} starts with "/api/""#]),
    ("header", &[r#"${request.http.header.x-channel} == "mobile""#]),
    (
        "two headers in turn",
        &[r#"${request.http.header.x-channel} == "mobile""#, r#"${request.http.header.accept} starts with "application/""#],
    ),
    ("in list", &[r#""write" in ${granted}"#]),
    ("string equality", &[r#"${tier} == "gold""#]),
    ("string prefix", &[r#"${region} starts with "eu""#]),
];

fn run(bench: &mut Criterion, name: &str, text: &str) {
    let site = site(text);
    let frame = match site.route("/api/v1/things") {
        Routed::To(endpoint, ..) => Arc::clone(&endpoint.route(&Method::GET).expect("a service").frame),
        _ => panic!("there is no service"),
    };
    let program = Arc::clone(&site.program);
    let mut ctx = Ctx::new(site.clone(), request(), "Conditions".into());
    bench.bench_function(name, |b| {
        b.iter(|| {
            let started = exec::start(&program, &frame, black_box(&mut ctx));
            assert!(matches!(started, exec::Started::Ended(exec::Ending::Held)));
        });
    });
}

fn policies(bench: &mut Criterion) {
    let root = std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let home = Home::at(std::env::temp_dir().join("portcullis-bench-home"), Some(root));
    let sources = home.sources().unwrap_or_else(|problems| panic!("{}", problems[0]));
    let gateway = Arc::new(Services::default());
    bench.bench_function("all shipped policies, read to compiled", |b| {
        b.iter(|| Site::build(home.sources().unwrap_or_default(), Arc::clone(&gateway), "", &[]).0.is_some());
    });
    bench.bench_function("all shipped policies, parsed and compiled", |b| {
        b.iter_batched(|| sources.clone(), |sources| Site::build(sources, Arc::clone(&gateway), "", &[]), BatchSize::LargeInput);
    });

    let empty = site(r#"service "Empty" at "/api/*" { Respond(body: "hello") }"#);
    bench.bench_function("a request to a policy of one Respond", |b| {
        b.iter_batched(request, |request| now(empty.handle(request).into_future()).status(), BatchSize::SmallInput);
    });

    run(bench, "ten conditions, three assignments", &conditions(&[]));
    for (kind, further) in FURTHER {
        let further: Vec<&str> = further.iter().copied().cycle().take(10).collect();
        run(bench, &format!("ten conditions and ten more: {kind}"), &conditions(&further));
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(50);
    targets = policies
}
criterion_main!(benches);
