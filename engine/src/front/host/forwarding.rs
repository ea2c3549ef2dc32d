//! What arrives at a server behind the gateway, byte for byte.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::tests::{Place, options, place, put};
use super::*;
use crate::services::outbound::backend::Backend;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\nConnection: close\r\n\r\ndata";

async fn raw(serving: &Serving, request: &str) -> String {
    let mut stream = TcpStream::connect(serving.http.unwrap()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

async fn send(serving: &Serving, path: &str, fields: &str) -> String {
    raw(
        serving,
        &format!("GET {path} HTTP/1.1\r\nHost: gateway.example\r\n{fields}\r\n").replace("\n\r\n", "\nConnection: close\r\n\r\n"),
    )
    .await
}

async fn serve(place: &Place, policies: &str, settings: &str) -> Serving {
    put(place.dir.path(), "services/forward.policy", policies);
    put(place.dir.path(), "gateway.yaml", settings);
    Host::serve(place.home.clone(), options()).await.unwrap_or_else(|error| panic!("{error}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_path_reaches_data_behind_another_service() {
    let (place, backend) = (place(), Backend::start(OK).await);
    let call = format!("RouteHttp(url: \"http://127.0.0.1:{}${{request.url.path}}\", request: \"request\")", backend.port);
    let policies = format!(
        "service \"Admin\" at \"/app/admin/*\" {{\n    Respond(status: 401)\n}}\nservice \"App\" at \"/app/*\" {{\n    {call}\n}}\n\
         service \"Raw\" at \"/raw/*\" paths raw {{\n    {call}\n}}\nservice \"Secret\" at \"/raw/secret/*\" {{\n    Respond(status: 401)\n}}\n"
    );
    let serving = serve(&place, &policies, "").await;
    for path in [
        "/app/%61dmin/x",
        "/app//admin/x",
        "/app/./admin/x",
        "/app/x/../admin/x",
        "/app/x/%2e%2e/admin/x",
        "/app/x/..%2fadmin/x",
        "/app/admin%2fx",
        "/app/admin%5cx",
        "/app\\admin\\x",
        "/app/admin;a/x",
        "/app/..;/app/admin/x",
        "/app/%2561dmin/x",
        "/app/admin%00/x",
        "/app/Admin/x",
        "/app/admin./x",
        "/app/admin",
        "/app/%c0%ae%c0%ae/x",
        "http://gateway.example/app//admin/x",
        "/raw/x/..%2fsecret/x",
        "/raw//secret/x",
        "/raw/Secret/x",
        "/raw/%73ecret/x",
        "/raw/secret%2fx",
        "/raw/x/../../app/admin/x",
    ] {
        for method in ["GET", "HEAD", "OPTIONS", "POST"] {
            let request =
                format!("{method} {path} HTTP/1.1\r\nHost: gateway.example\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
            let answer = raw(&serving, &request).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{method} {path}: {answer}");
        }
    }
    assert_eq!(backend.take(), Vec::<String>::new());
    for (path, arrives) in [
        ("/app/x/admin", "/app/x/admin"),
        ("/app/caf%c3%a9", "/app/caf%C3%A9"),
        ("/app/a%20b%2B", "/app/a%20b%2B"),
        ("/raw/a%2fb//c;d/%61", "/raw/a%2fb//c;d/%61"),
    ] {
        assert!(send(&serving, path, "").await.ends_with("data"), "{path}");
        let heads = backend.take();
        assert!(heads.len() == 1 && heads[0].starts_with(&format!("GET {arrives} HTTP/1.1\r\n")), "{path}: {heads:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_policy_sets_arrives_and_nothing_of_the_gateways_own() {
    let (place, backend) = (place(), Backend::start(OK).await);
    let call = format!("url: \"http://127.0.0.1:{}/x\", request: \"request\"", backend.port);
    let policies = format!(
        r#"
service "Sets" at "/sets" {{
    RouteHttp({call}, headers: json {{ "X-User": "alice", "Authorization": "Bearer inner" }})
}}
service "Adds" at "/adds" {{
    AddHeader(name: "X-User", value: "alice")
    AddHeader(name: "X-Forwarded-For", value: ${{request.tcp.remoteAddress}})
    ManageCookie(target: "request", name: "inner", value: "1")
    RouteHttp({call})
}}
service "Copies" at "/copies" {{
    set copy: message = ${{request}}
    AddHeader(target: "copy", name: "X-User", value: "alice")
    RouteHttp({call}, request: "copy")
}}
service "Names" at "/names" {{
    RouteHttp({call}, forward: ["Authorization", "cookie", "x_user"])
}}
service "Sign In" at "/signin" {{
    ManageCookie(name: "sid", value: "1")
    set part = "x"
    ManageCookie(name: "mark-${{part}}", value: "1")
    Respond(body: "in", headers: json {{ "Set-Cookie": "drafted=1" }})
}}
"#
    );
    let policies = policies.replace("request: \"request\", request: \"copy\"", "request: \"copy\"");
    let serving = serve(&place, &policies, "outbound: { own_cookies: [\"old-*\"] }\n").await;
    let fields = "Connection: x-user, authorization, X-Forwarded-For, cookie\r\nX-User: admin\r\nx-user: root\r\nX_User: admin\r\nX-Keep: 1\r\n\
                  Authorization: Bearer outer\r\nProxy-Authorization: Basic eDp5\r\nX-Forwarded-For: 192.0.2.66\r\nForwarded: for=192.0.2.66\r\n\
                  X-Real-IP: 127.0.0.1\r\nX-HTTP-Method-Override: DELETE\r\nX-Original-URL: /admin\r\nClient-Cert: :AAAA:\r\n\
                  X-SSL-Client-DN: CN=root\r\nKeep-Alive: 5\r\nTE: trailers\r\nProxy-Connection: x\r\nTrailer: x-user\r\nUpgrade: h2c\r\n\
                  Content_Length: 5\r\n";
    for path in ["/sets", "/adds", "/copies"] {
        let answer = send(&serving, path, fields).await;
        assert!(answer.ends_with("data"), "{path}: {answer}");
        let heads = backend.take();
        let lower = heads[0].to_ascii_lowercase();
        let users: Vec<&str> = lower.lines().filter(|line| line.starts_with("x-user") || line.starts_with("x_user")).collect();
        assert_eq!(users, ["x-user: alice"], "{path}: {lower}");
        assert!(lower.contains("x-keep: 1"), "{path}: {lower}");
        for absent in [
            "outer",
            "eDp5",
            "forwarded: for",
            "x-real-ip",
            "override",
            "original",
            "client-cert",
            "x-ssl",
            "keep-alive",
            "\nte:",
            "proxy-",
            "trailer",
            "upgrade",
            "content_length",
            "192.0.2.66",
            "127.0.0.1\r\nforwarded",
        ] {
            assert!(!lower.contains(&absent.to_ascii_lowercase()), "{path} {absent}: {lower}");
        }
        assert_eq!(lower.contains("authorization: bearer inner"), path == "/sets", "{lower}");
        // From the gateway or the policy, never from the client.
        assert_eq!(lower.matches("x-forwarded-for: 127.0.0.1").count(), 1, "{lower}");
        assert_eq!(lower.contains("cookie: inner=1"), path == "/adds", "{lower}");
    }
    let fields = "Cookie: sid=1; theirs=2; MARK-x=3; old-9=4; drafted=5\r\nAuthorization: Bearer outer\r\nX_User: bob\r\n";
    for (path, cookies) in [
        ("/sets", "theirs=2"),
        ("/copies", "theirs=2"),
        ("/adds", "theirs=2; inner=1"),
        ("/names", "sid=1; theirs=2; MARK-x=3; old-9=4; drafted=5"),
    ] {
        send(&serving, path, fields).await;
        let heads = backend.take();
        assert!(heads[0].contains(&format!("cookie: {cookies}\r\n")), "{path}: {}", heads[0]);
        assert_eq!(heads[0].contains("Bearer outer") && heads[0].contains("x_user: bob"), path == "/names", "{}", heads[0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_brings_nothing_that_is_the_gateways_own() {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close, x-hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nSet-Cookie: sid=evil\r\n\
                  Set-Cookie: theirs=1\r\nSet-Cookie: SID=evil; Path=/\r\nSet-Cookie: =sid=evil\r\nX-Frame-Options: none\r\n\
                  Access-Control-Allow-Origin: *\r\nVary: Accept\r\nX-Theirs: 1\r\n\r\nok";
    let (place, backend) = (place(), Backend::start(answer).await);
    let policies = format!(
        r#"
service "Answer" at "/answer" {{
    Cors(origins: ["https://app.example"])
    AddHeader(target: "response", name: "X-Frame-Options", value: "DENY")
    ManageCookie(name: "sid", value: "good")
    RouteHttp(url: "http://127.0.0.1:{}/")
}}
"#,
        backend.port
    );
    let serving = serve(&place, &policies, "").await;
    let answer = send(&serving, "/answer", "Origin: https://app.example\r\n").await.to_ascii_lowercase();
    for absent in ["evil", "x-hop", "keep-alive", "x-frame-options: none", "access-control-allow-origin: *"] {
        assert!(!answer.contains(absent), "{absent}: {answer}");
    }
    for present in [
        "sid=good",
        "theirs=1",
        "x-frame-options: deny",
        "allow-origin: https://app.example",
        "vary: origin",
        "vary: accept",
        "x-theirs: 1",
    ] {
        assert!(answer.contains(present), "{present}: {answer}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_do_not_follow_a_redirect_to_another_origin() {
    let (place, other) = (place(), Backend::start(OK).await);
    let go = |status: u16| {
        format!(
            "HTTP/1.1 {status} Go\r\nContent-Length: 0\r\nConnection: close\r\nLocation: http://127.0.0.1:{}/stolen\r\n\r\n",
            other.port
        )
    };
    let (moved, kept) = (Backend::start(go(302)).await, Backend::start(go(307)).await);
    let policies = format!(
        r#"
service "Follows" at "/follows" {{
    set question: message = ""
    AddHeader(target: "question", name: "X-Api-Key", value: "secret-1")
    RouteHttp(
        url: "http://127.0.0.1:{}/",
        method: "GET",
        request: "question",
        headers: json {{ "X-Token": "secret-2", "Cookie": "a=secret-3", "Accept": "text/plain" }},
        user: "u",
        password: "p",
        follow_redirects: true
    )
}}
service "Body" at "/body" {{
    RouteHttp(url: "http://127.0.0.1:{}/", method: "POST", request: "request", follow_redirects: true, response: "answer") else Respond(body: "not followed")
}}
"#,
        moved.port, kept.port
    );
    let serving = serve(&place, &policies, "").await;
    assert!(send(&serving, "/follows", "").await.ends_with("data"));
    assert!(moved.take()[0].contains("secret-1"));
    let head = other.take().remove(0).to_ascii_lowercase();
    assert!(head.starts_with("get /stolen ") && !head.contains("secret") && !head.contains("authorization"), "{head}");
    let answer = raw(&serving, "POST /body HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 6\r\n\r\nsecret").await;
    assert!(answer.ends_with("not followed"), "{answer}");
    assert!(other.take().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_denied_is_not_called_in_any_spelling() {
    let (place, backend) = (place(), Backend::start(OK).await);
    let moved = format!(
        "HTTP/1.1 302 Go\r\nContent-Length: 0\r\nConnection: close\r\nLocation: http://0x7f000001:{}/\r\n\r\n",
        backend.port
    );
    let elsewhere = Backend::start(moved).await;
    let policies = r#"
service "Calls" at "/calls" {
    AtLeastOne {
        All {
            RouteHttp(url: ${request.http.query.to}, follow_redirects: true, response: "answer")
            Respond(body: "called ${answer.http.status}")
        }
        Respond(body: "refused ${httpRouting.reasonCode}")
    }
}
service "Inside" at "/inside" { Respond(body: "inside") }
"#;
    let spellings = |port: u16| {
        [
            "127.0.0.1",
            "127.1",
            "127.0.1",
            "0x7f000001",
            "0x7f.1",
            "2130706433",
            "0177.0.0.1",
            "017700000001",
            "0",
            "0.0.0.0",
            "127.0.0.2",
            "localhost",
            "LOCALHOST.",
            "127.0.0.1.",
            "a.localhost",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[::127.0.0.1]",
            "[64:ff9b::127.0.0.1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[0:0:0:0:0:0:0:1]",
            "user@127.0.0.1",
            "[::1%25lo]",
            "%31%32%37.0.0.1",
        ]
        .map(|host| format!("http://{host}:{port}/inside"))
    };
    for settings in [
        "outbound: { deny: [\"127.0.0.1\"] }\n",
        "outbound: { deny: [\"127.0.0.0/8\"] }\n",
        "outbound: { deny: [\"localhost\"] }\n",
        "outbound: { deny: [\"::1\"] }\n",
        "outbound: { private_targets: false }\n",
        "outbound: { allow: [\"api.example\", \"192.0.2.0/24\"] }\n",
    ] {
        let serving = serve(&place, policies, settings).await;
        // Another server, and the gateway itself.
        for url in spellings(backend.port).into_iter().chain(spellings(serving.http.unwrap().port())) {
            let query = url.replace('%', "%25").replace('[', "%5B").replace(']', "%5D");
            let answer = send(&serving, &format!("/calls?to={query}"), "").await;
            assert!(answer.ends_with("refused -2"), "{settings} {url}: {answer}");
        }
        serving.shutdown().await;
    }
    assert!(backend.take().is_empty());
    let settings = format!("outbound: {{ deny: [\"127.0.0.1:{}\"] }}\n", backend.port);
    let serving = serve(&place, policies, &settings).await;
    let answer = send(&serving, &format!("/calls?to=http://localhost:{}/", elsewhere.port), "").await;
    assert!(answer.ends_with("refused -2"), "{answer}");
    assert!(backend.take().is_empty() && elsewhere.take().len() == 1);
    serving.shutdown().await;
    // A host that is allowed by its address may be called under every name.
    let serving = serve(&place, policies, "outbound: { allow: [\"127.0.0.0/8\"] }\n").await;
    for host in ["127.0.0.1", "127.1", "2130706433", "localhost", "[::ffff:127.0.0.1]"] {
        let host = host.replace('[', "%5B").replace(']', "%5D");
        let answer = send(&serving, &format!("/calls?to=http://{host}:{}/", backend.port), "").await;
        assert!(answer.ends_with("called 200"), "{host}: {answer}");
    }
    put(place.dir.path(), "gateway.yaml", "outbound: { deny: [\"10.0.0.0/99\"] }\n");
    let error = Host::serve(place.home.clone(), options()).await.err().unwrap().to_string();
    assert!(error.contains("outbound.deny: `10.0.0.0/99`"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_policy_that_is_called_in_process_sees_the_client() {
    let place = place();
    let policies = r#"
service "Who" at "/who" { Respond(body: "from ${request.tcp.remoteAddress} ${request.http.secure} ${request.http.header.x-user}") }
service "Asks" at "/asks" {
    RouteHttp(url: "http://127.1:${gateway.http.port}/who", request: "request", headers: json { "X-User": "alice" })
}
service "Odd" at "/odd" {
    RouteHttp(url: "http://localhost:${gateway.http.port}/open/x/../who", response: "answer", fail_on_error_status: false) else Respond(body: "refused")
}
"#;
    let settings = "listeners: { trusted_proxies: [\"127.0.0.1\"] }\n";
    let serving = serve(&place, policies, settings).await;
    let answer = send(&serving, "/asks", "X-Forwarded-For: 203.0.113.7\r\nConnection: x-user\r\nX-User: root\r\n").await;
    assert!(answer.ends_with("from 203.0.113.7 false alice"), "{answer}");
    assert!(send(&serving, "/odd", "").await.ends_with("refused"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_field_that_counts_once_is_sent_on_once() {
    let (place, backend) = (place(), Backend::start(OK).await);
    let call = format!("RouteHttp(url: \"http://127.0.0.1:{}/\", request: \"request\")", backend.port);
    let serving = serve(&place, &format!("service \"App\" at \"/app\" {{\n    {call}\n}}\n"), "").await;
    let answer = send(&serving, "/app", "User-Agent: a\r\nX-A: 1\r\nUser-Agent: b\r\nX-A: 2\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    let head = backend.take().concat();
    assert!(head.contains("user-agent: a\r\n") && !head.contains("user-agent: b"), "{head}");
    assert!(head.contains("x-a: 1\r\n") && head.contains("x-a: 2\r\n"), "{head}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_told_which_request_it_is_and_from_whom() {
    let (place, backend) = (place(), Backend::start(OK).await);
    let call = format!("url: \"http://127.0.0.1:{}/\"", backend.port);
    let policies = format!(
        r#"
service "Sends" at "/sends" {{ RouteHttp({call}, request: "request") }}
service "Asks" at "/asks" {{ RouteHttp({call}) }}
service "Says" at "/says" {{
    RouteHttp({call}, request: "request", headers: json {{ "X-Request-Id": "mine", "X-Forwarded-For": "192.0.2.9", "Traceparent": "none" }})
}}
service "Near" at "/near" {{ RouteHttp(url: "http://127.0.0.1:${{gateway.http.port}}/sends", request: "request") }}
"#
    );
    let trace = "4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7";
    let good = format!("traceparent: 00-{trace}-01\r\ntracestate: a=b\r\nX-Request-Id: forged\r\n");
    let id = |answer: &str| answer.lines().find_map(|line| line.strip_prefix("x-request-id: ").map(str::to_owned)).unwrap();
    let serving = serve(&place, &policies, "").await;
    for (path, told) in [("/sends", true), ("/asks", false), ("/near", true)] {
        let answer = send(&serving, path, &good).await;
        let head = backend.take().concat();
        assert!(head.contains(&format!("traceparent: 00-{trace}-01\r\n")), "{path}: {head}");
        assert!(head.contains(&format!("x-request-id: {}\r\n", id(&answer))) && !head.contains("forged"), "{path}: {head}");
        assert_eq!(head.contains("tracestate: a=b"), told, "{path}: {head}");
        assert_eq!(head.contains("x-forwarded-for: 127.0.0.1\r\n"), told, "{path}: {head}");
        assert_eq!(head.contains("x-forwarded-proto: http\r\n"), told, "{path}: {head}");
    }
    send(&serving, "/sends", "").await;
    let head = backend.take().concat();
    assert!(head.contains("x-forwarded-host: gateway.example\r\n") && !head.contains("traceparent"), "{head}");
    send(&serving, "/says", &good).await;
    let head = backend.take().concat();
    for said in ["x-request-id: mine\r\n", "x-forwarded-for: 192.0.2.9\r\n", "traceparent: none\r\n"] {
        assert!(head.contains(said), "{head}");
    }
    // What cannot be read is not sent on as if it could.
    for bad in [format!("traceparent: 00-{trace}\r\n"), format!("traceparent: 00-{trace}-01\r\ntraceparent: 00-{trace}-00\r\n")] {
        send(&serving, "/sends", &format!("{bad}tracestate: a=b\r\n")).await;
        let head = backend.take().concat();
        assert!(!head.contains("traceparent") && !head.contains("tracestate"), "{head}");
    }
    serving.shutdown().await;
    let serving = serve(&place, &policies, "outbound: { forwarded: Forwarded }\n").await;
    send(&serving, "/sends", "").await;
    let head = backend.take().concat();
    assert!(head.contains("forwarded: for=127.0.0.1;host=\"gateway.example\";proto=http\r\n"), "{head}");
    assert!(!head.contains("x-forwarded"), "{head}");
    serving.shutdown().await;
    let serving = serve(&place, &policies, "outbound: { forwarded: off }\n").await;
    send(&serving, "/sends", "").await;
    let head = backend.take().concat();
    assert!(!head.contains("forwarded"), "{head}");
}
