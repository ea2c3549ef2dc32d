//! Three equal gateways on one database behave as one: what ends at one of them ends at all at once, races have one winner, limits count
//! over all, and a lost server or gateway heals by itself. On the embedded database and on MySQL with Redis, and on PostgreSQL with Redis
//! and by its own messages; `PORTCULLIS_TEST_MYSQL` and `PORTCULLIS_TEST_POSTGRES` name the servers, and Redis is started here.

use std::hash::{BuildHasher, RandomState};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use portcullis_tests::databases::said;
use portcullis_tests::grants::{Answer, GrantClient, prepare};
use portcullis_tests::process::{Process, Start, command};
use portcullis_tests::servers::{Balancer, Proxy, Redis, address_of, free_port};
use portcullis_tests::{block_on, put};

/// Gateways.
const NODES: usize = 3;
/// Longer than anything takes, and much shorter than the caches here keep a value.
const SOON: Duration = Duration::from_secs(60);

/// So long that nothing in these tests expires by itself.
const CACHES: &str = "extension \"OTK Caching Customization\" {\n    set maxEntryAge = 100000\n}\n";
const TOKENS: &str = "customize \"OTK Storage Configuration\" {\n    set max_oauth_token_count = 1000\n}\n";
/// Counts over all gateways.
const LIMITS: &str = r#"
service "Rate" at "/rate" {
    RateLimit(key: "${request.http.query.key}", limit: 4, per: 1h)
    Respond(body: "in time")
}
service "Attempt" at "/attempt" {
    AttemptLimit(key: "${request.http.query.key}", limit: 4, window: 1h, max_delay: 1h)
    Respond(body: "counted")
}
"#;

/// A database, and what carries messages.
struct Bus {
    name: &'static str,
    url: Option<String>,
    redis: bool,
}

fn buses() -> Vec<Bus> {
    let mut buses = Vec::new();
    let redis = Redis::program().is_some();
    if redis {
        buses.push(Bus { name: "sqlite with Redis", url: None, redis });
    } else {
        eprintln!("skipped: there is no redis-server");
    }
    if let Ok(url) = std::env::var("PORTCULLIS_TEST_POSTGRES") {
        buses.push(Bus { name: "postgres", url: Some(url.clone()), redis: false });
        if redis {
            buses.push(Bus { name: "postgres with Redis", url: Some(url), redis });
        }
    }
    if let (Ok(url), true) = (std::env::var("PORTCULLIS_TEST_MYSQL"), redis) {
        buses.push(Bus { name: "mysql with Redis", url: Some(url), redis });
    }
    buses
}

/// Gateways with their own homes and one database.
struct Gateways {
    homes: Vec<tempfile::TempDir>,
    nodes: Vec<Process>,
    client: GrantClient,
    redis: Option<Redis>,
    /// A name that no other run uses.
    owner: String,
}

impl Gateways {
    fn start(bus: &Bus) -> Gateways {
        Gateways::start_with(bus, "2s", |_| "monitoring: { listen: off }\n".to_owned())
    }

    /// With so much time until what a gateway cannot know to be true counts no more.
    fn start_with(bus: &Bus, outdated: &str, settings: impl Fn(usize) -> String) -> Gateways {
        let unique = format!("{:x}", RandomState::new().hash_one(0));
        let redis = bus.redis.then(|| Redis::program().and_then(|program| Redis::start(program).ok()).expect("a Redis server"));
        let homes: Vec<_> = (0..NODES).map(|_| tempfile::tempdir().expect("a folder")).collect();
        let embedded = format!("sqlite://{}/shared.db", homes[0].path().display());
        let url = bus.url.as_deref().unwrap_or(&embedded);
        for (place, home) in homes.iter().enumerate() {
            let redis = redis.as_ref().map_or_else(String::new, |redis| format!("redis: '{}', ", redis.url()));
            let yaml = format!(
                "connections:\n  OAuth: {{ url: '{url}', pool_size: 8 }}\ncluster: {{ {redis}name: t{unique}, outdated: {outdated} }}\n{}",
                settings(place)
            );
            put(home.path(), "gateway.yaml", &yaml);
            put(home.path(), "customizations/configuration/#otk-storage-configuration.policy", TOKENS);
            put(home.path(), "customizations/caching/otk-caching-customization.policy", CACHES);
            put(home.path(), "services/limits.policy", LIMITS);
            prepare(home.path());
        }
        let nodes = homes.iter().map(|home| Process::gateway(home.path(), &Start::default()).expect("a start")).collect();
        let client = GrantClient::register(homes[0].path(), &format!("Client {unique}")).expect("a client");
        let gateways = Gateways { homes, nodes, client, redis, owner: format!("owner-{unique}") };
        gateways.connected(1);
        gateways
    }

