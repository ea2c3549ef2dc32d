//! What operators and monitoring see of a gateway.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::tests::{Place, get, options, place, put};
use super::*;

const LISTEN: &str = "monitoring: { listen: \"127.0.0.1:0\" }\n";

async fn serve(place: &Place, settings: &str) -> Serving {
    put(place.dir.path(), "gateway.yaml", &format!("{LISTEN}{settings}"));
    Host::serve(place.home.clone(), options()).await.unwrap_or_else(|error| panic!("{error}"))
}

/// Asks the listener for operators.
async fn ask(serving: &Serving, line: &str, fields: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(serving.admin_address.unwrap()).await.unwrap();
    let host = if fields.contains("Host:") { "" } else { "Host: localhost\r\n" };
    stream.write_all(format!("{line} HTTP/1.1\r\n{host}{fields}Connection: close\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
    (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_have_a_listener_of_their_own() {
    let place = place();
    let serving = serve(&place, "connections: { Main: 'sqlite://data/main.db' }\n").await;
    assert_eq!(ask(&serving, "GET /live", "").await, (200, "live\n".to_owned()));
    assert_eq!(ask(&serving, "GET /ready", "Host: 127.0.0.1:8444\r\n").await, (200, "ready\n".to_owned()));
    assert_eq!(get(&serving, "/hello").await.0, 200);
    let (status, page) = ask(&serving, "GET /metrics", "").await;
    assert_eq!(status, 200);
    for line in [
        "portcullis_requests_total{service=\"Hello\",status=\"200\"} 1\n",
        "portcullis_ready 1.0\n",
        "portcullis_last_reload_ok 1\n",
        "portcullis_certificate_days_left{alias=\"ca\"} ",
        "portcullis_certificate_not_after_seconds{alias=\"default_ssl_key\"} ",
        "portcullis_audit_dropped_total 0",
        "process_resident_memory_bytes ",
    ] {
        assert!(page.contains(line), "{line}: {page}");
    }
    assert!(!page.contains("unknown"), "a family that is not described: {page}");
    let (status, account) = ask(&serving, "GET /status", "").await;
    assert_eq!(status, 200);
    let account: serde_json::Value = serde_json::from_str(&account).unwrap();
    assert_eq!(account["routes"]["Hello"]["path"], "/hello");
    assert_eq!(account["databases"]["Main"], serde_json::json!({ "state": "up", "kind": "sqlite" }));
    assert!(account["certificates"]["default_ssl_key"]["days_left"].as_i64().unwrap() > 1, "{account}");
    assert_eq!(account["ready"], true);

    // It serves no policies, and nobody gets in through a proxy.
    assert_eq!(ask(&serving, "GET /hello", "").await.0, 404);
    assert_eq!(ask(&serving, "POST /status", "Content-Length: 0\r\n").await.0, 405);
    for passed in ["X-Forwarded-For: 127.0.0.1", "Forwarded: for=127.0.0.1", "Via: 1.1 x", "X-Real-IP: 127.0.0.1"] {
        for path in ["/live", "/ready", "/status", "/metrics"] {
            assert_eq!(ask(&serving, &format!("GET {path}"), &format!("{passed}\r\n")).await.0, 403, "{passed}");
        }
    }
    assert_eq!(ask(&serving, "GET /status", "Host: evil.example\r\n").await.0, 403);
    assert_eq!(ask(&serving, "GET http://evil.example/status", "Host: evil.example\r\n").await.0, 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readiness_goes_first() {
    let place = place();
    let serving = serve(&place, "limits: { drain_delay: 1h }\n").await;
    assert_eq!(ask(&serving, "GET /ready", "").await.0, 200);
    let drained = tokio::time::timeout(Duration::from_millis(100), serving.drain()).await;
    assert!(drained.is_err(), "it waits");
    assert_eq!(ask(&serving, "GET /ready", "").await, (503, "stopping\n".to_owned()));
    assert_eq!(ask(&serving, "GET /live", "").await.0, 200);
    assert_eq!(get(&serving, "/hello").await, (200, "hello".to_owned()), "requests are still taken");
    let (status, health) = get(&serving, "/health").await;
    assert!(status == 503 && health.contains("stopping"), "{health}");
    serving.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_away_is_no_readiness() {
    let place = place();
    let away = "connections: { Main: 'mysql://u:p@127.0.0.1:1/d' }\n";
    let serving = serve(&place, away).await;
    assert_eq!(ask(&serving, "GET /ready", "").await, (503, "no answer from: Main\n".to_owned()));
    assert_eq!(ask(&serving, "GET /live", "").await.0, 200);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_for_a_restart_is_said_as_long_as_it_waits() {
    let place = place();
    let serving = serve(&place, "").await;
    let root = place.dir.path();
    put(root, "gateway.yaml", &format!("{LISTEN}tls: {{ min_version: 1.3 }}\n"));
    serving.host().reload().unwrap();
    assert_eq!(serving.host().status().pending_restart, ["tls"]);
    // Another change does not make it forgotten.
    put(root, "gateway.yaml", &format!("{LISTEN}tls: {{ min_version: 1.3 }}\nlogging: {{ level: warn }}\n"));
    serving.host().reload().unwrap();
    assert_eq!(serving.host().status().pending_restart, ["tls"]);
    put(root, "gateway.yaml", LISTEN);
    serving.host().reload().unwrap();
    assert_eq!(serving.host().status().pending_restart, Vec::<String>::new());
    let account = control::account(&place.home).await.unwrap().expect("an answer");
    assert!(account.ready && account.routes.contains_key("Hello"), "{account:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_gateway_does_itself_is_recorded() {
    let place = place();
    let serving = serve(&place, "logging: { audit: audit.log }\n").await;
    let root = place.dir.path();
    put(root, "customizations/#greeting.policy", "customize \"Greeting\" {\n    set word = \"one\"\n}\n");
    serving.host().reload().unwrap();
    put(root, "customizations/#greeting.policy", "customize \"Greeting\" {\n    set word = \n}\n");
    serving.host().reload().unwrap_err();
    let beside = KeyStore::open(&place.home.path(home::KEYS), "localhost", 0).unwrap();
    beside.rotate("default_ssl_key", Clock::default().now_millis()).unwrap();
    serving.host().reload_keys();
    control::record(&place.home, "user_added", &[("user", "ann")]).await.unwrap();
    serving.shutdown().await;
    // Every record was written before it ended.
    let records = std::fs::read_to_string(root.join("audit.log")).unwrap();
    let records: Vec<serde_json::Value> = records.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let events: Vec<&str> = records.iter().map(|record| record["event"].as_str().unwrap()).collect();
    // New keys are taken over with the policies, and these are still wrong.
    assert_eq!(events, ["policies_changed", "policies_refused", "key_rotated", "policies_refused", "user_added"]);
    assert!(records[0]["detail"].as_str().unwrap().contains("#greeting.policy"), "{records:?}");
    assert_eq!((&records[1]["level"], &records[2]["alias"]), (&"warning".into(), &"default_ssl_key".into()));
}

/// What a collector was sent: paths and bodies.
type Inbox = Arc<Mutex<Vec<(String, serde_json::Value)>>>;

/// A collector that keeps what it is sent.
async fn collector() -> (u16, Inbox) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (port, kept) = (listener.local_addr().unwrap().port(), Inbox::default());
    let inbox = Arc::clone(&kept);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let inbox = Arc::clone(&inbox);
            let service = hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let inbox = Arc::clone(&inbox);
                async move {
                    assert_eq!(request.method(), http::Method::POST);
                    assert_eq!(
                        (&request.headers()["content-type"], &request.headers()["x-key"]),
                        (&"application/json".parse().unwrap(), &"secret".parse().unwrap())
                    );
                    let path = request.uri().path().to_owned();
                    let body = http_body_util::BodyExt::collect(request.into_body()).await.unwrap().to_bytes();
                    inbox.lock().unwrap().push((path, serde_json::from_slice(&body).unwrap()));
                    let answer = http_body_util::Full::new(bytes::Bytes::from_static(b"{}"));
                    Ok::<_, std::convert::Infallible>(http::Response::new(answer))
                }
            });
            let io = hyper_util::rt::TokioIo::new(stream);
            tokio::spawn(hyper::server::conn::http1::Builder::new().serve_connection(io, service));
        }
    });
    (port, kept)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_gets_traces_and_metrics() {
    let (port, inbox) = collector().await;
    let place = place();
    let ok = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let backend = crate::services::outbound::backend::Backend::start(ok).await;
    let calls = format!(
        "service \"Calls\" at \"/calls\" {{\n    LogField(name: \"colour\", value: \"red\")\n    RouteHttp(url: \"http://127.0.0.1:{}/\")\n}}\n",
        backend.port
    );
    put(place.dir.path(), "services/calls.policy", &calls);
    let settings = format!("otlp: {{ endpoint: \"http://127.0.0.1:{port}/\", headers: {{ X-Key: secret }}, metrics: 1h }}\n");
    let serving = serve(&place, &settings).await;
    let mut stream = TcpStream::connect(serving.http.unwrap()).await.unwrap();
    let parent = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00\r\n";
    let request = format!("GET /calls?hidden HTTP/1.1\r\nHost: x\r\n{parent}Connection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    // The end sends what is left.
    serving.shutdown().await;
    let sent = inbox.lock().unwrap().clone();
    let spans: Vec<&serde_json::Value> = sent
        .iter()
        .filter(|(path, _)| path == "/v1/traces")
        .flat_map(|(_, body)| body["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap())
        .collect();
    let of = |kind: u64| *spans.iter().find(|span| span["kind"] == kind).unwrap_or_else(|| panic!("{spans:?}"));
    let (server, client) = (of(2), of(3));
    for span in [server, client] {
        assert_eq!(span["traceId"], "4bf92f3577b34da6a3ce929d0e0e4736");
    }
    assert_eq!(server["parentSpanId"], "00f067aa0ba902b7");
    assert_eq!(client["parentSpanId"], server["spanId"]);
    assert_eq!(server["name"], "GET Calls");
    let attribute = |span: &serde_json::Value, name: &str| {
        let found = span["attributes"].as_array().unwrap().iter().find(|attribute| attribute["key"] == name).cloned();
        found.unwrap_or_else(|| panic!("no {name}: {span}"))["value"].clone()
    };
    assert_eq!(attribute(server, "url.path")["stringValue"], "/calls");
    assert_eq!(attribute(server, "portcullis.colour")["stringValue"], "red");
    assert_eq!(attribute(server, "http.response.status_code")["intValue"], "200");
    assert_eq!(attribute(client, "server.port")["intValue"], backend.port.to_string());
    assert!(!serde_json::to_string(&spans).unwrap().contains("hidden"), "no query");
    // The server that was called is told of the call's own span.
    let head = backend.take().concat();
    let span = client["spanId"].as_str().unwrap();
    assert!(head.contains(&format!("traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-{span}-01\r\n")), "{head}");
    let metrics = sent.iter().find(|(path, _)| path == "/v1/metrics").expect("metrics").1.to_string();
    for name in ["portcullis_requests", "portcullis_backend_request_seconds", "process_resident_memory_bytes"] {
        assert!(metrics.contains(&format!("\"name\":\"{name}\"")), "{name}: {metrics}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_that_is_away_costs_nothing_but_spans() {
    let place = place();
    let serving = serve(&place, "otlp: { endpoint: \"http://127.0.0.1:1\" }\n").await;
    for _ in 0..20 {
        assert_eq!(get(&serving, "/hello").await.0, 200);
    }
    assert_eq!(serving.shutdown().await, 0);
    for wrong in ["traces: 1.5", "endpoint: nonsense", "endpoint: \"ftp://x\"", "endpoint: \"http://x\", headers: { \"a b\": c }"]
    {
        put(place.dir.path(), "gateway.yaml", &format!("{LISTEN}otlp: {{ {wrong} }}\n"));
        let error = Host::serve(place.home.clone(), options()).await.err().expect(wrong).to_string();
        assert!(error.contains("otlp."), "{wrong}: {error}");
    }
}
