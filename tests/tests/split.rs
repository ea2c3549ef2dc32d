//! A gateway without a database, and the one behind it that has the stores: two processes on two loopback addresses that know each other
//! by their certificates. The whole OAuth 2.0 flow and its errors; then the one behind is killed, lies, or is somebody else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use portcullis_tests::grants::{Answer, GrantClient, prepare};
use portcullis_tests::load::{self, Reply, Target};
use portcullis_tests::pair::{BEHIND, Pair, caller, run, say_where};
use portcullis_tests::process::{Start, command_with};
use portcullis_tests::{block_on, put};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What the gateway for clients answers when the one behind cannot be asked.
const CLOSED: &str = "3003000";

/// An answer: status, head, body.
type Got = (u16, String, String);

struct Flow {
    pair: Pair,
    client: GrantClient,
    secret: String,
}

impl Flow {
    fn start() -> Flow {
        let pair = Pair::start("", &Start::default()).expect("two gateways");
        prepare(&pair.front_home());
        let words = [
            "client",
            "add",
            "--name",
            "App",
            "--org",
            "Acme",
            "--scope",
            "READ",
            "--callback",
            "https://app.example/cb",
            "--json",
        ];
        let said = run(&pair.behind_home(), &words).expect("a client");
        let added: serde_json::Value = serde_json::from_str(&said.stdout).expect("JSON");
        let word = |name: &str| added[name].as_str().expect("a word").to_owned();
        let said = command_with(&pair.front_home(), &["user", "add", "alice"], "correct-horse-battery").expect("a user");
        assert!(said.success, "{}", said.stderr);
        let client = GrantClient::known(&word("client_id"), &word("client_secret")).at(&pair.front);
        let flow = Flow { secret: word("client_secret"), client, pair };
        // The service that makes codes has been loaded.
        assert!(soon(|| block_on(flow.client.code("nobody")).is_ok_and(|code| code.len() == 43)), "{}", flow.pair.front.log());
        flow
    }

    fn send(&self, method: &str, target: &str, fields: &str, body: &str) -> Got {
        let origin = Target { address: self.pair.front.https, tls: true };
        let host = format!("localhost:{}", self.pair.front.https.port());
        let form = if body.is_empty() { "" } else { "Content-Type: application/x-www-form-urlencoded\r\n" };
        let request =
            format!("{method} {target} HTTP/1.1\r\nHost: {host}\r\n{fields}{form}Content-Length: {}\r\n\r\n{body}", body.len());
        // On a busy machine a handshake may take longer than the gateway waits for it.
        let answer = (0..3).map(|_| block_on(load::once(origin, request.as_bytes()))).find_map(Result::ok);
        let (status, head, body) = answer.unwrap_or_else(|| panic!("no answer: {}", self.pair.front.log()));
        (status, head, String::from_utf8_lossy(&body).into_owned())
    }

    fn token(&self, grant: &str) -> Got {
        let body = format!("{grant}&client_id={}&client_secret={}", self.client.id, self.secret);
        self.send("POST", "/auth/oauth/v2/token", "", &body)
    }

    fn api(&self, token: &str) -> Got {
        self.send("GET", "/oauth/v2/protectedapi/foo", &format!("Authorization: Bearer {token}\r\n"), "")
    }
}

fn member(got: &Got, name: &str) -> String {
    let reply = Reply { status: got.0, head: &got.1, body: got.2.as_bytes() };
    reply.member(name).unwrap_or_else(|| panic!("no {name}: {got:?}"))
}

fn code(got: &Got) -> String {
    let reply = Reply { status: got.0, head: &got.1, body: got.2.as_bytes() };
    reply.header("x-ca-err").unwrap_or_default().to_owned()
}

/// A browser: its cookies.
#[derive(Default)]
struct Browser(Vec<(String, String)>);