    fn at(&self, node: usize) -> GrantClient {
        self.client.at(&self.nodes[node])
    }

    fn command(&self, node: usize, words: &[&str]) -> String {
        let said = command(self.homes[node].path(), words).expect("a command");
        assert!(said.success, "{words:?}: {}{}", said.stdout, said.stderr);
        said.stdout
    }

    /// A new access token and refresh token, from this gateway.
    async fn tokens(&self, node: usize) -> (String, String) {
        let client = self.at(node);
        let code = client.code(&self.owner).await.expect("a code");
        match client.redeem(&code).await.expect("an answer") {
            Answer::Tokens { access, refresh } => (access, refresh),
            other => panic!("{other:?}"),
        }
    }

    /// Whether each gateway lets the token in. They all have it in their caches then.
    async fn alive(&self, token: &str) -> Vec<bool> {
        let mut alive = Vec::new();
        for node in 0..NODES {
            alive.push(self.at(node).is_alive(token).await.expect("an answer"));
        }
        alive
    }

    /// What this gateway says of the bus.
    fn bus(&self, node: usize) -> serde_json::Value {
        let said: serde_json::Value = serde_json::from_str(&self.command(node, &["status", "--json"])).expect("JSON");
        said["cluster"].clone()
    }

    /// Waits until each gateway has met the others so many times.
    fn connected(&self, times: usize) {
        for node in &self.nodes {
            let met = node.logs(|log| log.matches("connected to the other gateways").count() >= times);
            assert!(met, "{}", node.log());
        }
    }

    /// The token has ended everywhere, soon.
    async fn ended(&self, token: &str, what: &str) {
        for node in 0..NODES {
            let client = self.at(node);
            soon(&format!("{what}, gateway {node}"), async || !client.is_alive(token).await.expect("an answer")).await;
        }
    }
}

/// Waits until the gateway has met the others.
fn connected(node: &Process) {
    assert!(node.logs(|log| log.contains("connected to the other gateways")), "{}", node.log());
}

