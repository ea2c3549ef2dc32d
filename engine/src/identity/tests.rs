use super::*;
use crate::keys::{KeyKind, KeyStore};
use crate::principal::Secret;
use crate::value::Value;

const NOW: i64 = 1_790_000_000_000;
const CHEAP: Cost = Cost { memory: 64, passes: 1 };

fn password(user: &str, password: &str) -> Credential {
    Credential::Password { user: user.into(), password: Secret::new(password) }
}

fn users() -> (tempfile::TempDir, InternalUsers) {
    let home = tempfile::tempdir().unwrap();
    let users = InternalUsers::new("Users", home.path().join(USERS_FILE), Arc::new(Passwords::new(CHEAP)));
    (home, users)
}

#[tokio::test]
async fn users_log_in_with_their_password_only() {
    let (_home, users) = users();
    let attributes =
        BTreeMap::from([("role".to_owned(), serde_json::json!("admin")), ("groups".to_owned(), serde_json::json!(["a", "b"]))]);
    users.add("ann", &Secret::new("correct horse"), attributes, NOW).unwrap();
    let user = users.authenticate(&password("ann", "correct horse"), NOW).await.unwrap().unwrap();
    assert_eq!((user.name.as_str(), user.provider.as_str()), ("ann", "Users"));
    assert_eq!(user.attributes["role"].as_text(), "admin");
    assert!(matches!(&user.attributes["groups"], Value::List(groups) if groups.len() == 2));
    for (name, given) in [("ann", "wrong"), ("ann", ""), ("Ann", "correct horse"), ("bob", "correct horse"), ("", "")] {
        assert!(users.authenticate(&password(name, given), NOW).await.unwrap().is_none(), "{name} {given}");
    }
    assert!(users.authenticate(&password("ann", &"x".repeat(100_000)), NOW).await.unwrap().is_none());
    assert!(users.user("ann").await.unwrap().is_some());
    assert!(users.user("bob").await.unwrap().is_none());
}

#[tokio::test]
async fn another_process_changes_users() {
    let (home, users) = users();
    assert!(users.list().unwrap().is_empty());
    let other = InternalUsers::new("Users", home.path().join(USERS_FILE), Arc::new(Passwords::new(CHEAP)));
    other.add("ann", &Secret::new("one"), BTreeMap::new(), NOW).unwrap();
    assert!(users.authenticate(&password("ann", "one"), NOW).await.unwrap().is_some());
    assert!(matches!(users.add("ann", &Secret::new("x"), BTreeMap::new(), NOW), Err(UserError::Exists(_))));
    users.set_password("ann", &Secret::new("two and more")).unwrap();
    assert!(other.authenticate(&password("ann", "two and more"), NOW).await.unwrap().is_some());
    other.delete("ann").unwrap();
    assert!(matches!(users.delete("ann"), Err(UserError::Unknown(_))));
    assert!(users.authenticate(&password("ann", "two and more"), NOW).await.unwrap().is_none());
    for name in ["", " ann", "a\nb"] {
        assert!(users.add(name, &Secret::new("x"), BTreeMap::new(), NOW).is_err());
    }
    let text = std::fs::read_to_string(home.path().join(USERS_FILE)).unwrap();
    assert!(!text.contains("two and more"));
}

