//! Two clusters as two gateways have them, over a real Redis server (`redis-server` in the path, or `PORTCULLIS_TEST_REDIS` names it) and
//! over PostgreSQL (`PORTCULLIS_TEST_POSTGRES`).

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::*;
use crate::data::value::Value;
use crate::services::cache::Limits;
use crate::services::identity::{AttemptLimiter, Attempts, Rule};
use crate::services::rates::{Draw, Rates};

/// A server in its own folder. Dropping it kills it.
struct Server {
    folder: tempfile::TempDir,
    program: PathBuf,
    child: Option<Child>,
}

impl Server {
    /// `None`, and a word about it, where Redis is not installed.
    fn start() -> Option<Server> {
        let named = std::env::var_os("PORTCULLIS_TEST_REDIS").map(PathBuf::from);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let program = named.or_else(|| std::env::split_paths(&path).map(|at| at.join("redis-server")).find(|at| at.exists()));
        let Some(program) = program else {
            eprintln!("skipped: there is no redis-server");
            return None;
        };
        let mut server = Server { folder: tempfile::tempdir().unwrap(), program, child: None };
        server.run();
        Some(server)
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    fn run(&mut self) {
        let mut command = Command::new(&self.program);
        command.args(["--port", "0", "--save", "", "--unixsocket"]).arg(self.socket()).current_dir(self.folder.path());
        self.child = Some(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        wait_for("a server", || std::os::unix::net::UnixStream::connect(self.socket()).is_ok());
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = std::fs::remove_file(self.socket());
    }

    fn settings(&self) -> config::Cluster {
        let redis = config::Redis { url: format!("unix://{}", self.socket().display()), ..config::Redis::default() };
        config::Cluster { redis: Some(redis), ..config::Cluster::default() }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn wait_for(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

async fn wait(what: &str, done: impl Fn() -> bool) {
    let begun = Instant::now();
    while !done() {
        assert!(begun.elapsed() < Duration::from_secs(60), "{what} does not come");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

struct Node {
    caches: Arc<Caches>,
    cluster: Arc<Cluster>,
    running: Option<Running>,
}

impl Node {
    fn new(settings: &config::Cluster, connections: &Connections) -> Node {
        let caches = Arc::new(Caches::default());
        let cluster = Cluster::open(settings, connections, Path::new(""), &caches, &Arc::default()).unwrap();
        Node { caches, cluster: Arc::new(cluster), running: None }
    }

    async fn start(mut self) -> Node {
        self.running = self.cluster.start();
        wait("the bus", || self.is("up")).await;
        self
    }

    fn is(&self, state: &str) -> bool {
        self.cluster.report().state == state
    }

    fn store(&self, key: &str) {
        let limits = Limits { max_entries: 10, max_age_millis: 100_000, max_size: 100 };
        self.caches.store("a:30", key, Value::from("v"), limits, self.cluster.clock.now_millis(), self.caches.author());
    }

    fn has(&self, key: &str) -> bool {
        self.caches.lookup("a:30", key, None, self.cluster.clock.now_millis()).is_some()
    }

    async fn tell(&self, removal: Removal) {
        let ticket = self.cluster.tell(vec![removal]).unwrap();
        self.cluster.told(ticket).await;
    }
}

async fn two_gateways(settings: &config::Cluster, connections: &Connections) {
    let (one, other) = (Node::new(settings, connections).start().await, Node::new(settings, connections).start().await);
    wait("one another", || one.cluster.report().others == 1 && other.cluster.report().others == 1).await;
    ["k", "l"].iter().for_each(|key| other.store(key));
    one.store("k");
    one.tell(Removal::key("a:#", "k")).await;
    wait("the removal", || !other.has("k")).await;
    assert!(other.has("l") && one.has("k"), "who tells removes by itself");
    one.tell(Removal::all("a:#")).await;
    wait("the flush", || !other.has("l")).await;

    // A command has no connection until it has something to tell.
    let command = Node::new(settings, connections);
    other.store("k");
    command.tell(Removal::key("a:30", "k")).await;
    wait("what a command tells", || !other.has("k")).await;

    // One that leaves says farewell, so the others keep what they have.
    other.store("k");
    one.running.unwrap().finish().await;
    wait("the farewell", || other.cluster.report().others == 0).await;
    assert!(other.has("k"));
    assert_eq!(other.cluster.report().flushes, 1, "{:?}", other.cluster.report());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_removes_all_remove_over_redis() {
    let Some(mut server) = Server::start() else { return };
    let (settings, none) = (server.settings(), Connections::default());
    two_gateways(&settings, &none).await;

    // What is told while the bus is away arrives when it is back, and nobody trusts what it had.
    let (one, other) = (Node::new(&settings, &none).start().await, Node::new(&settings, &none).start().await);
    other.store("k");
    server.stop();
    wait("the loss", || one.is("down") && other.is("down")).await;
    assert!(other.cluster.report().last_error.is_some_and(|error| !error.contains("socket")), "no address in errors");
    one.tell(Removal::key("a:30", "k")).await;
    server.run();
    wait("the return", || one.is("up") && other.is("up")).await;
    assert!(!other.has("k"));
    assert_eq!(other.cluster.report().reconnects, 1);
    other.store("k");
    one.tell(Removal::key("a:30", "k")).await;
    wait("the removal", || !other.has("k")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_removes_all_remove_over_postgres() {
    let Ok(url) = std::env::var("PORTCULLIS_TEST_POSTGRES") else { return };
    let connection = config::Connection { url, ..config::Connection::default() };
    let connections = Connections::open(&[("Main".to_owned(), connection)].into(), Path::new("")).unwrap();
    // Other tests run on this database.
    let settings = config::Cluster { name: message::new_node(), ..config::Cluster::default() };
    two_gateways(&settings, &connections).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_takes_strange_messages() {
    let Some(server) = Server::start() else { return };
    let node = Node::new(&server.settings(), &Connections::default()).start().await;
    node.store("k");
    let client = ::redis::Client::open(format!("unix://{}", server.socket().display())).unwrap();
    let mut stranger = client.get_multiplexed_async_connection().await.unwrap();
    for text in [&b"\xff\xfe"[..], b"{}", br#"{"v":9,"node":"x","n":1,"remove":[["a:30"]]}"#, &[b'['; 100_000]] {
        let _: () = ::redis::cmd("PUBLISH").arg("portcullis:0:bus").arg(text).query_async(&mut stranger).await.unwrap();
    }
    wait("the messages", || node.cluster.report().ignored == 4).await;
    assert!(node.has("k") && node.is("up"));
    // A gap in the numbers means that something is missing.
    for number in [1, 3] {
        let text = format!(r#"{{"v":1,"node":"x","n":{number}}}"#);
        let _: () = ::redis::cmd("PUBLISH").arg("portcullis:0:bus").arg(text).query_async(&mut stranger).await.unwrap();
    }
    wait("the gap", || !node.has("k")).await;
}

/// Redis counts exactly as the gateway does alone.
#[tokio::test(flavor = "multi_thread")]
async fn limits_are_the_same_in_redis() {
    let Some(server) = Server::start() else { return };
    let node = Node::new(&server.settings(), &Connections::default()).start().await;
    let (rates, attempts) = (Rates::default(), AttemptLimiter::default());
    let mut random = StdRng::seed_from_u64(7);
    let mut now = 1_800_000_000_000;
    for step in 0..3000 {
        now += [0, 0, 1, 400, 1000, 2500, 9000][random.random_range(0..7)];
        let draw = Draw::new(random.random_range(1..20), 1000, random.random_range(1..20), random.random_range(1..8));
        let key = format!("rate {}", random.random_range(0..3));
        let asked = node.cluster.take(&key, draw, now).await;
        assert_eq!(asked, Some(rates.draw(&key, draw, now)), "step {step}: {draw:?}");

        let rule = |number: i64| {
            let (limit, window_millis) = [(1, 20_000), (3, 60_000), (0, 30_000)][number as usize];
            let forgive_millis = if number == 1 { 5_000 } else { 0 };
            let key = format!("attempt {number}");
            (key.clone(), Rule::new(&key, Attempts { limit, window_millis, max_delay_millis: 8_000, forgive_millis }))
        };
        let first = random.random_range(0..3);
        let (keys, rules): (Vec<String>, Vec<Rule>) = (first..random.random_range(first + 1..4)).map(rule).unzip();
        let name = format!("claimant {}", random.random_range(0..3));
        let claimant = random.random_bool(0.5).then_some(name.as_str());
        let texts = keys.iter().map(String::as_str);
        let (what, own) = match random.random_range(0..10) {
            0 => {
                attempts.release(texts, claimant, now);
                (Attempt::Release, (0, 0))
            }
            1 => {
                attempts.succeeded(texts);
                (Attempt::Success, (0, 0))
            }
            2 => (Attempt::Look, attempts.look(&rules, now)),
            _ => (Attempt::Count, (attempts.attempt(&rules, claimant, now).err().unwrap_or(0), 0)),
        };
        let asked = node.cluster.attempt(what, &keys, &rules, claimant, now).await;
        assert_eq!(asked, Some(own), "step {step}: {what:?} {keys:?} {claimant:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_redis_each_counts_for_itself() {
    let Some(mut server) = Server::start() else { return };
    let (settings, none) = (server.settings(), Connections::default());
    let (one, other) = (Node::new(&settings, &none).start().await, Node::new(&settings, &none).start().await);
    let draw = Draw::new(1, 3_600_000, 1, 1);
    assert_eq!(one.cluster.take("k", draw, 0).await, Some(0));
    assert!(other.cluster.take("k", draw, 0).await.unwrap() > 0, "the only one is taken");
    assert_eq!(one.cluster.report().limits, "shared");
    server.stop();
    assert_eq!(one.cluster.take("k", draw, 0).await, None);
    wait("the loss", || one.is("down")).await;
    assert_eq!(one.cluster.report().limits, "own");
    server.run();
    wait("the return", || one.is("up")).await;
    assert_eq!(one.cluster.take("k", draw, 0).await, Some(0), "an empty Redis has forgotten");
}

/// A server that hangs is no better than one that is gone.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_hangs_is_noticed() {
    let Some(server) = Server::start() else { return };
    let node = Node::new(&server.settings(), &Connections::default()).start().await;
    node.store("k");
    let client = ::redis::Client::open(format!("unix://{}", server.socket().display())).unwrap();
    let mut operator = client.get_multiplexed_async_connection().await.unwrap();
    let _: () = ::redis::cmd("CLIENT").arg("PAUSE").arg(4000).arg("ALL").query_async(&mut operator).await.unwrap();
    wait("the loss", || node.is("down")).await;
    wait("the return", || node.is("up")).await;
    assert!(!node.has("k"));
}

/// Over TLS the server proves its name, to who trusts its authority.
#[tokio::test(flavor = "multi_thread")]
async fn tls_is_verified() {
    use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

    let Some(plain) = Server::start() else { return };
    let path = |name: &str| plain.folder.path().join(name);
    for name in ["ca", "other"] {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        std::fs::write(path(&format!("{name}.pem")), authority.pem()).unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &authority).unwrap();
        std::fs::write(path(&format!("{name}-cert.pem")), certificate.pem()).unwrap();
        std::fs::write(path(&format!("{name}-key.pem")), key.serialize_pem()).unwrap();
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new(&plain.program);
    command
        .args(["--port", "0", "--save", "", "--requirepass", "hunter2", "--tls-auth-clients", "no", "--tls-port"])
        .arg(port.to_string());
    for (setting, file) in
        [("--tls-cert-file", "ca-cert.pem"), ("--tls-key-file", "ca-key.pem"), ("--tls-ca-cert-file", "ca.pem")]
    {
        command.arg(setting).arg(path(file));
    }
    let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let _secure = Server { folder: tempfile::tempdir().unwrap(), program: plain.program.clone(), child: Some(child) };
    wait_for("a server", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    let settings = |host: &str, ca: Option<&str>, password: &str| {
        let redis = config::Redis {
            url: format!("rediss://{host}:{port}"),
            password: Some(password.to_owned()),
            ca: ca.map(path),
            ..config::Redis::default()
        };
        config::Cluster { redis: Some(redis), ..config::Cluster::default() }
    };
    let none = Connections::default();
    let node = Node::new(&settings("localhost", Some("ca.pem"), "hunter2"), &none).start().await;
    assert_eq!(node.cluster.take("k", Draw::new(1, 1000, 1, 1), 0).await, Some(0));
    for (host, ca, password) in [
        ("localhost", Some("other.pem"), "hunter2"),
        ("localhost", None, "hunter2"),
        ("127.0.0.1", Some("ca.pem"), "hunter2"),
        ("localhost", Some("ca.pem"), "hunter3"),
    ] {
        let mut node = Node::new(&settings(host, ca, password), &none);
        node.running = node.cluster.start();
        wait("the refusal", || node.is("down")).await;
        let error = node.cluster.report().last_error.unwrap_or_default();
        assert!(!error.contains("hunter"), "{error}");
    }
}
