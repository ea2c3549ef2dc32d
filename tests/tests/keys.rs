//! Keys that sign: made at the first start, replaced while clients go on, and published as long as what they signed may come.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::{Jwk, JwkSet};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use portcullis_tests::load::{self, Target};
use portcullis_tests::process::{Process, Start, command};
use portcullis_tests::{block_on, put};
use serde_json::Value;

const SET: &str = "/openid/connect/jwks.json";

/// Signs with the current keys.
const SIGN: &str = r#"
service "Sign" at "/sign" methods GET {
    set claims = json { "sub": "ann", "aud": "app", "exp": now() + 600 }
    set tokens = []
    ForEach algorithm in ["RS256", "PS512", "ES256", "ES384", "EdDSA"] {
        "OTK id_token KID Configuration" (algorithm: ${algorithm.current})
        EncodeJwt(payload: ${claims}, algorithm: ${algorithm.current}, alias: ${id_token_key}, target: "token")
        set tokens = append(${tokens}, ${token})
    }
    Respond(body: json { "tokens": ${tokens} })
}
"#;

fn get(process: &Process, path: &str) -> Value {
    let target = Target { address: process.https, tls: true };
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    let (status, _, body) = block_on(load::once(target, request.as_bytes())).expect("an answer");
    assert_eq!(status, 200, "{path}: {}\n{}", String::from_utf8_lossy(&body), process.log());
    serde_json::from_slice(&body).expect("JSON")
}

fn set(process: &Process) -> JwkSet {
    serde_json::from_value(get(process, SET)).expect("a JWK set")
}

fn tokens(process: &Process) -> Vec<String> {
    let answer = get(process, "/sign");
    answer["tokens"].as_array().expect("tokens").iter().map(|token| token.as_str().expect("a token").to_owned()).collect()
}

fn kids(set: &JwkSet) -> BTreeSet<String> {
    set.keys.iter().map(|key| key.common.key_id.clone().expect("a kid")).collect()
}

/// A client that keeps the key set, and loads it again only when it meets a key that it does not know.
#[derive(Default)]
struct Client {
    known: BTreeMap<String, Jwk>,
    loaded: usize,
}

impl Client {
    fn accepts(&mut self, process: &Process, token: &str) -> bool {
        let header = jsonwebtoken::decode_header(token).expect("a header");
        let kid = header.kid.expect("a kid");
        if !self.known.contains_key(&kid) {
            self.known = set(process).keys.into_iter().map(|key| (key.common.key_id.clone().expect("a kid"), key)).collect();
            self.loaded += 1;
        }
        let Some(key) = self.known.get(&kid) else { return false };
        let mut rules = Validation::new(header.alg);
        rules.set_audience(&["app"]);
        let key = DecodingKey::from_jwk(key).expect("a key");
        jsonwebtoken::decode::<Value>(token, &key, &rules).is_ok()
    }
}

#[test]
fn a_first_start_makes_a_signing_key_for_each_algorithm() {
    let home = tempfile::tempdir().expect("a folder");
    put(home.path(), "services/sign.policy", SIGN);
    let first = Process::gateway(home.path(), &Start::default()).expect("a start");
    let published = set(&first);
    assert_eq!(kids(&published).len(), published.keys.len(), "distinct kids");
    let text = get(&first, SET).to_string();
    for private in ["\"d\"", "\"p\"", "\"q\"", "\"dp\"", "\"dq\"", "\"qi\"", "\"k\"", "PRIVATE"] {
        assert!(!text.contains(private), "{private} in {text}");
    }
    let rsa = published.keys.iter().find(|key| format!("{:?}", key.algorithm).contains("RSA")).expect("an RSA key");
    let modulus = serde_json::to_value(rsa).expect("JSON")["n"].as_str().expect("n").len();
    assert!(modulus >= 342, "2048 bits or more: {modulus} characters");
    let mut client = Client::default();
    let made = tokens(&first);
    assert!(made.iter().all(|token| client.accepts(&first, token)));
    let used: Vec<Algorithm> = made.iter().map(|token| jsonwebtoken::decode_header(token).expect("a header").alg).collect();
    assert_eq!(used, [Algorithm::RS256, Algorithm::PS512, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA]);
}