#[tokio::test]
async fn a_broken_file_is_a_fault_and_not_a_no() {
    let (home, users) = users();
    std::fs::create_dir_all(home.path().join("data")).unwrap();
    std::fs::write(home.path().join(USERS_FILE), "[{").unwrap();
    let fault = users.authenticate(&password("ann", "x"), NOW).await.unwrap_err();
    assert!(fault.to_string().contains("users.json"), "{fault}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_user_costs_as_much_as_a_known_one() {
    let home = tempfile::tempdir().unwrap();
    let users =
        InternalUsers::new("Users", home.path().join(USERS_FILE), Arc::new(Passwords::new(Cost { memory: 8192, passes: 2 })));
    users.add("ann", &Secret::new("right"), BTreeMap::new(), NOW).unwrap();
    // The first one makes the hash of nobody.
    users.authenticate(&password("nobody", "x"), NOW).await.unwrap();
    let mut best = [std::time::Duration::MAX; 2];
    for _ in 0..5 {
        for (i, name) in ["ann", "nobody"].into_iter().enumerate() {
            let begun = std::time::Instant::now();
            assert!(users.authenticate(&password(name, "wrong"), NOW).await.unwrap().is_none());
            best[i] = best[i].min(begun.elapsed());
        }
    }
    assert!(best[1] * 3 > best[0] && best[0] * 3 > best[1], "{best:?}");
}

#[tokio::test]
async fn certificates_vouch_for_their_subject() {
    let home = tempfile::tempdir().unwrap();
    let keys = Arc::new(KeyStore::open(&home.path().join("keys"), "gateway.example", NOW).unwrap());
    let certificate = keys.ensure_key("partner", KeyKind::P256, NOW).unwrap().certificate.clone().unwrap();
    let config = |subject: Option<&str>, trusted: &[&str]| {
        let mut config: Config = serde_yaml::from_str("federated").unwrap();
        config.subject = subject.map(str::to_owned);
        config.trusted = trusted.iter().map(Into::into).collect();
        Federated::open("Partners", &config, home.path(), Arc::clone(&keys))
    };
    let credential = Credential::Certificate(certificate);
    let known = config(Some("CN=partner"), &["keys/ca.pem"]).unwrap();
    let user = known.authenticate(&credential, NOW).await.unwrap().unwrap();
    assert_eq!(user.name, "partner");
    assert_eq!(user.attributes["o"].as_text(), "Portcullis");
    assert!(known.authenticate(&credential, NOW + 500 * 86_400_000).await.unwrap().is_none(), "expired");
    assert!(known.authenticate(&password("partner", "x"), NOW).await.unwrap().is_none());
    assert!(config(Some("CN=other"), &["keys/ca.pem"]).unwrap().authenticate(&credential, NOW).await.unwrap().is_none());
    assert!(config(None, &[]).unwrap().authenticate(&credential, NOW).await.unwrap().is_none(), "keys/trusted is empty");
    assert!(config(Some("("), &[]).is_err());
    assert!(config(None, &["keys/nothing.pem"]).is_err());
}

const ALLOWED: Attempts = Attempts { limit: 3, window_millis: 60_000, max_delay_millis: 4_000 };

#[test]
fn further_attempts_wait_longer_and_longer_but_never_long() {
    let limiter = AttemptLimiter::default();
    let mut now = NOW;
    for _ in 0..3 {
        limiter.attempt("ann", ALLOWED, now).unwrap();
    }
    for wait in [1_000, 2_000, 4_000, 4_000] {
        for _ in 0..10 {
            assert_eq!(limiter.attempt("ann", ALLOWED, now), Err(wait), "refused ones prolong nothing");
        }
        assert_eq!(limiter.wait("ann", ALLOWED, now), wait);
        now += wait;
        limiter.attempt("ann", ALLOWED, now).unwrap();
    }
    limiter.attempt("bob", ALLOWED, now).unwrap();
    assert!(limiter.attempt("ann", ALLOWED, now + 60_000).is_ok(), "forgotten after the window");
    limiter.succeeded("ann");
    assert_eq!(limiter.wait("ann", ALLOWED, now), 0);
}

#[test]
fn attempts_at_the_same_time_get_no_further() {
    let limiter = AttemptLimiter::default();
    let passed: usize = std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..16).map(|_| scope.spawn(|| (0..10).filter(|_| limiter.attempt("ann", ALLOWED, NOW).is_ok()).count())).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(passed, 3);
}

#[test]
fn a_flood_of_names_does_not_free_the_one_attacked() {
    let limiter = AttemptLimiter::default();
    for _ in 0..3 {
        limiter.attempt("victim", ALLOWED, NOW).unwrap();
    }
    for i in 0..250_000 {
        limiter.attempt(&format!("name {i}"), ALLOWED, NOW).unwrap();
    }
    assert!(limiter.attempt("victim", ALLOWED, NOW).is_err());
    let long = "x".repeat(10_000);
    limiter.attempt(&long, ALLOWED, NOW).unwrap();
}