impl Browser {
    fn take(&mut self, got: &Got) {
        for line in got.1.split("\r\n").filter(|line| line.to_ascii_lowercase().starts_with("set-cookie:")) {
            let pair = line.split_once(':').map_or("", |(_, field)| field).split(';').next().unwrap_or("").trim();
            if let Some((name, value)) = pair.split_once('=') {
                self.0.retain(|(own, _)| own != name);
                self.0.push((name.to_owned(), value.to_owned()));
            }
        }
    }

    /// The page that a redirect leads to.
    fn follow(&mut self, flow: &Flow, origin: &str, got: &Got) -> Got {
        self.take(got);
        let location = Reply { status: got.0, head: &got.1, body: b"" }.header("location").unwrap_or_default().to_owned();
        let page = flow.send("GET", location.strip_prefix(origin).unwrap_or(&location), &self.field(origin), "");
        self.take(&page);
        page
    }

    fn field(&self, origin: &str) -> String {
        let cookies: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let cookie = if cookies.is_empty() { String::new() } else { format!("Cookie: {}\r\n", cookies.join("; ")) };
        format!("{cookie}Origin: {origin}\r\nAccept: text/html\r\n")
    }
}

fn hidden(page: &Got, name: &str) -> String {
    let after = page.2.split_once(&format!("name=\"{name}\" value=\"")).unwrap_or_else(|| panic!("no {name}: {page:?}")).1;
    after.split('"').next().unwrap_or("").replace('+', "%2B")
}

#[test]
fn the_whole_flow_runs_over_two_gateways() {
    let flow = Flow::start();
    let got = flow.token("grant_type=client_credentials");
    assert_eq!(
        got.0,
        200,
        "{got:?}\n{}\n{}",
        flow.pair.front.log(),
        flow.pair.behind.as_ref().map_or(String::new(), |own| own.log())
    );
    assert_eq!(flow.api(&member(&got, "access_token")).0, 200);

    // The owner's password, a refresh, and the same refresh token again.
    let got = flow.token("grant_type=password&username=alice&password=correct-horse-battery");
    let (access, refresh) = (member(&got, "access_token"), member(&got, "refresh_token"));
    assert!(flow.api(&access).2.contains("\"resource_owner\":\"alice\""));
    let got = flow.token(&format!("grant_type=refresh_token&refresh_token={refresh}"));
    let (next, next_refresh) = (member(&got, "access_token"), member(&got, "refresh_token"));
    assert_eq!((flow.api(&access).0, flow.api(&next).0), (401, 200), "the old token ended, also in the cache");
    let got = flow.token(&format!("grant_type=refresh_token&refresh_token={next_refresh}"));
    let last = member(&got, "access_token");
    assert_eq!(code(&flow.token(&format!("grant_type=refresh_token&refresh_token={refresh}"))), "3003113", "a replay");
    assert_eq!(code(&flow.api(&last)), "990", "the family ended");

    // Login and consent in a browser, then the code, twice.
    let origin = format!("https://localhost:{}", flow.pair.front.https.port());
    let mut browser = Browser::default();
    let target = format!("/auth/oauth/v2/authorize?response_type=code&client_id={}&state=s1", flow.client.id);
    let login = flow.send("GET", &target, &browser.field(&origin), "");
    assert_eq!(login.0, 200, "{login:?}");
    browser.take(&login);
    let form = |page: &Got, more: &str| {
        format!("sessionID={}&sessionData={}&{more}", hidden(page, "sessionID"), hidden(page, "sessionData"))
    };
    let wrong = form(&login, "username=alice&password=wrong&action=login");
    let again = flow.send("POST", "/auth/oauth/v2/authorize/login", &browser.field(&origin), &wrong);
    assert_eq!((again.0, code(&again)), (303, "3001202".to_owned()), "a wrong password: {again:?}");
    let again = browser.follow(&flow, &origin, &again);
    let right = form(&again, "username=alice&password=correct-horse-battery&action=login");
    let consent = flow.send("POST", "/auth/oauth/v2/authorize/login", &browser.field(&origin), &right);
    let consent = browser.follow(&flow, &origin, &consent);
    assert_eq!(consent.0, 200, "{consent:?}");
    let grant = form(&consent, "action=Grant");
    let granted = flow.send("POST", "/auth/oauth/v2/authorize/consent", &browser.field(&origin), &grant);
    let location = Reply { status: granted.0, head: &granted.1, body: b"" }.header("location").unwrap_or_default().to_owned();
    let redeem = location.split(['?', '&']).find_map(|part| part.strip_prefix("code=")).unwrap_or_else(|| panic!("{granted:?}"));
    let exchange = format!("grant_type=authorization_code&code={redeem}");
    let got = flow.token(&exchange);
    let access = member(&got, "access_token");
    assert_eq!(flow.api(&access).0, 200);
    assert_eq!(code(&flow.token(&exchange)), "3003113", "a code counts once");
    assert_eq!(code(&flow.api(&access)), "990", "what the replayed code gave is revoked");

    // Revocation, and a client that is disabled at the gateway behind.
    let access = member(&flow.token("grant_type=client_credentials"), "access_token");
    let body = format!("token={access}&client_id={}&client_secret={}", flow.client.id, flow.secret);
    assert_eq!(flow.send("POST", "/auth/oauth/v2/token/revoke", "", &body).0, 200);
    assert_eq!(code(&flow.api(&access)), "990");
    assert_eq!(code(&flow.send("POST", "/auth/oauth/v2/token", "", "grant_type=client_credentials&client_id=nobody")), "3003201");
    run(&flow.pair.behind_home(), &["client", "disable", "--client_id", &flow.client.id]).expect("a command");
    assert_eq!(code(&flow.token("grant_type=client_credentials")), "3003201");

    // What the kits leave out is not there.
    assert_eq!(flow.send("GET", "/oauth/clientstore/get", "", "").0, 404);
    let behind = Target { address: (std::net::Ipv4Addr::new(127, 0, 0, 2), flow.pair.port).into(), tls: true };
    let request = b"GET /auth/oauth/v2/authorize HTTP/1.1\r\nHost: localhost\r\n\r\n";
    assert_eq!(block_on(load::once(behind, request)).expect("an answer").0, 404);
    let bare = b"POST /oauth/tokenstore/gateway/get HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}";
    let (status, head, _) = block_on(load::once(behind, bare)).expect("an answer");
    assert!(status == 403 && head.contains("4100204"), "no certificate: {head}");
    for log in [flow.pair.front.log(), flow.pair.behind.as_ref().map_or(String::new(), |own| own.log())] {
        for secret in [&flow.secret, "correct-horse-battery", &access, redeem, &next_refresh] {
            assert!(!log.contains(secret), "a secret in the log:\n{log}");
        }
    }
}