#[test]
fn keys_are_replaced_while_clients_go_on() {
    let home = tempfile::tempdir().expect("a folder");
    put(home.path(), "services/sign.policy", SIGN);
    put(home.path(), "gateway.yaml", "reload: { settle: 20ms }");
    let process = Process::gateway(home.path(), &Start::default()).expect("a start");
    let mut client = Client::default();
    let before = kids(&set(&process));
    let mut kept = tokens(&process);
    let (rounds, mut checked) = (6, 0);
    for round in 0..rounds {
        let alias = ["id_token_rsa", "id_token_p256", "id_token_p384"][round % 3];
        let rotated = command(home.path(), &["key", "rotate", alias]).expect("a command");
        assert!(rotated.success, "{}", rotated.stderr);
        let new = rotated.stdout.split_whitespace().nth(2).expect("a kid").to_owned();
        // Until the running gateway has noticed, and after that, every token verifies.
        loop {
            for token in tokens(&process) {
                assert!(client.accepts(&process, &token), "round {round}: {token}\n{}", process.log());
                kept.push(token);
                checked += 1;
            }
            if kids(&set(&process)).contains(&new) {
                break;
            }
        }
    }
    println!("{checked} tokens verified over {rounds} rotations; the key set was loaded {} times", client.loaded);
    let after = kids(&set(&process));
    assert_eq!(after.len(), before.len() + rounds);
    assert!(after.is_superset(&before), "former keys stay published");
    // Whoever loads the set only now can check what was signed at the beginning.
    let mut late = Client::default();
    assert!(kept.iter().all(|token| late.accepts(&process, token)));
    assert_eq!(late.loaded, 1);

    let listed = command(home.path(), &["key", "list"]).expect("a command");
    let former: Vec<&str> = listed.stdout.lines().filter(|line| line.contains("former")).collect();
    assert_eq!(former.len(), rounds, "{}", listed.stdout);
    let words: Vec<&str> = former[0].split_whitespace().collect();
    let retired = command(home.path(), &["key", "retire", words[0], words[1]]).expect("a command");
    assert!(retired.success, "{}", retired.stderr);
    while kids(&set(&process)).contains(words[1]) {
        std::thread::yield_now();
    }
    assert_eq!(kids(&set(&process)).len(), after.len() - 1);
}

#[test]
fn a_key_of_each_kind_is_replaced_by_one_of_its_kind() {
    let home = tempfile::tempdir().expect("a folder");
    put(home.path(), "gateway.yaml", "");
    for kind in ["rsa3072", "p384", "p521", "ed25519"] {
        let made = command(home.path(), &["key", "create", kind, "--kind", kind]).expect("a command");
        assert!(made.success, "{}", made.stderr);
        assert!(command(home.path(), &["key", "rotate", kind]).expect("a command").success);
        let listed = command(home.path(), &["key", "list"]).expect("a command").stdout;
        let kinds: BTreeSet<Vec<&str>> = listed
            .lines()
            .filter(|line| line.starts_with(kind))
            .map(|line| line.split_whitespace().skip(3).take(1).collect())
            .collect();
        assert_eq!(kinds.len(), 1, "{listed}");
    }
    let again = command(home.path(), &["key", "create", "p384", "--kind", "p384"]).expect("a command");
    assert!(!again.success && again.stderr.contains("already exists"), "{}", again.stderr);
    let unknown = command(home.path(), &["key", "create", "other", "--kind", "dsa"]).expect("a command");
    assert!(!unknown.success && unknown.stderr.contains("is not a kind of key"), "{}", unknown.stderr);
}

/// Sets it when it is dropped, also by a failure.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Keys change once a second while clients, each with the keys that it once loaded, check tokens. `PORTCULLIS_ROTATIONS` says how often; it
/// prints how much was checked.
#[test]
fn no_token_fails_while_keys_rotate_under_load() {
    let rotations: usize = std::env::var("PORTCULLIS_ROTATIONS").ok().and_then(|text| text.parse().ok()).unwrap_or(6);
    let home = tempfile::tempdir().expect("a folder");
    put(home.path(), "services/sign.policy", SIGN);
    put(home.path(), "gateway.yaml", "reload: { settle: 20ms }");
    let process = Process::gateway(home.path(), &Start::default()).expect("a start");
    let before = kids(&set(&process));
    let over = AtomicBool::new(false);
    let (mut checked, mut loaded, mut seen) = (0, 0, BTreeSet::new());
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let (mut client, mut checked, mut seen) = (Client::default(), 0, BTreeSet::new());
                    while !over.load(Ordering::Relaxed) {
                        for token in tokens(&process) {
                            assert!(client.accepts(&process, &token), "{token}\n{}", process.log());
                            seen.insert(jsonwebtoken::decode_header(&token).expect("a header").kid);
                            checked += 1;
                        }
                    }
                    (checked, client.loaded, seen)
                })
            })
            .collect();
        let end = End(&over);
        for round in 0..rotations {
            let begun = Instant::now();
            let alias = ["id_token_rsa", "id_token_p256", "id_token_ed25519"][round % 3];
            let rotated = command(home.path(), &["key", "rotate", alias]).expect("a command");
            assert!(rotated.success, "{}", rotated.stderr);
            let new = rotated.stdout.split_whitespace().nth(2).expect("a kid").to_owned();
            while !kids(&set(&process)).contains(&new) {
                std::thread::yield_now();
            }
            std::thread::sleep(Duration::from_secs(1).saturating_sub(begun.elapsed()));
        }
        drop(end);
        for client in clients {
            let (own, times, kids) = client.join().expect("every token is accepted");
            checked += own;
            loaded += times;
            seen.extend(kids);
        }
    });
    println!(
        "{rotations} rotations: {checked} tokens of {} keys verified, none refused; key sets were loaded {loaded} times",
        seen.len()
    );
    assert_eq!(kids(&set(&process)).len(), before.len() + rotations);
    assert!(checked > 0 && loaded >= 4);
}
