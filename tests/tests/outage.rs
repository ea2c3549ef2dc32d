//! Database servers that are killed, stopped, or too busy, behind a real gateway: nothing that was acknowledged is lost, the answer is 503
//! meanwhile, what is cached is still answered, and afterwards everything works again without anybody's help.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portcullis_tests::databases::{Database, Kind, Pooler, installed};
use portcullis_tests::grants::{Answer, GrantClient, prepare};
use portcullis_tests::load::{self, Reply, Target};
use portcullis_tests::process::{Process, Start};
use portcullis_tests::{block_on, put};

/// Waits in the database, as a slow statement does.
const SLOW: &str = r#"
service "Slow" at "/slow" errors "OTK Fail with error message" () {
    if SqlDialect(connection: "OAuth", is: "mysql") { SqlQuery(connection: "OAuth", query: sql "select sleep(1)") }
    else { SqlQuery(connection: "OAuth", query: sql "select cast(pg_sleep(1) as text)") }
    Respond(body: "slow")
}
"#;

struct Place {
    home: tempfile::TempDir,
    process: Process,
    client: GrantClient,
}

impl Place {
    /// A gateway on this database.
    fn start(url: &str, settings: &str) -> Place {
        let home = tempfile::tempdir().expect("a folder");
        put(home.path(), "gateway.yaml", &format!("connections:\n  OAuth: {{ url: '{url}'{settings} }}\n"));
        let limit = "customize \"OTK Storage Configuration\" {\n    set max_oauth_token_count = 100000\n}\n";
        put(home.path(), "customizations/configuration/#otk-storage-configuration.policy", limit);
        put(home.path(), "services/slow.policy", SLOW);
        prepare(home.path());
        let process = Process::gateway(home.path(), &Start::default()).expect("a start");
        // Some tests have several gateways on one database.
        let name = format!("App {}", process.https.port());
        let client = GrantClient::register(home.path(), &name).expect("a client").at(&process);
        Place { home, process, client }
    }

    fn get(&self, path: &str, fields: &str) -> (u16, String, String) {
        let target = Target { address: self.process.https, tls: true };
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{fields}\r\n");
        let (status, head, body) = block_on(load::once(target, request.as_bytes())).expect("an answer");
        (status, head, String::from_utf8_lossy(&body).into_owned())
    }

    fn tokens(&self) -> (String, String) {
        let answer = block_on(async {
            let code = self.client.code("alice").await?;
            self.client.redeem(&code).await
        });
        match answer {
            Ok(Answer::Tokens { access, refresh }) => (access, refresh),
            other => panic!("no tokens: {other:?}\n{}", self.process.log()),
        }
    }

    /// The token endpoint refuses for now, in its own form and soon.
    fn refuses_for_now(&self, grant: &str) {
        let begun = Instant::now();
        let (status, head, body) = self.token(grant);
        let reply = Reply { status, head: &head, body: body.as_bytes() };
        assert_eq!((status, reply.header("x-ca-err")), (503, Some("3003000")), "{head}{body}\n{}", self.process.log());
        assert_eq!(reply.member("error").as_deref(), Some("temporarily_unavailable"), "{body}");
        // Much longer than it takes; a request that hangs would be here for ever.
        assert!(begun.elapsed() < Duration::from_secs(20), "it takes {:?}", begun.elapsed());
    }

    fn token(&self, grant: &str) -> (u16, String, String) {
        let target = Target { address: self.process.https, tls: true };
        let request = self.client.token_request(grant);
        let (status, head, body) = block_on(load::once(target, request.as_bytes())).expect("an answer");
        (status, head, String::from_utf8_lossy(&body).into_owned())
    }

    fn works(&self) -> bool {
        self.token("grant_type=client_credentials").0 == 200
    }
}