#[test]
fn of_many_attempts_at_once_one_succeeds() {
    let flow = Flow::start();
    let winners = |answers: Vec<Answer>| answers.iter().filter(|answer| answer.is_tokens()).count();
    block_on(async {
        for _ in 0..3 {
            let code = flow.client.code("alice").await.expect("a code");
            let tasks: Vec<_> = (0..12)
                .map(|_| {
                    let (client, code) = (flow.client.clone(), code.clone());
                    tokio::spawn(async move { client.redeem(&code).await.expect("an answer") })
                })
                .collect();
            let mut answers = Vec::new();
            for task in tasks {
                answers.push(task.await.expect("no panic"));
            }
            assert_eq!(winners(answers.clone()), 1, "{answers:?}");
            let code = flow.client.code("alice").await.expect("a code");
            let Answer::Tokens { refresh, .. } = flow.client.redeem(&code).await.expect("an answer") else { panic!("no tokens") };
            let tasks: Vec<_> = (0..12)
                .map(|_| {
                    let (client, token) = (flow.client.clone(), refresh.clone());
                    tokio::spawn(async move { client.refresh(&token).await.expect("an answer") })
                })
                .collect();
            let mut answers = Vec::new();
            for task in tasks {
                answers.push(task.await.expect("no panic"));
            }
            assert_eq!(winners(answers.clone()), 1, "{answers:?}");
        }
    });
}