async fn soon(what: &str, done: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !done().await {
        assert!(begun.elapsed() < SOON, "{what}: it does not happen");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[test]
fn what_ends_at_one_ends_at_all_at_once() {
    for bus in buses() {
        let gateways = Gateways::start(&bus);
        let name = bus.name;
        block_on(async {
            let (token, _) = gateways.tokens(0).await;
            let (other, refresh) = gateways.tokens(1).await;
            assert_eq!(gateways.alive(&token).await, [true; NODES], "{name}");
            assert_eq!(gateways.alive(&other).await, [true; NODES], "{name}");
            gateways.command(2, &["token", "revoke", "--token", &token]);
            gateways.ended(&token, &format!("{name}: revoked")).await;
            assert_eq!(gateways.alive(&other).await, [true; NODES], "{name}: another token stays");

            // A refresh ends the access token before.
            let Answer::Tokens { access, .. } = gateways.at(2).refresh(&refresh).await.expect("an answer") else {
                panic!("{name}")
            };
            gateways.ended(&other, &format!("{name}: refreshed")).await;
            assert_eq!(gateways.alive(&access).await, [true; NODES], "{name}");
            gateways.command(0, &["token", "disable", "--token", &access]);
            gateways.ended(&access, &format!("{name}: disabled")).await;
            gateways.command(1, &["token", "enable", "--token", &access]);
            for node in 0..NODES {
                let client = gateways.at(node);
                soon(&format!("{name}: enabled"), async || client.is_alive(&access).await.expect("an answer")).await;
            }
            gateways.command(1, &["client", "key", "disable-tokens", "--client_id", &gateways.client.id]);
            gateways.ended(&access, &format!("{name}: all disabled")).await;

            // Each gateway has the client in its cache.
            let said = gateways.command(1, &["client", "key", "secret", "--client_id", &gateways.client.id, "--json"]);
            let said: serde_json::Value = serde_json::from_str(&said).expect("JSON");
            let renewed = gateways.client.with_secret(said["client_secret"].as_str().expect("a secret"));
            for node in 0..NODES {
                let (old, new) = (gateways.at(node), renewed.at(&gateways.nodes[node]));
                soon(&format!("{name}: another secret"), async || {
                    old.redeem("x").await.expect("an answer") == refused("3003201")
                })
                .await;
                assert_eq!(new.redeem("x").await.expect("an answer"), refused("3003113"), "{name}");
            }
            gateways.command(0, &["client", "disable", "--client_id", &gateways.client.id]);
            for node in 0..NODES {
                let client = renewed.at(&gateways.nodes[node]);
                soon(&format!("{name}: disabled"), async || client.redeem("x").await.expect("an answer") == refused("3003201"))
                    .await;
            }
        });
        let cluster = gateways.bus(0);
        assert_eq!((&cluster["state"], &cluster["others"]), (&"up".into(), &(NODES - 1).into()), "{name}: {cluster}");
        assert_eq!(cluster["flushes"], 1, "{name}: single messages did it: {cluster}");
        assert_eq!(cluster["limits"], if bus.redis { "shared" } else { "own" }, "{name}");
    }
}

fn refused(code: &str) -> Answer {
    Answer::Error(code.to_owned())
}

#[test]
fn races_over_gateways_have_one_winner() {
    /// Attempts at each gateway.
    const ATTEMPTS: usize = 6;
    for bus in buses() {
        let gateways = Gateways::start(&bus);
        block_on(async {
            for what in ["code", "refresh token"] {
                let grant = match what {
                    "code" => gateways.at(0).code(&gateways.owner).await.expect("a code"),
                    _ => gateways.tokens(0).await.1,
                };
                let tasks: Vec<_> = (0..NODES * ATTEMPTS)
                    .map(|attempt| {
                        let (client, grant) = (gateways.at(attempt % NODES), grant.clone());
                        tokio::spawn(async move {
                            match what {
                                "code" => client.redeem(&grant).await,
                                _ => client.refresh(&grant).await,
                            }
                        })
                    })
                    .collect();
                let mut winners = 0;
                for task in tasks {
                    winners += usize::from(task.await.expect("no panic").expect("an answer").is_tokens());
                }
                assert_eq!(winners, 1, "{}: {what}", bus.name);
            }
        });
    }
}

#[test]
fn limits_count_over_all_gateways_with_redis() {
    for mut bus in buses().into_iter().filter(|bus| bus.redis).take(1) {
        bus.url = None;
        let mut gateways = Gateways::start(&bus);
        let count = async |gateways: &Gateways, path: &str| {
            let mut passed = 0;
            for attempt in 0..NODES * 6 {
                passed += usize::from(gateways.at(attempt % NODES).ask(path).await.expect("an answer") == 200);
            }
            passed
        };
        block_on(async {
            assert_eq!(count(&gateways, "/rate?key=a").await, 4);
            assert_eq!(count(&gateways, "/attempt?key=a").await, 4);
            // Without Redis each gateway has its own counts, with what it has granted before: never open, never closed to all.
            if let Some(redis) = &mut gateways.redis {
                redis.kill();
            }
            assert_eq!(count(&gateways, "/rate?key=b").await, 4 * NODES);
            assert_eq!(count(&gateways, "/attempt?key=b").await, 4 * NODES);
            assert!(count(&gateways, "/rate?key=a").await <= 4 * (NODES - 1), "the four of before still count where they were");
            assert!(gateways.nodes.iter().all(|node| node.log().matches("Redis does not count").count() <= 1));
            if let Some(redis) = &mut gateways.redis {
                redis.run().expect("a Redis server");
            }
            soon("one count again", async || {
                count(&gateways, &format!("/rate?key={}", RandomState::new().hash_one(0))).await == 4
            })
            .await;
        });
    }
}

#[test]
fn a_lost_bus_or_gateway_heals_by_itself() {
    for bus in buses() {
        // A server that can be cut, where there is one.
        let proxy = match bus.url.as_deref() {
            Some(url) if bus.name == "postgres" => Some(Proxy::start(address_of(url).expect("an address")).expect("a proxy")),
            _ => None,
        };
        let through = |proxy: &Proxy| {
            let url = bus.url.clone().unwrap_or_default();
            url.replace(&address_of(&url).expect("an address").to_string(), &proxy.address.to_string())
        };
        let reached = Bus { url: proxy.as_ref().map(through).or_else(|| bus.url.clone()), ..bus };
        let mut gateways = Gateways::start(&reached);
        let name = bus.name;
        block_on(async {
            let (token, refresh) = gateways.tokens(0).await;
            let (second, _) = gateways.tokens(0).await;
            assert_eq!(gateways.alive(&token).await, [true; NODES], "{name}");
            assert_eq!(gateways.alive(&second).await, [true; NODES], "{name}");
            if let Some(redis) = &mut gateways.redis {
                redis.kill();
                // Tokens are issued and ended as before, and the others see it after `outdated` at the latest.
                let (third, _) = gateways.tokens(1).await;
                assert!(gateways.at(2).is_alive(&third).await.expect("an answer"), "{name}");
                gateways.command(0, &["token", "revoke", "--token", &second]);
                gateways.ended(&second, &format!("{name}: without a bus")).await;
                redis_again(&mut gateways);
            }
            if let Some(proxy) = &proxy {
                proxy.cut();
                assert!(gateways.at(1).code(&gateways.owner).await.is_err_or_empty(), "{name}: there is no database");
                proxy.mend();
            }
            // They find one another again, and tell single removals.
            gateways.connected(if gateways.redis.is_some() || proxy.is_some() { 2 } else { 1 });
            // Nothing that was acknowledged is lost. A request that is given a connection which was just cut may still fail.
            for node in 0..NODES {
                let client = gateways.at(node);
                soon(&format!("{name}: the database"), async || client.is_alive(&token).await.expect("an answer")).await;
            }

            // One gateway is killed while it answers, and starts again.
            let client = gateways.at(2);
            let flow = tokio::spawn(async move { client.refresh(&refresh).await });
            gateways.nodes[2].kill().expect("a kill");
            let answered = flow.await.expect("no panic");
            gateways.nodes[2] = Process::gateway(gateways.homes[2].path(), &Start::default()).expect("a start");
            connected(&gateways.nodes[2]);
            if let Ok(Answer::Tokens { access, .. }) = answered {
                assert_eq!(gateways.alive(&access).await, [true; NODES], "{name}: what was acknowledged is there");
            }
            let (last, _) = gateways.tokens(2).await;
            assert_eq!(gateways.alive(&last).await, [true; NODES], "{name}");
            gateways.command(2, &["token", "revoke", "--token", &last]);
            gateways.ended(&last, &format!("{name}: healed")).await;
        });
    }
}

/// What clients of all gateways did.
#[derive(Default)]
struct Work {
    enough: AtomicBool,
    done: AtomicUsize,
    /// Access tokens that were given out.
    kept: Mutex<Vec<String>>,
    failed: Mutex<Vec<String>>,
}

/// Codes, tokens and refreshes, each at another gateway than the one before, until it is enough.
async fn work(clients: Vec<GrantClient>, owner: String, work: Arc<Work>) {
    for turn in 0.. {
        if work.enough.load(Ordering::Relaxed) {
            return;
        }
        let at = |step: usize| &clients[(turn + step) % clients.len()];
        let round = async {
            let code = at(0).code(&owner).await?;
            let Answer::Tokens { refresh, .. } = at(1).redeem(&code).await? else { anyhow::bail!("no tokens for a code") };
            let Answer::Tokens { access, .. } = at(2).refresh(&refresh).await? else { anyhow::bail!("no tokens for a refresh") };
            anyhow::ensure!(at(0).is_alive(&access).await?, "a new token is refused");
            work.kept.lock().expect("no panic").push(access);
            anyhow::Ok(())
        };
        match round.await {
            Ok(()) => _ = work.done.fetch_add(1, Ordering::Relaxed),
            Err(error) => work.failed.lock().expect("no panic").push(format!("{error:#}")),
        }
    }
}

#[test]
fn redis_may_die_while_clients_work() {
    let url = std::env::var("PORTCULLIS_TEST_POSTGRES").ok();
    if url.is_none() || Redis::program().is_none() {
        return eprintln!("skipped: it takes PostgreSQL and Redis");
    }
    // Nothing that is cached ends by itself, so that only what the gateways tell each other, or do by themselves, ends it.
    let bus = Bus { name: "postgres with Redis", url, redis: true };
    let mut gateways = Gateways::start_with(&bus, "1h", |_| "monitoring: { listen: off }\n".to_owned());
    block_on(async {
        let (missed, _) = gateways.tokens(0).await;
        assert_eq!(gateways.alive(&missed).await, [true; NODES]);
        let before: Vec<u64> = (0..NODES).map(|node| gateways.bus(node)["flushes"].as_u64().expect("a number")).collect();
        let shared = Arc::new(Work::default());
        let clients: Vec<_> = (0..NODES).map(|node| gateways.at(node)).collect();
        let workers: Vec<_> = (0..3)
            .map(|worker| tokio::spawn(work(clients.clone(), format!("{}-{worker}", gateways.owner), Arc::clone(&shared))))
            .collect();
        let more = async || {
            let before = shared.done.load(Ordering::Relaxed);
            soon("work to be done", async || shared.done.load(Ordering::Relaxed) > before + 3).await;
        };
        more().await;
        gateways.redis.as_mut().expect("a Redis server").kill();
        for node in 0..NODES {
            soon("the loss to be noticed", async || gateways.bus(node)["state"] == "down").await;
            assert_eq!(gateways.bus(node)["limits"], "own", "each counts for itself");
        }
        more().await;
        let mut passed = [0; NODES];
        for attempt in 0..NODES * 6 {
            let status = gateways.at(attempt % NODES).ask("/rate?key=alone").await.expect("an answer");
            passed[attempt % NODES] += usize::from(status == 200);
        }
        assert_eq!(passed, [4; NODES], "never open, never closed");

        // The others cannot know it yet.
        gateways.command(0, &["token", "revoke", "--token", &missed]);
        let alive = gateways.alive(&missed).await;
        assert!(alive[1..] == [true; NODES - 1], "cached for `outdated`: {alive:?}");
        redis_again(&mut gateways);
        gateways.connected(2);
        assert_eq!(gateways.alive(&missed).await, [false; NODES], "caches are emptied before a connection counts");
        for (node, before) in before.iter().enumerate() {
            let now = gateways.bus(node);
            assert!(now["flushes"].as_u64() > Some(*before) && now["limits"] == "shared", "{now}");
        }
        more().await;
        shared.enough.store(true, Ordering::Relaxed);
        for worker in workers {
            worker.await.expect("no panic");
        }
        assert_eq!(*shared.failed.lock().expect("no panic"), Vec::<String>::new(), "nobody noticed");
        let kept = shared.kept.lock().expect("no panic").clone();
        for token in &kept {
            assert_eq!(gateways.alive(token).await, [true; NODES], "what was acknowledged is there");
        }
        gateways.command(1, &["token", "revoke", "--token", &kept[0]]);
        gateways.ended(&kept[0], "told again").await;
    });
}

#[test]
fn a_listener_that_is_cut_misses_nothing() {
    let Ok(url) = std::env::var("PORTCULLIS_TEST_POSTGRES") else { return eprintln!("skipped: it takes PostgreSQL") };
    // So that only the listeners of these gateways are cut.
    let name = format!("cut-{:x}", RandomState::new().hash_one(0));
    let join = if url.contains('?') { '&' } else { '?' };
    let bus = Bus { name: "postgres", url: Some(format!("{url}{join}application_name={name}")), redis: false };
    let gateways = Gateways::start_with(&bus, "1h", |_| "monitoring: { listen: off }\n".to_owned());
    let cut = |which: &str| {
        let sql = format!(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = '{name}' and query ilike '{which}'"
        );
        let count = said(Command::new("psql").args([&url, "-tAc", &sql])).expect("psql");
        count.trim().parse::<usize>().expect("a number")
    };
    block_on(async {
        for round in 1..3 {
            let (missed, _) = gateways.tokens(0).await;
            let (stays, _) = gateways.tokens(1).await;
            assert_eq!(gateways.alive(&missed).await, [true; NODES]);
            let stop = AtomicBool::new(false);
            let most = std::thread::scope(|scope| {
                // They come back soon, and are cut again, until the token has been revoked.
                let cutter = scope.spawn(|| {
                    let mut most = 0;
                    while !stop.load(Ordering::Relaxed) {
                        most = most.max(cut("listen %"));
                    }
                    most
                });
                gateways.command(2, &["token", "revoke", "--token", &missed]);
                stop.store(true, Ordering::Relaxed);
                cutter.join().expect("no panic")
            });
            assert!(most >= NODES, "all listeners were cut, that of the command too: {most}");
            gateways.ended(&missed, "revoked while nobody listened").await;
            assert_eq!(gateways.alive(&stays).await, [true; NODES]);
            for node in 0..NODES {
                soon("the others to be found", async || {
                    let now = gateways.bus(node);
                    now["state"] == "up" && now["others"] == NODES - 1 && now["reconnects"].as_u64() >= Some(round)
                })
                .await;
            }
            assert_eq!(gateways.alive(&stays).await, [true; NODES]);
            gateways.command(2, &["token", "revoke", "--token", &stays]);
            gateways.ended(&stays, "told again").await;
        }
    });
}

fn redis_again(gateways: &mut Gateways) {
    if let Some(redis) = &mut gateways.redis {
        redis.run().expect("a Redis server");
    }
}

/// An answer that gives nothing.
trait GivesNothing {
    fn is_err_or_empty(&self) -> bool;
}

impl GivesNothing for anyhow::Result<String> {
    fn is_err_or_empty(&self) -> bool {
        // A code has 36 characters at least; an error page is another thing.
        self.as_ref().map_or(true, |body| body.contains("error") || body.is_empty())
    }
}

#[test]
fn restarting_one_after_the_other_fails_no_request() {
    let bus = Bus { name: "sqlite", url: std::env::var("PORTCULLIS_TEST_POSTGRES").ok(), redis: Redis::program().is_some() };
    if !bus.redis && bus.url.is_none() {
        eprintln!("skipped: there is neither PostgreSQL nor Redis");
        return;
    }
    let ports: Vec<u16> = (0..NODES).map(|_| free_port().expect("a port")).collect();
    let settings = |place: usize| {
        format!("monitoring: {{ listen: '127.0.0.1:{}' }}\nlimits: {{ drain_delay: 2s, shutdown_timeout: 30s }}\n", ports[place])
    };
    let mut gateways = Gateways::start_with(&bus, "2s", settings);
    block_on(async {
        let balancer = Balancer::start(NODES).await.expect("a balancer");
        let place = |gateways: &Gateways, node: usize| {
            balancer.place(node, gateways.nodes[node].https, ([127, 0, 0, 1], ports[node]).into());
        };
        (0..NODES).for_each(|node| place(&gateways, node));
        soon("all ready", async || balancer.ready() == NODES).await;
        let (token, _) = gateways.tokens(0).await;
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let workers: Vec<_> = (0..4)
            .map(|worker| {
                let (client, owner, token) = (gateways.client.through(balancer.address), gateways.owner.clone(), token.clone());
                let stopped = stopped.clone();
                tokio::spawn(async move {
                    let (mut done, mut failed) = (0, Vec::new());
                    while !*stopped.borrow() {
                        let answer = async {
                            if worker % 2 == 0 {
                                return client.is_alive(&token).await;
                            }
                            let code = client.code(&owner).await?;
                            Ok(client.redeem(&code).await?.is_tokens())
                        };
                        match answer.await {
                            Ok(true) => done += 1,
                            other => failed.push(format!("{other:?}")),
                        }
                    }
                    (done, failed)
                })
            })
            .collect();
        for node in 0..NODES {
            assert!(gateways.nodes[node].terminate().expect("an end"), "a clean end: {}", gateways.nodes[node].log());
            soon("the balancer to notice", async || balancer.ready() == NODES - 1).await;
            gateways.nodes[node] = Process::gateway(gateways.homes[node].path(), &Start::default()).expect("a start");
            place(&gateways, node);
            soon("all ready again", async || balancer.ready() == NODES).await;
        }
        stop.send(true).expect("workers");
        let mut answered = 0;
        for worker in workers {
            let (done, failed) = worker.await.expect("no panic");
            assert!(failed.is_empty(), "{} failed after {done}: {:?}", failed.len(), failed.first());
            answered += done;
        }
        assert!(answered > 20, "{answered} requests");
    });
}