fn soon(what: impl Fn() -> bool) -> bool {
    let begun = Instant::now();
    while !what() {
        if begun.elapsed() > Duration::from_secs(40) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    true
}

/// What clients did while the server died and came back.
#[derive(Default)]
struct Seen {
    enough: AtomicBool,
    issued: AtomicUsize,
    /// Answers by status and code.
    answers: Mutex<BTreeMap<String, usize>>,
    /// Tokens that were acknowledged.
    kept: Mutex<Vec<String>>,
}

async fn busy(client: GrantClient, seen: Arc<Seen>) {
    while !seen.enough.load(Ordering::Relaxed) {
        let Ok((status, head, body)) = client.exchange("grant_type=client_credentials").await else { continue };
        let reply = Reply { status, head: &head, body: &body };
        if let Some(access) = reply.member("access_token").filter(|_| status == 200) {
            seen.issued.fetch_add(1, Ordering::Relaxed);
            seen.kept.lock().expect("no panic").push(access);
        }
        let code = reply.header("x-ca-err").unwrap_or("");
        *seen.answers.lock().expect("no panic").entry(format!("{status} {code}")).or_default() += 1;
    }
}

#[test]
fn a_server_that_is_killed_loses_nothing_and_is_found_again() {
    for mut database in installed().expect("servers") {
        let kind = database.kind();
        let place = Place::start(&database.url(), "");
        let (access, refresh) = place.tokens();
        let api = format!("Authorization: Bearer {access}\r\n");
        assert_eq!(place.get("/oauth/v2/protectedapi/foo", &api).0, 200, "{kind:?}");
        let code = block_on(place.client.code("bob")).expect("a code");
        let seen = Arc::new(Seen::default());
        block_on(async {
            let tasks: Vec<_> = (0..6).map(|_| tokio::spawn(busy(place.client.clone(), Arc::clone(&seen)))).collect();
            let more = || {
                let before = seen.issued.load(Ordering::Relaxed);
                tokio::task::block_in_place(|| soon(|| seen.issued.load(Ordering::Relaxed) > before + 20))
            };
            assert!(more(), "{kind:?}: {}", place.process.log());
            database.kill();
            tokio::task::block_in_place(|| {
                place.refuses_for_now("grant_type=client_credentials");
                place.refuses_for_now(&format!("grant_type=refresh_token&refresh_token={refresh}"));
                place.refuses_for_now(&format!("grant_type=authorization_code&code={code}"));
                // What is known is still answered; what is not known is refused for now, too.
                assert_eq!(place.get("/oauth/v2/protectedapi/foo", &api).0, 200, "{kind:?}: the cache knows the token");
                let other = place.get("/oauth/v2/protectedapi/foo", "Authorization: Bearer unknown\r\n");
                assert_eq!(other.0, 503, "{kind:?}: {other:?}");
                database.run().expect("a start");
            });
            assert!(more(), "{kind:?}: it does not heal: {}", place.process.log());
            seen.enough.store(true, Ordering::Relaxed);
            for task in tasks {
                task.await.expect("no panic");
            }
        });
        let answers = seen.answers.lock().expect("no panic").clone();
        assert!(
            answers.keys().all(|answer| answer == "200 " || answer == "503 3003000"),
            "{kind:?}: {answers:?}\n{}",
            place.process.log()
        );
        assert!(answers.len() == 2, "{kind:?}: {answers:?}");
        for token in seen.kept.lock().expect("no panic").iter() {
            let got = place.get("/oauth/v2/protectedapi/foo", &format!("Authorization: Bearer {token}\r\n"));
            assert_eq!(got.0, 200, "{kind:?}: an acknowledged token is lost: {got:?}");
        }
        // What was refused can still be done.
        let answer = block_on(place.client.refresh(&refresh)).expect("an answer");
        assert!(answer.is_tokens(), "{kind:?}: {answer:?}");
        let answer = block_on(place.client.redeem(&code)).expect("an answer");
        assert!(answer.is_tokens(), "{kind:?}: {answer:?}");
    }
}

#[test]
fn a_gateway_that_is_killed_loses_nothing() {
    for database in installed().expect("servers") {
        let kind = database.kind();
        let mut place = Place::start(&database.url(), "");
        let seen = Arc::new(Seen::default());
        let client = place.client.clone();
        block_on(async {
            let tasks: Vec<_> = (0..6).map(|_| tokio::spawn(busy(client.clone(), Arc::clone(&seen)))).collect();
            let enough = tokio::task::block_in_place(|| soon(|| seen.issued.load(Ordering::Relaxed) > 20));
            assert!(enough, "{kind:?}: {}", place.process.log());
            place.process.kill().expect("an end");
            seen.enough.store(true, Ordering::Relaxed);
            for task in tasks {
                task.await.expect("no panic");
            }
        });
        place.process = Process::gateway(place.home.path(), &Start::default()).expect("a start");
        place.client = place.client.at(&place.process);
        for token in seen.kept.lock().expect("no panic").iter() {
            let got = place.get("/oauth/v2/protectedapi/foo", &format!("Authorization: Bearer {token}\r\n"));
            assert_eq!(got.0, 200, "{kind:?}: an acknowledged token is lost: {got:?}");
        }
    }
}

#[test]
fn a_server_that_says_nothing_is_not_waited_for() {
    for database in installed().expect("servers") {
        let kind = database.kind();
        let place = Place::start(&database.url(), ", statement_timeout: 1s, transaction_timeout: 1s, wait_timeout: 1s");
        let (access, refresh) = place.tokens();
        let api = format!("Authorization: Bearer {access}\r\n");
        assert_eq!(place.get("/oauth/v2/protectedapi/foo", &api).0, 200, "{kind:?}");
        database.freeze().expect("a signal");
        for _ in 0..3 {
            place.refuses_for_now("grant_type=client_credentials");
        }
        place.refuses_for_now(&format!("grant_type=refresh_token&refresh_token={refresh}"));
        assert_eq!(place.get("/oauth/v2/protectedapi/foo", &api).0, 200, "{kind:?}: the cache knows the token");
        database.thaw().expect("a signal");
        assert!(soon(|| place.works()), "{kind:?}: it does not heal: {}", place.process.log());
    }
}

#[test]
fn where_all_connections_are_busy_some_are_served_and_the_rest_is_refused() {
    const AT_ONCE: usize = 40;
    for database in installed().expect("servers") {
        let kind = database.kind();
        let place = Place::start(&database.url(), ", pool_size: 2, wait_timeout: 1500ms");
        let target = Target { address: place.process.https, tls: true };
        let answers = block_on(async {
            let ask = |_| tokio::spawn(async move { load::once(target, b"GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n").await });
            let tasks: Vec<_> = (0..AT_ONCE).map(ask).collect();
            let mut answers = BTreeMap::<u16, usize>::new();
            for task in tasks {
                let (status, head, body) = task.await.expect("no panic").expect("an answer");
                *answers.entry(status).or_default() += 1;
                let reply = Reply { status, head: &head, body: &body };
                if status != 200 {
                    assert_eq!(reply.member("error").as_deref(), Some("temporarily_unavailable"), "{kind:?}: {head}");
                }
            }
            answers
        });
        // Two at a time, for as long as somebody waits for a connection; all others learn it.
        let served = answers.get(&200).copied().unwrap_or(0);
        let refused = answers.get(&503).copied().unwrap_or(0);
        assert!(served >= 2 && refused >= 10 && served + refused == AT_ONCE, "{kind:?}: {answers:?}\n{}", place.process.log());
        assert!(place.works(), "{kind:?}: {}", place.process.log());
    }
}

#[test]
fn a_pooler_may_lend_sessions_for_one_transaction_only() {
    let Some(database) = Database::start(Kind::Postgres).expect("a server") else { return println!("skipped: no PostgreSQL") };
    let Some(pooler) = Pooler::start(&database).expect("a pooler") else { return println!("skipped: no PgBouncer") };
    let query = format!("{}?statement-cache-capacity=0", pooler.url());
    for (url, settings) in [(pooler.url(), ", pooler: true"), (query, "")] {
        let place = Place::start(&url, settings);
        let (access, refresh) = place.tokens();
        let api = format!("Authorization: Bearer {access}\r\n");
        assert_eq!(place.get("/oauth/v2/protectedapi/foo", &api).0, 200, "{}", place.process.log());
        let answer = block_on(place.client.refresh(&refresh)).expect("an answer");
        assert!(answer.is_tokens(), "{answer:?}");
        // More clients than sessions, each of which runs everybody's statements.
        let answers = block_on(async {
            let unique = place.process.https.port();
            let tasks: Vec<_> = (0..24)
                .map(|owner| {
                    let client = place.client.clone();
                    let owner = format!("owner-{unique}-{owner}");
                    tokio::spawn(async move {
                        for _ in 0..5 {
                            let code = client.code(&owner).await.expect("a code");
                            let answer = client.redeem(&code).await.expect("an answer");
                            assert!(answer.is_tokens(), "{answer:?}");
                        }
                        client.count(&owner).await.expect("a count")
                    })
                })
                .collect();
            let mut counts = Vec::new();
            for task in tasks {
                counts.push(task.await.expect("no panic"));
            }
            counts
        });
        assert_eq!(answers, vec![5; 24], "{}", place.process.log());
    }
}