#[test]
fn while_the_gateway_behind_is_gone_nothing_is_answered_and_then_it_heals() {
    let mut flow = Flow::start();
    let got = flow.token("grant_type=password&username=alice&password=correct-horse-battery");
    let (access, refresh) = (member(&got, "access_token"), member(&got, "refresh_token"));
    let code_before = block_on(flow.client.code("bob")).expect("a code");

    flow.pair.kill_behind().expect("an end");
    for grant in [
        "grant_type=client_credentials".to_owned(),
        format!("grant_type=authorization_code&code={code_before}"),
        format!("grant_type=refresh_token&refresh_token={refresh}"),
    ] {
        let got = flow.token(&grant);
        assert_eq!((got.0, code(&got)), (503, CLOSED.to_owned()), "{grant}: {got:?}");
    }
    assert_eq!(code(&flow.api(&access)), "000", "nobody can say whether it is valid");
    let target = format!("/auth/oauth/v2/authorize?response_type=code&client_id={}", flow.client.id);
    assert_eq!(code(&flow.send("GET", &target, "", "")), "3000000");
    assert!(flow.pair.front.logs(|log| log.contains("does not answer")), "{}", flow.pair.front.log());

    flow.pair.restart_behind().expect("a start");
    // What was acknowledged is there, and what was refused can be done.
    assert_eq!(flow.api(&access).0, 200, "{}", flow.pair.front.log());
    let got = flow.token(&format!("grant_type=refresh_token&refresh_token={refresh}"));
    assert_eq!(got.0, 200, "{got:?}");
    let answer = block_on(flow.client.redeem(&code_before)).expect("an answer");
    assert!(answer.is_tokens(), "{answer:?}");
}

#[test]
fn no_acknowledged_token_is_lost_when_the_gateway_behind_is_killed_under_load() {
    let mut flow = Flow::start();
    let (enough, issued) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let kept = block_on(async {
        let mut tasks = Vec::new();
        for owner in 0..8 {
            let (client, enough, issued) = (flow.client.clone(), Arc::clone(&enough), Arc::clone(&issued));
            tasks.push(tokio::spawn(async move {
                let mut kept = None;
                while !enough.load(Ordering::Relaxed) {
                    let Ok(code) = client.code(&format!("owner{owner}")).await else { continue };
                    if let Ok(Answer::Tokens { access, .. }) = client.redeem(&code).await {
                        kept = Some(access);
                        issued.fetch_add(1, Ordering::Relaxed);
                    }
                }
                kept
            }));
        }
        let more = || {
            let before = issued.load(Ordering::Relaxed);
            tokio::task::block_in_place(|| soon(|| issued.load(Ordering::Relaxed) > before + 20))
        };
        assert!(more(), "{}", flow.pair.front.log());
        flow.pair.kill_behind().expect("an end");
        tokio::task::block_in_place(|| flow.pair.restart_behind()).expect("a start");
        assert!(more(), "it does not heal: {}", flow.pair.front.log());
        enough.store(true, Ordering::Relaxed);
        let mut kept = Vec::new();
        for task in tasks {
            kept.extend(task.await.expect("no panic"));
        }
        kept
    });
    assert!(!kept.is_empty(), "{}", flow.pair.front.log());
    for token in kept {
        assert_eq!(flow.api(&token).0, 200, "an acknowledged token is lost");
    }
}

#[test]
fn only_a_known_certificate_is_let_in_and_trust_is_live() {
    let flow = Flow::start();
    let works = || flow.token("grant_type=client_credentials").0 == 200;
    let closed = || code(&flow.token("grant_type=client_credentials")) == CLOSED;
    assert!(works());
    flow.pair.let_in("CN=somebody.example.com");
    let refused = || closed() && flow.pair.front.log().contains("answers 401 4000205");
    assert!(soon(refused), "a certificate that is nobody's: {}", flow.pair.front.log());
    flow.pair.let_in(&caller());
    assert!(soon(works));
    let home = flow.pair.behind_home();
    run(&home, &["key", "trust", "remove", "dmz"]).expect("a command");
    assert!(soon(closed), "an authority that is trusted no longer");
    let authority = flow.pair.front_home().join("keys/ca.pem").display().to_string();
    run(&home, &["key", "trust", "add", "dmz", &authority]).expect("a command");
    assert!(soon(works));
    let list = run(&home, &["key", "trust", "list"]).expect("a command").stdout;
    assert!(list.contains("dmz") && list.contains("Portcullis CA") && list.contains(':'), "{list}");
    for (words, why) in [
        (vec!["key", "trust", "add", "dmz", &authority], "trusted already"),
        (vec!["key", "trust", "add", "../x", &authority], "cannot be the name"),
        (vec!["key", "trust", "add", "none", "/dev/null"], "no certificate"),
        (vec!["key", "trust", "remove", "nobody"], "there is no trust anchor"),
    ] {
        let said = portcullis_tests::process::command(&home, &words).expect("a command");
        assert!(!said.success && said.stderr.contains(why), "{words:?}: {}", said.stderr);
    }
    // The other direction: a server whose authority is not trusted is not asked.
    run(&flow.pair.front_home(), &["key", "trust", "remove", "behind"]).expect("a command");
    let refused = || closed() && flow.pair.front.log().contains("UnknownIssuer");
    assert!(soon(refused), "a server that nobody vouches for: {}", flow.pair.front.log());
}

/// Waits until something holds.
fn soon(what: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while !what() {
        if begun.elapsed() > Duration::from_secs(20) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    true
}

#[test]
fn an_answer_that_is_none_lets_nobody_in() {
    let flow = Flow::start();
    let good = member(&flow.token("grant_type=client_credentials"), "access_token");
    let json = |status: &str, more: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{more}Content-Length: {}\r\n\r\n{body}", body.len())
    };
    let huge = "x".repeat(3 << 20);
    let lies = [
        ("500", json("500 Internal Server Error", "x-ca-err: 4000000\r\n", "{}")),
        ("503 without a code", json("503 Service Unavailable", "", "")),
        ("nonsense", json("200 OK", "", "hello")),
        ("a list", json("200 OK", "", "[]")),
        ("no word", json("200 OK", "", "{}")),
        (
            "another client",
            json("200 OK", "", "{\"held\": true, \"client_values\": {\"client_id\": \"x\", \"status\": \"ENABLED\"}}"),
        ),
        ("a redirect", json("302 Found", "Location: https://127.0.0.2/\r\n", "")),
        ("another error code", json("400 Bad Request", "x-ca-err: 9999990\r\n", "{}")),
        ("too much", json("200 OK", "", &format!("{{\"held\": true, \"more\": \"{huge}\"}}"))),
        ("half", "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_owned()),
        ("no HTTP", "\0\0\0\0".to_owned()),
        ("slow", String::new()),
    ];
    let home = flow.pair.behind_home();
    for (what, answer) in lies {
        let address = block_on_liar(&home, answer);
        say_where(&flow.pair.front_home(), &format!("{BEHIND}:{}", address.port()));
        let target = format!("{BEHIND}:{}", address.port());
        let closed = || code(&flow.token("grant_type=client_credentials")) == CLOSED && flow.pair.front.log().contains(&target);
        assert!(soon(closed), "{what}: {}", flow.pair.front.log());
        assert_eq!(code(&flow.api(&good)), "000", "{what}");
    }
    // TLS to a port that does not speak it, and one where nobody is.
    let plain = flow.pair.behind.as_ref().map_or(0, |behind| behind.http.port());
    for port in [plain, 1] {
        say_where(&flow.pair.front_home(), &format!("{BEHIND}:{port}"));
        let target = format!("{BEHIND}:{port}/");
        let closed = || code(&flow.token("grant_type=client_credentials")) == CLOSED && flow.pair.front.log().contains(&target);
        assert!(soon(closed), "port {port}: {}", flow.pair.front.log());
    }
    say_where(&flow.pair.front_home(), &format!("{BEHIND}:{}", flow.pair.port));
    assert!(soon(|| flow.token("grant_type=client_credentials").0 == 200), "{}", flow.pair.front.log());
}

/// A server with a good certificate that gives everybody this answer; nothing at all if it is empty.
fn block_on_liar(home: &std::path::Path, answer: String) -> SocketAddr {
    let read = |name: &str| std::fs::read_to_string(home.join("keys").join(name)).expect("a file");
    let issuer = rcgen::Issuer::from_ca_cert_pem(&read("ca.pem"), rcgen::KeyPair::from_pem(&read("ca.key.pem")).expect("a key"))
        .expect("an issuer");
    let key = rcgen::KeyPair::generate().expect("a key");
    let params = rcgen::CertificateParams::new(vec![BEHIND.to_owned()]).expect("parameters");
    let certificate: CertificateDer<'static> = params.signed_by(&key, &issuer).expect("a certificate").der().clone();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate], PrivatePkcs8KeyDer::from(key.serialize_der()).into())
        .expect("a configuration");
    let (sender, receiver) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        block_on(async move {
            let listener = tokio::net::TcpListener::bind((BEHIND, 0)).await.expect("a listener");
            sender.send(listener.local_addr().expect("an address")).expect("a receiver");
            let (acceptor, answer) = (tokio_rustls::TlsAcceptor::from(Arc::new(config)), Arc::new(answer));
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, answer) = (acceptor.clone(), Arc::clone(&answer));
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept(stream).await else { return };
                    let mut asked = [0; 65536];
                    let _ = stream.read(&mut asked).await;
                    if answer.is_empty() {
                        tokio::time::sleep(Duration::from_secs(60)).await;
                    }
                    let _ = stream.write_all(answer.as_bytes()).await;
                    let _ = stream.shutdown().await;
                });
            }
        });
    });
    receiver.recv().expect("an address")
}

#[test]
fn both_gateways_may_have_an_instance_modifier() {
    let flow = Flow::start();
    for home in [flow.pair.front_home(), flow.pair.behind_home()] {
        let settings = std::fs::read_to_string(home.join("gateway.yaml")).expect("settings");
        put(&home, "gateway.yaml", &format!("{settings}instance_modifier: -dev\n"));
    }
    let body = format!("grant_type=client_credentials&client_id={}&client_secret={}", flow.client.id, flow.secret);
    let works = || {
        let got = flow.send("POST", "/-dev/auth/oauth/v2/token", "", &body);
        got.0 == 200
            && flow
                .send(
                    "GET",
                    "/-dev/oauth/v2/protectedapi/foo",
                    &format!("Authorization: Bearer {}\r\n", member(&got, "access_token")),
                    "",
                )
                .0
                == 200
    };
    assert!(soon(works), "{}", flow.pair.front.log());
    assert_eq!(flow.send("POST", "/auth/oauth/v2/token", "", &body).0, 404);
}

/// What serves clients must work without a database: only what stores, and what runs inside, speaks SQL.
#[test]
fn only_the_stores_speak_sql() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let inside = |path: &str| {
        let stores =
            ["fragments/openid/otk-back-channel-logout.policy", "fragments/persistence", "fragments/tasks", "policies/commands"];
        stores.iter().any(|folder| path.starts_with(folder))
            || path.starts_with("policies/oauth/") && path.ends_with("gateway.policy")
    };
    let mut folders = vec![root.join("policies"), root.join("fragments")];
    let mut read = 0;
    while let Some(folder) = folders.pop() {
        for path in std::fs::read_dir(&folder).expect("a folder").flatten().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&root).expect("a file of the tree").display().to_string();
            if !name.ends_with(".policy") || inside(&name) {
                continue;
            }
            read += 1;
            let text = std::fs::read_to_string(&path).expect("a policy");
            let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
            for line in code {
                let speaks = ["SqlQuery", "SqlDelete", "Transaction(", " SQL "].iter().any(|word| line.contains(word));
                assert!(!speaks, "{name}: `{}` needs a database here, which a gateway in the DMZ does not have", line.trim());
            }
        }
    }
    assert!(read > 50, "{read} policies");
}
